"""A network password is changed from the screen and no station is lost on the way, whatever it answers.

OCPP 1.6 security whitepaper, edition 2, A01; the key is 16 to 20 bytes in hexadecimal digits (AuthorizationKey).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from websockets.exceptions import InvalidStatus

from app.assets.models import ChargePoint, SecurityProfile
from app.charging import commands, raw_commands
from app.charging.models import CommunicationLog
from app.charging.security import passwords as station_security
from app.charging.security.passwords import ChangeUnderWay, InvalidKey
from app.core import events
from app.core.models import Action, ActionStatus, Admin, AuditEntry
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation, ServerCall, connect

OLD = "the-old-password"
#: a command of so long ago has half a second left for its answer (the time-out is 30 s)
NEARLY_OVER = timedelta(seconds=29)


@pytest.fixture
def operator(house: House) -> Admin:
    """Who presses the button."""
    return house.operator()


def change(
    house: House, charge_point: ChargePoint, operator: Admin, *, key: str | None = None, ago: timedelta = timedelta()
) -> Action:
    """Ask for a new password, committed and thereby sent."""
    action = station_security.change_network_password(
        house.session,
        charge_point=charge_point,
        key=key,
        reason="Every spring",
        actor=operator,
        secret_key=house.secret_key,
        now=datetime.now(UTC) - ago,
    )
    house.session.commit()
    return action


def asked(station: ScriptedStation) -> tuple[ServerCall, str]:
    """The server's call and the new key in it."""
    call = station.expect_call("ChangeConfiguration")
    assert call.payload["key"] == "AuthorizationKey"
    return call, call.payload["value"]


def ended(house: House, action: Action, *, timeout_s: float = 5) -> ActionStatus:
    """The action's outcome."""

    def decided() -> ActionStatus | None:
        status = house.again().get_one(Action, action.id).status
        return status if status is not ActionStatus.PENDING else None

    found = eventually(decided, timeout_s=timeout_s, why="the command has no outcome")
    assert found is not None
    return found


def let_in(house: House, charge_point: ChargePoint, password: str | None) -> bool:
    """Whether the door opens for that password."""
    try:
        with connect(house.server.ws, charge_point.identifier, password=password) as station:
            return station.boot()["status"] == "Accepted"
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 401
        return False


def on_its_way(house: House, charge_point: ChargePoint) -> bool:
    """Whether two passwords are accepted."""
    return house.again().get_one(ChargePoint, charge_point.id).next_password_hash is not None


# ---------------------------------------------------------------------- accepted


def test_the_station_that_comes_with_the_new_password_has_it_from_then_on(house: House, operator: Admin) -> None:
    charge_point = house.station(password=OLD, security_profile=SecurityProfile.BASIC)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator)
    call, key = asked(station)
    assert len(key) == 40 and int(key, 16)
    call.answer(status="Accepted")
    assert ended(house, action) is ActionStatus.ACCEPTED
    assert station.heartbeat(), "it was thrown out before it could reconnect by itself"
    assert let_in(house, charge_point, OLD), "the old password counts until the new one was shown"
    with connect(house.server.ws, charge_point.identifier, password=key) as again:
        again.boot()
        eventually(lambda: not on_its_way(house, charge_point))
        assert house.again().get_one(ChargePoint, charge_point.id).password_changed_at is not None
        assert again.heartbeat(), "whoever came with the new password stays"
    assert not let_in(house, charge_point, OLD)
    assert let_in(house, charge_point, key.upper())


def test_a_station_that_reconnects_before_it_answers_is_not_lost(house: House, operator: Admin) -> None:
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator)
    _, key = asked(station)
    station.close(abruptly=True)
    assert ended(house, action) is ActionStatus.NOT_CONNECTED
    assert on_its_way(house, charge_point)
    assert let_in(house, charge_point, key)
    assert not let_in(house, charge_point, OLD)


