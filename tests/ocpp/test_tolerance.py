"""Tolerant in: each rule by name, what is refused, and that nothing of a transaction is ever lost."""

from __future__ import annotations

import contextlib
import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpp_ws import codec
from ocpp_ws.codec import HardFault
from ocpp_ws.tolerance import MAY_BE_ABSENT, format_timestamp, parse_timestamp, tolerate

NOW = datetime(2026, 3, 4, 5, 6, 7, 891_000, tzinfo=UTC)
NOW_TEXT = "2026-03-04T05:06:07.891Z"
TIME = "2026-01-02T03:04:05Z"
FULL_TIME = "2026-01-02T03:04:05.000Z"
OCCURENCE = codec.OCCURENCE_CONSTRAINT_VIOLATION
PROPERTY = codec.PROPERTY_CONSTRAINT_VIOLATION
TYPE = codec.TYPE_CONSTRAINT_VIOLATION

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": TIME}
STOP = {"transactionId": 7, "meterStop": 900, "timestamp": TIME}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def meter(**sample: Any) -> dict[str, Any]:
    """A MeterValues payload with one sampled value."""
    return {"connectorId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": "1"} | sample]}]}


def sample_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Its sampled value."""
    found: dict[str, Any] = payload["meterValue"][0]["sampledValue"][0]
    return found


def soft(
    action: str, payload: dict[str, Any], version: codec.Version = "1.6"
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Normalise a payload that fails its schema; the deviations as (rule, path). The input stays as it was."""
    before = copy.deepcopy(payload)
    assert not codec.is_valid(version, action, "request", payload)
    normal, deviations = tolerate(version, action, payload, now=NOW)
    assert payload == before
    assert deviations
    return normal, [(deviation.rule, deviation.path) for deviation in deviations]


def hard(action: str, payload: dict[str, Any], version: codec.Version = "1.6") -> tuple[str, str]:
    """(code, path) of the refusal of a payload."""
    with pytest.raises(HardFault) as refused:
        tolerate(version, action, payload, now=NOW)
    return refused.value.code, refused.value.path


# ---------------------------------------------------------------------- the rules, one by one


