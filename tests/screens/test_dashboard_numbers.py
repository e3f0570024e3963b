"""The numbers behind the dashboard, against small fleets whose numbers can be counted by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ConnectionStatus,
    Connector,
    ConnectorType,
    EvseStatus,
    EvseType,
    ReportedStatus,
    SystemStatus,
)
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.queries import fault_or_connection_loss
from app.charging.status import ShownStatus, evse_shown_status, stricter_system_status
from app.core.models import CurrencyRow
from app.dashboard import queries, sites, stations
from app.dashboard.periods import Grain, Period, change, compare
from app.dashboard.sites import SiteStatus
from tests.support.factories_dashboard import make_session, make_station, make_user, make_zone

SOFIA = ZoneInfo("Europe/Sofia")


def sofia(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SOFIA)


# --- periods


@pytest.mark.parametrize(
    "period, start, end, before_start, before_end, grain",
    [
        ("today", "11-22 00", "11-23 00", "11-21 00", "11-21 15", "hour"),
        ("yesterday", "11-21 00", "11-22 00", "11-20 00", "11-21 00", "hour"),
        ("last-7-days", "11-16 00", "11-23 00", "11-09 00", "11-15 15", "day"),
        ("last-30-days", "10-24 00", "11-23 00", "09-24 00", "10-23 15", "day"),
        ("month-to-date", "11-01 00", "11-23 00", "10-10 00", "10-31 15", "day"),
        ("last-month", "10-01 00", "11-01 00", "08-31 00", "10-01 00", "day"),
    ],
)
def test_a_period_and_the_one_before(
    period: str, start: str, end: str, before_start: str, before_end: str, grain: str
) -> None:
    found = compare(Period(period), datetime(2026, 11, 22, 15, 0))
    shown = [f"{at:%m-%d %H}" for at in (found.current.start, found.current.end)]
    before = [f"{at:%m-%d %H}" for at in (found.preceding.start, found.preceding.end)]
    assert [*shown, *before, found.grain.value] == [start, end, before_start, before_end, grain]


def test_years_are_drawn_by_week() -> None:
    found = compare(Period.YEAR_TO_DATE, datetime(2026, 11, 22, 15, 0))
    assert found.grain is Grain.WEEK
    buckets = list(found.buckets())
    assert (buckets[0], buckets[-1]) == (datetime(2025, 12, 29), datetime(2026, 11, 16))
    assert compare(Period.LAST_YEAR, datetime(2026, 1, 1)).current.end == datetime(2026, 1, 1)


@given(period=st.sampled_from(Period), now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_the_period_before_is_as_long_as_what_has_passed(period: Period, now: datetime) -> None:
    found = compare(period, now)
    passed = min(found.current.end, max(now, found.current.start + timedelta(microseconds=1))) - found.current.start
    assert found.preceding.end - found.preceding.start == passed
    assert found.preceding.end <= found.current.start
    assert found.current.start - found.preceding.start == found.current.end - found.current.start
    buckets = list(found.buckets())
    assert 1 <= len(buckets) <= 92
    assert all(at <= now for at in buckets)


def test_a_change_from_nothing_has_no_percentage() -> None:
    assert change(5, 0) is None
    assert change(0, 5) == -1
    assert change(6, 5) == pytest.approx(0.2)


# --- sessions, energy, revenue


def figures(session: Session, period: Period, now: datetime, zone: str = "Europe/Sofia") -> queries.SessionFigures:
    comparison = compare(period, now)
    return queries.session_figures(session, comparisons=[comparison], zone=zone)[period.value]


def test_the_measures_of_finished_sessions_by_their_end(session: Session) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    now = datetime(2026, 11, 22, 15, 0)
    for started, wh, gross, currency, more in [
        ("2026-11-22T09:00", 7400, "3.60", "EUR", {}),
        ("2026-11-21T23:50", 1000, "0.50", "EUR", {}),  # ends today
        ("2026-11-21T09:00", 5000, "2.00", "EUR", {}),  # yesterday, before three
        ("2026-11-21T14:50", 9000, "9.00", "EUR", {}),  # yesterday, ended after three: not compared
        ("2026-11-22T10:00", 2000, "4.00", "BGN", {}),
        ("2026-11-22T10:00", 3000, "7.00", "EUR", {"payment_status": PaymentStatus.OUTSTANDING}),
        ("2026-11-22T10:00", 4000, "0.00", "EUR", {"payment_status": PaymentStatus.FREE}),
        ("2026-11-22T10:00", 8000, "5.00", "EUR", {"payment_status": PaymentStatus.NOT_BILLED}),
        ("2026-11-22T14:00", 6000, None, "EUR", {"status": SessionStatus.ACTIVE}),
        ("2026-11-22T14:00", 0, None, "EUR", {"status": SessionStatus.FAILED}),
    ]:
        if session.get(CurrencyRow, currency) is None:
            session.add(CurrencyRow(code=currency, name=currency, symbol=currency))
        make_session(session, evse, started_at=sofia(started), energy_wh=wh, gross=gross, currency=currency, **more)
    found = figures(session, Period.TODAY, now)
    assert (found.sessions.current, found.sessions.preceding) == (6, 1)
    assert (found.energy_wh.current, found.energy_wh.preceding) == (25400, 5000)
    assert {code: (f.current, f.preceding) for code, f in found.revenue.items()} == {
        "EUR": (Decimal("11.10"), Decimal("2.00")),
        "BGN": (Decimal("4.00"), Decimal("0")),
    }
    assert found.sessions.change == 5.0
    assert found.energy_wh.change == pytest.approx(4.08)
    by_hour = {point.at.hour: point.value for point in found.sessions.points}
    assert list(by_hour) == list(range(16))
    assert {hour: number for hour, number in by_hour.items() if number} == {0: 1, 9: 1, 10: 4}
    assert sum(point.value for point in found.energy_wh.points) == found.energy_wh.current
    assert found.revenue_in("SEK").current == 0


@pytest.mark.parametrize(
    "ended, zone, day",
    [
        ("2026-03-29T00:30:00+02:00", "Europe/Sofia", 29),  # the day of 23 hours
        ("2026-03-29T23:59:59+03:00", "Europe/Sofia", 29),
        ("2026-10-25T03:30:00+03:00", "Europe/Sofia", 25),  # twice half past three
        ("2026-10-25T03:30:00+02:00", "Europe/Sofia", 25),
        ("2026-10-25T00:00:00+03:00", "Europe/Sofia", 25),
        ("2026-10-24T23:59:59+03:00", "Europe/Sofia", 24),
        ("2026-10-24T22:00:00+00:00", "Pacific/Kiritimati", 25),
        ("2026-10-25T09:00:00+00:00", "Pacific/Pago_Pago", 24),
    ],
)
def test_days_are_those_of_the_systems_time_zone(session: Session, ended: str, zone: str, day: int) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    end = datetime.fromisoformat(ended)
    make_session(session, evse, started_at=end - timedelta(minutes=40))
    local_noon = end.astimezone(ZoneInfo(zone)).replace(tzinfo=None, hour=12, minute=0, day=28)
    found = figures(session, Period.MONTH_TO_DATE, local_noon + timedelta(days=2), zone)
    assert [point.at.day for point in found.sessions.points if point.value] == [day]


def test_several_periods_are_one_query(session: Session) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    now = datetime(2026, 11, 22, 15, 0)
    for days in (0, 3, 20, 45, 400):
        make_session(session, evse, started_at=sofia("2026-11-22T09:00") - timedelta(days=days))
    found = queries.session_figures(
        session, comparisons=[compare(period, now) for period in Period], zone="Europe/Sofia"
    )
    assert {name: int(f.sessions.current) for name, f in found.items()} == {
        "today": 1,
        "yesterday": 0,
        "last-7-days": 2,
        "last-30-days": 3,
        "month-to-date": 3,
        "last-month": 1,
        "year-to-date": 4,
        "last-year": 1,
    }
    assert queries.session_figures(session, comparisons=[], zone="UTC") == {}


def test_new_stations_and_users(session: Session) -> None:
    zone = make_zone(session)
    now = datetime(2026, 11, 22, 15, 0)
    for days in (0, 1, 8, 9):
        make_station(session, zone, created_at=sofia("2026-11-22T09:00") - timedelta(days=days))
    for days in (2, 40):
        make_user(session, email=f"u{days}@example.com", created_at=sofia("2026-11-22T09:00") - timedelta(days=days))
    week, month = compare(Period.LAST_7_DAYS, now), compare(Period.LAST_30_DAYS, now)
    found = queries.growth(session, charge_points=week, users=month, zone="Europe/Sofia")
    assert (found["charge_points"].current, found["charge_points"].preceding) == (2, 2)
    assert (found["users"].current, found["users"].preceding) == (1, 1)
    assert set(queries.growth(session, charge_points=None, users=month, zone="UTC")) == {"users"}
    assert queries.growth(session, charge_points=None, users=None, zone="UTC") == {}


def test_active_sessions_and_their_power(session: Session) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    now = datetime.now(UTC)
    for status, power in [("active", 7400), ("active", None), ("stopping", 100), ("pending", 50), ("finished", 9)]:
        make_session(session, evse, started_at=now, status=SessionStatus(status), power_w=power)
    assert queries.active_sessions(session) == queries.Active(3, Decimal(7500))


def test_how_the_fleet_divides(session: Session) -> None:
    sofia_zone, other = make_zone(session), make_zone(session, name="Lidl", city="")
    make_station(session, sofia_zone, evses=2, max_power_w=22000)
    make_station(session, sofia_zone, evses=1, max_power_w=150000, access_type="private")
    make_station(session, other, evses=1, max_power_w=None)
    found = queries.fleet(session)
    assert [(share.key, share.number) for share in found.evses_by_power] == [("150000", 1), ("22000", 2), (None, 1)]
    assert [(s.key, s.number) for s in found.charge_points_by_access] == [("public", 2), ("private", 1)]
    assert [(s.key, s.number) for s in found.locations_by_city] == [("Sofia", 1), (None, 1)]


# --- faults


def test_which_stations_need_attention(session: Session) -> None:
    zone = make_zone(session)
    long, short = ConnectionStatus.LONG_TERM_UNAVAILABLE, ConnectionStatus.TEMPORARILY_UNAVAILABLE
    make_station(session, zone)
    make_station(session, zone, connection=long)
    make_station(session, zone, connection=short)
    make_station(session, zone, connection=ConnectionStatus.NEVER_CONNECTED)
    make_station(session, zone, evses=2).evses[1].state.status = ReportedStatus.FAULTED
    make_station(session, zone).state.status = ReportedStatus.FAULTED
    make_station(session, zone, connection=long, reported=ReportedStatus.FAULTED)
    make_station(session, zone, status=SystemStatus.OUT_OF_ORDER, connection=long)
    make_station(session, zone, status=SystemStatus.DISABLED, reported=ReportedStatus.FAULTED)
    make_station(session, zone, status=SystemStatus.DEMO, connection=long)
    session.flush()
    assert stations.faults(session) == stations.Faults(total=7, faulted=3, disconnected=4, never_connected=1)


def test_the_card_counts_what_lists_filter_by(session: Session) -> None:
    zone = make_zone(session)
    for system, connection, reported in itertools.product(SystemStatus, ConnectionStatus, ReportedStatus):
        managed = make_station(session, zone, status=system, connection=connection, reported=reported, evses=2)
        managed.evses[1].state.status = ReportedStatus.AVAILABLE
        by_itself = make_station(session, zone, status=system, connection=connection)
        by_itself.state.status = reported
        make_station(session, zone, status=system, connection=connection, reported=reported, managed_by_operator=False)
    session.flush()
    listed = select(func.count()).select_from(ChargePoint).where(fault_or_connection_loss())
    assert stations.faults(session).total == session.scalar(listed) > 100


# --- pins

PIN_OF_SHOWN = {
    ShownStatus.AVAILABLE: SiteStatus.AVAILABLE,
    ShownStatus.OCCUPIED: SiteStatus.IN_USE,
    ShownStatus.CHARGING: SiteStatus.IN_USE,
    ShownStatus.RESERVED: SiteStatus.IN_USE,
    ShownStatus.UNAVAILABLE: SiteStatus.UNAVAILABLE,
    ShownStatus.UNKNOWN: SiteStatus.UNAVAILABLE,
    ShownStatus.FAULTED: SiteStatus.FAULTY,
    ShownStatus.LONG_TERM_UNAVAILABLE: SiteStatus.FAULTY,
    ShownStatus.TEMPORARILY_UNAVAILABLE: SiteStatus.DISTURBED,
    ShownStatus.OUT_OF_ORDER: SiteStatus.DISTURBED,
    ShownStatus.NEVER_CONNECTED: SiteStatus.NOT_IN_SERVICE,
    ShownStatus.DISABLED: SiteStatus.NOT_IN_SERVICE,
    ShownStatus.DEMO: SiteStatus.NOT_IN_SERVICE,
}


def test_a_pin_says_what_its_evse_is_shown_with(session: Session) -> None:
    """The map's ladder in SQL against the one of app.charging.status, in every combination."""
    combinations = list(itertools.product(SystemStatus, EvseStatus, ConnectionStatus, ReportedStatus))
    expected = {}
    for system, own, connection, reported in combinations:
        zone = make_zone(session, name=f"{system} {own} {connection} {reported}")
        station = make_station(session, zone, status=system, connection=connection, reported=reported)
        station.evses[0].status = own
        shown = evse_shown_status(stricter_system_status(system, own), connection, reported).status
        expected[zone.location.id] = PIN_OF_SHOWN[shown]
    for whole, reported in itertools.product(ReportedStatus, ReportedStatus):
        zone = make_zone(session, name=f"{whole} as a whole, {reported}")
        station = make_station(session, zone, reported=reported)
        station.state.status = whole
        shown = evse_shown_status(SystemStatus.ACTIVE, ConnectionStatus.AVAILABLE, reported, whole).status
        expected[zone.location.id] = PIN_OF_SHOWN[shown]
    session.flush()
    found = {pin.location_id: pin.status for pin in sites.pins(session, language="en")}
    assert {key: (found[key], value) for key, value in expected.items() if found[key] is not value} == {}
    assert dict(sites.pin_statuses(session)) == found


