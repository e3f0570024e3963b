"""What can be unusual about a session or a reading: names as they are stored, with the words the screens show."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, any_, literal

from app.charging import clocks
from app.charging.models import ChargingSession
from app.charging.registers import RegisterFlag

PRICE_PROBLEM = "price_problem"
AFTER_END = "after_end"
STOPPED_AFTER_END = "stopped_after_end"
UNAUTHORIZED_START = "unauthorized_start"
NO_TARIFF = "no_tariff"
NO_TOKEN = "no_token"  # noqa: S105 (a name)
NO_METER = "no_meter"
EVENTS_MISSING = "events_missing"
OFFLINE = "offline"
NO_STOP_MESSAGE = "no_stop_message"
REPLACED = "replaced"
STOP_BEFORE_START = "stop_before_start"
STOPPED_UNSTARTED = "stopped_unstarted"
DEMO = "demo"

FLAGS = {
    DEMO: "Demonstration without an actual charge point; never billed",
    "late_start": "Start reported more than a day late",
    "late_stop": "Stop reported more than a day late",
    clocks.AHEAD: "The station's clock is ahead; the arrival time was used",
    clocks.UNSET: "The station's clock was not set; the arrival time was used",
    UNAUTHORIZED_START: "The station charged although authorization was refused",
    NO_TARIFF: "No tariff could be chosen; the session is not billed",
    NO_TOKEN: "Nobody has been named for it yet; nobody pays",
    STOP_BEFORE_START: "Stop time before start time; the start time was used",
    STOPPED_UNSTARTED: "The stop came before the start",
    STOPPED_AFTER_END: "A stop arrived after the session had been finished by rule",
    NO_STOP_MESSAGE: "The station never reported the stop",
    REPLACED: "Another session began on the EVSE without a stop of this one",
    NO_METER: "The station reported no meter",
    EVENTS_MISSING: "Some of the station's events have not arrived",
    OFFLINE: "The station told some of it after an outage",
    AFTER_END: "Reading of a session that had ended",
    PRICE_PROBLEM: "The price could not be calculated",
    "energy_from_phases": "Energy added up from its phases",
    "energy_from_interval": "Energy added up from intervals",
    "value_not_a_number": "A value that is no number",
    "value_out_of_range": "A value beyond what can be",
    "unknown_transaction": "Reading of a session that is not known",
    **{flag.value: flag.label for flag in RegisterFlag},
}


def add_flag(row: ChargingSession, flag: str) -> None:
    """Flag a session, once."""
    if flag not in row.flags:
        row.flags = [*row.flags, flag]


def flagged(flag: str) -> ColumnElement[bool]:
    """The condition of sessions with a flag."""
    return literal(flag) == any_(ChargingSession.flags)


def flag_labels(flags: Sequence[str]) -> list[str]:
    """Flags in the words of the screen."""
    return [FLAGS.get(flag, flag.replace("_", " ").capitalize()) for flag in flags]
