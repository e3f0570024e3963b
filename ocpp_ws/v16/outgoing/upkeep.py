"""Configuration, firmware, diagnostics and logs (OCPP 1.6, 5.3, 5.8, 5.9, 5.19; security whitepaper, 4.1, 4.2)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import get_log, read_log
from ocpp_ws.outgoing import Outgoing, Payload, present, with_result


def _read_configuration(response: Payload) -> Answer:
    """The answer may have come as it was, when it could not be put right: what is no entry is left out."""
    entries = response.get("configurationKey")
    keys = [
        {"key": str(entry["key"]), "value": _text(entry.get("value")), "readonly": entry.get("readonly") is True}
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and entry.get("key")
    ]
    names = response.get("unknownKey")
    unknown = [str(key) for key in names] if isinstance(names, list) else []
    return Answer(ActionStatus.ANSWERED, response, facts={"keys": keys, "unknown": unknown})


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _update(request: Payload) -> Payload:
    common = {"location": request["location"]}
    retries = {"retries": request.get("retries"), "retryInterval": request.get("retry_interval_s")}
    if not _is_signed(request):
        return present({**common, "retrieveDate": request["retrieve_at"], **retries})
    firmware = {
        **common,
        "retrieveDateTime": request["retrieve_at"],
        "installDateTime": request.get("install_at"),
        "signingCertificate": request["signing_certificate"],
        "signature": request["signature"],
    }
    return present({"requestId": request["update_id"], "firmware": present(firmware), **retries})


def _is_signed(request: Payload) -> bool:
    return bool(request.get("signature"))


def _update_action(request: Payload) -> str:
    return "SignedUpdateFirmware" if _is_signed(request) else "UpdateFirmware"


def _read_update(response: Payload) -> Answer:
    """The plain update is confirmed with an empty answer; the signed one has a status."""
    status = response.get("status")
    accepted = status in (None, "Accepted", "AcceptedCanceled")
    return Answer(ActionStatus.ACCEPTED if accepted else ActionStatus.REJECTED, response, facts={"result": status})


def _diagnostics(request: Payload) -> Payload:
    return present(
        {
            "location": request["location"],
            "startTime": request.get("logs_from"),
            "stopTime": request.get("logs_to"),
            "retries": request.get("retries"),
            "retryInterval": request.get("retry_interval_s"),
        }
    )


def _read_diagnostics(response: Payload) -> Answer:
    """Without a file's name the station has nothing to bring (6.9), which is an answer and no refusal."""
    name = response.get("fileName")
    return Answer(ActionStatus.ACCEPTED if name else ActionStatus.ANSWERED, response, facts={"file_name": name})


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.GET_CONFIGURATION: Outgoing(
        "GetConfiguration", lambda r: {"key": list(r["keys"])} if r.get("keys") else {}, _read_configuration
    ),
    CommandName.CHANGE_CONFIGURATION: Outgoing(
        "ChangeConfiguration",
        lambda r: {"key": r["key"], "value": r["value"]},
        with_result(
            {
                "Accepted": "accepted",
                "RebootRequired": "reboot_required",
                "NotSupported": "not_supported",
                "Rejected": "rejected",
            }
        ),
    ),
    CommandName.UPDATE_FIRMWARE: Outgoing(_update_action, _update, _read_update),
    CommandName.GET_DIAGNOSTICS: Outgoing("GetDiagnostics", _diagnostics, _read_diagnostics),
    CommandName.GET_LOG: Outgoing("GetLog", get_log, read_log),
}
