"""Refunds, retries, debts paid from the balance or written off, and holds let go: by people, with a reason, once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.models import (
    LedgerEntry,
    LedgerEntryType,
    PaymentMethod,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.outstanding import owed
from app.billing.payments import orders, refunds, retries
from app.billing.payments.lifecycle import TransactionAlreadyEnded, TransactionAlreadySucceeded, TransactionNotAnswered
from app.billing.payments.methods import remove_method
from app.billing.payments.processors import Answer, AnswerKind, Order, ProcessorUnreachable
from app.core.actions import ReasonRequired
from app.core.db import separate_transaction
from app.core.models import Action, ActionStatus, Admin
from tests.support.charging import at_once
from tests.support.factories_crm import admin, credited
from tests.support.payments import NOW, Payer, books, followed, history, payer, scripted

PENDING, AUTHENTICATION, SUCCEEDED, OUTSTANDING, FAILED, CANCELLED = TransactionStatus


@pytest.fixture
def followed_up() -> Iterator[list[tuple[str, str]]]:
    with followed() as heard:
        yield heard


pytestmark = pytest.mark.usefixtures("followed_up")


@pytest.fixture
def driver(session: Session) -> Payer:
    return payer(session)


def refund(driver: Payer, row: Transaction, amount: str | None, **more: Any) -> Transaction:
    made = refunds.refund(
        driver.session,
        transaction=row,
        amount=None if amount is None else Decimal(amount),
        **{"reason": "Cable was broken", "actor": None, "now": driver.clock(), **more},
    )
    driver.session.commit()
    return made


def retry(driver: Payer, row: Transaction, method: PaymentMethod | None = None, **more: Any) -> Transaction:
    given = {"reason": "The bank says it works now", "actor": None, "now": driver.clock(), **more}
    row = retries.retry_payment(driver.session, transaction=row, payment_method=method, **given)
    driver.session.commit()
    return row


def fresh(driver: Payer, row: Transaction) -> Transaction:
    driver.session.commit()
    return driver.session.get_one(Transaction, row.id, populate_existing=True)


def by_balance(driver: Payer, amount: str = "10.00", processor: str = "balance") -> Transaction:
    """A session's charge that no processor was needed for."""
    row = driver.charge(amount)
    row.processor, row.payment_method_id, row.status, row.next_attempt_at = processor, None, SUCCEEDED, None
    driver.session.commit()
    return row


def last_action(driver: Payer) -> Action:
    driver.session.commit()
    return driver.session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()


# --- refunds


def test_a_refund_is_an_action_a_transaction_and_its_outcome(session: Session, driver: Payer) -> None:
    olga: Admin = admin(session)
    row = driver.charged("10.00")
    made = refund(driver, row, "4.00", actor=olga, reason=" Cable was broken ")
    action = last_action(driver)
    assert (action.name, action.reason, action.initiated_by) == ("Refund", "Cable was broken", "Olga Operator")
    assert (action.target_type, action.target_id, action.info) == ("transaction", row.id, "4.00 EUR")
    assert action.status is ActionStatus.PENDING
    assert (made.type, made.parent_id, made.description) == (TransactionType.REFUND, row.id, "Cable was broken")
    assert driver.perform(made) is SUCCEEDED
    assert books(session)[1:] == [("refund", Decimal("4.00"), "refunded")]
    assert last_action(driver).status is ActionStatus.FINISHED
    assert history(session, made) == ["Ordered", "Asked", "Answered"]
    assert fresh(driver, row).status is SUCCEEDED


def test_a_refund_that_the_processor_declines_says_so_in_the_actions_log(session: Session) -> None:
    driver = payer(session, "refuse-refund")
    row = driver.charged("10.00")
    made = refund(driver, row, None)
    assert driver.perform(made) is FAILED
    action = last_action(driver)
    assert (action.status, action.error) == (ActionStatus.FAILED, "Declined by the Test processor")
    assert orders.refundable(session, row) == 10, "it can be given back another way"


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("10.01", "No more than 10.00 EUR can be refunded."),
        ("0", "An amount above zero is expected."),
        ("-1", "An amount above zero is expected."),
        ("1.005", "1.005 has more decimals than EUR, which has 2."),
    ],
)
def test_amounts_that_cannot_be_refunded(session: Session, driver: Payer, amount: str, message: str) -> None:
    row = driver.charged("10.00")
    with pytest.raises(orders.InvalidAmount) as refused:
        refund(driver, row, amount)
    assert str(refused.value) == message
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Action)) == 0
    with pytest.raises(ReasonRequired):
        refund(driver, row, "1.00", reason="  ")
    session.rollback()
    assert session.scalar(select(func.count()).select_from(Transaction)) == 1


