"""The system's settings: typed definitions as data, values in the database, in force without a restart.

A value is read through ``get(setting)``; each process keeps the stored values for a moment and asks the
database again after ``CACHE_SECONDS``, or at once after a change of its own.
Keys are the provisioning file's (``billing.strategy``). Manual, "Settings".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import events, principal, vault
from app.core.audit import record_change
from app.core.db import system_session
from app.core.models import HOUSE_PARTNER_ID, Admin, Setting
from app.core.setting_definitions import BILLING_STRATEGIES as BILLING_STRATEGIES
from app.core.setting_definitions import DEFINITIONS as DEFINITIONS
from app.core.setting_definitions import GROUPS as GROUPS
from app.core.setting_kinds import Definition as Definition
from app.core.setting_kinds import InvalidSetting as InvalidSetting
from app.core.setting_kinds import Kind as Kind
from app.core.setting_kinds import parse as parse

CACHE_SECONDS = 2.0
#: announced after a change, so that a gateway need not wait for its next look
CHANGED = "setting.changed"

BY_KEY: dict[str, Definition] = {d.key: d for d in DEFINITIONS}

#: by key, what a floor above knows of a setting: a function that raises InvalidSetting for a value before it is stored
CHECKS: dict[str, Callable[[Any], None]] = {}


def groups() -> dict[str, list[Definition]]:
    """The definitions by group, in the manual's order."""
    result: dict[str, list[Definition]] = {name: [] for name in GROUPS}
    for definition in DEFINITIONS:
        result.setdefault(definition.group, []).append(definition)
    return {name: found for name, found in result.items() if found}


# --- stored values

_cache: dict[str, Any] = {}
_cached_at = float("-inf")
_forgotten = 0


def forget() -> None:
    """Ask the database again at the next read (after a change, and between tests)."""
    global _cached_at, _forgotten
    _cached_at = float("-inf")
    _forgotten += 1


# once more when a change is committed: meanwhile somebody else may have read, and kept, what was in force before
events.replace_listener(CHANGED, lambda _event: forget())


def _stored(session: Session) -> dict[str, Any]:
    global _cache, _cached_at
    if time.monotonic() - _cached_at <= CACHE_SECONDS:
        return _cache
    before = _forgotten
    if principal.current().is_confined:  # partners have no right to the table; what is kept here serves everybody
        with system_session() as own:
            found = {row.key: row.value for row in own.execute(select(Setting.key, Setting.value))}
    else:
        found = {row.key: row.value for row in session.execute(select(Setting.key, Setting.value))}
    if before == _forgotten:  # else it changed while the database answered
        _cache, _cached_at = found, time.monotonic()
    return found


def get(session: Session, key: str) -> Any:
    """The value in force. Raises KeyError for a key that has no definition, TypeError for a secret."""
    definition = BY_KEY[key]
    if definition.kind is Kind.SECRET:
        raise TypeError(f"{key} is a secret: read it with get_secret where it is used, and show only has_secret")
    stored = _stored(session)
    return parse(definition, stored[key]) if key in stored else definition.default


def get_int(session: Session, key: str) -> int:
    """A whole-number setting."""
    return cast(int, get(session, key))


def get_text(session: Session, key: str) -> str:
    """A text, choice, currency or time zone setting."""
    return cast(str, get(session, key))


def get_amount(session: Session, key: str) -> Decimal | None:
    """An amount in the base currency, or None when empty."""
    return cast("Decimal | None", get(session, key))


def has_secret(session: Session, key: str) -> bool:
    """Whether a secret is stored; also one that cannot be unlocked any more."""
    return bool(_stored(session).get(key))


def get_secret(session: Session, key: str) -> str:
    """A secret itself, empty when none is set. Raises vault.VaultLocked when it was stored under another SECRET_KEY."""
    stored = _stored(session).get(key)
    return vault.unlock(stored, current_app.config["SECRET_KEY"]) if stored else ""


def change_setting(session: Session, *, key: str, value: Any, actor: Admin | None) -> bool:
    """Store a value and audit the change; False when it was that already. Flushes.

    A secret is stored locked, and neither its old nor its new value reaches the audit.
    Raises KeyError for an unknown key and InvalidSetting for a value that does not fit.
    """
    definition = BY_KEY[key]
    parsed = parse(definition, value)
    if key in CHECKS:
        CHECKS[key](parsed)
    secret = definition.kind is Kind.SECRET
    before = _secret_or_none(session, key) if secret else get(session, key)
    if parsed == before:
        return False
    stored = str(parsed) if isinstance(parsed, Decimal) else parsed
    if secret:
        stored = vault.lock(parsed, current_app.config["SECRET_KEY"]) if parsed else ""
        before, parsed = ("set" if before != "" else "not set"), ("changed" if parsed else "removed")
    row = session.get(Setting, key)
    if row is None:
        session.add(Setting(key=key, value=stored, admin_id=actor.id if actor else None))
    else:
        row.value, row.admin_id = stored, actor.id if actor else None
    record_change(
        session,
        actor=actor,
        event="change",
        object_type="setting",
        object_id=key,
        label=definition.label,
        before={"value": before},
        after={"value": parsed},
    )
    session.flush()
    forget()
    events.announce(session, CHANGED, partner_id=HOUSE_PARTNER_ID, key=key)
    return True


def _secret_or_none(session: Session, key: str) -> str | None:
    """A secret to compare with; None for one that cannot be unlocked, which equals nothing."""
    try:
        return get_secret(session, key)
    except vault.VaultLocked:
        return None
