"""What a station keeps about a customer (OCPP 2.0.1 part 2, N09 and N10)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.outgoing import Outgoing, Payload, present
from ocpp_ws.v201.outgoing.lists import CARD
from ocpp_ws.v201.values import id_token

_REFUSALS = {"Invalid": "the charge point takes this question for wrong"}


def _ask(request: Payload) -> Payload:
    tag = request.get("id_tag")
    return present(
        {
            "requestId": request["question"],
            "report": request["report"],
            "clear": request["clear"],
            "idToken": id_token(tag, kind=CARD) if tag else None,
            "customerIdentifier": request.get("customer"),
        }
    )


def _read(response: Payload) -> Answer:
    status = str(response.get("status"))
    accepted = ActionStatus.ACCEPTED if status == "Accepted" else ActionStatus.REJECTED
    return Answer(accepted, response, error=_REFUSALS.get(status))


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.CUSTOMER_INFORMATION: Outgoing("CustomerInformation", _ask, _read),
}