@pytest.mark.parametrize(
    ("action", "change", "field", "becomes", "rule"),
    [
        ("BootNotification", {"firmwareVersion": "x" * 51}, "firmwareVersion", "x" * 50, "string_too_long"),
        ("StartTransaction", {"idTag": "x" * 21}, "idTag", "x" * 21, "string_too_long_kept"),
        ("BootNotification", {"iccid": None}, "iccid", None, "null_removed"),
        ("BootNotification", {"uptime": 5}, "uptime", None, "extra_field"),
        ("BootNotification", {"meterSerialNumber": 4711}, "meterSerialNumber", "4711", "number_for_string"),
        ("BootNotification", {"meterType": True}, "meterType", "true", "boolean_for_string"),
        ("BootNotification", {"meterType": ["a"]}, "meterType", None, "type_unusable"),
        ("StartTransaction", {"connectorId": "2"}, "connectorId", 2, "string_for_number"),
        ("StartTransaction", {"connectorId": " +2 "}, "connectorId", 2, "string_for_number"),
        ("StartTransaction", {"meterStart": 100.0}, "meterStart", 100, "float_for_integer"),
        ("StartTransaction", {"meterStart": 100.5}, "meterStart", 101, "fraction_for_integer"),
        ("StartTransaction", {"meterStart": "100.4"}, "meterStart", 100, "string_for_number"),
        ("StartTransaction", {"reservationId": "none"}, "reservationId", None, "type_unusable"),
        ("StartTransaction", {"reservationId": None}, "reservationId", None, "null_removed"),
        ("StartTransaction", {"timestamp": "2026-01-02T03:04:05"}, "timestamp", FULL_TIME, "timestamp_without_zone"),
        ("StartTransaction", {"timestamp": "2026-01-02 04:04:05+0100"}, "timestamp", FULL_TIME, "timestamp_format"),
        ("StartTransaction", {"timestamp": 1767323045}, "timestamp", FULL_TIME, "timestamp_without_zone"),
        ("StartTransaction", {"timestamp": "yesterday"}, "timestamp", NOW_TEXT, "timestamp_unreadable"),
        ("StartTransaction", {"timestamp": None}, "timestamp", NOW_TEXT, "required_missing"),
        ("StatusNotification", {"timestamp": "yesterday"}, "timestamp", None, "timestamp_unreadable"),
        ("StatusNotification", {"timestamp": ""}, "timestamp", None, "timestamp_unreadable"),
        ("StatusNotification", {"status": "SUSPENDED_EV"}, "status", "SuspendedEV", "enum_misspelt"),
        ("StatusNotification", {"status": "Occupied"}, "status", "Preparing", "enum_alias"),
        ("StatusNotification", {"status": "Sleeping"}, "status", None, "unknown_enum"),
        ("StatusNotification", {"errorCode": "FuseBlown"}, "errorCode", "OtherError", "unknown_enum"),
        ("StatusNotification", {"errorCode": None}, "errorCode", "NoError", "required_missing"),
        ("StopTransaction", {"reason": "Finished"}, "reason", "Other", "unknown_enum"),
        ("StopTransaction", {"reason": "evdisconnected"}, "reason", "EVDisconnected", "enum_misspelt"),
        ("StopTransaction", {"transactionId": None}, "transactionId", -1, "required_missing"),
        ("StopTransaction", {"transactionId": "offline"}, "transactionId", -1, "type_unusable"),
        ("StopTransaction", {"meterStop": None}, "meterStop", None, "required_missing"),
        ("StopTransaction", {"transactionData": []}, "transactionData", [], None),
        ("StopTransaction", {"transactionData": "none"}, "transactionData", None, "type_unusable"),
        ("FirmwareStatusNotification", {"status": "Rebooting"}, "status", None, "unknown_enum"),
        ("DataTransfer", {"vendorId": None}, "vendorId", "", "required_missing"),
        ("DataTransfer", {"data": {"a": [1]}}, "data", '{"a":[1]}', "json_for_string"),
    ],
)  # fmt: skip
def test_a_soft_fault_is_normalised_by_a_named_rule(
    action: str, change: dict[str, Any], field: str, becomes: Any, rule: str | None
) -> None:
    good: dict[str, dict[str, Any]] = {
        "BootNotification": BOOT,
        "StartTransaction": START,
        "StopTransaction": STOP,
        "StatusNotification": STATUS,
        "FirmwareStatusNotification": {},
        "DataTransfer": {"vendorId": "V"},
    }
    payload = good[action] | change
    if rule is None:
        assert codec.is_valid("1.6", action, "request", payload)
        return
    normal, found = soft(action, payload)
    assert normal.get(field) == becomes
    assert found[0] == (rule, field) and {path for _, path in found} == {field}
    if field not in MAY_BE_ABSENT.get(action, ()) and rule != "string_too_long_kept":
        assert codec.is_valid("1.6", action, "request", normal)
    untouched = {key: value for key, value in good[action].items() if key != field}
    assert untouched.items() <= normal.items()


def test_what_was_cut_is_kept_aside() -> None:
    _, deviations = tolerate("1.6", "BootNotification", BOOT | {"iccid": "x" * 30}, now=NOW)
    assert deviations[0].detail == "x" * 30


@pytest.mark.parametrize(
    ("field", "sent", "becomes", "rule"),
    [
        ("unit", "kwh", "kWh", "enum_misspelt"),
        ("unit", "WH", "Wh", "enum_misspelt"),
        ("unit", "KW", "kW", "enum_misspelt"),
        ("unit", "Hz", "Hertz", "enum_alias"),
        ("unit", "%", "Percent", "enum_alias"),
        ("unit", "Amps", "A", "enum_alias"),
        ("unit", "°C", "Celsius", "enum_alias"),
        ("unit", "MWh", "MWh", "unknown_enum_kept"),
        ("unit", "", None, "empty_removed"),
        ("unit", None, None, "null_removed"),
        ("measurand", "energy_active_import_register", "Energy.Active.Import.Register", "enum_misspelt"),
        ("measurand", "Energy.Active.Net", "Energy.Active.Net", "unknown_enum_kept"),
        ("phase", "L1N", "L1-N", "enum_misspelt"),
        ("phase", "L4", "L4", "unknown_enum_kept"),
        ("context", "sample.periodic", "Sample.Periodic", "enum_misspelt"),
        ("value", 7412.5, "7412.5", "number_for_string"),
        ("value", 0, "0", "number_for_string"),
    ],
)
def test_sampled_values_are_never_turned_into_something_else(
    field: str, sent: Any, becomes: str | None, rule: str
) -> None:
    """Dropping an unknown unit would make MWh Wh, an unknown phase would become the total."""
    normal, found = soft("MeterValues", meter(**{field: sent}))
    assert sample_of(normal).get(field) == becomes
    assert found == [(rule, f"meterValue[].sampledValue[].{field}")]


