"""OCPP-J frames and the check of their payloads against the OCPP schemas. Pure: no socket, no clock.

Frames: OCPP-J 1.6 chapter 4, OCPP 2.0.1 part 4 chapter 4. Schemas: the files of the `ocpp` package, compiled
once per (version, action, direction). The check of a valid payload costs microseconds; only an invalid one is
asked what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final, Literal, NamedTuple

import jsonschema_rs
import orjson

Version = Literal["1.6", "2.0.1", "2.1"]
Direction = Literal["request", "response"]
Payload = dict[str, Any]

VERSION_OF_SUBPROTOCOL: Final[Mapping[str, Version]] = {
    "ocpp1.6": "1.6",
    "ocpp2.0.1": "2.0.1",
    "ocpp2.1": "2.1",
}
UNREADABLE_ID: Final = "-1"
"""Message id of a CALLERROR that answers something whose id could not be read (OCPP 2.0.1 part 4, 4.2.3)."""

MAX_MESSAGE_ID_CHARS: Final = 36
_LONGEST_TOLERATED_ID_CHARS: Final = 255
_MAX_DESCRIPTION_CHARS: Final = 255
_PACKAGE_OF_VERSION: Final = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}

# Error codes, by their 1.6 names where 1.6 has one
NOT_IMPLEMENTED: Final = "NotImplemented"
NOT_SUPPORTED: Final = "NotSupported"
INTERNAL_ERROR: Final = "InternalError"
PROTOCOL_ERROR: Final = "ProtocolError"
SECURITY_ERROR: Final = "SecurityError"
FORMATION_VIOLATION: Final = "FormationViolation"
PROPERTY_CONSTRAINT_VIOLATION: Final = "PropertyConstraintViolation"
OCCURENCE_CONSTRAINT_VIOLATION: Final = "OccurenceConstraintViolation"
TYPE_CONSTRAINT_VIOLATION: Final = "TypeConstraintViolation"
GENERIC_ERROR: Final = "GenericError"
MESSAGE_TYPE_NOT_SUPPORTED: Final = "MessageTypeNotSupported"
RPC_FRAMEWORK_ERROR: Final = "RpcFrameworkError"

# The same code under another name (1.6 errata, 5.1 and 5.2: misspellings that are kept in 1.6).
_WIRE_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "1.6": {
        MESSAGE_TYPE_NOT_SUPPORTED: FORMATION_VIOLATION,
        RPC_FRAMEWORK_ERROR: FORMATION_VIOLATION,
    },
    "2.0.1": {FORMATION_VIOLATION: "FormatViolation"},
    "2.1": {
        FORMATION_VIOLATION: "FormatViolation",
        OCCURENCE_CONSTRAINT_VIOLATION: "OccurrenceConstraintViolation",
    },
}
_CODE_OF_KEYWORD: Final[Mapping[str, str]] = {
    "type": TYPE_CONSTRAINT_VIOLATION,
    "required": OCCURENCE_CONSTRAINT_VIOLATION,
    "minItems": OCCURENCE_CONSTRAINT_VIOLATION,
    "maxItems": OCCURENCE_CONSTRAINT_VIOLATION,
    "additionalProperties": FORMATION_VIOLATION,
}  # every other keyword (enum, maxLength, format, minimum, ...) constrains the value of a property


@dataclass(frozen=True, slots=True)
class Deviation:
    """One departure from the protocol that was put up with.

    `rule` is a stable name, `path` the field without list indexes (`meterValue[].sampledValue[].unit`) so
    that equal habits of a firmware are equal, `detail` what was received or done.
    """

    rule: str
    path: str
    detail: str


class HardFault(Exception):
    """A message that has to be answered by a CALLERROR; a handler may raise it too.

    `code` is one of this module's error codes, `path` the offending field if it is one.
    """

    def __init__(self, code: str, description: str, path: str = "") -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.path = path


class FrameFault(HardFault):
    """Text that is no OCPP frame. `message_id` is None when it could not be read.

    `kind` is what it would have been: "call" wants a CALLERROR, "result" fails the call it answers, "unknown"
    is answered under `UNREADABLE_ID`; "ignored" (an unknown message type, OCPP-J 1.6, 4.1.3) is only logged.
    """

    def __init__(
        self,
        code: str,
        description: str,
        message_id: str | None = None,
        kind: Literal["call", "result", "unknown", "ignored"] = "unknown",
    ) -> None:
        super().__init__(code, description)
        self.message_id = message_id
        self.kind = kind


class Call(NamedTuple):
    """[2, id, action, payload]"""

    message_id: str
    action: str
    payload: Payload
    deviations: tuple[Deviation, ...] = ()


class CallResult(NamedTuple):
    """[3, id, payload]"""

    message_id: str
    payload: Payload
    deviations: tuple[Deviation, ...] = ()


class CallError(NamedTuple):
    """[4, id, code, description, details]"""

    message_id: str
    code: str
    description: str
    details: Payload
    deviations: tuple[Deviation, ...] = ()


class SchemaFault(NamedTuple):
    """The first thing wrong with a payload. `rule` is the failing JSON schema keyword."""

    code: str
    rule: str
    path: str
    detail: str


# ---------------------------------------------------------------------- frames


def parse_frame(text: str) -> Call | CallResult | CallError:
    """Read one frame. Small slips are tolerated and listed in the frame's `deviations`.

    No string in the result has a NUL or half a surrogate pair, which PostgreSQL refuses to store.

    Raises:
        FrameFault: it is not JSON, not a list, of no known type, its id is no string or longer than 255
            characters, its action is no string, or its payload is neither an object nor null.
    """
    deviations: tuple[Deviation, ...] = ()
    try:
        frame = orjson.loads(text)
        if "\\u0000" in text:  # fixed-size buffers of C firmware, sent to their end
            frame = _storable(frame)
            deviations = (Deviation("nul_in_string", "", "removed"),)
    except orjson.JSONDecodeError:
        frame = _loads_leniently(text)
        deviations = (Deviation("json_not_strict", "", "accepted by a lenient parser only"),)
    except RecursionError:
        raise FrameFault(RPC_FRAMEWORK_ERROR, "nested too deeply") from None
    if type(frame) is not list or not frame:
        raise FrameFault(RPC_FRAMEWORK_ERROR, "a frame is a JSON list")
    message_type = frame[0]
    message_id = frame[1] if len(frame) > 1 else None
    if type(message_id) is not str or len(message_id) > _LONGEST_TOLERATED_ID_CHARS:
        raise FrameFault(RPC_FRAMEWORK_ERROR, "the message id is not a string of at most 36 characters")
    if len(message_id) > MAX_MESSAGE_ID_CHARS:
        deviations += (Deviation("message_id_too_long", "", message_id),)
    if type(message_type) is int:
        if message_type == 2:
            return _call(frame, message_id, deviations)
        if message_type == 3:
            return _call_result(frame, message_id, deviations)
        if message_type == 4:
            return _call_error(frame, message_id, deviations)
    raise FrameFault(
        MESSAGE_TYPE_NOT_SUPPORTED, f"unknown message type {str(message_type)[:20]}", message_id, "ignored"
    )


def _call(frame: list[Any], message_id: str, deviations: tuple[Deviation, ...]) -> Call:
    action = frame[2] if len(frame) > 2 else None
    if type(action) is not str or not action:
        raise FrameFault(FORMATION_VIOLATION, "the action is not a string", message_id, "call")
    payload = frame[3] if len(frame) > 3 else None
    if payload is None:
        payload = {}
        deviations += (Deviation("payload_null", "", "null" if len(frame) > 3 else "missing"),)
    elif type(payload) is not dict:
        raise FrameFault(FORMATION_VIOLATION, "the payload is not a JSON object", message_id, "call")
    if len(frame) > 4:
        deviations += (Deviation("frame_too_long", "", f"{len(frame)} elements"),)
    return Call(message_id, action, payload, deviations)


def _call_result(frame: list[Any], message_id: str, deviations: tuple[Deviation, ...]) -> CallResult:
    payload = frame[2] if len(frame) > 2 else None
    if payload is None:
        payload = {}
        deviations += (Deviation("payload_null", "", "null" if len(frame) > 2 else "missing"),)
    elif type(payload) is not dict:
        raise FrameFault(FORMATION_VIOLATION, "the payload is not a JSON object", message_id, "result")
    if len(frame) > 3:
        deviations += (Deviation("frame_too_long", "", f"{len(frame)} elements"),)
    return CallResult(message_id, payload, deviations)


def _call_error(frame: list[Any], message_id: str, deviations: tuple[Deviation, ...]) -> CallError:
    """All but the id may be missing or null: what matters is that the call has failed."""
    code, description, details = [*frame[2:5], None, None, None][:3]
    if type(code) is not str or not code:
        deviations += (Deviation("error_code_missing", "", str(code)),)
        code = GENERIC_ERROR
    return CallError(
        message_id,
        code,
        description if type(description) is str else "",
        details if type(details) is dict else {},
        deviations,
    )


def _loads_leniently(text: str) -> Any:
    """What firmware writes for JSON: a NUL or BOM round it, NaN, raw control characters, huge integers."""
    try:
        return _storable(json.loads(text.strip("\x00\ufeff \t\r\n"), strict=False))
    except (ValueError, RecursionError):
        raise FrameFault(RPC_FRAMEWORK_ERROR, "not JSON") from None


def _storable(value: Any) -> Any:
    """The same JSON value without NULs and half surrogate pairs in its strings."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def encode_call(message_id: str, action: str, payload: Mapping[str, Any]) -> str:
    """A CALL as compact JSON: some simulators compare our frames as text."""
    return _dumps([2, message_id, action, payload])


