"""How an account is protected and where it is signed in, as pages show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from admin_views.login import this_sign_in
from app.core import admin_links, admin_sessions, principal, second_factor
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Admin


@dataclass(frozen=True)
class OpenSession:
    """A sign-in that holds."""

    id: int
    browser: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    is_this: bool


@dataclass(frozen=True)
class Link:
    """A one-time link that was sent."""

    purpose: str
    asked_by: str
    created_at: datetime
    expires_at: datetime
    state: str


@dataclass(frozen=True)
class Protection:
    """Of one account, as of now."""

    sessions: Sequence[OpenSession]
    second_step: bool
    required: bool
    recovery_codes: int
    locked_until: datetime | None
    failed_sign_ins: int
    links: Sequence[Link]


def facts_of(admin: Admin) -> Protection:
    """Of this admin. Whoever belongs to a partner may not read these tables: it is done on its behalf, and what was
    loaded before is detached by it.
    """
    number, here, now = admin.id, this_sign_in(), utcnow()
    mine = here.id if here else None
    with principal.on_behalf():
        session = db.session()
        found = session.get_one(Admin, number)
        factor = second_factor.find(session, number)
        on = factor is not None and factor.confirmed_at is not None
        return Protection(
            sessions=[
                OpenSession(row.id, row.browser, row.address, row.created_at, row.last_seen_at, row.id == mine)
                for row in admin_sessions.open_sessions(session, admin_id=number, now=now)
            ],
            second_step=on,
            required=second_factor.is_required(session, found),
            recovery_codes=len(factor.recovery_hashes) if factor is not None and on else 0,
            locked_until=found.locked_until if found.is_locked(now) else None,
            failed_sign_ins=found.failed_sign_ins,
            links=[
                Link(
                    row.purpose.label, row.asked_by, row.created_at, row.expires_at, admin_links.state_of(row, now=now)
                )
                for row in admin_links.links_of(session, admin_id=number)
            ],
        )
