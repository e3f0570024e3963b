"""Keys to the API: each belongs to an admin, carries its role, is shown once, stored as a hash and revocable.

product.md, "commands to stations". A key is 256 random bits behind a prefix by which people and leak scanners know it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session, joinedload

from app.core.audit import record_change
from app.core.models import Admin, ApiToken
from app.core.permissions import Permission

PREFIX = "sync_"
_RANDOM_BYTES = 32
#: as many characters of a key are kept readable, so that its owner can tell one from another
_SHOWN_CHARS = len(PREFIX) + 6
_LONGEST_KEY = 200
MAX_NAME_LENGTH = 120
#: "last used" is only written when it is older than this: a busy script costs no write per call
USED_EVERY = timedelta(minutes=1)


class InvalidTokenName(ValueError):
    """A token has a name of 1 to 120 characters, by which its owner knows what uses it."""


class TokenRevokedAlready(ValueError):
    """The token is revoked already."""


class NotOwnToken(ValueError):
    """Only its admin, and whoever may change admin accounts, has to do with a token."""


class AdminNotActive(ValueError):
    """A disabled admin gets no token."""


def create_token(
    session: Session,
    *,
    admin: Admin,
    name: str,
    actor: Admin | None,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a key for an admin; flushes. Returns its row and the key itself, which is stored nowhere.

    Raises InvalidTokenName, AdminNotActive; NotOwnToken when somebody makes one in another admin's name (``actor``
    None, a shell, may).
    """
    name = name.strip()
    if not 0 < len(name) <= MAX_NAME_LENGTH or "\x00" in name:
        raise InvalidTokenName(f"A token has a name of 1 to {MAX_NAME_LENGTH} characters.")
    if not admin.is_active:
        raise AdminNotActive(f"{admin.name} is disabled and cannot have an API token.")
    if actor is not None and actor.id != admin.id:
        raise NotOwnToken("A token can only be made in one's own name.")
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    row = ApiToken(
        admin=admin,
        name=name,
        prefix=key[:_SHOWN_CHARS],
        token_hash=digest(key),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    after = {"name": name, "admin": str(admin), "expires_at": expires_at}
    _audit(session, actor, "create", row, {}, after)
    return row, key


def revoke_token(session: Session, *, token: ApiToken, actor: Admin | None, now: datetime) -> None:
    """End a key at once; flushes. Raises TokenRevokedAlready, NotOwnToken."""
    if actor is not None and actor.id != token.admin_id and not sees_all(actor):
        raise NotOwnToken("This is the token of another admin.")
    revoked = session.execute(
        update(ApiToken)
        .where(ApiToken.id == token.id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session=False)
    )
    if not revoked.rowcount:  # type: ignore[attr-defined]
        raise TokenRevokedAlready("The token is revoked already.")
    session.refresh(token)
    _audit(session, actor, "change", token, {"revoked_at": None}, {"revoked_at": now})


def holder(session: Session, key: str, *, now: datetime) -> ApiToken | None:
    """The row of a key that holds now, with its admin and role; None when unknown, revoked, expired, or its admin is
    disabled.
    """
    if not key.startswith(PREFIX) or len(key) > _LONGEST_KEY:
        return None
    row = session.scalars(
        select(ApiToken)
        .where(ApiToken.token_hash == digest(key))
        .options(joinedload(ApiToken.admin).joinedload(Admin.role))
    ).one_or_none()
    if row is None or row.revoked_at is not None or not row.admin.is_active:
        return None
    return row if row.expires_at is None or row.expires_at > now else None


def note_use(session: Session, *, token: ApiToken, now: datetime) -> None:
    """Keep when a key was last used, to the minute."""
    session.execute(
        update(ApiToken)
        .where(
            ApiToken.id == token.id,
            or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < now - USED_EVERY),
        )
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def tokens(session: Session, *, admin: Admin | None = None) -> Sequence[ApiToken]:
    """The tokens there are, or those of one admin, newest first."""
    query = select(ApiToken).options(joinedload(ApiToken.admin)).order_by(ApiToken.id.desc())
    return session.scalars(query if admin is None else query.where(ApiToken.admin_id == admin.id)).all()


def sees_all(admin: Admin) -> bool:
    """Whether an admin has to do with everybody's tokens: whoever may change admin accounts."""
    return Permission.ADMIN_EDIT in admin.permissions


def status_of(token: ApiToken, *, now: datetime) -> str:
    """Active, Revoked, Expired, or Disabled with its admin."""
    if token.revoked_at is not None:
        return "Revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "Expired"
    return "Active" if token.admin.is_active else "Disabled"


def digest(key: str) -> str:
    """The form in which a key is stored. Its 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


def _audit(
    session: Session,
    actor: Admin | None,
    event: str,
    token: ApiToken,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    record_change(
        session,
        actor=actor,
        event=event,
        object_type=ApiToken.__tablename__,
        object_id=token.id,
        label=str(token),
        before=before,
        after=after,
    )
