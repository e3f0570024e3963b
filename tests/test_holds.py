"""Strategy 2: an amount is held before a session starts, taken at its end, let go if nobody uses it; once each.

Manual, "User billing settings", 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.billing import debts, outstanding
from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.billing.payments.processors import Answer, AnswerKind, Order, ProcessorUnreachable
from app.charging import authorizations, clockwork, remote, sessions
from app.charging.authorize import RejectReason
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import Authorization, ChargingSession
from app.charging.payments import holds
from app.crm.models import User
from app.tariffs.models import TariffType
from app.tariffs.queries import attached_tariffs
from jobs import tasks
from tests.support.charging import NOW, at_once, start, stop, tag_of
from tests.support.gateway import Cast, people, station_of
from tests.support.payments import books, scripted
from tests.support.strategies import (
    ask_due,
    ask_processor,
    back_to_usual,
    begin,
    by_strategy,
    card,
    conclude,
    driver,
    moved,
    tap,
)

__all__ = ["people"]  # a fixture

D = Decimal
PRICE = D("4.26")
LATER = NOW + timedelta(minutes=40)
HOLD, TAKEN, LET_GO = "preauthorization", "capture", "void"


@pytest.fixture(autouse=True)
def strategy_2(people: Cast) -> Iterator[None]:
    by_strategy(people, "preauthorize", preauthorize_amount="20")
    yield
    back_to_usual(people)


def dear(people: Cast, price: str) -> ChargePoint:
    """A station where a session costs this much."""
    return people.station(group=people.tariff_group(type=TariffType.FLAT, price_per_session=price))


def finished(people: Cast, charge_point: ChargePoint, user: User) -> ChargingSession:
    """A session from the card to the money."""
    assert tap(people, charge_point, user).accepted
    number = begin(people, charge_point, user).session_id
    stop(people, charge_point, session_id=number)
    ask_due(people, LATER)
    return people.charge(number)


# ---------------------------------------------------------------------- held


def test_a_tapped_card_is_held_once_until_it_is_used(people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    first, second = tap(people, charge_point, user), tap(people, charge_point, user)
    assert first.accepted and second.accepted
    assert moved(people, user) == [(HOLD, 20, "succeeded")], "tapped twice, blocked once"
    number = begin(people, charge_point, user).session_id
    hold = people.again().scalars(select(Transaction)).one()
    assert hold.session_id == number
    assert tap(people, charge_point, user).accepted, "the tap that stops the session blocks nothing"
    assert len(moved(people, user)) == 1


def test_a_declined_card_is_told_with_its_own_words(people: Cast) -> None:
    user, charge_point = driver(people, "decline"), people.station()
    answer = tap(people, charge_point, user)
    assert answer.decision.reason is RejectReason.PREAUTHORIZATION_DECLINED
    row = people.again().get_one(Authorization, answer.authorization_id)
    assert (row.result.value, row.reason) == ("rejected", "preauthorization_declined")
    hold = people.session.scalars(select(Transaction)).one()
    assert (hold.status, hold.failure_reason) == (TransactionStatus.FAILED, "Declined by the Test processor")
    assert not begin(people, charge_point, user).accepted
    assert len(moved(people, user)) == 1, "the start shares the answer of its authorization"
    card(people, user, "approve")
    assert tap(people, charge_point, user, now=NOW + timedelta(minutes=1)).accepted, "another card, asked anew"


def test_whoever_must_authenticate_is_turned_away_and_nothing_lingers(people: Cast) -> None:
    user = driver(people, "authenticate")
    assert tap(people, people.station(), user).decision.reason is RejectReason.PREAUTHORIZATION_DECLINED
    assert moved(people, user) == [(HOLD, 20, "cancelled")]


def test_an_amount_of_0_is_held_without_asking_anybody(people: Cast) -> None:
    by_strategy(people, "preauthorize", preauthorize_amount="0")
    user = driver(people, "decline")
    assert tap(people, people.station(), user).accepted
    assert moved(people, user) == []


def test_a_start_nobody_was_told_about_goes_on_when_it_is_repeated(people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    first = begin(people, charge_point, user, asked=False)
    assert (first.accepted, first.reason) == (False, "preauthorization_missing")
    again = begin(people, charge_point, user)
    assert (again.session_id, again.accepted) == (first.session_id, True)
    assert people.charge(first.session_id).flags == []
    assert begin(people, charge_point, user).accepted, "and once more"
    assert moved(people, user) == [(HOLD, 20, "succeeded")]


def test_two_starts_at_once_do_not_share_a_hold(app: Flask, people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station(evses=2)
    assert tap(people, charge_point, user).accepted
    station, tag = station_of(charge_point), tag_of(user)

    def starting(number: int) -> Any:
        def work(session: Session) -> int | None:
            evse = station.evse(number)
            assert evse is not None
            return sessions.start_session(
                session, station=station, evse=evse, id_tag=tag, meter_start_wh=D(0), reported_at=NOW, now=NOW
            ).hold_id

        return work

    asked = at_once(app, starting(1), starting(2))
    assert not [each for each in asked if isinstance(each, Exception)]
    assert sum(each is None for each in asked) == 1, "one takes what is held, the other asks for its own"
    rows = people.again().scalars(select(Transaction)).all()
    assert len({row.session_id for row in rows}) == len(rows) == 2


# ---------------------------------------------------------------------- taken


def test_what_is_above_the_hold_is_charged_beside_it(people: Cast) -> None:
    user = driver(people, "approve")
    row = finished(people, dear(people, "32.50"), user)
    assert row.payment_status is PaymentStatus.PAID
    assert moved(people, user) == [
        (HOLD, 20, "succeeded"),
        (TAKEN, 20, "succeeded"),
        ("charge", D("12.50"), "succeeded"),
    ]


def test_what_the_card_does_not_give_beyond_the_hold_is_owed_and_can_be_paid(people: Cast) -> None:
    """Manual: "the authorized amount will be paid and the user will have an outstanding balance"."""
    user = driver(people, "insufficient")
    charge_point = dear(people, "80")
    row = finished(people, charge_point, user)
    assert row.payment_status is PaymentStatus.OUTSTANDING
    assert moved(people, user)[1:] == [(TAKEN, 20, "succeeded"), ("charge", 60, "outstanding")]
    assert outstanding.owed(people.session, user_id=user.id, currency="EUR") == 60
    assert tap(people, charge_point, user, now=LATER).decision.reason is RejectReason.OUTSTANDING_AMOUNT
    better = card(people, user, "approve")
    paying = debts.pay_outstanding(
        people.session, user=user, method=better, reason="Called us", actor=people.operator(), now=LATER
    )
    people.session.commit()
    assert (len(paying.asked), paying.paid, paying.top_up, paying.problems) == (1, (), 0, ())
    assert people.charge(row.id).payment_status is PaymentStatus.PROCESSING
    ask_due(people, LATER)
    assert people.charge(row.id).payment_status is PaymentStatus.PAID
    assert outstanding.owed(people.session, user_id=user.id, currency="EUR") == 0
    assert tap(people, charge_point, user, now=LATER).accepted


def test_a_refused_capture_is_charged_instead_and_the_hold_let_go(people: Cast) -> None:
    user = driver(people, "refuse-capture")
    row = finished(people, dear(people, "32.50"), user)
    assert row.payment_status is PaymentStatus.PAID
    found = moved(people, user)
    assert found[:3] == [(HOLD, 20, "succeeded"), (TAKEN, 20, "failed"), ("charge", D("12.50"), "succeeded")]
    assert sorted(found[3:]) == [("charge", 20, "succeeded"), (LET_GO, 20, "succeeded")]


def test_a_session_that_costs_nothing_lets_the_hold_go(people: Cast) -> None:
    user = driver(people, "approve")
    row = finished(people, people.station(group=people.tariff_group(type=TariffType.FREE)), user)
    assert row.payment_status is PaymentStatus.FREE
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (LET_GO, 20, "succeeded")]


def test_whatever_is_repeated_nothing_is_taken_twice(app: Flask, people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    tap(people, charge_point, user)
    number = begin(people, charge_point, user).session_id
    for _ in range(2):
        stop(people, charge_point, session_id=number)

    def bill_again(session: Session) -> None:
        clockwork.bill(session, session_id=number, now=LATER)

    assert at_once(app, *[bill_again] * 4) == [None] * 4
    for _ in range(3):
        ask_due(people, LATER)
        clockwork.resume_payments(people.session, now=LATER + timedelta(hours=1))
        holds.void_unused(people.session, now=LATER + timedelta(hours=1))
        people.session.commit()
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (TAKEN, PRICE, "succeeded")]
    assert [(operation, amount) for operation, amount, _ in books(people.session)] == [(HOLD, 20), (TAKEN, PRICE)]


def test_a_stop_before_the_processor_has_answered_waits_for_the_hold(people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    number = begin(people, charge_point, user, asked=False).session_id
    stop(people, charge_point, session_id=number)
    row = people.charge(number)
    assert (row.status, row.payment_status, row.total_gross) == (SessionStatus.FINISHED, PaymentStatus.PENDING, PRICE)
    ask_due(people, LATER)
    assert people.charge(number).payment_status is PaymentStatus.PAID
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (TAKEN, PRICE, "succeeded")]


def test_a_hold_that_was_declined_leaves_the_energy_to_be_charged(people: Cast) -> None:
    user, charge_point = driver(people, "decline"), people.station()
    number = begin(people, charge_point, user).session_id
    stop(people, charge_point, session_id=number)
    ask_due(people, LATER)
    row = people.charge(number)
    assert (row.flags, row.payment_status) == (["unauthorized_start"], PaymentStatus.OUTSTANDING)
    assert moved(people, user) == [(HOLD, 20, "failed"), ("charge", PRICE, "outstanding")]


def test_a_capture_given_up_without_an_answer_is_replaced_only_once_it_is_certain(people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    tap(people, charge_point, user)
    number = begin(people, charge_point, user).session_id
    stop(people, charge_point, session_id=number)
    is_capture = Transaction.type == TransactionType.CAPTURE
    given_up = update(Transaction).where(is_capture).values(status=TransactionStatus.FAILED, next_attempt_at=LATER)
    people.session.execute(given_up)
    people.session.commit()
    later = LATER + timedelta(hours=1)
    clockwork.resume_payments(people.session, now=later)
    people.session.commit()
    assert [each[0] for each in moved(people, user)] == [HOLD, TAKEN], "it may have come through: nothing else is asked"
    assert people.charge(number).payment_status is PaymentStatus.PROCESSING
    people.session.execute(update(Transaction).where(is_capture).values(next_attempt_at=None))
    assert clockwork.resume_payments(people.session, now=later) == 1
    people.session.commit()
    ask_due(people, later)
    assert sorted(moved(people, user)[2:]) == [("charge", PRICE, "succeeded"), (LET_GO, 20, "succeeded")]
    assert people.charge(number).payment_status is PaymentStatus.PAID


# ---------------------------------------------------------------------- let go


def test_a_hold_that_nobody_uses_is_let_go_after_a_quarter_of_an_hour(people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    tap(people, charge_point, user)
    assert holds.void_unused(people.session, now=NOW + timedelta(minutes=15)) == 0
    late = NOW + timedelta(minutes=16)
    assert holds.void_unused(people.session, now=late) == 1
    people.session.commit()
    assert holds.void_unused(people.session, now=late) == 0
    ask_due(people, late)
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (LET_GO, 20, "succeeded")]
    assert begin(people, charge_point, user, now=late).accepted
    assert [each[0] for each in moved(people, user)] == [HOLD, LET_GO, HOLD], "the start asks for its own"


def test_a_hold_that_comes_through_after_the_answer_is_let_go(people: Cast) -> None:
    """The station was told no, because the processor had not answered in time; the money must not stay blocked."""
    user, charge_point = driver(people, "approve"), people.station()
    late: list[Answer] = []

    def slow(order: Order) -> Answer:
        if not late:
            raise ProcessorUnreachable("no answer in time")
        return late[0]

    with scripted(slow, finds=lambda order: None):
        answer = tap(people, charge_point, user)
        assert answer.decision.reason is RejectReason.PREAUTHORIZATION_MISSING
        row = people.again().get_one(Authorization, answer.authorization_id)
        assert authorizations.reason_label(row.reason).endswith("was not confirmed in time")
        late.append(Answer(kind=AnswerKind.SUCCEEDED, reference="test_late"))
        after = NOW + timedelta(minutes=3)
        assert ask_due(people, after) == 1
        assert moved(people, user) == [(HOLD, 20, "succeeded")]
        assert holds.void_unused(people.session, now=after) == 1
        people.session.commit()
        ask_due(people, after)
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (LET_GO, 20, "succeeded")]


def test_a_start_and_the_clockwork_at_once_take_a_hold_or_let_it_go_but_never_both(app: Flask, people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    tap(people, charge_point, user)
    at = NOW + timedelta(minutes=15, seconds=1)
    station, tag = station_of(charge_point), tag_of(user)
    evse = station.evse(1)
    assert evse is not None

    def starting(session: Session) -> int | None:
        return sessions.start_session(
            session, station=station, evse=evse, id_tag=tag, meter_start_wh=D(0), reported_at=NOW,
            now=NOW + timedelta(minutes=14),
        ).hold_id  # fmt: skip

    asked, released = at_once(app, starting, lambda session: holds.void_unused(session, now=at))
    assert not isinstance(asked, Exception) and not isinstance(released, Exception)
    taken = people.again().scalars(select(Transaction).where(Transaction.session_id.is_not(None))).all()
    voids = people.session.scalars(select(Transaction).where(Transaction.type == TransactionType.VOID)).all()
    assert not {void.parent_id for void in voids} & {hold.id for hold in taken}
    assert len(taken) == 1


def test_the_job_lets_go(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    user = driver(people, "approve")
    tap(people, people.station(), user)
    monkeypatch.setattr(tasks, "utcnow", lambda: NOW + timedelta(hours=1))
    assert tasks.release_holds() == 1
    assert tasks.release_holds() == 0


# ---------------------------------------------------------------------- started by an operator


def _by_operator(people: Cast, user: User, charge_point: ChargePoint) -> tuple[int, Any]:
    evse = charge_point.evses[0]
    assert evse.tariff_group_id is not None
    tariff_id = attached_tariffs(people.session, tariff_group_id=evse.tariff_group_id)[0].tariff_id
    actor = people.operator()
    row, action = remote.start_session(
        people.session, evse=evse, user=user, tariff_id=tariff_id, reason="Called", actor=actor, now=NOW
    )
    number = row.id
    assert action is None, "nothing is sent before the amount is held"
    people.session.commit()
    ask_processor(people, remote.hold_of_start(people.session, session_id=number))
    result = remote.continue_start(people.session, session_id=number, reason="Called", actor=actor, now=NOW)
    outcome = str(result) if isinstance(result, remote.StartRefused) else result.command
    people.session.commit()
    return number, outcome


def test_an_operators_start_is_sent_once_the_amount_is_held(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.charging.commands.hand_over", lambda *args, **more: True)
    user, charge_point = driver(people, "approve"), people.station()
    number, command = _by_operator(people, user, charge_point)
    assert command == "start_session"
    started = start(people, charge_point, f"SYNC-{number}")
    assert (started.session_id, started.accepted, started.hold_id) == (number, True, None)
    stop(people, charge_point, session_id=number)
    ask_due(people, LATER)
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (TAKEN, PRICE, "succeeded")]


def test_an_operator_is_told_what_the_card_says(people: Cast) -> None:
    user = driver(people, "decline")
    number, said = _by_operator(people, user, people.station())
    assert said == "The pre-authorisation of the payment method was declined: Declined by the Test processor"
    row = people.charge(number)
    assert (row.status, row.payment_status) == (SessionStatus.FAILED, PaymentStatus.NOT_BILLED)


def test_the_hold_of_a_start_that_failed_is_let_go(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.charging.commands.hand_over", lambda *args, **more: True)
    user = driver(people, "approve")
    number, _ = _by_operator(people, user, people.station())
    later = NOW + timedelta(minutes=2)
    assert clockwork.fail_unstarted(people.session, now=later) == 1
    assert holds.void_unused(people.session, now=later) == 1
    people.session.commit()
    ask_due(people, later)
    assert people.charge(number).status is SessionStatus.FAILED
    assert moved(people, user) == [(HOLD, 20, "succeeded"), (LET_GO, 20, "succeeded")]


def test_a_free_start_holds_nothing(people: Cast) -> None:
    user, charge_point = driver(people, "decline"), people.station()
    _, action = remote.start_session(
        people.session,
        evse=charge_point.evses[0],
        user=user,
        tariff_id=None,
        reason="Called",
        actor=people.operator(),
        now=NOW,
    )
    assert action is not None
    assert moved(people, user) == []


def test_concluding_twice_is_the_same(people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    answer = tap(people, charge_point, user, asked=False)
    assert conclude(people, charge_point, answer).accepted
    assert conclude(people, charge_point, answer).accepted
    assert moved(people, user) == [(HOLD, 20, "succeeded")]
