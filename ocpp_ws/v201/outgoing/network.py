"""Where a station connects to (OCPP 2.0.1 part 2, B09)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.outgoing import Outgoing, Payload

_RESULTS = {
    "Accepted": ("accepted", ActionStatus.ACCEPTED, None),
    "Rejected": ("rejected", ActionStatus.REJECTED, "the charge point does not take this connection"),
    "Failed": ("failed", ActionStatus.FAILED, "the charge point could not store this connection"),
}


def _set(request: Payload) -> Payload:
    """The version that is spoken here is called OCPP20 in a profile, and goes over JSON only."""
    return {
        "configurationSlot": request["slot"],
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": request["address"],
            "messageTimeout": request["timeout_s"],
            "securityProfile": request["security"],
            "ocppInterface": str(request["interface"]).capitalize(),
        },
    }


def _read(response: Payload) -> Answer:
    result, status, error = _RESULTS.get(str(response.get("status")), _RESULTS["Rejected"])
    return Answer(status, response, error=error, facts={"result": result})


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.SET_NETWORK_PROFILE: Outgoing("SetNetworkProfile", _set, _read),
}
