"""What came of the commands about certificates: installed, refused, deleted, and what a station says it has.

OCPP 1.6 security whitepaper, edition 2, 4.3 to 4.7.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.models import CertificateStatus, CertificateUse, StationCertificate
from app.charging.security import authority
from app.charging.security.certificates import set_status, tell_changed
from app.core.models import ActionStatus

#: nobody knows whether the station has it; it is sent again
UNANSWERED = (ActionStatus.TIMED_OUT, ActionStatus.NOT_CONNECTED)


@follow_up(CommandName.SEND_CERTIFICATE, CommandName.INSTALL_CERTIFICATE)
def _follow_installation(session: Session, outcome: Outcome) -> None:
    """Installed, or refused by the station; a client certificate that nobody answered is sent again."""
    row = _row_of(session, outcome)
    if row is None or not _is_awaited(row, outcome):
        return
    status = outcome.answer.status
    if status is ActionStatus.ACCEPTED:
        _replace_former(session, row, outcome.now)
        set_status(row, CertificateStatus.INSTALLED, None, outcome.now)
    elif outcome.name is CommandName.SEND_CERTIFICATE and status in UNANSWERED:
        set_status(row, CertificateStatus.SENDING, f"{status.label}; it is sent again.", outcome.now)
    elif status is ActionStatus.REJECTED:
        said = outcome.answer.error or (outcome.answer.response or {}).get("status")
        set_status(row, CertificateStatus.REFUSED, f"By the station: {said or status.label}", outcome.now)
    else:
        set_status(row, CertificateStatus.REFUSED, outcome.answer.error or status.label, outcome.now)
    session.flush()
    tell_changed(session, row.charge_point_id, row.partner_id)


def _is_awaited(row: StationCertificate, outcome: Outcome) -> bool:
    """A yes counts from any time it was sent, also late; anything else only from the last."""
    if outcome.answer.status is ActionStatus.ACCEPTED and row.status is CertificateStatus.SENDING:
        return True
    latest = row.action_id == outcome.action_id
    return latest and (
        row.status is CertificateStatus.SENDING or (outcome.late and row.status is CertificateStatus.REFUSED)
    )


@follow_up(CommandName.DELETE_CERTIFICATE)
def _follow_deletion(session: Session, outcome: Outcome) -> None:
    """What the station deleted, or does not have, is removed."""
    row = _row_of(session, outcome)
    result = outcome.answer.facts.get("result")
    if row is None or row.status is not CertificateStatus.INSTALLED or result not in ("accepted", "not_found"):
        return
    set_status(
        row, CertificateStatus.REMOVED, None if result == "accepted" else "The station did not have it.", outcome.now
    )
    session.flush()
    tell_changed(session, row.charge_point_id, row.partner_id)


@follow_up(CommandName.GET_CERTIFICATES)
def _follow_list(session: Session, outcome: Outcome) -> None:
    """Bring the installed roots of one use into line with what the station has."""
    if outcome.answer.status is not ActionStatus.ANSWERED:
        return
    use = CertificateUse(outcome.request["use"])
    named = [found for found in outcome.answer.facts.get("certificates", []) if isinstance(found, dict)]
    rows = session.scalars(
        select(StationCertificate)
        .where(StationCertificate.charge_point_id == outcome.charge_point_id, StationCertificate.use == use)
        .order_by(StationCertificate.id.desc())
        .with_for_update()
    ).all()
    for row in rows:
        if row.status is CertificateStatus.INSTALLED and not any(_is(row, found) for found in named):
            set_status(row, CertificateStatus.REMOVED, "The station does not have it any more.", outcome.now)
    for found in named:
        known = next((row for row in rows if _is(row, found)), None)
        if known is None:
            known = StationCertificate(
                partner_id=outcome.partner_id,
                charge_point_id=outcome.charge_point_id,
                use=use,
                serial_number=authority.plain_hash(found)["serialNumber"][:80],
                created_at=outcome.now,
            )
            session.add(known)
        if known.status is not CertificateStatus.INSTALLED:
            known.action_id = outcome.action_id
            set_status(known, CertificateStatus.INSTALLED, "As the station says.", outcome.now)
        known.hash_data = {key: str(value) for key, value in found.items()}  # in its own spelling: it is asked by it
    session.flush()
    tell_changed(session, outcome.charge_point_id, outcome.partner_id)


def _is(row: StationCertificate, found: dict[str, Any]) -> bool:
    if row.pem is not None and authority.is_named_by(authority.read_certificate(row.pem), found):
        return True
    return row.hash_data is not None and authority.plain_hash(row.hash_data) == authority.plain_hash(found)


def _row_of(session: Session, outcome: Outcome) -> StationCertificate | None:
    number = int(outcome.request.get("certificate_id") or 0)
    return session.get(StationCertificate, number, with_for_update=True, populate_existing=True)


def _replace_former(session: Session, row: StationCertificate, now: datetime) -> None:
    """A station has one client certificate; an installed root is installed once."""
    query = select(StationCertificate).where(
        StationCertificate.charge_point_id == row.charge_point_id,
        StationCertificate.use == row.use,
        StationCertificate.status == CertificateStatus.INSTALLED,
        StationCertificate.id != row.id,
    )
    if row.use is not CertificateUse.CLIENT:
        query = query.where(StationCertificate.fingerprint == row.fingerprint)
    for former in session.scalars(query.with_for_update()):
        set_status(former, CertificateStatus.REMOVED, "Replaced by a newer one.", now)
