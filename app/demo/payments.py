"""How the past was paid: top-ups, one debit or charge per session that cost something, refunds, final balances.

References and keys are the live product's, so that billing any of these sessions again changes nothing, and
`flask --app wsgi audit-money` finds no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy.orm import Session

from app.billing.ledger import ADD_BALANCE
from app.billing.models import LedgerEntryType, TransactionStatus, TransactionType
from app.billing.payments.refunds import REFUND
from app.core.actions import open_action
from app.core.models import ActionStatus, Admin
from app.crm.models import User
from app.demo import transactions, vouchers
from app.demo.bulk import copy_rows, reserve_ids
from app.demo.history import Visit
from app.demo.people import Driver
from app.demo.transactions import Entry

_TOP_UPS = (Decimal("25.00"), Decimal("50.00"), Decimal("50.00"), Decimal("100.00"))
#: a balance below this is topped up after the charge that made it so
_LOW = Decimal("20.00")
#: simulated cars are many times livelier than real ones, so the demo's drivers begin with something in hand
IN_HAND = Decimal("150.00")
#: the last charge of so many drivers was declined; so many charges by card were given back, half of them in full
_DECLINED, _REFUNDED = 4, 12
_GOODWILL = (
    "The cable was stuck for half an hour",
    "Charged twice by the old system",
    "Station went out of order during the charge",
    "Thanks for reporting the damaged screen",
)


@dataclass
class _Movement:
    at: datetime
    driver: Driver
    type: LedgerEntryType
    signed_amount: Decimal
    reference: str
    description: str | None = None
    visit: Visit | None = None
    action_id: int | None = None
    voucher: vouchers.Row | None = None
    balance_after: Decimal = Decimal(0)
    id: int = 0


def plan(rng: Random, *, visits: Sequence[Visit], now: datetime) -> None:
    """Say which charges by card were declined, and which were given back."""
    by_card = [visit for visit in visits if visit.pays_by_card and visit.gross]
    last = {visit.driver.id: visit for visit in sorted(by_card, key=lambda visit: visit.received_at)}
    for visit in rng.sample(list(last.values()), min(_DECLINED, len(last))):
        visit.declined = True
    fit = [visit for visit in by_card if not visit.declined and visit.gross > 2 and visit.received_at < now]
    for number, visit in enumerate(rng.sample(fit, min(_REFUNDED, len(fit)))):
        visit.refunded = visit.gross if number % 2 else Decimal("2.00")


def pay(
    session: Session,
    rng: Random,
    *,
    visits: Sequence[Visit],
    drivers: Sequence[Driver],
    currency: str,
    actor: Admin | None,
    now: datetime,
) -> None:
    """Write accounts, vouchers, ledger and transactions of what the visits cost. No balance falls below zero."""
    packages = vouchers.make_packages(session, currency=currency)
    payers = [driver for driver in drivers if driver.card is None or not driver.card.pays_sessions]
    movements = _movements(rng, [visit for visit in visits if not visit.pays_by_card], payers, now)
    _thank(session, rng, movements, actor)
    movements.sort(key=lambda movement: movement.at)
    balances = {driver.id: Decimal(0) for driver in payers}
    ids = reserve_ids(session, "ledger_entry", len(movements))
    for movement, number in zip(movements, ids, strict=True):
        balances[movement.driver.id] += movement.signed_amount
        movement.id, movement.balance_after = number, balances[movement.driver.id]
    accounts = dict(zip(balances, reserve_ids(session, "balance_account", len(balances)), strict=True))
    copy_rows(
        session,
        "balance_account",
        ("id", "user_id", "currency", "balance"),
        ((accounts[user_id], user_id, currency, balance) for user_id, balance in balances.items()),
    )
    bought = [movement.voucher for movement in movements if movement.voucher is not None]
    entries = [
        *(_debit_entry(movement) for movement in movements if movement.visit is not None),
        *_card_entries(session, rng, visits, actor),
        *(voucher.charge for voucher in bought if voucher.charge is not None),
    ]
    transactions.number(session, entries)
    transactions.write(session, entries, currency=currency)
    vouchers.write(session, rng, bought, packages=packages, currency=currency, actor=actor)
    _write_ledger(session, movements, accounts)
    vouchers.make_campaigns(session, currency=currency, actor=actor, now=now)
    vouchers.order_auto_top_ups(session, drivers=drivers, package=packages[Decimal(50)], now=now)


def _debit_entry(movement: _Movement) -> Entry:
    return Entry(
        at=movement.at,
        driver=movement.driver,
        type=TransactionType.CHARGE,
        amount=-movement.signed_amount,
        key=movement.reference,
        by_card=False,
        visit=movement.visit,
        ledger_entry_id=movement.id,
    )


def _card_entries(session: Session, rng: Random, visits: Sequence[Visit], actor: Admin | None) -> list[Entry]:
    """Charges by card, and what was given back of them."""
    found: list[Entry] = []
    for visit in visits:
        if not (visit.pays_by_card and visit.gross):
            continue
        charge = Entry(
            at=visit.received_at,
            driver=visit.driver,
            type=TransactionType.CHARGE,
            amount=visit.gross,
            key=charge_reference(visit),
            by_card=True,
            status=TransactionStatus.OUTSTANDING if visit.declined else TransactionStatus.SUCCEEDED,
            visit=visit,
        )
        found.append(charge)
        if visit.refunded:
            reason = rng.choice(_GOODWILL)
            at = visit.received_at + timedelta(minutes=7)
            open_action(
                session,
                name=REFUND,
                target_type="charging_session",
                target_id=visit.id,
                target_label=f"Session {visit.id}",
                reason=reason,
                actor=actor,
                status=ActionStatus.FINISHED,
                info=f"{visit.refunded} EUR",
                user_id=visit.driver.id,
                now=at,
            )
            found.append(
                Entry(
                    at=at,
                    driver=visit.driver,
                    type=TransactionType.REFUND,
                    amount=visit.refunded,
                    key=f"session:{visit.id}:refund",
                    by_card=True,
                    visit=visit,
                    parent=charge,
                    description=reason,
                )
            )
    return found


def _movements(rng: Random, visits: Sequence[Visit], drivers: Sequence[Driver], now: datetime) -> list[_Movement]:
    """Debits in the order of time, and the top-ups that were needed; balances by driver as they go."""
    found: list[_Movement] = []
    balances: dict[int, Decimal] = {}

    def top_up(driver: Driver, at: datetime, price: Decimal) -> None:
        voucher = vouchers.bought(driver, at, price, number=len(found))
        balances[driver.id] = balances.get(driver.id, Decimal(0)) + voucher.amount
        found.append(_Movement(at, driver, voucher.entry_type, voucher.amount, f"demo:{len(found)}", voucher=voucher))

    first = min(visit.at for visit in visits)
    for driver in drivers:
        top_up(driver, first - timedelta(hours=rng.randint(2, 96)), rng.choice(_TOP_UPS))
    for visit in sorted(visits, key=lambda visit: visit.received_at):
        driver = visit.driver
        if not visit.gross:
            continue
        while balances[driver.id] < visit.gross:
            top_up(driver, visit.at - timedelta(seconds=90), rng.choice(_TOP_UPS))
        balances[driver.id] -= visit.gross
        found.append(
            _Movement(
                at=visit.received_at,
                driver=driver,
                type=LedgerEntryType.CHARGING_SESSION,
                signed_amount=-visit.gross,
                reference=charge_reference(visit),
                description=f"Charging session {visit.id}",
                visit=visit,
            )
        )
        if balances[driver.id] < _LOW:
            top_up(driver, visit.received_at + timedelta(seconds=rng.randint(60, 900)), rng.choice(_TOP_UPS))
    for driver in drivers:
        while balances[driver.id] < IN_HAND:
            top_up(driver, now - timedelta(minutes=rng.randint(1, 9)), Decimal("100.00"))
    return found


def charge_reference(visit: Visit) -> str:
    """The reference of a session's debit and the key of its transaction."""
    return f"session:{visit.id}:charge"