def test_a_station_without_password_gets_its_first(house: House, operator: Admin) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    change(house, charge_point, operator, key="00112233445566778899aabbccddeeff")
    call, key = asked(station)
    assert key == "00112233445566778899aabbccddeeff"
    call.answer(status="RebootRequired")
    assert let_in(house, charge_point, None), "it has not rebooted yet"
    assert let_in(house, charge_point, key)
    assert not let_in(house, charge_point, None)


def test_binary_passwords_are_the_same_as_their_digits(house: House, operator: Admin) -> None:
    """Some stations send the bytes that the digits spell."""
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    change(house, charge_point, operator, key="41424344" * 4)
    call, _ = asked(station)
    call.answer(status="Accepted")
    assert let_in(house, charge_point, "ABCD" * 4)


# ---------------------------------------------------------------------- refused, unanswered


@pytest.mark.parametrize(
    "reply",
    [
        lambda call: call.answer(status="Rejected"),
        lambda call: call.answer(status="NotSupported"),
        lambda call: call.fail("NotSupported", "no such thing"),
    ],
)
def test_a_no_keeps_the_old_password_only(house: House, operator: Admin, reply: Callable[[ServerCall], None]) -> None:
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator)
    call, key = asked(station)
    reply(call)
    assert ended(house, action) is ActionStatus.REJECTED
    assert not on_its_way(house, charge_point)
    assert not let_in(house, charge_point, key)
    assert let_in(house, charge_point, OLD)
    assert "sealed" not in (house.again().get_one(Action, action.id).request or {})


def test_a_station_that_is_not_there_was_not_told(house: House, operator: Admin) -> None:
    charge_point = house.station(password=OLD)
    action = change(house, charge_point, operator)
    assert ended(house, action) is ActionStatus.NOT_CONNECTED
    assert not on_its_way(house, charge_point)
    assert let_in(house, charge_point, OLD)


@pytest.mark.parametrize("has_it", [True, False], ids=["took it", "did not take it"])
def test_without_an_answer_either_password_opens_until_the_station_shows_which(
    house: House, operator: Admin, has_it: bool
) -> None:
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator, ago=NEARLY_OVER)
    _, key = asked(station)
    assert ended(house, action) is ActionStatus.TIMED_OUT
    assert let_in(house, charge_point, key if has_it else OLD)
    assert on_its_way(house, charge_point) is not has_it
    assert let_in(house, charge_point, OLD) is not has_it
    assert let_in(house, charge_point, key)


def test_a_late_no_ends_the_waiting(house: House, operator: Admin) -> None:
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator, ago=NEARLY_OVER)
    call, _ = asked(station)
    assert ended(house, action) is ActionStatus.TIMED_OUT
    call.answer(status="Rejected")
    eventually(lambda: not on_its_way(house, charge_point), why="the late answer was not heard")


def test_what_nobody_answered_is_sent_again_never_a_third(house: House, operator: Admin) -> None:
    """With three passwords in play one of them would be lost."""
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator, ago=NEARLY_OVER)
    _, first = asked(station)
    assert ended(house, action) is ActionStatus.TIMED_OUT
    with pytest.raises(ChangeUnderWay):
        change(house, charge_point, operator, key="ab" * 20)
    house.session.rollback()
    again = change(house, charge_point, operator)
    call, second = asked(station)
    assert second == first
    with pytest.raises(ChangeUnderWay):
        change(house, charge_point, operator)
    house.session.rollback()
    call.answer(status="Rejected")
    assert ended(house, again) is ActionStatus.REJECTED
    assert on_its_way(house, charge_point), "the first attempt may have reached it all the same"
    assert let_in(house, charge_point, first)


