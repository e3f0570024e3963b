"""Every route × every role: whoever may not, is refused; whoever may, is answered; nothing crashes.

Walks the URL map, so a new page is covered as soon as it is registered. What a new page may have to add: a row of its
model to ``tests/support/one_of_each.py``, an address without session to ``OPEN``, values to ``PATH_VALUES``.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from admin_views.base import BaseView
from admin_views.widgets.keys import decode_key, has_key
from app.core import principal
from app.core.models import Role
from app.core.permissions import STAFF_ROLES
from tests.support.factories_dashboard import make_admin, sign_in_key
from tests.support.one_of_each import make_one_of_each

#: what answers without a session
OPEN = {"auth.login", "auth.forgot", "public.faq", "health.healthz", "health.readyz", "health.metrics", "static"}
#: what a machine calls with a token of its own instead of a session and its CSRF token
MACHINE = ("/api/", "/files/", "/webhooks/")
ANONYMOUS, NOBODY = "anonymous", "no permission at all"
ROLES = (ANONYMOUS, NOBODY, *STAFF_ROLES)
#: tried in place of the variables of an address; actions are each view's own
PATH_VALUES = {
    "number": ["0", "1", "999999999"],
    "token": ["nonsense"],
    "key": ["sessions", "faults", "revenue-EUR", "nonsense"],
    "card": ["1", "status", "nonsense"],
    "filename": ["app.css", "nothing.css"],
}
#: statuses that are an answer; anything else is a crash or a page nobody meant
ANSWERS = {200, 204, 302, 303, 400, 403, 404, 405, 422}


class Plain(FlaskClient):
    """A client whose requests share nothing with the test's application context."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """As a server would run it. A stream is opened and closed."""
        path = str(args[0]) if args else ""
        kwargs.setdefault("buffered", not path.startswith("/live"))
        response = contextvars.Context().run(super().open, *args, **kwargs)
        if not kwargs["buffered"]:
            response.close()
        return response


@pytest.fixture
def everything(session: Session) -> Session:
    """A system with one row of each kind."""
    make_one_of_each(session)
    return session


def client_of(session: Session, app: Flask, role: str) -> Plain:
    """Somebody of that role."""
    client = Plain(app, app.response_class, use_cookies=True)
    if role == ANONYMOUS:
        return client
    if role == NOBODY:
        session.add(Role(name=NOBODY))
        session.flush()
    admin = make_admin(session, role=role, email="somebody@example.com")
    key = sign_in_key(app, admin)
    with client.session_transaction() as cookie:
        cookie["_user_id"], cookie["_fresh"] = key, True
    return client


def view_of(app: Flask, rule: Rule) -> Any | None:
    """The Flask-Admin page a route belongs to."""
    blueprint = rule.endpoint.rpartition(".")[0]
    return next((view for view in app.extensions["admin"][0]._views if view.endpoint == blueprint), None)


def paths(app: Flask, rule: Rule) -> list[str]:
    """Addresses of a route, its variables filled in."""
    filled = [rule.rule]
    for name in rule.arguments:
        view = view_of(app, rule)
        values = PATH_VALUES.get(name, ["nonsense"])
        if name == "action_name":
            values = [action.name for action in getattr(view, "actions", ())] + ["nonsense"]
        place = next(part for part in rule.rule.split("/") if part.endswith((f"<{name}>", f":{name}>")))
        filled = [path.replace(place, value) for path in filled for value in values]
    return filled


def key_of(view: Any) -> str | None:
    """The key of a row that the view shows; None for a page that is no model's."""
    if not isinstance(view, BaseView):
        return None
    row = view.session.session.query(view.model).first()
    return None if row is None else view.get_pk_value(row)


def queries(view: Any, endpoint: str, key: str | None, role: str) -> list[str]:
    """What to try behind an address; for who is refused anyway, the two that matter."""
    if not isinstance(view, BaseView):
        return ["", "?q=sofia&topic=sessions"]
    known = [f"?id={key}&rowid={key}&name=zone&query=a"] if key is not None else []
    if role in (ANONYMOUS, NOBODY):
        return ["", *known]
    lists = ["?search=a", "?flt0_nonsense_is=1", "?page=-1", "?sort=nonsense", "?flt0_nonsense=", "?search=%00"]
    more = lists if endpoint.endswith(".index_view") else ["?id=999999999"]
    return ["", *known, *more, *(["?id=abc"] if endpoint.endswith((".details_view", ".edit_view")) else [])]


def rules(app: Flask, method: str) -> list[Rule]:
    return [rule for rule in app.url_map.iter_rules() if method in (rule.methods or ())]


def refused(status: int, location: str | None, role: str) -> bool:
    """Whether an answer lets nothing out."""
    if role == ANONYMOUS:
        return status in (401, 400, 404, 405) or (status in (302, 303) and str(location).startswith("/login"))
    return status in (403, 404)


def expected(view: Any, endpoint: str, may: bool, key: str | None) -> Iterator[tuple[str, int]]:
    """What a page of a model must answer for a row that exists, by the permissions of its verbs."""
    name = endpoint.rpartition(".")[2]
    if name == "index_view":
        yield "", 200 if may else 403
    if key is None or name not in ("details_view", "create_view", "edit_view", "export"):
        return
    if name == "details_view" and not view.can_view_details:
        return  # a page without details of its own: what it answers is its own affair
    if (
        name == "details_view"
        and may
        and view.get_query().filter(has_key(view.model, decode_key(view.model, key))).count() == 0
    ):
        return  # a row of somebody else
    verbs = {"details_view": "view", "create_view": "create", "edit_view": "edit", "export": "export"}
    offered = {"create_view": view.can_create, "edit_view": view.can_edit, "export": view.can_export}
    allowed = may and offered.get(name, True)
    if allowed and verbs[name] != "edit":  # a row may be closed to editing by a rule of its own (built-in roles)
        yield f"?id={key}" if name == "details_view" else "", 200
    elif not allowed:
        yield f"?id={key}", 403


