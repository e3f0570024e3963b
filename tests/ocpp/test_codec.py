"""Frames and schemas: what is read, what is refused, and under which error code."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_ws import codec
from ocpp_ws.codec import Call, CallError, CallResult, FrameFault

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def rules(frame: Call | CallResult | CallError) -> list[str]:
    """The deviations of a frame by name."""
    return [deviation.rule for deviation in frame.deviations]


# ---------------------------------------------------------------------- reading


def test_the_three_kinds_of_frame() -> None:
    assert codec.parse_frame('[2,"a","Heartbeat",{}]') == Call("a", "Heartbeat", {})
    assert codec.parse_frame(' [3, "b", {"status": "Accepted"}] ') == CallResult("b", {"status": "Accepted"})
    assert codec.parse_frame('[4,"c","NotSupported","no",{"x":1}]') == CallError("c", "NotSupported", "no", {"x": 1})


@pytest.mark.parametrize(
    ("text", "expected", "slips"),
    [
        ('[2,"a","Heartbeat",null]', Call("a", "Heartbeat", {}), ["payload_null"]),
        ('[2,"a","Heartbeat"]', Call("a", "Heartbeat", {}), ["payload_null"]),
        ('[2,"a","Heartbeat",{},{}]', Call("a", "Heartbeat", {}), ["frame_too_long"]),
        ('[3,"a",null]', CallResult("a", {}), ["payload_null"]),
        ('[3,"a"]', CallResult("a", {}), ["payload_null"]),
        ('[3,"a",{},1]', CallResult("a", {}), ["frame_too_long"]),
        ('[4,"-1",null,null]', CallError("-1", "GenericError", "", {}), ["error_code_missing"]),
        ('[4,"a"]', CallError("a", "GenericError", "", {}), ["error_code_missing"]),
        ('[4,"a","InternalError","",[]]', CallError("a", "InternalError", "", {}), []),
        ('\ufeff[2,"a","Heartbeat",{}]\x00\x00\n', Call("a", "Heartbeat", {}), ["json_not_strict"]),
        ('[2,"a","X",{"v":1000000000000000000000000000000}]', Call("a", "X", {"v": 1e30}), []),
        ('[2,"a","X",{"v":Infinity}]', Call("a", "X", {"v": float("inf")}), ["json_not_strict"]),
        ('[2,"a","X",{"v":"a\tb"}]', Call("a", "X", {"v": "a\tb"}), ["json_not_strict"]),
        ('[2,"a","X",{"v":"\\ud800"}]', Call("a", "X", {"v": "?"}), ["json_not_strict"]),
        ('[2,"a","X",{"v":["S1\\u0000\\u0000"]}]', Call("a", "X", {"v": ["S1"]}), ["nul_in_string"]),
        (f'[2,"{"x" * 37}","X",{{}}]', Call("x" * 37, "X", {}), ["message_id_too_long"]),
        ('[2,"","X",{}]', Call("", "X", {}), []),
    ],
)  # fmt: skip
def test_small_slips_are_tolerated_and_named(text: str, expected: tuple[Any, ...], slips: list[str]) -> None:
    frame = codec.parse_frame(text)
    assert tuple(frame)[:-1] == tuple(expected)[:-1]
    assert rules(frame) == slips


def test_not_a_number_is_read_without_falling_over() -> None:
    frame = codec.parse_frame('[2,"a","MeterValues",{"connectorId":NaN}]')
    assert isinstance(frame, Call) and rules(frame) == ["json_not_strict"]
    assert not codec.is_valid("1.6", "MeterValues", "request", frame.payload)


@pytest.mark.parametrize(
    ("text", "code", "message_id", "kind"),
    [
        ("", "RpcFrameworkError", None, "unknown"),
        ("nonsense", "RpcFrameworkError", None, "unknown"),
        ('[2,"a","X",{}', "RpcFrameworkError", None, "unknown"),
        ("{}", "RpcFrameworkError", None, "unknown"),
        ('"text"', "RpcFrameworkError", None, "unknown"),
        ("null", "RpcFrameworkError", None, "unknown"),
        ("[]", "RpcFrameworkError", None, "unknown"),
        ("[2]", "RpcFrameworkError", None, "unknown"),
        ('[2,17,"Heartbeat",{}]', "RpcFrameworkError", None, "unknown"),
        ('[2,null,"Heartbeat",{}]', "RpcFrameworkError", None, "unknown"),
        (f'[2,"{"x" * 256}","Heartbeat",{{}}]', "RpcFrameworkError", None, "unknown"),
        ("[" * 5000 + "]" * 5000, "RpcFrameworkError", None, "unknown"),
        ('[2,"a","X",{"v":"\\u0000","w":' + "[" * 900 + "]" * 900 + "}]", "RpcFrameworkError", None, "unknown"),
        ('[2,"a"]', "FormationViolation", "a", "call"),
        ('[2,"a",5,{}]', "FormationViolation", "a", "call"),
        ('[2,"a",null,{}]', "FormationViolation", "a", "call"),
        ('[2,"a","",{}]', "FormationViolation", "a", "call"),
        ('[2,"a","Heartbeat",[]]', "FormationViolation", "a", "call"),
        ('[2,"a","Heartbeat",""]', "FormationViolation", "a", "call"),
        ('[2,"a","Heartbeat",0]', "FormationViolation", "a", "call"),
        ('[3,"a",[]]', "FormationViolation", "a", "result"),
        ('[3,"a","Accepted"]', "FormationViolation", "a", "result"),
        ('[5,"a",{}]', "MessageTypeNotSupported", "a", "ignored"),
        ('[6,"a","X",{}]', "MessageTypeNotSupported", "a", "ignored"),
        ('["2","a","X",{}]', "MessageTypeNotSupported", "a", "ignored"),
        ('[true,"a","X",{}]', "MessageTypeNotSupported", "a", "ignored"),
        ('[2.0,"a","X",{}]', "MessageTypeNotSupported", "a", "ignored"),
    ],
)
def test_what_is_no_frame_is_refused(text: str, code: str, message_id: str | None, kind: str) -> None:
    with pytest.raises(FrameFault) as refused:
        codec.parse_frame(text)
    assert (refused.value.code, refused.value.message_id, refused.value.kind) == (code, message_id, kind)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(JSON | st.lists(JSON | st.sampled_from([2, 3, 4, "id", "Heartbeat"]), min_size=1, max_size=6))
def test_any_json_is_a_frame_or_a_fault(value: Any) -> None:
    try:
        frame = codec.parse_frame(json.dumps(value))
    except FrameFault as fault:
        assert fault.code in {"RpcFrameworkError", "FormationViolation", "MessageTypeNotSupported"}
    else:
        assert isinstance(frame.message_id, str) and frame.message_id == value[1].replace("\x00", "")


@given(st.text(max_size=40))
def test_any_text_is_a_fault_or_a_frame(text: str) -> None:
    with contextlib.suppress(FrameFault):
        codec.parse_frame(text)


# ---------------------------------------------------------------------- writing


def test_frames_are_written_without_spaces() -> None:
    assert codec.encode_call("1", "Reset", {"type": "Soft"}) == '[2,"1","Reset",{"type":"Soft"}]'
    assert codec.encode_result("1", {"a": [1, "ü"]}) == '[3,"1",{"a":[1,"ü"]}]'
    assert codec.encode_error("1", codec.GENERIC_ERROR, "why", {"x": 1}) == '[4,"1","GenericError","why",{"x":1}]'
    assert codec.encode_error(None, codec.INTERNAL_ERROR) == '[4,"-1","InternalError","",{}]'
    assert len(codec.encode_error("1", codec.GENERIC_ERROR, "x" * 300)) == len('[4,"1","GenericError","",{}]') + 255


def test_decimals_are_numbers_and_mistakes_of_ours_are_loud() -> None:
    assert codec.encode_call("1", "X", {"limit": Decimal("16.1")}) == '[2,"1","X",{"limit":16.1}]'
    with pytest.raises(TypeError):
        codec.encode_call("1", "X", {"limit": object()})


def test_each_version_has_its_spelling_of_the_codes() -> None:
    assert codec.wire_code("1.6", codec.FORMATION_VIOLATION) == "FormationViolation"
    assert codec.wire_code("2.0.1", codec.FORMATION_VIOLATION) == "FormatViolation"
    assert codec.wire_code("1.6", codec.OCCURENCE_CONSTRAINT_VIOLATION) == "OccurenceConstraintViolation"
    assert codec.wire_code("2.0.1", codec.OCCURENCE_CONSTRAINT_VIOLATION) == "OccurenceConstraintViolation"
    assert codec.wire_code("2.1", codec.OCCURENCE_CONSTRAINT_VIOLATION) == "OccurrenceConstraintViolation"
    assert codec.wire_code("1.6", codec.RPC_FRAMEWORK_ERROR) == "FormationViolation"
    assert codec.wire_code("2.0.1", codec.RPC_FRAMEWORK_ERROR) == "RpcFrameworkError"
    assert '"FormatViolation"' in codec.encode_error("1", codec.FORMATION_VIOLATION, version="2.0.1")


# ---------------------------------------------------------------------- schemas


@pytest.mark.parametrize(("version", "count"), [("1.6", 39), ("2.0.1", 64), ("2.1", 90)])
def test_every_action_of_a_version_has_compiled_schemas(version: codec.Version, count: int) -> None:
    assert len(codec.known_actions(version)) == count
    codec.compile_schemas(version)
    for action in codec.known_actions(version):
        assert codec.validator(version, action, "request") is not None, action
        assert codec.validator(version, action, "response") is not None, action
    assert codec.validator(version, "Heartbeat", "request") is codec.validator(version, "Heartbeat", "request")


def test_an_unknown_action_has_no_schema_and_passes() -> None:
    assert codec.load_schema("1.6", "TransactionEvent", "request") is None
    assert codec.load_schema("1.6", "../../../etc/passwd", "request") is None
    assert codec.check("1.6", "VendorPrivate", "request", {"any": "thing"}) is None


def meter(**sample: Any) -> dict[str, Any]:
    """A MeterValues payload with one sampled value."""
    return {"connectorId": 1, "meterValue": [{"timestamp": "2026-01-02T03:04:05Z", "sampledValue": [sample]}]}


FORMATION = codec.FORMATION_VIOLATION
OCCURENCE = codec.OCCURENCE_CONSTRAINT_VIOLATION
PROPERTY = codec.PROPERTY_CONSTRAINT_VIOLATION
TYPE = codec.TYPE_CONSTRAINT_VIOLATION
BAD_TIME = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "2026-01-02"}


@pytest.mark.parametrize(
    ("action", "payload", "code", "rule", "path"),
    [
        ("BootNotification", BOOT | {"chargePointModel": 5}, TYPE, "type", "chargePointModel"),
        ("BootNotification", {}, OCCURENCE, "required", ""),
        ("BootNotification", BOOT | {"extra": 1}, FORMATION, "additionalProperties", ""),
        ("BootNotification", BOOT | {"iccid": "x" * 21}, PROPERTY, "maxLength", "iccid"),
        ("MeterValues", {"connectorId": 1, "meterValue": []}, OCCURENCE, "minItems", "meterValue"),
        ("MeterValues", {"connectorId": 1.0, "meterValue": []}, TYPE, "type", "connectorId"),
        ("MeterValues", meter(value="1", unit="Hz"), PROPERTY, "enum", "meterValue[0].sampledValue[0].unit"),
        ("StatusNotification", BAD_TIME, PROPERTY, "format", "timestamp"),
        ("DataTransfer", {"vendorId": "x", "data": [[]]}, TYPE, "type", "data"),
    ],
)
def test_the_failing_keyword_decides_the_error_code(
    action: str, payload: dict[str, Any], code: str, rule: str, path: str
) -> None:
    assert not codec.is_valid("1.6", action, "request", payload)
    fault = codec.check("1.6", action, "request", payload)
    assert fault is not None
    assert (fault.code, fault.rule, fault.path) == (code, rule, path)
    assert fault.detail


def test_valid_payloads_have_no_fault() -> None:
    assert codec.check("1.6", "MeterValues", "request", meter(value="1", unit="kWh", phase="L1-N")) is None
    assert codec.check("1.6", "BootNotification", "request", BOOT) is None
    for limit in (16, 16.1, 21.4, 0.3):  # tenths that binary floats cannot hold
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        answer = {"status": "Accepted", "chargingSchedule": schedule}
        assert codec.check("1.6", "GetCompositeSchedule", "response", answer) is None
    assert codec.check("2.0.1", "Heartbeat", "response", {"currentTime": "2026-01-02T03:04:05Z"}) is None


def test_nesting_beyond_the_checker_is_a_fault_and_no_crash() -> None:
    data: Any = 1
    for _ in range(900):
        data = [data]
    payload = {"vendorId": "x", "data": data}
    assert not codec.is_valid("1.6", "DataTransfer", "request", payload)
    fault = codec.check("1.6", "DataTransfer", "request", payload)
    assert fault is not None and (fault.code, fault.rule) == ("FormationViolation", "depth")
