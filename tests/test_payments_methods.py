"""Payment methods: how many, which one pays, which month is their last, and what removing one does not undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import (
    AutoTopUp,
    PaymentMethod,
    PaymentMethodStatus,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from app.billing.outstanding import owed
from app.billing.payments import card_entry, methods, retries
from app.billing.payments.processors import Answer, AnswerKind
from app.billing.payments.test_processor import card_of
from app.core import settings
from app.core.db import separate_transaction
from app.crm.models import TagPayment, User
from jobs import tasks
from jobs.schedule import TIMETABLE
from tests.support import factories_crm as make
from tests.support.charging import at_once
from tests.support.payments import NOW, Clock, Payer, followed, payer, scripted
from tests.support.top_ups import package

ACTIVE, EXPIRED, REMOVED = PaymentMethodStatus
SUCCEEDED, OUTSTANDING = TransactionStatus.SUCCEEDED, TransactionStatus.OUTSTANDING


@pytest.fixture(autouse=True)
def nobody_follows() -> Iterator[None]:
    with followed():
        yield


@pytest.fixture
def driver(session: Session) -> Payer:
    return payer(session)


def usable(driver: Payer) -> list[int]:
    return [row.id for row in methods.usable(driver.session, user_id=driver.user.id, today=NOW.date())]


def limit(session: Session, number: int | None) -> None:
    settings.change_setting(session, key="payment.maximum_methods", value=number, actor=None)
    session.commit()


def last_month_of(row: PaymentMethod, year: int, month: int) -> None:
    row.exp_year, row.exp_month = year, month


# --- how many


def test_ten_cards_entered_at_once_stay_within_the_limit(clean: Flask, session: Session) -> None:
    user = make.user(session)
    limit(session, 2)
    user_id = user.id

    def work(own: Session) -> int:
        card = card_of("approve")
        return methods.add_method(own, user=own.get_one(User, user_id), processor="test", card=card, now=NOW).id

    outcomes = at_once(clean, *[work] * 10)
    assert sum(isinstance(each, int) for each in outcomes) == 2
    refused = [each for each in outcomes if not isinstance(each, int)]
    assert {type(each) for each in refused} == {methods.TooManyPaymentMethods}
    assert "no more than 2 are allowed: remove one first" in str(refused[0])


def test_removed_and_expired_ones_make_room(session: Session, driver: Payer) -> None:
    limit(session, 1)
    with pytest.raises(methods.TooManyPaymentMethods):
        driver.another_card("approve")
    session.rollback()
    last_month_of(driver.method, 2026, 10)
    session.commit()
    second = driver.another_card("approve")
    methods.remove_method(session, method=second, now=NOW)
    third = driver.another_card("approve")
    assert usable(driver) == [third.id]


def test_one_card_entered_twice_at_once_is_one(clean: Flask, session: Session) -> None:
    user_id, card = make.user(session).id, card_of("approve")
    session.commit()

    def work(own: Session) -> int:
        return methods.add_method(own, user=own.get_one(User, user_id), processor="test", card=card, now=NOW).id

    assert len(set(at_once(clean, *[work] * 4))) == 1


def test_a_card_is_of_one_user(session: Session, driver: Payer) -> None:
    stranger = make.user(session, email="else@example.com")
    card = replace(card_of("approve"), token=driver.method.reference)
    with pytest.raises(methods.CardOfAnother):
        methods.add_method(session, user=stranger, processor="test", card=card, now=NOW)


def test_late_news_of_a_removed_card_does_not_bring_it_back(session: Session, driver: Payer) -> None:
    card = replace(card_of("approve"), token=driver.method.reference)
    methods.remove_method(session, method=driver.method, now=NOW)
    again = methods.add_method(session, user=driver.user, processor="test", card=card, now=NOW)
    assert (again.id, again.status) == (driver.method.id, REMOVED)


# --- which one pays


def test_the_last_used_card_pays_and_a_decline_is_no_use(session: Session, driver: Payer) -> None:
    first, second = driver.method, driver.another_card("approve")
    assert usable(driver) == [second.id, first.id], "unused: the newest"
    driver.charged()
    assert usable(driver) == [first.id, second.id]
    bad = driver.another_card("decline")
    driver.clock.pass_(minutes=1)
    driver.method = bad
    assert driver.perform(driver.charge()) is OUTSTANDING
    driver.method = second
    driver.held()
    assert usable(driver) == [second.id, first.id, bad.id]


# --- expiry


@pytest.mark.parametrize(
    ("year", "month", "now", "status"),
    [
        (2026, 11, datetime(2026, 11, 30, 21, 59, tzinfo=UTC), ACTIVE),
        (2026, 11, datetime(2026, 11, 30, 22, 0, tzinfo=UTC), EXPIRED),
        (2026, 12, datetime(2027, 1, 1, 0, 0, tzinfo=UTC), EXPIRED),
        (2027, 1, datetime(2026, 12, 31, 12, 0, tzinfo=UTC), ACTIVE),
        (None, None, datetime(2066, 1, 1, tzinfo=UTC), ACTIVE),
    ],
)
def test_a_card_is_good_until_its_month_is_over_in_the_system_s_zone(
    session: Session, driver: Payer, year: int | None, month: int | None, now: datetime, status: PaymentMethodStatus
) -> None:
    settings.change_setting(session, key="system.timezone", value="Europe/Sofia", actor=None)
    driver.method.exp_year, driver.method.exp_month = year, month
    session.commit()
    assert methods.expire_methods(session, now=now) == (status is EXPIRED)
    session.refresh(driver.method)
    assert driver.method.status is status
    assert methods.expire_methods(session, now=now) == 0, "once"


def test_the_job_marks_them_all_and_leaves_the_others(
    clean: Flask, session: Session, driver: Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "BATCH", 2)
    cards = [driver.another_card("approve") for _ in range(5)]
    gone = driver.another_card("approve")
    methods.remove_method(session, method=gone, now=NOW)
    for card in [*cards, gone]:
        last_month_of(card, 2020, 1)
    expected = {driver.method.id: ACTIVE, gone.id: REMOVED, **{card.id: EXPIRED for card in cards}}
    session.commit()
    assert tasks.expire_payment_methods() == 5
    with separate_transaction() as after:
        found = dict(after.execute(select(PaymentMethod.id, PaymentMethod.status)).tuples().all())
    assert found == expected
    assert tasks.expire_payment_methods in [entry.function for entry in TIMETABLE]


def test_a_card_that_is_renewed_is_active_again(session: Session, driver: Payer) -> None:
    last_month_of(driver.method, 2026, 10)
    methods.expire_methods(session, now=NOW)
    session.refresh(driver.method)
    assert driver.method.status is EXPIRED
    card = replace(card_of("approve"), token=driver.method.reference, exp_year=2030, exp_month=1)
    methods.add_method(session, user=driver.user, processor="test", card=card, now=NOW)
    assert (driver.method.status, driver.method.exp_year) == (ACTIVE, 2030)


# --- removal


def test_removing_a_card_ends_what_names_it(session: Session, driver: Payer) -> None:
    tag = make.tag(session, driver.user, payment=TagPayment.PAYMENT_METHOD, payment_method_id=driver.method.id)
    order = AutoTopUp(user_id=driver.user.id, package_id=package(session).id, payment_method_id=driver.method.id)
    session.add(order)
    session.commit()
    methods.remove_method(session, method=driver.method, now=NOW)
    session.commit()
    session.refresh(tag)
    assert (tag.payment, tag.payment_method_id) == (TagPayment.LAST_USED, None)
    assert session.get(AutoTopUp, driver.user.id) is None
    assert usable(driver) == []
    methods.remove_method(session, method=driver.method, now=NOW + timedelta(1))
    assert driver.method.removed_at == NOW, "once"


def test_what_is_owed_by_a_removed_card_stays_owed_and_is_paid_by_another(session: Session) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    methods.remove_method(session, method=driver.method, now=NOW)
    session.commit()
    assert owed(session, user_id=driver.user.id, currency="EUR") == 10
    given = {"transaction": row, "reason": "Again", "actor": None, "now": NOW}
    with pytest.raises(retries.CannotRetry, match="was removed: choose another payment method"):
        retries.retry_payment(session, payment_method=None, **given)
    session.rollback()
    other = driver.another_card("approve")
    retries.retry_payment(session, payment_method=other, **given)
    assert driver.perform(row) is SUCCEEDED
    assert owed(session, user_id=driver.user.id, currency="EUR") == 0


def pending(driver: Payer) -> tuple[Transaction, Callable[[], object]]:
    row = driver.charge()
    return row, lambda: driver.perform(row)


def held(driver: Payer) -> tuple[Transaction, Callable[[], object]]:
    hold = driver.held()
    return hold, lambda: driver.perform(driver.child(hold, TransactionType.CAPTURE, "5.00"))


@pytest.mark.parametrize("begin", [pending, held])
def test_the_processor_forgets_a_removed_card_only_when_nothing_is_under_way(
    session: Session, driver: Payer, begin: Callable[[Payer], tuple[Transaction, Callable[[], object]]]
) -> None:
    _, finish = begin(driver)
    methods.remove_method(session, method=driver.method, now=NOW)
    session.commit()
    forgotten: list[str] = []
    with scripted(lambda order: Answer(kind=AnswerKind.SUCCEEDED, reference=order.key)) as processor:
        processor.remove = forgotten.append  # type: ignore[attr-defined]
        card_entry.tend(separate_transaction, clock=Clock())
        assert forgotten == []
        finish()
        card_entry.tend(separate_transaction, clock=Clock())
        card_entry.tend(separate_transaction, clock=Clock())
    assert forgotten == [driver.method.reference], "then, and once"


# --- which processor


def test_testing_users_use_the_testing_processor(session: Session) -> None:
    """Manual, "Payment Processor Testing"."""
    user = make.user(session, email="Tess@example.com")
    with pytest.raises(methods.NoProcessor, match="CONFIGURATION > Settings > Payments"):
        methods.processor_name(session, user)
    settings.change_setting(session, key="payment.processor", value="stripe", actor=None)
    assert methods.processor_name(session, user) == "stripe"
    settings.change_setting(session, key="payment.testing_emails", value=["tess@EXAMPLE.com"], actor=None)
    assert methods.processor_name(session, user) == "test"
