"""Certificates on their way, driven by the clock: sign what waits, send again what nobody answered, renew what ends.

Each function derives what is due from the database, in batches, so that a missed tick is caught up by the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, SystemStatus
from app.charging.models import CertificateStatus, CertificateUse, StationCertificate
from app.charging.security.certificates import (
    NotRequested,
    request_renewal,
    send,
    set_status,
    sign_request,
    tell_changed,
)
from app.charging.security.outcomes import UNANSWERED
from app.core import settings
from app.core.models import Action

#: a station is asked for a new request so long before its certificate ends, once a day until it has sent one
RENEW_BEFORE = timedelta(days=30)
ASK_AGAIN_AFTER = timedelta(days=1)
SEND_AGAIN_AFTER = timedelta(minutes=1)
#: a station that was not reached for so long asks again by itself
GIVE_UP_AFTER = timedelta(days=7)
BATCH = 50


def _due(*conditions: Any) -> Any:
    """Client certificates of connected stations that can be sent something, each locked for whoever gets it first."""
    return (
        select(StationCertificate)
        .join(ChargePointState, ChargePointState.charge_point_id == StationCertificate.charge_point_id)
        .join(ChargePoint, ChargePoint.id == StationCertificate.charge_point_id)
        .where(
            StationCertificate.use == CertificateUse.CLIENT,
            ChargePointState.connected,
            ChargePoint.managed_by_operator,
            ChargePoint.status != SystemStatus.DEMO,
            *conditions,
        )
        .order_by(StationCertificate.id)
        .limit(BATCH)
        .with_for_update(of=StationCertificate, skip_locked=True)
    )


def sign_waiting(session: Session, *, secret_key: str, now: datetime) -> int:
    """Sign what waits, if the setting says so. Returns how many."""
    if not settings.get(session, "security.sign_certificates"):
        return 0
    signed = 0
    for row in session.scalars(_due(StationCertificate.status == CertificateStatus.REQUESTED)).all():
        try:
            sign_request(
                session,
                certificate=row,
                reason="Setting “Sign certificate requests”",
                actor=None,
                secret_key=secret_key,
                now=now,
            )
            signed += 1
        except NotRequested as mistake:
            set_status(row, CertificateStatus.REFUSED, str(mistake), now)
    return signed


def send_again(session: Session, *, now: datetime) -> int:
    """Send certificates again that no station answered for, once it is connected. Returns how many."""
    due = _due(
        StationCertificate.status == CertificateStatus.SENDING,
        StationCertificate.changed_at < now - SEND_AGAIN_AFTER,
        select(Action.id).where(Action.id == StationCertificate.action_id, Action.status.in_(UNANSWERED)).exists(),
    )
    rows = session.scalars(due).all()
    for row in rows:
        charge_point = session.get_one(ChargePoint, row.charge_point_id)
        send(session, row, charge_point, reason="The station had not answered", actor=None, now=now)
    return len(rows)


def give_up(session: Session, *, now: datetime) -> int:
    """Refuse what could not be brought to an end for a week. Returns how many."""
    rows = session.execute(
        text(
            "UPDATE station_certificate SET status = 'refused', changed_at = :now, "
            "detail = 'The station was not reached within a week.' WHERE id IN (SELECT id FROM station_certificate "
            "WHERE status = 'sending' AND use = 'client' AND valid_from < :before "
            "ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED) RETURNING charge_point_id, partner_id"
        ),
        {"now": now, "before": now - GIVE_UP_AFTER, "batch": BATCH},
    ).all()
    for charge_point_id, partner_id in rows:
        tell_changed(session, charge_point_id, partner_id)
    return len(rows)


def renew_expiring(session: Session, *, now: datetime) -> int:
    """Ask for a new request where a client certificate ends within 30 days, once a day. Returns how many."""
    due = _due(
        StationCertificate.status == CertificateStatus.INSTALLED,
        StationCertificate.valid_until < now + RENEW_BEFORE,
        StationCertificate.changed_at < now - ASK_AGAIN_AFTER,
        ~_newer_under_way(),
    )
    rows = session.scalars(due).all()
    for row in rows:
        assert row.valid_until is not None
        action = request_renewal(
            session,
            charge_point=session.get_one(ChargePoint, row.charge_point_id),
            reason=f"The client certificate is valid until {row.valid_until:%Y-%m-%d %H:%M} UTC",
            actor=None,
            now=now,
        )
        row.changed_at, row.action_id, row.detail = now, action.id, "The station was asked to renew it."
    session.flush()
    return len(rows)


def _newer_under_way() -> Any:
    other = StationCertificate.__table__.alias()
    return (
        select(other.c.id)
        .where(
            other.c.charge_point_id == StationCertificate.charge_point_id,
            other.c.use == CertificateUse.CLIENT,
            other.c.status.in_((CertificateStatus.REQUESTED, CertificateStatus.SENDING)),
        )
        .exists()
    )
