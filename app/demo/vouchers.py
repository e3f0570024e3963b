"""The demo's vouchers: top-ups of the past, campaigns that still run, packages and standing orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sqlalchemy.orm import Session

from app.billing.codes import ALPHABET, LENGTH, issue_many
from app.billing.models import (
    AutoTopUp,
    LedgerEntryType,
    TopUpPackage,
    TransactionPurpose,
    TransactionType,
    VoucherStatus,
    VoucherType,
)
from app.core.models import Action, Admin
from app.demo.bulk import copy_rows, reserve_ids
from app.demo.people import Driver
from app.demo.transactions import Entry

#: price → bonus; manual, "Top-Up Packages": 50 + 2 is 52
_BONUSES: Mapping[Decimal, Decimal] = {Decimal(25): Decimal(0), Decimal(50): Decimal(2), Decimal(100): Decimal(6)}

_ENTRY_TYPES = {
    VoucherType.VOUCHER: LedgerEntryType.VOUCHER,
    VoucherType.TOP_UP: LedgerEntryType.TOP_UP,
    VoucherType.AUTO_TOP_UP: LedgerEntryType.AUTO_TOP_UP,
    VoucherType.OPERATOR_TOP_UP: LedgerEntryType.OPERATOR_TOP_UP,
}


@dataclass
class Row:
    """A redeemed voucher; ``price`` None: nobody paid for it."""

    driver: Driver
    at: datetime
    type: VoucherType
    amount: Decimal
    price: Decimal | None = None
    charge: Entry | None = None
    action: Action | None = None
    id: int = 0

    @property
    def entry_type(self) -> LedgerEntryType:
        """As what it stands in the ledger."""
        return _ENTRY_TYPES[self.type]


def bought(driver: Driver, at: datetime, price: Decimal, *, number: int) -> Row:
    """A top-up: a package by card for who has one, else a voucher bought elsewhere."""
    if driver.card is None:
        return Row(driver, at, VoucherType.VOUCHER, price)
    charge = Entry(
        at=at,
        driver=driver,
        type=TransactionType.CHARGE,
        amount=price,
        key=f"demo:top-up:{number}",
        by_card=True,
        purpose=TransactionPurpose.TOP_UP,
    )
    kind = VoucherType.AUTO_TOP_UP if driver.card.tops_up_by_itself else VoucherType.TOP_UP
    return Row(driver, at, kind, price + _BONUSES[price], price, charge)


def given(driver: Driver, at: datetime, amount: Decimal, *, action: Action) -> Row:
    """What an operator added."""
    return Row(driver, at, VoucherType.OPERATOR_TOP_UP, amount, action=action)


def make_packages(session: Session, *, currency: str) -> dict[Decimal, TopUpPackage]:
    """The packages on sale, by their price."""
    packages = {
        price: TopUpPackage(price=price, bonus=bonus, currency=currency, position=position)
        for position, (price, bonus) in enumerate(_BONUSES.items(), start=1)
    }
    session.add_all(packages.values())
    session.flush()
    return packages


def write(
    session: Session,
    rng: Random,
    rows: Sequence[Row],
    *,
    packages: Mapping[Decimal, TopUpPackage],
    currency: str,
    actor: Admin | None,
) -> None:
    """Number and write redeemed vouchers; their charges are written already."""
    codes: set[str] = set()
    while len(codes) < len(rows):
        codes.add("".join(rng.choices(ALPHABET, k=LENGTH)))

    def values(row: Row, code: str) -> tuple[Any, ...]:
        by_operator = row.type in (VoucherType.VOUCHER, VoucherType.OPERATOR_TOP_UP)
        return (
            row.id, code, row.type, VoucherStatus.ACTIVE,
            row.at - timedelta(days=3) if row.type is VoucherType.VOUCHER else row.at,
            row.amount, row.price, row.amount - row.price if row.price is not None else 0, currency, row.at,
            row.driver.id, actor.id if actor and by_operator else None, actor.name if actor and by_operator else "",
            row.action.reason if row.action else None, packages[row.price].id if row.price is not None else None,
            row.charge.id if row.charge else None, row.action.id if row.action else None,
        )  # fmt: skip

    for row, number in zip(rows, reserve_ids(session, "voucher", len(rows)), strict=True):
        row.id = number
    columns = (
        "id", "code", "type", "status", "created_at", "amount", "paid_amount", "bonus", "currency", "redeemed_at",
        "user_id", "created_by_id", "created_by", "description", "package_id", "transaction_id", "action_id",
    )  # fmt: skip
    copy_rows(session, "voucher", columns, (values(row, code) for row, code in zip(rows, sorted(codes), strict=True)))


def make_campaigns(session: Session, *, currency: str, actor: Admin | None, now: datetime) -> None:
    """Vouchers that wait to be redeemed, that nobody redeemed in time, and that were cancelled."""
    common = {
        "type": VoucherType.VOUCHER,
        "currency": currency,
        "created_by_id": actor.id if actor else None,
        "created_by": actor.name if actor else "",
    }
    for quantity, status, amount, created, before, words in (
        (40, VoucherStatus.ACTIVE, Decimal(20), 12, 48, "Autumn campaign"),
        (12, VoucherStatus.ACTIVE, Decimal(50), 5, None, "Fleet customers"),
        (15, VoucherStatus.EXPIRED, Decimal(10), 70, -9, "Summer fair"),
        (3, VoucherStatus.CANCELLED, Decimal(20), 12, 48, "Printed twice"),
    ):
        issue_many(
            session,
            quantity,
            **common,
            status=status,
            amount=amount,
            created_at=now - timedelta(days=created),
            redeem_before=(now + timedelta(days=before)).date() if before is not None else None,
            description=words,
        )


def order_auto_top_ups(session: Session, *, drivers: Sequence[Driver], package: TopUpPackage, now: datetime) -> None:
    """The standing orders of those whose card tops up by itself."""
    session.add_all(
        AutoTopUp(
            user_id=driver.id,
            package_id=package.id,
            payment_method_id=driver.card.id,
            enabled_at=now - timedelta(days=90),
        )
        for driver in drivers
        if driver.card is not None and driver.card.tops_up_by_itself
    )
    session.flush()
