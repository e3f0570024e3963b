"""The ledger: balances that add up, entries that happen once, users that never race."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from app.billing import ledger
from app.billing.models import BalanceAccount, LedgerEntry, LedgerEntryType
from app.core import events
from app.core.actions import ReasonRequired
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin, Role
from app.core.money import round_minor
from app.crm.models import User

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
SESSION = LedgerEntryType.CHARGING_SESSION
TOP_UP = LedgerEntryType.OPERATOR_TOP_UP


@pytest.fixture
def driver(session: Session) -> User:
    user = User(email="driver@example.com", first_name="Vera", last_name="Ivanova")
    session.add(user)
    session.commit()
    return user


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What is told after commits from now on."""
    heard: list[dict[str, object]] = []
    monkeypatch.setattr(events, "publish", heard.extend)
    return heard


def _credit(session: Session, user: User, amount: str, reference: str, **more: object) -> LedgerEntry:
    return ledger.credit(
        session,
        user_id=user.id,
        amount=Decimal(amount),
        reference=reference,
        **{"currency": "EUR", "type": TOP_UP, "now": NOW, **more},
    )


def _debit(session: Session, user: User, amount: str, reference: str, **more: object) -> LedgerEntry:
    return ledger.debit(
        session,
        user_id=user.id,
        amount=Decimal(amount),
        reference=reference,
        **{"currency": "EUR", "type": SESSION, "now": NOW, **more},
    )


def test_an_entry_carries_the_balance_after_it(session: Session, driver: User) -> None:
    first = _credit(session, driver, "52.65", "a")
    second = _debit(session, driver, "3.35", "b", now=NOW + timedelta(hours=1), description="Session 7")
    assert (first.credit, first.debit, first.balance_after) == (Decimal("52.65"), 0, Decimal("52.65"))
    assert (second.credit, second.debit, second.balance_after) == (0, Decimal("3.35"), Decimal("49.30"))
    assert (second.at, second.type, second.description) == (NOW + timedelta(hours=1), SESSION, "Session 7")
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == Decimal("49.30")
    assert ledger.outstanding(session, user_id=driver.id, currency="EUR") == 0


def test_a_user_nothing_was_booked_for_has_nothing_and_owes_nothing(session: Session, driver: User) -> None:
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == 0
    assert ledger.outstanding(session, user_id=driver.id, currency="EUR") == 0
    assert session.scalar(select(func.count()).select_from(BalanceAccount)) == 0


def test_currencies_are_separate_accounts(session: Session, driver: User) -> None:
    _credit(session, driver, "10", "a")
    _credit(session, driver, "7", "b", currency="GBP")
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == 10
    assert ledger.balance(session, user_id=driver.id, currency="GBP") == 7


def test_the_same_reference_again_is_the_first_entry(session: Session, driver: User) -> None:
    _credit(session, driver, "50", "top-up")
    first = _debit(session, driver, "3.35", "session:7:charge")
    again = _debit(session, driver, "3.35", "session:7:charge", now=NOW + timedelta(days=1))
    assert again.id == first.id
    assert again.at == NOW
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == Decimal("46.65")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda s, u, v: _debit(s, u, "3.36", "r"), id="another amount"),
        pytest.param(lambda s, u, v: _credit(s, u, "3.35", "r", type=SESSION), id="the other side"),
        pytest.param(lambda s, u, v: _debit(s, u, "3.35", "r", type=TOP_UP), id="another type"),
        pytest.param(lambda s, u, v: _debit(s, u, "3.35", "r", currency="GBP"), id="another currency"),
        pytest.param(lambda s, u, v: _debit(s, v, "3.35", "r"), id="another user"),
    ],
)
def test_one_reference_is_one_movement(
    session: Session, driver: User, other: Callable[[Session, User, User], LedgerEntry]
) -> None:
    somebody = User(email="else@example.com")
    session.add(somebody)
    _debit(session, driver, "3.35", "r")
    with pytest.raises(ledger.LedgerConflict, match="'r' is already booked as Charging session"):
        other(session, driver, somebody)
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == Decimal("-3.35")
    assert ledger.balance(session, user_id=somebody.id, currency="EUR") == 0


