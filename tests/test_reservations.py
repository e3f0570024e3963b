"""Reservations by the verbs: who may reserve what, whom it keeps away, and how each one ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import (
    AccessType,
    ChargePoint,
    ConnectionStatus,
    Evse,
    EvseStatus,
    ReportedStatus,
    SystemStatus,
    ZoneStatus,
)
from app.charging import authorizations, commands, hardware, listeners, remote
from app.charging.authorize import RejectReason
from app.charging.models import AuthorizationSource, Reservation
from app.charging.models import ReservationStatus as S
from app.charging.reservations import clockwork as reservation_clockwork
from app.charging.reservations import reservations
from app.charging.reservations.lifecycle import ReservationOver
from app.core import events
from app.core.actions import ReasonRequired
from app.core.db import connect_raw
from app.core.group_commit import GroupCommit
from app.core.models import Action, ActionStatus, Mail
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus
from tests.support.charging import NOW, at_once, start, tag_of
from tests.support.gateway import Cast, people, station_of

__all__ = ["people"]  # a fixture

ACCEPTED = commands.Answer(ActionStatus.ACCEPTED, {"status": "Accepted"}, facts={"result": "accepted"})


def after(**since: float) -> datetime:
    """A moment after the reservation."""
    return NOW + timedelta(**since)


@pytest.fixture
def place(app: Flask, people: Cast) -> Iterator[ChargePoint]:
    """A free, connected station whose commands stay on their way; reservations are switched on."""
    events.replace_listener(commands.REQUESTED, lambda event: None)
    people.set("reservation.enabled", True)
    yield free(people, people.station(evses=2))
    listeners.init_app(app)


def free(people: Cast, charge_point: ChargePoint) -> ChargePoint:
    """Connected, with nothing at its plugs."""
    charge_point.state.connection = ConnectionStatus.AVAILABLE
    for evse in charge_point.evses:
        evse.state.status = ReportedStatus.AVAILABLE
    people.session.commit()
    return charge_point


def reserve(people: Cast, place: ChargePoint | Evse, user: User, **fields: Any) -> Reservation:
    """Reserve by an operator, committed: nobody holds the station's socket here, so the row is what counts."""
    evse = place.evses[0] if isinstance(place, ChargePoint) else place
    given = {"reason": "The driver called", "actor": None, "now": NOW, **fields}
    row, _ = reservations.reserve(people.session, evse=evse, user=user, **given)
    people.session.flush()
    return row


def answer(people: Cast, row: Reservation, given: commands.Answer = ACCEPTED, **at: float) -> Reservation:
    """The station's answer to the reservation, committed."""
    commands.record_outcome(
        people.session, action_id=row.action_id or 0, answer=given, now=after(**(at or {"seconds": 1}))
    )
    people.session.commit()
    return people.again().get_one(Reservation, row.id)


def active(people: Cast, place: ChargePoint | Evse, user: User, **fields: Any) -> Reservation:
    """A reservation the station has agreed to."""
    row = answer(people, reserve(people, place, user, **fields))
    assert row.status is S.ACTIVE
    return row


def asked(people: Cast, row: Reservation) -> Action:
    """The command of a reservation."""
    return people.session.get_one(Action, row.action_id)


def cancels(people: Cast, row: Reservation) -> list[Action]:
    """The commands that call it off."""
    query = select(Action).where(Action.command == "cancel_reservation").order_by(Action.id)
    return [each for each in people.again().scalars(query) if each.request == {"reservation_id": row.id}]


def asking(people: Cast, place: ChargePoint, tag: str | None, *, evse: int | None = 1, now: datetime = NOW) -> Any:
    """What somebody who asks to charge is told: the reason, or None."""
    station = station_of(place)
    found = authorizations.authorize(
        people.session, station=station, id_tag=tag, source=authorizations.source_of(station), now=now,
        evse_id=place.evses[evse - 1].id if evse else None,
    )  # fmt: skip
    people.session.rollback()
    return found.decision.reason


# ---------------------------------------------------------------------- asking the station


