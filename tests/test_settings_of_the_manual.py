"""Every item of the manual's chapter "Settings" is there, in the manual's words, under its heading, and obeyed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.core import languages, settings
from app.core.settings import BY_KEY, DEFINITIONS, InvalidSetting

#: the manual's heading → its items in the manual's words → our keys. Two items wait for the partners' invitations:
#: "Allow Partner to view Users that have accepted invite" and "Auto accept partner invites".
MANUAL: dict[str, dict[str, str]] = {
    "Charge point configuration defaults": {
        "Heartbeat": "charge_point.heartbeat_interval_seconds",
        "MeterValueSample": "charge_point.meter_value_sample_interval_seconds",
    },
    "Maximum number of payment methods per customer allowed": {
        "Maximum number of payment methods per customer allowed": "payment.maximum_methods",
    },
    "Payment Processor Testing": {
        "Payment Processor Testing": "payment.testing_processor",
        "E-mail": "payment.testing_emails",
    },
    "Session Timeout": {
        "Fail starting after": "session.fail_starting_after_seconds",
        "Reset stopping after": "session.reset_stopping_after_seconds",
        "Finish after inactivity": "session.finish_after_inactivity_minutes",
    },
    "User billing settings": {
        "Enable balance top up": "billing.top_up_enabled",
        "Enable auto top up": "billing.auto_top_up_enabled",
        "Auto top up when balance amount reaches": "billing.auto_top_up_below",
        "Billing strategy": "billing.strategy",
        "Pre-authorize amount": "billing.preauthorize_amount",
        "Stop when Pre-authorisation amount falls below": "billing.stop_below_preauthorization",
        "Do not allow direct use of payment method for payment": "billing.payment_method_not_for_sessions",
        "Minimum balance required to start session": "billing.minimum_balance_to_start",
        "Automatically stop session when the available balance falls below this amount": "billing.stop_below_balance",
    },
    "Notification e-mail addresses": {
        "Generic Notifications": "notification.generic_emails",
        "Auto-recovery & faults": "notification.fault_emails",
    },
    "Reservations": {
        "Enable": "reservation.enabled",
        "Duration": "reservation.duration_minutes",
        "Remaining time notification": "reservation.remind_before_minutes",
        "Maximum": "reservation.maximum_per_day",
        "Cool-down time": "reservation.cooldown_minutes",
    },
    "Default location": {"Latitude": "map.default_latitude", "Longitude": "map.default_longitude"},
    "Timezone": {"Timezone": "system.timezone"},
    "App Settings": {
        "Cable Only": "app.cable_only",
        "Free Only": "app.free_only",
        "Enable pins grouping on zoom-out": "app.group_pins",
        "Default language": "app.default_language",
        "Languages": "app.languages",
    },
    'Set station connection status to "Temporary unavailable" after': {
        'Set station connection status to "Temporary unavailable" after': (
            "connection.temporarily_unavailable_after_seconds"
        ),
    },
    'Set station connection status to "Long term unavailable" after': {
        'Set station connection status to "Long term unavailable" after': (
            "connection.long_term_unavailable_after_seconds"
        ),
    },
    "Base VAT": {"Base VAT": "system.vat"},
    "Base Currency": {"Base Currency": "system.currency"},
    "Payment Processor": {"Payment processor": "payment.processor"},
    "Invoices Processor": {"Invoices processor": "receipt.processor"},
    "Company Details": {"Name": "company.name"},
    "SMS Processor": {"SMS processor": "sms.processor"},
}
ITEMS = [(words, key) for items in MANUAL.values() for words, key in items.items()]
#: headings that are also the page's
SHARED = [name for name in MANUAL if name in settings.GROUPS]


@pytest.mark.parametrize("words, key", ITEMS)
def test_an_item_of_the_manual_is_a_setting_in_its_words(words: str, key: str) -> None:
    definition = BY_KEY[key]
    assert words.lower() in definition.label.lower()
    assert definition.help or definition.unit, "every setting says what it does"


def test_the_groups_stand_in_the_manuals_order() -> None:
    ours = [name for name in settings.groups() if name in SHARED]
    wanted = [name for name in MANUAL if name in SHARED]
    # the payment processor's testing is the manual's chapter before the sessions'; the processor itself joins it
    wanted.remove("Payment Processor")
    wanted.insert(1, "Payment Processor")
    assert ours == wanted


def test_the_recommended_values_are_the_defaults() -> None:
    said = {
        "charge_point.heartbeat_interval_seconds": 300,
        "charge_point.meter_value_sample_interval_seconds": 60,
        "payment.maximum_methods": None,
        "session.fail_starting_after_seconds": 60,
        "session.reset_stopping_after_seconds": 60,
        "session.finish_after_inactivity_minutes": 120,
        "connection.temporarily_unavailable_after_seconds": 120,
        "connection.long_term_unavailable_after_seconds": 300,
        "system.currency": "EUR",
    }
    assert {key: BY_KEY[key].default for key in said} == said


def test_every_group_has_a_place_on_the_page() -> None:
    assert {definition.group for definition in DEFINITIONS} <= set(settings.GROUPS)


def test_every_setting_is_read_somewhere() -> None:
    """A setting that nothing asks for is a promise that is not kept."""
    root = Path(__file__).resolve().parents[1]
    code = "".join(
        path.read_text()
        for folder in ("app", "admin_views", "ocpp_ws", "jobs")
        for path in (root / folder).rglob("*.py")
        if path.name != "setting_definitions.py"
    )
    prefixes = set(re.findall(r'f"([a-z_]+\.)\{', code))
    unread = [d.key for d in DEFINITIONS if f'"{d.key}"' not in code and not d.key.startswith(tuple(prefixes))]
    assert unread == []


# --- what the new ones do


def test_forms_offer_the_languages_in_use_and_keep_the_others(session: Session) -> None:
    assert list(languages.enabled(session)) == ["en", "bg", "el", "mk", "zh-Hant", "pt"]
    settings.change_setting(session, key="app.languages", value="pt, bg", actor=None)
    settings.change_setting(session, key="app.default_language", value="bg", actor=None)
    assert list(languages.enabled(session)) == ["bg", "pt"]
    assert list(languages.shown(session, {"el": "κάτι", "bg": ""})) == ["bg", "pt", "el"]
    with pytest.raises(InvalidSetting, match="no such language"):
        settings.change_setting(session, key="app.languages", value=["bg", "xx"], actor=None)
    with pytest.raises(InvalidSetting, match="at least one"):
        settings.change_setting(session, key="app.languages", value="", actor=None)


@pytest.mark.parametrize("value, words", [("86", "at most 85"), ("north", "a number"), ("1.1234567", "six decimals")])
def test_a_place_is_on_the_map(session: Session, value: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        settings.change_setting(session, key="map.default_latitude", value=value, actor=None)