def encode_result(message_id: str, payload: Mapping[str, Any]) -> str:
    """A CALLRESULT as compact JSON."""
    return _dumps([3, message_id, payload])


def encode_error(
    message_id: str | None,
    code: str,
    description: str = "",
    details: Mapping[str, Any] | None = None,
    *,
    version: Version = "1.6",
) -> str:
    """A CALLERROR as compact JSON, `code` spelt as `version` has it; None as id for a frame that had none."""
    return _dumps(
        [
            4,
            UNREADABLE_ID if message_id is None else message_id,
            wire_code(version, code),
            description[:_MAX_DESCRIPTION_CHARS],
            details or {},
        ]
    )


def wire_code(version: Version, code: str) -> str:
    """The name a version of OCPP has for one of our error codes."""
    return _WIRE_NAMES[version].get(code, code)


def _dumps(frame: list[Any]) -> str:
    return orjson.dumps(frame, default=_plain_number, option=orjson.OPT_UTC_Z).decode()


def _plain_number(value: object) -> float:
    """Limits of charging profiles are decimals with one digit; everything else is a mistake of ours."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


# ---------------------------------------------------------------------- schemas


@cache
def known_actions(version: Version) -> frozenset[str]:
    """Every action of a version, whoever sends it."""
    names = (file.name for file in _schema_folder(version).iterdir())
    return frozenset(name.removesuffix("Response.json") for name in names if name.endswith("Response.json"))


@cache
def load_schema(version: Version, action: str, direction: Direction) -> Payload | None:
    """The JSON schema of an action's request or response; None for an action the version does not know."""
    if action not in known_actions(version):
        return None
    suffix = "Response" if direction == "response" else "" if version == "1.6" else "Request"
    file = _schema_folder(version) / f"{action}{suffix}.json"
    if not file.is_file():
        return None
    schema: Payload = orjson.loads(file.read_text(encoding="utf-8-sig"))
    return schema