def test_a_command_nobody_took_up_is_dropped_and_one_that_was_is_not(house: House, operator: Admin) -> None:
    """A gateway may die before it has sent it, or after."""
    for taken in (False, True):
        charge_point = house.station(password=OLD)
        action = change(house, charge_point, operator, ago=timedelta(minutes=2))
        row = house.again().get_one(Action, action.id)
        row.status, row.finished_at = ActionStatus.PENDING, None
        row.sent_at = datetime.now(UTC) if taken else None
        if taken:
            station_security._set_next(house.session, charge_point.id, "hash")
        house.session.commit()
        commands.expire(house.session, now=datetime.now(UTC))
        house.session.commit()
        assert on_its_way(house, charge_point) is taken


# ---------------------------------------------------------------------- who can read it


def test_nobody_reads_the_password_but_the_station(house: House, operator: Admin) -> None:
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    action = change(house, charge_point, operator)
    call, key = asked(station)
    call.answer(status="Accepted")
    ended(house, action)
    connect(house.server.ws, charge_point.identifier, password=key).close()
    eventually(lambda: not on_its_way(house, charge_point))
    rows = eventually(
        lambda: (
            house.again()
            .scalars(
                select(CommunicationLog).where(
                    CommunicationLog.charge_point_id == charge_point.id,
                    CommunicationLog.action == "ChangeConfiguration",
                )
            )
            .all()
        )
    )
    kept = house.again().get_one(Action, action.id)
    entries = house.session.scalars(select(AuditEntry).where(AuditEntry.object_id == str(charge_point.id))).all()
    everything = [*(row.payload for row in rows), str(kept.request), str(kept.info), *(str(e.after) for e in entries)]
    assert rows and "AuthorizationKey" in rows[0].payload
    assert not [text for text in everything if key in text]
    assert entries, "the change is not in the history"


@pytest.mark.parametrize("key", ["", "ab" * 15, "ab" * 21, "a" * 33, "xyz", "0x" + "ab" * 16, "ab " * 16])
def test_a_typed_key_is_32_to_40_hexadecimal_digits(key: str) -> None:
    with pytest.raises(InvalidKey, match="hexadecimal"):
        station_security.check_key(key)


def test_the_password_of_the_form_ends_what_was_on_its_way(house: House, operator: Admin) -> None:
    from app.assets import verbs

    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)
    change(house, charge_point, operator)
    call, key = asked(station)
    call.answer(status="Accepted")
    eventually(lambda: on_its_way(house, charge_point))
    fresh = house.again().get_one(ChargePoint, charge_point.id)
    verbs.set_network_password(fresh, text="entered at the station", secret_key=house.secret_key)
    events.announce(house.session, "charge_point.changed", partner_id=1, charge_point_id=charge_point.id)
    house.session.commit()
    assert station.expect_close() == 1000
    assert not let_in(house, charge_point, key)
    assert let_in(house, charge_point, "entered at the station")


@pytest.mark.parametrize("answer", ["Accepted", "Rejected"])
def test_a_password_that_a_program_sends_locks_no_station_out(house: House, operator: Admin, answer: str) -> None:
    """Any OCPP call can be sent from outside, this one too (product.md, "commands to stations")."""
    charge_point = house.station(password=OLD)
    station = house.connect(charge_point, password=OLD)

    def send(value: str) -> Action:
        action = raw_commands.request_call(
            house.session,
            charge_point=charge_point,
            action="ChangeConfiguration",
            payload={"key": "AuthorizationKey", "value": value},
            reason="A script",
            actor=operator,
            secret_key=house.secret_key,
            now=datetime.now(UTC),
        )
        house.session.commit()
        return action

    action = send("chosen-by-a-script")
    call, _ = asked(station)
    with pytest.raises(raw_commands.InvalidCall, match="on its way"):
        send("another")
    house.session.rollback()
    call.answer(status=answer)
    ended(house, action)
    assert let_in(house, charge_point, OLD)
    assert let_in(house, charge_point, "chosen-by-a-script") is (answer == "Accepted")
    assert let_in(house, charge_point, OLD) is (answer == "Rejected")
