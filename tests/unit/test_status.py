"""What is shown: the ladder of the connection, and an EVSE's status out of three truths."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.charging.status import (
    ConnectionStatus,
    HardwareStatus,
    ReportedStatus,
    ShownStatus,
    SystemStatus,
    connection_status,
    evse_shown_status,
    hardware_status,
    stricter_system_status,
)

NOW = datetime(2026, 6, 10, 9, 0, tzinfo=UTC)
LADDER = list(ConnectionStatus)[:3]


def status_after(seconds, *, connected=True, temporary=120, long_term=300):
    return connection_status(
        connected=connected,
        last_seen_at=None if seconds is None else NOW - timedelta(seconds=seconds),
        now=NOW,
        temporary_after_s=temporary,
        long_term_after_s=long_term,
    )


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0, "Available"),
        (119.999, "Available"),
        (120, "Temp. unavailable"),
        (299.999, "Temp. unavailable"),
        (300, "Long-term unavailable"),
        (10**7, "Long-term unavailable"),
        # another process' clock may be a little ahead
        (-2, "Available"),
    ],
)
def test_the_ladder_counts_from_the_last_frame_whatever_the_socket_claims(seconds, label, connected):
    assert status_after(seconds, connected=connected).label == label


def test_before_the_first_frame():
    assert status_after(None, connected=False).label == "Never connected"
    assert status_after(None, connected=True) is ConnectionStatus.AVAILABLE


def test_the_limits_are_settings():
    assert status_after(30, temporary=30, long_term=60) is ConnectionStatus.TEMPORARILY_UNAVAILABLE
    assert status_after(60, temporary=30, long_term=60) is ConnectionStatus.LONG_TERM_UNAVAILABLE


def test_limits_set_the_wrong_way_round_do_not_make_a_station_lost_early():
    assert status_after(100, temporary=300, long_term=60) is ConnectionStatus.AVAILABLE
    assert status_after(300, temporary=300, long_term=60) is ConnectionStatus.LONG_TERM_UNAVAILABLE


@settings(deadline=None)
@given(st.floats(0, 10**6), st.floats(0, 10**6), st.floats(1, 10**5), st.floats(1, 10**5), st.booleans())
def test_longer_silence_is_never_a_better_connection(one, other, temporary, long_term, connected):
    sooner, later = sorted((one, other))
    rungs = [
        LADDER.index(status_after(s, connected=connected, temporary=temporary, long_term=long_term))
        for s in (sooner, later)
    ]
    assert rungs[0] <= rungs[1]


ONLINE = ConnectionStatus.AVAILABLE


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        ("available", "Available"),
        ("preparing", "Occupied"),
        ("charging", "Charging"),
        ("suspended_ev", "Occupied"),
        ("suspended_evse", "Occupied"),
        ("finishing", "Occupied"),
        ("occupied", "Occupied"),
        ("reserved", "Reserved"),
        ("unavailable", "Unavailable"),
        ("faulted", "Fault"),
        ("unknown", "Unknown"),
    ],
)
def test_an_active_and_connected_evse_shows_its_hardware(reported, shown):
    reported = ReportedStatus(reported)
    assert hardware_status(reported).label == shown
    evse = evse_shown_status("active", ONLINE, reported)
    assert evse.status.label == shown
    assert evse.last_reported is reported


@pytest.mark.parametrize(
    ("connection", "shown", "why"),
    [
        ("temporarily_unavailable", "Temp. unavailable", "The connection to the charge point is lost"),
        (
            "long_term_unavailable",
            "Long-term unavailable",
            "The connection to the charge point has been lost for long",
        ),
        ("never_connected", "Never connected", "The charge point has never connected"),
    ],
)
def test_an_offline_evse_shows_its_connection_and_what_it_said_last(connection, shown, why):
    evse = evse_shown_status("active", ConnectionStatus(connection), ReportedStatus.AVAILABLE)
    assert evse.status.label == shown
    assert evse.why == f"{why}; last reported: Available"
    assert evse.last_reported is ReportedStatus.AVAILABLE


@pytest.mark.parametrize(
    ("intent", "shown"), [("disabled", "Disabled"), ("out_of_order", "Out of order"), ("demo", "Demo")]
)
def test_the_operators_intent_comes_first(intent, shown):
    for connection, reported in product(ConnectionStatus, ReportedStatus):
        evse = evse_shown_status(intent, connection, reported)
        assert evse.status.label == shown
        assert evse.last_reported is reported


@pytest.mark.parametrize(
    ("station", "reported", "shown", "why"),
    [
        ("faulted", "available", "Fault", "The charge point as a whole reports: Fault; the EVSE itself: Available"),
        ("faulted", "charging", "Fault", "The charge point as a whole reports: Fault; the EVSE itself: Charging"),
        ("faulted", "faulted", "Fault", "Reported: Fault"),
        ("faulted", "unknown", "Fault", "The charge point as a whole reports: Fault; the EVSE itself: Unknown"),
        ("unavailable", "available", "Unavailable",
         "The charge point as a whole reports: Unavailable; the EVSE itself: Available"),
        ("unavailable", "preparing", "Unavailable",
         "The charge point as a whole reports: Unavailable; the EVSE itself: Preparing"),
        ("unavailable", "charging", "Charging", "Reported: Charging"),
        ("unavailable", "suspended_ev", "Occupied", "Reported: Suspended by car"),
        ("unavailable", "faulted", "Fault", "Reported: Fault"),
        ("available", "unavailable", "Unavailable", "Reported: Unavailable"),
        ("available", "unknown", "Unknown", "Nothing reported yet"),
        ("unknown", "charging", "Charging", "Reported: Charging"),
    ],
)  # fmt: skip
def test_what_a_station_says_of_itself_is_true_of_its_evses(station, reported, shown, why):
    evse = evse_shown_status("active", ONLINE, ReportedStatus(reported), ReportedStatus(station))
    assert (evse.status.label, evse.why, evse.last_reported) == (shown, why, ReportedStatus(reported))


def test_intent_and_connection_come_before_what_the_station_says_of_itself():
    for intent, connection in product(SystemStatus, ConnectionStatus):
        quiet = evse_shown_status(intent, connection, ReportedStatus.AVAILABLE)
        faulted = evse_shown_status(intent, connection, ReportedStatus.AVAILABLE, ReportedStatus.FAULTED)
        assert (faulted == quiet) is (intent is not SystemStatus.ACTIVE or connection is not ONLINE)


def test_available_is_shown_only_if_all_three_agree():
    available = [
        (intent, connection, reported)
        for intent, connection, reported in product(SystemStatus, ConnectionStatus, ReportedStatus)
        if evse_shown_status(intent, connection, reported).status is ShownStatus.AVAILABLE
    ]
    assert available == [("active", "available", "available")]


def test_every_combination_says_why():
    for combination in product(SystemStatus, ConnectionStatus, ReportedStatus):
        assert evse_shown_status(*combination).why[0].isupper()
    assert evse_shown_status("active", ONLINE, ReportedStatus.UNKNOWN).why == "Nothing reported yet"
    assert evse_shown_status("active", ONLINE, ReportedStatus.FAULTED).why == "Reported: Fault"


@pytest.mark.parametrize(
    ("charge_point", "evse", "stricter"),
    [
        ("active", "active", "active"),
        ("active", "disabled", "disabled"),
        ("disabled", "active", "disabled"),
        ("out_of_order", "disabled", "disabled"),
        ("active", "out_of_order", "out_of_order"),
        ("demo", "active", "demo"),
        ("demo", "out_of_order", "out_of_order"),
    ],
)
def test_of_charge_point_and_evse_the_stricter_intent_counts(charge_point, evse, stricter):
    assert stricter_system_status(charge_point, evse) is SystemStatus(stricter)


def test_a_status_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="sleeping"):
        evse_shown_status("sleeping", ONLINE, ReportedStatus.AVAILABLE)
    with pytest.raises(ValueError, match="sleeping"):
        stricter_system_status("active", "sleeping")


def test_every_status_has_a_label_of_its_own():
    for statuses in (HardwareStatus, ShownStatus):
        labels = [status.label for status in statuses]
        assert len(set(labels)) == len(labels)