def test_the_station_is_asked_with_the_drivers_first_usable_tag(people: Cast, place: ChargePoint) -> None:
    user = people.driver()
    user.rfid_tags[0].status = RfidTagStatus.DISABLED
    user.rfid_tags.append(RfidTag(tag_id="04EXPIRED", expires_on=date(2026, 11, 21)))
    user.rfid_tags.append(RfidTag(tag_id="X" * 21))
    user.rfid_tags.append(RfidTag(tag_id="04GOOD", expires_on=date(2026, 11, 22)))
    people.session.commit()
    row = reserve(people, place, user)
    assert (row.status, row.id_tag, row.expires_at) == (S.PENDING, "04GOOD", after(minutes=15))
    action = asked(people, row)
    assert (action.command, action.status, action.reason) == ("reserve", ActionStatus.PENDING, "The driver called")
    assert action.request == {
        "network_id": 1,
        "reservation_id": row.id,
        "id_tag": "04GOOD",
        "parent": f"SYNC-U{user.id}",
        "expires_at": "2026-11-22T12:15:00Z",
    }


def test_a_driver_without_a_usable_tag_gets_a_token_of_the_reservation(people: Cast, place: ChargePoint) -> None:
    user = people.driver()
    user.rfid_tags.clear()
    people.session.commit()
    row = active(people, place, user)
    assert row.id_tag == f"SYNC-R{row.id}"
    assert asking(people, place, row.id_tag.lower(), now=after(minutes=14)) is None
    assert asking(people, place, row.id_tag, evse=None) is None
    assert asking(people, place, row.id_tag, now=after(minutes=15)) is RejectReason.TAG_UNKNOWN
    assert asking(people, people.station(), row.id_tag) is RejectReason.TAG_UNKNOWN
    reservations.cancel(people.session, reservation=row, reason="Called off", actor=None, now=after(minutes=1))
    people.session.commit()
    assert asking(people, place, row.id_tag, now=after(minutes=2)) is RejectReason.TAG_UNKNOWN


@pytest.mark.parametrize(
    ("own", "asked_for", "minutes"), [(None, None, 15), (45, None, 45), (45, 20, 20), (None, 1, 1)]
)
def test_how_long_it_lasts(
    people: Cast, place: ChargePoint, own: int | None, asked_for: int | None, minutes: int
) -> None:
    place.evses[0].reservation_minutes = own
    row = reserve(people, place, people.driver(), minutes=asked_for)
    assert row.expires_at == after(minutes=minutes)


# ---------------------------------------------------------------------- refused before anybody is asked

REFUSALS: list[tuple[str, Callable[[Cast, ChargePoint, User], Any], str]] = [
    ("switched off", lambda p, c, u: p.set("reservation.enabled", False), "switched off in CONFIGURATION"),
    ("0 minutes", lambda p, c, u: setattr(c.evses[0], "reservation_minutes", 0), "its Reservation Time is 0"),
    ("no authorization", lambda p, c, u: setattr(c, "plug_and_charge", True), "charges everybody"),
    ("disabled", lambda p, c, u: setattr(c, "status", SystemStatus.DISABLED), "status is not Active or Demo"),
    ("out of order", lambda p, c, u: setattr(c, "status", SystemStatus.OUT_OF_ORDER), "is not Active or Demo"),
    ("zone", lambda p, c, u: setattr(c.zone, "status", ZoneStatus.DISABLED), "charging zone is Disabled"),
    ("EVSE", lambda p, c, u: setattr(c.evses[0], "status", EvseStatus.DISABLED), "EVSE's status is not Active"),
    (
        "connectors",
        lambda p, c, u: setattr(c.evses[0].connectors[0], "status", EvseStatus.OUT_OF_ORDER),
        "No connector of the EVSE is Active",
    ),
    ("user", lambda p, c, u: setattr(u, "status", UserStatus.DISABLED), "user account is disabled"),
    ("private", lambda p, c, u: setattr(c, "access_type", AccessType.PRIVATE), "has not invited"),
    (
        "offline",
        lambda p, c, u: setattr(c.state, "connection", ConnectionStatus.TEMPORARILY_UNAVAILABLE),
        "is not connected: Temp. unavailable",
    ),
    ("fault", lambda p, c, u: setattr(c.evses[0].state, "status", ReportedStatus.FAULTED), "reports a fault"),
    ("station", lambda p, c, u: setattr(c.state, "status", ReportedStatus.UNAVAILABLE), "reports that it is unav"),
    ("car", lambda p, c, u: setattr(c.evses[0].state, "status", ReportedStatus.PREPARING), "it reports"),
    ("session", lambda p, c, u: start(p, c, tag_of(p.driver())), r"session \d+ is running"),
    ("reserved", lambda p, c, u: reserve(p, c, p.driver()), "is reserved for Dora Driver until 2026-11-22 12:15"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "why"), [pytest.param(*case[1:], id=case[0]) for case in REFUSALS])
