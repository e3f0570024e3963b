"""What the screens show of a charge point's security."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.charging.models import CertificateStatus, SecurityEvent, StationCertificate
from app.charging.security.passwords import last_change
from app.core.models import Action

#: what has ended is on the page of all certificates
_SHOWN = (CertificateStatus.INSTALLED, CertificateStatus.SENDING, CertificateStatus.REQUESTED)
MAX_CERTIFICATES = 20


@dataclass(frozen=True)
class StationSecurity:
    """A charge point's certificates that matter now, its latest events, and the last change of its password."""

    certificates: Sequence[StationCertificate]
    refused: StationCertificate | None
    events: Sequence[SecurityEvent]
    event_count: int
    last_change: Action | None


def security_of(session: Session, *, charge_point_id: int, events: int) -> StationSecurity:
    """The security of one charge point; ``refused`` is its newest certificate if that was refused."""
    mine = select(StationCertificate).where(StationCertificate.charge_point_id == charge_point_id)
    newest = session.scalars(mine.order_by(StationCertificate.id.desc()).limit(1)).one_or_none()
    shown = mine.where(StationCertificate.status.in_(_SHOWN)).order_by(StationCertificate.id.desc())
    theirs = SecurityEvent.charge_point_id == charge_point_id
    return StationSecurity(
        certificates=session.scalars(shown.limit(MAX_CERTIFICATES)).all(),
        refused=newest if newest is not None and newest.status is CertificateStatus.REFUSED else None,
        events=session.scalars(
            select(SecurityEvent).where(theirs).order_by(SecurityEvent.id.desc()).limit(events)
        ).all(),
        event_count=session.scalar(select(func.count()).select_from(SecurityEvent).where(theirs)) or 0,
        last_change=last_change(session, charge_point_id=charge_point_id),
    )