def test_there_is_a_row_for_every_page(everything: Session, clean: Flask) -> None:
    client_of(everything, clean, "Super User")
    missing = [view.endpoint for view in pages(clean) if isinstance(view, BaseView) and key_of(view) is None]
    assert missing == [], "add a row of these pages' models to tests/support/one_of_each.py"


def pages(app: Flask) -> list[Any]:
    return list(app.extensions["admin"][0]._views)


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_every_get(everything: Session, clean: Flask, role: str) -> None:
    client = client_of(everything, clean, role)
    wrong: list[str] = []
    for rule in rules(clean, "GET"):
        view = view_of(clean, rule)
        key = key_of(view)
        for path in paths(clean, rule):
            for query in queries(view, rule.endpoint, key, role):
                answer = client.get(path + query)
                status = answer.status_code
                said = f"{role}: GET {path}{query} [{rule.endpoint}] → {status} {answer.location or ''}"
                if role == ANONYMOUS and rule.endpoint not in OPEN:
                    if not refused(status, answer.location, role):
                        wrong.append(said)
                elif status not in ANSWERS and not (status == 401 and path.startswith(MACHINE)):
                    wrong.append(said)
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES[1:])
def test_pages_open_for_their_permission_and_for_nothing_else(everything: Session, clean: Flask, role: str) -> None:
    client = client_of(everything, clean, role)
    granted = STAFF_ROLES.get(role, frozenset())
    wrong: list[str] = []
    for rule in rules(clean, "GET"):
        view = view_of(clean, rule)
        if view is None or not view.resource:
            continue
        may = f"{view.resource}.view" in granted
        key = key_of(view)
        if not may and rule.endpoint != "dashboard.index":
            for path in paths(clean, rule):
                answer = client.get(path)
                if not refused(answer.status_code, None, role):
                    wrong.append(f"{role}: {path} [{rule.endpoint}] → {answer.status_code}, expected a refusal")
        if isinstance(view, BaseView) and not rule.arguments:
            with clean.test_request_context():
                verdicts = as_admin(client, clean, lambda: list(expected(view, rule.endpoint, may, key)))  # noqa: B023
            for query, status in verdicts:
                got = client.get(rule.rule + query).status_code
                # refusing may be a redirect or a 404; a page may be another page's
                if got not in ({403, 404, 302} if status == 403 else {200, 302}):
                    wrong.append(f"{role}: {rule.rule}{query} → {got}, expected {status}")
    assert wrong == []


def as_admin(client: Plain, app: Flask, ask: Any) -> Any:
    """Ask something in a request of the client's admin."""
    from flask_login import login_user

    from admin_views.login import load_admin

    principal.bind(principal.STAFF)
    with client.session_transaction() as cookie:
        admin = load_admin(cookie["_user_id"])
    login_user(admin)
    return ask()


@pytest.mark.parametrize("role", ROLES)
def test_every_post_without_content(everything: Session, clean: Flask, role: str) -> None:
    """Nothing crashes, and who may not see a page can post nothing to it."""
    client = client_of(everything, clean, role)
    granted = STAFF_ROLES.get(role, frozenset())
    wrong: list[str] = []
    for rule in rules(clean, "POST"):
        if rule.endpoint == "auth.logout":
            continue
        view = view_of(clean, rule)
        closed = view is not None and bool(view.resource) and f"{view.resource}.view" not in granted
        for path in paths(clean, rule):
            answer = client.post(path, data={})
            said = f"{role}: POST {path} [{rule.endpoint}] → {answer.status_code} {answer.location or ''}"
            if role == ANONYMOUS and rule.endpoint not in OPEN:
                if not refused(answer.status_code, answer.location, role):
                    wrong.append(said)
            elif answer.status_code not in ({403, 404} if closed else ANSWERS | {401}):
                wrong.append(said)
    assert wrong == []


def test_every_mutation_asks_for_the_csrf_token(
    everything: Session, clean: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(everything, clean, "Super User")
    monkeypatch.setitem(clean.config, "WTF_CSRF_ENABLED", True)
    before = fingerprint(everything)
    wrong: list[str] = []
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for rule in rules(clean, method):
            key = key_of(view_of(clean, rule))
            for path in paths(clean, rule):
                if path.startswith(MACHINE):
                    continue
                fields = {"id": key or "1", "rowid": key or "1", "reason": "none", "csrf_token": "forged"}
                answer = client.open(f"{path}?id={key or 1}", method=method, data=fields)
                if answer.status_code != 400:
                    wrong.append(f"{method} {path} [{rule.endpoint}] → {answer.status_code}")
    assert wrong == []
    assert fingerprint(everything) == before


def fingerprint(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    session.rollback()
    tables = session.execute(
        text("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')")
    ).scalars()
    counted = {table: session.scalar(text(f'SELECT count(*) FROM "{table}"')) for table in list(tables)}
    return {table: number or 0 for table, number in counted.items()}


def test_signing_out_works_for_everybody(everything: Session, clean: Flask) -> None:
    client = client_of(everything, clean, NOBODY)
    assert client.post("/logout").status_code == 303