def test_what_cannot_be_reserved_is_refused_in_words(
    people: Cast, place: ChargePoint, spoil: Callable[..., Any], why: str
) -> None:
    user = people.driver()
    spoil(people, place, user)
    people.session.commit()
    before = len(people.session.scalars(select(Reservation)).all())
    with pytest.raises(reservations.ReservationRefused, match=why) as refusal:
        reserve(people, place, user)
    assert str(refusal.value).endswith(".")
    people.session.rollback()
    assert len(people.session.scalars(select(Reservation)).all()) == before
    # money is another matter: it may be put right before the driver comes


@pytest.mark.parametrize("minutes", [0, -5, 100_001])
def test_an_impossible_time_is_refused(people: Cast, place: ChargePoint, minutes: int) -> None:
    with pytest.raises(reservations.ReservationRefused, match="from 1 to 100,000"):
        reserve(people, place, people.driver(), minutes=minutes)


def test_a_reason_is_needed(people: Cast, place: ChargePoint) -> None:
    with pytest.raises(ReasonRequired):
        reserve(people, place, people.driver(), reason="  ")


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [("managed_by_operator", False, "not managed"), ("status", SystemStatus.DEMO, "for demonstration only")],
)
def test_there_is_nothing_to_reserve_where_no_command_can_be_sent(
    people: Cast, place: ChargePoint, field: str, value: Any, error: str
) -> None:
    setattr(place, field, value)
    people.session.commit()
    with pytest.raises(commands.NotManaged, match=error):
        reserve(people, place, people.driver())


def test_who_owes_money_may_still_reserve_and_pay_on_the_way(people: Cast, place: ChargePoint) -> None:
    people.set("billing.strategy", "balance_or_payment_method")
    user = people.driver(balance="0")
    assert asking(people, place, tag_of(user)) is RejectReason.PAYMENT_METHOD_OR_BALANCE_REQUIRED
    assert reserve(people, place, user).status is S.PENDING


# ---------------------------------------------------------------------- the limits of the Settings


def test_the_maximum_per_day_counts_by_the_systems_midnight(people: Cast, place: ChargePoint) -> None:
    people.set("reservation.maximum_per_day", 2)
    people.set("system.timezone", "Europe/Sofia")
    user = people.driver()
    late = datetime(2026, 11, 22, 21, 50, tzinfo=UTC)  # ten minutes to midnight in Sofia
    for minute in (0, 3):
        row = reserve(people, place, user, minutes=2, now=late + timedelta(minutes=minute))
        people.session.commit()
        reservation_clockwork.expire_due(people.session, now=row.expires_at)
        people.session.commit()
    with pytest.raises(reservations.ReservationRefused, match="has made 2 reservations today, which is the maximum"):
        reserve(people, place, user, now=late + timedelta(minutes=9))
    reserve(people, place, people.driver(), now=late + timedelta(minutes=9), minutes=1)
    assert reserve(people, place.evses[1], user, now=late + timedelta(minutes=10)).status is S.PENDING


