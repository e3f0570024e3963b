"""The list behind "Faults & connectivity loss", and the history behind it: what was tried, who was told."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ConnectionStatus, ReportedStatus, SystemStatus
from app.charging import fault_queries
from app.charging.models import Outage, Recovery, RecoveryAttempt, RecoveryStatus
from app.charging.recovery import texts as fault_texts
from app.core.actions import open_action
from app.core.clock import utcnow
from app.core.models import ActionStatus
from tests.support.factories_dashboard import (
    Visitor,
    counted_statements,
    make_admin,
    make_station,
    make_zone,
    signed_in,
)

PAGE = "/dashboard/faults/"
NOW = utcnow().replace(microsecond=0)


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    return signed_in(clean, make_admin(session))


def words(answer: Any) -> str:
    """The text of a page, without tags."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True))))


def broken(session: Session, name: str, *, zone: Any = None, **fields: Any) -> ChargePoint:
    """A station with a fault on its EVSE, since twenty minutes."""
    fields = {"auto_recovery": True, **fields}
    station = make_station(session, zone or make_zone(session), name=name, reported=ReportedStatus.FAULTED, **fields)
    state = station.evses[0].state
    state.error_code, state.error_info = "HighTemperature", "81 °C"
    state.status_received_at, state.faulted_at = NOW, NOW - timedelta(minutes=20)
    session.commit()
    return station


def worked_on(session: Session, station: ChargePoint, status: RecoveryStatus, *, minutes: int = 10) -> Recovery:
    """A recovery that has tried a status check and a soft reset."""
    of_station = {"partner_id": station.partner_id, "charge_point_id": station.id}
    at = NOW - timedelta(minutes=minutes)
    row = Recovery(
        **of_station, evse_id=station.evses[0].id, network_id=1, error_code="HighTemperature", error_info="81 °C",
        began_at=at, next_at=at, status=status, outcome="Every step was tried; the fault is still reported.",
    )  # fmt: skip
    if status is not RecoveryStatus.RUNNING:
        row.ended_at = row.mailed_at = at + timedelta(minutes=3)
    for step, answer in (("status", ActionStatus.ACCEPTED), ("soft_reset", ActionStatus.REJECTED)):
        action = open_action(
            session, name="Reset", target_type="charge_point", target_id=station.id, target_label=station.name,
            reason="Auto-recovery", actor=None, status=answer, charge_point_id=station.id, now=at,
        )  # fmt: skip
        row.attempts.append(RecoveryAttempt(at=at, step=step, action=action))
    row.attempts.append(RecoveryAttempt(at=at, step="hard_reset", note="Left out: hard resets are switched off"))
    session.add(row)
    session.commit()
    return row


def lost(session: Session, station: ChargePoint, **fields: Any) -> Outage:
    """An outage of it, begun an hour ago."""
    began = NOW - timedelta(hours=1)
    row = Outage(partner_id=1, charge_point_id=station.id, began_at=began, noticed_at=began, **fields)
    session.add(row)
    session.commit()
    return row


def names(page: str) -> set[str]:
    """Which of the test's stations a page names."""
    return {name for name in ("Alpha", "Bravo", "Charlie", "Delta", "Echo") if name in page}


def test_it_says_what_since_when_what_was_tried_and_who_was_told(olga: Visitor, session: Session) -> None:
    station = broken(session, "Alpha")
    worked_on(session, station, RecoveryStatus.RECOVERED, minutes=60)
    worked_on(session, station, RecoveryStatus.GIVEN_UP)
    answer = olga.get(PAGE)
    said = words(answer)
    assert re.search(r"\( [23]\d min ago \)", said)  # 20 and what the tests before it took
    for part in (
        "It is too hot inside the charge point (HighTemperature: 81 °C)",
        "Given up",
        "3 attempts, last: Hard reset",
        "Status check : Accepted",
        "Soft reset : Rejected",
        "Hard reset : Left out: hard resets are switched off",
    ):
        assert part in said, part
    assert "Recovered" not in said.split("Act on it")[0].split("Given up")[1]
    assert fault_texts.STATION_PAGE.format(id=station.id) in answer.get_data(as_text=True)


def test_links_in_mails_lead_to_pages(olga: Visitor, session: Session) -> None:
    station = broken(session, "Alpha")
    assert olga.get(fault_texts.STATION_PAGE.format(id=station.id)).status_code == 200
    assert olga.get(fault_texts.FAULTS_PAGE).status_code == 200


