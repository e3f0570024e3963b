"""A transaction on its way to a processor and back: asked once, looked up, postponed, given up, never done twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from flask import Flask
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.billing.models import TestProcessorRecord as Record
from app.billing.models import (
    Transaction,
    TransactionEvent,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import changes, perform
from app.billing.payments.processors import (
    Answer,
    AnswerKind,
    Order,
    ProcessorMisconfigured,
    ProcessorUnreachable,
)
from app.core.clock import utcnow
from app.core.db import separate_transaction, transaction
from jobs import tasks
from tests.support.payments import NOW, Clock, Payer, books, followed, history, payer, scripted
from tests.support.product import ROOT

PENDING, AUTHENTICATION, SUCCEEDED, OUTSTANDING, FAILED, CANCELLED = TransactionStatus
YES = Answer(kind=AnswerKind.SUCCEEDED, reference="ref-1")
NO = Answer(kind=AnswerKind.DECLINED, reference="ref-no", message="No money")
WORKING = Answer(kind=AnswerKind.PENDING, reference="ref-1")
AUTHENTICATE = Answer(kind=AnswerKind.AUTHENTICATION_REQUIRED, reference="ref-1")


@pytest.fixture
def nobody_follows() -> Iterator[None]:
    """These transactions are of no session: what follows is somebody else's tests."""
    with followed(), followed(TransactionPurpose.TOP_UP):
        yield


pytestmark = pytest.mark.usefixtures("nobody_follows")


def unreachable(order: Order) -> Answer:
    raise ProcessorUnreachable("no answer")


def fresh(driver: Payer, row: Transaction) -> Transaction:
    driver.session.commit()
    return driver.session.get_one(Transaction, row.id, populate_existing=True)


# --- by the card's alias


@pytest.mark.parametrize(
    ("alias", "amount", "status", "done"),
    [
        ("approve", "10.00", SUCCEEDED, "charged"),
        ("decline", "10.00", OUTSTANDING, "declined"),
        ("insufficient", "50.00", SUCCEEDED, "charged"),
        ("insufficient", "50.01", OUTSTANDING, "declined"),
        ("authenticate", "10.00", AUTHENTICATION, "authentication_required"),
    ],
)
def test_a_card_does_what_its_alias_says(
    session: Session, alias: str, amount: str, status: TransactionStatus, done: str
) -> None:
    driver = payer(session, alias)
    row = driver.charge(amount)
    assert driver.perform(row) is status
    assert books(session) == [("charge", Decimal(amount), done)]
    assert history(session, row) == ["Asked", "Answered"]
    row = fresh(driver, row)
    assert row.processor_reference is not None
    assert (row.failure_reason is None) is (status is SUCCEEDED)
    assert driver.perform(row) is status, "and asking once more asks nobody"
    assert len(books(session)) == 1


def test_a_top_up_that_is_declined_fails_and_is_owed_by_nobody(session: Session) -> None:
    driver = payer(session, "decline")
    assert driver.perform(driver.charge(purpose=TransactionPurpose.TOP_UP)) is FAILED


def test_what_is_not_answered_in_time_was_done_and_is_found_not_repeated(session: Session) -> None:
    """The lost answer of the "timeout" card: done at the first call; the second finds it. One record, one charge."""
    driver = payer(session, "timeout")
    row = driver.charge()
    assert driver.perform(row) is PENDING
    assert books(session) == [("charge", Decimal("10.00"), "charged")]
    assert fresh(driver, row).failure_reason == "the Test processor did not answer in time"
    assert driver.perform_due() == 0, "not before the 15 seconds are over"
    driver.clock.pass_(seconds=15)
    assert driver.perform_due() == 1
    assert fresh(driver, row).status is SUCCEEDED
    assert books(session) == [("charge", Decimal("10.00"), "charged")]
    assert history(session, row) == ["Asked", "Not answered", "Asked", "Answered"]