def test_what_the_station_refused_counts_for_no_limit(people: Cast, place: ChargePoint) -> None:
    people.set("reservation.maximum_per_day", 1)
    people.set("reservation.cooldown_minutes", 30)
    user = people.driver()
    refused = commands.Answer(ActionStatus.REJECTED, {"status": "Occupied"}, facts={"result": "occupied"})
    assert answer(people, reserve(people, place, user), refused).status is S.REFUSED
    assert reserve(people, place, user, now=after(minutes=1)).status is S.PENDING


def test_the_cool_down_time_runs_from_the_end_of_the_last_one(people: Cast, place: ChargePoint) -> None:
    people.set("reservation.cooldown_minutes", 30)
    user = people.driver()
    row = active(people, place, user)
    with pytest.raises(reservations.ReservationRefused, match="may reserve again at 2026-11-22 12:45 UTC"):
        reserve(people, place.evses[1], user, now=after(minutes=1))
    people.session.rollback()
    reservations.cancel(people.session, reservation=row, reason="Early", actor=None, now=after(minutes=5))
    people.session.commit()
    with pytest.raises(reservations.ReservationRefused, match="12:35"):
        reserve(people, place, user, now=after(minutes=34, seconds=59))
    people.session.rollback()
    assert reserve(people, place, user, now=after(minutes=35)).status is S.PENDING


def test_of_reservations_at_once_the_limits_let_one_pass(app: Flask, people: Cast, place: ChargePoint) -> None:
    people.set("reservation.maximum_per_day", 1)
    user, evse_ids = people.driver(), [evse.id for evse in place.evses]

    def work(evse_id: int) -> Callable[[Session], S]:
        def reserve_one(session: Session) -> S:
            row, _ = reservations.reserve(
                session, evse=session.get_one(Evse, evse_id), user=session.get_one(User, user.id), reason="Now",
                actor=None, now=NOW,
            )  # fmt: skip
            return row.status

        return reserve_one

    found = at_once(app, *[work(evse_ids[index % 2]) for index in range(4)])
    assert [each for each in found if each is S.PENDING] == [S.PENDING]
    assert sum(isinstance(each, reservations.ReservationRefused) for each in found) == 3


# ---------------------------------------------------------------------- the station's answer

ANSWERS = [
    ("rejected", "The charge point does not accept reservations"),
    ("occupied", "The EVSE is occupied"),
    ("faulted", "The charge point reports a fault"),
    ("unavailable", "The charge point is not available"),
]


@pytest.mark.parametrize(("result", "words"), ANSWERS)
def test_a_station_that_says_no_makes_it_refused(people: Cast, place: ChargePoint, result: str, words: str) -> None:
    given = commands.Answer(ActionStatus.REJECTED, {"status": result.title()}, facts={"result": result})
    row = answer(people, reserve(people, place, people.driver()), given)
    assert (row.status, row.end_reason, row.ended_at) == (S.REFUSED, words, after(seconds=1))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            commands.Answer(ActionStatus.REJECTED, error="NotImplemented: no such action"),
            "The charge point does not accept reservations: NotImplemented: no such action",
        ),
        (commands.Answer(ActionStatus.NOT_CONNECTED), "The charge point is not connected"),
        (commands.Answer(ActionStatus.TIMED_OUT), "The charge point did not answer in time"),
    ],
)
def test_so_does_one_that_knows_none_or_does_not_answer(
    people: Cast, place: ChargePoint, given: commands.Answer, words: str
) -> None:
    row = answer(people, reserve(people, place, people.driver()), given)
    assert (row.status, row.end_reason) == (S.REFUSED, words)
    assert asking(people, place, tag_of(people.driver())) is None


def test_a_yes_that_comes_too_late_is_called_off_again(people: Cast, place: ChargePoint) -> None:
    row = answer(people, reserve(people, place, people.driver()), commands.Answer(ActionStatus.TIMED_OUT), seconds=30)
    row = answer(people, row, ACCEPTED, seconds=40)
    assert row.status is S.REFUSED
    (told,) = cancels(people, row)
    assert (told.initiated_by, told.reason) == ("System", reservations.LATE)


