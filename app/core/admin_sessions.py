"""Sign-ins of admins: each is a row, the cookie carries its key, ending the row ends it at the next request.

A key is 256 random bits and stored as a hash. A sign-in ends when its admin signs out, when somebody ends it, with
the account (disabled, deleted), with a new password, and after Settings > Session Timeout without a request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from app.core import settings
from app.core.account_models import AdminLink, AdminSession
from app.core.models import Admin, AdminStatus

#: "last seen" is written at most this often
SEEN_EVERY = timedelta(minutes=1)
#: sign-ins and links that are over are kept this long, for whoever asks who was in
KEPT = timedelta(days=90)
_LONGEST_KEY = 100

SIGNED_OUT = "Signed out"
NEW_PASSWORD = "New password"  # noqa: S105 (why it ended)
DISABLED = "Account disabled"
SECOND_STEP = "Second step changed"


def begin(session: Session, *, admin: Admin, address: str, agent: str, now: datetime) -> tuple[AdminSession, str]:
    """Write down a sign-in; flushes. Returns its row, and the key for the cookie, which is stored nowhere."""
    key = secrets.token_urlsafe(32)
    row = AdminSession(
        admin_id=admin.id,
        key_hash=_digest(key),
        created_at=now,
        last_seen_at=now,
        address=address[:64],
        browser=browser_in_words(agent),
    )
    session.add(row)
    session.flush()
    return row, key


def find(session: Session, key: str, *, now: datetime) -> AdminSession | None:
    """The sign-in of a key with its admin and role; None when it is over, idle for too long, or of a disabled admin."""
    if not 0 < len(key) <= _LONGEST_KEY:
        return None
    row = session.scalars(
        select(AdminSession)
        .where(AdminSession.key_hash == _digest(key), AdminSession.ended_at.is_(None))
        .options(joinedload(AdminSession.admin, innerjoin=True).joinedload(Admin.role, innerjoin=True))
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None or row.last_seen_at <= now - idle_limit(session) or row.admin.status is not AdminStatus.ACTIVE:
        return None
    return row


def note_seen(session: Session, row: AdminSession, *, now: datetime) -> bool:
    """Keep when, to the minute, an admin was last here; whether that was written. Flushes."""
    if row.last_seen_at > now - SEEN_EVERY:
        return False
    session.execute(
        update(AdminSession)
        .where(AdminSession.id == row.id, AdminSession.last_seen_at <= now - SEEN_EVERY)
        .values(last_seen_at=now)
        .execution_options(synchronize_session=False)
    )
    return True


def open_sessions(session: Session, *, admin_id: int, now: datetime) -> Sequence[AdminSession]:
    """The sign-ins that hold now, the one used last first."""
    return session.scalars(
        select(AdminSession)
        .where(
            AdminSession.admin_id == admin_id,
            AdminSession.ended_at.is_(None),
            AdminSession.last_seen_at > now - idle_limit(session),
        )
        .order_by(AdminSession.last_seen_at.desc(), AdminSession.id.desc())
    ).all()


def end(
    session: Session,
    *,
    admin_id: int,
    why: str,
    now: datetime,
    only: Iterable[int] | None = None,
    keep: int | None = None,
) -> int:
    """End an admin's sign-ins: all, ``only`` those with these numbers, all but ``keep``. Returns how many. Flushes."""
    statement = update(AdminSession).where(AdminSession.admin_id == admin_id, AdminSession.ended_at.is_(None))
    if only is not None:
        statement = statement.where(AdminSession.id.in_(list(only)))
    if keep is not None:
        statement = statement.where(AdminSession.id != keep)
    done = session.execute(
        statement.values(ended_at=now, ended_why=why[:255]).execution_options(synchronize_session=False)
    )
    return int(done.rowcount)  # type: ignore[attr-defined]


def ended(session: Session, numbers: Iterable[int], *, now: datetime) -> set[int]:
    """Which of these sign-ins hold no more: whoever keeps a connection open for one asks from time to time."""
    asked = set(numbers)
    holding = session.scalars(
        select(AdminSession.id)
        .join(Admin, Admin.id == AdminSession.admin_id)
        .where(
            AdminSession.id.in_(asked),
            AdminSession.ended_at.is_(None),
            AdminSession.last_seen_at > now - idle_limit(session),
            Admin.status == AdminStatus.ACTIVE,
        )
    )
    return asked - set(holding)


def idle_limit(session: Session) -> timedelta:
    """After how long without a request a sign-in is over: Settings > Session Timeout."""
    return timedelta(minutes=settings.get_int(session, "admin.session_timeout_minutes"))


def forget_old(session: Session, *, now: datetime) -> int:
    """Delete sign-ins and links that have been over for 90 days. Flushes. Returns how many."""
    before = now - KEPT
    sessions = session.execute(
        delete(AdminSession).where(
            or_(AdminSession.ended_at < before, AdminSession.last_seen_at < before - idle_limit(session))
        )
    )
    links = session.execute(delete(AdminLink).where(func.greatest(AdminLink.expires_at, AdminLink.used_at) < before))
    return int(sessions.rowcount + links.rowcount)  # type: ignore[attr-defined]


# --- words

_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"), ("Version/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def browser_in_words(agent: str) -> str:
    """What a User-Agent header says, as "Firefox on Windows"; its beginning when it is no browser we know."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser:
        return f"{browser} on {system}" if system else browser
    known = re.sub(r"[^\x20-\x7e]", "", agent).strip()[:60]
    return known or "Unknown browser"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