@pytest.mark.parametrize("type_", [TransactionType.CAPTURE, TransactionType.VOID, TransactionType.REFUND])
def test_the_same_for_capture_void_and_refund(session: Session, type_: TransactionType) -> None:
    driver = payer(session, "timeout")
    parent = driver.charge() if type_ is TransactionType.REFUND else driver.hold("10.00")
    driver.perform(parent)
    driver.clock.pass_(minutes=1)
    driver.perform_due()
    child = driver.child(parent, type_, "10.00")
    assert driver.perform(child) is PENDING
    driver.clock.pass_(minutes=1)
    driver.perform_due()
    assert fresh(driver, child).status is SUCCEEDED
    assert [operation for operation, _, _ in books(session)].count(type_.value) == 1
    closed = fresh(driver, parent).closed_at
    assert (closed is None) is (type_ is TransactionType.REFUND)


# --- who asks


def test_two_workers_at_once_ask_once(clean: Flask, session: Session) -> None:
    driver = payer(session)
    row = driver.charge()
    together, row_id = Barrier(2), row.id
    session.commit()

    def work() -> TransactionStatus:
        with clean.app_context():
            together.wait()
            return perform.perform(transaction, transaction_id=row_id, clock=Clock())

    with scripted(lambda order: YES) as processor, ThreadPoolExecutor(2) as pool:
        outcomes = [future.result() for future in [pool.submit(work), pool.submit(work)]]
    assert len(processor.asked) == 1
    assert SUCCEEDED in outcomes
    assert history(session, row) == ["Asked", "Answered"]


