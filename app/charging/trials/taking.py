"""Which sessions a trial looks at, in the order they ended, a batch at a time.

Those the tariff has priced, in any of its versions. A tariff that has priced none in the period, because it is new or
was attached only now: those at the EVSEs of its tariff groups whose driver would get it today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, literal, select, tuple_
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging.flags import DEMO
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession
from app.crm.models import user_group_member
from app.tariffs import queries as tariff_queries
from app.tariffs.models import TariffGroupTariff, TariffTrial
from app.tariffs.selection import AttachedTariff, DriverFacts, Restrictions, select_tariff

TakenRow = Row[Any]


class Basis(StrEnum):
    """Why the sessions of a trial are those."""

    PRICED = "priced"
    SELECTED = "selected"


def choose_basis(session: Session, trial: TariffTrial) -> tuple[Basis, int]:
    """Which sessions to look at, and how many they are."""
    for basis in Basis:
        count = session.scalar(_concerned(select(func.count()), trial, basis)) or 0
        if count or basis is Basis.SELECTED:
            return basis, count
    raise AssertionError("unreachable")


def next_rows(session: Session, trial: TariffTrial, *, limit: int) -> Sequence[TakenRow]:
    """The sessions after the one that was reached, in the order they ended."""
    row = ChargingSession
    query = _concerned(
        select(
            row.id,
            row.started_at,
            row.stopped_at,
            row.last_reading_at,
            row.charging_ended_at,
            row.created_at,
            row.energy_wh,
            row.currency,
            row.total_gross,
            row.tariff_snapshot["timezone"].astext.label("timezone"),
            row.user_id,
            row.partner_id,
            row.evse_id,
        ),
        trial,
        Basis(trial.basis or Basis.PRICED),
    )
    if trial.reached_at is not None:
        query = query.where(
            row.stopped_at >= trial.reached_at,
            tuple_(row.stopped_at, row.id) > tuple_(literal(trial.reached_at), literal(trial.reached_id)),
        )
    return session.execute(query.order_by(row.stopped_at, row.id).limit(limit)).all()


def _concerned(query: Select[Any], trial: TariffTrial, basis: Basis) -> Select[Any]:
    row = ChargingSession
    billed: ColumnElement[bool] = and_(
        row.status == SessionStatus.FINISHED,
        row.total_gross.is_not(None),
        row.stopped_at >= trial.period_from,
        row.stopped_at < trial.period_to,
        literal(DEMO) != func.all(row.flags),
    )
    if basis is Basis.PRICED:
        return query.select_from(row).where(billed, row.tariff_id == trial.tariff_id)
    groups = select(TariffGroupTariff.tariff_group_id).where(TariffGroupTariff.tariff_id == trial.tariff_id)
    evses = select(Evse.id).where(Evse.tariff_group_id.in_(groups))
    return query.select_from(row).where(billed, row.evse_id.in_(evses))


class WouldGet:
    """Whether drivers would get the tariff now, with the restrictions of its draft."""

    def __init__(self, session: Session, *, tariff_id: int, restrictions: Restrictions) -> None:
        self._tariff_id = tariff_id
        links = select(TariffGroupTariff.tariff_group_id).where(TariffGroupTariff.tariff_id == tariff_id)
        self._groups = {
            group_id: [
                replace(attached, restrictions=restrictions) if attached.tariff_id == tariff_id else attached
                for attached in tariff_queries.attached_tariffs(session, tariff_group_id=group_id)
            ]
            for group_id in session.scalars(links)
        }
        evses = session.execute(select(Evse.id, Evse.tariff_group_id).where(Evse.tariff_group_id.in_(self._groups)))
        self._group_of_evse: dict[int, int | None] = {row.id: row.tariff_group_id for row in evses}
        self._verdict = cache(self._decide)

    def among(self, session: Session, rows: Sequence[TakenRow]) -> list[TakenRow]:
        """Those of the sessions whose driver would get it."""
        users = {row.user_id for row in rows if row.user_id is not None}
        memberships: dict[int, set[int]] = {}
        table = user_group_member.c
        for user_id, group_id in session.execute(
            select(table.user_id, table.user_group_id).where(table.user_id.in_(users))
        ):
            memberships.setdefault(user_id, set()).add(group_id)
        return [
            row
            for row in rows
            if self._verdict(
                self._group_of_evse.get(row.evse_id),
                row.user_id is not None,
                frozenset(memberships.get(row.user_id, ())),
                row.partner_id,
            )
        ]

    def _decide(self, group_id: int | None, registered: bool, user_groups: frozenset[int], owner_id: int) -> bool:
        attached: list[AttachedTariff] | None = self._groups.get(group_id) if group_id is not None else None
        if attached is None:
            return False
        # which of the registered users it is decides nothing: their groups do
        driver = DriverFacts(user_id=0 if registered else None, user_group_ids=user_groups, owner_partner_id=owner_id)
        chosen, _ = select_tariff(attached, driver)
        return chosen.tariff_id == self._tariff_id
