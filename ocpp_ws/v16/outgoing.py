"""Our commands in OCPP 1.6 (5.1 to 5.19), and what a station's answer means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.charging.commands import CommandName
from app.core.models import ActionStatus

_TRIGGERS = {
    "status": "StatusNotification",
    "meter_values": "MeterValues",
    "heartbeat": "Heartbeat",
    "boot": "BootNotification",
    "diagnostics_status": "DiagnosticsStatusNotification",
    "firmware_status": "FirmwareStatusNotification",
}

_OUTCOMES = {
    "Accepted": ActionStatus.ACCEPTED,
    "Unlocked": ActionStatus.ACCEPTED,
    "Scheduled": ActionStatus.SCHEDULED,
}

Request = dict[str, Any]


def _trigger(request: Request) -> Request:
    payload: Request = {"requestedMessage": _TRIGGERS[request["message"]]}
    if request.get("network_id"):
        payload["connectorId"] = request["network_id"]
    return payload


_BUILDERS: dict[CommandName, tuple[str, Callable[[Request], Request]]] = {
    CommandName.RESET: ("Reset", lambda r: {"type": "Hard" if r["kind"] == "hard" else "Soft"}),
    CommandName.CHANGE_AVAILABILITY: (
        "ChangeAvailability",
        lambda r: {"connectorId": r["network_id"], "type": "Operative" if r["operative"] else "Inoperative"},
    ),
    CommandName.UNLOCK: ("UnlockConnector", lambda r: {"connectorId": r["network_id"]}),
    CommandName.TRIGGER_MESSAGE: ("TriggerMessage", _trigger),
    CommandName.CLEAR_CACHE: ("ClearCache", lambda r: {}),
    CommandName.START_SESSION: (
        "RemoteStartTransaction",
        lambda r: {"connectorId": r["network_id"], "idTag": r["id_tag"]},
    ),
    CommandName.STOP_SESSION: ("RemoteStopTransaction", lambda r: {"transactionId": r["session_id"]}),
}


def build(name: CommandName, request: Request) -> tuple[str, Request]:
    """The OCPP action and payload of a command."""
    action, builder = _BUILDERS[name]
    return action, builder(request)


def outcome(response: Request) -> ActionStatus:
    """What an answer means; everything but a yes is a no."""
    return _OUTCOMES.get(str(response.get("status")), ActionStatus.REJECTED)
