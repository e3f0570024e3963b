"""What a correction would do, worked out without doing it: the new driver, tariff and price, and the money's plan.

The dialog shows it; the same is worked out again under the session's lock when it is done (`corrections`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.billing.payments import orders
from app.charging import bill, price_versions
from app.charging.corrections import money
from app.charging.corrections.plan import MoneyPlan, plan_money
from app.charging.corrections.rules import CorrectionKind, CorrectionRefused, Effect, effect_of
from app.charging.driver_tariff import tariff_for
from app.charging.flags import DEMO
from app.charging.models import ChargingSession
from app.charging.payments import paying
from app.charging.payments.payer import Payer, choose_payer
from app.charging.session_tariff import take_snapshot
from app.core import partitions, rates, settings
from app.core.money import Money, Price, split_vat
from app.crm.models import RfidTag, User
from app.tariffs import versions
from app.tariffs.models import Tariff
from app.tariffs.pricing import InvalidTariffSnapshot, TariffSnapshot, snapshot_from_json, snapshot_to_json
from app.tariffs.selection import InvalidTariffGroup, NoTariff, explanation_to_json


class NoSuchTariff(CorrectionRefused):
    """No tariff can be taken for it; the message says why."""


class NothingChanges(CorrectionRefused):
    """It is so already; the message says what."""


class CannotPrice(CorrectionRefused):
    """The session cannot be priced like that; the message says why."""


@dataclass(frozen=True, slots=True)
class AssignUser:
    """The session is another driver's; ``keep_price``, or the tariff is chosen anew for that driver."""

    user_id: int
    keep_price: bool = False
    kind = CorrectionKind.ASSIGN_USER


@dataclass(frozen=True, slots=True)
class ChangeTariff:
    """The session is priced by another tariff; ``waive``: what that costs more is asked of nobody."""

    tariff_id: int
    waive: bool = False
    kind = CorrectionKind.CHANGE_TARIFF


@dataclass(frozen=True, slots=True)
class Credit:
    """An amount is taken off the price and given back; None: all of it."""

    amount: Decimal | None = None
    kind = CorrectionKind.CREDIT


Order = AssignUser | ChangeTariff | Credit


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a correction comes to. ``price`` is None where the session is priced later; ``notes`` are for the dialog."""

    effect: Effect
    before: Decimal | None
    currency: str
    user: User | None = None
    payer: Payer | None = None
    snapshot: TariffSnapshot | None = None
    explanation: list[dict[str, Any]] | None = None
    price: Price | None = None
    lines: tuple[dict[str, Any], ...] = ()
    plan: MoneyPlan = field(default_factory=MoneyPlan)
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> Decimal | None:
        """By how much the price changes; None where there was or is none."""
        if self.price is None or self.before is None:
            return None
        return self.price.gross.amount - self.before


def prepare(session: Session, row: ChargingSession, order: Order, *, now: datetime, lock: bool = False) -> Prepared:
    """What ``order`` does to a session. ``lock``: its transactions are locked, because it is about to be done.

    Raises CorrectionRefused, InvalidAmount.
    """
    effect = effect_of(order.kind, row.status, row.payment_status)
    if isinstance(order, Credit):
        return _credit(session, row, order, effect, lock=lock)
    found = _assigned(session, row, order, now) if isinstance(order, AssignUser) else _retariffed(session, row, order)
    if effect is not Effect.NEW_VERSION:
        return found
    return _priced(session, row, found, order, now=now, lock=lock)


def _start(row: ChargingSession, effect: Effect) -> Prepared:
    return Prepared(effect=effect, before=row.total_gross, currency=row.currency or "")


def _credit(session: Session, row: ChargingSession, order: Credit, effect: Effect, *, lock: bool) -> Prepared:
    if row.total_gross is None or row.currency is None or row.tariff_snapshot is None:
        raise CannotPrice("The session has no price of which anything could be given back.")
    amount = orders.checked(session, row.total_gross if order.amount is None else order.amount, row.currency)
    if amount > row.total_gross:
        there = orders.in_minor_units(session, row.total_gross, row.currency)
        raise orders.InvalidAmount(f"No more than the price can be credited: {there:f} {row.currency}.")
    snapshot = snapshot_from_json(row.tariff_snapshot)
    gross = Money(row.total_gross - amount, snapshot.currency).rounded()
    price = split_vat(gross, snapshot.vat_percent)
    lines = (*(row.price_lines or ()), price_versions.credit_line(Money(amount, snapshot.currency).rounded().amount))
    plan = plan_money(price=gross.amount, takes=money.takes_of(session, row, lock=lock))
    return replace(_start(row, effect), price=price, lines=lines, plan=plan)


def _assigned(session: Session, row: ChargingSession, order: AssignUser, now: datetime) -> Prepared:
    user = session.get(User, order.user_id)
    if user is None:
        raise NothingChanges("There is no such user any more.")
    if row.user_id == user.id:
        raise NothingChanges(f"It is {user}’s session already.")
    found = replace(
        _start(row, effect_of(order.kind, row.status, row.payment_status)),
        user=user,
        payer=_payer_of(session, row, user, now),
    )
    if order.keep_price:
        if row.tariff_snapshot is None:
            raise NoSuchTariff("The session has no tariff yet: have it priced for this driver.")
        return replace(found, snapshot=snapshot_from_json(row.tariff_snapshot), explanation=row.tariff_explanation)
    evse = session.get_one(Evse, row.evse_id)
    try:
        chosen, explanation = tariff_for(session, evse=evse, user=user)
        own = row.tariff_id == chosen.tariff_id and row.tariff_snapshot is not None
        snapshot = (
            snapshot_from_json(row.tariff_snapshot or {})
            if own
            else take_snapshot(session, tariff_id=chosen.tariff_id, evse=evse)
        )
    except (NoTariff, InvalidTariffGroup, InvalidTariffSnapshot, LookupError, rates.MissingRate) as error:
        raise NoSuchTariff(f"No tariff of the EVSE’s tariff group can be taken for {user}: {error}.") from error
    notes = () if own else _newer_than_session(session, row, snapshot)
    return replace(found, snapshot=snapshot, explanation=explanation_to_json(explanation), notes=notes)


def _payer_of(session: Session, row: ChargingSession, user: User, now: datetime) -> Payer:
    """Who pays for a driver who is found later: as billing decides, by the tag if it is the driver's."""
    tag = None
    if row.id_tag:
        tag = session.scalars(
            select(RfidTag).where(func.upper(RfidTag.tag_id) == row.id_tag.upper(), RfidTag.user_id == user.id)
        ).first()
    wish = paying.wish_of_tag(tag) if tag is not None else None
    return choose_payer(paying.without_partner(paying.payer_facts(session, user_id=user.id, now=now, tag=wish)))


