"""A station's password is in no frame that is kept, in either version of OCPP."""

from __future__ import annotations

import json

import pytest

from app.charging.security.sealing import MASK
from ocpp_ws.dictionary import OcppDictionary
from ocpp_ws.secrets import masked

SECRET = "0123456789abcdef0123"
COMPONENT = {"name": "SecurityCtrlr"}


@pytest.mark.parametrize(
    ("action", "frame"),
    [
        ("ChangeConfiguration", [2, "1", "ChangeConfiguration", {"key": "authorizationkey", "value": SECRET}]),
        (
            "SetVariables",
            [
                2,
                "1",
                "SetVariables",
                {
                    "setVariableData": [
                        {
                            "attributeValue": SECRET,
                            "component": COMPONENT,
                            "variable": {"name": "BasicAuthPassword"},
                        }
                    ]
                },
            ],
        ),
        (
            "GetVariables",
            [
                3,
                "1",
                {
                    "getVariableResult": [
                        {
                            "attributeStatus": "Accepted",
                            "attributeValue": SECRET,
                            "component": COMPONENT,
                            "variable": {"name": "basicauthpassword"},
                        }
                    ]
                },
            ],
        ),
        (
            "NotifyReport",
            [
                2,
                "1",
                "NotifyReport",
                {
                    "reportData": [
                        {
                            "component": COMPONENT,
                            "variable": {"name": "BasicAuthPassword"},
                            "variableAttribute": [{"value": SECRET}],
                        }
                    ]
                },
            ],
        ),
    ],
)
def test_passwords_are_masked(action: str, frame: list) -> None:
    kept = masked(action, json.dumps(frame))
    assert SECRET not in kept
    assert MASK in kept


def test_other_variables_are_kept_as_they_are() -> None:
    text = json.dumps([2, "1", "SetVariables", {"setVariableData": [{"attributeValue": "60"}]}])
    assert masked("SetVariables", text) == text


def test_where_a_password_stands_in_a_call_somebody_words() -> None:
    entry = {"attributeValue": "1", "component": COMPONENT, "variable": {"name": "Other"}}
    secret = {**entry, "variable": {"name": "BasicAuthPassword"}}
    path = OcppDictionary().secret_path("SetVariables", {"setVariableData": [entry, secret]})
    assert path == ("setVariableData", 1, "attributeValue")
    assert OcppDictionary().secret_path("SetVariables", {"setVariableData": [entry]}) is None