def test_only_what_was_paid_is_refunded(driver: Payer) -> None:
    hold = driver.held("20.00")
    taken = driver.child(hold, TransactionType.CAPTURE, "12.00")
    for row in (hold, taken, driver.charge()):
        with pytest.raises(orders.NotRefundable):
            refund(driver, row, "1.00")
        driver.session.rollback()
    driver.perform(taken)
    made = refund(driver, taken, None)
    assert made.amount == 12, "a capture is refunded up to what was captured"
    assert driver.perform(made) is SUCCEEDED
    with pytest.raises(orders.NotRefundable):
        refund(driver, taken, "0.01")


def test_a_refund_of_the_balance_is_a_credit_at_once(
    session: Session, driver: Payer, followed_up: list[tuple[str, str]]
) -> None:
    row = by_balance(driver)
    made = refund(driver, row, "4.00")
    assert (made.status, made.processor) == (SUCCEEDED, "balance")
    entry = session.scalars(select(LedgerEntry)).one()
    assert (entry.type, entry.credit, entry.balance_after) == (LedgerEntryType.REFUND, 4, 4)
    assert made.processor_reference == f"ledger:{entry.id}"
    assert last_action(driver).status is ActionStatus.FINISHED
    assert followed_up == [("refund", "succeeded")]
    assert books(session) == []
    refund(driver, row, None)
    assert ledger.balance(session, user_id=driver.user.id, currency="EUR") == 10


def test_a_refund_of_a_corporate_account_touches_nobody_s_balance(session: Session, driver: Payer) -> None:
    made = refund(driver, by_balance(driver, processor="corporate"), None)
    assert (made.status, made.amount) == (SUCCEEDED, 10)
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0


@pytest.mark.parametrize("processor", ["test", "balance"])
def test_ten_refunds_at_once_give_back_no_more_than_was_paid(
    clean: Flask, session: Session, driver: Payer, processor: str
) -> None:
    row = driver.charged("10.00") if processor == "test" else by_balance(driver)
    row_id = row.id
    session.commit()

    def work(own: Session) -> int:
        given = {"reason": "Broken", "actor": None, "now": NOW}
        parent = own.get_one(Transaction, row_id)
        return refunds.refund(own, transaction=parent, amount=Decimal("3.00"), **given).id

    outcomes = at_once(clean, *[work] * 10)
    assert sum(isinstance(each, int) for each in outcomes) == 3
    assert {type(each) for each in outcomes} - {int} <= {orders.InvalidAmount, orders.NotRefundable}
    driver.perform_due()
    given_back = session.scalar(
        select(func.sum(Transaction.amount)).where(Transaction.parent_id == row_id, Transaction.status == SUCCEEDED)
    )
    assert given_back == 9
    if processor == "balance":
        assert ledger.balance(session, user_id=driver.user.id, currency="EUR") == 9
    else:
        assert [operation for operation, _, _ in books(session)].count("refund") == 3


def test_a_refund_of_unknown_outcome_counts_as_given_until_it_is_known(session: Session) -> None:
    """Given up at our side, done at the processor's: giving it back again would be twice."""
    driver = payer(session, "timeout")
    row = driver.charge("10.00")
    driver.perform(row)
    driver.clock.pass_(minutes=1)
    driver.perform_due()
    made = refund(driver, row, "6.00")
    driver.perform(made)

    def unreachable(order: Order) -> Answer:
        raise ProcessorUnreachable("gone")

    with scripted(unreachable, unreachable):
        driver.clock.pass_(hours=24)
        driver.perform_due()
    assert fresh(driver, made).status is FAILED
    assert orders.refundable(session, row) == 4
    with pytest.raises(orders.InvalidAmount, match=r"No more than 4\.00 EUR"):
        refund(driver, row, "5.00")
    session.rollback()
    driver.clock.pass_(hours=2)
    driver.perform_due()
    assert fresh(driver, made).status is SUCCEEDED
    assert orders.refundable(session, row) == 4


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["refund", "decline", "retry", "perform", "day"]), st.integers(1, 1200)), max_size=8
    )
)
@hypothesis_settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_refunds_never_exceed_the_charge_whatever_the_order(clean: Flask, steps: list[tuple[str, int]]) -> None:
    mood = {"kind": AnswerKind.SUCCEEDED}
    done: dict[str, tuple[AnswerKind, Decimal]] = {}

    def answer(order: Order) -> Answer:
        kind, _ = done.setdefault(order.key, (mood["kind"], order.amount))
        return Answer(kind=kind, reference=f"of {order.key}")

    with clean.app_context(), followed(), scripted(answer), separate_transaction() as session:
        driver = payer(session, email=None)
        row = driver.charged("10.00")
        done.clear()
        for step, cents in steps:
            mood["kind"] = AnswerKind.DECLINED if step == "decline" else AnswerKind.SUCCEEDED
            made = session.scalars(select(Transaction).where(Transaction.parent_id == row.id)).all()
            if step in ("refund", "decline"):
                try:
                    refund(driver, row, str(Decimal(cents).scaleb(-2)))
                except (orders.InvalidAmount, orders.NotRefundable):
                    session.rollback()
            elif step == "retry" and made:
                try:
                    retry(driver, made[cents % len(made)])
                except (retries.CannotRetry, TransactionAlreadySucceeded, TransactionNotAnswered):
                    session.rollback()
            if step in ("decline", "perform", "day"):
                driver.clock.pass_(hours=25 if step == "day" else 0)
                driver.perform_due()
        given_back = sum(amount for kind, amount in done.values() if kind is AnswerKind.SUCCEEDED)
        assert given_back <= 10
        driver.perform_due()
        assert orders.refundable(session, row) == 10 - sum(
            amount for kind, amount in done.values() if kind is AnswerKind.SUCCEEDED
        )


