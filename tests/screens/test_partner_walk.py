"""Walked as admins of a partner, with another partner's and the operator's ids in hand: nothing of theirs is there.

The oracle: what belongs to somebody else answers exactly as what does not exist, and says nothing of what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from admin_views.base import BaseView
from app.assets.models import ChargePoint, Location
from app.charging.models import AuthorizationSource, ChargingSession
from app.core.api_tokens import create_token
from app.core.clock import utcnow
from app.core.models import Action, Admin, Role
from app.core.permissions import PARTNER_GRANTABLE, PARTNER_ROLES
from app.partners.models import Partner
from tests.screens.test_routes_by_role import Plain, paths, rules, view_of
from tests.support.factories_dashboard import signed_in
from tests.support.one_of_each import make_one_of_each
from tests.support.partners import Host, hand_over_everything, make_host, partner_admin

#: a role of all that partners may be given, exports included
ALL = "All that partners may have"
ROLES = (*PARTNER_ROLES, ALL)
MISSING = "999999999"
#: what only the other's rows contain
MARKS = ("foreign mall", "foreign station", "foreign-1", "dora@example.com", "04a1b2c3", "04-foreign")
#: these end the session, or are no page of anybody
LEFT_OUT = {"auth.logout", "static", "live.stream"}


@dataclass(frozen=True)
class World:
    """One of everything, which is somebody else's, and a partner with a station of its own."""

    own: Host
    other_id: int
    station: ChargePoint
    location_id: int


@pytest.fixture
def world(session: Session, cleaner: psycopg.Connection[Any]) -> World:
    make_one_of_each(session)
    station = session.scalars(select(ChargePoint)).one()
    station.name, station.identifier = "Foreign station", "FOREIGN-1"
    location = station.zone.location
    location.name, station.zone.name = {"en": "Foreign mall"}, "Foreign mall zone"
    station.evses[0].code = "04-FOREIGN"
    other = Partner(name="Kaufland")
    session.add_all([other, Role(name=ALL, for_partner=True, permission_names=sorted(PARTNER_GRANTABLE))])
    session.commit()
    hand_over_everything(cleaner, other.id)
    session.expire_all()
    number, location_id = other.id, location.id
    session.execute(text("UPDATE user_account SET email = 'dora@example.com'"))
    own = make_host(session, "Lidl")
    return World(own, number, station, location_id)


def client_of(app: Flask, admin: Admin) -> Plain:
    """Signed in; what it gets is not checked page by page, other tests do that."""
    client = Plain(app, app.response_class, use_cookies=True)
    with signed_in(app, admin).session_transaction() as given, client.session_transaction() as cookie:
        cookie.update(dict(given))
    return client


def member(session: Session, world: World, role: str) -> Admin:
    return partner_admin(session, world.own.partner_id, role, email="petra@lidl.example")


def foreign_key(view: Any, session: Session) -> str | None:
    """The key of the first row of the page's model: the walker's own were made after it."""
    if not isinstance(view, BaseView):
        return None
    row = session.query(view.model).order_by(*inspect(view.model).primary_key).first()
    return None if row is None else str(view.get_pk_value(row))


def is_closed(view: Any, role: str) -> bool:
    """Whether a page is none of the role's."""
    granted = {str(permission) for permission in PARTNER_ROLES.get(role, PARTNER_GRANTABLE)}
    resource = getattr(view, "resource", "")
    return bool(resource) and (f"{resource}.view" not in granted or view.staff_only)


def addresses(app: Flask, method: str, world: World, role: str) -> Iterator[tuple[Any, str]]:
    """Each address; of a page that the role has not, one of a kind is enough."""
    for rule in rules(app, method):
        if rule.endpoint in LEFT_OUT:
            continue
        view = view_of(app, rule)
        tried = paths(app, rule)
        if is_closed(view, role):
            tried = tried[:1]
        if rule.endpoint == "dashboard.place":
            tried = [tried[0].rpartition("/")[0].rpartition("/")[0] + f"/{world.location_id}/"]
        for path in tried:
            yield view, path


def told(answer: Any) -> list[str]:
    """What an answer gives away."""
    body = answer.get_data(as_text=True).lower()
    return [mark for mark in MARKS if mark in body]


_OWNED = ("charge_point", "evse", "connector", "charging_session", "transaction", "reservation", "authorization")
_NOBODYS = ("location", "charging_zone", "user_account", "role", "setting", "tariff", "partner")
_ROWS = "SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM \"{}\" t"
_ACCOUNTS = (
    "SELECT md5(string_agg(concat_ws(' ', email, role_id, status, password_hash), '|' ORDER BY id)) FROM admin "
    "WHERE partner_id IS DISTINCT FROM :own"
)


