"""Demo stations: sessions without hardware, along a written curve, that nobody pays. Manual, "Status"."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from app.assets.models import ChargePoint, ReportedStatus, SystemStatus
from app.charging import bill, clockwork, commands, demo_curve, flags, listeners, mock, queries, remote
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.charging.status import ShownStatus
from app.core import events
from app.core.actions import ReasonRequired
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from app.crm.models import User
from app.dashboard import queries as dashboard
from app.dashboard.periods import Period, compare
from app.tariffs import queries as tariff_queries
from tests.support.charging import start, stop, tag_of
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture

#: partitions for readings exist round the present
NOW = utcnow().replace(microsecond=0)


def after(**since: float) -> datetime:
    """A moment after the operator's start."""
    return NOW + timedelta(**since)


@pytest.fixture
def sent(app: Flask) -> Iterator[list[Any]]:
    """The commands that would have been sent to stations."""
    found: list[Any] = []
    events.replace_listener(commands.REQUESTED, found.append)
    yield found
    listeners.init_app(app)


@pytest.fixture
def place(people: Cast, sent: list[Any]) -> ChargePoint:
    """A Demo station of 22 kW."""
    return people.station(status=SystemStatus.DEMO)


def begin(people: Cast, place: ChargePoint, user: User | None = None, *, free: bool = False) -> ChargingSession:
    """An operator's start, committed."""
    evse = place.evses[0]
    assert evse.tariff_group_id is not None
    tariff_id = tariff_queries.attached_tariffs(people.session, tariff_group_id=evse.tariff_group_id)[0].tariff_id
    row, action = remote.start_session(
        people.session,
        evse=evse,
        user=user or people.driver(),
        tariff_id=None if free else tariff_id,
        reason="To show it",
        actor=people.operator(),
        now=NOW,
    )
    assert (action.status, action.command, action.reason) == (ActionStatus.ACCEPTED, None, "To show it")
    people.session.commit()
    return row


def advance(people: Cast, row: ChargingSession, **to: float) -> ChargingSession:
    """The job at a moment, committed."""
    mock.advance_all(people.session, now=after(**to))
    people.session.commit()
    return people.charge(row.id)


# ---------------------------------------------------------------------- the curve


@given(st.none() | st.integers(1, 2_000_000), st.floats(0, 9000), st.floats(0, 9000))
def test_no_meter_runs_backwards_and_no_evse_is_asked_too_much(power: int | None, first: float, second: float) -> None:
    early, late = sorted((first, second))
    before, then = demo_curve.at(early, power), demo_curve.at(late, power)
    most = min(power or demo_curve.DEFAULT_W, demo_curve.MOST_W)
    assert 0 <= before.energy_wh <= then.energy_wh <= Decimal(35_000)
    assert 0 <= then.power_w <= before.power_w <= Decimal(round(most))
    assert float(then.energy_wh - before.energy_wh) <= most * (late - early) / 3600 + 1
    assert 30 <= before.soc_percent <= then.soc_percent <= 100


@pytest.mark.parametrize(
    ("power", "minutes", "full", "soc"), [(50_000, 66, True, 99), (150_000, 22, True, 99), (3_700, 120, False, 44.8)]
)
def test_how_long_a_charge_takes(power: int, minutes: int, full: bool, soc: float) -> None:
    assert round(demo_curve.length_s(power) / 60) == minutes
    assert demo_curve.is_full(power) is full
    end = demo_curve.at(10_000, power)
    assert float(end.soc_percent) == pytest.approx(soc, abs=0.1)
    assert end == demo_curve.at(demo_curve.length_s(power), power)


def test_the_power_tapers_when_the_battery_is_at_80_percent() -> None:
    assert demo_curve.at(29 * 60, 50_000).power_w == 50_000
    assert demo_curve.at(30 * 60, 50_000).soc_percent == 80
    assert demo_curve.at(42 * 60, 50_000).power_w == round(50_000 / 2.718281828)


# ---------------------------------------------------------------------- a session


def test_from_the_start_to_a_price_that_nobody_pays(people: Cast, place: ChargePoint, sent: list[Any]) -> None:
    user = people.driver(balance="5.00")
    row = begin(people, place, user)
    assert (row.status, row.flags, row.payment_status) == (
        SessionStatus.PENDING,
        [flags.DEMO],
        PaymentStatus.NOT_BILLED,
    )
    assert advance(people, row, seconds=2).status is SessionStatus.PENDING
    row = advance(people, row, seconds=5)
    assert (row.status, row.started_at, row.power_w) == (SessionStatus.ACTIVE, after(seconds=3), 22_000)
    shown = queries.shown_evse(place, place.evses[0])
    assert (shown.status, shown.last_reported) == (ShownStatus.CHARGING, ReportedStatus.CHARGING)
    assert "demonstration" in shown.why
    row = advance(people, row, minutes=10, seconds=3)
    readings = people.readings(row.id)
    assert [reading.measured_at for reading in readings] == [after(minutes=m, seconds=3) for m in range(1, 11)]
    assert row.energy_wh == readings[-1].register_wh == Decimal(3667)
    assert mock.advance_all(people.session, now=after(minutes=10, seconds=3)) == 0
    assert bill.price_of(people.session, row, until=after(minutes=10, seconds=3)).total.gross.amount > 0
    row = advance(people, row, hours=3)
    assert (row.status, row.stopped_at, row.stop_reason) == (
        SessionStatus.FINISHED,
        after(hours=2, seconds=3),
        "The driver left after two hours",
    )
    assert row.total_gross is not None and row.total_gross > 10
    assert row.payment_status is PaymentStatus.NOT_BILLED
    assert people.bills(row.id) == ([], [])
    assert people.balance(user) == 5
    assert people.session.get_one(ChargePoint, place.id).evses[0].state.status is ReportedStatus.AVAILABLE
    assert queries.shown_evse(place, place.evses[0]).status is ShownStatus.AVAILABLE
    assert sent == []