# --- holds


def test_a_hold_is_captured_at_most_once_and_never_beyond(clean: Flask, session: Session, driver: Payer) -> None:
    hold_id = driver.held("20.00").id
    session.commit()

    def end(own: Session, type_: TransactionType, amount: str, key: str) -> int:
        hold = own.get_one(Transaction, hold_id)
        return orders.open_child(own, parent=hold, type_=type_, amount=Decimal(amount), key=key, now=NOW).id

    with separate_transaction() as own, pytest.raises(orders.InvalidAmount, match=r"No more than 20\.00 EUR is held"):
        end(own, TransactionType.CAPTURE, "20.01", "too much")
    works = [
        lambda own, n=n: end(own, TransactionType.VOID if n % 2 else TransactionType.CAPTURE, "20.00", f"end:{n}")
        for n in range(8)
    ]
    outcomes = at_once(clean, *works)
    assert sum(isinstance(each, int) for each in outcomes) == 1
    assert {type(each) for each in outcomes} - {int} == {orders.HoldNotOpen}


def test_a_capture_that_was_declined_leaves_the_hold_to_be_released(session: Session) -> None:
    driver = payer(session, "refuse-capture")
    hold = driver.held("20.00")
    taken = driver.child(hold, TransactionType.CAPTURE, "5.00")
    assert driver.perform(taken) is FAILED
    assert fresh(driver, hold).closed_at is None
    let_go = retries.release_hold(session, hold=hold, reason="Declined", actor=None, now=driver.clock())
    session.commit()
    with pytest.raises(retries.CannotRetry, match="What a declined capture leaves open is charged instead"):
        retry(driver, taken)
    session.rollback()
    assert driver.perform(let_go) is SUCCEEDED
    assert fresh(driver, hold).closed_at == NOW


def test_a_hold_is_released_by_an_operator_once(session: Session, driver: Payer) -> None:
    hold = driver.held("20.00")
    given: dict[str, Any] = {"hold": hold, "actor": None, "now": NOW}
    with pytest.raises(ReasonRequired):
        retries.release_hold(session, reason=" ", **given)
    session.rollback()
    let_go = retries.release_hold(session, reason="He went by bus", **given)
    session.commit()
    assert last_action(driver).status is ActionStatus.PENDING
    assert driver.perform(let_go) is SUCCEEDED
    assert (last_action(driver).name, last_action(driver).status) == ("Release hold", ActionStatus.FINISHED)
    assert books(session)[-1] == ("void", Decimal("20.00"), "voided")
    for wrong, error in ((hold, retries.CannotRetry), (driver.charged(), orders.HoldNotOpen)):
        with pytest.raises(error):
            retries.release_hold(session, reason="Again", **{**given, "hold": wrong})
        session.rollback()


# --- retries