def test_equal_slips_in_a_list_are_one_deviation() -> None:
    payload = meter()
    payload["meterValue"][0]["sampledValue"] = [{"value": number} for number in range(20)]
    normal, found = soft("MeterValues", payload)
    assert [sample["value"] for sample in normal["meterValue"][0]["sampledValue"]] == [str(n) for n in range(20)]
    assert found == [("number_for_string", "meterValue[].sampledValue[].value")]


def test_an_unusable_sample_does_not_take_the_others_with_it() -> None:
    payload = meter()
    payload["meterValue"][0]["sampledValue"] += [{"measurand": "Voltage"}, {"value": None}, "x", {"value": "2"}]
    normal, found = soft("MeterValues", payload)
    assert [sample["value"] for sample in normal["meterValue"][0]["sampledValue"]] == ["1", "2"]
    assert {rule for rule, _ in found} == {"item_dropped"}


def test_a_lone_object_is_a_list_of_one_and_the_other_way_round() -> None:
    payload = {"connectorId": 1, "meterValue": {"timestamp": TIME, "sampledValue": {"value": "1"}}}
    normal, found = soft("MeterValues", payload)
    assert normal == meter()
    assert found == [("object_for_list", "meterValue"), ("object_for_list", "meterValue[].sampledValue")]
    normal, found = soft("Authorize", {"idToken": [{"idToken": "A", "type": "Central"}]}, "2.0.1")
    assert normal == {"idToken": {"idToken": "A", "type": "Central"}}
    assert found == [("list_for_object", "idToken")]


@pytest.mark.parametrize(
    "meter_value", [None, [], "x", [{"timestamp": TIME, "sampledValue": []}], [{"timestamp": TIME}], [None]]
)
def test_meter_values_without_a_usable_value_are_empty_not_refused(meter_value: Any) -> None:
    normal, found = soft("MeterValues", {"connectorId": 1, "transactionId": 5, "meterValue": meter_value})
    assert normal == {"connectorId": 1, "transactionId": 5, "meterValue": []}
    assert found


def test_misspelt_field_names_are_understood() -> None:
    normal, found = soft("StartTransaction", {"ConnectorID": 1, "id_tag": "T", "meterstart": 5, "timeStamp": TIME})
    assert normal == {"connectorId": 1, "idTag": "T", "meterStart": 5, "timestamp": TIME}
    assert {rule for rule, _ in found} == {"field_misspelt"}
    normal, found = soft("StartTransaction", START | {"idtag": "OTHER"})  # the right name is there already
    assert normal == START and found == [("extra_field", "idtag")]


def test_a_null_transaction_id_is_an_absent_one() -> None:
    normal, found = soft("MeterValues", meter() | {"transactionId": None})
    assert normal == meter() and found == [("null_removed", "transactionId")]


def test_not_a_number_counts_as_null() -> None:
    normal, _ = soft("MeterValues", meter() | {"transactionId": float("nan")})
    assert normal == meter()
    assert hard("StartTransaction", START | {"meterStart": float("nan")})[1] == "meterStart"
    assert hard("StartTransaction", START | {"meterStart": float("inf")})[1] == "meterStart"


def test_many_faults_at_once_still_make_a_transaction() -> None:
    normal, found = soft(
        "StartTransaction",
        {"connectorId": "1", "meterStart": "0.0", "timestamp": "2026-01-02 03:04", "reservationId": None, "x": {}},
    )
    assert normal == {"connectorId": 1, "meterStart": 0, "idTag": "", "timestamp": "2026-01-02T03:04:00.000Z"}
    assert sorted(found) == [
        ("extra_field", "x"),
        ("float_for_integer", "meterStart"),
        ("null_removed", "reservationId"),
        ("required_missing", "idTag"),
        ("string_for_number", "connectorId"),
        ("string_for_number", "meterStart"),
        ("timestamp_without_zone", "timestamp"),
    ]


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("action", "payload", "code", "path"),
    [
        ("StartTransaction", {"connectorId": 1, "idTag": "T", "timestamp": TIME}, OCCURENCE, "meterStart"),
        ("StartTransaction", START | {"meterStart": "full"}, TYPE, "meterStart"),
        ("StartTransaction", START | {"meterStart": True}, TYPE, "meterStart"),
        ("StartTransaction", START | {"connectorId": None}, OCCURENCE, "connectorId"),
        ("StartTransaction", START | {"connectorId": {}}, TYPE, "connectorId"),
        ("MeterValues", {"meterValue": meter()["meterValue"]}, OCCURENCE, "connectorId"),
        ("StatusNotification", {"status": "Available"}, OCCURENCE, "connectorId"),
        ("Authorize", {}, OCCURENCE, "idTag"),
        ("SignCertificate", {"csr": None}, OCCURENCE, "csr"),
    ],
)  # fmt: skip
def test_a_lost_meaning_is_a_hard_fault(action: str, payload: dict[str, Any], code: str, path: str) -> None:
    assert hard(action, payload) == (code, path)


