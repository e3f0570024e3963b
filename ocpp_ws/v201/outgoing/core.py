"""Remote control, availability, resets and triggers (OCPP 2.0.1 part 2, blocks B, F and G)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import data_transfer, read_transfer
from ocpp_ws.outgoing import NotInThisVersion, Outgoing, Payload, present
from ocpp_ws.v201.values import id_token

_TRIGGERS = {
    "status": "StatusNotification",
    "meter_values": "MeterValues",
    "heartbeat": "Heartbeat",
    "boot": "BootNotification",
    "diagnostics_status": "LogStatusNotification",
    "firmware_status": "FirmwareStatusNotification",
    "log_status": "LogStatusNotification",
    "certificate": "SignChargingStationCertificate",
}
_LARGEST_REMOTE_START = 2**31


def evse_of(network_id: int | None, *, connector: bool = False) -> Payload | None:
    """An EVSEType; None for the station itself, which is left out. The first connector stands for the EVSE's own."""
    if not network_id:
        return None
    return {"id": network_id, "connectorId": 1} if connector else {"id": network_id}


def reference_of(request: Payload) -> str:
    """The station's own name of a transaction. Raises NotInThisVersion where the session has none."""
    reference = request.get("reference")
    if not reference:
        raise NotInThisVersion("the station has not told how it calls this session, so that it cannot be named to it")
    return str(reference)


def _trigger(request: Payload) -> Payload:
    message = request["message"]
    evse = evse_of(request.get("network_id"), connector=message == "status")
    return present({"requestedMessage": _TRIGGERS[message], "evse": evse})


def _start(request: Payload) -> Payload:
    return {
        "evseId": request["network_id"],
        "remoteStartId": request["session_id"] % _LARGEST_REMOTE_START,
        "idToken": id_token(request["id_tag"]),
    }


def _read_status(response: Payload) -> Answer:
    """Whether the transaction goes on, and whether the station has messages of it to send."""
    facts = {"ongoing": response.get("ongoingIndicator"), "waiting": response.get("messagesInQueue") is True}
    return Answer(ActionStatus.ANSWERED, response, facts=facts)


def _cost(request: Payload) -> Payload:
    """In the station's own currency; it has no other."""
    return {"totalCost": float(request["total"]), "transactionId": reference_of(request)}


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.RESET: Outgoing("Reset", lambda r: {"type": "Immediate" if r["kind"] == "hard" else "OnIdle"}),
    CommandName.CHANGE_AVAILABILITY: Outgoing(
        "ChangeAvailability",
        lambda r: present(
            {
                "operationalStatus": "Operative" if r["operative"] else "Inoperative",
                "evse": evse_of(r["network_id"]),
            }
        ),
    ),
    CommandName.UNLOCK: Outgoing("UnlockConnector", lambda r: {"evseId": r["network_id"], "connectorId": 1}),
    CommandName.TRIGGER_MESSAGE: Outgoing("TriggerMessage", _trigger),
    CommandName.CLEAR_CACHE: Outgoing("ClearCache", lambda r: {}),
    CommandName.START_SESSION: Outgoing("RequestStartTransaction", _start),
    CommandName.STOP_SESSION: Outgoing("RequestStopTransaction", lambda r: {"transactionId": reference_of(r)}),
    CommandName.GET_SESSION_STATUS: Outgoing(
        "GetTransactionStatus", lambda r: {"transactionId": reference_of(r)}, _read_status
    ),
    CommandName.SHOW_COST: Outgoing("CostUpdated", _cost, lambda response: Answer(ActionStatus.ANSWERED, response)),
    CommandName.DATA_TRANSFER: Outgoing("DataTransfer", data_transfer, read_transfer),
}
