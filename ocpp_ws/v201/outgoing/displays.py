"""Messages on displays (OCPP 2.0.1 part 2, block O)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.outgoing import Outgoing, Payload, present
from ocpp_ws.v201.displays import FORMATS, PRIORITIES, STATES
from ocpp_ws.v201.outgoing.upkeep import report_number
from ocpp_ws.v201.parts import Wanted

_FORMATS = {ours: theirs for theirs, ours in FORMATS.items()}
_PRIORITIES = {ours: theirs for theirs, ours in PRIORITIES.items()}
_STATES = {ours: theirs for theirs, ours in STATES.items()}
_REFUSALS = {
    "NotSupportedMessageFormat": ("format", "the charge point cannot show texts of this format"),
    "NotSupportedPriority": ("priority", "the charge point knows no messages of this priority"),
    "NotSupportedState": ("state", "the charge point cannot show messages in this state only"),
    "UnknownTransaction": ("unknown_session", "the charge point knows no such session"),
}


def _set(request: Payload) -> Payload:
    text = {
        "format": _FORMATS[request.get("format") or "plain"],
        "language": request.get("language"),
        "content": request["content"],
    }
    return {
        "message": present(
            {
                "id": request["number"],
                "priority": _PRIORITIES[request["priority"]],
                "state": _STATES.get(request.get("state") or ""),
                "startDateTime": request.get("starts_at"),
                "endDateTime": request.get("ends_at"),
                "transactionId": request.get("reference"),
                "message": present(text),
            }
        )
    }


def _read_set(response: Payload) -> Answer:
    status = str(response.get("status"))
    if status == "Accepted":
        return Answer(ActionStatus.ACCEPTED, response, facts={"result": "accepted"})
    result, error = _REFUSALS.get(status, ("rejected", None))
    return Answer(ActionStatus.REJECTED, response, error=error, facts={"result": result})


def _read_report(response: Payload) -> Answer:
    """A station that has none is no refusal."""
    status = str(response.get("status"))
    if status == "Unknown":
        return Answer(ActionStatus.ANSWERED, response, facts={"result": "none"})
    accepted = status == "Accepted"
    return Answer(ActionStatus.ACCEPTED if accepted else ActionStatus.REJECTED, response)


def _read_cleared(response: Payload) -> Answer:
    """One that is not there needs no clearing, but it is said."""
    result = {"Accepted": "accepted", "Unknown": "not_found"}.get(str(response.get("status")), "rejected")
    error = "the charge point has no such message" if result == "not_found" else None
    accepted = ActionStatus.ACCEPTED if result == "accepted" else ActionStatus.REJECTED
    return Answer(accepted, response, error=error, facts={"result": result})


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.SET_DISPLAY_MESSAGE: Outgoing("SetDisplayMessage", _set, _read_set),
    CommandName.GET_DISPLAY_MESSAGES: Outgoing(
        "GetDisplayMessages", lambda r: {"requestId": report_number(Wanted.FULL)}, _read_report
    ),
    CommandName.CLEAR_DISPLAY_MESSAGE: Outgoing("ClearDisplayMessage", lambda r: {"id": r["number"]}, _read_cleared),
}
