"""Certificates of charge points: asked for, signed or refused, sent, installed, deleted, renewed.

OCPP 1.6 security whitepaper, edition 2, 4.3 to 4.7: a request is answered at once and signed afterwards, because no
handler may call the station; what follows is a row's way from status to status, driven by commands' outcomes and,
where nobody answered, by the clockwork.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.actions import note_action
from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import CommandName
from app.charging.models import CertificateAuthority, CertificateStatus, CertificateUse, StationCertificate
from app.charging.security import authority
from app.charging.security.authority import InvalidRequest
from app.charging.station import Station
from app.core import events, settings, vault
from app.core.models import Action, Admin

CHANGED = "charge_point.certificates"
REFUSE = "Refuse certificate request"
#: held while an authority is made, so that there is one
_AUTHORITY_LOCK = 0x5EC0_0001

#: an authority signs nothing that would outlive it by much
RENEW_AUTHORITY_BEFORE = timedelta(days=365)

ROOT_USES = (CertificateUse.CENTRAL_SYSTEM_ROOT, CertificateUse.MANUFACTURER_ROOT)


class NotRequested(ValueError):
    """The row is no request that waits for a decision; the message says what it is."""


class NotInstalled(ValueError):
    """There is nothing at the station that could be deleted; the message says why."""


# ---------------------------------------------------------------------- our authority


def trusted(session: Session, *, now: datetime) -> list[str]:
    """The certificates (PEM) of our authorities, newest first: who bears one of theirs is what it says it is."""
    query = select(CertificateAuthority.pem).where(CertificateAuthority.valid_until > now)
    return list(session.scalars(query.order_by(CertificateAuthority.id.desc())))


def ensure_authority(session: Session, *, secret_key: str, now: datetime) -> CertificateAuthority:
    """The authority that signs; made at first use, and anew when its key cannot be opened or its end is near. Flushes.

    The former ones stay trusted.
    """
    found = _usable(session, secret_key=secret_key, now=now)
    if found is not None:
        return found
    session.execute(select(func.pg_advisory_xact_lock(_AUTHORITY_LOCK)))
    found = _usable(session, secret_key=secret_key, now=now)
    if found is not None:
        return found
    certificate, key = authority.make_authority(settings.get_text(session, "system.company_name"), now=now)
    made = CertificateAuthority(
        pem=authority.pem_of(certificate),
        locked_key=vault.lock(key, secret_key),
        valid_until=certificate.not_valid_after_utc,
        created_at=now,
    )
    session.add(made)
    session.flush()
    return made


def _usable(session: Session, *, secret_key: str, now: datetime) -> CertificateAuthority | None:
    query = select(CertificateAuthority).where(CertificateAuthority.valid_until > now + RENEW_AUTHORITY_BEFORE)
    newest = session.scalars(query.order_by(CertificateAuthority.id.desc()).limit(1)).one_or_none()
    if newest is None:
        return None
    try:
        vault.unlock(newest.locked_key, secret_key)
    except vault.VaultLocked:
        return None
    return newest


# ---------------------------------------------------------------------- requests of stations


def record_request(session: Session, *, station: Station, csr: str, now: datetime) -> bool:
    """Keep a station's request; True when it may be signed. What is wrong with a refused one is kept with it. Flushes.

    A repeated request changes nothing; a new one takes the place of one that still waits.
    """
    csr = csr.replace("\x00", "")
    rows = session.scalars(
        select(StationCertificate)
        .where(
            StationCertificate.charge_point_id == station.id,
            StationCertificate.use == CertificateUse.CLIENT,
            StationCertificate.csr.is_not(None),
        )
        .order_by(StationCertificate.id.desc())
        .limit(10)
        .with_for_update()
    ).all()
    under_way = [r for r in rows if r.status in (CertificateStatus.REQUESTED, CertificateStatus.SENDING)]
    if any(row.csr == csr for row in under_way):
        return True
    row = StationCertificate(
        partner_id=station.partner_id,
        charge_point_id=station.id,
        use=CertificateUse.CLIENT,
        status=CertificateStatus.REQUESTED,
        csr=csr,
        created_at=now,
        changed_at=now,
    )
    try:
        request = authority.read_request(csr, identifier=station.identifier)
    except InvalidRequest as mistake:
        row.status, row.detail = CertificateStatus.REFUSED, str(mistake)[:255]
        if rows and rows[0].status is CertificateStatus.REFUSED and rows[0].csr == csr:
            rows[0].changed_at = now  # a station that repeats the same mistake for ever fills no table
        else:
            session.add(row)
        session.flush()
        tell_changed(session, station.id, station.partner_id)
        return False
    row.subject = request.csr.subject.rfc4514_string()[:255]
    company = settings.get_text(session, "system.company_name")
    if request.organisation and request.organisation.casefold() != company.casefold():
        row.detail = f"Asks for the organisation “{request.organisation}”; ours is “{company}”."[:255]
    for waiting in under_way:
        if waiting.status is CertificateStatus.REQUESTED:
            set_status(waiting, CertificateStatus.REFUSED, "Replaced by a newer request.", now)
    session.add(row)
    session.flush()
    tell_changed(session, station.id, station.partner_id)
    return True


def sign_request(
    session: Session,
    *,
    certificate: StationCertificate,
    reason: str,
    actor: Admin | None,
    secret_key: str,
    now: datetime,
) -> Action:
    """Sign a waiting request and send the certificate to the station. Flushes.

    ``actor`` None: by the setting "Sign certificate requests". Raises NotRequested, NotManaged, ReasonRequired.
    """
    row = _waiting(session, certificate)
    charge_point = session.get_one(ChargePoint, row.charge_point_id)
    try:
        request = authority.read_request(row.csr or "", identifier=charge_point.identifier)
    except InvalidRequest as mistake:  # the Charge Point ID was changed meanwhile
        raise NotRequested(str(mistake)) from None
    signer = ensure_authority(session, secret_key=secret_key, now=now)
    issuer = authority.read_certificate(signer.pem)
    signed = authority.issue(
        request,
        authority=issuer,
        key=authority.read_key(vault.unlock(signer.locked_key, secret_key)),
        organisation=settings.get_text(session, "system.company_name"),
        days=settings.get_int(session, "security.certificate_days"),
        now=now,
    )
    describe(row, signed, issuer)
    return send(session, row, charge_point, reason=reason, actor=actor, now=now)


def refuse_request(
    session: Session, *, certificate: StationCertificate, reason: str, actor: Admin, now: datetime
) -> Action:
    """Leave a waiting request unsigned, with its account in the Actions log. Flushes. Raises NotRequested."""
    row = _waiting(session, certificate)
    charge_point = session.get_one(ChargePoint, row.charge_point_id)
    action = note_action(
        session, name=REFUSE, charge_point=charge_point, info=str(row), reason=reason, actor=actor, now=now
    )
    set_status(row, CertificateStatus.REFUSED, f"Refused by {actor.name}.", now)
    row.action_id = action.id
    session.flush()
    tell_changed(session, row.charge_point_id, row.partner_id)
    return action


def _waiting(session: Session, certificate: StationCertificate) -> StationCertificate:
    row = session.get_one(StationCertificate, certificate.id, with_for_update=True, populate_existing=True)
    if row.status is not CertificateStatus.REQUESTED:
        raise NotRequested(f"It does not wait for a decision: {row.status.label.lower()}.")
    return row


def send(
    session: Session,
    row: StationCertificate,
    charge_point: ChargePoint,
    *,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Send a signed certificate to its station; also again. Flushes. Raises NotManaged, ReasonRequired."""
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.SEND_CERTIFICATE,
        request={"certificate_id": row.id, "chain": row.pem},
        info=str(row),
        reason=reason,
        actor=actor,
        now=now,
    )
    row.status, row.action_id, row.changed_at = CertificateStatus.SENDING, action.id, now
    session.flush()
    tell_changed(session, row.charge_point_id, row.partner_id)
    return action


