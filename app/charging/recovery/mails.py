"""Mails about faults and lost connections, to the "Auto-recovery & faults" addresses.

Manual, "Enable Auto-Recovery" ("send an e-mail to admin with the result and additional information") and
"Notification e-mail addresses".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging.models import Outage, Recovery, RecoveryStatus
from app.charging.recovery import ladder as recovery_ladder
from app.charging.recovery import texts as fault_texts
from app.charging.recovery import words as fault_words
from app.core import mail, mail_words, settings
from app.core.mail_parts import Block, Value, bullets, facts
from app.core.mail_texts import lasted, moment

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
    name = "not_recovered" if not gone else "recovered_again" if returned else "recovered"
    tried = fault_texts.tried(recovery)
    told = _queue(
        session,
        name,
        key=f"recovery:{recovery.id}",
        now=now,
        station=station.name,
        where=where,
        details=facts(
            [
                ("Charge point", f"{station.name} ({station.identifier})"),
                ("At fault", part),
                ("Where", fault_texts.place(station)),
                ("Fault", fault_words.fault_in_words(recovery.error_code, recovery.error_info)),
                ("Worked on", _span(session, recovery.began_at, recovery.ended_at)),
                ("Outcome", recovery.outcome or ""),
            ]
        ),
        tried=bullets(
            [("", moment(session, line.at), f"  {line.what}: {line.outcome}") for line in tried]
            or [("", "Nothing was sent.", "")],
            numbered=True,
        ),
        advice=fault_words.advice(recovery.error_code),
        cooldown=str(cooldown_min),
        link=fault_texts.station_link(station.id),
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
        "outage",
        key=key,
        now=now,
        station=station.name,
        lasted=lasted(now - outage.began_at),
        details=facts([*_which(station), ("Last sign of life", moment(session, outage.began_at))]),
        link=fault_texts.station_link(station.id),
    )


def mail_outages(session: Session, *, outages: Sequence[Outage], key: str, now: datetime) -> bool:
    """Tell of many connections that were lost together, in one mail; False when there is nobody to tell. Flushes."""
    return _queue(
        session,
        "outages",
        key=key,
        now=now,
        count=str(len(outages)),
        since=moment(session, min(each.began_at for each in outages)),
        stations=_named(session, outages),
        link=fault_texts.faults_link(),
    )


def mail_back(session: Session, *, outage: Outage, station: ChargePoint, key: str, now: datetime) -> bool:
    """Tell that a station is connected again, in the thread of the mail of that key. Flushes."""
    ended_at = outage.ended_at or now
    return _queue(
        session,
        "back",
        key=f"{key}:back",
        answers=key,
        now=now,
        station=station.name,
        lasted=lasted(ended_at - outage.began_at),
        details=facts([*_which(station), ("Not connected", _span(session, outage.began_at, ended_at))]),
        link=fault_texts.station_link(station.id),
    )


def mail_many_back(
    session: Session, *, back: Sequence[Outage], missing: Sequence[Outage], key: str, now: datetime
) -> bool:
    """Tell how many of those lost together are connected again, and who is not. Flushes."""
    return _queue(
        session,
        "many_back",
        key=f"{key}:back",
        answers=key,
        now=now,
        back=str(len(back)),
        total=str(len(back) + len(missing)),
        still_away="Still away:" if missing else "",
        stations=_named(session, missing),
        advice=(
            "These are probably away for reasons of their own. No further mail follows about them; they stay on the "
            "list of faults."
            if missing
            else ""
        ),
        link=fault_texts.faults_link(),
    )


def _which(station: ChargePoint) -> list[tuple[str, str]]:
    return [("Charge point", f"{station.name} ({station.identifier})"), ("Where", fault_texts.place(station))]


def _span(session: Session, began_at: datetime, ended_at: datetime | None) -> str:
    return f"{moment(session, began_at)} to {moment(session, ended_at)}" if ended_at else moment(session, began_at)


def _named(session: Session, outages: Sequence[Outage]) -> Block:
    """The charge points by name, at most MOST_NAMED of them."""
    shown = sorted(outages, key=lambda outage: outage.charge_point.name)[:MOST_NAMED]
    lines = [
        (
            fault_texts.station_link(each.charge_point_id),
            f"{each.charge_point.name} ({each.charge_point.identifier})",
            f", {fault_texts.place(each.charge_point)}: last sign of life {moment(session, each.began_at)}",
        )
        for each in shown
    ]
    more = len(outages) - len(shown)
    return bullets([*lines, *([("", f"and {more} more", "")] if more else [])])


def _queue(
    session: Session, name: str, /, *, key: str, now: datetime, answers: str | None = None, **values: Value
) -> bool:
    addresses = recipients(session)
    if not addresses:
        return False
    words = mail_words.compose(session, name, values=values)
    mail.queue_mails(
        session,
        key=key,
        recipients=addresses,
        subject=words.subject,
        body=words.body,
        html=words.html,
        answers=answers,
        now=now,
    )
    return True