def untouched(session: Session, world: World) -> dict[str, Any]:
    """Everything that is somebody else's, as one text for each table."""
    session.rollback()
    own = {"own": world.own.partner_id}
    found = {table: session.scalar(text(_ROWS.format(table) + " WHERE partner_id <> :own"), own) for table in _OWNED}
    found |= {table: session.scalar(text(_ROWS.format(table))) for table in _NOBODYS}
    found["action"] = session.scalar(text("SELECT count(*) FROM action WHERE partner_id <> :own"), own)
    found["admin"] = session.scalar(text(_ACCOUNTS), own)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_what_is_somebody_elses_is_not_there(
    world: World, session: Session, clean: Flask, cleaner: psycopg.Connection[Any], role: str
) -> None:
    client = client_of(clean, member(session, world, role))
    wrong: list[str] = []
    for owner in (world.other_id, 1):
        hand_over_everything(cleaner, owner, of=world.other_id)
        for view, path in addresses(clean, "GET", world, role):
            key, closed = foreign_key(view, session), is_closed(view, role)
            if closed and owner == 1:
                continue
            query = f"?id={key}&rowid={key}" if key is not None else ""
            got = client.get(path + query)
            refusals = {403, 404} if closed and path != "/" else None
            if key is not None and refusals is None:
                refusals = {client.get(f"{path}?id={MISSING}&rowid={MISSING}").status_code}
            if told(got) or got.status_code >= 500 or (refusals and got.status_code not in refusals):
                wrong.append(f"{role}, {owner}: {path}{query} → {got.status_code} {refusals} {told(got)}")
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_nothing_of_anybody_else_can_be_changed(world: World, session: Session, clean: Flask, role: str) -> None:
    client = client_of(clean, member(session, world, role))
    before, wrong = untouched(session, world), []
    for view, path in addresses(clean, "POST", world, role):
        key = foreign_key(view, session) or "1"
        fields = {"reason": "mine", "name": "mine", "status": "disabled", "_version": "1"}
        got, nothing = (
            client.post(f"{path}?id={each}", data={**fields, "id": each, "rowid": each}) for each in (key, MISSING)
        )
        same = got.status_code == nothing.status_code or not isinstance(view, BaseView)
        if not same or told(got) or got.status_code >= 500:
            wrong.append(f"{role}: POST {path} id={key} → {got.status_code}/{nothing.status_code} {told(got)}")
    assert wrong == []
    assert untouched(session, world) == before


def test_a_foreign_id_among_own_ones_stops_the_whole(world: World, session: Session, clean: Flask) -> None:
    client = client_of(clean, member(session, world, "Partner Owner"))
    before = untouched(session, world)
    for action, fields in (("reset", {"type": "soft"}), ("clear_cache", {})):
        mixed = {"rowid": [world.own.charge_point_id, world.station.id], "reason": "both", **fields}
        assert client.post(f"/assets/charge-points/run/{action}/", data=mixed).status_code == 404
    session.rollback()
    assert session.scalars(select(Action.name).where(Action.partner_id == world.own.partner_id)).all() == []
    assert untouched(session, world) == before
    alone = {"rowid": world.own.charge_point_id, "reason": "mine", "type": "soft"}
    assert client.post("/assets/charge-points/run/reset/", data=alone).status_code == 200
    session.rollback()
    made = session.scalars(select(Action).where(Action.partner_id == world.own.partner_id)).one()
    assert (made.charge_point_id, made.initiated_by) == (world.own.charge_point_id, "Petra")


def test_lists_filters_search_and_exports_name_nobody_elses(world: World, session: Session, clean: Flask) -> None:
    client = client_of(clean, member(session, world, ALL))
    wrong = []
    with clean.app_context():
        pages = [view for view in clean.extensions["admin"][0]._views if isinstance(view, BaseView)]
    for view in pages:
        base = view.url if view.url.endswith("/") else view.url + "/"
        if client.get(base).status_code != 200:
            continue
        asked = [base, *(f"{base}?search={mark}" for mark in MARKS), f"{base}export/", f"{base}export/?rowid=1"]
        for path in asked:
            answer = client.get(path)
            body = answer.get_data(as_text=True).lower().replace(path.partition("search=")[2].lower() or "\0", "")
            if answer.status_code >= 500 or any(mark in body for mark in MARKS if f"search={mark}" not in path):
                wrong.append((path, answer.status_code))
    for mark in MARKS:
        found = client.get(f"/search?q={mark}", headers={"HX-Request": "true"})
        if found.status_code != 200 or any(f">{word}<" in found.get_data(as_text=True).lower() for word in MARKS):
            wrong.append((f"search {mark}", found.status_code))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_ones_own_opens_and_the_rest_is_closed(
    world: World, session: Session, clean: Flask, cleaner: psycopg.Connection[Any], role: str
) -> None:
    """As the partner whose everything is: each page of the role opens with its row, each part answers."""
    admin = partner_admin(session, world.other_id, role, email="karl@kaufland.example")
    granted = {str(permission) for permission in admin.permissions}
    client, wrong = client_of(clean, admin), []
    for view, path in addresses(clean, "GET", world, role):
        key = foreign_key(view, session)
        answer = client.get(f"{path}?id={key}&rowid={key}" if key else path)
        name = path.rstrip("/").rpartition("/")[2]
        if answer.status_code >= 500:
            wrong.append(f"{role}: {path} → {answer.status_code}")
        resource = getattr(view, "resource", "")
        if view is None or not resource:
            continue
        if f"{resource}.view" not in granted and answer.status_code == 200:
            wrong.append(f"{role}: {path} opens without {resource}.view")
        opens = f"{resource}.view" in granted and not view.staff_only and isinstance(view, BaseView)
        # the first account there is belongs to the operator
        opens = opens and view.can_view_details and resource != "configuration.admin"
        if opens and name == "details" and answer.status_code not in (200, 302):
            wrong.append(f"{role}: {path}?id={key} → {answer.status_code}, but it is its own")
    assert wrong == []


