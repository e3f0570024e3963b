"""Charging sessions by their verbs: what a driver, an operator and two of either at once can make of one EVSE."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse
from app.charging import authorizations, clockwork, commands, lifecycle, remote, sessions
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import AuthorizationSource, ChargingSession
from app.core import settings
from app.core.actions import ReasonRequired
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User
from app.tariffs.queries import attached_tariffs
from tests.support.charging import NOW, at_once, start, stop, tag_of
from tests.support.gateway import Cast, people, station_of

__all__ = ["people"]  # a fixture


def test_the_same_start_by_many_at_once_is_one_session(app: Flask, people: Cast) -> None:
    charge_point, tag = people.station(), tag_of(people.driver())
    station = station_of(charge_point)
    evse = station.evse(1)
    assert evse is not None

    def work(session: Session) -> int:
        return sessions.start_session(
            session, station=station, evse=evse, id_tag=tag, meter_start_wh=Decimal(5), reported_at=NOW, now=NOW
        ).session_id

    numbers = at_once(app, *[work] * 6)
    assert len(set(numbers)) == 1
    assert len(people.charges(charge_point)) == 1


def test_different_starts_at_once_leave_one_session_running(app: Flask, people: Cast) -> None:
    charge_point = people.station()
    station = station_of(charge_point)
    evse = station.evse(1)
    assert evse is not None
    tags = [tag_of(people.driver()) for _ in range(4)]

    def start_with(tag: str, second: int) -> Callable[[Session], int]:
        at = NOW + timedelta(seconds=second)
        return lambda session: (
            sessions.start_session(
                session, station=station, evse=evse, id_tag=tag, meter_start_wh=Decimal(5), reported_at=at, now=NOW
            ).session_id
        )

    numbers = at_once(app, *[start_with(tag, second) for second, tag in enumerate(tags)])
    assert len(set(numbers)) == 4
    running = [row for row in people.charges(charge_point) if row.status is SessionStatus.ACTIVE]
    # whoever came after a later one began in its past: the last by the station's clock is always among them
    assert max(row.started_at for row in running) == NOW + timedelta(seconds=3)  # type: ignore[type-var]
    assert sum(row.status is SessionStatus.FINISHED for row in people.charges(charge_point)) == 4 - len(running)


# ---------------------------------------------------------------------- started by an operator


@pytest.fixture
def remote_start(people: Cast) -> Callable[..., tuple[ChargingSession, Action, ChargePoint]]:
    """An operator starts a session for a driver, committed; the command is not sent anywhere."""

    def run(*, free: bool = False, **station: Any) -> tuple[ChargingSession, Action, ChargePoint]:
        charge_point = people.station(**station)
        row, action = remote.start_session(
            people.session,
            evse=charge_point.evses[0],
            user=people.driver(),
            tariff_id=None if free else _base_tariff(people, charge_point.evses[0]),
            reason="The driver called",
            actor=people.operator(),
            now=NOW,
        )
        people.session.commit()
        return row, action, charge_point

    return run


def _base_tariff(people: Cast, evse: Evse) -> int:
    assert evse.tariff_group_id is not None
    return attached_tariffs(people.session, tariff_group_id=evse.tariff_group_id)[0].tariff_id


def test_nobody_connected_fails_the_start_at_once_and_costs_nothing(remote_start: Any, people: Cast) -> None:
    row, action, _ = remote_start()
    people.again()
    assert people.session.get_one(Action, action.id).status is ActionStatus.NOT_CONNECTED
    row = people.charge(row.id)
    assert (row.status, row.payment_status) == (SessionStatus.FAILED, PaymentStatus.NOT_BILLED)
    assert row.total_gross is None


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every station's gateway takes commands; the numbers of those it got."""
    taken: list[int] = []

    def hand_over(_client: Any, *, action_id: int, charge_point_id: int) -> bool:
        taken.append(action_id)
        return True

    monkeypatch.setattr(commands, "hand_over", hand_over)
    return taken


def test_the_station_starts_the_pending_session(remote_start: Any, connected: list[int], people: Cast) -> None:
    row, action, charge_point = remote_start(free=True)
    assert connected == [action.id]
    assert row.status is SessionStatus.PENDING
    assert row.id_tag == f"SYNC-{row.id}"
    assert len(row.id_tag) <= 20
    answer = start(people, charge_point, row.id_tag.lower(), now=NOW + timedelta(seconds=20))
    assert (answer.session_id, answer.accepted) == (row.id, True)
    stop(people, charge_point, session_id=row.id)
    after = people.charge(row.id)
    assert (after.status, after.energy_wh, after.payment_status) == (
        SessionStatus.FINISHED,
        7400,
        PaymentStatus.FREE,
    )
    assert (after.source, after.total_gross) == (AuthorizationSource.OPERATOR, 0)


def test_an_operators_token_is_worth_nothing_at_another_station(
    remote_start: Any, connected: list[int], people: Cast
) -> None:
    row, _, _ = remote_start()
    answer = start(people, people.station(), row.id_tag)
    assert not answer.accepted
    assert answer.reason == "tag_unknown"


