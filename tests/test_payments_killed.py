"""kill -9 between any two steps of a payment: what was done is found, nobody pays twice, nothing is left half done.

The issue: "a job killed between the processor's answer and our commit is reconciled and never charges twice; a test
kills it there." The processes are real and killed by the kernel, the books of the Test processor say what was done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing import ledger, top_up_answers, top_ups
from app.billing.models import LedgerEntry, Transaction, TransactionStatus, TransactionType, Voucher, VoucherStatus
from app.billing.payments import asking, perform
from app.core import settings
from app.core.config import Config
from app.core.db import db
from tests.support.payment_worker import STEPS, stopping_at
from tests.support.payments import Payer, books, followed, history, payer
from tests.support.product import ROOT

assert top_up_answers  # what follows a top-up's charge is part of this


def charge(driver: Payer) -> Transaction:
    return driver.charge("10.00")


def preauthorization(driver: Payer) -> Transaction:
    return driver.hold("10.00")


def capture(driver: Payer) -> Transaction:
    return driver.child(driver.held("20.00"), TransactionType.CAPTURE, "10.00")


def void(driver: Payer) -> Transaction:
    return driver.child(driver.held("10.00"), TransactionType.VOID, "10.00")


def refund(driver: Payer) -> Transaction:
    return driver.child(driver.charged("20.00"), TransactionType.REFUND, "10.00")


def top_up(driver: Payer) -> Transaction:
    settings.change_setting(driver.session, key="billing.top_up_packages_enabled", value=False, actor=None)
    voucher = top_ups.begin_top_up(
        driver.session,
        user=driver.user,
        method=driver.method,
        amount=Decimal(10),
        reason="He asked for it",
        actor=None,
        key=f"top-up:{driver.user.id}",
        now=driver.clock(),
    )
    driver.session.commit()
    return driver.session.get_one(Transaction, voucher.transaction_id)


ORDERS = [charge, preauthorization, capture, void, refund, top_up]


def die_at(app: Flask, driver: Payer, step: str) -> None:
    """A process of its own performs what is due and is killed at the step."""
    driver.session.commit()
    pid = os.fork()
    if pid == 0:
        try:
            with app.app_context():
                db.engine.dispose(close=False)  # these connections are the parent's
                perform.perform_due(stopping_at(step, lambda: os.kill(os.getpid(), signal.SIGKILL)), clock=driver.clock)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"it was to die there: {status}"


def assert_done_once(driver: Payer, row: Transaction, operation: str) -> None:
    session = driver.session
    session.commit()
    row = session.get_one(Transaction, row.id, populate_existing=True)
    assert row.status is TransactionStatus.SUCCEEDED
    done = [(amount, state) for kind, amount, state in books(session) if kind == operation and amount == 10]
    assert len(done) == 1 and done[0][1] != "declined", "the processor did it once"
    if operation == "charge" and row.purpose.value == "top_up":
        voucher = session.scalars(select(Voucher)).one()
        assert (voucher.status, voucher.redeemed_at) == (VoucherStatus.ACTIVE, driver.clock())
        assert ledger.balance(session, user_id=driver.user.id, currency="EUR") == 10
        assert len(session.scalars(select(LedgerEntry)).all()) == 1
    if operation in ("capture", "void"):
        assert row.parent is not None and row.parent.closed_at is not None


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("order", ORDERS, ids=lambda function: function.__name__)
def test_killed_at_any_step_and_run_again(
    clean: Flask, session: Session, order: Callable[[Payer], Transaction], step: str
) -> None:
    driver = payer(session)
    with followed():
        row = order(driver)
        die_at(clean, driver, step)
        session.commit()
        left = session.get_one(Transaction, row.id, populate_existing=True)
        assert (left.status, left.processor_reference) == (TransactionStatus.PENDING, None), "nothing is half written"
        assert history(session, row) == ["Asked"]
        assert driver.perform_due() == 0, "its time is not over: it might still be alive"
        driver.clock.pass_(minutes=2)
        assert driver.perform_due() == 1
        assert_done_once(driver, row, row.type.value)


@pytest.mark.parametrize("alias", ["approve", "timeout"])
def test_killed_again_and_again(clean: Flask, session: Session, alias: str) -> None:
    driver = payer(session, alias)
    with followed() as heard:
        row = charge(driver)
        for step in [*STEPS, *reversed(STEPS)]:
            die_at(clean, driver, step)
            driver.clock.pass_(minutes=2)
        while driver.perform_due():
            driver.clock.pass_(minutes=2)
    assert_done_once(driver, row, "charge")
    assert heard == [("charge", "succeeded")]


def test_without_the_keys_it_would_be_charged_twice(
    clean: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the tests above can fail: an order that is asked under a new key each time is done each time."""
    driver = payer(session)
    row = charge(driver)
    die_at(clean, driver, STEPS[1])
    driver.clock.pass_(minutes=2)
    monkeypatch.setattr(asking, "attempt_key", lambda row: f"{row.idempotency_key}:{driver.clock()}")
    with followed():
        driver.perform_due()
    assert len(books(session)) == 2
    with pytest.raises(AssertionError, match="the processor did it once"):
        assert_done_once(driver, row, "charge")


def test_a_worker_of_its_own_killed_from_outside(
    clean: Flask, session: Session, config: Config, database_url: str, redis_url: str
) -> None:
    """Another interpreter, as in production, killed from here between the processor's answer and our commit."""
    driver = payer(session)
    row = charge(driver)
    session.commit()
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.support.payment_worker", STEPS[1]],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "SYNC_DATA_DIR": str(config.data_dir),
            "WORKER_DATABASE_URL": database_url,
            "WORKER_REDIS_URL": redis_url,
            "WORKER_NOW": driver.clock().isoformat(),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    with worker.stdout as said:
        assert said.readline() == "reached\n"
    worker.send_signal(signal.SIGKILL)
    assert worker.wait(10) == -signal.SIGKILL
    assert [state for _, _, state in books(session)] == ["charged"], "the processor has charged"
    assert session.get_one(Transaction, row.id, populate_existing=True).status is TransactionStatus.PENDING
    driver.clock.pass_(minutes=2)
    with followed():
        assert driver.perform_due() == 1
    assert_done_once(driver, row, "charge")
