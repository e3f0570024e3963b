"""Every command of the house in every version of OCPP: by the schema on the wire, and its answers in our words."""

from __future__ import annotations

import pytest

from app.charging.commands import CommandName
from app.charging.models import MonitorKind
from app.core.models import ActionStatus
from ocpp_ws import codec, outgoing
from ocpp_ws.v16.outgoing import MESSAGES as MESSAGES_16
from ocpp_ws.v201.device_model import NAMES_OF_16, NoSuchName, name_of, parse_name
from ocpp_ws.v201.outgoing import MESSAGES as MESSAGES_201

AT = "2026-11-22T10:00:00Z"
HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a1",
    "issuerKeyHash": "b2",
    "serialNumber": "c3",
}
PROFILE = {
    "id": 7,
    "stack_level": 1,
    "purpose": "session",
    "kind": "absolute",
    "unit": "A",
    "session_id": 41,
    "reference": "tx-41",
    "starts_at": AT,
    "periods": [{"start_s": 0, "limit": "16.04", "phases": 3}],
}
REQUESTS = [
    (CommandName.RESET, {"kind": "hard"}),
    (CommandName.RESET, {"kind": "soft"}),
    (CommandName.CHANGE_AVAILABILITY, {"network_id": 0, "operative": False}),
    (CommandName.CHANGE_AVAILABILITY, {"network_id": 2, "operative": True}),
    (CommandName.UNLOCK, {"network_id": 1}),
    (CommandName.TRIGGER_MESSAGE, {"message": "status", "network_id": 1}),
    (CommandName.TRIGGER_MESSAGE, {"message": "heartbeat", "network_id": None}),
    (CommandName.TRIGGER_MESSAGE, {"message": "diagnostics_status", "network_id": None}),
    (CommandName.TRIGGER_MESSAGE, {"message": "certificate", "network_id": None}),
    (CommandName.CLEAR_CACHE, {}),
    (CommandName.START_SESSION, {"network_id": 1, "id_tag": "SYNC-41", "session_id": 41}),
    (CommandName.STOP_SESSION, {"session_id": 41, "reference": "tx-41"}),
    (CommandName.GET_CONFIGURATION, {"keys": []}),
    (CommandName.GET_CONFIGURATION, {"keys": ["HeartbeatInterval"]}),
    (CommandName.CHANGE_CONFIGURATION, {"key": "HeartbeatInterval", "value": "300"}),
    (CommandName.CHANGE_PASSWORD, {"value": "0123456789abcdef0123456789abcdef01234567"}),
    (CommandName.UPDATE_FIRMWARE, {"update_id": 3, "location": "https://h/f", "retrieve_at": AT}),
    (
        CommandName.UPDATE_FIRMWARE,
        {
            "update_id": 3,
            "location": "https://h/f",
            "retrieve_at": AT,
            "install_at": AT,
            "signing_certificate": "pem",
            "signature": "c2ln",
            "retries": 2,
            "retry_interval_s": 60,
        },
    ),
    (CommandName.GET_DIAGNOSTICS, {"diagnostics_id": 5, "location": "https://h/d/", "logs_from": AT, "logs_to": AT}),
    (CommandName.GET_LOG, {"diagnostics_id": 5, "location": "https://h/d/", "log": "security"}),
    (CommandName.GET_COMPOSITE_SCHEDULE, {"network_id": 1, "duration_s": 600, "unit": "A"}),
    (CommandName.SET_CHARGING_PROFILE, {"network_id": 1, "profile": PROFILE}),
    (CommandName.SET_CHARGING_PROFILE, {"network_id": 0, "profile": {**PROFILE, "purpose": "station"}}),
    (CommandName.CLEAR_CHARGING_PROFILE, {"profile_id": 7}),
    (CommandName.CLEAR_CHARGING_PROFILE, {"network_id": 1, "purpose": "default", "stack_level": 0}),
    (CommandName.SEND_LOCAL_LIST, {"version": 4, "full": True, "entries": []}),
    (
        CommandName.SEND_LOCAL_LIST,
        {
            "version": 5,
            "full": False,
            "entries": [
                {"id_tag": "CARD1", "info": {"status": "accepted", "expires_at": AT, "parent": "U7"}},
                {"id_tag": "CARD2", "info": None},
            ],
        },
    ),
    (CommandName.GET_LOCAL_LIST_VERSION, {}),
    (CommandName.RESERVE, {"network_id": 1, "reservation_id": 9, "id_tag": "R-9", "expires_at": AT, "parent": "U7"}),
    (CommandName.CANCEL_RESERVATION, {"reservation_id": 9}),
    (CommandName.INSTALL_CERTIFICATE, {"use": "central_system_root", "pem": "-----BEGIN CERTIFICATE-----"}),
    (CommandName.DELETE_CERTIFICATE, {"hash_data": HASH}),
    (CommandName.GET_CERTIFICATES, {"use": "manufacturer_root"}),
    (CommandName.SEND_CERTIFICATE, {"certificate_id": 2, "chain": "-----BEGIN CERTIFICATE-----"}),
    (CommandName.DATA_TRANSFER, {"vendor": "acme", "message": "hello", "data": "x"}),
    (CommandName.RAW, {"action": "ClearCache", "payload": {}}),
]
#: for which OCPP 1.6 has nothing
REQUESTS_OF_201 = [
    (CommandName.GET_REPORT, {"components": ["EVSE", "Connector"]}),
    (CommandName.GET_REPORT, {"criteria": ["problems", "enabled"]}),
    (CommandName.GET_SESSION_STATUS, {"session_id": 41, "reference": "tx-41"}),
    (CommandName.SHOW_COST, {"session_id": 41, "reference": "tx-41", "total": "12.34"}),
    (CommandName.GET_CHARGING_PROFILES, {}),
    *(
        (CommandName.SET_MONITOR, {"key": "EVSE@1.Power", "kind": kind.value, "value": "20000", "severity": 5})
        for kind in MonitorKind
    ),
    (CommandName.CLEAR_MONITOR, {"monitor_id": 5}),
    (CommandName.GET_MONITORS, {}),
    (CommandName.SET_DISPLAY_MESSAGE, {"number": 3, "content": "Hello", "format": "plain", "priority": "in_front"}),
    (
        CommandName.SET_DISPLAY_MESSAGE,
        {
            "number": 3,
            "content": "https://h/p",
            "format": "uri",
            "priority": "always_front",
            "state": "charging",
            "language": "en",
            "starts_at": AT,
            "ends_at": AT,
            "reference": "tx-41",
        },
    ),
    (CommandName.GET_DISPLAY_MESSAGES, {}),
    (CommandName.CLEAR_DISPLAY_MESSAGE, {"number": 3}),
    (CommandName.CUSTOMER_INFORMATION, {"question": 5, "report": True, "clear": False, "id_tag": "CARD1"}),
    (CommandName.CUSTOMER_INFORMATION, {"question": 5, "report": False, "clear": True, "customer": "C-1"}),
    (
        CommandName.SET_NETWORK_PROFILE,
        {"slot": 2, "address": "wss://h/ocpp", "security": 2, "timeout_s": 30, "interface": "wireless0"},
    ),
]


