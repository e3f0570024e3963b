"""Lost connections of watched stations: one row and one mail for each, one mail for many at once.

A station is watched when its system status is Active or Out of order (manual, "Card: Faults & connectivity loss") and
it is managed by the operator. An outage begins with its last sign of life and is noticed when the ladder of
``connectivity`` says Long-term unavailable. It is mailed a minute later: by then it shows whether one station is away,
or all of them because our own network is. It ends when the station has been back for a minute, so that one that comes
and goes is told of once. All of it is derived from the database, and repeating it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, contains_eager, joinedload

from app.assets.models import ChargePoint, ChargePointState, ChargingZone, ConnectionStatus, SystemStatus
from app.charging.models import Outage
from app.charging.recovery import mails as fault_mails
from app.core import events, settings

OUTAGE_CHANGED = "charge_point.outage"

WATCHED = (SystemStatus.ACTIVE, SystemStatus.OUT_OF_ORDER)
#: more than this many in a minute are one event of ours, not so many of theirs
MANY = 20
TOGETHER = timedelta(minutes=1)
#: stragglers of such an event are told of together, too
STRAGGLERS = timedelta(minutes=10)
#: back for so long: the outage is over
STABLE = timedelta(minutes=1)
#: what was noticed longer ago and not mailed (mailing was off, or nobody to tell) is no news any more
NEWS = timedelta(hours=1)
#: of many lost together, those that are back are told of when all are, or after this long
MANY_BACK = timedelta(hours=1)
_JUDGE_LOCK = 0x0A7A6E

_OPEN = text("""
INSERT INTO outage (partner_id, charge_point_id, began_at, noticed_at)
SELECT s.partner_id, s.charge_point_id, s.last_seen_at, :now
FROM charge_point_state s JOIN charge_point c ON c.id = s.charge_point_id
WHERE s.connection = 'long_term_unavailable' AND s.last_seen_at IS NOT NULL
  AND c.status IN ('active', 'out_of_order') AND c.managed_by_operator
  AND NOT EXISTS (SELECT FROM outage o WHERE o.charge_point_id = s.charge_point_id AND o.ended_at IS NULL)
ON CONFLICT DO NOTHING
RETURNING partner_id, charge_point_id
""")

_CLOSE = text("""
UPDATE outage o SET ended_at = greatest(s.connection_changed_at, o.began_at)
FROM charge_point_state s
WHERE s.charge_point_id = o.charge_point_id AND o.ended_at IS NULL
  AND s.connected AND s.connection = 'available' AND s.connection_changed_at <= :stable_since
RETURNING o.partner_id, o.charge_point_id
""")


def watch_outages(session: Session, *, now: datetime) -> int:
    """Open and close outages, and mail what is due. Returns how many were opened or closed. Flushes."""
    if not session.scalar(select(func.pg_try_advisory_xact_lock(_JUDGE_LOCK))):
        return 0
    opened = session.execute(_OPEN, {"now": now}).all()
    closed = session.execute(_CLOSE, {"stable_since": now - STABLE}).all()
    for partner_id, charge_point_id in [*opened, *closed]:
        events.announce(session, OUTAGE_CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)
    if settings.get(session, "notification.outages") and fault_mails.recipients(session):
        _tell_lost(session, now)
        _tell_back(session, now)
    return len(opened) + len(closed)


def _tell_lost(session: Session, now: datetime) -> None:
    """Mail the outages of the last minute that are still going on, as soon as the oldest of them is a minute old."""
    waiting = _unmailed(session, now)
    if not waiting or waiting[0].noticed_at > now - TOGETHER:
        return
    batch = [outage for outage in waiting if outage.noticed_at <= waiting[0].noticed_at + TOGETHER]
    if len(batch) > MANY or _straggle(session, now):
        key = f"outages:{batch[0].id}"
        fault_mails.mail_outages(session, outages=batch, key=key, now=now)
        for outage in batch:
            outage.mail_key, outage.mailed_at = key, now
    else:
        for outage in batch:
            key = f"outage:{outage.id}"
            fault_mails.mail_outage(session, outage=outage, station=outage.charge_point, key=key, now=now)
            outage.mail_key, outage.mailed_at = key, now
    session.flush()


def _unmailed(session: Session, now: datetime) -> Sequence[Outage]:
    """What nobody was told of yet, oldest first; not of stations that are back already or no longer watched."""
    return session.scalars(
        select(Outage)
        .join(Outage.charge_point)
        .join(ChargePointState, ChargePointState.charge_point_id == ChargePoint.id)
        .where(
            Outage.ended_at.is_(None),
            Outage.mailed_at.is_(None),
            Outage.noticed_at > now - NEWS,
            ChargePointState.connection == ConnectionStatus.LONG_TERM_UNAVAILABLE,
            ChargePoint.status.in_(WATCHED),
            ChargePoint.managed_by_operator,
        )
        .order_by(Outage.noticed_at, Outage.id)
        .options(contains_eager(Outage.charge_point).joinedload(ChargePoint.zone).joinedload(ChargingZone.location))
        .execution_options(populate_existing=True)
    ).all()


def _straggle(session: Session, now: datetime) -> bool:
    """Whether many were told of together a moment ago."""
    lately = select(Outage.id).where(Outage.mail_key.startswith("outages:"), Outage.mailed_at > now - STRAGGLERS)
    return session.scalar(lately.limit(1)) is not None


def _tell_back(session: Session, now: datetime) -> None:
    """Mail, once and in the thread of the first mail, that stations are connected again."""
    ended = select(Outage.mail_key).where(
        Outage.mailed_at.is_not(None), Outage.back_mailed_at.is_(None), Outage.ended_at.is_not(None)
    )
    told = session.scalars(
        select(Outage)
        .where(Outage.mail_key.in_(ended), Outage.mailed_at.is_not(None), Outage.back_mailed_at.is_(None))
        .order_by(Outage.mail_key, Outage.id)
        .options(joinedload(Outage.charge_point).joinedload(ChargePoint.zone).joinedload(ChargingZone.location))
        .execution_options(populate_existing=True)
    )
    for key, group in groupby(told, key=lambda outage: outage.mail_key or ""):
        outages = list(group)
        back = [outage for outage in outages if outage.ended_at is not None]
        missing = [outage for outage in outages if outage.ended_at is None]
        first_told_at = min(outage.mailed_at for outage in outages if outage.mailed_at is not None)
        if not key.startswith("outages:"):
            fault_mails.mail_back(session, outage=back[0], station=back[0].charge_point, key=key, now=now)
        elif missing and first_told_at > now - MANY_BACK:
            continue
        else:
            fault_mails.mail_many_back(session, back=back, missing=missing, key=key, now=now)
        for outage in outages:  # of those still missing no second mail follows: they are on the faults list
            outage.back_mailed_at = now
    session.flush()
