"""Whatever an admin changes on any page leaves an entry: forms, deletions and actions of every view, walked."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from admin_views.base import BaseView
from admin_views.widgets.keys import decode_key, has_key
from app.core.models import Action, AuditEntry
from tests.support.factories_dashboard import Visitor, counted_statements, make_admin, signed_in
from tests.support.one_of_each import make_one_of_each

#: what every system has
SEEDED = ("partner", "vat_rate", "currency", "role")
#: tables that hold no record of anybody's: logs, what pages remember, what is derived
NO_RECORDS = ("audit_entry", "action", "admin_session", "alembic_version")


def pages(app: Flask) -> list[BaseView]:
    return [view for view in app.extensions["admin"][0]._views if isinstance(view, BaseView)]


def drawn(form: str) -> dict[str, Any]:
    """What a browser would post from a form as it is drawn."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r' name="([^"]*)"', tag), re.search(r' value="([^"]*)"', tag)
        tick = 'type="checkbox"' in tag or 'type="radio"' in tag
        if name and "disabled" not in tag and 'type="file"' not in tag and (not tick or " checked" in tag):
            found.setdefault(name[1], []).append(html.unescape(value[1]) if value else "")
    for attributes, inner in re.findall(r"<select([^>]*)>(.*?)</select>", form, re.S):
        name = re.search(r' name="([^"]*)"', attributes)
        if name:
            chosen = re.findall(r'<option(?=[^>]*selected)[^>]* value="([^"]*)"', inner)
            found.setdefault(name[1], []).extend(html.unescape(value) for value in chosen)
    for attributes, inner in re.findall(r"<textarea([^>]*)>(.*?)</textarea>", form, re.S):
        name = re.search(r' name="([^"]*)"', attributes)
        if name:
            found.setdefault(name[1], []).append(html.unescape(inner).removeprefix("\n"))
    return dict(found)


def main_form(page: str) -> str:
    """The form of the record: the longest on the page."""
    return max(re.findall(r"<form[^>]*>.*?</form>", page, re.S), key=len)


def key_of(session: Session, view: BaseView) -> str | None:
    row = session.query(view.model).first()
    return None if row is None else view.get_pk_value(row)


def entries(session: Session) -> tuple[int, int]:
    session.rollback()
    return (
        session.scalar(select(func.count()).select_from(AuditEntry)) or 0,
        session.scalar(select(func.count()).select_from(Action)) or 0,
    )


def writes(statements: list[str]) -> list[str]:
    """The statements that wrote a record."""
    found = (re.match(r"\s*(INSERT INTO|UPDATE|DELETE FROM) \"?(\w+)", statement) for statement in statements)
    return [match[2] for match in found if match and match[2] not in NO_RECORDS]


@pytest.fixture
def seeds(session: Session, cleaner: psycopg.Connection[Any]) -> Iterator[None]:
    """What every system has is changed by the walk, and put back: other tests lean on it."""
    for table in SEEDED:
        cleaner.execute(f"CREATE TEMP TABLE kept_{table} AS TABLE {table}")
    yield
    session.rollback()
    for table in SEEDED:
        cleaner.execute(f"DELETE FROM {table}")
        cleaner.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept_{table}")
        cleaner.execute(f"DROP TABLE kept_{table}")


@pytest.fixture
def olga(seeds: None, clean: Flask, session: Session) -> Visitor:
    make_one_of_each(session)
    return signed_in(clean, make_admin(session, email="walker@example.com"))


@pytest.mark.slow
def test_every_form_and_deletion_leaves_an_entry(clean: Flask, session: Session, olga: Visitor) -> None:
    silent, tried = [], []
    for view in pages(clean):
        base, key = f"{view.url}/".replace("//", "/"), key_of(session, view)
        page = olga.get(f"{base}edit/?id={key}") if key is not None else None
        if page is None or page.status_code != 200:
            continue
        fields = drawn(main_form(page.get_data(as_text=True)))
        name = next((n for n in ("name", "name-en", "title", "title-en", "first_name") if n in fields), None)
        if name is None:
            continue
        before = entries(session)
        with counted_statements() as sent:
            answer = olga.post(f"{base}edit/?id={key}", data={**fields, name: ["Walked over"]})
        if answer.status_code in (302, 303) and writes(sent):
            tried.append(view.endpoint)
            if entries(session) == before:
                silent.append(f"edit {view.endpoint}: {writes(sent)}")
    for view in pages(clean):
        base, key = f"{view.url}/".replace("//", "/"), key_of(session, view)
        if key is None or olga.get(f"{base}delete/?id={key}").status_code != 200:
            continue
        before = entries(session)
        olga.post(f"{base}delete/", data={"id": key})
        now = entries(session)
        if session.query(view.model).filter(has_key(view.model, decode_key(view.model, key))).count() == 0:
            tried.append(f"delete {view.endpoint}")
            if now == before:
                silent.append(f"delete {view.endpoint}")
    assert silent == []
    assert len(tried) > 10, tried


@pytest.mark.slow
def test_every_action_leaves_an_entry(clean: Flask, session: Session, olga: Visitor) -> None:
    silent, tried = [], []
    for view in pages(clean):
        base, key = f"{view.url}/".replace("//", "/"), key_of(session, view)
        if key is None or not view.actions:
            continue
        olga.get(base)
        for action in view.actions:
            dialog = olga.htmx(f"{base}run/{action.name}/?rowid={key}", "GET", target="div#modal-content")
            if dialog.status_code != 200 or "<form" not in dialog.get_data(as_text=True):
                continue
            fields = drawn(main_form(dialog.get_data(as_text=True)))
            before = entries(session)
            with counted_statements() as sent:
                answer = olga.htmx(
                    f"{base}run/{action.name}/", "POST", {**fields, "rowid": key, "reason": "The walk"},
                    target="div#modal-content",
                )  # fmt: skip
            if answer.status_code == 200 and "Refused" not in answer.get_data(as_text=True) and writes(sent):
                tried.append(f"{view.endpoint}.{action.name}")
                if entries(session) == before:
                    silent.append(f"{view.endpoint}.{action.name}: {writes(sent)}")
    assert silent == []
    assert len(tried) > 10, tried
