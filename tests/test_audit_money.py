"""The audit lists each kind of difference that is planted, with its numbers, and nothing where the books agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.orm import Session

from app.audit_money import run
from app.audit_money.checks import Period, amount
from app.billing import top_up_answers, top_ups, vouchers
from app.billing.models import (
    PaymentMethod,
    TopUpPackage,
    Transaction,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
    Voucher,
    VoucherType,
)
from app.billing.payments import methods, orders, perform
from app.billing.payments.orders import Subject
from app.billing.payments.test_processor import card_of
from app.charging import price_versions
from app.charging.lifecycle import PaymentStatus
from app.charging.models import ChargingSession
from app.core import settings
from app.core.config import Config
from app.core.db import db, sqlalchemy_url, transaction
from app.crm.models import User
from tests.conftest import empty_tables
from tests.support.charging import NOW, start, stop, tag_of
from tests.support.gateway import Cast

assert top_up_answers  # what follows a top-up's answer is registered
LATER = NOW + timedelta(hours=2)
PRICE = Decimal("4.26")
#: what is not the session's own but its copy's
_OWN = {"id", "start_key", "payment_status", "paid_from", "payment_method_id", "version"}


class Books:
    """A session paid from the balance, and one by card: held, captured, and given back in part."""

    def __init__(self, app: Flask, people: Cast) -> None:
        self.app, self.people = app, people
        user, charge_point = people.driver(balance="0"), people.station()
        self.user = user.id
        self._redeem(user, Decimal(50))
        self.balance_session = start(people, charge_point, tag_of(user)).session_id
        stop(people, charge_point, session_id=self.balance_session)
        ((entry,), (charge,)) = people.bills(self.balance_session)
        self.entry, self.account, self.charge = entry.id, entry.account_id, charge.id
        card = methods.add_method(people.session, user=user, processor="test", card=card_of("approve"), now=NOW)
        people.session.commit()
        self.card_session = self._copy_session(card)
        self.hold = self._perform(self._open(card, TransactionType.PREAUTHORIZATION, Decimal(20), "hold"))
        self.capture = self._perform(self._opened_for(self.hold))
        self.refund = self._perform(self._child(self.capture, TransactionType.REFUND, Decimal(1), "refund"))
        self._top_up(user, card)

    def _redeem(self, user: User, value: Decimal) -> None:
        session = self.people.session
        (self.voucher,) = vouchers.create_vouchers(
            session, quantity=1, amount=value, redeem_before=None, description=None, actor=None, now=NOW
        )
        code = session.get_one(Voucher, self.voucher).code
        self.credit = vouchers.redeem(session, code=code, user=user, now=NOW).id
        session.commit()

    def _top_up(self, user: User, card: PaymentMethod) -> None:
        session = self.people.session
        package = TopUpPackage(price=Decimal(50), bonus=Decimal(2), currency="EUR", position=1)
        session.add(package)
        session.flush()
        bought = top_ups.buy(
            session, user=user, method=card, package=package, type_=VoucherType.TOP_UP, key="top-up", now=NOW
        )
        assert bought.transaction_id is not None
        self.top_up, self.top_up_charge = bought.id, bought.transaction_id
        session.commit()
        self._perform(self.top_up_charge)
        self.top_up_refund = self._perform(self._child(self.top_up_charge, TransactionType.REFUND, Decimal(3), "back"))

    def _copy_session(self, card: PaymentMethod) -> int:
        first = self.people.charge(self.balance_session)
        columns = [column.key for column in ChargingSession.__mapper__.column_attrs if column.key not in _OWN]
        row = ChargingSession(
            **{column: getattr(first, column) for column in columns},
            payment_status=PaymentStatus.PROCESSING,
            paid_from="payment_method",
            payment_method_id=card.id,
        )
        self.people.session.add(row)
        self.people.session.flush()
        price_versions.keep_history(self.people.session)
        self.people.session.commit()
        return row.id

    def _open(self, card: PaymentMethod, type_: TransactionType, total: Decimal, key: str) -> int:
        row = orders.open_transaction(
            self.people.session,
            type_=type_,
            purpose=TransactionPurpose.SESSION,
            amount=total,
            subject=Subject(user_id=self.user, currency="EUR", session_id=self.card_session),
            method=card,
            key=f"session:{self.card_session}:{key}",
            now=NOW,
        )
        self.people.session.commit()
        return row.id

    def _opened_for(self, hold: int) -> int:
        """The capture that follows when an amount is held for a session that is over."""
        found = self.people.session.query(Transaction).filter_by(parent_id=hold, type=TransactionType.CAPTURE).one()
        assert found.amount == PRICE
        return found.id

    def _child(self, parent: int, type_: TransactionType, total: Decimal, key: str) -> int:
        row = orders.open_child(
            self.people.session,
            parent=self.people.session.get_one(Transaction, parent),
            type_=type_,
            amount=total,
            key=f"session:{self.card_session}:{key}",
            now=NOW,
        )
        self.people.session.commit()
        return row.id

    def _perform(self, transaction_id: int) -> int:
        self.people.session.rollback()
        with self.app.app_context():
            status = perform.perform(transaction, transaction_id=transaction_id, clock=lambda: NOW)
        assert status is TransactionStatus.SUCCEEDED
        return transaction_id


@pytest.fixture(scope="module")
def books(app: Flask, cleaner: psycopg.Connection[Any], config: Config) -> Iterator[Books]:
    """One set of books for all: what a test plants is rolled back."""
    settings.forget()
    with app.app_context():
        made = Books(app, Cast(db.session(), config.secret_key))
        db.session.remove()
    yield made
    empty_tables(cleaner)
    settings.forget()


@pytest.fixture
def plot(books: Books, admin_url: str) -> Iterator[Session]:
    """A superuser's session whom neither triggers nor foreign keys stop; nothing of it stays."""
    engine = create_engine(sqlalchemy_url(admin_url), poolclass=NullPool)
    with Session(engine) as session:
        session.execute(text("SET session_replication_role = replica"))
        yield session
        session.rollback()