def test_nobody_holds_a_lock_or_a_transaction_while_the_processor_is_asked(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()

    def look(order: Order) -> Answer:
        with separate_transaction() as other:
            seen = other.get_one(Transaction, row.id, with_for_update={"nowait": True})
            assert seen.asked_at == NOW, "that it is asked is on disk already"
        return YES

    with scripted(look):
        assert driver.perform(row) is SUCCEEDED


def test_an_attempt_whose_process_died_is_taken_up_after_two_minutes(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()
    session.execute(update(Transaction).values(asked_at=NOW, next_attempt_at=NOW + perform.ASKED_TOO_LONG_AGO))
    driver.clock.pass_(seconds=119)
    assert driver.perform(row) is PENDING
    assert books(session) == []
    driver.clock.pass_(seconds=1)
    assert driver.perform_due() == 1
    assert fresh(driver, row).status is SUCCEEDED


def test_a_screen_keeps_what_it_has_loaded(clean: Flask, session: Session) -> None:
    """Asked within a request, the session of the request stays, and with it who is signed in."""
    driver = payer(session)
    row = driver.charge()
    before = driver.user
    perform.perform(separate_transaction, transaction_id=row.id, clock=driver.clock)
    assert before in session
    assert before.email == "driver@example.com"
    session.refresh(row)
    assert row.status is SUCCEEDED


# --- what goes wrong


@pytest.mark.parametrize(
    "error", [ProcessorUnreachable("gone"), ProcessorMisconfigured("wrong key"), KeyError("of the adapter's own")]
)
def test_not_knowing_is_no_answer(session: Session, error: Exception) -> None:
    driver = payer(session)
    row = driver.charge()

    def fail(order: Order) -> Answer:
        raise error

    with scripted(fail) as processor:
        assert driver.perform(row) is PENDING
        waits = []
        for _ in range(7):
            due = fresh(driver, row).next_attempt_at
            assert due is not None
            waits.append(due - driver.clock.now)
            driver.clock.now = due
            assert driver.perform_due() == 1
    assert waits == [*perform.BACKOFF, perform.BACKOFF[-1], perform.BACKOFF[-1]]
    assert {order.key for order in processor.asked} == {row.idempotency_key}
    assert fresh(driver, row).status is PENDING


def test_a_processor_that_is_not_there_is_given_up_and_nothing_has_to_be_looked_up(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()
    session.execute(update(Transaction).values(processor="abacus"))
    assert driver.perform(row) is PENDING
    assert "no payment processor 'abacus'" in (fresh(driver, row).failure_reason or "")
    driver.clock.pass_(hours=23)
    driver.perform_due()
    row = fresh(driver, row)
    assert (row.status, row.next_attempt_at) == (OUTSTANDING, None)
    assert "no payment processor 'abacus'" in (row.failure_reason or "")


def test_an_old_row_that_is_tried_again_has_its_full_time(session: Session) -> None:
    """Counted from the row's creation, the new attempt would be given up at its first unanswered call."""
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    driver.clock.pass_(days=3)
    perform.retry(session, row=perform.locked(session, row.id), payment_method=None, now=driver.clock())
    with scripted(unreachable):
        assert driver.perform(row) is PENDING
        driver.clock.pass_(hours=22)
        driver.perform_due()
        assert fresh(driver, row).status is PENDING
        driver.clock.pass_(hours=2)
        driver.perform_due()
    assert fresh(driver, row).status is OUTSTANDING


def test_a_row_nobody_asked_about_for_days_is_asked(session: Session) -> None:
    """The workers were away for the weekend: it is asked for the first time, not given up."""
    driver = payer(session)
    row = driver.charge()
    driver.clock.pass_(days=3)
    assert driver.perform_due() == 1
    assert fresh(driver, row).status is SUCCEEDED


def test_a_key_that_the_processor_may_have_forgotten_is_looked_up_and_not_asked_again(session: Session) -> None:
    """Our process died after the question and came back two days later: the same key would charge once more."""
    driver = payer(session)
    row = driver.charge()
    with scripted(unreachable):
        driver.perform(row)
    driver.clock.pass_(days=2)
    with scripted(lambda order: YES, lambda order: YES) as processor:
        driver.perform_due()
    assert (len(processor.asked), len(processor.found)) == (0, 1)
    assert fresh(driver, row).status is SUCCEEDED


def test_what_the_processor_never_got_is_given_up_for_certain(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()
    with scripted(unreachable):
        driver.perform(row)
    driver.clock.pass_(days=2)
    with scripted(lambda order: YES, lambda order: None) as processor:
        driver.perform_due()
    assert processor.asked == []
    row = fresh(driver, row)
    assert (row.status, row.next_attempt_at) == (OUTSTANDING, None)
    assert row.failure_reason == ("Given up: the processor could not be reached. The processor does not know of it.")


def test_one_that_fails_does_not_keep_the_others_from_it_and_is_not_asked_for_ever(session: Session) -> None:
    driver = payer(session)
    bad, good = driver.charge(), driver.charge()

    def break_(session: Session, row: Transaction, now: object) -> None:
        if row.id == bad.id:
            raise RuntimeError("a mistake in what follows")

    with followed():
        changes._follow_ups[TransactionPurpose.SESSION] = break_
        assert driver.perform_due() == 2
        assert driver.perform_due() == 0, "the job asks until nothing is due: it must come to an end"
    assert fresh(driver, good).status is SUCCEEDED
    assert fresh(driver, bad).status is PENDING, "nothing is half written"
    driver.clock.pass_(minutes=10)
    assert driver.perform_due() == 1
    assert fresh(driver, bad).status is SUCCEEDED
    assert [operation for operation, _, _ in books(session)] == ["charge", "charge"]


# --- answers that take their time


def test_what_a_processor_is_working_on_is_looked_up_until_it_is_done(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()
    with scripted(lambda order: WORKING, lambda order: WORKING) as processor:
        assert driver.perform(row) is PENDING
        for _ in range(100):  # a direct debit takes days
            due = fresh(driver, row).next_attempt_at
            assert due is not None and due > driver.clock.now
            driver.clock.now = due
            driver.perform_due()
            if due > NOW + timedelta(days=4):
                break
        assert fresh(driver, row).status is PENDING, "what is being worked on is not given up"
        assert len(processor.asked) == 1, "a key asked again would only repeat its first answer"
        assert {order.reference for order in processor.found} == {"ref-1"}
        assert len(processor.found) < 60
    with scripted(unreachable, lambda order: YES):
        driver.clock.pass_(days=2)
        driver.perform_due()
    assert fresh(driver, row).status is SUCCEEDED


def test_a_webhook_may_come_before_our_own_answer(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()

    def answer(order: Order) -> Answer:
        with separate_transaction() as other:
            perform.record_answer(
                other, transaction_id=row.id, answer=YES, told_by="Webhook", key=order.key, now=driver.clock()
            )
        return YES

    with followed() as heard, scripted(answer):
        assert driver.perform(row) is SUCCEEDED
    assert heard == [("charge", "succeeded")], "followed up once"
    assert history(session, row) == ["Asked", "Webhook", "Answered"]


def test_a_lost_webhook_about_authentication_is_made_good(session: Session) -> None:
    driver = payer(session, "authenticate")
    row = driver.charge()
    assert driver.perform(row) is AUTHENTICATION
    driver.clock.pass_(minutes=61)
    assert driver.perform_due() == 1
    assert fresh(driver, row).status is AUTHENTICATION
    session.execute(update(Record).values(state="charged"))
    driver.clock.pass_(minutes=61)
    with followed() as heard:
        assert driver.perform_due() == 1
    assert fresh(driver, row).status is SUCCEEDED
    assert heard == [("charge", "succeeded")]
    assert history(session, row)[-1] == "Looked up"


def test_authentication_is_not_waited_for_for_ever(session: Session) -> None:
    driver = payer(session, "authenticate")
    row = driver.charge()
    driver.perform(row)
    looked = 0
    while (due := fresh(driver, row).next_attempt_at) is not None:
        assert due > driver.clock.now
        driver.clock.now = due
        looked += driver.perform_due()
    assert driver.clock.now > NOW + timedelta(days=20)
    assert looked < 60
    assert fresh(driver, row).status is AUTHENTICATION, "it is still owed"


def test_what_was_given_up_and_done_after_all_is_found(session: Session) -> None:
    """The top-up failed for us, the processor charged it: the driver gets the money without asking for it."""
    driver = payer(session, "timeout")
    row = driver.charge(purpose=TransactionPurpose.TOP_UP)
    driver.perform(row)
    with scripted(unreachable, unreachable):
        driver.clock.pass_(hours=24)
        driver.perform_due()
        assert fresh(driver, row).status is FAILED
        driver.clock.pass_(hours=2)
        driver.perform_due()
        assert fresh(driver, row).status is FAILED
    with followed(TransactionPurpose.TOP_UP) as heard:
        driver.clock.pass_(hours=12)
        assert driver.perform_due() == 1
    assert heard == [("charge", "succeeded")]
    row = fresh(driver, row)
    assert (row.status, row.failure_reason, row.next_attempt_at) == (SUCCEEDED, None, None)


def test_what_was_given_up_and_certainly_not_done_is_told(session: Session) -> None:
    """Whoever waits for the outcome (a session whose capture was given up) goes on once it is known."""
    driver = payer(session)
    row = driver.child(driver.held("10.00"), TransactionType.CAPTURE, "10.00")
    with scripted(unreachable, unreachable):
        driver.perform(row)
        driver.clock.pass_(hours=24)
        driver.perform_due()
    assert fresh(driver, row).status is FAILED
    assert fresh(driver, row).next_attempt_at is not None
    driver.clock.pass_(hours=2)
    with followed() as heard:
        driver.perform_due()
    assert heard == [("capture", "failed")]
    assert fresh(driver, row).next_attempt_at is None
    assert driver.perform_due() == 0


def test_a_retry_after_giving_up_looks_first_whether_it_was_charged(session: Session) -> None:
    """Given up without an answer, tried again with another card: the first one had been charged after all."""
    driver = payer(session, "timeout")
    other = driver.another_card("approve")
    row = driver.charge()
    driver.perform(row)
    with scripted(unreachable, unreachable):
        driver.clock.pass_(hours=24)
        driver.perform_due()
    assert fresh(driver, row).status is OUTSTANDING
    perform.retry(session, row=perform.locked(session, row.id), payment_method=other, now=driver.clock())
    assert driver.perform(row) is SUCCEEDED
    assert books(session) == [("charge", Decimal("10.00"), "charged")]
    assert fresh(driver, row).payment_method_id == driver.method.id, "it says what was really charged"


def test_and_asks_anew_when_it_was_not(session: Session) -> None:
    driver = payer(session, "unreachable")
    other = driver.another_card("approve")
    row = driver.charge()
    driver.perform(row)
    driver.clock.pass_(hours=24)
    driver.perform_due()
    assert fresh(driver, row).status is OUTSTANDING
    perform.retry(session, row=perform.locked(session, row.id), payment_method=other, now=driver.clock())
    assert driver.perform(row) is SUCCEEDED
    assert books(session) == [("charge", Decimal("10.00"), "charged")]
    assert fresh(driver, row).payment_method_id == other.id
    assert "Looked up" in history(session, row)


# --- answers that come late


def test_a_late_decline_of_an_earlier_attempt_does_not_end_the_present_one(session: Session) -> None:
    """Ended so, the attempt that is on its way would be owed, tried again with a new key, and charged twice."""
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    first = fresh(driver, row).processor_reference
    perform.retry(session, row=perform.locked(session, row.id), payment_method=None, now=driver.clock())
    for how in ({"key": row.idempotency_key}, {"key": None}):
        late = Answer(kind=AnswerKind.DECLINED, reference=first)
        perform.record_answer(session, transaction_id=row.id, answer=late, told_by="Webhook", now=NOW, **how)
        row = fresh(driver, row)
        assert (row.status, row.processor_reference) == (PENDING, None)


def test_a_late_success_of_an_earlier_attempt_is_money_that_has_moved(session: Session) -> None:
    driver = payer(session, "decline")
    row = driver.charge()
    driver.perform(row)
    perform.retry(session, row=perform.locked(session, row.id), payment_method=None, now=driver.clock())
    perform.record_answer(
        session, transaction_id=row.id, answer=YES, told_by="Webhook", key=row.idempotency_key, now=NOW
    )
    row = fresh(driver, row)
    assert (row.status, row.processor_reference) == (SUCCEEDED, "ref-1")
    driver.perform_due()
    assert len(books(session)) == 1, "the present attempt is not asked any more"


def test_an_answer_that_contradicts_is_noted_and_changes_nothing(session: Session) -> None:
    driver = payer(session)
    row = fresh(driver, driver.charged())
    reference = row.processor_reference
    twice = Answer(kind=AnswerKind.SUCCEEDED, reference="another")
    for answer in (NO, AUTHENTICATE, twice):
        perform.record_answer(session, transaction_id=row.id, answer=answer, told_by="Webhook", now=NOW)
        row = fresh(driver, row)
        assert (row.status, row.processor_reference) == (SUCCEEDED, reference), "refunds go by this reference"
    assert history(session, row)[2:] == ["Webhook", "Contradiction"] * 3
    said = session.scalars(select(TransactionEvent.message).order_by(TransactionEvent.id.desc())).first()
    assert said == f"It has succeeded twice: {reference} and another."


def test_the_same_answer_again_is_noted_and_followed_by_nothing(session: Session) -> None:
    driver = payer(session)
    row = driver.charge()
    with followed() as heard:
        for _ in range(3):
            perform.record_answer(session, transaction_id=row.id, answer=YES, told_by="Webhook", now=NOW)
    session.commit()
    assert heard == [("charge", "succeeded")]
    assert "Contradiction" not in history(session, row)


def test_two_payments_by_one_card_at_once_are_no_conflict(clean: Flask, session: Session) -> None:
    """The card's "last used" is written by both: neither is lost, and neither payment is."""
    driver = payer(session)
    rows = [driver.charge() for _ in range(6)]
    together = Barrier(len(rows))

    def answer(order: Order) -> Answer:
        together.wait()
        return Answer(kind=AnswerKind.SUCCEEDED, reference=order.key)

    def work(row_id: int) -> TransactionStatus:
        with clean.app_context():
            return perform.perform(transaction, transaction_id=row_id, clock=Clock())

    with scripted(answer), ThreadPoolExecutor(len(rows)) as pool:
        ids = [row.id for row in rows]
        session.commit()
        assert set(pool.map(work, ids)) == {SUCCEEDED}
    session.refresh(driver.method)
    assert driver.method.last_used_at == NOW


# --- whatever happens

STEPS = st.lists(
    st.sampled_from(["yes", "no", "lost", "done and lost", "working", "authenticate", "retry", "day"]), max_size=12
)


@given(steps=STEPS)
@example(steps=["done and lost", "day", "retry"])
@example(steps=["done and lost", "day", "retry", "no", "retry"])
@example(steps=["lost", "day", "retry", "done and lost", "day", "day", "retry"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_a_driver_is_charged_at_most_once(clean: Flask, steps: list[str]) -> None:
    """A processor that keeps its word about keys for a day, answers, declines, loses answers, takes its time; and
    somebody who tries again whenever it is possible: our books and the processor's agree at the end."""
    done: dict[str, Answer] = {}
    mood = {"now": "yes"}

    def answer(order: Order) -> Answer:
        if order.key in done:
            return done[order.key]
        now = mood["now"]
        if now == "lost":
            raise ProcessorUnreachable("lost")
        kind = {
            "no": AnswerKind.DECLINED,
            "working": AnswerKind.PENDING,
            "authenticate": AnswerKind.AUTHENTICATION_REQUIRED,
        }.get(now, AnswerKind.SUCCEEDED)
        done[order.key] = Answer(kind=kind, reference=f"of {order.key}")
        if now == "done and lost":
            raise ProcessorUnreachable("done, and lost")
        return done[order.key]

    def find(order: Order) -> Answer | None:
        if mood["now"] in ("lost", "done and lost"):
            raise ProcessorUnreachable("lost")
        return done.get(order.key)

    with clean.app_context(), scripted(answer, find), separate_transaction() as session:
        driver = payer(session, email=None)
        row = driver.charge()
        for step in steps:
            if step == "day":
                driver.clock.pass_(hours=24)
            elif step == "retry":
                mine = perform.locked(session, row.id)
                if mine.status in (OUTSTANDING, AUTHENTICATION):
                    perform.retry(session, row=mine, payment_method=None, now=driver.clock())
            else:
                mood["now"] = step
            driver.clock.pass_(minutes=3)
            driver.perform_due()
            session.commit()
        mood["now"] = "yes"
        for key, each in done.items():  # what was being worked on is done now
            if each.kind is AnswerKind.PENDING:
                done[key] = Answer(kind=AnswerKind.SUCCEEDED, reference=each.reference)
        for _ in range(4):
            driver.clock.pass_(days=3)
            driver.perform_due()
        row = fresh(driver, row)
        charged = [each for each in done.values() if each.kind is AnswerKind.SUCCEEDED]
        assert len(charged) <= 1
        assert (row.status is SUCCEEDED) is (len(charged) == 1), (row.status, done)
        assert row.status is not PENDING


# --- in the product


def test_the_job_asks_until_nothing_is_due(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perform, "BATCH", 2)
    driver = payer(session)
    driver.clock.now = utcnow()
    rows = [driver.charge() for _ in range(5)]
    ids = [row.id for row in rows]
    session.commit()
    assert tasks.settle_payments() == 5
    with separate_transaction() as after:
        assert {after.get_one(Transaction, row_id).status for row_id in ids} == {SUCCEEDED}
    assert tasks.settle_payments() == 0


def test_every_process_knows_what_follows_a_payment() -> None:
    """Else money would be taken, and no session paid and no balance credited: built as any process is."""
    code = (
        "import app.factory\n"
        "from app.charging import follow_ups\n"
        "follow_ups.load()\n"  # as app.charging.listeners does in every process
        "from app.billing.payments import changes, processors\n"
        "print(sorted(each.value for each in changes._follow_ups), sorted(processors._factories))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert said.stdout == "['session', 'top_up'] ['stripe', 'test']\n", said.stderr