# ---------------------------------------------------------------------- roots at stations


def request_renewal(
    session: Session, *, charge_point: ChargePoint, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask the station to request a new client certificate (whitepaper, A02). Raises NotManaged, ReasonRequired."""
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.TRIGGER_MESSAGE,
        request={"message": "certificate", "network_id": 0},
        info="Certificate signing request",
        reason=reason,
        actor=actor,
        now=now,
    )


def install_root(
    session: Session,
    *,
    charge_point: ChargePoint,
    use: CertificateUse,
    pem: str,
    reason: str,
    actor: Admin,
    now: datetime,
) -> Action:
    """Have the station trust a root certificate (whitepaper, 4.4). Flushes.

    Raises authority.InvalidCertificate, NotManaged, ReasonRequired.
    """
    root = authority.read_certificate(pem)
    if root.not_valid_after_utc <= now:
        raise authority.InvalidCertificate("The certificate has expired.")
    row = StationCertificate(
        partner_id=charge_point.partner_id,
        charge_point_id=charge_point.id,
        use=use,
        status=CertificateStatus.SENDING,
        created_at=now,
        changed_at=now,
    )
    describe(row, root, root)
    session.add(row)
    session.flush()
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.INSTALL_CERTIFICATE,
        request={"use": use.value, "pem": row.pem, "certificate_id": row.id},
        info=f"{use.label}: {row}"[:255],
        reason=reason,
        actor=actor,
        now=now,
    )
    row.action_id = action.id
    session.flush()
    return action


def delete_root(
    session: Session, *, certificate: StationCertificate, reason: str, actor: Admin, now: datetime
) -> Action:
    """Have the station delete an installed root certificate (whitepaper, 4.5). Flushes.

    Raises NotInstalled, NotManaged, ReasonRequired.
    """
    row = session.get_one(StationCertificate, certificate.id, with_for_update=True, populate_existing=True)
    if row.use not in ROOT_USES:
        raise NotInstalled("OCPP 1.6 deletes root certificates only; a new client certificate replaces the old one.")
    if row.status is not CertificateStatus.INSTALLED or not row.hash_data:
        raise NotInstalled(f"It is not installed: {row.status.label.lower()}.")
    action = commands.request_command(
        session,
        charge_point=session.get_one(ChargePoint, row.charge_point_id),
        name=CommandName.DELETE_CERTIFICATE,
        request={"hash_data": row.hash_data, "certificate_id": row.id},
        info=f"{row.use.label}: {row}"[:255],
        reason=reason,
        actor=actor,
        now=now,
    )
    row.action_id = action.id
    session.flush()
    return action


def ask_installed(
    session: Session,
    *,
    charge_point: ChargePoint,
    uses: Sequence[CertificateUse],
    reason: str,
    actor: Admin,
    now: datetime,
) -> list[Action]:
    """Ask which root certificates the station has (whitepaper, 4.6), one command for each use."""
    return [
        commands.request_command(
            session,
            charge_point=charge_point,
            name=CommandName.GET_CERTIFICATES,
            request={"use": use.value},
            info=use.label,
            reason=reason,
            actor=actor,
            now=now,
        )
        for use in uses
    ]


def set_status(row: StationCertificate, status: CertificateStatus, detail: str | None, now: datetime) -> None:
    """Where a certificate stands now, since when, and why."""
    row.status, row.changed_at = status, now
    row.detail = detail[:255] if detail else None


def describe(row: StationCertificate, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """Keep a certificate, and what is asked of it later."""
    row.pem = authority.pem_of(certificate)
    row.fingerprint = authority.fingerprint(certificate)
    row.subject = certificate.subject.rfc4514_string()[:255]
    row.issuer = certificate.issuer.rfc4514_string()[:255]
    row.serial_number = f"{certificate.serial_number:x}"
    row.hash_data = authority.hash_data(certificate, issuer)
    row.valid_from, row.valid_until = certificate.not_valid_before_utc, certificate.not_valid_after_utc


def tell_changed(session: Session, charge_point_id: int, partner_id: int) -> None:
    """Tell open pages of the station, after the commit."""
    events.announce(session, CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)
