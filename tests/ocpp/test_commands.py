"""From an operator to a station and back: a row first, one call in flight, every outcome told once.

stations.md, "Commands" 17 to 19 and "From a screen to a socket".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from app.assets.models import ChargePoint
from app.charging import clockwork, commands, gateways, remote
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.core.models import Action, ActionStatus, Admin
from tests.support.gateway import House, ago, eventually
from tests.support.scripted_station import ScriptedStation, stamp

#: a command of so long ago has half a second left for its answer (the time-out is 30 s)
NEARLY_OVER = timedelta(seconds=29)


@pytest.fixture
def operator(house: House) -> Admin:
    """Who presses the buttons."""
    return house.operator()


def outcome(house: House, action: Action, *, timeout_s: float = 5) -> Action:
    """The action once it has one."""

    def decided() -> Action | None:
        row = house.again().get_one(Action, action.id)
        return row if row.status is not ActionStatus.PENDING else None

    row = eventually(decided, timeout_s=timeout_s, why="the command has no outcome")
    assert row is not None
    return row


def reset(house: House, charge_point: ChargePoint, operator: Admin, **fields: Any) -> Action:
    """A reset, committed and thereby sent."""
    given = {"hard": False, "reason": "It hangs", "now": datetime.now(UTC), **fields}
    action = remote.reset(house.session, charge_point=charge_point, actor=operator, **given)
    house.session.commit()
    return action


def start_remotely(house: House, charge_point: ChargePoint, operator: Admin, **fields: Any) -> tuple[int, Action]:
    """A session an operator starts, for nothing, committed and thereby sent."""
    row, action = remote.start_session(
        house.session,
        evse=charge_point.evses[0],
        user=house.driver(),
        tariff_id=None,
        reason="The driver called",
        actor=operator,
        now=fields.get("now", datetime.now(UTC)),
    )
    house.session.commit()
    return row.id, action


def stop_remotely(house: House, session_id: int, operator: Admin, now: datetime | None = None) -> Action:
    """A stop an operator asks for, committed and thereby sent."""
    action = remote.stop_session(
        house.session,
        charging_session=house.charge(session_id),
        reason="Fire drill",
        actor=operator,
        now=now or datetime.now(UTC),
    )
    house.session.commit()
    assert action is not None
    return action


# ---------------------------------------------------------------------- 17: outcomes


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": "Accepted"}, ActionStatus.ACCEPTED),
        ({"status": "Rejected"}, ActionStatus.REJECTED),
        ({"status": "accepted", "extra": 1}, ActionStatus.ACCEPTED),
        ({"status": "Perhaps"}, ActionStatus.REJECTED),
        ({}, ActionStatus.REJECTED),
    ],
)
def test_a_command_is_pending_until_the_station_has_answered(
    house: House, operator: Admin, answer: dict[str, Any], status: ActionStatus
) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        action = reset(house, charge_point, operator, hard=True)
        call = station.expect_call("Reset")
        assert call.payload == {"type": "Hard"}
        row = house.again().get_one(Action, action.id)
        assert (row.status, row.reason, row.initiated_by) == (ActionStatus.PENDING, "It hangs", "Olga")
        assert row.sent_at is not None
        call.answer(answer)
        row = outcome(house, action)
    assert row.status is status
    assert row.response is not None
    assert row.finished_at is not None


def test_a_station_that_has_only_just_come_is_reached(house: House, operator: Admin) -> None:
    """Claims go to Redis many together: the operator's click must not fall into the moment between."""
    for _ in range(5):
        charge_point = house.station()
        with house.connect(charge_point) as station:
            action = reset(house, charge_point, operator)
            station.expect_call("Reset").answer(status="Accepted")
            assert outcome(house, action).status is ActionStatus.ACCEPTED


