"""Mails about faults and lost connections, to the "Auto-recovery & faults" addresses.

Manual, "Enable Auto-Recovery" ("send an e-mail to admin with the result and additional information") and
"Notification e-mail addresses".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging.models import Outage, Recovery, RecoveryStatus
from app.charging.recovery import ladder as recovery_ladder
from app.charging.recovery import texts as fault_texts
from app.charging.recovery import words as fault_words
from app.core import mail, mail_texts, settings

ADDRESSES = "notification.fault_emails"
#: a mail about many names so many; the page lists all
MOST_NAMED = 50


def recipients(session: Session) -> list[str]:
    """The "Auto-recovery & faults" addresses."""
    found: list[str] = settings.get(session, ADDRESSES)
    return found


def mail_recovery(session: Session, *, recovery: Recovery, station: ChargePoint, now: datetime) -> None:
    """Tell once what was tried and what came of it; ``mailed_at`` stays empty when there is nobody to tell. Flushes."""
    session.refresh(recovery, ["attempts", "evse"])
    part = fault_texts.part_at_fault(recovery)
    gone = recovery.status is RecoveryStatus.RECOVERED
    cooldown_min = settings.get_int(session, "recovery.cooldown_minutes")
    returned = gone and _times_recovered(session, recovery, cooldown_min, now) >= recovery_ladder.MOST_RETURNS
    where = "" if recovery.network_id == 0 else f", {part}"
    told = _queue(
        session,
        key=f"recovery:{recovery.id}",
        subject=f"{'Recovered' if gone else 'Not recovered'}: {station.name}{where}",
        template="recovery",
        now=now,
        gone=gone,
        station=station,
        part=part,
        place=fault_texts.place(station),
        link=fault_texts.station_link(station.id),
        recovery=recovery,
        fault=fault_words.fault_in_words(recovery.error_code, recovery.error_info),
        advice=fault_words.advice(recovery.error_code),
        tried=fault_texts.tried(recovery),
        began_at=recovery.began_at,
        ended_at=recovery.ended_at,
        cooldown_min=cooldown_min,
        returned=returned,
    )
    if told:
        recovery.mailed_at = now
        session.flush()


def _times_recovered(session: Session, recovery: Recovery, cooldown_min: int, now: datetime) -> int:
    return (
        session.scalar(
            select(func.count())
            .select_from(Recovery)
            .where(
                Recovery.charge_point_id == recovery.charge_point_id,
                Recovery.network_id == recovery.network_id,
                Recovery.status == RecoveryStatus.RECOVERED,
                Recovery.ended_at > now - timedelta(minutes=cooldown_min),
            )
        )
        or 0
    )


def mail_outage(session: Session, *, outage: Outage, station: ChargePoint, key: str, now: datetime) -> bool:
    """Tell of one lost connection; False when there is nobody to tell. Flushes."""
    return _queue(
        session,
        key=key,
        subject=f"Connection lost: {station.name}",
        template="outage",
        now=now,
        station=station,
        place=fault_texts.place(station),
        link=fault_texts.station_link(station.id),
        outage=outage,
        now_at=now,
    )


def mail_outages(session: Session, *, outages: Sequence[Outage], key: str, now: datetime) -> bool:
    """Tell of many connections that were lost together, in one mail; False when there is nobody to tell. Flushes."""
    return _queue(
        session,
        key=key,
        subject=f"Connection lost: {len(outages)} charge points at once",
        template="outages",
        now=now,
        **_many(outages),
    )


def mail_back(session: Session, *, outage: Outage, station: ChargePoint, key: str, now: datetime) -> bool:
    """Tell that a station is connected again, in the thread of the mail of that key. Flushes."""
    return _queue(
        session,
        key=f"{key}:back",
        answers=key,
        subject=f"Connected again: {station.name}",
        template="back",
        now=now,
        station=station,
        place=fault_texts.place(station),
        link=fault_texts.station_link(station.id),
        outage=outage,
    )


def mail_many_back(
    session: Session, *, back: Sequence[Outage], missing: Sequence[Outage], key: str, now: datetime
) -> bool:
    """Tell how many of those lost together are connected again, and who is not. Flushes."""
    total = len(back) + len(missing)
    return _queue(
        session,
        key=f"{key}:back",
        answers=key,
        subject=f"Connected again: {len(back)} of {total} charge points",
        template="many_back",
        now=now,
        total=total,
        back=len(back),
        **_many(missing),
    )


def _many(outages: Sequence[Outage]) -> dict[str, Any]:
    named = sorted(outages, key=lambda outage: outage.charge_point.name)[:MOST_NAMED]
    return {
        "count": len(outages),
        "named": [
            (each.charge_point, fault_texts.place(each.charge_point), each.began_at,
             fault_texts.station_link(each.charge_point_id))
            for each in named
        ],
        "more": len(outages) - len(named),
        "first_at": min((each.began_at for each in outages), default=None),
        "link": fault_texts.faults_link(),
    }  # fmt: skip


def _queue(
    session: Session,
    *,
    key: str,
    subject: str,
    template: str,
    now: datetime,
    answers: str | None = None,
    **context: Any,
) -> bool:
    addresses = recipients(session)
    if not addresses:
        return False
    body, html = mail_texts.render(session, template, subject=subject, **context)
    mail.queue_mails(
        session, key=key, recipients=addresses, subject=subject, body=body, html=html, answers=answers, now=now
    )
    return True
