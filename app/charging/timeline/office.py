"""What happened around a session here, for its timeline: its life, authorisation, reservation, money, actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.billing.models import (
    LedgerEntry,
    Receipt,
    ReceiptKind,
    ReceiptLine,
    Transaction,
    TransactionEvent,
    TransactionStatus,
)
from app.billing.payments import processors
from app.charging.authorizations import reason_label
from app.charging.flags import flag_labels
from app.charging.lifecycle import SessionStatus
from app.charging.models import (
    Authorization,
    AuthorizationResult,
    ChargingSession,
    PriceCause,
    Reservation,
    SessionPriceVersion,
)
from app.charging.timeline.entries import Entry, Kind, Link, Tone, differing
from app.charging.timeline.station import Axis
from app.core.models import Action, ActionStatus, CurrencyRow
from app.core.money import round_minor

Words = Callable[[Decimal, str], str]

#: of each kind, of one session
MOST = 300
_MONEY_TONES = {
    TransactionStatus.SUCCEEDED: Tone.GOOD,
    TransactionStatus.OUTSTANDING: Tone.BAD,
    TransactionStatus.FAILED: Tone.BAD,
    TransactionStatus.AUTHENTICATION_REQUIRED: Tone.ODD,
}
_ACTION_TONES = {
    ActionStatus.ACCEPTED: Tone.GOOD,
    ActionStatus.FINISHED: Tone.GOOD,
    ActionStatus.ANSWERED: Tone.GOOD,
    ActionStatus.REJECTED: Tone.BAD,
    ActionStatus.FAILED: Tone.BAD,
    ActionStatus.TIMED_OUT: Tone.ODD,
    ActionStatus.NOT_CONNECTED: Tone.ODD,
}


def life(row: ChargingSession, *, stop_rule: str) -> Iterator[Entry]:
    """The session's own life, by the station's clock, and when we heard of it. ``stop_rule``: the rule that asked."""

    def entry(
        at: datetime,
        title: str,
        order: int,
        detail: str = "",
        tone: Tone = Tone.NEUTRAL,
        arrived_at: datetime | None = None,
    ) -> Entry:
        return Entry(
            at=at,
            kind=Kind.SESSION,
            title=title,
            detail=detail,
            tone=tone,
            arrived_at=arrived_at,
            order=(0, order),
        )

    if row.started_at is None or row.created_at < row.started_at - timedelta(seconds=1):
        yield entry(row.created_at, "Session requested", 0, row.source.label)
    if row.started_at is not None:
        arrived = differing(row.started_at, row.start_received_at)
        yield entry(row.started_at, "Charging started", 1, row.source.label, Tone.GOOD, arrived_at=arrived)
    if row.charging_ended_at is not None:
        yield entry(row.charging_ended_at, "No more energy flows", 2)
    if row.stop_rule_at is not None and row.stop_rule is not None:
        times = f", asked {row.stop_rule_attempts} times" if row.stop_rule_attempts > 1 else ""
        yield entry(row.stop_rule_at, "Asked to stop by rule", 3, f"{stop_rule}{times}", Tone.ODD)
    if row.status is SessionStatus.FINISHED and row.stopped_at is not None:
        arrived = differing(row.stopped_at, row.stop_received_at)
        yield entry(row.stopped_at, "Charging stopped", 4, row.stop_reason or "", Tone.GOOD, arrived_at=arrived)
    if row.status is SessionStatus.FAILED:
        yield entry(row.created_at, "Session failed", 5, row.failure_reason or "", Tone.BAD)
    if row.flags and row.status is SessionStatus.FINISHED and row.stopped_at is not None:
        yield entry(row.stopped_at, "Unusual", 6, "; ".join(flag_labels(row.flags)), Tone.ODD)


def authorizations(session: Session, row: ChargingSession, axis: Axis) -> list[Entry]:
    """The authorization of the session, and other tries at the EVSE or with the same token in that time."""
    same = Authorization.evse_id == row.evse_id
    if row.id_tag is not None:
        same = or_(same, Authorization.id_tag == row.id_tag)
    around = and_(
        Authorization.charge_point_id == axis.charge_point_id,
        Authorization.happened_at >= axis.since,
        Authorization.happened_at < axis.until,
        same,
    )
    rows = session.scalars(
        select(Authorization)
        .where(or_(Authorization.id == (row.authorization_id or 0), around))
        .order_by(Authorization.id)
        .limit(MOST)
    )
    return [
        Entry(
            at=each.happened_at,
            kind=Kind.AUTHORIZATION,
            title=f"Authorization {each.result.label.lower()}",
            detail="; ".join(part for part in (each.source.label, each.id_tag, reason_label(each.reason)) if part),
            tone=Tone.GOOD if each.result is AuthorizationResult.ACCEPTED else Tone.BAD,
            link=Link("authorization", each.id),
            order=(5, each.id),
        )
        for each in rows
    ]


def reservations(session: Session, row: ChargingSession, axis: Axis) -> list[Entry]:
    """Reservations that the session used, or that were open at its EVSE in that time: made and ended."""
    rows = session.scalars(
        select(Reservation)
        .where(
            Reservation.charge_point_id == axis.charge_point_id,
            or_(
                Reservation.session_id == row.id,
                and_(
                    Reservation.evse_id == row.evse_id,
                    Reservation.created_at < axis.until,
                    Reservation.expires_at > axis.since,
                ),
            ),
        )
        .order_by(Reservation.id)
        .limit(MOST)
    )
    found = []
    for each in rows:
        link = Link("reservation", each.id)
        found.append(
            Entry(at=each.created_at, kind=Kind.RESERVATION, title="EVSE reserved", link=link, order=(6, each.id))
        )
        if each.ended_at is not None:
            title = f"Reservation {each.status.label.lower()}"
            found.append(
                Entry(
                    at=each.ended_at,
                    kind=Kind.RESERVATION,
                    title=title,
                    detail=each.end_reason or "",
                    link=link,
                    order=(7, each.id),
                )
            )
    return found


# --- money


def money(session: Session, row: ChargingSession) -> list[Entry]:
    """Holds, charges, captures and refunds with what their processor said; prices, balances, receipts."""
    decimals = {each.code: each.exponent for each in session.scalars(select(CurrencyRow))}

    def amount(value: Decimal, currency: str) -> str:
        return f"{round_minor(value, decimals.get(currency, 2)):f} {currency}"

    found = [*_transactions(session, row, amount), *_prices(session, row, amount)]
    for entry in session.scalars(
        select(LedgerEntry).where(LedgerEntry.session_id == row.id).order_by(LedgerEntry.id).limit(MOST)
    ):
        currency = entry.account.currency
        moved = f"credit {amount(entry.credit, currency)}" if entry.credit else f"debit {amount(entry.debit, currency)}"
        found.append(
            Entry(
                at=entry.at,
                kind=Kind.MONEY,
                title=f"Balance: {moved}",
                detail=f"{entry.type.label}, balance then {amount(entry.balance_after, currency)}",
                order=(11, entry.id),
            )
        )
    rows = session.execute(
        select(Receipt, ReceiptLine.gross)
        .join(ReceiptLine, ReceiptLine.receipt_id == Receipt.id)
        .where(ReceiptLine.session_id == row.id)
        .order_by(Receipt.id)
        .limit(MOST)
    )
    for receipt, gross in rows:
        words = "Credit note" if receipt.kind is ReceiptKind.CREDIT_NOTE else "Receipt"
        found.append(
            Entry(
                at=receipt.issued_at,
                kind=Kind.MONEY,
                title=f"{words} {receipt.full_number}",
                detail=amount(gross, receipt.currency),
                link=Link("receipt", receipt.id),
                order=(12, receipt.id),
            )
        )
    return found


def _transactions(session: Session, row: ChargingSession, amount: Words) -> Iterator[Entry]:
    rows = session.scalars(
        select(Transaction).where(Transaction.session_id == row.id).order_by(Transaction.id).limit(MOST)
    ).all()
    events: dict[int, list[TransactionEvent]] = {each.id: [] for each in rows}
    for event in session.scalars(
        select(TransactionEvent)
        .where(TransactionEvent.transaction_id.in_(list(events)))
        .order_by(TransactionEvent.id)
        .limit(MOST)
    ):
        events[event.transaction_id].append(event)
    for each in rows:
        what = f"{each.type.label} of {amount(each.amount, each.currency)}"
        link = Link("transaction", each.id)
        told = events[each.id]
        yield Entry(
            at=each.created_at,
            kind=Kind.MONEY,
            title=what,
            detail=processors.title(each.processor) + ("" if told else f": {each.status.label}"),
            tone=Tone.NEUTRAL if told else _MONEY_TONES.get(each.status, Tone.NEUTRAL),
            link=link,
            order=(9, each.id),
        )
        for event in told:
            yield Entry(
                at=event.at,
                kind=Kind.MONEY,
                title=f"{what}: {event.event.lower()}",
                detail=event.message or "",
                tone=_event_tone(event, told, each),
                link=link,
                order=(10, event.id),
            )


def _event_tone(event: TransactionEvent, told: Sequence[TransactionEvent], row: Transaction) -> Tone:
    return _MONEY_TONES.get(row.status, Tone.NEUTRAL) if event is told[-1] else Tone.NEUTRAL


def _prices(session: Session, row: ChargingSession, amount: Words) -> Iterator[Entry]:
    versions = session.scalars(
        select(SessionPriceVersion)
        .where(SessionPriceVersion.session_id == row.id)
        .order_by(SessionPriceVersion.number)
        .limit(MOST)
    )
    for each in versions:
        how = "Priced" if each.cause is PriceCause.BILLED else f"Priced anew ({each.cause.label.lower()})"
        yield Entry(
            at=each.priced_at,
            kind=Kind.MONEY,
            title=f"{how}: {amount(each.total_gross, each.currency)}",
            detail=each.tariff_name or "",
            order=(8, each.number),
        )


# --- actions


def actions(session: Session, row: ChargingSession, axis: Axis) -> list[Entry]:
    """What admins and rules did to the session, to its money, and to its charge point in that time."""
    own = and_(Action.target_type == ChargingSession.__tablename__, Action.target_id == row.id)
    transactions = select(Transaction.id).where(Transaction.session_id == row.id)
    its_money = and_(Action.target_type == Transaction.__tablename__, Action.target_id.in_(transactions))
    at_station = and_(
        Action.charge_point_id == axis.charge_point_id,
        or_(
            Action.request["session_id"].astext == str(row.id),
            and_(
                Action.created_at >= axis.since,
                Action.created_at < axis.until,
                or_(Action.target_type != "evse", Action.target_id == row.evse_id),
                or_(Action.target_type != ChargingSession.__tablename__, Action.target_id == row.id),
            ),
        ),
    )
    rows = {
        each.id: each
        for condition in (own, its_money, at_station)  # one statement each: each has an index of its own
        for each in session.scalars(select(Action).where(condition).order_by(Action.id.desc()).limit(MOST))
    }
    return [
        Entry(
            at=each.created_at,
            kind=Kind.ACTION,
            title=f"{each.name}: {each.status.label.lower()}",
            detail="; ".join(part for part in (each.info, f"by {each.initiated_by}", each.reason, each.error) if part),
            tone=_ACTION_TONES.get(each.status, Tone.NEUTRAL),
            link=Link("action", each.id),
            order=(13, each.id),
        )
        for each in rows.values()
    ]