def test_a_declined_charge_is_paid_by_another_card(session: Session) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    assert owed(session, user_id=driver.user.id, currency="EUR") == 10
    other = driver.another_card("approve")
    row = retry(driver, row, other)
    action = last_action(driver)
    assert (action.name, action.status) == ("Retry payment", ActionStatus.PENDING)
    assert action.info == f"Charge, 10.00 EUR, {other}"
    assert driver.perform(row) is SUCCEEDED
    assert last_action(driver).status is ActionStatus.FINISHED
    assert [state for _, _, state in books(session)] == ["declined", "charged"]
    assert owed(session, user_id=driver.user.id, currency="EUR") == 0
    row = fresh(driver, row)
    assert (row.payment_method_id, row.failure_reason) == (other.id, None)
    with pytest.raises(TransactionAlreadySucceeded):
        retry(driver, row)


def test_and_stays_owed_when_it_is_declined_again(session: Session) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    for _ in range(2):
        row = retry(driver, row)
        with pytest.raises(TransactionNotAnswered):
            retry(driver, row)
        session.rollback()
        assert driver.perform(row) is OUTSTANDING
        action = last_action(driver)
        assert (action.status, action.error) == (ActionStatus.FAILED, "Declined by the Test processor")
    assert owed(session, user_id=driver.user.id, currency="EUR") == 10


def test_ten_retries_at_once_are_one(clean: Flask, session: Session) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    row_id = row.id
    session.commit()

    def work(own: Session) -> int:
        parent = own.get_one(Transaction, row_id)
        given = {"reason": "Again", "actor": None, "now": NOW}
        return retries.retry_payment(own, transaction=parent, payment_method=None, **given).attempts

    outcomes = at_once(clean, *[work] * 10)
    assert [each for each in outcomes if isinstance(each, int)] == [1]
    assert {type(each) for each in outcomes} - {int} == {TransactionNotAnswered}


def test_what_cannot_be_tried_again_says_why(session: Session) -> None:
    driver = payer(session, "decline")
    row, hold = driver.charge(), driver.hold()
    driver.perform(row)
    driver.perform(hold)
    stranger = payer(session, email="else@example.com")
    gone = driver.another_card("approve")
    remove_method(session, method=gone, now=NOW)
    late = driver.another_card("approve")
    late.exp_month, late.exp_year = 10, 2026
    below_zero = by_balance(driver)
    below_zero.status = OUTSTANDING
    session.commit()
    for target, method, message in (
        (row, stranger.method, "Choose one of the user's payment methods."),
        (row, gone, "was removed: choose another payment method."),
        (row, late, "has expired: choose another payment method."),
        (hold, None, "asked for anew when the driver starts again."),
        (below_zero, None, "What the balance owes is paid by a top-up."),
    ):
        with pytest.raises(retries.CannotRetry, match=message):
            retry(driver, target, method)
        session.rollback()
    assert fresh(driver, row).attempts == 0


def test_a_refund_is_tried_again_only_as_far_as_there_is_something_left(session: Session) -> None:
    driver = payer(session)
    row = driver.charged("10.00")
    with scripted(lambda order: Answer(kind=AnswerKind.DECLINED, message="Not today")):
        first = refund(driver, row, "8.00")
        assert driver.perform(first) is FAILED
    second = refund(driver, row, "5.00")
    with pytest.raises(retries.CannotRetry, match=r"Only 5\.00 EUR of Transaction #\d+ are left to be refunded"):
        retry(driver, first)
    session.rollback()
    with scripted(lambda order: Answer(kind=AnswerKind.DECLINED)):
        driver.perform(second)
    with pytest.raises(retries.CannotRetry, match="has no payment method of its own"):
        retry(driver, first, driver.method)
    session.rollback()
    assert driver.perform(retry(driver, first)) is SUCCEEDED
    assert orders.refundable(session, row) == 2


# --- debts


def test_a_debt_is_paid_from_the_balance_once(
    clean: Flask, session: Session, followed_up: list[tuple[str, str]]
) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    credited(session, driver.user, "10.00")
    row_id = row.id
    session.commit()

    def work(own: Session) -> int:
        parent = own.get_one(Transaction, row_id)
        return retries.pay_from_balance(own, transaction=parent, reason="He topped up", actor=None, now=NOW).id

    outcomes = at_once(clean, *[work] * 5)
    assert [each for each in outcomes if isinstance(each, int)] == [row_id]
    assert {type(each) for each in outcomes} - {int} == {retries.NotOwed}
    row = fresh(driver, row)
    entry = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id.desc()).limit(1)).one()
    assert (row.status, row.processor, row.processor_reference) == (SUCCEEDED, "balance", f"ledger:{entry.id}")
    assert (entry.type, entry.debit, entry.balance_after) == (LedgerEntryType.CHARGING_SESSION, 10, 0)
    assert owed(session, user_id=driver.user.id, currency="EUR") == 0
    assert history(session, row)[-1] == "Paid from the balance"
    assert followed_up == [("charge", "outstanding"), ("charge", "succeeded")]
    assert (last_action(driver).name, last_action(driver).status) == ("Pay from balance", ActionStatus.FINISHED)
    refund(driver, row, "4.00")
    assert ledger.balance(session, user_id=driver.user.id, currency="EUR") == 4, "it goes back where it came from"