@cache
def validator(version: Version, action: str, direction: Direction) -> jsonschema_rs.Draft4Validator | None:
    """The compiled schema; None for an action the version does not know."""
    schema = load_schema(version, action, direction)
    return None if schema is None else jsonschema_rs.Draft4Validator(schema, validate_formats=True)


def compile_schemas(version: Version, actions: Iterable[str] | None = None) -> None:
    """Compile at start what would be compiled at the first message of its kind (0.1 to 0.3 ms each)."""
    for action in sorted(known_actions(version)) if actions is None else actions:
        validator(version, action, "request")
        validator(version, action, "response")


def is_valid(version: Version, action: str, direction: Direction, payload: object) -> bool:
    """Whether a payload fits its schema; true for an action that has none."""
    compiled = validator(version, action, direction)
    try:
        return compiled is None or compiled.is_valid(payload)
    except ValueError:  # nested deeper than the library follows
        return False


def check(version: Version, action: str, direction: Direction, payload: object) -> SchemaFault | None:
    """What is wrong with a payload, None when it is valid or the action has no schema."""
    compiled = validator(version, action, direction)
    try:
        if compiled is None or compiled.is_valid(payload):
            return None
        error = next(iter(compiled.iter_errors(payload)))
    except ValueError as unfit:  # nested deeper than the library follows
        return SchemaFault(FORMATION_VIOLATION, "depth", "", str(unfit)[:_MAX_DESCRIPTION_CHARS])
    return SchemaFault(
        _CODE_OF_KEYWORD.get(error.kind.name, PROPERTY_CONSTRAINT_VIOLATION),
        error.kind.name,
        _path_text(error.instance_path),
        error.message[:_MAX_DESCRIPTION_CHARS],
    )


def _path_text(parts: Iterable[str | int]) -> str:
    """meterValue[0].timestamp"""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@cache
def _schema_folder(version: Version) -> Any:
    return resources.files("ocpp") / _PACKAGE_OF_VERSION[version] / "schemas"
