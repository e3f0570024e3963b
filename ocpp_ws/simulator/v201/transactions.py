"""A charge as TransactionEvents (OCPP 2.0.1 part 2, blocks E and J), numbered from 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from ocpp_ws.simulator.evse import Charge, Evse
from ocpp_ws.simulator.outbox import Message
from ocpp_ws.simulator.v201 import payloads

if TYPE_CHECKING:
    from ocpp_ws.simulator.station import Station

_ENDS: Final = {
    "Local": ("Local", "StopAuthorized"),
    "EVDisconnected": ("EVDisconnected", "EVCommunicationLost"),
    "Remote": ("Remote", "RemoteStop"),
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "SoftReset": ("ImmediateReset", "ResetCommand"),
    "HardReset": ("ImmediateReset", "ResetCommand"),
    "PowerLoss": ("PowerLoss", "AbnormalCondition"),
}
"""By 1.6's reason: stoppedReason and triggerReason."""
_CONTEXTS: Final = {"Sample.Periodic": "MeterValuePeriodic", "Trigger": "Trigger"}


def begin(station: Station, evse: Evse, charge: Charge) -> None:
    """Started, by whom if the make says it at once; else by nobody, and the card afterwards (E03, late idToken)."""
    charge.transaction_id = str(uuid4())
    remote = charge.remote_number is not None
    token = payloads.id_token(station, charge.id_tag, remote=remote)
    values = payloads.meter_value(station, evse, charge.started_at, "Transaction.Begin")
    authorized = "RemoteStart" if remote else "Authorized"
    late = station.make.quirks.late_id_token
    _tell(
        station,
        evse,
        charge,
        "Started",
        "CablePluggedIn" if late else authorized,
        charge.started_at,
        charging_state="EVConnected",
        values=values,
        token=None if late else token,
        reservation_id=charge.reservation_id,
    )
    if late:
        _tell(
            station,
            evse,
            charge,
            "Updated",
            authorized,
            charge.started_at,
            charging_state="EVConnected",
            token=token,
        )


def state_changed(station: Station, evse: Evse, charge: Charge) -> None:
    """Updated: the car draws current now, or no more."""
    state = payloads.CHARGING_STATES[evse.phase]
    _tell(station, evse, charge, "Updated", "ChargingStateChanged", datetime.now(UTC), charging_state=state)


def measure(station: Station, evse: Evse, context: str, now: datetime) -> None:
    """Updated with the reading; MeterValues where nothing charges, which is worth nothing later."""
    values = payloads.meter_value(station, evse, now, context)
    charge = evse.charge
    if charge is None:
        station.tell(payloads.meter_values(station, evse, values))
        return
    state = payloads.CHARGING_STATES[evse.phase]
    _tell(station, evse, charge, "Updated", _CONTEXTS[context], now, charging_state=state, values=values)


def end(station: Station, evse: Evse, charge: Charge, reason: str, now: datetime) -> None:
    """Ended; whoever stops by card is named."""
    quirks = station.make.quirks
    stopped, trigger = _ENDS.get(reason, ("Other", "AbnormalCondition"))
    named = reason == "Local" and not quirks.omits_stop_tag
    _tell(
        station,
        evse,
        charge,
        "Ended",
        trigger,
        now,
        charging_state="Idle" if reason == "EVDisconnected" else "EVConnected",
        stopped_reason=stopped,
        values=payloads.meter_value(station, evse, now, "Transaction.End"),
        token=payloads.id_token(station, charge.id_tag) if named else None,
    )


def _tell(station: Station, evse: Evse, charge: Charge, kind: str, trigger: str, at: datetime, **details: Any) -> None:
    payload = payloads.transaction_event(station, evse, charge, kind, trigger, at, **details)
    charge.events += 1

    def answered(answer: Any) -> None:
        if answer.total_cost is not None:
            evse.shown_cost = float(answer.total_cost)
        if (answer.id_token_info or {}).get("status", "Accepted") != "Accepted" and kind != "Ended":
            station.refuse(evse, charge)

    station.outbox.put(Message(lambda: payload, lasting=True, answered=answered))
