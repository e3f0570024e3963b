"""Monitors of variables (OCPP 2.0.1 part 2, N02 to N06)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.outgoing import Outgoing, Payload
from ocpp_ws.v201.monitoring import KINDS
from ocpp_ws.v201.outgoing.upkeep import parsed, report_number
from ocpp_ws.v201.parts import Wanted

_KINDS_ON_WIRE = {ours: theirs for theirs, ours in KINDS.items()}
_REFUSALS = {
    "UnknownComponent": "the charge point knows no such component",
    "UnknownVariable": "the charge point knows no such variable",
    "UnsupportedMonitorType": "the charge point does not monitor this variable in this way",
    "Duplicate": "the charge point has a monitor of this kind and severity on this variable already",
}
_NO_REPORT = {"NotSupported": "the charge point cannot report its monitors"}


def _set(request: Payload) -> Payload:
    return {
        "setMonitoringData": [
            {
                "value": float(request["value"]),
                "type": _KINDS_ON_WIRE[request["kind"]],
                "severity": request["severity"],
                "transaction": bool(request.get("in_session_only")),
                **parsed(request["key"]),
            }
        ]
    }


def _read_set(response: Payload) -> Answer:
    result = (response.get("setMonitoringResult") or [{}])[0]
    status = str(result.get("status"))
    if status != "Accepted":
        return Answer(ActionStatus.REJECTED, response, error=_REFUSALS.get(status))
    return Answer(ActionStatus.ACCEPTED, response, facts={"monitor_id": result.get("id")})


def _read_cleared(response: Payload) -> Answer:
    """One that is not there needs no clearing, but it is said."""
    status = str((response.get("clearMonitoringResult") or [{}])[0].get("status"))
    result = {"Accepted": "accepted", "NotFound": "not_found"}.get(status, "rejected")
    error = "the charge point has no such monitor" if result == "not_found" else None
    accepted = result == "accepted"
    return Answer(
        ActionStatus.ACCEPTED if accepted else ActionStatus.REJECTED, response, error=error, facts={"result": result}
    )


def _read_report(response: Payload) -> Answer:
    status = str(response.get("status"))
    if status == "EmptyResultSet":
        return Answer(ActionStatus.ANSWERED, response, facts={"result": "none"})
    accepted = ActionStatus.ACCEPTED if status == "Accepted" else ActionStatus.REJECTED
    return Answer(accepted, response, error=_NO_REPORT.get(status))


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.SET_MONITOR: Outgoing("SetVariableMonitoring", _set, _read_set),
    CommandName.CLEAR_MONITOR: Outgoing("ClearVariableMonitoring", lambda r: {"id": [r["monitor_id"]]}, _read_cleared),
    CommandName.GET_MONITORS: Outgoing(
        "GetMonitoringReport", lambda r: {"requestId": report_number(Wanted.FULL)}, _read_report
    ),
}