def test_the_worst_evse_colours_the_pin(session: Session) -> None:
    zone = make_zone(session, latitude=Decimal("42.123456"), longitude=Decimal("-23.5"))
    make_station(session, zone, evses=3)
    make_station(session, zone, status=SystemStatus.DISABLED)
    alone = make_zone(session, name="Empty")
    first, second = sites.pins(session, language="bg")
    assert (first.location_id, first.latitude, first.longitude) == (zone.location_id, 42.123456, -23.5)
    assert (first.name, first.status) == ("Sofia Ring Mall", SiteStatus.AVAILABLE)
    assert (second.location_id, second.status) == (alone.location_id, SiteStatus.NOT_IN_SERVICE)
    make_station(session, zone, reported=ReportedStatus.FAULTED)
    assert sites.pins(session, language="en")[0].status is SiteStatus.FAULTY


def test_a_pin_tells_what_charges_there(session: Session) -> None:
    zone = make_zone(session)
    fast = make_station(session, zone, type=EvseType.DC, max_power_w=150_000)
    fast.evses[0].connectors = [
        Connector(partner_id=1, type=ConnectorType.CCS2),
        Connector(partner_id=1, type=ConnectorType.CHADEMO),
    ]
    slow = make_station(session, zone, evses=3, max_power_w=22_000)
    slow.evses[0].state.status = ReportedStatus.CHARGING
    slow.evses[1].state.status = ReportedStatus.FAULTED
    for evse in slow.evses:
        evse.connectors = [Connector(partner_id=1, type=ConnectorType.TYPE_2)]
    session.flush()
    found = sites.site(session, location_id=zone.location_id)
    assert found is not None
    assert found.status is SiteStatus.FAULTY
    assert [(g.type, g.max_power_w, set(g.connectors), g.number, g.available, g.in_use) for g in found.groups] == [
        (EvseType.DC, 150_000, {ConnectorType.CCS2, ConnectorType.CHADEMO}, 1, 1, 0),
        (EvseType.AC, 22_000, {ConnectorType.TYPE_2}, 3, 1, 1),
    ]
    assert sites.site(session, location_id=10**9) is None
    empty = sites.site(session, location_id=make_zone(session, name="Empty").location_id)
    assert empty is not None
    assert (empty.status, empty.groups) == (SiteStatus.NOT_IN_SERVICE, [])
