"""What a user's page and list show of the floors above CRM: balance, charges, spending.

Read here, because CRM itself knows nothing of billing and charging.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select
from sqlalchemy.orm import Session, joinedload

from app.billing.models import BalanceAccount, LedgerEntry
from app.charging.flags import DEMO, flagged
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession
from app.core.db import db
from app.core.rates import BASE_CURRENCY
from app.core.settings import get_text
from app.crm.models import User
from app.tariffs.models import Tariff, tariff_user_group

LEDGER_ROWS = 20


@dataclass(frozen=True)
class UserFigures:
    """How much a user charged and spent, and when last. Energy in Wh, amounts with VAT, one per currency."""

    session_count: int
    energy_wh: Decimal
    spent: tuple[tuple[str, Decimal], ...]
    last_session_at: datetime | None


def _base_currency() -> str:
    return get_text(db.session(), BASE_CURRENCY)


def balance_sql() -> ColumnElement[Decimal]:
    """A user's balance in the base currency of the moment, 0 where nothing was booked; for sorting and filters."""
    stored: Select[Any] = select(BalanceAccount.balance).where(
        BalanceAccount.user_id == User.id,
        BalanceAccount.currency == bindparam("base_currency", callable_=_base_currency),
    )
    return func.coalesce(stored.correlate(User).scalar_subquery(), 0)


def full_name_sql() -> ColumnElement[str]:
    """What ``User.full_name`` says, for sorting."""
    names = func.trim(User.first_name + " " + User.last_name)
    return func.lower(func.coalesce(func.nullif(names, ""), User.email))


def balances(session: Session, *, user_ids: Sequence[int]) -> dict[int, tuple[tuple[str, Decimal], ...]]:
    """Each user's balance in the base currency, and in other currencies where it is not 0."""
    base = get_text(session, BASE_CURRENCY)
    query = (
        select(BalanceAccount.user_id, BalanceAccount.currency, BalanceAccount.balance)
        .where(BalanceAccount.user_id.in_(user_ids))
        .order_by(BalanceAccount.currency)
    )
    found: dict[int, dict[str, Decimal]] = {user_id: {base: Decimal(0)} for user_id in user_ids}
    for user_id, currency, amount in session.execute(query):
        if currency == base or amount:
            found[user_id][currency] = amount
    return {user_id: tuple(amounts.items()) for user_id, amounts in found.items()}


def user_figures(session: Session, *, user_id: int) -> UserFigures:
    """What a user charged and spent in all. Failed and mock sessions are no charges; running ones count as they are.

    Every session of the user is read: asked for beside the page, not before it.
    """
    rows = session.execute(
        select(
            ChargingSession.currency,
            func.count(),
            func.coalesce(func.sum(ChargingSession.energy_wh), 0),
            func.sum(ChargingSession.total_gross),
            func.max(ChargingSession.started_at),
        )
        .where(
            ChargingSession.user_id == user_id,
            ~flagged(DEMO),
            ChargingSession.status.in_((SessionStatus.ACTIVE, SessionStatus.STOPPING, SessionStatus.FINISHED)),
        )
        .group_by(ChargingSession.currency)
        .order_by(ChargingSession.currency)
    ).all()
    spent = tuple((currency, total) for currency, _, _, total, _ in rows if currency and total)
    return UserFigures(
        session_count=sum(row[1] for row in rows),
        energy_wh=sum((row[2] for row in rows), Decimal(0)),
        spent=spent or ((get_text(session, BASE_CURRENCY), Decimal(0)),),
        last_session_at=max((row[4] for row in rows if row[4] is not None), default=None),
    )


def ledger_page(session: Session, *, user_id: int, page: int) -> tuple[list[LedgerEntry], int]:
    """A page of a user's balance history, last booked first, and how many entries there are. Manual, "Balance"."""
    of_user = LedgerEntry.account_id.in_(select(BalanceAccount.id).where(BalanceAccount.user_id == user_id))
    count = session.scalar(select(func.count()).select_from(LedgerEntry).where(of_user)) or 0
    query = (
        select(LedgerEntry)
        .where(of_user)
        .options(joinedload(LedgerEntry.account), joinedload(LedgerEntry.voucher))
        .order_by(LedgerEntry.id.desc())
        .limit(LEDGER_ROWS)
        .offset(page * LEDGER_ROWS)
    )
    return list(session.scalars(query)), count


def tariffs_of_groups(session: Session, *, group_ids: Sequence[int]) -> dict[int, list[Tariff]]:
    """The tariffs restricted to each of these user groups."""
    column = tariff_user_group.c.user_group_id
    query = (
        select(column, Tariff)
        .join(Tariff, Tariff.id == tariff_user_group.c.tariff_id)
        .where(column.in_(group_ids))
        .order_by(Tariff.name)
    )
    found: dict[int, list[Tariff]] = {}
    for group_id, tariff in session.execute(query):
        found.setdefault(group_id, []).append(tariff)
    return found