@pytest.mark.parametrize(
    ("started_after_s", "accepted"),
    [(50, True), (60, True), (61, False), (600, False), (-50, True), (-70, False)],
)
def test_a_start_that_was_in_time_and_came_late_is_billed_to_its_driver(
    remote_start: Any, connected: list[int], people: Cast, started_after_s: int, accepted: bool
) -> None:
    """The message came after "Fail starting after", the car did not: another session, for the same driver and price."""
    row, _, charge_point = remote_start()
    assert clockwork.fail_unstarted(people.session, now=NOW + timedelta(seconds=61)) == 1
    people.session.commit()
    began = NOW + timedelta(seconds=started_after_s)
    answer = start(people, charge_point, row.id_tag, reported_at=began, now=NOW + timedelta(minutes=9))
    assert answer.accepted is accepted
    assert answer.session_id != row.id
    stop(people, charge_point, session_id=answer.session_id)
    failed, charged = people.charge(row.id), people.charge(answer.session_id)
    assert (failed.status, failed.total_gross) == (SessionStatus.FAILED, None)
    if accepted:
        assert (charged.user_id, charged.tariff_snapshot) == (failed.user_id, failed.tariff_snapshot)
        assert charged.payment_status is PaymentStatus.PAID
    else:
        assert (charged.user_id, charged.flags) == (None, ["unauthorized_start"])


def test_what_an_operator_gave_up_is_not_started_after_all(
    remote_start: Any, connected: list[int], people: Cast
) -> None:
    row, _, charge_point = remote_start()
    remote.stop_session(people.session, charging_session=row, reason="Wrong EVSE", actor=None, now=NOW)
    people.session.commit()
    assert people.charge(row.id).status is SessionStatus.FAILED
    assert not start(people, charge_point, row.id_tag, reported_at=NOW + timedelta(seconds=5)).accepted


def test_giving_up_wants_a_reason_too(remote_start: Any, connected: list[int], people: Cast) -> None:
    row, _, _ = remote_start()
    with pytest.raises(ReasonRequired):
        remote.stop_session(people.session, charging_session=row, reason="  ", actor=None, now=NOW)


def test_two_operators_at_once_start_one_session(app: Flask, people: Cast, connected: list[int]) -> None:
    evse_id, user_id, actor_id = people.station().evses[0].id, people.driver().id, people.operator().id

    def work(session: Session) -> int:
        row, _ = remote.start_session(
            session,
            evse=session.get_one(Evse, evse_id),
            user=session.get_one(User, user_id),
            tariff_id=None,
            reason="The driver called",
            actor=session.get_one(Admin, actor_id),
            now=NOW,
        )
        return row.id

    outcomes = at_once(app, *[work] * 4)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert all(isinstance(outcome, int | remote.EvseBusy) for outcome in outcomes)


# ---------------------------------------------------------------------- stops


def test_a_stop_can_overtake_the_start_of_a_pending_session(
    remote_start: Any, connected: list[int], people: Cast
) -> None:
    row, _, charge_point = remote_start()
    stop(people, charge_point, session_id=row.id)
    after = people.charge(row.id)
    assert (after.status, after.energy_wh) == (SessionStatus.FINISHED, 0)
    assert "stopped_unstarted" in after.flags
    assert after.total_gross == Decimal("0.50"), "the connection fee; nothing says when it began"


def test_a_stop_request_waits_for_the_stations_word(people: Cast, connected: list[int]) -> None:
    charge_point = people.station()
    number = start(people, charge_point, tag_of(people.driver())).session_id
    row = people.charge(number)
    action = remote.stop_session(people.session, charging_session=row, reason="Fire drill", actor=None, now=NOW)
    people.session.commit()
    assert action is not None
    assert (row.status, row.stopping_at) == (SessionStatus.STOPPING, NOW)
    commands.record_outcome(people.session, action_id=action.id, answer=commands.Answer(ActionStatus.ACCEPTED), now=NOW)
    people.session.commit()
    assert people.charge(number).status is SessionStatus.STOPPING, "accepted is not stopped"
    stop(people, charge_point, session_id=number)
    assert people.charge(number).status is SessionStatus.FINISHED
    with pytest.raises(lifecycle.SessionAlreadyFinished):
        remote.stop_session(people.session, charging_session=row, reason="Again", actor=None, now=NOW)


@pytest.mark.parametrize("outcome", [ActionStatus.REJECTED, ActionStatus.TIMED_OUT, ActionStatus.NOT_CONNECTED])
def test_a_refused_stop_can_be_tried_again(people: Cast, connected: list[int], outcome: ActionStatus) -> None:
    number = start(people, people.station(), tag_of(people.driver())).session_id
    row = people.charge(number)
    action = remote.stop_session(people.session, charging_session=row, reason="Fire drill", actor=None, now=NOW)
    assert action is not None
    commands.record_outcome(people.session, action_id=action.id, answer=commands.Answer(outcome), now=NOW)
    people.session.commit()
    row = people.charge(number)
    assert (row.status, row.stopping_at) == (SessionStatus.ACTIVE, None)


def test_a_token_that_expires_today_works_until_midnight_of_the_system(people: Cast) -> None:
    people.set("system.timezone", "Europe/Sofia")
    settings.forget()
    user = people.driver()
    user.rfid_tags[0].expires_on = NOW.date()
    people.session.commit()
    charge_point = people.station()
    midnight = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
    before = authorizations.authorize(
        people.session,
        station=station_of(charge_point),
        id_tag=tag_of(user),
        source=AuthorizationSource.RFID_TAG,
        now=midnight - timedelta(seconds=1),
    )
    after = start(people, charge_point, tag_of(user), reported_at=midnight, now=midnight)
    assert (before.accepted, before.expires_at) == (True, midnight)
    assert (after.accepted, after.reason) == (False, "tag_expired")
