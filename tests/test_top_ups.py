"""Top-ups by payment method, and auto top-up: credited once, or failed and told. Manual, "User billing settings"."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.billing import auto_top_up, ledger, packages, top_ups
from app.billing.models import (
    AutoTopUp,
    LedgerEntry,
    LedgerEntryType,
    TopUpPackage,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    Voucher,
    VoucherStatus,
    VoucherType,
)
from app.billing.payments import methods, orders, perform
from app.billing.payments.processors import Answer, AnswerKind
from app.core.db import db
from app.core.models import Action, ActionStatus, Mail
from app.crm.models import User, UserStatus
from tests.support import factories_crm as make
from tests.support.top_ups import NOW, card, package, pay, set_up, transactor


@pytest.fixture
def driver(session: Session) -> User:
    user = make.user(session)
    session.commit()
    return user


def begin(session: Session, user: User, alias: str = "approve", key: str = "k", **more: object) -> Voucher:
    voucher = top_ups.begin_top_up(
        session,
        user=user,
        method=card(session, user, alias),
        reason="On the phone",
        actor=None,
        key=key,
        now=NOW,
        **more,
    )
    session.commit()
    return voucher


def balance(session: Session, user: User) -> Decimal:
    session.rollback()
    return ledger.balance(session, user_id=user.id, currency="EUR")


def spend(session: Session, user: User, amount: str, reference: str) -> None:
    ledger.debit(
        session,
        user_id=user.id,
        amount=Decimal(amount),
        currency="EUR",
        type=LedgerEntryType.CHARGING_SESSION,
        reference=reference,
        now=NOW,
    )
    session.commit()


# --- by payment method --------------------------------------------------------------------------------------------


def test_a_package_is_paid_by_its_price_and_credited_with_its_bonus(session: Session, driver: User) -> None:
    voucher = begin(session, driver, package=package(session, "50", "2"))
    charge = session.scalars(select(Transaction)).one()
    assert (voucher.type, voucher.status, voucher.redeemed_at) == (VoucherType.TOP_UP, VoucherStatus.PENDING, None)
    assert (charge.amount, charge.purpose, charge.status) == (
        50, TransactionPurpose.TOP_UP, TransactionStatus.PENDING,
    )  # fmt: skip
    assert balance(session, driver) == 0, "nothing before it is paid"
    assert pay(db.engine, voucher) is TransactionStatus.SUCCEEDED
    assert balance(session, driver) == 52
    assert (voucher.status, voucher.redeemed_at) == (VoucherStatus.ACTIVE, NOW)
    assert (voucher.amount, voucher.paid_amount, voucher.bonus) == (52, 50, 2)
    entry = session.scalars(select(LedgerEntry)).one()
    assert (entry.type, entry.credit, entry.voucher_id) == (LedgerEntryType.TOP_UP, 52, voucher.id)
    assert entry.description == "With a bonus of 2 EUR"
    action = session.scalars(select(Action)).one()
    assert (action.name, action.status, action.error) == ("Top up", ActionStatus.FINISHED, None)


def test_whatever_is_repeated_is_credited_once(session: Session, driver: User) -> None:
    bought = package(session)
    voucher = begin(session, driver, package=bought)
    again = top_ups.begin_top_up(
        session, user=driver, method=card(session, driver), package=bought, reason="x", actor=None, key="k", now=NOW
    )
    assert again.id == voucher.id, "the same key is the same top-up"
    session.commit()
    for _ in range(3):
        pay(db.engine, voucher)
    said = Answer(kind=AnswerKind.SUCCEEDED, reference="again")
    with transactor(db.engine)() as own:
        perform.record_answer(own, transaction_id=voucher.transaction_id, answer=said, told_by="Webhook", now=NOW)
    assert balance(session, driver) == 52
    assert session.scalar(select(func.count()).select_from(Transaction)) == 1


def test_a_declined_top_up_fails_and_says_why(session: Session, driver: User) -> None:
    voucher = begin(session, driver, "decline", package=package(session))
    assert pay(db.engine, voucher) is TransactionStatus.FAILED
    assert balance(session, driver) == 0
    assert (voucher.status, voucher.redeemed_at) == (VoucherStatus.FAILED, None)
    action = session.scalars(select(Action)).one()
    assert (action.status, action.error) == (ActionStatus.FAILED, "Declined by the Test processor")


def test_a_success_after_a_failure_is_credited_because_the_money_moved(session: Session, driver: User) -> None:
    voucher = begin(session, driver, "decline", package=package(session))
    pay(db.engine, voucher)
    for _ in range(2):
        with transactor(db.engine)() as own:
            perform.record_answer(
                own,
                transaction_id=voucher.transaction_id,
                answer=Answer(kind=AnswerKind.SUCCEEDED, reference="late"),
                told_by="Webhook",
                now=NOW,
            )
    assert balance(session, driver) == 52
    assert voucher.status is VoucherStatus.ACTIVE
    assert session.scalars(select(Action.status)).one() is ActionStatus.FINISHED


def test_an_answer_that_was_lost_is_asked_for_again_and_credited_once(session: Session, driver: User) -> None:
    voucher = begin(session, driver, "timeout", package=package(session))
    assert pay(db.engine, voucher) is TransactionStatus.PENDING
    assert balance(session, driver) == 0
    assert pay(db.engine, voucher, NOW + timedelta(minutes=5)) is TransactionStatus.SUCCEEDED
    assert balance(session, driver) == 52


def test_a_payment_to_be_authenticated_leaves_the_voucher_waiting(session: Session, driver: User) -> None:
    voucher = begin(session, driver, "authenticate", package=package(session))
    assert pay(db.engine, voucher) is TransactionStatus.AUTHENTICATION_REQUIRED
    assert balance(session, driver) == 0
    assert voucher.status is VoucherStatus.PENDING
    assert "authenticate" in (session.scalars(select(Action.error)).one() or "")


def test_what_is_refunded_of_a_top_up_leaves_the_balance(session: Session, driver: User) -> None:
    voucher = begin(session, driver, package=package(session))
    pay(db.engine, voucher)
    session.rollback()
    charge = session.get_one(Transaction, voucher.transaction_id)
    refund = orders.open_refund(session, parent=charge, amount=Decimal(20), reason="asked", key="r", now=NOW)
    session.commit()
    for _ in range(2):
        perform.perform(transactor(db.engine), transaction_id=refund.id, clock=lambda: NOW)
    assert balance(session, driver) == 32


def test_settings_decide_between_packages_and_free_amounts(session: Session, driver: User) -> None:
    with pytest.raises(top_ups.PackageRequired):
        begin(session, driver, amount=Decimal(20))
    session.rollback()
    set_up(session, top_up_packages_enabled=False)
    with pytest.raises(packages.PackageNotSold, match="switched off"):
        begin(session, driver, package=package(session))
    session.rollback()
    set_up(session, top_up_packages_enabled=False)
    with pytest.raises(orders.InvalidAmount):
        begin(session, driver, amount=Decimal("0.001"))
    session.rollback()
    set_up(session, top_up_packages_enabled=False)
    voucher = begin(session, driver, amount=Decimal("12.5"))
    pay(db.engine, voucher)
    assert balance(session, driver) == Decimal("12.5")
    set_up(session, top_up_enabled=False)
    with pytest.raises(top_ups.TopUpsDisabled):
        begin(session, driver, amount=Decimal(20), key="other")


def test_what_is_not_sold_cannot_be_bought(session: Session, driver: User) -> None:
    for bought, words in (
        (package(session, enabled=False), "not enabled"),
        (package(session, currency="GBP"), "is in GBP, balances are in EUR"),
    ):
        with pytest.raises(packages.PackageNotSold, match=words):
            top_ups.begin_top_up(
                session, user=driver, method=card(session, driver), package=bought, reason="x", actor=None, key="k",
                now=NOW,
            )  # fmt: skip


def test_only_a_usable_payment_method_of_the_user(session: Session, driver: User) -> None:
    bought, somebody = package(session), make.user(session, "else@example.com")
    old, removed = card(session, driver), card(session, driver)
    old.exp_year, old.exp_month = 2026, 10
    methods.remove_method(session, method=removed, now=NOW)
    for method in (card(session, somebody), old, removed):
        with pytest.raises(top_ups.UnusablePaymentMethod):
            top_ups.begin_top_up(
                session, user=driver, method=method, package=bought, reason="x", actor=None, key="k", now=NOW
            )


# --- by itself ----------------------------------------------------------------------------------------------------


def standing(session: Session, driver: User, alias: str = "approve", price: str = "50") -> AutoTopUp:
    """Auto top-up at 10 or less, with 100 in the balance."""
    set_up(session, auto_top_up_enabled=True, auto_top_up_below=Decimal(10))
    make.credited(session, driver, "100")
    auto_top_up.enable(
        session,
        user=driver,
        package=package(session, price, "2"),
        method=card(session, driver, alias),
        reason="asked for it",
        actor=None,
        now=NOW,
    )
    session.commit()
    return session.get_one(AutoTopUp, driver.id)


def tick(session: Session, minutes: int = 0) -> int:
    """What the jobs do: begin what is due, then ask the processor."""
    session.rollback()
    transact, now = transactor(db.engine), NOW + timedelta(minutes=minutes)
    begun = auto_top_up.begin_due(transact, clock=lambda: now)
    perform.perform_due(transact, clock=lambda: now)
    return begun


def test_nothing_is_bought_above_the_limit_and_one_package_at_it(session: Session, driver: User) -> None:
    standing(session, driver)
    spend(session, driver, "89.99", "a")
    assert tick(session) == 0
    spend(session, driver, "0.01", "b")
    assert tick(session) == 1
    assert balance(session, driver) == 62
    assert tick(session) == 0
    voucher = session.scalars(select(Voucher)).one()
    assert (voucher.type, voucher.status, voucher.amount) == (VoucherType.AUTO_TOP_UP, VoucherStatus.ACTIVE, 52)
    assert session.scalars(select(LedgerEntry.type).order_by(LedgerEntry.id.desc())).first() is (
        LedgerEntryType.AUTO_TOP_UP
    )


def test_a_package_too_small_is_not_bought_over_and_over(session: Session, driver: User) -> None:
    standing(session, driver, price="1")
    spend(session, driver, "150", "a")
    assert [tick(session, minute) for minute in range(4)] == [1, 0, 0, 0]
    assert balance(session, driver) == -47
    spend(session, driver, "1", "b")
    assert [tick(session, minute) for minute in range(4, 7)] == [1, 0, 0], "another session, another top-up"


def test_one_is_under_way_at_a_time(session: Session, driver: User) -> None:
    standing(session, driver, "unreachable")
    spend(session, driver, "95", "a")
    assert tick(session) == 1
    spend(session, driver, "1", "b")
    assert tick(session) == 0
    first = session.scalars(select(Voucher)).one()
    with pytest.raises(IntegrityError, match="uq_voucher_auto_top_up_in_flight"):
        top_ups.buy(
            session,
            user=driver,
            method=card(session, driver),
            package=session.scalars(select(TopUpPackage)).first(),
            type_=VoucherType.AUTO_TOP_UP,
            key="by another way",
            now=NOW,
        )
    session.rollback()
    assert session.get_one(Voucher, first.id).status is VoucherStatus.PENDING


def test_declines_pause_it_and_the_third_ends_it(session: Session, driver: User) -> None:
    order = standing(session, driver, "decline")
    spend(session, driver, "95", "a")
    assert tick(session) == 1
    session.refresh(order)
    assert (order.declines, order.last_error) == (1, "Declined by the Test processor")
    assert order.paused_until == NOW + timedelta(hours=1)
    assert tick(session, 59) == 0
    assert tick(session, 60) == 1
    assert tick(session, 60 + 12 * 60 - 1) == 0
    assert tick(session, 60 + 12 * 60) == 1
    session.rollback()
    session.expire_all()
    assert session.get(AutoTopUp, driver.id) is None
    assert balance(session, driver) == 5
    assert [voucher.status for voucher in session.scalars(select(Voucher))] == [VoucherStatus.FAILED] * 3
    ended = session.scalars(select(Action).order_by(Action.id.desc())).first()
    assert (ended.name, ended.initiated_by) == ("Disable auto top-up", "System")
    assert ended.reason == "Declined 3 times in a row: Declined by the Test processor"
    mails = session.scalars(select(Mail).order_by(Mail.id)).all()
    assert [mail.subject for mail in mails] == [
        "Your auto top-up was declined", "Your auto top-up was declined", "Your auto top-up was switched off",
    ]  # fmt: skip
    assert {mail.recipient for mail in mails} == {driver.email}
    assert "Declined by the Test processor" in mails[0].body


def test_a_success_forgets_earlier_declines(session: Session, driver: User) -> None:
    order = standing(session, driver, "decline")
    spend(session, driver, "95", "a")
    tick(session)
    order = session.get_one(AutoTopUp, driver.id)
    order.payment_method_id = card(session, driver).id
    session.commit()
    assert tick(session, 61) == 1
    session.refresh(order)
    assert (order.declines, order.paused_until, order.last_error) == (0, None, None)
    assert balance(session, driver) == 57


def test_a_card_that_wants_authentication_or_has_expired_counts_as_declined(session: Session, driver: User) -> None:
    order = standing(session, driver, "authenticate")
    spend(session, driver, "95", "a")
    assert tick(session) == 1
    session.refresh(order)
    assert order.declines == 1
    assert session.scalars(select(Voucher.status)).one() is VoucherStatus.FAILED
    order.payment_method.exp_year, order.payment_method.exp_month = 2020, 1
    session.commit()
    assert tick(session, 61) == 0
    session.refresh(order)
    assert order.declines == 2
    assert "has expired" in (order.last_error or "")


@pytest.mark.parametrize("off", ["auto_top_up_enabled", "top_up_packages_enabled", "user"])
def test_switched_off_means_off(session: Session, driver: User, off: str) -> None:
    standing(session, driver)
    spend(session, driver, "95", "a")
    if off == "user":
        driver.status = UserStatus.DISABLED
    else:
        set_up(session, **{off: False})
    session.commit()
    assert tick(session) == 0


def test_two_sessions_that_finish_at_once_cause_one_auto_top_up(session: Session, driver: User) -> None:
    standing(session, driver)
    user_id, engine, start, begun = driver.id, db.engine, threading.Barrier(2), []
    session.rollback()

    def finish(number: int) -> None:
        with Session(engine) as own:
            start.wait()
            ledger.debit(
                own,
                user_id=user_id,
                amount=Decimal("47"),
                currency="EUR",
                type=LedgerEntryType.CHARGING_SESSION,
                reference=f"session:{number}",
                now=NOW,
            )
            own.commit()
            begun.extend(auto_top_up.begin_due(transactor(engine), clock=lambda: NOW) for _ in range(5))

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(begun) == 1
    tick(session)
    assert balance(session, driver) == 100 - 94 + 52
    assert session.scalar(select(func.count()).select_from(Transaction)) == 1


def test_deleting_a_package_ends_its_auto_top_ups_and_keeps_the_history(session: Session, driver: User) -> None:
    order = standing(session, driver)
    spend(session, driver, "95", "a")
    tick(session)
    bought = session.get_one(TopUpPackage, order.package_id)
    assert packages.auto_top_ups(session, [bought.id]) == {bought.id: 1}
    assert auto_top_up.end_all(session, package=bought, actor=None, now=NOW) == 1
    session.delete(bought)
    session.commit()
    session.expire_all()
    assert session.get(AutoTopUp, driver.id) is None
    voucher = session.scalars(select(Voucher)).one()
    assert (voucher.package_id, voucher.status) == (None, VoucherStatus.ACTIVE)
    assert session.scalars(select(Action.reason).order_by(Action.id.desc())).first() == (
        "The top-up package was deleted."
    )


def test_enabling_needs_the_setting_and_disabling_something_to_end(session: Session, driver: User) -> None:
    with pytest.raises(auto_top_up.AutoTopUpDisabled):
        auto_top_up.enable(
            session, user=driver, package=package(session), method=card(session, driver), reason="x", actor=None,
            now=NOW,
        )  # fmt: skip
    with pytest.raises(auto_top_up.NoAutoTopUp):
        auto_top_up.disable(session, user=driver, reason="x", actor=None, now=NOW)


def test_packages_change_places_and_the_ends_stay(session: Session) -> None:
    rows = [package(session, price) for price in ("20", "30", "50")]
    session.commit()

    def moved(number: int, up: bool) -> list[int]:
        packages.move(session, package=rows[number], up=up, actor=None)
        session.commit()
        return [int(row.price) for row in packages.ordered(session)]

    assert moved(0, True) == [20, 30, 50]
    assert moved(2, True) == [20, 50, 30]
    assert moved(0, False) == [50, 20, 30]
    assert moved(1, False) == [50, 20, 30]