def _newer_than_session(session: Session, row: ChargingSession, snapshot: TariffSnapshot) -> tuple[str, ...]:
    """Say so when the tariff has changed since the session began: only its present version is known."""
    tariff = session.get(Tariff, snapshot.tariff_id) if snapshot.tariff_id is not None else None
    if tariff is None or row.started_at is None:
        return ()
    latest = next(iter(versions.versions_of(session, tariff, limit=1)), None)
    if latest is None or latest.number == 1 or latest.since <= row.started_at:
        return ()
    return (f"“{tariff.name}” has changed since the session began: its present version {latest.number} is taken.",)


def _retariffed(session: Session, row: ChargingSession, order: ChangeTariff) -> Prepared:
    evse = session.get_one(Evse, row.evse_id)
    if session.get(Tariff, order.tariff_id) is None:
        raise NoSuchTariff("There is no such tariff any more.")
    try:
        snapshot = take_snapshot(session, tariff_id=order.tariff_id, evse=evse)
    except (InvalidTariffSnapshot, LookupError, rates.MissingRate) as error:
        raise NoSuchTariff(f"The tariff cannot be used: {error}.") from error
    if row.tariff_snapshot == snapshot_to_json(snapshot):
        raise NothingChanges(f"The session is priced by “{snapshot.name}” in this version already.")
    found = replace(_start(row, effect_of(order.kind, row.status, row.payment_status)), snapshot=snapshot)
    return replace(found, notes=_newer_than_session(session, row, snapshot))


def _priced(
    session: Session, row: ChargingSession, found: Prepared, order: Order, *, now: datetime, lock: bool
) -> Prepared:
    assert found.snapshot is not None
    try:
        priced = bill.price_by(row, bill.session_readings(session, row), snapshot=found.snapshot)
    except (bill.NotPriceable, ValueError, ArithmeticError) as error:
        raise CannotPrice(f"The session cannot be priced by “{found.snapshot.name}”: {error}") from error
    takes = money.takes_of(session, row, lock=lock)
    if takes and priced.total.currency.code != row.currency:
        now_in = priced.total.currency.code
        raise CannotPrice(f"The session was billed in {row.currency}, but prices are in {now_in} now.")
    price, lines = priced.total, price_versions.lines_to_json(priced)
    if isinstance(order, ChangeTariff):  # a credit was this driver's, and stays
        credited = _fitting(price_versions.credits_in(row.price_lines), price.gross.amount)
        price = price_versions.less_credits(price, credited)
        lines += [price_versions.credit_line(amount) for amount in credited]
    plan = MoneyPlan()
    payer_known = isinstance(order, AssignUser) or row.user_id is not None
    if payer_known and DEMO not in row.flags:
        plan = plan_money(
            price=price.gross.amount,
            takes=takes,
            payer_changes=isinstance(order, AssignUser),
            waive=isinstance(order, ChangeTariff) and order.waive,
        )
    return replace(
        found, price=price, lines=tuple(lines), plan=plan, notes=(*found.notes, *_lost_readings(session, row, now))
    )


def _fitting(credited: Sequence[Decimal], gross: Decimal) -> list[Decimal]:
    """Credits as far as a lower price goes."""
    found: list[Decimal] = []
    for amount in credited:
        fits = min(amount, gross - sum(found, Decimal(0)))
        if fits > 0:
            found.append(fits)
    return found


def _lost_readings(session: Session, row: ChargingSession, now: datetime) -> tuple[str, ...]:
    kept = timedelta(days=settings.get_int(session, partitions.TABLES["meter_reading"][1]))
    if row.started_at is None or row.started_at >= now - kept:
        return ()
    return ("Meter readings of that time were dropped: between start and end the energy counts as even.",)
