"""How a make departs from the specification, as data, and the rewriting of frames that some of it needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

TimestampStyle = Literal["millis", "seconds", "micros_offset", "naive"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """Departures from OCPP; the defaults are a station that does everything by the book."""

    timestamps: TimestampStyle = "millis"
    energy_unit: Literal["Wh", "kWh"] = "Wh"
    omits_units: bool = False
    """No `unit` at all, although energy may be in kWh."""
    numbers_unquoted: bool = False
    """Sampled values as JSON numbers instead of text."""
    interval_energy: bool = False
    """MeterValues carry Energy.Active.Import.Interval instead of the register."""
    phases_only: bool = False
    """Power by phase, without the total."""
    register_per_session: bool = False
    """The meter starts at 0 with every transaction."""
    status_before_boot: bool = False
    boots_after_outage: bool = True
    """Off: after a lost connection it goes on without BootNotification, as if nothing had happened."""
    offline_transaction_id: int | None = None
    """What stands for the transaction in messages queued before the server has numbered it."""
    reports_connector_zero: bool = True
    sends_end_readings: bool = True
    """StopTransaction carries transactionData with a Transaction.End reading."""
    omits_stop_tag: bool = False
    lower_case_tags: bool = False
    stops_before_unlock_answer: bool = False
    """UnlockConnector is answered only after the StopTransaction it causes has been answered."""
    decodes_hex_key: bool = False
    """An AuthorizationKey is taken as hexadecimal and used as the bytes it stands for."""
    counts_message_ids: bool = False
    """Message ids 1, 2, 3 … again on every connection instead of UUIDs."""
    null_heartbeat: bool = False
    """Heartbeat's payload is `null`."""
    late_id_token: bool = False
    """2.0.1: a transaction begins with the cable; who charges is told by a later event."""
    subprotocols: tuple[str, ...] = ("ocpp1.6",)
    """Offered when it speaks 1.6."""
    extra_fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Fields the specification does not know, by action."""
    renamed_keys: Mapping[str, str] = field(default_factory=dict)
    """Configuration keys this make spells its own way."""

    @property
    def rewrites_frames(self) -> bool:
        """Whether frames differ in a way that the `ocpp` package's own payload classes cannot express."""
        return self.null_heartbeat or bool(self.extra_fields)


def stamp(moment: datetime, style: TimestampStyle) -> str:
    """Write an aware datetime the way the make does it."""
    utc = moment.astimezone(UTC)
    if style == "seconds":
        return utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    if style == "micros_offset":
        return utc.isoformat(timespec="microseconds")
    if style == "naive":
        return utc.strftime("%Y-%m-%dT%H:%M:%S")
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rewrite_frame(text: str, quirks: Quirks) -> str:
    """Turn a correct CALL frame into the one this make sends; answers stay as they are."""
    frame = json.loads(text)
    if frame[0] != 2:
        return text
    action = frame[2]
    if action == "Heartbeat" and quirks.null_heartbeat:
        frame[3] = None
    elif action in quirks.extra_fields:
        frame[3] = {**frame[3], **quirks.extra_fields[action]}
    return json.dumps(frame, separators=(",", ":"))