def test_a_program_of_a_partner_reaches_its_own_stations_only(world: World, session: Session, clean: Flask) -> None:
    admin, now = member(session, world, ALL), utcnow()
    _, key = create_token(session, admin=admin, name="script", actor=admin, now=now)
    session.commit()
    client = Plain(clean, clean.response_class)
    headers = {"Authorization": f"Bearer {key}"}
    own = session.get_one(ChargePoint, world.own.charge_point_id).identifier
    assert client.get(f"/api/v1/charge-points/{own}", headers=headers).status_code == 200
    for path in (f"/api/v1/charge-points/{world.station.identifier}", "/api/v1/charge-points/NOBODY"):
        assert client.get(path, headers=headers).status_code == 404
    call = {"action": "Reset", "payload": {"type": "Soft"}, "reason": "mine"}
    for identifier in (own, world.station.identifier):  # raw commands are the operator's, on whichever station
        refused = client.post(f"/api/v1/charge-points/{identifier}/commands", json=call, headers=headers)
        assert refused.status_code == 403
    session.rollback()
    assert session.scalars(select(Action.name).where(Action.partner_id == world.own.partner_id)).all() == []


def test_a_station_that_was_sold_leaves_its_sessions_readable(world: World, session: Session, clean: Flask) -> None:
    """The seller's page of a session names a station that is not the seller's any more."""
    client = client_of(clean, member(session, world, "Partner Owner"))
    station = session.get_one(ChargePoint, world.own.charge_point_id)
    station.partner_id = world.other_id
    session.commit()
    assert client.get(f"/assets/charge-points/details/?id={station.id}").status_code == 404
    for path in ("", f"details/?id={world.own.session_id}", f"card/status/?id={world.own.session_id}"):
        answer = client.get(f"/activity/charging-sessions/{path}")
        assert answer.status_code == 200, path
        assert station.name not in answer.get_data(as_text=True)
    assert client.get("/").status_code == 200
    session.rollback()
    assert session.get_one(ChargingSession, world.own.session_id).partner_id == world.own.partner_id
    assert session.get_one(Location, world.own.location_id)


def test_a_partner_starts_a_free_session_for_whom_it_can_name(world: World, session: Session, clean: Flask) -> None:
    """Partners see no users; whoever stands at the station tells its address."""
    client = client_of(clean, member(session, world, "Partner Operator"))
    path = f"/assets/evses/run/start/?rowid={world.own.evse_id}"
    dialog = client.get(path).get_data(as_text=True)
    assert 'name="email"' in dialog and 'name="user"' not in dialog and 'name="tariff"' not in dialog
    given = {"rowid": world.own.evse_id, "reason": "asked for it"}
    nobody = client.post(path, data={**given, "email": "nobody@example.com"})
    assert "No user has this e-mail address." in nobody.get_data(as_text=True)
    assert client.post(path, data={**given, "email": "DORA@example.com"}).status_code == 200
    foreign = {"rowid": world.station.evses[0].id, "reason": "mine", "email": "dora@example.com"}
    assert client.post("/assets/evses/run/start/", data=foreign).status_code == 404
    session.rollback()
    made = session.scalars(select(ChargingSession).order_by(ChargingSession.id.desc()).limit(1)).one()
    assert made.id != world.own.session_id
    assert (made.evse_id, made.partner_id, made.source) == (
        world.own.evse_id, world.own.partner_id, AuthorizationSource.OPERATOR
    )  # fmt: skip
    assert made.tariff_id is None
