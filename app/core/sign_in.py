"""Admins at the door: who signs in, with what password, and what ends their sessions.

Manual, "Admin Accounts". An unknown e-mail, a wrong password and a disabled account answer alike and take as long.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from app.core import admin_sessions, mail_texts, settings
from app.core.audit import record_change
from app.core.mail import queue_mail
from app.core.models import Admin, AdminStatus, AuditEntry, Role
from app.core.passwords import hash_password, needs_rehash, verify_password

#: longer ones are not passwords but work for the hash
MAXIMUM_PASSWORD_LENGTH = 1024
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class WrongPassword(ValueError):
    """The present password does not fit."""


class EmailTaken(ValueError):
    """Another admin has this e-mail address."""


class InvalidEmail(ValueError):
    """The text is not an e-mail address."""


class UnknownRole(ValueError):
    """There is no role of that name; the message lists those there are."""


def find_admin(session: Session, email: str) -> Admin | None:
    """The admin with an e-mail address, regardless of case."""
    return session.scalars(select(Admin).where(func.lower(Admin.email) == email.strip().lower())).one_or_none()


def check_password(session: Session, *, email: str, password: str, address: str, now: datetime) -> Admin | None:
    """The active admin with this e-mail and password, else None. Flushes; every refusal is in the audit.

    The password is hashed exactly once and the same statements are sent whatever is wrong, so that an answer does not
    tell by its time whether an address is known. What was typed as an unknown e-mail is not kept: it may be a
    password. Whoever gets an admin asks for the second step where there is one, and then calls ``note_sign_in``.
    """
    admin = find_admin(session, email) if "\x00" not in email else None
    fits = verify_password(admin.password_hash if admin else None, password[:MAXIMUM_PASSWORD_LENGTH])
    if admin is None or not fits or admin.status is not AdminStatus.ACTIVE or admin.is_locked(now):
        note_failure(session, admin=admin, address=address, now=now)
        return None
    if admin.password_hash is not None and needs_rehash(admin.password_hash):
        _quietly(session, admin, password_hash=hash_password(password))
    return admin


def note_sign_in(session: Session, *, admin: Admin, address: str, now: datetime) -> None:
    """Whoever it is has come in: in the audit, with the failures before forgotten. Flushes."""
    _quietly(session, admin, last_login_at=now, failed_sign_ins=0, failed_since=None, locked_until=None)
    _record(session, admin, "login", address)
    session.flush()


def note_failure(session: Session, *, admin: Admin | None, address: str, now: datetime, step: str = "password") -> None:
    """Count a wrong password or code, and lock the account when there have been too many. Flushes.

    Settings > Admin accounts. Attempts on a locked account do not prolong it. A lock is about coming in: sign-ins
    that exist go on, or a stranger could throw an admin out.
    """
    most = settings.get(session, "admin.lock_after_attempts")
    span = timedelta(minutes=settings.get_int(session, "admin.lock_minutes"))
    table = Admin.__table__
    recent = table.c.failed_since > now - span
    count = case((recent, table.c.failed_sign_ins + 1), else_=1)
    # the same statement for nobody: it must not take less time
    locked = session.execute(
        update(table)  # type: ignore[arg-type]
        .where(table.c.id == (admin.id if admin else 0), func.coalesce(table.c.locked_until, now) <= now)
        .values(
            failed_sign_ins=count,
            failed_since=case((recent, table.c.failed_since), else_=now),
            locked_until=None if most is None else case((count >= most, now + span), else_=None),
        )
        .returning(table.c.locked_until)
    ).scalar_one_or_none()
    if admin is not None:
        session.expire(admin, ["failed_sign_ins", "failed_since", "locked_until"])
        if locked is not None:
            _tell_of_lock(session, admin, locked, address, now)
    _record(session, admin, "login_failed", address, step=step, locked_until=locked)
    session.flush()


def _tell_of_lock(session: Session, admin: Admin, until: datetime, address: str, now: datetime) -> None:
    """Mail it to Settings > Notification e-mail addresses > Generic Notifications."""
    recipients = settings.get(session, "notification.generic_emails")
    subject = f"The admin account {admin.email} is locked"
    body, html = mail_texts.render(session, "admin_locked", subject=subject, admin=admin, until=until, address=address)
    for recipient in recipients:
        key = f"admin-locked:{admin.id}:{int(until.timestamp())}"
        queue_mail(session, key=key, recipient=recipient, subject=subject, body=body, html=html, now=now)


def _quietly(session: Session, admin: Admin, **changes: object) -> None:
    """Past the ORM: signing in is no change that an open form of this account could overwrite."""
    session.execute(update(Admin.__table__).where(Admin.__table__.c.id == admin.id).values(**changes))  # type: ignore[arg-type]
    session.expire(admin, list(changes))


def _record(
    session: Session,
    admin: Admin | None,
    event: str,
    address: str,
    *,
    step: str = "password",
    locked_until: datetime | None = None,
) -> None:
    known = event == "login"
    after: dict[str, object] = {"address": address}
    if step != "password":
        after["step"] = step
    if locked_until is not None:
        after["locked_until"] = locked_until.isoformat()
    session.add(
        AuditEntry(
            admin_id=admin.id if admin and known else None,
            admin_label=f"{admin.name} <{admin.email}>" if admin and known else "Somebody",
            event=event,
            object_type="admin",
            object_id=str(admin.id) if admin else "unknown",
            object_label=str(admin) if admin else "unknown e-mail",
            before={},
            after=after,
        )
    )


def note_reset_asked(session: Session, *, admin: Admin, address: str) -> None:
    """Somebody has asked at the sign-in page for a new password of this account. Flushes."""
    _record(session, admin, "reset_asked", address)
    session.flush()


def require_password(admin: Admin, password: str) -> None:
    """Raise WrongPassword unless it is the admin's."""
    if not verify_password(admin.password_hash, password[:MAXIMUM_PASSWORD_LENGTH]):
        raise WrongPassword("This is not your present password.")


