"""The standard keys: none is missing, and what counts as the same value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.v16.enums import ConfigurationKey as Listed

from app.charging.upkeep.configuration_keys import (
    AUTHORIZATION_KEY,
    STANDARD_KEYS,
    AuthorizationKeyRefused,
    BadKey,
    BadValue,
    check_key,
    check_value,
    same_value,
    standard_key,
)


def test_every_key_another_implementation_knows_is_explained() -> None:
    """The list of the `ocpp` package is not ours: a key forgotten here is found there."""
    odd_spelling = {"WebsocketPingInterval": "WebSocketPingInterval"}
    missing = {odd_spelling.get(key.value, key.value) for key in Listed if standard_key(key.value) is None}
    assert missing == set()
    assert {"AuthorizationKey", "SecurityProfile", "CpoName", "CertificateStoreMaxLength"} <= set(STANDARD_KEYS)


def test_each_is_told_in_a_sentence_of_its_own() -> None:
    helps = [key.help for key in STANDARD_KEYS.values()]
    assert len(set(helps)) == len(helps)
    for name, key in STANDARD_KEYS.items():
        assert key.help.endswith("."), name
        assert len(key.help) > 20, name


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("300", "300", True),
        ("300", " 300 ", True),
        ("0300", "300", True),
        ("true", "True", True),
        ("TRUE", "false", False),
        ("A,B", "A, B", True),
        ("A,B", "B,A", False),
        ("", "", True),
        ("", None, False),
        (None, None, False),
        ("300", None, False),
        ("3e2", "300", False),
        ("٣", "3", False),
    ],
)
def test_what_counts_as_the_same_value(one: str | None, other: str | None, same: bool) -> None:
    assert same_value(one, other) is same
    assert same_value(other, one) is same


@given(st.text(max_size=40))
def test_any_value_is_like_itself(value: str) -> None:
    assert same_value(value, value)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("LocalPreAuthorize", "yes", "LocalPreAuthorize is true or false."),
        ("heartbeatinterval", "5 min", "HeartbeatInterval is a whole number of seconds."),
        ("ResetRetries", "", "ResetRetries is a whole number."),
        ("VendorKey", "x" * 1001, "A value has at most 1000 characters."),
    ],
)
def test_a_value_no_station_can_take_is_refused(key: str, value: str, complaint: str) -> None:
    with pytest.raises(BadValue, match=complaint):
        check_value(key, value)


def test_a_value_is_sent_as_it_was_meant() -> None:
    assert check_value("LocalPreAuthorize", " TRUE ") == "TRUE"
    assert check_value("VendorKey", " anything ") == "anything"
    assert check_key("heartbeatINTERVAL ") == "HeartbeatInterval"
    assert check_key("vendor.Key") == "vendor.Key"


@pytest.mark.parametrize("key", ["", "  ", "x" * 51, "a\nb"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadKey):
        check_key(key)


@pytest.mark.parametrize("key", [AUTHORIZATION_KEY, "authorizationkey", " AUTHORIZATIONKEY"])
def test_the_password_is_never_changed_like_other_keys(key: str) -> None:
    with pytest.raises(AuthorizationKeyRefused, match="rotates the password"):
        check_key(key)
