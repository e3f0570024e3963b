"""What a central system may say to a station, by the schemas: for those who word a call themselves.

The implementation of ``app.charging.raw_commands.Dictionary``; wsgi.compose registers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from app.charging.raw_commands import Mistake
from ocpp_ws import codec
from ocpp_ws.codec import Version
from ocpp_ws.secrets import is_password_key

#: calls that only a station makes (OCPP 1.6, chapter 4, and the security whitepaper; OCPP 2.0.1 part 2)
_FROM_STATIONS: Final[dict[Version, frozenset[str]]] = {
    "1.6": frozenset(
        {
            "Authorize",
            "BootNotification",
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "Heartbeat",
            "LogStatusNotification",
            "MeterValues",
            "SecurityEventNotification",
            "SignCertificate",
            "SignedFirmwareStatusNotification",
            "StartTransaction",
            "StatusNotification",
            "StopTransaction",
        }
    ),
    "2.0.1": frozenset(
        {
            "Authorize",
            "BootNotification",
            "ClearedChargingLimit",
            "FirmwareStatusNotification",
            "Get15118EVCertificate",
            "GetCertificateStatus",
            "Heartbeat",
            "LogStatusNotification",
            "MeterValues",
            "NotifyChargingLimit",
            "NotifyCustomerInformation",
            "NotifyDisplayMessages",
            "NotifyEVChargingNeeds",
            "NotifyEVChargingSchedule",
            "NotifyEvent",
            "NotifyMonitoringReport",
            "NotifyReport",
            "PublishFirmwareStatusNotification",
            "ReportChargingProfiles",
            "ReservationStatusUpdate",
            "SecurityEventNotification",
            "SignCertificate",
            "StatusNotification",
            "TransactionEvent",
        }
    ),
}
#: what a skeleton has where the schema says no more than a type
_BLANKS: Final[dict[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False}
_BLANK_FORMATS: Final = {"date-time": "2030-01-01T00:00:00Z", "uri": "https://example.com/file"}
#: of several values, the one that does least harm when it is sent unread
_GENTLE: Final = frozenset({"Soft", "OnIdle", "Operative", "Heartbeat"})
#: better beginnings than a schema knows
_BEGINNINGS: Final[dict[str, Any]] = {"connectorId": 1, "listVersion": 1, "duration": 3600}


class OcppDictionary:
    """By the subprotocol's name, as it stands with a charge point."""

    def actions(self, protocol: str) -> Sequence[str]:
        """The calls a central system may send, in order."""
        return _callable(codec.VERSION_OF_SUBPROTOCOL[protocol])

    def skeleton(self, protocol: str, action: str) -> dict[str, Any]:
        """A payload with the fields that must be there. Raises KeyError for an action there is not."""
        schema = codec.load_schema(codec.VERSION_OF_SUBPROTOCOL[protocol], action, "request")
        if schema is None:
            raise KeyError(action)
        filled: dict[str, Any] = _blank(schema, schema.get("definitions", {}))
        return filled

    def mistake(self, protocol: str, action: str, payload: object) -> Mistake | None:
        """The first thing wrong, with the path of the field that has to change."""
        version = codec.VERSION_OF_SUBPROTOCOL.get(protocol)
        if version is None:
            return Mistake(f"nothing can be sent to a station that speaks {protocol}", "action")
        if action not in codec.known_actions(version):
            return Mistake(f"OCPP {version} has no call “{action[:60]}”", "action")
        if action not in _callable(version):
            return Mistake(f"{action} is a call that stations make, not one they answer", "action")
        if not isinstance(payload, dict):
            return Mistake("a JSON object is expected", "payload")
        if codec.is_valid(version, action, "request", payload):
            return None
        return _schema_mistake(version, action, payload)

    def secret_path(self, action: str, payload: dict[str, Any]) -> tuple[str | int, ...] | None:
        """Where a password stands: the value of AuthorizationKey (1.6) or of BasicAuthPassword (2.0.1)."""
        if action == "ChangeConfiguration" and is_password_key(payload.get("key")):
            return ("value",)
        if action == "SetVariables":
            for index, entry in enumerate(payload.get("setVariableData") or ()):
                if is_password_key(entry["variable"]["name"]):
                    return ("setVariableData", index, "attributeValue")
        return None


@cache
def _callable(version: Version) -> tuple[str, ...]:
    return tuple(sorted(codec.known_actions(version) - _FROM_STATIONS.get(version, frozenset())))


def _schema_mistake(version: Version, action: str, payload: dict[str, Any]) -> Mistake:
    compiled = codec.validator(version, action, "request")
    try:
        error = None if compiled is None else next(iter(compiled.iter_errors(payload)), None)
    except ValueError:  # nested deeper than the library follows
        error = None
    if error is None:
        return Mistake("this is nested too deeply", "payload")
    path: list[str | int] = ["payload", *error.instance_path]
    kind: Any = error.kind
    if kind.name == "required":
        return Mistake("is required", _text([*path, str(kind.property)]))
    if kind.name == "additionalProperties" and kind.unexpected:
        return Mistake(f"{action} has no such field", _text([*path, str(kind.unexpected[0])]))
    return Mistake(str(error.message)[:300], _text(path))


def _text(parts: Iterable[str | int]) -> str:
    """payload.localAuthorizationList[0].idTag"""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _blank(schema: dict[str, Any], definitions: dict[str, Any], name: str = "") -> Any:
    if "$ref" in schema:
        return _blank(definitions[schema["$ref"].rpartition("/")[2]], definitions, name)
    if name in _BEGINNINGS:
        return _BEGINNINGS[name]
    if schema.get("enum"):
        return next((value for value in schema["enum"] if value in _GENTLE), schema["enum"][0])
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        return {field: _blank(fields.get(field, {}), definitions, field) for field in schema.get("required", ())}
    if kind == "array":
        return [_blank(schema.get("items", {}), definitions)]
    return _BLANK_FORMATS.get(schema.get("format", ""), _BLANKS.get(str(kind), ""))