def test_a_call_error_is_a_refusal_with_its_words(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        action = reset(house, charge_point, operator)
        station.expect_call("Reset").fail("NotSupported", "no such thing")
        row = outcome(house, action)
    assert (row.status, row.error) == (ActionStatus.REJECTED, "NotSupported: no such thing")


def test_a_station_that_is_not_connected_is_said_so_at_once(house: House, operator: Admin) -> None:
    charge_point = house.station()
    action = reset(house, charge_point, operator)
    assert house.again().get_one(Action, action.id).status is ActionStatus.NOT_CONNECTED


def test_a_station_whose_gateway_has_died_is_not_connected(house: House, operator: Admin) -> None:
    charge_point = house.station()
    house.server.redis.hset(gateways.OWNERS, str(charge_point.id), "killed-gateway:7")
    action = reset(house, charge_point, operator)
    assert house.again().get_one(Action, action.id).status is ActionStatus.NOT_CONNECTED


def test_a_socket_that_ends_before_the_answer(house: House, operator: Admin) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    station.boot()
    action = reset(house, charge_point, operator)
    station.expect_call("Reset")
    station.close(abruptly=True)
    row = outcome(house, action)
    assert (row.status, row.error) == (ActionStatus.NOT_CONNECTED, "the connection ended before the answer")


def test_an_answer_after_the_time_out_is_kept_and_changes_nothing(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        action = reset(house, charge_point, operator, now=datetime.now(UTC) - NEARLY_OVER)
        call = station.expect_call("Reset")
        assert outcome(house, action).status is ActionStatus.TIMED_OUT
        call.answer(status="Accepted")

        def kept() -> Action | None:
            row = house.again().get_one(Action, action.id)
            return row if row.response else None

        row = eventually(kept, why="the late answer is lost")
        assert row is not None
        assert (row.status, row.response) == (ActionStatus.TIMED_OUT, {"status": "Accepted"})
        assert str(row.error).startswith("late answer at ")
        # and the next one is asked as if nothing had been
        second = reset(house, charge_point, operator)
        station.expect_call("Reset").answer(status="Accepted")
        assert outcome(house, second).status is ActionStatus.ACCEPTED


def test_a_command_nobody_took_expires(house: House, operator: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "hand_over", lambda *_args, **_ids: True)
    now = datetime.now(UTC)
    untouched = reset(house, house.station(), operator, now=now)
    sent = reset(house, house.station(), operator, now=now)
    sent.sent_at = now
    house.session.commit()
    assert commands.expire(house.session, now=now + timedelta(seconds=29)) == 0
    assert commands.expire(house.session, now=now + timedelta(seconds=31)) == 2
    house.session.commit()
    assert commands.expire(house.session, now=now + timedelta(seconds=99)) == 0
    assert house.again().get_one(Action, untouched.id).status is ActionStatus.NOT_CONNECTED
    row = house.session.get_one(Action, sent.id)
    assert (row.status, row.error) == (ActionStatus.TIMED_OUT, None)
    # the gateway gives up a moment later: that is no answer of the station
    assert not commands.record_outcome(
        house.session, action_id=sent.id, answer=commands.Answer(ActionStatus.TIMED_OUT), now=now
    )
    house.session.commit()
    assert house.again().get_one(Action, sent.id).error is None


def test_a_claimed_command_is_not_sent_twice(house: House, operator: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "hand_over", lambda *_args, **_ids: True)
    now = datetime.now(UTC)
    action = reset(house, house.station(), operator, now=now)
    assert commands.claim(house.session, action_id=action.id, now=now) is not None
    assert commands.claim(house.session, action_id=action.id, now=now) is None
    late = reset(house, house.station(), operator, now=now)
    assert commands.claim(house.session, action_id=late.id, now=now + timedelta(seconds=31)) is None


def test_whoever_waits_for_the_outcome_gets_it(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        action = reset(house, charge_point, operator)
        station.expect_call("Reset").answer(status="Accepted")
        popped: Any = house.server.redis.blpop([gateways.reply_list(action.id)], timeout=5)
    assert orjson.loads(popped[1])["status"] == "accepted"


def test_a_command_of_a_bulk_action_is_sent_after_the_commit(house: House, operator: Admin) -> None:
    """Each record is handled in a savepoint; a command sent at its release would not be found in the database."""
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        with house.session.begin_nested():
            action = remote.reset(
                house.session, charge_point=charge_point, hard=False, reason="All of them", actor=operator, now=ago()
            )
        house.session.commit()
        station.expect_call("Reset").answer(status="Accepted")
        assert outcome(house, action).status is ActionStatus.ACCEPTED


def test_an_unmanaged_station_is_sent_nothing(house: House, operator: Admin) -> None:
    charge_point = house.station(managed_by_operator=False)
    with pytest.raises(commands.NotManaged):
        reset(house, charge_point, operator)


# ---------------------------------------------------------------------- one at a time, and calls in between


def test_never_two_calls_in_flight(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        actions = [reset(house, charge_point, operator, reason=f"Number {number}") for number in range(3)]
        for _ in actions:
            call = station.expect_call("Reset")
            assert not station._server_calls
            station.heartbeat()
            assert not station._server_calls, "a second call came before the first was answered"
            call.answer(status="Accepted")
        assert {outcome(house, action).status for action in actions} == {ActionStatus.ACCEPTED}


def test_a_station_may_call_before_it_answers(house: House, operator: Admin) -> None:
    """Authorize inside RemoteStart, StopTransaction inside UnlockConnector: a serial reader would wait for itself."""
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        number, started = start_remotely(house, charge_point, operator)
        call = station.expect_call("RemoteStartTransaction")
        assert call.payload == {"connectorId": 1, "idTag": f"SYNC-{number}"}
        assert station.authorize(call.payload["idTag"]) == "Accepted"
        assert station.start(1, call.payload["idTag"], meter_start_wh=0, at=ago())["transactionId"] == number
        call.answer(status="Accepted")
        assert outcome(house, started).status is ActionStatus.ACCEPTED
        unlocking = remote.unlock(
            house.session, evse=charge_point.evses[0], reason="The plug is stuck", actor=operator, now=datetime.now(UTC)
        )
        house.session.commit()
        call = station.expect_call("UnlockConnector")
        assert call.payload == {"connectorId": 1}
        station.stop(number, meter_stop_wh=5, reason="UnlockCommand")
        call.answer(status="Unlocked")
        assert outcome(house, unlocking).status is ActionStatus.ACCEPTED
    assert house.charge(number).status is SessionStatus.FINISHED


# ---------------------------------------------------------------------- 18: remote start and stop


def test_remote_start_accepted_is_pending_until_the_station_starts(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        number, action = start_remotely(house, charge_point, operator)
        call = station.expect_call("RemoteStartTransaction")
        call.answer(status="Accepted")
        assert outcome(house, action).status is ActionStatus.ACCEPTED
        assert house.charge(number).status is SessionStatus.PENDING
        answer = station.start(1, call.payload["idTag"], meter_start_wh=100, at=ago())
        assert answer == {"transactionId": number, "idTagInfo": {"status": "Accepted"}}
        assert house.charge(number).status is SessionStatus.ACTIVE
        station.stop(number, meter_stop_wh=900)
    row = house.charge(number)
    assert (row.status, row.payment_status, row.energy_wh) == (SessionStatus.FINISHED, PaymentStatus.FREE, 800)


def test_remote_start_without_a_car_fails_after_the_time_out_and_costs_nothing(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        number, action = start_remotely(house, charge_point, operator)
        station.expect_call("RemoteStartTransaction").answer(status="Accepted")
        outcome(house, action)
        assert clockwork.fail_unstarted(house.session, now=datetime.now(UTC) + timedelta(seconds=50)) == 0
        assert clockwork.fail_unstarted(house.session, now=datetime.now(UTC) + timedelta(seconds=70)) == 1
        house.session.commit()
    row = house.charge(number)
    assert (row.status, row.payment_status, row.total_gross) == (SessionStatus.FAILED, PaymentStatus.NOT_BILLED, None)
    assert row.failure_reason == "No car was plugged in within the time limit"
    assert house.bills(number) == ([], [])


@pytest.mark.parametrize(
    "refuse",
    [lambda call: call.answer(status="Rejected"), lambda call: call.fail("InternalError", "relay")],
    ids=["rejected", "error"],
)
def test_a_refused_start_fails_the_session(house: House, operator: Admin, refuse: Callable[[Any], None]) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        number, action = start_remotely(house, charge_point, operator)
        refuse(station.expect_call("RemoteStartTransaction"))
        assert outcome(house, action).status is ActionStatus.REJECTED
    row = house.charge(number)
    assert (row.status, row.failure_reason) == (SessionStatus.FAILED, "Start: rejected")


def test_another_drivers_card_does_not_take_the_pending_session(house: House, operator: Admin) -> None:
    charge_point, other = house.station(), house.driver()
    with house.connect(charge_point) as station:
        station.boot()
        number, _ = start_remotely(house, charge_point, operator)
        station.expect_call("RemoteStartTransaction").answer(status="Accepted")
        taken = station.start(1, other.rfid_tags[0].tag_id, at=ago())["transactionId"]
    assert taken != number
    assert house.charge(taken).user_id == other.id
    assert house.charge(number).status is SessionStatus.PENDING


def charging(house: House, charge_point: ChargePoint, station: ScriptedStation) -> int:
    """A session that runs."""
    tag = house.driver().rfid_tags[0].tag_id
    return int(station.start(1, tag, meter_start_wh=0, at=ago(minutes=9))["transactionId"])


def test_remote_stop_is_stopping_until_the_station_has_stopped(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        number = charging(house, charge_point, station)
        action = stop_remotely(house, number, operator)
        assert house.charge(number).status is SessionStatus.STOPPING
        call = station.expect_call("RemoteStopTransaction")
        assert call.payload == {"transactionId": number}
        call.answer(status="Accepted")
        assert outcome(house, action).status is ActionStatus.ACCEPTED
        station.meter(1, number, 400, at=ago(seconds=5))
        assert house.charge(number).status is SessionStatus.STOPPING
        station.stop(number, meter_stop_wh=500, reason="Remote")
    row = house.charge(number)
    assert (row.status, row.stop_reason, row.energy_wh, row.stopping_at) == (
        SessionStatus.FINISHED,
        "Remote",
        500,
        None,
    )


def test_a_stop_the_station_accepts_and_forgets_can_be_tried_again(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        number = charging(house, charge_point, station)
        action = stop_remotely(house, number, operator)
        station.expect_call("RemoteStopTransaction").answer(status="Accepted")
        outcome(house, action)
        assert clockwork.reset_stopping(house.session, now=datetime.now(UTC) + timedelta(seconds=50)) == 0
        assert clockwork.reset_stopping(house.session, now=datetime.now(UTC) + timedelta(seconds=70)) == 1
        house.session.commit()
        assert house.charge(number).status is SessionStatus.ACTIVE
        again = stop_remotely(house, number, operator)
        station.expect_call("RemoteStopTransaction").answer(status="Rejected")
        assert outcome(house, again).status is ActionStatus.REJECTED
        row = eventually(lambda: (row := house.charge(number)).status is SessionStatus.ACTIVE and row)
        assert isinstance(row, ChargingSession)
        assert row.stopping_at is None


# ---------------------------------------------------------------------- 19: availability, triggers


def test_scheduled_is_shown_as_such(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        action = remote.change_availability(
            house.session,
            charge_point=charge_point,
            evse=charge_point.evses[0],
            operative=False,
            reason="Works on the pavement",
            actor=operator,
            now=datetime.now(UTC),
        )
        house.session.commit()
        call = station.expect_call("ChangeAvailability")
        assert call.payload == {"connectorId": 1, "type": "Inoperative"}
        call.answer(status="Scheduled")
        row = outcome(house, action)
    assert row.status is ActionStatus.SCHEDULED
    assert house.again().get_one(ChargePoint, charge_point.id).status.value == "active", (
        "the operator's intent is another"
    )


def test_triggered_messages_are_answered(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot()
        for message, evse, payload in (
            ("status", charge_point.evses[0], {"requestedMessage": "StatusNotification", "connectorId": 1}),
            ("heartbeat", None, {"requestedMessage": "Heartbeat"}),
            ("firmware_status", None, {"requestedMessage": "FirmwareStatusNotification"}),
        ):
            action = remote.trigger_message(
                house.session,
                charge_point=charge_point,
                evse=evse,
                message=message,
                reason="Is it there?",
                actor=operator,
                now=datetime.now(UTC),
            )
            house.session.commit()
            call = station.expect_call("TriggerMessage")
            assert call.payload == payload
            call.answer(status="Accepted")
            asked_for = {
                "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
                "Heartbeat": {},
                "FirmwareStatusNotification": {"status": "Idle"},
            }[payload["requestedMessage"]]
            assert isinstance(station.call(str(payload["requestedMessage"]), asked_for), dict)
            assert outcome(house, action).status is ActionStatus.ACCEPTED
        clearing = remote.clear_cache(
            house.session, charge_point=charge_point, reason="Cards changed", actor=operator, now=datetime.now(UTC)
        )
        house.session.commit()
        call = station.expect_call("ClearCache")
        assert call.payload == {}
        call.answer(status="Rejected")
        assert outcome(house, clearing).status is ActionStatus.REJECTED


def test_a_boot_comes_on_the_same_socket_after_a_reset(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot(firmwareVersion="1")
        before = house.state(charge_point).booted_at
        action = reset(house, charge_point, operator)
        station.expect_call("Reset").answer(status="Accepted")
        outcome(house, action)
        assert station.boot(firmwareVersion="2")["status"] == "Accepted"
        state = house.state(charge_point)
    assert state.firmware_version == "2"
    assert state.booted_at > before
    assert stamp(state.booted_at)
