"""One-time links to admins: the invitation that makes an account theirs, and the one that resets a password.

A link is 256 random bits, mailed (or shown, while no mail server is set) once and stored as a hash. It holds for a
time, until it is used, or until another one is made. Whoever opens it chooses a password; opening alone uses nothing,
as mail servers look at links too.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from flask import current_app
from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from app.core import admin_sessions, mail_texts, sealed, settings, smtp
from app.core.account_models import AdminLink, LinkPurpose
from app.core.audit import record_change
from app.core.mail import queue_mail
from app.core.models import Admin, AdminStatus
from app.core.passwords import hash_password

RESET_HOLDS = timedelta(hours=1)
PATHS = {LinkPurpose.INVITE: "/invitation/", LinkPurpose.RESET: "/new-password/"}
#: whose link may be used: an invitation makes an account active, a reset is for one that is
_STATUS = {LinkPurpose.INVITE: AdminStatus.INVITED, LinkPurpose.RESET: AdminStatus.ACTIVE}
_LONGEST_TOKEN = 100


class LinkSpent(ValueError):
    """The link was used, withdrawn or replaced, its time is over, or it never was one."""


def make_link(
    session: Session, *, admin: Admin, purpose: LinkPurpose, asked_by: str, now: datetime
) -> tuple[AdminLink, str]:
    """Make a link, which ends the admin's earlier ones; flushes. Returns its row and its address, stored nowhere."""
    withdraw_links(session, admin_id=admin.id, now=now)
    token = secrets.token_urlsafe(32)
    holds = RESET_HOLDS
    if purpose is LinkPurpose.INVITE:
        holds = timedelta(days=settings.get_int(session, "admin.invitation_days"))
    row = AdminLink(
        admin_id=admin.id,
        purpose=purpose,
        token_hash=_digest(token),
        created_at=now,
        expires_at=now + holds,
        asked_by=asked_by[:255],
    )
    session.add(row)
    session.flush()
    return row, f"{current_app.config['SYNC'].public_url}{PATHS[purpose]}{token}"


def send_link(session: Session, *, admin: Admin, purpose: LinkPurpose, asked_by: str, now: datetime) -> str | None:
    """Make a link and mail it; flushes. Returns its address instead when no mail server is set: to be shown once."""
    row, url = make_link(session, admin=admin, purpose=purpose, asked_by=asked_by, now=now)
    try:
        smtp.server_from_settings(session)
    except smtp.MailNotSetUp:
        return url
    company = settings.get_text(session, "system.company_name")
    subjects = {
        LinkPurpose.INVITE: f"Your admin account of {company}",
        LinkPurpose.RESET: f"Your new password for {company}",
    }
    body, html = mail_texts.render(
        session,
        f"admin_{purpose.value}",
        subject=subjects[purpose],
        name=admin.name,
        asked_by=asked_by,
        url=sealed.seal(url),
        expires_at=row.expires_at,
    )
    queue_mail(
        session,
        key=f"admin-link:{row.id}",
        recipient=admin.email,
        subject=subjects[purpose],
        body=body,
        html=html,
        confidential=True,
        now=now,
    )
    return None


def find_link(session: Session, token: str, *, purpose: LinkPurpose, now: datetime) -> AdminLink:
    """The link of a token with its admin, as long as it can be used. Raises LinkSpent."""
    row = None
    if 0 < len(token) <= _LONGEST_TOKEN:
        row = session.scalars(
            select(AdminLink)
            .where(AdminLink.token_hash == _digest(token), AdminLink.purpose == purpose)
            .options(joinedload(AdminLink.admin))
        ).one_or_none()
    if row is None or row.used_at or row.withdrawn_at or row.expires_at <= now:
        raise LinkSpent("This link holds no more.")
    if row.admin.status is not _STATUS[purpose]:
        raise LinkSpent("This link holds no more.")
    return row


def use_link(session: Session, token: str, *, purpose: LinkPurpose, password: str, now: datetime) -> Admin:
    """Set the password that was chosen; flushes. An invited account becomes active, every sign-in ends.

    Raises LinkSpent, WeakPassword. Of two that use a link at the same time one is refused: the row decides.
    """
    link = find_link(session, token, purpose=purpose, now=now)
    hashed = hash_password(password)
    used = session.execute(
        update(AdminLink)
        .where(
            AdminLink.id == link.id,
            AdminLink.used_at.is_(None),
            AdminLink.withdrawn_at.is_(None),
            AdminLink.expires_at > now,
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    if not used.rowcount:  # type: ignore[attr-defined]
        raise LinkSpent("This link holds no more.")
    admin = session.scalars(
        select(Admin)
        .where(Admin.id == link.admin_id)
        .with_for_update(of=Admin)
        .execution_options(populate_existing=True)
    ).one()
    if admin.status is not _STATUS[purpose]:
        raise LinkSpent("This link holds no more.")
    before = admin.status
    admin.password_hash, admin.status = hashed, AdminStatus.ACTIVE
    admin.locked_until, admin.failed_sign_ins, admin.failed_since = None, 0, None
    session.flush()
    withdraw_links(session, admin_id=admin.id, now=now)
    admin_sessions.end(session, admin_id=admin.id, why=admin_sessions.NEW_PASSWORD, now=now)
    record_change(
        session,
        actor=admin,
        event="change",
        object_type=Admin.__tablename__,
        object_id=admin.id,
        label=str(admin),
        before={"password": "old", "status": before},
        after={"password": "new", "status": admin.status, "by": purpose},
    )
    session.flush()
    return admin


def withdraw_links(session: Session, *, admin_id: int, now: datetime, purpose: LinkPurpose | None = None) -> int:
    """End the links of an admin that could still be used. Flushes. Returns how many."""
    statement = update(AdminLink).where(
        AdminLink.admin_id == admin_id, AdminLink.used_at.is_(None), AdminLink.withdrawn_at.is_(None)
    )
    if purpose is not None:
        statement = statement.where(AdminLink.purpose == purpose)
    done = session.execute(statement.values(withdrawn_at=now).execution_options(synchronize_session=False))
    return int(done.rowcount)  # type: ignore[attr-defined]


def links_of(session: Session, *, admin_id: int) -> Sequence[AdminLink]:
    """An admin's last links, newest first."""
    return session.scalars(
        select(AdminLink).where(AdminLink.admin_id == admin_id).order_by(AdminLink.id.desc()).limit(5)
    ).all()


def state_of(link: AdminLink, *, now: datetime) -> str:
    """What became of a link, in words."""
    if link.used_at is not None:
        return "Used"
    if link.withdrawn_at is not None:
        return "Withdrawn"
    return "Open" if link.expires_at > now else "Expired"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