def test_what_a_dead_scheduler_missed_is_caught_up_with_the_times_it_would_have_had(
    people: Cast, place: ChargePoint
) -> None:
    people.set("charge_point.meter_value_sample_interval_seconds", 300)
    row = advance(people, begin(people, place), hours=5)
    assert (row.status, row.started_at, row.stopped_at) == (
        SessionStatus.FINISHED,
        after(seconds=3),
        after(hours=2, seconds=3),
    )
    assert len(people.readings(row.id)) == 24


def test_stop_ends_it_at_once_and_stop_before_the_car_gives_it_up(
    people: Cast, place: ChargePoint, sent: list[Any]
) -> None:
    row = advance(people, begin(people, place), seconds=5)

    def stop_it(row: ChargingSession, **at: float) -> Action | None:
        action = remote.stop_session(
            people.session, charging_session=row, reason="Shown", actor=people.operator(), now=after(**at)
        )
        people.session.commit()
        return action

    action = stop_it(row, minutes=6, seconds=33)
    row = people.charge(row.id)
    assert action is not None and (action.status, action.reason) == (ActionStatus.ACCEPTED, "Shown")
    assert (row.status, row.stopped_at, row.stop_reason) == (
        SessionStatus.FINISHED,
        after(minutes=6, seconds=33),
        "Remote",
    )
    assert row.energy_wh == 2383  # six and a half minutes of 22 kW
    assert place.evses[0].state.status is ReportedStatus.AVAILABLE
    second = begin(people, place)
    assert stop_it(second, seconds=1) is None
    assert people.charge(second.id).status is SessionStatus.FAILED
    assert sent == []


def test_stopping_needs_a_reason_too(people: Cast, place: ChargePoint) -> None:
    row = advance(people, begin(people, place), seconds=5)
    with pytest.raises(ReasonRequired):
        remote.stop_session(people.session, charging_session=row, reason=" ", actor=None, now=after(minutes=1))
    people.session.rollback()
    assert people.charge(row.id).status is SessionStatus.ACTIVE


def test_a_free_one_is_not_billed_either(people: Cast, place: ChargePoint) -> None:
    row = advance(people, begin(people, place, free=True), hours=3)
    assert (row.payment_status, row.total_gross) == (PaymentStatus.NOT_BILLED, 0)


def test_an_evse_has_one_at_a_time(people: Cast, place: ChargePoint) -> None:
    begin(people, place)
    with pytest.raises(remote.EvseBusy):
        begin(people, place)


def test_no_rule_about_silent_stations_ends_it(people: Cast, place: ChargePoint) -> None:
    row = advance(people, begin(people, place), seconds=5)
    row = advance(people, row, minutes=90)
    for rule in (clockwork.fail_unstarted, clockwork.close_ghosts, clockwork.finish_inactive):
        assert rule(people.session, now=after(minutes=91)) == 0


def test_everything_else_says_that_there_is_no_charge_point(people: Cast, place: ChargePoint) -> None:
    operator = people.operator()
    for ask in (
        lambda: remote.reset(people.session, charge_point=place, hard=False, reason="Try", actor=operator, now=NOW),
        lambda: remote.unlock(people.session, evse=place.evses[0], reason="Try", actor=operator, now=NOW),
    ):
        with pytest.raises(commands.DemonstrationOnly, match="is for demonstration only: there is no actual"):
            ask()


def test_a_real_session_of_before_it_became_a_demo_station_can_still_be_stopped(people: Cast, sent: list[Any]) -> None:
    place = people.station()
    number = start(people, place, tag_of(people.driver()), reported_at=NOW, now=NOW).session_id
    place.status = SystemStatus.DEMO
    people.session.commit()
    action = remote.stop_session(
        people.session, charging_session=people.charge(number), reason="Off", actor=people.operator(), now=NOW
    )
    people.session.commit()
    assert action is not None and (action.command, action.status) == ("stop_session", ActionStatus.PENDING)
    assert len(sent) == 1


def test_the_dashboard_does_not_count_it(people: Cast, place: ChargePoint) -> None:
    real = people.station()
    number = start(people, real, tag_of(people.driver()), reported_at=NOW, now=NOW).session_id
    shown = advance(people, begin(people, place), minutes=1)
    assert dashboard.active_sessions(people.session).sessions == 1
    stop(people, real, session_id=number, now=after(minutes=40))
    advance(people, shown, hours=3)
    period = compare(Period.YEAR_TO_DATE, after(hours=4).replace(tzinfo=None))
    (found,) = dashboard.session_figures(people.session, comparisons=[period], zone="UTC").values()
    assert (found.sessions.current, found.energy_wh.current) == (1, 7400)
    assert found.revenue_in("EUR").current == people.charge(number).total_gross
    usage = queries.usage(people.session, since=None, until=None, charge_point_ids=[place.id])
    assert (usage.sessions, usage.billed) == (1, ())