def test_a_balance_that_does_not_suffice_is_left_alone(session: Session) -> None:
    driver = payer(session, "decline")
    row = driver.charge("10.00")
    driver.perform(row)
    credited(session, driver.user, "9.99")
    session.commit()
    given: dict[str, Any] = {"transaction": row, "reason": "Try", "actor": None, "now": NOW}
    with pytest.raises(retries.InsufficientBalance, match=r"The balance is 9\.99 EUR: it does not suffice\."):
        retries.pay_from_balance(session, **given)
    session.rollback()
    assert ledger.balance(session, user_id=driver.user.id, currency="EUR") == Decimal("9.99")
    assert fresh(driver, row).status is OUTSTANDING
    assert session.scalar(select(func.count()).select_from(Action)) == 0


def test_what_may_have_been_charged_after_all_is_neither_paid_otherwise_nor_written_off(session: Session) -> None:
    driver = payer(session, "unreachable")
    row = driver.charge()
    driver.perform(row)
    driver.clock.pass_(hours=24)
    driver.perform_due()
    credited(session, driver.user, "10.00")
    session.commit()
    assert fresh(driver, row).status is OUTSTANDING
    for verb in (retries.pay_from_balance, retries.cancel_payment):
        with pytest.raises(retries.OutcomeUnknown, match="may have charged it after all"):
            verb(session, transaction=row, reason="Now", actor=None, now=driver.clock())
        session.rollback()
    with scripted(lambda order: Answer(kind=AnswerKind.DECLINED), lambda order: None):
        driver.clock.pass_(hours=2)
        driver.perform_due()
    retries.pay_from_balance(session, transaction=row, reason="Now", actor=None, now=driver.clock())
    assert fresh(driver, row).status is SUCCEEDED


def test_a_debt_is_written_off(session: Session, followed_up: list[tuple[str, str]]) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    given: dict[str, Any] = {"transaction": row, "actor": None, "now": NOW}
    with pytest.raises(ReasonRequired):
        retries.cancel_payment(session, reason="", **given)
    session.rollback()
    retries.cancel_payment(session, reason="He complained", **given)
    session.commit()
    row = fresh(driver, row)
    assert (row.status, row.failure_reason) == (CANCELLED, "He complained")
    assert owed(session, user_id=driver.user.id, currency="EUR") == 0
    assert followed_up[-1] == ("charge", "cancelled")
    with pytest.raises(TransactionAlreadyEnded):
        retry(driver, row)
    session.rollback()
    for wrong in (row, driver.charge(), by_balance(driver)):
        with pytest.raises(retries.NotOwed):
            retries.cancel_payment(session, reason="Again", **{**given, "transaction": wrong})
        session.rollback()


def test_a_top_up_is_no_debt(session: Session) -> None:
    driver = payer(session, "authenticate")
    with followed(TransactionPurpose.TOP_UP):
        row = driver.charge(purpose=TransactionPurpose.TOP_UP)
        assert driver.perform(row) is AUTHENTICATION
    with pytest.raises(retries.NotOwed):
        retries.pay_from_balance(session, transaction=row, reason="Now", actor=None, now=NOW + timedelta(1))


# --- what an idempotency key stands for


def test_the_same_key_is_the_same_transaction_and_never_another(clean: Flask, session: Session, driver: Payer) -> None:
    row = driver.charge("10.00", key="session:7:charge")
    assert driver.charge("10.00", key="session:7:charge").id == row.id
    with pytest.raises(orders.KeyTaken, match="already; it cannot also be Charge of 11"):
        driver.charge("11.00", key="session:7:charge")
    session.rollback()
    user_id, method_id = driver.user.id, driver.method.id
    session.commit()

    def work(own: Session) -> int:
        return orders.open_transaction(
            own,
            type_=TransactionType.CHARGE,
            purpose=TransactionPurpose.SESSION,
            amount=Decimal(3),
            subject=orders.Subject(user_id=user_id, currency="EUR"),
            method=own.get_one(PaymentMethod, method_id),
            key="session:8:charge",
            now=NOW,
        ).id

    outcomes = at_once(clean, *[work] * 6)
    assert len(set(outcomes)) == 1, "six at once get the one that is"
    assert isinstance(outcomes[0], int)
