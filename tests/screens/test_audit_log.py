"""CONFIGURATION > Audit log: one list of who changed what, quick among very many, with sign-ins and downloads."""

from __future__ import annotations

import csv
import io
import time

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.core import settings
from app.core.audit import record_change
from app.core.models import Admin, AuditEntry
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.factories_dashboard import PASSWORD, visitor

LIST = "/configuration/audit-log/"


@pytest.fixture
def boss(session: Session) -> Admin:
    made = make.admin(session, "Olga Operator")
    session.commit()
    return made


@pytest.fixture
def olga(clean: Flask, boss: Admin) -> Visitor:
    return make.signed_in(clean, boss)


def page(client: Visitor, query: str = "") -> str:
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def entry(session: Session, actor: Admin | None, label: str, **values: object) -> None:
    record_change(
        session, actor=actor, event="change", object_type="location", object_id=7, label=label,
        before=dict.fromkeys(values, "old"), after=values,
    )  # fmt: skip


def test_it_says_who_changed_what_from_what_to_what(olga: Visitor, boss: Admin, session: Session) -> None:
    settings.change_setting(session, key="reservation.duration_minutes", value="20", actor=boss)
    entry(session, None, "Modera", city="Sofia")
    session.commit()
    shown = page(olga)
    assert "Olga Operator" in shown
    assert "Duration: 15 → 20" in shown
    assert "City: old → Sofia" in shown
    assert "/configuration/settings/" in shown
    assert "/assets/locations/details/?id=7" in shown
    number = session.scalars(select(AuditEntry.id).where(AuditEntry.object_type == "location")).one()
    detail = olga.get(f"{LIST}details/?id={number}").get_data(as_text=True)
    assert all(words in detail for words in ("Modera", "City", "old", "Sofia"))


@pytest.mark.parametrize(
    "query, found",
    [
        ("?search=sofia", ["Modera"]),
        ("?search=Modera old", ["Modera"]),
        ("?search=plov", ["Depot"]),
        ("?search=nothing", []),
        ("?search=it's%20%5C%20%26%20%7C%20!%20:%20*", []),
        ("?flt0_text_in_changes_contains=plovdiv", ["Depot"]),
        ("?flt0_who_contains=olga", ["Depot"]),
        ("?flt0_who_contains=system", ["Modera"]),
        ("?flt0_record_contains=depot", ["Depot"]),
        ("?flt0_record_contains=plovdiv", []),
        ("?flt0_kind_is=location", ["Modera", "Depot"]),
        ("?flt0_kind_is=setting", []),
        ("?flt0_event_is=change", ["Modera", "Depot"]),
        ("?flt0_event_is=delete", []),
        ("?flt0_records_id_is=7", ["Modera", "Depot"]),
    ],
)
def test_it_is_searched_and_filtered(
    olga: Visitor, boss: Admin, session: Session, query: str, found: list[str]
) -> None:
    entry(session, None, "Modera", city="Sofia")
    entry(session, boss, "Depot", city="Plovdiv")
    session.commit()
    shown = page(olga, query)
    assert [name for name in ("Modera", "Depot") if f">{name}<" in shown] == found


def test_sign_ins_failures_and_downloads_are_in_it(clean: Flask, olga: Visitor, session: Session) -> None:
    door = visitor(clean)
    door.post("/login", data={"email": "olga@example.com", "password": "wrong password"})
    door.post("/login", data={"email": make.admin(session, "Eva").email, "password": PASSWORD})
    session.commit()
    assert olga.get("/crm/users/export/csv/?search=eva").status_code == 200
    session.rollback()
    got = session.scalars(select(AuditEntry).where(AuditEntry.event == "export")).one()
    assert (got.admin_label.split(" <")[0], got.object_label, got.after) == (
        "Olga Operator",
        "Users",
        {"search": "eva"},
    )
    shown = page(olga)
    assert "Failed sign-in" in shown
    assert "Downloaded" in shown


def test_it_is_exported_and_that_is_noted_too(olga: Visitor, boss: Admin, session: Session) -> None:
    entry(session, boss, "Depot", city="Plovdiv")
    session.commit()
    answer = olga.get(f"{LIST}export/csv/")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert [(row["object_label"], row["before"], row["after"]) for row in rows if row["object_label"] == "Depot"] == [
        ("Depot", '{"city": "old"}', '{"city": "Plovdiv"}')
    ]
    session.rollback()
    assert session.scalars(select(AuditEntry.object_label).where(AuditEntry.event == "export")).all() == ["Audit log"]


def test_nobody_rewrites_it(olga: Visitor, boss: Admin, session: Session) -> None:
    entry(session, boss, "Depot", city="Plovdiv")
    session.commit()
    number = session.scalars(select(AuditEntry.id)).one()
    for path in ("new/", f"edit/?id={number}", f"delete/?id={number}"):
        assert olga.get(LIST + path).status_code in (403, 404)


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_read_by_index(olga: Visitor, session: Session) -> None:
    """Each way to look must not read them all: judged by what the database says it would do, and by the clock."""
    session.execute(
        text(
            "INSERT INTO audit_entry (at, admin_label, event, object_type, object_id, object_label, before, after) "
            "SELECT now() - n * interval '1 minute', 'Admin ' || n % 50, "
            "(ARRAY['change','create','login'])[1 + n % 3], "
            "'location', n::text, 'Site ' || n, '{}', jsonb_build_object('city', 'Town ' || n) "
            "FROM generate_series(1, 100000) n"
        )
    )
    session.execute(text("ANALYZE audit_entry"))
    session.commit()
    for query in (
        "", "?page=3", "?search=77777", "?flt0_text_in_changes_contains=77777", "?flt0_event_is=delete",
        "?flt0_kind_is=setting", "?flt0_records_id_is=77777", "?flt0_record_contains=site 77777",
    ):  # fmt: skip
        begun = time.perf_counter()
        shown = page(olga, query)
        assert time.perf_counter() - begun < 1.5, query
        if "77777" in query:
            assert "Site 77777" in shown