def _thank(session: Session, rng: Random, movements: list[_Movement], actor: Admin | None) -> None:
    """A few credits by the operator, each an action with a reason."""
    charges = [movement for movement in movements if movement.visit is not None]
    for movement in rng.sample(charges, min(12, len(charges))):
        at, user = movement.at + timedelta(seconds=30), movement.driver.user
        action = open_action(
            session,
            name=ADD_BALANCE,
            target_type=User.__tablename__,
            target_id=user.id,
            target_label=user.email,
            reason=rng.choice(_GOODWILL),
            actor=actor,
            status=ActionStatus.FINISHED,
            info="5.00 EUR",
            now=at,
        )
        movements.append(
            _Movement(
                at=at,
                driver=movement.driver,
                type=LedgerEntryType.OPERATOR_TOP_UP,
                signed_amount=Decimal("5.00"),
                reference=f"action:{action.id}:top-up",
                description=action.reason,
                action_id=action.id,
                voucher=vouchers.given(movement.driver, at, Decimal("5.00"), action=action),
            )
        )


def _write_ledger(session: Session, movements: Sequence[_Movement], accounts: dict[int, int]) -> None:
    def row(movement: _Movement) -> tuple[Any, ...]:
        amount = movement.signed_amount
        return (
            movement.id, accounts[movement.driver.id], movement.at, movement.type, movement.reference,
            max(amount, Decimal(0)), max(-amount, Decimal(0)), movement.balance_after,
            movement.visit.id if movement.visit else None, movement.action_id, movement.description,
            movement.voucher.id if movement.voucher else None,
        )  # fmt: skip

    columns = (
        "id", "account_id", "at", "type", "reference", "credit", "debit", "balance_after", "session_id", "action_id",
        "description", "voucher_id",
    )  # fmt: skip
    copy_rows(session, "ledger_entry", columns, map(row, movements))
