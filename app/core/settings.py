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

from app.core import events, vault
from app.core.audit import record_change
from app.core.models import HOUSE_PARTNER_ID, Admin, Setting
from app.core.setting_kinds import Definition as Definition
from app.core.setting_kinds import InvalidSetting as InvalidSetting
from app.core.setting_kinds import Kind as Kind
from app.core.setting_kinds import parse as parse

CACHE_SECONDS = 2.0
#: announced after a change, so that a gateway need not wait for its next look
CHANGED = "setting.changed"

BILLING_STRATEGIES = (
    ("after_session", "Require payment method and bill it AFTER the end of the session"),
    ("preauthorize", "Require payment method and authorize certain amount before starting session"),
    ("balance_or_payment_method", "Require payment method OR minimum amount in balance"),
    ("none", "Do NOT require payment method and do NOT require any amount in balance"),
)

DEFINITIONS: tuple[Definition, ...] = (
    Definition("system.currency", "General", "Base currency", Kind.CURRENCY, "EUR",
               "The currency of tariffs and balances. Sessions keep the currency they were priced in."),
    Definition("system.vat", "General", "Base VAT", Kind.VAT, "Standard",
               "The VAT rate contained in tariff prices, by its name in CONFIGURATION > VAT."),
    Definition("system.timezone", "General", "Timezone", Kind.TIMEZONE, "UTC",
               "Base time zone: exports, reports, receipts, and day/night hours of locations without their own."),
    Definition("system.company_name", "General", "Company name", Kind.TEXT, "SYNC EV.CHARGE",
               "Shown to drivers and on documents.", maximum=120),
    Definition("session.fail_starting_after_seconds", "Session timeout", "Fail starting after", Kind.INTEGER, 60,
               "If the driver does not plug in within this time, the session is discarded.", "seconds", 10, 3600),
    Definition("session.reset_stopping_after_seconds", "Session timeout", "Reset stopping after", Kind.INTEGER, 60,
               "If the charge point does not answer a stop within this time, the stop can be tried again.",
               "seconds", 10, 3600),
    Definition("session.finish_after_inactivity_minutes", "Session timeout", "Finish after inactivity", Kind.INTEGER,
               120, "A session without meter values for this long is considered over and is finished.",
               "minutes", 5, 1440),
    Definition("session.allow_concurrent", "Session timeout", "Several sessions at once", Kind.BOOLEAN, True,
               "Whether a user may charge at more than one EVSE at the same time."),
    Definition("billing.strategy", "User billing", "Billing strategy", Kind.CHOICE, "none",
               "What a driver needs before a session may start. Holds for free tariffs too, except the last.",
               choices=BILLING_STRATEGIES),
    Definition("billing.minimum_balance_to_start", "User billing", "Minimum balance required to start session",
               Kind.AMOUNT, None, "A session does not start with less than this in the balance. Empty: no minimum.",
               minimum=0, optional=True),
    Definition("billing.stop_below_balance", "User billing",
               "Automatically stop session when the available balance falls below this amount",
               Kind.AMOUNT, None, "Usually lower than the auto top-up limit. Empty: the session is not stopped.",
               minimum=0, optional=True),
    Definition("billing.payment_method_not_for_sessions", "User billing",
               "Do not allow direct use of payment method for payment", Kind.BOOLEAN, False,
               "Sessions are then always paid from the balance; payment methods only top it up."),
    Definition("connection.temporarily_unavailable_after_seconds", "Connection",
               'Set station connection status to "Temporary unavailable" after', Kind.INTEGER, 120,
               "Seconds without any sign of life of a charge point.", "seconds", 10, 86400),
    Definition("connection.long_term_unavailable_after_seconds", "Connection",
               'Set station connection status to "Long term unavailable" after', Kind.INTEGER, 300,
               "Seconds without any sign of life until the station is shown as Out of order to drivers.",
               "seconds", 20, 604800),
    Definition("reservation.enabled", "Reservations", "Enable reservations", Kind.BOOLEAN, False,
               "Whether EVSEs can be reserved. Each EVSE may have its own time; 0 switches it off there."),
    Definition("reservation.duration_minutes", "Reservations", "Duration", Kind.INTEGER, 15,
               "How long an EVSE is kept for a user.", "minutes", 1, 1440),
    Definition("reservation.remind_before_minutes", "Reservations", "Remaining time notification", Kind.INTEGER, 5,
               "The user is told when this much of the reservation is left. Empty: not told.", "minutes", 1, 1440,
               optional=True),
    Definition("reservation.maximum_per_day", "Reservations", "Maximum per user and day", Kind.INTEGER, None,
               "Empty: no limit.", minimum=1, maximum=1000, optional=True),
    Definition("reservation.cooldown_minutes", "Reservations", "Cool-down time", Kind.INTEGER, 0,
               "Time between two reservations of a user.", "minutes", 0, 1440),
    Definition("recovery.wait_seconds", "Auto-recovery", "Wait between attempts", Kind.INTEGER, 60,
               "How long a charge point has to show itself healthy after each attempt.", "seconds", 5, 3600),
    Definition("recovery.hard_reset", "Auto-recovery", "Allow hard reset", Kind.BOOLEAN, True,
               "The last attempt; never while a session runs on another EVSE of the charge point."),
    Definition("recovery.cooldown_minutes", "Auto-recovery", "Not again within", Kind.INTEGER, 60,
               "A fault that returns within this time after an attempt failed is not worked on again.",
               "minutes", 0, 10080),
    Definition("notification.outages", "Notification e-mail addresses", "Mail on connection loss", Kind.BOOLEAN,
               True, "Whether a long-term loss of connection is mailed to the Auto-recovery & faults addresses."),
    Definition("mail.host", "E-mail (SMTP)", "Server", Kind.TEXT, "", "Empty: no e-mail is sent; it waits.",
               maximum=255),
    Definition("mail.port", "E-mail (SMTP)", "Port", Kind.INTEGER, 587, "Usually 587, 465 or 25.", "", 1, 65535),
    Definition("mail.security", "E-mail (SMTP)", "Security", Kind.CHOICE, "starttls", "Of the connection.",
               choices=(("starttls", "STARTTLS"), ("tls", "TLS"), ("none", "Not encrypted"))),
    Definition("mail.username", "E-mail (SMTP)", "User name", Kind.TEXT, "", "Empty: without signing in.", maximum=255),
    Definition("mail.password", "E-mail (SMTP)", "Password", Kind.SECRET, "", "Stored encrypted, never shown."),
    Definition("mail.sender", "E-mail (SMTP)", "Sender address", Kind.TEXT, "", "From: of each mail.", maximum=255),
    Definition("geocoding.provider", "Addresses", "Geocoder", Kind.CHOICE, "none",
               "Finds coordinates of an address and the address of coordinates.",
               choices=(("none", "Off"), ("nominatim", "Nominatim"))),
    Definition("geocoding.nominatim_url", "Addresses", "Nominatim server", Kind.TEXT, "nominatim.openstreetmap.org",
               "Host name, or a URL of your own server.", maximum=255),
    Definition("geocoding.what3words_key", "Addresses", "what3words API key", Kind.SECRET, "",
               "Empty: only the form of what3words addresses is checked."),
    Definition("security.sign_certificates", "Charge point security", "Sign certificate requests", Kind.BOOLEAN, True,
               "Whether a request for a client certificate of a known charge point is signed at once."),
    Definition("security.certificate_days", "Charge point security", "Client certificates are valid for", Kind.INTEGER,
               365, "Days.", "days", 7, 3650),
    Definition("file.firmware_max_mb", "Files", "Largest firmware file", Kind.INTEGER, 256, "", "MB", 1, 1024),
    Definition("file.diagnostics_max_mb", "Files", "Largest diagnostics file", Kind.INTEGER, 64,
               "A charge point's upload beyond this is refused.", "MB", 1, 1024),
    Definition("api.commands_per_minute", "API", "Commands per token and minute", Kind.INTEGER, 120,
               "More are answered with 429.", "", 1, 100000),
    Definition("connection.ping_interval_seconds", "Connection", "WebSocket ping interval", Kind.INTEGER, 30,
               "How often the server pings idle charge points; some drop connections idle for 110 seconds.",
               "seconds", 5, 60),
    Definition("charge_point.heartbeat_interval_seconds", "Charge point configuration defaults", "Heartbeat interval",
               Kind.INTEGER, 300, "Given to each charge point when it boots.", "seconds", 10, 86400),
    Definition("charge_point.meter_value_sample_interval_seconds", "Charge point configuration defaults",
               "MeterValueSampleInterval", Kind.INTEGER, 60, "How often a charging session reports its meter.",
               "seconds", 5, 3600),
    Definition("charge_point.configuration_defaults", "Charge point configuration defaults", "Further keys", Kind.LINES,
               "", "One key=value a line; sent after boot, once per change. HeartbeatInterval and "
               "MeterValueSampleInterval are sent from the settings above.", maximum=4000,
               refused_keys=(
                   ("HeartbeatInterval", "is sent from the setting Heartbeat interval above"),
                   ("MeterValueSampleInterval", "is sent from the setting of that name above"),
                   ("AuthorizationKey", "is the password of one charge point; it is rotated on its page"),
               )),
    Definition("charge_point.configure_after_boot", "Charge point configuration defaults", "Configure after boot",
               Kind.BOOLEAN, True, "Can be switched off for single models in ASSETS > Quirk Book."),
    Definition("charge_point.configure_delay_seconds", "Charge point configuration defaults", "Wait after boot",
               Kind.INTEGER, 10, "Some firmware hangs on configuration sent right after its boot.", "seconds", 0, 600),
    Definition("charge_point.command_timeout_seconds", "Charge point configuration defaults", "Command time-out",
               Kind.INTEGER, 30, "How long an action waits for the charge point's answer.", "seconds", 5, 300),
    Definition("retention.communication_log_days", "Retention", "Keep communication logs", Kind.INTEGER, 90,
               "Older months are dropped.", "days", 31, 3650),
    Definition("retention.status_log_days", "Retention", "Keep status logs", Kind.INTEGER, 365,
               "Network and hardware status logs; older months are dropped.", "days", 31, 3650),
    Definition("retention.meter_reading_days", "Retention", "Keep meter readings", Kind.INTEGER, 1825,
               "Readings that a session's price can be explained with; older months are dropped.", "days", 365, 7300),
    Definition("retention.diagnostics_days", "Retention", "Keep diagnostics files", Kind.INTEGER, 90,
               "Older files of charge points are deleted; the requests stay in the log.", "days", 1, 3650),
    Definition("notification.generic_emails", "Notification e-mail addresses", "Generic notifications", Kind.EMAILS,
               [], "Addresses, separated by commas."),
    Definition("notification.fault_emails", "Notification e-mail addresses", "Auto-recovery & faults", Kind.EMAILS,
               [], "Addresses, separated by commas."),
    Definition("map.tile_url", "Map", "Tile server", Kind.TEXT, "",
               "URL with {z}/{x}/{y}; empty: the built-in outline of countries.", maximum=255),
    Definition("map.default_latitude", "Map", "Default location, latitude", Kind.TEXT, "48.0",
               "Where maps open when there is nothing to show.", maximum=12),
    Definition("map.default_longitude", "Map", "Default location, longitude", Kind.TEXT, "12.0",
               "Where maps open when there is nothing to show.", maximum=12),
)  # fmt: skip

BY_KEY: dict[str, Definition] = {d.key: d for d in DEFINITIONS}

#: by key, what a floor above knows of a setting: a function that raises InvalidSetting for a value before it is stored
CHECKS: dict[str, Callable[[Any], None]] = {}


def groups() -> dict[str, list[Definition]]:
    """The definitions by group, in the order of this page."""
    result: dict[str, list[Definition]] = {}
    for definition in DEFINITIONS:
        result.setdefault(definition.group, []).append(definition)
    return result


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