def change_own_password(session: Session, *, admin: Admin, old: str, new: str, keep: int | None, now: datetime) -> None:
    """Set a new password and end every other sign-in of the admin; ``keep`` is the number of this one. Flushes.

    Raises WrongPassword, or WeakPassword with what is wanted.
    """
    require_password(admin, old)
    admin.password_hash = hash_password(new[:MAXIMUM_PASSWORD_LENGTH])
    admin_sessions.end(session, admin_id=admin.id, why=admin_sessions.NEW_PASSWORD, now=now, keep=keep)
    record_change(
        session,
        actor=admin,
        event="change",
        object_type="admin",
        object_id=admin.id,
        label=str(admin),
        before={"password": "old"},
        after={"password": "new"},
    )
    session.flush()


def change_own_account(
    session: Session, *, admin: Admin, name: str, email: str, locale: str, timezone: str | None
) -> None:
    """Change what an admin may change of itself, audited. Flushes. Raises InvalidEmail or EmailTaken."""
    email = checked_email(email)
    other = find_admin(session, email)
    if other is not None and other.id != admin.id:
        raise EmailTaken("Another admin has this e-mail address.")
    after = {"name": name.strip(), "email": email, "locale": locale, "timezone": timezone}
    before = {key: getattr(admin, key) for key in after}
    for key, value in after.items():
        setattr(admin, key, value)
    record_change(
        session,
        actor=admin,
        event="change",
        object_type="admin",
        object_id=admin.id,
        label=str(admin),
        before=before,
        after=after,
    )
    session.flush()


def create_admin(
    session: Session,
    *,
    email: str,
    name: str,
    role: str,
    password: str | None,
    actor: Admin | None,
    partner_id: int | None = None,
) -> Admin:
    """Make an admin with a role by its name, of the operator or of a partner. Flushes.

    Without a password it is invited: it signs in once it has chosen one (``admin_links``).

    Raises InvalidEmail, EmailTaken, UnknownRole (also for a role of the other kind) or WeakPassword.
    """
    email = checked_email(email)
    if find_admin(session, email) is not None:
        raise EmailTaken(f"there is an admin with the e-mail {email} already")
    found = session.scalars(select(Role).where(func.lower(Role.name) == role.strip().lower())).one_or_none()
    if found is None or found.for_partner is not (partner_id is not None):
        kind = Role.for_partner.is_(partner_id is not None)
        names = ", ".join(session.scalars(select(Role.name).where(kind).order_by(Role.id)))
        raise UnknownRole(f"there is no role {role!r}; there are: {names}")
    admin = Admin(
        email=email,
        name=name.strip() or email,
        password_hash=hash_password(password) if password else None,
        status=AdminStatus.ACTIVE if password else AdminStatus.INVITED,
        role=found,
        partner_id=partner_id,
    )
    session.add(admin)
    session.flush()
    record_change(
        session,
        actor=actor,
        event="create",
        object_type="admin",
        object_id=admin.id,
        label=str(admin),
        before={},
        after={
            "name": admin.name,
            "email": admin.email,
            "role": found.name,
            "status": admin.status,
            **({"partner_id": partner_id} if partner_id is not None else {}),
        },
    )
    return admin


def checked_email(email: str) -> str:
    """The address without spaces around. Raises InvalidEmail."""
    email = email.strip()
    if not _EMAIL.fullmatch(email) or len(email) > 255:
        raise InvalidEmail(f"{email!r} is not an e-mail address")
    return email