def test_every_command_is_tried():
    only_201 = {name for name, _ in REQUESTS_OF_201}
    assert {name for name, _ in REQUESTS} | only_201 == set(CommandName)
    assert set(MESSAGES_201) == set(CommandName) - {CommandName.RAW}
    assert set(MESSAGES_16) == set(MESSAGES_201) - only_201


@pytest.mark.parametrize(("name", "request_"), REQUESTS_OF_201)
def test_what_16_does_not_have_is_refused_with_a_reason(name, request_):
    with pytest.raises(outgoing.NotInThisVersion, match="no such command"):
        outgoing.build(MESSAGES_16, "1.6", name, request_)


@pytest.mark.parametrize(
    ("version", "messages", "name", "request_"),
    [
        *(("1.6", MESSAGES_16, *each) for each in REQUESTS),
        *(("2.0.1", MESSAGES_201, *each) for each in [*REQUESTS, *REQUESTS_OF_201]),
    ],
)
def test_commands_fit_the_schema_of_their_version(version, messages, name, request_):
    action, payload = outgoing.build(messages, version, name, request_)
    assert action in codec.known_actions(version)
    assert codec.check(version, action, "request", payload) is None


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        (CommandName.STOP_SESSION, {"session_id": 41, "reference": None}),
        (CommandName.SET_CHARGING_PROFILE, {"network_id": 1, "profile": {**PROFILE, "reference": None}}),
        (CommandName.CHANGE_CONFIGURATION, {"key": "no variable of ours", "value": "1"}),
    ],
)
def test_what_cannot_be_said_in_201_is_refused_with_a_reason(name, request_):
    with pytest.raises(outgoing.NotInThisVersion):
        outgoing.build(MESSAGES_201, "2.0.1", name, request_)


