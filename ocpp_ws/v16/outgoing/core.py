"""Core and Remote Trigger (OCPP 1.6, 5.2 to 5.18), and the extended trigger of the security whitepaper (A05)."""

from __future__ import annotations

from app.charging.commands import CommandName
from ocpp_ws.common_calls import data_transfer, read_transfer
from ocpp_ws.outgoing import Outgoing, Payload, present

_TRIGGERS = {
    "status": "StatusNotification",
    "meter_values": "MeterValues",
    "heartbeat": "Heartbeat",
    "boot": "BootNotification",
    "diagnostics_status": "DiagnosticsStatusNotification",
    "firmware_status": "FirmwareStatusNotification",
}
#: only the extended trigger has these
_EXTENDED_TRIGGERS = {"log_status": "LogStatusNotification", "certificate": "SignChargePointCertificate"}


def _trigger(request: Payload) -> Payload:
    message = request["message"]
    return present(
        {
            "requestedMessage": _EXTENDED_TRIGGERS.get(message) or _TRIGGERS[message],
            "connectorId": request.get("network_id") or None,
        }
    )


def _trigger_action(request: Payload) -> str:
    return "ExtendedTriggerMessage" if request["message"] in _EXTENDED_TRIGGERS else "TriggerMessage"


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.RESET: Outgoing("Reset", lambda r: {"type": "Hard" if r["kind"] == "hard" else "Soft"}),
    CommandName.CHANGE_AVAILABILITY: Outgoing(
        "ChangeAvailability",
        lambda r: {"connectorId": r["network_id"], "type": "Operative" if r["operative"] else "Inoperative"},
    ),
    CommandName.UNLOCK: Outgoing("UnlockConnector", lambda r: {"connectorId": r["network_id"]}),
    CommandName.TRIGGER_MESSAGE: Outgoing(_trigger_action, _trigger),
    CommandName.CLEAR_CACHE: Outgoing("ClearCache", lambda r: {}),
    CommandName.START_SESSION: Outgoing(
        "RemoteStartTransaction", lambda r: {"connectorId": r["network_id"], "idTag": r["id_tag"]}
    ),
    CommandName.STOP_SESSION: Outgoing("RemoteStopTransaction", lambda r: {"transactionId": r["session_id"]}),
    CommandName.DATA_TRANSFER: Outgoing("DataTransfer", data_transfer, read_transfer),
}
