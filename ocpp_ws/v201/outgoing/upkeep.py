"""Variables, firmware and logs (OCPP 2.0.1 part 2, blocks B, L and N)."""

from __future__ import annotations

import itertools
import time
from typing import Any

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import get_log, read_log
from ocpp_ws.outgoing import NotInThisVersion, Outgoing, Payload, present
from ocpp_ws.v201.device_model import ATTRIBUTES_ON_WIRE, NoSuchName, name_of, parse_name
from ocpp_ws.v201.parts import Wanted

_report_ids = itertools.count(int(time.time()) % 100_000_000)
_BASES = {
    "all": (Wanted.FULL, "FullInventory"),
    "configuration": (Wanted.CONFIGURATION, "ConfigurationInventory"),
    "summary": (Wanted.SUMMARY, "SummaryInventory"),
}
_CRITERIA = {"problems": "Problem", "active": "Active", "available": "Available", "enabled": "Enabled"}

_SET = {
    "Accepted": ("accepted", ActionStatus.ACCEPTED),
    "RebootRequired": ("reboot_required", ActionStatus.ACCEPTED),
    "Rejected": ("rejected", ActionStatus.REJECTED),
    "UnknownComponent": ("not_supported", ActionStatus.REJECTED),
    "UnknownVariable": ("not_supported", ActionStatus.REJECTED),
    "NotSupportedAttributeType": ("not_supported", ActionStatus.REJECTED),
}


def parsed(name: str) -> dict[str, Any]:
    """Component and variable of a name of ours. Raises NotInThisVersion."""
    try:
        return parse_name(name)
    except NoSuchName as error:
        raise NotInThisVersion(str(error)) from error


def report_number(wanted: Wanted) -> int:
    """A number for a request of a report: they only have to differ, and say what was asked for."""
    return next(_report_ids) * 10 + wanted


def _read_request(request: Payload) -> Payload:
    keys = request.get("keys")
    if keys:
        return {"getVariableData": [parsed(key) for key in keys]}
    wanted, base = _BASES[request.get("base") or "all"]
    return {"requestId": report_number(wanted), "reportBase": base}


def _report_request(request: Payload) -> Payload:
    components = [{"component": {"name": name}} for name in request.get("components") or ()]
    criteria = [_CRITERIA[each] for each in request.get("criteria") or ()]
    return present(
        {
            "requestId": report_number(Wanted.CHOSEN),
            "componentVariable": components or None,
            "componentCriteria": criteria or None,
        }
    )


def _read_answer(response: Payload) -> Answer:
    """The values that were asked for; of a base report only that it will come, part by part, in NotifyReport."""
    results = response.get("getVariableResult")
    if results is None:
        accepted = response.get("status") == "Accepted"
        return Answer(ActionStatus.ACCEPTED if accepted else ActionStatus.REJECTED, response)
    known = [each for each in results if each.get("attributeStatus") == "Accepted"]
    unknown = [
        name_of(each) for each in results if str(each.get("attributeStatus")) in ("UnknownComponent", "UnknownVariable")
    ]
    keys = [{"key": name_of(each), "value": each.get("attributeValue"), "readonly": False} for each in known]
    return Answer(ActionStatus.ANSWERED, response, facts={"keys": keys, "unknown": unknown})


def set_variable(name: str, value: str, attribute: str | None = None) -> Payload:
    """A SetVariables of one attribute, the actual value unless another is named. Raises NotInThisVersion."""
    data = {"attributeValue": value, **parsed(name)}
    if attribute is not None and attribute != "actual":
        data["attributeType"] = ATTRIBUTES_ON_WIRE[attribute]
    return {"setVariableData": [data]}


def read_set(response: Payload) -> Answer:
    """How the station took the one variable it was asked to set."""
    results = response.get("setVariableResult") or [{}]
    result, status = _SET.get(str(results[0].get("attributeStatus")), ("rejected", ActionStatus.REJECTED))
    return Answer(status, response, facts={"result": result})


def _update(request: Payload) -> Payload:
    firmware = {
        "location": request["location"],
        "retrieveDateTime": request["retrieve_at"],
        "installDateTime": request.get("install_at"),
        "signingCertificate": request.get("signing_certificate"),
        "signature": request.get("signature"),
    }
    retries = {"retries": request.get("retries"), "retryInterval": request.get("retry_interval_s")}
    return present({"requestId": request["update_id"], "firmware": present(firmware), **retries})


def _read_update(response: Payload) -> Answer:
    status = response.get("status")
    accepted = status in ("Accepted", "AcceptedCanceled")
    return Answer(ActionStatus.ACCEPTED if accepted else ActionStatus.REJECTED, response, facts={"result": status})


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.GET_CONFIGURATION: Outgoing(
        lambda r: "GetVariables" if r.get("keys") else "GetBaseReport", _read_request, _read_answer
    ),
    CommandName.CHANGE_CONFIGURATION: Outgoing(
        "SetVariables", lambda r: set_variable(r["key"], r["value"], r.get("attribute")), read_set
    ),
    CommandName.GET_REPORT: Outgoing("GetReport", _report_request),
    CommandName.UPDATE_FIRMWARE: Outgoing("UpdateFirmware", _update, _read_update),
    CommandName.GET_DIAGNOSTICS: Outgoing("GetLog", get_log, read_log),
    CommandName.GET_LOG: Outgoing("GetLog", get_log, read_log),
}