def test_a_debit_may_go_below_zero_and_that_is_owed(session: Session, driver: User) -> None:
    _credit(session, driver, "5", "a")
    entry = _debit(session, driver, "7.50", "b")
    assert entry.balance_after == Decimal("-2.50")
    assert ledger.outstanding(session, user_id=driver.id, currency="EUR") == Decimal("2.50")


@pytest.mark.parametrize(
    ("amount", "currency", "message"),
    [
        ("0", "EUR", "an amount above zero is expected, not 0"),
        ("-1", "EUR", "an amount above zero is expected, not -1"),
        ("0.004", "EUR", "0.004 has more decimals than EUR, which has 2"),
        ("1.5", "TWD", "1.5 has more decimals than TWD, which has none"),
    ],
)
@pytest.mark.parametrize("book", [_credit, _debit])
def test_only_payable_amounts_above_zero(
    session: Session,
    driver: User,
    book: Callable[..., LedgerEntry],
    amount: str,
    currency: str,
    message: str,
) -> None:
    with pytest.raises(ledger.InvalidLedgerAmount, match=message):
        book(session, driver, amount, "r", currency=currency)
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0


def test_floats_and_unknown_currencies_are_refused(session: Session, driver: User) -> None:
    with pytest.raises(TypeError, match="Money is Decimal"):
        ledger.credit(session, user_id=driver.id, amount=1.5, currency="EUR", type=TOP_UP, reference="r", now=NOW)
    with pytest.raises(ledger.UnknownCurrency, match="no currency 'XTS'"):
        _credit(session, driver, "1", "r", currency="XTS")


def test_entries_are_never_changed_or_removed(session: Session, driver: User) -> None:
    _credit(session, driver, "5", "a")
    session.commit()
    for statement in ("UPDATE ledger_entry SET credit = 6", "DELETE FROM ledger_entry"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            session.execute(text(statement))
        session.rollback()


def test_the_news_that_a_debt_is_settled(session: Session, driver: User, settled: list[dict[str, object]]) -> None:
    _debit(session, driver, "10", "a")
    session.commit()
    assert settled == []
    _credit(session, driver, "4", "b")
    assert settled == [], "not before the commit"
    session.commit()
    assert len(settled) == 1, "a part of it may pay the oldest session"
    _credit(session, driver, "6", "c")
    session.commit()
    assert settled == 2 * [{"name": "balance.settled", "partner_id": 1, "user_id": driver.id, "currency": "EUR"}]
    _credit(session, driver, "6", "c")
    _credit(session, driver, "1", "d")
    session.commit()
    assert len(settled) == 2, "neither a repetition nor a further credit settles anything"


def test_add_balance_is_an_action_and_an_entry(session: Session, driver: User) -> None:
    role = session.scalars(select(Role).where(Role.name == "Operator")).one()
    operator = Admin(email="op@example.com", name="Olga", role=role)
    session.add(operator)
    session.flush()
    entry = ledger.add_balance(
        session,
        user=driver,
        amount=Decimal("5"),
        currency="EUR",
        reason=" Station was down ",
        actor=operator,
        now=NOW,
    )
    session.commit()
    action = session.scalars(select(Action)).one()
    assert (action.name, action.status, action.reason) == (
        "Add balance",
        ActionStatus.FINISHED,
        "Station was down",
    )
    assert (action.target_type, action.target_id, action.target_label) == (
        "user_account",
        driver.id,
        "driver@example.com",
    )
    assert (action.admin_id, action.initiated_by, action.info) == (operator.id, "Olga", "5.00 EUR")
    assert (entry.action_id, entry.type, entry.credit) == (action.id, TOP_UP, 5)
    assert ledger.balance(session, user_id=driver.id, currency="EUR") == 5


def test_add_balance_needs_a_reason_and_a_payable_amount(session: Session, driver: User) -> None:
    for amount, reason, error in (
        (Decimal("5"), "  ", ReasonRequired),
        (Decimal("0.001"), "because", ledger.InvalidLedgerAmount),
        (Decimal("-5"), "because", ledger.InvalidLedgerAmount),
    ):
        with pytest.raises(error):
            ledger.add_balance(session, user=driver, amount=amount, currency="EUR", reason=reason, actor=None, now=NOW)
    assert session.scalar(select(func.count()).select_from(Action)) == 0
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0


def _in_threads(app: Flask, works: list[Callable[[Session], None]]) -> list[Exception]:
    """Run each on a connection of its own, all starting together. Returns what was raised."""
    start = threading.Barrier(len(works))
    errors: list[Exception] = []

    def run(work: Callable[[Session], None]) -> None:
        with Session(engine) as own:
            start.wait()
            try:
                work(own)
                own.commit()
            except Exception as error:  # handed to the test, which says what it expected
                errors.append(error)

    with app.app_context():
        engine = db.engine
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return errors


def test_two_connections_never_race_for_one_account(clean: Flask, session: Session, driver: User) -> None:
    user_id = driver.id

    def book(first: int) -> Callable[[Session], None]:
        def work(own: Session) -> None:
            for number in range(first, first + 40):
                amount = Decimal(number % 7 + 1) / 100
                move = ledger.credit if number % 3 else ledger.debit
                move(
                    own,
                    user_id=user_id,
                    amount=amount,
                    currency="EUR",
                    type=TOP_UP,
                    reference=f"race:{number}",
                    now=NOW,
                )
                own.commit()

        return work

    assert _in_threads(clean, [book(0), book(40)]) == []
    entries = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id)).all()
    assert len(entries) == 80
    assert session.scalar(select(func.count()).select_from(BalanceAccount)) == 1
    running = Decimal(0)
    for entry in entries:
        running += entry.credit - entry.debit
        assert entry.balance_after == running
    assert ledger.balance(session, user_id=user_id, currency="EUR") == running