@pytest.mark.parametrize("depth", [50, 900, 1015, 3000])
def test_nesting_without_end_is_text_or_refused(depth: int) -> None:
    data: Any = 1
    for _ in range(depth):
        data = [data]
    payload = {"vendorId": "x", "data": data}
    try:
        normal, _ = tolerate("1.6", "DataTransfer", payload, now=NOW)
    except HardFault as refused:
        assert refused.code == "FormationViolation" and depth > 900
    else:
        assert normal == {"vendorId": "x", "data": "[" * depth + "1" + "]" * depth} or "data" not in normal


# ---------------------------------------------------------------------- 2.0.1


EVENT = {
    "eventType": "Updated",
    "timestamp": TIME,
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 3,
    "transactionInfo": {"transactionId": "T1"},
}


def test_references_in_a_schema_are_followed() -> None:
    normal, found = soft(
        "TransactionEvent",
        EVENT
        | {
            "eventType": "updated",
            "offline": "true",
            "seqNo": "3",
            "customData": {"vendorId": "V", "free": [1, {"x": None}]},
            "transactionInfo": {"transactionId": "T1", "chargingState": "charging", "stoppedReason": "Bored"},
            "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": "12,5", "measurand": "soc"}]}],
            "evse": {"id": 0, "connectorId": None},
        },
        "2.0.1",
    )
    assert normal == EVENT | {
        "offline": True,
        "customData": {"vendorId": "V", "free": [1, {"x": None}]},
        "transactionInfo": {"transactionId": "T1", "chargingState": "Charging", "stoppedReason": "Other"},
        "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": 12.5, "measurand": "SoC"}]}],
        "evse": {"id": 0},
    }
    assert ("boolean_misspelt", "offline") in found
    assert codec.is_valid("2.0.1", "TransactionEvent", "request", normal)


def test_a_transaction_event_survives_all_but_its_identity() -> None:
    normal, _ = soft("TransactionEvent", {"eventType": "Ended", "transactionInfo": {"transactionId": "T1"}}, "2.0.1")
    assert normal == {
        "eventType": "Ended",
        "transactionInfo": {"transactionId": "T1"},
        "timestamp": NOW_TEXT,
        "seqNo": 0,
    }
    assert hard("TransactionEvent", EVENT | {"transactionInfo": {}}, "2.0.1") == (
        OCCURENCE,
        "transactionInfo.transactionId",
    )
    assert hard("TransactionEvent", EVENT | {"eventType": "Sideways"}, "2.0.1") == (
        PROPERTY,
        "eventType",
    )


def test_a_status_of_another_version_is_translated() -> None:
    status = {"timestamp": TIME, "connectorStatus": "SuspendedEV", "evseId": 1, "connectorId": 1}
    normal, found = soft("StatusNotification", status, "2.0.1")
    assert normal["connectorStatus"] == "Occupied" and found == [("enum_alias", "connectorStatus")]


def test_a_boot_is_never_refused() -> None:
    for payload in ({}, {"chargingStation": {}}, {"reason": "Magic", "chargingStation": {"model": 7}}):
        normal, _ = soft("BootNotification", payload, "2.0.1")
        assert codec.is_valid("2.0.1", "BootNotification", "request", normal)
    normal, _ = soft("BootNotification", {})
    assert codec.is_valid("1.6", "BootNotification", "request", normal)


def test_filled_in_values_are_not_shared() -> None:
    first, _ = tolerate("1.6", "MeterValues", {"connectorId": 1}, now=NOW)
    first["meterValue"].append("mine")
    second, _ = tolerate("1.6", "MeterValues", {"connectorId": 1}, now=NOW)
    assert second["meterValue"] == []


# ---------------------------------------------------------------------- answers, other actions, anything