@pytest.mark.parametrize(
    "query, expected",
    [
        ("flt0_kind_is=evse", {"Alpha"}),
        ("flt0_kind_is=station", {"Bravo"}),
        ("flt0_kind_is=lost", {"Charlie"}),
        ("flt0_kind_is=never", {"Delta"}),
        ("flt0_autorecovery_is=given_up", {"Alpha"}),
        ("flt0_autorecovery_is=recovered", set()),
        ("flt0_autorecovery_is=idle", {"Bravo"}),
        ("flt0_autorecovery_is=off", {"Charlie", "Delta"}),
        ("flt0_location_contains=nort", {"Bravo"}),
    ],
)
def test_filters(olga: Visitor, session: Session, query: str, expected: set[str]) -> None:
    alpha = broken(session, "Alpha")
    worked_on(session, alpha, RecoveryStatus.RECOVERED, minutes=60)
    worked_on(session, alpha, RecoveryStatus.GIVEN_UP)
    bravo = make_station(session, make_zone(session, name="Mall North"), name="Bravo", auto_recovery=True)
    bravo.state.status = ReportedStatus.FAULTED
    zone = make_zone(session)
    make_station(session, zone, name="Charlie", connection=ConnectionStatus.TEMPORARILY_UNAVAILABLE)
    make_station(session, zone, name="Delta", connection=ConnectionStatus.NEVER_CONNECTED)
    disabled = broken(session, "Echo", status=SystemStatus.DISABLED)
    session.commit()
    assert names(words(olga.get(PAGE))) == {"Alpha", "Bravo", "Charlie", "Delta"}, disabled.name
    answer = olga.get(f"{PAGE}?{query}")
    assert answer.status_code == 200
    assert names(rows_of(answer)) == expected


def rows_of(answer: Any) -> str:
    """The rows of the list alone: chips and filters name things, too."""
    page = answer.get_data(as_text=True)
    return page[page.index("<tbody") : page.index("</tbody>")] if "<tbody" in page else ""


def test_the_export_has_what_the_list_has(olga: Visitor, session: Session) -> None:
    station = broken(session, "Alpha")
    worked_on(session, station, RecoveryStatus.GIVEN_UP)
    lost(session, station, mailed_at=NOW)
    [row] = csv.DictReader(io.StringIO(olga.get(f"{PAGE}export/csv/").get_data(as_text=True)))
    assert row["auto_recovery"] == "given_up"
    assert "Soft reset: Rejected; " in row["tried"]
    assert row["error"] == "EVSE 1: It is too hot inside the charge point (HighTemperature: 81 °C)"
    assert row["mailed_at"] == NOW.isoformat()
    assert row["since"] == (NOW - timedelta(minutes=20)).isoformat()


def test_a_page_of_many_costs_as_much_as_a_page_of_few(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    for number in range(12):
        station = broken(session, f"Station {number}", zone=zone)
        worked_on(session, station, RecoveryStatus.GIVEN_UP)
        lost(session, station)
        if number == 1:
            olga.get(PAGE)
            with counted_statements() as few:
                assert olga.get(PAGE).status_code == 200
    with counted_statements() as many:
        assert olga.get(PAGE).status_code == 200
    assert len(many) == len(few)
    assert len(many) <= 12


def test_the_history_of_a_station_is_on_its_page(olga: Visitor, session: Session) -> None:
    station = broken(session, "Alpha")
    row = worked_on(session, station, RecoveryStatus.GIVEN_UP)
    lost(session, station, ended_at=NOW, mailed_at=NOW)
    page = olga.get(f"/assets/charge-points/details/?id={station.id}").get_data(as_text=True)
    tabs = dict(re.findall(r'href="#related-(\d+)"[^>]*>([^<]+)<', page))
    number = {html.unescape(title): number for number, title in tabs.items()}
    recoveries = words(olga.htmx(f"/assets/charge-points/related/{number['Faults & Recovery']}/?id={station.id}"))
    assert "Given up" in recoveries
    assert "Soft reset : Rejected" in recoveries
    outages = words(olga.htmx(f"/assets/charge-points/related/{number['Outages']}/?id={station.id}"))
    assert "Over" in outages
    assert "1 h" in outages
    details = words(olga.get(f"/dashboard/recoveries/details/?id={row.id}"))
    assert "Every step was tried; the fault is still reported." in details
    [exported] = csv.DictReader(io.StringIO(olga.get("/dashboard/recoveries/export/csv/").get_data(as_text=True)))
    assert (exported["charge_point"], exported["status"]) == ("Alpha", "given_up")
    assert "Alpha" in words(olga.get("/dashboard/outages/"))


def test_the_newest_care_of_each_station(session: Session) -> None:
    station, other = broken(session, "Alpha"), broken(session, "Bravo")
    worked_on(session, station, RecoveryStatus.RECOVERED, minutes=60)
    newest = worked_on(session, station, RecoveryStatus.RUNNING)
    outage = lost(session, station, mailed_at=NOW, back_mailed_at=NOW + timedelta(minutes=1))
    found = fault_queries.care_of(session, [station.id, other.id])
    assert (found[station.id].recovery, found[station.id].outage) == (newest, outage)
    assert found[station.id].mailed_at == NOW + timedelta(minutes=1)
    assert (found[other.id].recovery, found[other.id].outage, found[other.id].mailed_at) == (None, None, None)
    assert fault_queries.care_of(session, []) == {}