def test_one_reference_raced_for_is_booked_once(clean: Flask, session: Session, driver: User) -> None:
    user_id, found = driver.id, []

    def work(own: Session) -> None:
        entry = ledger.debit(
            own,
            user_id=user_id,
            amount=Decimal("3.35"),
            currency="EUR",
            type=SESSION,
            reference="session:7:charge",
            now=NOW,
        )
        found.append(entry.id)

    assert _in_threads(clean, [work] * 6) == []
    assert len(set(found)) == 1
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 1
    assert ledger.balance(session, user_id=user_id, currency="EUR") == Decimal("-3.35")


def test_one_reference_raced_for_by_two_users_is_one_users(clean: Flask, session: Session, driver: User) -> None:
    other = User(email="else@example.com")
    session.add(other)
    session.commit()
    ids = [driver.id, other.id]

    def book(user_id: int) -> Callable[[Session], None]:
        def work(own: Session) -> None:
            ledger.debit(
                own,
                user_id=user_id,
                amount=Decimal("1"),
                currency="EUR",
                type=SESSION,
                reference="once",
                now=NOW,
            )

        return work

    errors = _in_threads(clean, [book(user_id) for user_id in ids])
    assert [type(error) for error in errors] == [ledger.LedgerConflict]
    balances = sorted(ledger.balance(session, user_id=user_id, currency="EUR") for user_id in ids)
    assert balances == [-1, 0]


@given(cents=st.lists(st.integers(-500, 500).filter(bool), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_balance_is_the_sum_of_the_entries(clean: Flask, cents: list[int]) -> None:
    with clean.app_context():
        session = db.session()
        user = User(email=f"{datetime.now(UTC).timestamp()}@example.com")
        session.add(user)
        session.flush()
        for number, amount in enumerate(cents):
            book = _credit if amount > 0 else _debit
            book(session, user, str(abs(Decimal(amount).scaleb(-2))), f"{user.email}:{number}")
        expected = round_minor(Decimal(sum(cents)).scaleb(-2), 2)
        assert ledger.balance(session, user_id=user.id, currency="EUR") == expected
        assert ledger.outstanding(session, user_id=user.id, currency="EUR") == max(0, -expected)
        session.rollback()