def audit(session: Session, *, now: datetime = LATER, **period: Any) -> list[str]:
    """What the audit finds."""
    return [found for _, found in run.differences_here(session, Period(now=now, **period))]


def test_books_that_agree_have_no_difference(books: Books, plot: Session) -> None:
    assert audit(plot) == []


#: what is planted, and what the audit says of it
PLANTED: dict[str, tuple[str, str]] = {
    "the price is edited in place": (
        "UPDATE charging_session SET total_gross = 3.26, total_net = 2.72, total_vat = 0.54 WHERE id = {card_session}",
        "Session {card_session} (user {user}): it costs 3.26 EUR, version 1 of its price says 4.26 for user {user}.",
    ),
    "a version of the price is skipped": (
        "UPDATE charging_session SET price_version = 3 WHERE id = {card_session}",
        "Session {card_session}: its price has version 3, but 1 are kept, the last of them 1.",
    ),
    "a correction gave back what no version says": (
        "UPDATE transaction SET correction = 1, idempotency_key = 'session:{card_session}:v1:refund:{capture}'"
        " WHERE id = {refund}",
        "Session {card_session}, version 1: 0.00 EUR were to be given back and 0.00 withdrawn; its transactions give"
        " back 1.00 and withdraw 0.00.",
    ),
    "a line is changed": (
        "UPDATE charging_session SET price_lines = jsonb_set(price_lines, '{{0,amount}}', '\"9.00\"')"
        " WHERE id = {card_session}",
        "Session {card_session}: its lines add up to 12.76 EUR, its total is 4.26 EUR.",
    ),
    "the VAT is lost": (
        "UPDATE charging_session SET total_vat = NULL WHERE id = {card_session}",
        "Session {card_session}: net 3.55 and VAT nothing are not its total of 4.26, or it has no currency.",
    ),
    "the snapshot is another": (
        "UPDATE charging_session SET tariff_snapshot = jsonb_set(tariff_snapshot, '{{vat_percent}}', '\"10\"')"
        " WHERE id = {card_session}",
        "Session {card_session}: it was billed 4.26 EUR (net 3.55, VAT 0.71); by its snapshot and readings it is 4.26"
        " EUR (net 3.87, VAT 0.39).",
    ),
    "the energy is another": (
        "UPDATE charging_session SET energy_wh = energy_wh + 1000 WHERE id = {card_session}",
        "Session {card_session}: it was billed 4.26 EUR (net 3.55, VAT 0.71); by its snapshot and readings it is 4.66"
        " EUR (net 3.88, VAT 0.78).",
    ),
    "the snapshot is gone": (
        "UPDATE charging_session SET tariff_snapshot = NULL WHERE id = {card_session}",
        "Session {card_session}: it was billed 4.26 EUR (net 3.55, VAT 0.71), but can no longer be priced: session"
        " {card_session} has no tariff",
    ),
    "nobody billed it": (
        "UPDATE charging_session SET payment_status = 'pending' WHERE id = {card_session}",
        "Session {card_session}: finished at 2026-11-22 12:40:00 UTC, its payment status is pending, its total 4.26.",
    ),
    "too little was captured": (
        "UPDATE transaction SET amount = 4.00 WHERE id = {capture}",
        "Session {card_session} (paid): its transactions come to 4.00 (0.00 written off), its total is 4.26 EUR.",
    ),
    "a charge was lost": (
        "DELETE FROM transaction WHERE id = {charge}",
        "Session {balance_session} (paid): its transactions come to 0.00 (0.00 written off), its total is 4.26 EUR.",
    ),
    "it is paid twice": (
        "INSERT INTO transaction (partner_id, type, status, amount, currency, user_id, session_id, processor,"
        " idempotency_key) VALUES (1, 'charge', 'succeeded', 4.26, 'EUR', {user}, {card_session}, 'stripe', 'again')",
        "Session {card_session} (paid): its transactions come to 8.52 (0.00 written off), its total is 4.26 EUR.",
    ),
    "it is not billed, and yet charged": (
        "UPDATE charging_session SET payment_status = 'not_billed' WHERE id = {card_session}",
        "Session {card_session} (not billed): its transactions come to 4.26 (0.00 written off), its total is 4.26 EUR.",
    ),
    "another currency": (
        "UPDATE transaction SET currency = 'BGN' WHERE id = {charge}",
        "Session {balance_session}: it is billed in EUR, its transactions are in BGN and BGN.",
    ),
    "it says it is owed": (
        "UPDATE charging_session SET payment_status = 'outstanding' WHERE id = {card_session}",
        "Session {card_session}: its payment status is outstanding, by its transactions it is paid.",
    ),
    "it says it is paid": (
        "UPDATE transaction SET status = 'outstanding' WHERE id = {capture}",
        "Session {card_session}: its payment status is paid, by its transactions it is outstanding.",
    ),
    "more is refunded than was paid": (
        "UPDATE transaction SET amount = 5.00 WHERE id = {refund}",
        "Transaction {capture} (capture of 4.26 EUR, succeeded): 5.00 EUR of it are refunded.",
    ),
    "a refund of another session": (
        "UPDATE transaction SET session_id = {balance_session} WHERE id = {refund}",
        "Transaction {refund} (refund): its parent {capture} is of another session, user, currency or purpose.",
    ),
    "a second capture": (
        "INSERT INTO transaction (partner_id, type, status, amount, currency, user_id, session_id, parent_id,"
        " processor, idempotency_key)"
        " VALUES (1, 'capture', 'succeeded', 1, 'EUR', {user}, {card_session}, {hold}, 'test', 'again')",
        "Pre-authorization {hold} (20.00 EUR, succeeded): captured 2 times, 5.26 EUR in all.",
    ),
    "a hold that was captured is open": (
        "UPDATE transaction SET closed_at = NULL WHERE id = {hold}",
        "Pre-authorization {hold}: closed at nothing, while what ended it is capture.",
    ),
    "a hold is closed by nobody": (
        "UPDATE transaction SET status = 'failed' WHERE id = {capture}",
        "Pre-authorization {hold}: closed at 2026-11-22 12:00:00 UTC, while what ended it is nothing.",
    ),
    "a balance does not follow": (
        "UPDATE ledger_entry SET balance_after = 46.00 WHERE id = {entry}",
        "Ledger entry {entry} (account {account}): 50.00 plus 0.00 minus 4.26 is not 46.00.",
    ),
    "an account says something else": (
        "UPDATE balance_account SET balance = 99 WHERE id = {account}",
        "Balance account {account} of user {user}: it says 99.00 EUR, its last entry 94.74 EUR.",
    ),
    "a charge without a debit": (
        "UPDATE transaction SET processor_reference = 'ledger:0' WHERE id = {charge}",
        "Transaction {charge}: 4.26 EUR of user {user} for session {balance_session} by ledger:0, where ledger entry"
        " nothing debits nothing.",
    ),
    "a debit without a charge": (
        "UPDATE transaction SET status = 'failed' WHERE id = {charge}",
        "Ledger entry {entry} (charging session, session {balance_session}, credit 0.00, debit 4.26): 0 transactions"
        " belong to it.",
    ),
    "a refund to the balance that nobody credited": (
        "INSERT INTO transaction (partner_id, type, status, amount, currency, user_id, session_id, parent_id,"
        " processor, processor_reference, idempotency_key)"
        " VALUES (1, 'refund', 'succeeded', 1, 'EUR', {user}, {balance_session}, {charge}, 'balance', 'ledger:0', 'b')",
        "1.00 EUR refunded to user {user} by ledger:0, where ledger entry nothing credits nothing.",
    ),
    "a voucher credited another amount": (
        "UPDATE voucher SET amount = 49 WHERE id = {voucher}",
        "redeemed at 2026-11-22 12:00:00 UTC by user {user}): ledger entry {credit} credits 50.00.",
    ),
    "a voucher that was credited is not redeemed": (
        "UPDATE voucher SET redeemed_at = NULL, user_id = NULL WHERE id = {voucher}",
        "redeemed at nothing by user nothing): ledger entry {credit} credits 50.00.",
    ),
    "a credit without a voucher": (
        "UPDATE ledger_entry SET voucher_id = NULL WHERE id = {credit}",
        "Ledger entry {credit} (voucher of 50.00 EUR for user {user}): no voucher belongs to it.",
    ),
    "a bonus that nobody gave": (
        "UPDATE voucher SET bonus = 1 WHERE id = {top_up}",
        "its amount is 52.00, 50.00 were paid and the bonus is 1.00.",
    ),
    "a top-up was charged another price": (
        "UPDATE transaction SET amount = 40 WHERE id = {top_up_charge}",
        "its price is 50.00 EUR, its payment {top_up_charge} is 40.00 EUR and succeeded.",
    ),
    "a top-up is credited but not paid": (
        "UPDATE transaction SET status = 'failed' WHERE id = {top_up_charge}",
        "its price is 50.00 EUR, its payment {top_up_charge} is 50.00 EUR and failed.",
    ),
    "a top-up is paid but not credited": (
        "UPDATE voucher SET status = 'pending', redeemed_at = NULL WHERE id = {top_up}",
        "top up, pending): its price is 50.00 EUR, its payment {top_up_charge} is 50.00 EUR and succeeded.",
    ),
    "a top-up is charged for nothing": (
        "UPDATE voucher SET transaction_id = NULL WHERE id = {top_up}",
        "Transaction {top_up_charge} (succeeded): user {user} is charged 50.00 EUR for a top-up that has no voucher.",
    ),
    "a top-up is given back and kept": (
        "UPDATE ledger_entry SET reference = 'elsewhere' WHERE reference = 'refund:{top_up_refund}'",
        "Transaction {top_up_refund}: 3.00 EUR of a top-up were given back to user {user}, where ledger entry nothing"
        " debits nothing.",
    ),
    "the processor has what we do not know": (
        "INSERT INTO test_processor_record (key, operation, reference, token, amount, currency, state)"
        " VALUES ('session:0:charge', 'charge', 'test_x', 'approve:1', 7.50, 'EUR', 'charged')",
        "charge of 7.50 EUR (key session:0:charge) is no transaction of ours.",
    ),
    "the processor charged twice": (
        "INSERT INTO test_processor_record (key, operation, reference, amount, currency, state)"
        " SELECT key || '#2', operation, 'test_y', amount, currency, state FROM test_processor_record"
        " WHERE operation = 'capture'",
        "Transaction {capture}: the Test processor did it 2 times, 8.52 EUR in all.",
    ),
    "we gave up what the processor did": (
        "UPDATE transaction SET status = 'failed' WHERE id = {refund}",
        "Transaction {refund} (refund of 1.00 EUR, failed): by the Test processor it is refund of 1.00 EUR, refunded.",
    ),
    "the processor did another amount": (
        "UPDATE test_processor_record SET amount = 2.00 WHERE operation = 'refund' AND amount = 1",
        "Transaction {refund} (refund of 1.00 EUR, succeeded): by the Test processor it is refund of 2.00 EUR,"
        " refunded.",
    ),
    "the processor did nothing": (
        "DELETE FROM test_processor_record WHERE operation = 'refund' AND amount = 1",
        "Transaction {refund} (refund of 1.00 EUR): the Test processor knows nothing of test_",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(books: Books, plot: Session, name: str) -> None:
    statement, words = (part.format(**vars(books)) for part in PLANTED[name])
    planted = plot.connection().exec_driver_sql(statement)
    assert planted.rowcount == 1
    found = audit(plot)
    assert any(words in each for each in found), found


def test_what_lasts_too_long_is_found(books: Books, plot: Session) -> None:
    plot.execute(text("UPDATE transaction SET status = 'pending' WHERE id = :id"), {"id": books.capture})
    plot.execute(text("UPDATE transaction SET closed_at = NULL WHERE id = :id"), {"id": books.hold})
    stuck = f"Transaction {books.capture} (capture of 4.26 EUR): pending since"
    held = f"Pre-authorization {books.hold} (session {books.card_session}): 20.00 EUR are still held;"
    assert not any(each.startswith((stuck, held)) for each in audit(plot, now=LATER))
    later = audit(plot, now=LATER + timedelta(days=1))
    assert any(each.startswith(stuck) for each in later)
    assert any(each.startswith(held) for each in later)


def test_only_the_period_is_audited(books: Books, plot: Session) -> None:
    plot.execute(text("UPDATE charging_session SET energy_wh = 9000 WHERE id = :id"), {"id": books.card_session})
    plot.execute(text("UPDATE transaction SET amount = 4.00 WHERE id = :id"), {"id": books.charge})
    assert len(audit(plot)) > 1
    assert audit(plot, start=NOW + timedelta(days=1)) == []
    assert audit(plot, end=NOW) == []
    assert audit(plot, start=NOW, end=NOW + timedelta(days=1)) == audit(plot)


def test_the_command(books: Books, app: Flask, cleaner: psycopg.Connection[Any]) -> None:
    runner = app.test_cli_runner()
    agreed = runner.invoke(args=["audit-money"])
    assert (agreed.exit_code, agreed.stdout) == (0, f"No difference in {len(run.CHECKS)} checks.\n")
    cleaner.execute("UPDATE charging_session SET payment_status = 'outstanding' WHERE id = %s", (books.card_session,))
    try:
        differs = runner.invoke(args=["audit-money", "--from", "2026-11-01"])
        assert differs.exit_code == 1
        assert differs.stdout == (
            "Not so: the payment status of a session fits its transactions\n"
            f"  Session {books.card_session}: its payment status is outstanding, by its transactions it is paid.\n"
        )
        assert differs.stderr == "audit-money: 1 difference\n"
        assert runner.invoke(args=["audit-money", "--to", "2026-11-01"]).exit_code == 0
    finally:
        cleaner.execute("UPDATE charging_session SET payment_status = 'paid' WHERE id = %s", (books.card_session,))
    wrong = runner.invoke(args=["audit-money", "--from", "yesterday"])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("audit-money: a date or time such as 2026-11-01")


@pytest.mark.parametrize(
    ("value", "words"), [("5", "5.00"), ("0.1250", "0.125"), ("100", "100.00"), ("1E+2", "100.00"), ("-3.10", "-3.10")]
)
def test_amounts_in_words(value: str, words: str) -> None:
    assert amount(Decimal(value)) == words
