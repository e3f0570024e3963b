"""Every page of ASSETS and ACTIVITY opens, is well-formed, and asks the database few questions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ReportedStatus
from app.charging.lifecycle import SessionStatus
from app.charging.models import (
    Authorization,
    ChargingSession,
    CommunicationLog,
    HardwareStatusLog,
    NetworkStatusLog,
    StrayMessage,
    UnknownStation,
)
from app.charging.models.logs import Direction, FrameKind
from app.core.db import db
from app.core.models import Action, ActionStatus
from tests.support.factories_assets import (
    NOW,
    make_session,
    make_station,
    make_tariff_group,
    make_user,
    make_zone,
    tap,
)
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

LISTS = (
    "/assets/locations/",
    "/assets/charging-zones/",
    "/assets/charge-points/",
    "/assets/tried-to-connect/",
    "/assets/evses/",
    "/assets/hardware-status-logs/",
    "/assets/network-status-logs/",
    "/assets/communication-logs/",
    "/assets/stray-messages/",
    "/activity/charging-sessions/",
    "/activity/authorizations/",
    "/activity/actions/",
)
MAX_QUERIES = 8


@contextmanager
def counted_queries() -> Iterator[list[str]]:
    """The statements sent to the database meanwhile."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("SET", "SAVEPOINT", "RELEASE")):
            seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User, signed in."""
    return signed_in(clean, make_admin(session))


def fill(session: Session, stations: int = 12) -> list[ChargePoint]:
    """Rows of every kind: more than any list could show with a query each."""
    group = make_tariff_group(session)
    user = make_user(session, tag_id="04A2B3C4")
    made = []
    for number in range(stations):
        station = make_station(
            session,
            make_zone(session) if number % 3 == 0 else made[-1].zone,
            evses=2,
            group=group,
            reported=ReportedStatus.FAULTED if number == 3 else ReportedStatus.AVAILABLE,
        )
        made.append(station)
        make_session(session, station.evses[0], user, started_at=NOW - timedelta(hours=number + 2))
        tap(session, station, f"UNKNOWN{number}", now=NOW)
        session.add(
            Action(
                partner_id=1,
                name="Reset",
                target_type="charge_point",
                target_id=station.id,
                target_label=station.name,
                charge_point_id=station.id,
                reason="It hangs",
                status=ActionStatus.ACCEPTED,
                initiated_by="Olga",
                command="reset",
                request={"kind": "soft"},
            )
        )
        common = {"partner_id": 1, "charge_point_id": station.id, "at": NOW}
        frame = '[2,"m1","BootNotification",{}]'
        session.add_all(
            [
                HardwareStatusLog(**common, network_id=1, status=ReportedStatus.FAULTED, error_code="GroundFailure"),
                NetworkStatusLog(**common, status=station.state.connection, detail="connected from 10.0.0.1"),
                StrayMessage(**common, action="StopTransaction", payload={"transactionId": -1}, note="no such session"),
                CommunicationLog(
                    **common,
                    direction=Direction.FROM_STATION,
                    kind=FrameKind.REQUEST,
                    message_id="m1",
                    action="BootNotification",
                    payload=frame,
                ),
            ]
        )
        session.add(
            UnknownStation(
                identifier=f"NEW/{number}",
                reason="unknown charge point",
                protocols="ocpp1.6",
                remote_address="10.0.0.9",
                attempts=number + 1,
                first_seen_at=NOW,
                last_seen_at=NOW,
            )
        )
    make_session(session, made[0].evses[1], user, status=SessionStatus.ACTIVE)
    session.commit()
    return made


@pytest.mark.parametrize("path", LISTS)
def test_a_list_asks_few_questions_however_many_rows(olga: Visitor, session: Session, path: str) -> None:
    """Never one query more for one row more."""
    fill(session)
    olga.get(path)
    with counted_queries() as seen:
        answer = olga.get(path)
    assert answer.status_code == 200, answer.get_data(as_text=True)[-2000:]
    assert "<tbody>" in answer.get_data(as_text=True), path
    assert len(seen) <= MAX_QUERIES, "\n\n".join(seen)


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_list_says_what_to_do(olga: Visitor, path: str) -> None:
    answer = olga.get(path)
    assert answer.status_code == 200
    assert 'class="empty"' in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", LISTS)
def test_every_list_can_be_exported(olga: Visitor, session: Session, path: str) -> None:
    fill(session, stations=3)
    answer = olga.get(f"{path}export/csv/")
    lines = answer.get_data(as_text=True).splitlines()
    assert answer.status_code == 200 and len(lines) >= 2, lines
    assert "object at 0x" not in answer.get_data(as_text=True)


def test_every_page_of_a_record_opens(olga: Visitor, session: Session) -> None:
    """Details, their parts and the forms."""
    stations = fill(session, stations=2)
    station = stations[0]
    evse = station.evses[0]
    row = session.query(ChargingSession).order_by(ChargingSession.id).first()
    running = session.query(ChargingSession).filter_by(status=SessionStatus.ACTIVE).one()
    tapped = session.query(Authorization).first()
    assert row is not None and tapped is not None
    paths = [
        f"/assets/locations/details/?id={station.zone.location_id}",
        f"/assets/locations/card/?id={station.zone.location_id}&period=last-month",
        f"/assets/locations/edit/?id={station.zone.location_id}",
        "/assets/locations/new/",
        f"/assets/charging-zones/details/?id={station.zone_id}",
        f"/assets/charging-zones/edit/?id={station.zone_id}",
        "/assets/charging-zones/new/",
        f"/assets/charge-points/details/?id={station.id}",
        f"/assets/charge-points/edit/?id={station.id}",
        "/assets/charge-points/new/",
        f"/assets/evses/details/?id={evse.id}",
        f"/activity/charging-sessions/details/?id={row.id}",
        f"/activity/charging-sessions/details/?id={running.id}",
        f"/activity/authorizations/details/?id={tapped.id}",
    ]
    for path in paths:
        answer = olga.get(path)
        assert answer.status_code == 200, f"{path}: {answer.get_data(as_text=True)[-1500:]}"
    parts_of(olga, f"/assets/charge-points/details/?id={station.id}", at_least=10)
    parts_of(olga, f"/assets/evses/details/?id={evse.id}", at_least=6)
    for number in (row.id, running.id):
        parts_of(olga, f"/activity/charging-sessions/details/?id={number}", at_least=5)


def parts_of(olga: Visitor, path: str, *, at_least: int) -> None:
    """Fetch whatever a page fetches by itself."""
    page = olga.get(path).get_data(as_text=True)
    found = {
        unescape(url)
        for url, trigger in re.findall(r'hx-get="([^"]+)"[^>]*?hx-trigger="([^"]+)"', page)
        if "input" not in trigger
    }
    assert len(found) >= at_least, found
    for url in found:
        answer = olga.htmx(url)
        assert answer.status_code == 200, f"{url}: {answer.get_data(as_text=True)[-1500:]}"


def test_the_page_of_an_action_opens(olga: Visitor, session: Session) -> None:
    station = fill(session, stations=1)[0]
    answer = olga.send("/assets/charge-points/run/reset/", {"rowid": station.id, "kind": "soft", "reason": "hangs"})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    action = session.query(Action).order_by(Action.id.desc()).limit(1).one()
    assert olga.get(f"/activity/actions/details/?id={action.id}").status_code == 200
    assert olga.htmx(f"/activity/actions/card/outcome/?id={action.id}").status_code == 200