def test_a_late_no_changes_nothing(people: Cast, place: ChargePoint) -> None:
    row = active(people, place, people.driver())
    refused = commands.Answer(ActionStatus.REJECTED, {"status": "Occupied"}, facts={"result": "occupied"})
    assert answer(people, row, refused).status is S.ACTIVE
    assert cancels(people, row) == []


# ---------------------------------------------------------------------- whom it keeps away


def test_it_is_honoured_at_authorisation_while_it_lasts(people: Cast, place: ChargePoint) -> None:
    owner, other = people.driver(), people.driver()
    owner.rfid_tags.append(RfidTag(tag_id="04SECOND"))
    people.session.commit()
    reserve(people, place, owner)
    people.session.commit()
    for now in (NOW, after(minutes=14, seconds=59)):  # also while the station has not answered yet
        assert asking(people, place, tag_of(owner), now=now) is None
        assert asking(people, place, "04second", now=now) is None
        assert asking(people, place, tag_of(other), now=now) is RejectReason.RESERVED_FOR_ANOTHER
        assert asking(people, place, tag_of(other), evse=2, now=now) is None
    assert asking(people, place, tag_of(other), now=after(minutes=15)) is None


def test_the_owners_tags_have_a_parent_while_the_station_keeps_an_evse(people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    active(people, place, owner)

    def parent(user: User, now: datetime = NOW) -> str | None:
        found = authorizations.authorize(
            people.session, station=station_of(place), id_tag=tag_of(user), source=AuthorizationSource.RFID_TAG, now=now
        )
        people.session.rollback()
        return found.parent

    assert parent(owner) == f"SYNC-U{owner.id}"
    assert parent(people.driver()) is None
    assert parent(owner, after(minutes=15)) is None


def test_an_operator_cannot_start_for_somebody_else_there(people: Cast, place: ChargePoint) -> None:
    active(people, place, people.driver())
    with pytest.raises(remote.StartRefused, match="reserved for somebody else"):
        remote.start_session(
            people.session, evse=place.evses[0], user=people.driver(), tariff_id=None, reason="Called",
            actor=people.operator(), now=NOW,
        )  # fmt: skip


# ---------------------------------------------------------------------- used up


def test_a_start_uses_it_up(people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    row = active(people, place, owner)
    outcome = start(people, place, tag_of(owner), reported_at=after(minutes=4), now=after(minutes=4))
    row = people.again().get_one(Reservation, row.id)
    assert outcome.accepted
    assert (row.status, row.session_id, row.ended_at) == (S.USED, outcome.session_id, after(minutes=4))
    again = start(people, place, tag_of(owner), reported_at=after(minutes=4), now=after(minutes=5))
    assert again.session_id == outcome.session_id
    assert people.again().get_one(Reservation, row.id).ended_at == after(minutes=4)


def test_a_start_overtakes_the_answer(people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    row = reserve(people, place, owner)
    people.session.commit()
    start(people, place, tag_of(owner))
    assert answer(people, row).status is S.USED
    assert cancels(people, row) == []


def test_somebody_elses_start_is_refused_and_ends_nothing(people: Cast, place: ChargePoint) -> None:
    row = active(people, place, people.driver())
    outcome = start(people, place, tag_of(people.driver()), reservation_id=row.id)
    assert (outcome.accepted, outcome.reason) == (False, "reserved_for_another")
    assert people.again().get_one(Reservation, row.id).status is S.ACTIVE


def test_the_station_may_name_the_reservation_a_start_elsewhere_ends(people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    row = active(people, place.evses[1], owner)
    start(people, place, tag_of(owner))
    assert people.again().get_one(Reservation, row.id).status is S.ACTIVE
    at = after(minutes=1)
    named = start(people, place, tag_of(owner), reservation_id=row.id, reported_at=at, now=at)
    row = people.again().get_one(Reservation, row.id)
    assert (row.status, row.session_id) == (S.USED, named.session_id)


@pytest.mark.parametrize("number", [0, -1, 2**63, 987_654_321])
def test_a_reservation_nobody_knows_is_no_trouble(people: Cast, place: ChargePoint, number: int) -> None:
    owner = people.driver()
    row = active(people, place, owner)
    assert start(people, place, tag_of(owner), reservation_id=number).accepted
    assert people.again().get_one(Reservation, row.id).status is S.USED


def test_a_start_in_time_that_is_told_of_after_the_expiry_still_uses_it(people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    owner.rfid_tags.clear()
    row = active(people, place, owner)
    reservation_clockwork.expire_due(people.session, now=after(minutes=15))
    people.session.commit()
    outcome = start(
        people, place, row.id_tag, reported_at=after(minutes=14, seconds=58), now=after(minutes=15, seconds=2)
    )
    row = people.again().get_one(Reservation, row.id)
    assert (outcome.accepted, row.status, row.session_id) == (True, S.USED, outcome.session_id)


def test_a_start_after_the_expiry_is_a_start_like_any_other(people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    row = active(people, place, owner)
    reservation_clockwork.expire_due(people.session, now=after(minutes=15))
    people.session.commit()
    at = after(minutes=16)
    assert start(people, place, tag_of(owner), reservation_id=row.id, reported_at=at, now=at).accepted
    assert people.again().get_one(Reservation, row.id).status is S.EXPIRED


def test_a_start_from_before_it_was_made_is_not_its_use(people: Cast, place: ChargePoint) -> None:
    """An offline queue tells of a charge of the morning, by somebody else, while the EVSE is kept now."""
    row = active(people, place, people.driver())
    other = people.driver()
    assert start(people, place, tag_of(other), reported_at=NOW - timedelta(hours=3), now=after(minutes=1)).accepted
    assert people.again().get_one(Reservation, row.id).status is S.ACTIVE


def test_an_operators_start_uses_the_token_the_station_keeps_the_evse_for(people: Cast, place: ChargePoint) -> None:
    people.set("billing.strategy", "after_session")  # the tag alone would be refused: the operator makes it free
    owner = people.driver()
    row = active(people, place, owner)
    charge, action = remote.start_session(
        people.session,
        evse=place.evses[0],
        user=owner,
        tariff_id=None,
        reason="Called",
        actor=people.operator(),
        now=NOW,
    )
    people.session.commit()
    assert action.request is not None and action.request["id_tag"] == row.id_tag == charge.id_tag
    outcome = start(people, place, row.id_tag.lower(), reported_at=after(minutes=1), now=after(minutes=1))
    assert (outcome.session_id, outcome.reason) == (charge.id, None)
    charge = people.charge(charge.id)
    assert (charge.tariff_name, charge.source) == ("Free (by operator)", AuthorizationSource.OPERATOR)
    assert people.session.get_one(Reservation, row.id).session_id == charge.id


# ---------------------------------------------------------------------- cancelled


def test_cancelling_frees_the_evse_at_once_and_tells_the_station(people: Cast, place: ChargePoint) -> None:
    row = active(people, place, people.driver())
    _, action = reservations.cancel(people.session, reservation=row, reason=" Ill ", actor=people.operator(), now=NOW)
    people.session.commit()
    row = people.again().get_one(Reservation, row.id)
    assert (row.status, row.end_reason, row.ended_at) == (S.CANCELLED, "Ill", NOW)
    assert (action.command, action.request) == ("cancel_reservation", {"reservation_id": row.id})
    assert asking(people, place, tag_of(people.driver())) is None
    with pytest.raises(ReservationOver, match="Cancelled"):
        reservations.cancel(people.session, reservation=row, reason="Again", actor=None, now=NOW)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (ActionStatus.NOT_CONNECTED, "Ill; The charge point is not connected"),
        (ActionStatus.TIMED_OUT, "Ill; The charge point did not answer in time"),
        (ActionStatus.REJECTED, "Ill; The charge point knew of no such reservation"),
        (ActionStatus.ACCEPTED, "Ill"),
    ],
)
def test_what_came_of_telling_the_station_stands_with_it(
    people: Cast, place: ChargePoint, status: ActionStatus, words: str
) -> None:
    row = active(people, place, people.driver())
    _, action = reservations.cancel(people.session, reservation=row, reason="Ill", actor=None, now=NOW)
    commands.record_outcome(people.session, action_id=action.id, answer=commands.Answer(status), now=NOW)
    people.session.commit()
    row = people.again().get_one(Reservation, row.id)
    assert (row.status, row.end_reason) == (S.CANCELLED, words)


def test_cancel_and_start_race_and_one_has_it(app: Flask, people: Cast, place: ChargePoint) -> None:
    owner = people.driver()
    row, station, tag = active(people, place, owner), station_of(place), tag_of(owner)
    number, evse = row.id, station.evse(1)

    def cancel(session: Session) -> str:
        reservations.cancel(
            session, reservation=session.get_one(Reservation, number), reason="Race", actor=None, now=after(minutes=1)
        )
        return "cancelled"

    def begin(session: Session) -> bool:
        from app.charging import sessions

        assert evse is not None
        return sessions.start_session(
            session, station=station, evse=evse, id_tag=tag, meter_start_wh=Decimal(0), reported_at=after(minutes=1),
            now=after(minutes=1),
        ).accepted  # fmt: skip

    cancelled, started = at_once(app, cancel, begin)
    row = people.again().get_one(Reservation, number)
    assert started is True  # the driver may charge either way
    if cancelled == "cancelled":
        assert (row.status, row.session_id) == (S.CANCELLED, None)
    else:
        assert isinstance(cancelled, ReservationOver)
        assert row.status is S.USED


def test_where_nobody_can_be_told_the_log_still_says_who_cancelled(people: Cast, place: ChargePoint) -> None:
    row = active(people, place, people.driver())
    place.managed_by_operator = False
    people.session.commit()
    _, action = reservations.cancel(people.session, reservation=row, reason="Sold", actor=people.operator(), now=NOW)
    people.session.commit()
    assert people.again().get_one(Reservation, row.id).status is S.CANCELLED
    assert (action.status, action.reason, action.command) == (ActionStatus.FINISHED, "Sold", None)


# ---------------------------------------------------------------------- time, faults, intent


def test_its_time_is_over_once(people: Cast, place: ChargePoint) -> None:
    row = active(people, place, people.driver())
    assert reservation_clockwork.expire_due(people.session, now=after(minutes=14, seconds=59)) == 0
    assert reservation_clockwork.expire_due(people.session, now=after(minutes=15)) == 1
    assert reservation_clockwork.expire_due(people.session, now=after(minutes=16)) == 0
    people.session.commit()
    row = people.again().get_one(Reservation, row.id)
    assert (row.status, row.end_reason, row.ended_at) == (S.EXPIRED, "Nobody came in time", after(minutes=15))


def test_one_that_is_over_unnoticed_is_in_nobodys_way(people: Cast, place: ChargePoint) -> None:
    old = active(people, place, people.driver())
    new = reserve(people, place, people.driver(), now=after(minutes=15))
    people.session.commit()
    assert people.again().get_one(Reservation, old.id).status is S.EXPIRED
    assert new.status is S.PENDING


REPORTS = [
    (1, ReportedStatus.FAULTED, S.ENDED, "The EVSE reports a fault"),
    (1, ReportedStatus.UNAVAILABLE, S.ENDED, "The EVSE reports that it is unavailable"),
    (0, ReportedStatus.FAULTED, S.ENDED, "The charge point reports a fault"),
    (0, ReportedStatus.UNAVAILABLE, S.ENDED, "The charge point reports that it is unavailable"),
    (2, ReportedStatus.FAULTED, S.ACTIVE, None),
    (7, ReportedStatus.FAULTED, S.ACTIVE, None),
    (1, ReportedStatus.RESERVED, S.ACTIVE, None),
    (1, ReportedStatus.PREPARING, S.ACTIVE, None),
    (0, ReportedStatus.AVAILABLE, S.ACTIVE, None),
]


@pytest.fixture
def writer(database_url: str, app: Flask) -> Iterator[GroupCommit]:
    """What the gateway writes with."""
    running = GroupCommit("test", lambda: connect_raw(database_url)).start()
    yield running
    running.stop()


@pytest.mark.parametrize(("network_id", "status", "expected", "why"), REPORTS)
def test_a_report_ends_it_in_the_same_transaction(
    people: Cast,
    place: ChargePoint,
    writer: GroupCommit,
    network_id: int,
    status: ReportedStatus,
    expected: S,
    why: str,
) -> None:
    row = active(people, place, people.driver())
    hardware.record_status(
        writer,
        station_of(place),
        network_id=network_id,
        status=status,
        reported_at=after(minutes=2),
        now=after(minutes=2),
    )
    row = people.again().get_one(Reservation, row.id)
    assert (row.status, row.end_reason, row.ended_at) == (expected, why, after(minutes=2) if why else None)


def test_one_that_was_made_while_the_fault_came_in_is_found_by_the_clockwork(people: Cast, place: ChargePoint) -> None:
    row = active(people, place, people.driver())
    place.state.status = ReportedStatus.FAULTED
    people.session.commit()
    assert reservation_clockwork.end_faulted(people.session, now=after(minutes=1)) == 1
    people.session.commit()
    assert people.again().get_one(Reservation, row.id).status is S.ENDED
    assert reservation_clockwork.end_faulted(people.session, now=after(minutes=1)) == 0


@pytest.mark.parametrize(
    "take_out",
    [
        lambda place: setattr(place, "status", SystemStatus.OUT_OF_ORDER),
        lambda place: setattr(place, "status", SystemStatus.DEMO),
        lambda place: setattr(place.evses[0], "status", EvseStatus.DISABLED),
        lambda place: setattr(place.zone, "status", ZoneStatus.DISABLED),
        lambda place: setattr(place, "managed_by_operator", False),
    ],
)
def test_what_is_taken_out_of_service_is_kept_for_nobody(people: Cast, place: ChargePoint, take_out: Any) -> None:
    row = active(people, place, people.driver())
    assert reservation_clockwork.cancel_unusable(people.session, now=after(minutes=1)) == 0
    take_out(place)
    people.session.commit()
    assert reservation_clockwork.cancel_unusable(people.session, now=after(minutes=1)) == 1
    people.session.commit()
    row = people.again().get_one(Reservation, row.id)
    assert (row.status, row.end_reason) == (S.CANCELLED, "The EVSE was taken out of service")


def test_the_driver_is_told_once_that_it_ends_soon(people: Cast, place: ChargePoint) -> None:
    user = people.driver()
    active(people, place, user)
    short = active(people, place.evses[1], people.driver(), minutes=5)  # told in the moment it was made
    assert reservation_clockwork.remind(people.session, now=after(minutes=9, seconds=59)) == 0
    assert reservation_clockwork.remind(people.session, now=after(minutes=10)) == 1
    assert reservation_clockwork.remind(people.session, now=after(minutes=11)) == 0
    people.session.commit()
    (mail,) = people.again().scalars(select(Mail)).all()
    assert (mail.recipient, mail.subject) == (
        user.email,
        "Your reservation at Modera Restaurant parking ends in 5 min",
    )
    assert "until 14:15" in mail.body  # the clock of the place, Sofia
    assert people.session.get_one(Reservation, short.id).reminded_at is None


def test_nobody_is_told_when_the_setting_is_empty_or_nothing_was_agreed(people: Cast, place: ChargePoint) -> None:
    reserve(people, place, people.driver())
    people.session.commit()
    assert reservation_clockwork.remind(people.session, now=after(minutes=12)) == 0
    people.set("reservation.remind_before_minutes", None)
    active(people, place.evses[1], people.driver())
    assert reservation_clockwork.remind(people.session, now=after(minutes=12)) == 0


def test_places_are_freed_for_good(people: Cast, place: ChargePoint) -> None:
    """The database itself allows one open reservation for an EVSE."""
    free(people, place)
    for minute in range(3):
        row = active(people, place, people.driver(), now=after(minutes=minute))
        reservations.cancel(people.session, reservation=row, reason="Next", actor=None, now=after(minutes=minute))
        people.session.commit()
    statuses = people.session.scalars(select(Reservation.status)).all()
    assert list(statuses) == [S.CANCELLED] * 3
