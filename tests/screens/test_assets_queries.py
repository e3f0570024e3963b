"""What cards and filters say of charge points: hardware in one word, faults, usage."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_views.assets import parts
from app.assets.models import ChargePoint, ConnectionStatus, ReportedStatus, SystemStatus
from app.charging import queries, session_queries
from app.charging.lifecycle import SessionStatus
from app.charging.models import MeterReading
from app.charging.status import HardwareStatus
from app.core import principal
from app.core.clock import utcnow
from tests.support.factories_assets import NOW, make_session, make_station, make_tariff_group, make_user, make_zone
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

LISTS = "/assets/charge-points/"
SOME = (ReportedStatus.AVAILABLE, ReportedStatus.UNAVAILABLE, ReportedStatus.FAULTED, ReportedStatus.UNKNOWN)


# --- hardware


def test_hardware_is_the_same_word_in_python_and_in_sql(session: Session) -> None:
    """Every combination of what a station and its two EVSEs can say."""
    zone = make_zone(session)
    expected = {}
    for own, first, second in itertools.product(SOME, repeat=3):
        station = make_station(session, zone, evses=2)
        station.state.status = own
        station.evses[0].state.status, station.evses[1].state.status = first, second
        expected[station.id] = queries.station_hardware(own, [first, second]).value
    alone = make_station(session, zone, evses=0)
    expected[alone.id] = HardwareStatus.UNKNOWN.value
    session.flush()
    found = {row[0]: row[1] for row in session.execute(select(ChargePoint.id, queries.hardware_sql()))}
    assert found == expected


@pytest.mark.parametrize(
    "own, evses, word",
    [
        ("available", ["faulted"], "faulted"),
        ("faulted", ["available"], "faulted"),
        ("unavailable", ["available"], "unavailable"),
        ("unknown", ["charging"], "available"),
        ("unknown", ["unknown"], "unknown"),
        ("unknown", [], "unknown"),
        ("available", [], "available"),
    ],
)
def test_one_word_for_the_hardware(own: str, evses: list[str], word: str) -> None:
    found = queries.station_hardware(ReportedStatus(own), [ReportedStatus(each) for each in evses])
    assert found is HardwareStatus(word)


def test_faults_are_counted_of_monitored_stations_only(session: Session) -> None:
    """Manual, "Card: Faults & connectivity loss": only Active or Out of order."""
    zone = make_zone(session)
    lost = ConnectionStatus.LONG_TERM_UNAVAILABLE
    wanted = [
        make_station(session, zone, connection=lost),
        make_station(session, zone, reported=ReportedStatus.FAULTED),
        make_station(session, zone, connection=lost, status=SystemStatus.OUT_OF_ORDER),
    ]
    make_station(session, zone)
    make_station(session, zone, connection=lost, status=SystemStatus.DISABLED)
    make_station(session, zone, connection=lost, status=SystemStatus.DEMO)
    make_station(session, zone, connection=lost, managed_by_operator=False)
    session.flush()
    found = session.scalars(select(ChargePoint.id).where(queries.fault_or_connection_loss())).all()
    assert sorted(found) == sorted(station.id for station in wanted)


def test_the_list_is_filtered_by_what_is_shown(session: Session, clean: Flask) -> None:
    olga = signed_in(clean, make_admin(session))
    group = make_tariff_group(session)
    good = make_station(session, group=group, identifier="GOOD", name="Good one")
    bad = make_station(session, reported=ReportedStatus.FAULTED, identifier="BAD", name="Bad one")
    bad.evses[0].code = "B4D"
    session.commit()
    for query, names in {
        "flt0_hardware_status_is=faulted": {"Bad one"},
        "flt0_hardware_status_is=available": {"Good one"},
        "flt0_fault_or_connection_loss_is=1": {"Bad one"},
        "flt0_fault_or_connection_loss_is=0": {"Good one"},
        "flt0_evse_id_contains=b4d": {"Bad one"},
        "flt0_tariff_group_is=none": {"Bad one"},
        f"flt0_tariff_group_is={group.id}": {"Good one"},
        "flt0_evse_type_is=AC": {"Good one", "Bad one"},
        "flt0_charge_point_id_is=GOOD": {"Good one"},
        "flt0_location_contains=Modera": {"Good one", "Bad one"},
        "flt0_connection_is=never_connected": set(),
        "search=B4D": {"Bad one"},
        f"search={good.state.serial_number}": {"Good one"},
    }.items():
        assert shown(olga, query) == names, query


def shown(client: Visitor, query: str) -> set[str]:
    """Which of the two stations a list shows."""
    answer = client.get(f"{LISTS}?{query}")
    html = answer.get_data(as_text=True)
    assert answer.status_code == 200, html
    return {name for name in ("Good one", "Bad one") if f'aria-label="Select {name}"' in html}


# --- usage


def test_usage_counts_sessions_that_began_in_the_period(session: Session) -> None:
    station = make_station(session, evses=2, group=make_tariff_group(session))
    first, second = station.evses
    user = make_user(session)
    make_session(session, first, user, started_at=NOW - timedelta(days=1))
    make_session(session, first, user, started_at=NOW - timedelta(hours=2))
    make_session(session, second, user, status=SessionStatus.ACTIVE, energy_wh=Decimal(600))
    make_session(session, second, None, status=SessionStatus.FAILED)
    everything = queries.usage(session, since=None, until=None, charge_point_ids=[station.id])
    assert (everything.sessions, everything.energy_wh) == (3, Decimal(15400))
    assert everything.billed == (("EUR", Decimal("8.52")),)
    today = queries.usage(session, since=NOW - timedelta(hours=3), until=NOW, evse_id=first.id)
    assert (today.sessions, today.energy_wh) == (1, Decimal(7400))
    none = queries.usage(session, since=NOW + timedelta(days=1), until=None, charge_point_ids=[station.id])
    assert (none.sessions, none.energy_wh, none.billed) == (0, 0, ())


@pytest.mark.parametrize(
    "key, since, until",
    [
        ("today", "2026-03-29", None),
        ("last-7-days", "2026-03-23", None),
        ("month-to-date", "2026-03-01", None),
        ("last-month", "2026-02-01", "2026-03-01"),
        ("year-to-date", "2026-01-01", None),
        ("all-time", None, None),
        ("invented", "2026-03-01", None),
    ],
)
def test_periods_are_days_of_the_admins_zone(clean: Flask, key: str, since: str | None, until: str | None) -> None:
    """UTC here, because nobody is signed in."""
    with clean.test_request_context():
        principal.bind(principal.STAFF)
        found = parts.period(key, now=datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert [moment and f"{moment:%Y-%m-%d}" for moment in (found.since, found.until)] == [since, until]


# --- the curve


def test_power_that_was_not_measured_is_derived(session: Session) -> None:
    station = make_station(session, group=make_tariff_group(session))
    row = make_session(session, station.evses[0], make_user(session), readings=0)
    half = [
        MeterReading(
            session_id=row.id,
            partner_id=1,
            charge_point_id=station.id,
            received_at=row.started_at + timedelta(minutes=20),
            measured_at=row.started_at + timedelta(minutes=20),
            register_wh=Decimal(3000),
            flags=[],
        )
    ]
    points = session_queries.curve(row, half)
    assert [(point.energy_wh, point.power_w, point.derived) for point in points] == [
        (Decimal(0), None, False),
        (Decimal(3000), Decimal(9000), True),
        (Decimal(7400), Decimal(13200), True),
    ]
    assert session_queries.curve(make_session(session, station.evses[0], status=SessionStatus.FAILED), []) == []


def test_the_shown_evse_never_pretends_to_be_available(session: Session) -> None:
    """What it said last stays beside it."""
    station = make_station(session, connection=ConnectionStatus.LONG_TERM_UNAVAILABLE)
    line = queries.station_status(session, station, now=utcnow()).evses[0]
    assert line.shown.status.value == "long_term_unavailable"
    assert line.shown.last_reported is ReportedStatus.AVAILABLE and "last reported: Available" in line.shown.why