def test_answers_of_stations_are_normalised_too() -> None:
    normal, deviations = tolerate("1.6", "Reset", {"status": "ACCEPTED", "x": 1}, now=NOW, direction="response")
    assert normal == {"status": "Accepted"}
    assert {deviation.rule for deviation in deviations} == {"extra_field", "enum_misspelt"}
    with pytest.raises(HardFault):
        tolerate("1.6", "Reset", {"status": "Maybe"}, now=NOW, direction="response")


def test_an_action_without_schema_is_passed_on() -> None:
    assert tolerate("1.6", "Private", {"x": None}, now=NOW) == ({"x": None}, [])


def test_a_fault_no_rule_knows_is_still_recorded() -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.123}]}
    normal, deviations = tolerate(
        "1.6",
        "GetCompositeSchedule",
        {"status": "Accepted", "chargingSchedule": schedule},
        now=NOW,
        direction="response",
    )
    assert normal["chargingSchedule"] == schedule
    assert [(one.rule, one.path) for one in deviations] == [
        ("schema_multipleOf", "chargingSchedule.chargingSchedulePeriod[].limit")
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(TIME),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["timestamp", "sampledValue", "value", "unit", "phase", "status"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
FIELDS = ["connectorId", "transactionId", "meterValue", "idTag", "meterStart", "meterStop", "timestamp", "status",
          "errorCode", "transactionData", "reason", "vendorId", "data", "x"]  # fmt: skip


@given(
    action=st.sampled_from(
        ["StartTransaction", "StopTransaction", "MeterValues", "StatusNotification", "BootNotification", "DataTransfer"]
    ),
    payload=st.dictionaries(st.sampled_from(FIELDS), JSON),
)
def test_whatever_comes_is_normalised_or_refused(action: str, payload: dict[str, Any]) -> None:
    """And what is normalised once stays as it is: a second pass changes nothing."""
    before = repr(payload)
    try:
        normal, _ = tolerate("1.6", action, payload, now=NOW)
    except HardFault as refused:
        assert action in {"StartTransaction", "MeterValues", "StatusNotification"} and refused.path
        return
    assert repr(payload) == before
    again, _ = tolerate("1.6", action, normal, now=NOW)
    assert again == normal


# ---------------------------------------------------------------------- time stamps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.600000+00:00"),
        ("2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456+00:00"),
        ("2026-01-02T03:04:05,5Z", "2026-01-02T03:04:05.500000+00:00"),
        ("2026-01-02T03:04:05.000001+00:00", "2026-01-02T03:04:05.000001+00:00"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05+00:00"),
        ("2026-01-02T03:04:05-0530", "2026-01-02T08:34:05+00:00"),
        ("2026-01-02T03:04:05+01", "2026-01-02T02:04:05+00:00"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02 03:04:05", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02 03:04:05 Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02 03:04:05 +0100", "2026-01-02T02:04:05+00:00"),
        ("2026-01-02t03:04:05z", "2026-01-02T03:04:05+00:00"),
        (" 2026-01-02T03:04:05Z ", "2026-01-02T03:04:05+00:00"),
        ("2026-1-2T3:4:5Z", "2026-01-02T03:04:05+00:00"),
        ("2026/01/02 03:04:05", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04Z", "2026-01-02T03:04:00+00:00"),
        ("2026-01-02", "2026-01-02T00:00:00+00:00"),
        ("20260102T030405Z", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T24:00:00Z", "2026-01-03T00:00:00+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("1767323045", "2026-01-02T03:04:05+00:00"),
        ("1767323045678", "2026-01-02T03:04:05.678000+00:00"),
        ("1712121200000", "2024-04-03T05:13:20+00:00"),  # Python would read 12 December 1712
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_time_stamps_are_read(text: str, expected: str) -> None:
    moment = parse_timestamp(text)
    assert moment.tzinfo is UTC
    assert moment.isoformat() == expected


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-02T25:00:00Z", "2026-01-02T03:61:00Z",
     "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "12:00:00", "5", "٢٠٢٦-01-02T03:04:05Z extra"],
)  # fmt: skip
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)


@given(st.text(max_size=30) | st.from_regex(r"[0-9TtZz:+\-. ]{1,30}", fullmatch=True))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_timestamp(text).tzinfo is UTC


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_what_we_write_we_read(moment: datetime) -> None:
    text = format_timestamp(moment)
    assert text.endswith("Z") and len(text) == 24
    assert parse_timestamp(text) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)