@pytest.mark.parametrize(
    ("word", "result", "status"),
    [
        ("Accepted", "accepted", ActionStatus.ACCEPTED),
        ("RebootRequired", "reboot_required", ActionStatus.ACCEPTED),
        ("Rejected", "rejected", ActionStatus.REJECTED),
        ("UnknownVariable", "not_supported", ActionStatus.REJECTED),
        ("Nonsense", "rejected", ActionStatus.REJECTED),
    ],
)
def test_how_a_variable_was_taken(word, result, status):
    response = {"setVariableResult": [{"attributeStatus": word, "component": {}, "variable": {}}]}
    answer = outgoing.read(MESSAGES_201, CommandName.CHANGE_CONFIGURATION, response)
    assert (answer.facts["result"], answer.status) == (result, status)


def test_an_empty_answer_is_a_refusal_and_no_error():
    assert outgoing.read(MESSAGES_201, CommandName.CHANGE_CONFIGURATION, {}).status is ActionStatus.REJECTED
    assert outgoing.read(MESSAGES_201, CommandName.GET_CONFIGURATION, {}).status is ActionStatus.REJECTED


def test_variables_that_were_asked_for():
    heartbeat = parse_name("HeartbeatInterval")
    response = {
        "getVariableResult": [
            {"attributeStatus": "Accepted", "attributeValue": "300", **heartbeat},
            {"attributeStatus": "UnknownVariable", **parse_name("AuthCtrlr.Nothing")},
        ]
    }
    facts = outgoing.read(MESSAGES_201, CommandName.GET_CONFIGURATION, response).facts
    assert facts["keys"] == [{"key": "OCPPCommCtrlr.HeartbeatInterval", "value": "300", "readonly": False}]
    assert facts["unknown"] == ["AuthCtrlr.Nothing"]


def test_a_schedule_in_our_words():
    response = {
        "status": "Accepted",
        "schedule": {
            "evseId": 1,
            "duration": 600,
            "scheduleStart": "2026-11-22T11:00:00+01:00",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0, "numberPhases": 3}],
        },
    }
    facts = outgoing.read(MESSAGES_201, CommandName.GET_COMPOSITE_SCHEDULE, response).facts
    assert facts["starts_at"] == "2026-11-22T10:00:00+00:00"
    assert facts["periods"] == [{"start_s": 0, "limit": 16.0, "phases": 3}]


@pytest.mark.parametrize(
    "name",
    [
        "OCPPCommCtrlr.HeartbeatInterval",
        "EVSE@1.Power",
        "Connector@1:2.Available",
        "Display[left]@2.Colour[night]",
        *NAMES_OF_16.values(),
    ],
)
def test_a_name_of_a_variable_is_read_as_it_is_written(name):
    assert name_of(parse_name(name)) == name


@pytest.mark.parametrize("name", ["", "Component", "a.b.c", "@1.Power", "x" * 51 + ".y", "Component.", "EVSE@x.Power"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(NoSuchName):
        parse_name(name)
