"""The configuration of stations without sockets: what becomes of answers, and the boot recipe, step by step.

Nothing is committed here, so nothing is sent: the outcomes are given by the test.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, StationModel, SystemStatus
from app.charging import commands
from app.charging.commands import Answer, CommandName
from app.charging.models import ConfigurationKey, ConfigurationStatus
from app.charging.upkeep import boot_recipe, configuration
from app.charging.upkeep.configuration import status_after_report
from app.charging.upkeep.configuration_keys import AuthorizationKeyRefused
from app.core import settings
from app.core.models import Action, ActionStatus, Admin
from app.core.settings import InvalidSetting
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture

NOW = datetime(2026, 6, 10, 12, 0, tzinfo=UTC)
S = ConfigurationStatus


@pytest.fixture
def station(people: Cast) -> ChargePoint:
    """Connected, and booted a minute ago."""
    found = people.station()
    state = found.state
    state.connected, state.booted_at = True, NOW - timedelta(minutes=1)
    state.vendor, state.model = "Vestel", "EVC04"
    people.session.flush()
    return found


@pytest.fixture
def olga(people: Cast) -> Admin:
    """Who changes keys by hand."""
    return people.operator()


def answer(session: Session, action: Action, status: ActionStatus, **facts: Any) -> None:
    """Give an action its outcome, a second after it was asked for."""
    given = Answer(status, {} if facts else None, facts=facts)
    commands.record_outcome(session, action_id=action.id, answer=given, now=action.created_at + timedelta(seconds=1))
    session.flush()
    session.expire_all()


def report(session: Session, action: Action, unknown: tuple[str, ...] = (), **keys: str | None) -> None:
    """Answer a read with these keys."""
    listed = [{"key": key, "value": value, "readonly": key.startswith("Number")} for key, value in keys.items()]
    answer(session, action, ActionStatus.ANSWERED, keys=listed, unknown=list(unknown))


def read(session: Session, station: ChargePoint, olga: Admin | None, now: datetime = NOW, *keys: str) -> Action:
    return configuration.read_configuration(
        session, charge_point=station, keys=keys, reason="A look", actor=olga, now=now
    )


def change(session: Session, station: ChargePoint, olga: Admin, key: str, value: str, now: datetime = NOW) -> Action:
    return configuration.change_configuration(
        session, charge_point=station, key=key, value=value, reason="A try", actor=olga, now=now
    )


def rows(session: Session, station: ChargePoint) -> dict[str, tuple[str | None, S, str | None]]:
    """Value, status and what is wanted, by key."""
    session.expire_all()
    query = select(ConfigurationKey).where(ConfigurationKey.charge_point_id == station.id)
    return {row.key: (row.value, row.status, row.wanted_value) for row in session.scalars(query)}


def sent(session: Session, station: ChargePoint) -> list[Action]:
    """What was asked of a station, oldest first."""
    query = select(Action).where(Action.charge_point_id == station.id).order_by(Action.id)
    return list(session.scalars(query))


# --- reading


def test_a_full_report_replaces_what_was_known(session: Session, station: ChargePoint, olga: Admin) -> None:
    report(session, read(session, station, olga), HeartbeatInterval="300", Old="1", NumberOfConnectors="2")
    report(session, read(session, station, olga), heartbeatInterval="60", NumberOfConnectors="2", New=None)
    assert rows(session, station) == {
        "HeartbeatInterval": ("60", S.REPORTED, None),
        "NumberOfConnectors": ("2", S.REPORTED, None),
        "New": (None, S.REPORTED, None),
    }
    row = session.get_one(ConfigurationKey, (station.id, "NumberOfConnectors"))
    assert row.readonly


def test_a_report_of_some_keys_leaves_the_others_and_notes_the_unknown(
    session: Session, station: ChargePoint, olga: Admin
) -> None:
    report(session, read(session, station, olga), HeartbeatInterval="300", Other="1")
    asked = read(session, station, olga, NOW, "HeartbeatInterval", "Nonsense")
    report(session, asked, ("Nonsense",), HeartbeatInterval="200")
    assert rows(session, station) == {
        "HeartbeatInterval": ("200", S.REPORTED, None),
        "Other": ("1", S.REPORTED, None),
        "Nonsense": (None, S.NOT_SUPPORTED, None),
    }


def test_a_password_that_is_given_away_is_not_kept(session: Session, station: ChargePoint, olga: Admin) -> None:
    report(session, read(session, station, olga), AuthorizationKey="hunter2", authorizationKEY="again")
    assert rows(session, station) == {"AuthorizationKey": (None, S.REPORTED, None)}
    (line,) = configuration.lines(session, charge_point_id=station.id)
    assert line.secret
    assert not line.changeable


@pytest.mark.parametrize("status", [ActionStatus.REJECTED, ActionStatus.TIMED_OUT, ActionStatus.NOT_CONNECTED])
def test_a_read_without_an_answer_changes_nothing(
    session: Session, station: ChargePoint, olga: Admin, status: ActionStatus
) -> None:
    report(session, read(session, station, olga), HeartbeatInterval="300")
    answer(session, read(session, station, olga), status)
    assert rows(session, station) == {"HeartbeatInterval": ("300", S.REPORTED, None)}


def test_keys_are_found_by_name_value_and_what_they_mean(session: Session, station: ChargePoint, olga: Admin) -> None:
    report(session, read(session, station, olga), HeartbeatInterval="300", LocalPreAuthorize="true", Vendor="x")

    def found(search: str) -> list[str]:
        return [line.row.key for line in configuration.lines(session, charge_point_id=station.id, search=search)]

    assert found("") == ["HeartbeatInterval", "LocalPreAuthorize", "Vendor"]
    assert found("HEARTBEAT") == ["HeartbeatInterval"]
    assert found("300") == ["HeartbeatInterval"]
    assert found("without asking") == ["LocalPreAuthorize"]
    assert found("%") == []


# --- changing

OUTCOMES = [
    (ActionStatus.ACCEPTED, {"result": "accepted"}, S.ACCEPTED),
    (ActionStatus.ACCEPTED, {"result": "reboot_required"}, S.REBOOT_REQUIRED),
    (ActionStatus.REJECTED, {"result": "rejected"}, S.REJECTED),
    (ActionStatus.REJECTED, {"result": "not_supported"}, S.NOT_SUPPORTED),
    (ActionStatus.REJECTED, {"not_supported": True}, S.NOT_SUPPORTED),
    (ActionStatus.REJECTED, {}, S.REJECTED),
    (ActionStatus.TIMED_OUT, {}, S.UNANSWERED),
    (ActionStatus.NOT_CONNECTED, {}, S.UNANSWERED),
    (ActionStatus.FAILED, {}, S.UNANSWERED),
]


@pytest.mark.parametrize(("status", "facts", "shown"), OUTCOMES)
def test_how_a_change_ended_is_told_apart(
    session: Session, station: ChargePoint, olga: Admin, status: ActionStatus, facts: dict[str, Any], shown: S
) -> None:
    report(session, read(session, station, olga), HeartbeatInterval="300")
    action = change(session, station, olga, "heartbeatinterval", "60")
    assert rows(session, station) == {"HeartbeatInterval": ("300", S.PENDING, "60")}
    assert action.request == {"key": "HeartbeatInterval", "value": "60"}
    answer(session, action, status, **facts)
    expected = ("60", shown, None) if shown is S.ACCEPTED else ("300", shown, "60")
    assert rows(session, station) == {"HeartbeatInterval": expected}
    # by hand and accepted: the station is asked what it made of it
    again = sent(session, station)[2:]
    assert [each.request for each in again] == ([{"keys": ["HeartbeatInterval"]}] if shown is S.ACCEPTED else [])


def test_what_the_station_made_of_it_counts(session: Session, station: ChargePoint, olga: Admin) -> None:
    report(session, read(session, station, olga), MeterValueSampleInterval="60")
    answer(
        session,
        change(session, station, olga, "MeterValueSampleInterval", "7"),
        ActionStatus.ACCEPTED,
        result="accepted",
    )
    report(session, sent(session, station)[-1], MeterValueSampleInterval="10")
    assert rows(session, station) == {"MeterValueSampleInterval": ("10", S.REPORTED, None)}


def test_the_outcome_of_a_former_change_does_not_touch_the_newer_one(
    session: Session, station: ChargePoint, olga: Admin
) -> None:
    first = change(session, station, olga, "Vendor.Key", "1")
    second = change(session, station, olga, "Vendor.Key", "2")
    answer(session, first, ActionStatus.REJECTED, result="rejected")
    assert rows(session, station) == {"Vendor.Key": (None, S.PENDING, "2")}
    answer(session, second, ActionStatus.ACCEPTED, result="accepted")
    assert rows(session, station) == {"Vendor.Key": ("2", S.ACCEPTED, None)}


def test_an_answer_after_the_time_out_still_tells_what_became_of_it(
    session: Session, station: ChargePoint, olga: Admin
) -> None:
    action = change(session, station, olga, "Vendor.Key", "1")
    answer(session, action, ActionStatus.TIMED_OUT)
    assert rows(session, station)["Vendor.Key"][1] is S.UNANSWERED
    answer(session, action, ActionStatus.ACCEPTED, result="accepted")
    assert rows(session, station) == {"Vendor.Key": ("1", S.ACCEPTED, None)}


def test_a_reboot_makes_a_change_count(session: Session, station: ChargePoint, olga: Admin) -> None:
    report(session, read(session, station, olga), WebSocketPingInterval="60")
    action = change(session, station, olga, "WebSocketPingInterval", "30")
    answer(session, action, ActionStatus.ACCEPTED, result="reboot_required")
    assert session.get_one(Action, action.id).info == "WebSocketPingInterval = 30: reboot required"
    report(session, read(session, station, olga), WebSocketPingInterval="60")
    assert rows(session, station) == {"WebSocketPingInterval": ("60", S.REBOOT_REQUIRED, "30")}
    station.state.booted_at = NOW + timedelta(minutes=1)
    session.flush()
    report(session, read(session, station, olga, NOW + timedelta(minutes=2)), WebSocketPingInterval="30")
    assert rows(session, station) == {"WebSocketPingInterval": ("30", S.REPORTED, None)}


def test_every_status_after_every_report() -> None:
    table = {}
    for status, as_wanted, rebooted in itertools.product(S, (True, False), (True, False)):
        table[status, as_wanted, rebooted] = status_after_report(status, as_wanted=as_wanted, rebooted=rebooted)
    for status in S:
        kept = {outcome for outcome, after in table.items() if outcome[0] is status and after is status}
        if status is S.PENDING:
            assert len(kept) == 4
        elif status is S.REBOOT_REQUIRED:
            assert kept == {(status, True, False), (status, False, False)}
        elif status in (S.REJECTED, S.NOT_SUPPORTED, S.UNANSWERED):
            assert kept == {(status, False, True), (status, False, False)}
    assert {after for outcome, after in table.items() if after is not outcome[0]} == {S.REPORTED}


def test_the_password_is_refused(session: Session, station: ChargePoint, olga: Admin) -> None:
    with pytest.raises(AuthorizationKeyRefused):
        change(session, station, olga, "authorizationkey", "hunter2")
    assert sent(session, station) == []


# --- the boot recipe


def tick(session: Session, now: datetime) -> list[int]:
    """One tick of the job."""
    found = boot_recipe.due(session, now=now)
    for charge_point_id in found:
        boot_recipe.tend(session, charge_point_id=charge_point_id, now=now)
    session.flush()
    session.expire_all()
    return found


def last(session: Session, station: ChargePoint) -> Action:
    return sent(session, station)[-1]


def state_of(session: Session, station: ChargePoint) -> ChargePointState:
    return session.get_one(ChargePointState, station.id, populate_existing=True)


def set_up(session: Session, station: ChargePoint, **keys: str) -> None:
    """Bring a station to where its configuration was read and its defaults are due."""
    tick(session, NOW)
    report(session, last(session, station), **keys)


def test_a_station_that_was_never_read_is_read_first_and_sent_only_what_differs(
    session: Session, station: ChargePoint
) -> None:
    settings.change_setting(session, key=boot_recipe.DEFAULTS, value="LocalPreAuthorize=false\nVendor=a", actor=None)
    assert tick(session, NOW) == [station.id]
    asked = last(session, station)
    assert (asked.command, asked.initiated_by) == ("get_configuration", "System")
    assert tick(session, NOW + timedelta(seconds=5)) == []  # it waits for the answer
    report(session, asked, HeartbeatInterval="60", MeterValueSampleInterval="60", LocalPreAuthorize="False", Vendor="b")
    steps = []
    while (action := last(session, station)).status is ActionStatus.PENDING:
        steps.append((action.request or {})["key"])
        answer(session, action, ActionStatus.ACCEPTED, result="accepted")
    assert steps == ["HeartbeatInterval", "Vendor"]
    assert rows(session, station)["Vendor"] == ("a", S.ACCEPTED, None)
    state = state_of(session, station)
    assert (state.recipe_begun_at, state.recipe_tries) == (None, 0)
    assert tick(session, NOW + timedelta(hours=1)) == []
    state.booted_at = NOW + timedelta(hours=2)
    session.flush()
    assert tick(session, NOW + timedelta(hours=3)) == []  # once per change, not once per boot


def test_what_was_changed_by_hand_afterwards_stays(session: Session, station: ChargePoint, olga: Admin) -> None:
    set_up(session, station, HeartbeatInterval="300", MeterValueSampleInterval="60")
    answer(session, change(session, station, olga, "HeartbeatInterval", "30"), ActionStatus.ACCEPTED, result="accepted")
    state_of(session, station).booted_at = NOW + timedelta(hours=2)
    session.flush()
    assert tick(session, NOW + timedelta(hours=3)) == []


def test_changed_defaults_reach_a_connected_station_without_a_boot_once(session: Session, station: ChargePoint) -> None:
    set_up(session, station, HeartbeatInterval="300", MeterValueSampleInterval="60")
    assert tick(session, NOW) == []
    settings.change_setting(session, key="charge_point.heartbeat_interval_seconds", value=120, actor=None)
    later = NOW + timedelta(hours=1)
    assert tick(session, later) == [station.id]
    action = last(session, station)
    assert action.request is not None
    assert (action.request["key"], action.request["value"]) == ("HeartbeatInterval", "120")
    answer(session, action, ActionStatus.REJECTED, result="rejected")
    assert rows(session, station)["HeartbeatInterval"] == ("300", S.REJECTED, "120")
    assert tick(session, later + timedelta(hours=1)) == []  # refused is refused


def test_it_waits_after_a_boot(session: Session, station: ChargePoint) -> None:
    settings.change_setting(session, key="charge_point.configure_delay_seconds", value=90, actor=None)
    assert tick(session, NOW) == []
    assert tick(session, NOW + timedelta(seconds=31)) == [station.id]


@pytest.mark.parametrize("why", ["setting", "model", "disconnected", "unmanaged", "demo"])
def test_who_is_not_sent_anything(session: Session, station: ChargePoint, why: str) -> None:
    if why == "setting":
        settings.change_setting(session, key="charge_point.configure_after_boot", value=False, actor=None)
    elif why == "model":
        session.add(StationModel(vendor="VESTEL", model="evc04", configure_after_boot=False))
    elif why == "disconnected":
        station.state.connected = False
    elif why == "unmanaged":
        station.managed_by_operator = False
    else:
        station.status = SystemStatus.DEMO
    session.flush()
    assert tick(session, NOW) == []
    assert not boot_recipe.tend(session, charge_point_id=station.id, now=NOW) or why == "setting"
    assert boot_recipe.standing(session, station, now=NOW)


def test_a_station_that_hangs_is_tried_after_its_next_boots_and_then_no_more(
    session: Session, station: ChargePoint
) -> None:
    set_up(session, station, HeartbeatInterval="60", MeterValueSampleInterval="60")
    for hour in range(6):
        now = NOW + timedelta(hours=hour)
        if hour:
            state_of(session, station).booted_at = now
            session.flush()
            tick(session, now + timedelta(minutes=1))
        action = last(session, station)
        if action.status is ActionStatus.PENDING:
            answer(session, action, ActionStatus.TIMED_OUT)
        assert tick(session, now + timedelta(minutes=30)) == []
    changes = [action for action in sent(session, station) if action.command == CommandName.CHANGE_CONFIGURATION]
    assert len(changes) == boot_recipe.MAX_TRIES
    assert "could not be sent in 3 tries" in boot_recipe.standing(session, station, now=NOW)


def test_a_boot_in_the_middle_begins_anew(session: Session, station: ChargePoint) -> None:
    set_up(session, station, HeartbeatInterval="60", MeterValueSampleInterval="30")
    state_of(session, station).booted_at = NOW + timedelta(seconds=30)
    session.flush()
    answer(session, last(session, station), ActionStatus.NOT_CONNECTED)
    now = NOW + timedelta(minutes=2)
    tick(session, now)  # the former try is over
    assert tick(session, now) == [station.id]
    assert state_of(session, station).recipe_tries == 2
    answered = []
    while (action := last(session, station)).status is ActionStatus.PENDING:
        answered.append((action.request or {})["key"])
        answer(session, action, ActionStatus.ACCEPTED, result="accepted")
    assert answered == ["HeartbeatInterval", "MeterValueSampleInterval"]
    assert state_of(session, station).recipe_tries == 0


def test_a_lost_next_step_is_taken_up(session: Session, station: ChargePoint) -> None:
    """The process that had the outcome died before the next request, or the connection was lost for a moment."""
    set_up(session, station, HeartbeatInterval="60", MeterValueSampleInterval="30")
    answer(session, last(session, station), ActionStatus.NOT_CONNECTED)
    assert last(session, station).status is ActionStatus.NOT_CONNECTED
    assert tick(session, NOW + timedelta(seconds=30)) == [station.id]
    action = last(session, station)
    assert (action.request or {})["key"] == "MeterValueSampleInterval"  # each key once in a try
    answer(session, action, ActionStatus.ACCEPTED, result="accepted")
    state = state_of(session, station)
    assert (state.recipe_begun_at, state.recipe_tries) == (None, 1)


def test_a_station_that_cannot_be_read_is_asked_twice(session: Session, station: ChargePoint) -> None:
    tick(session, NOW)
    answer(session, last(session, station), ActionStatus.REJECTED)
    answer(session, last(session, station), ActionStatus.REJECTED)
    assert len(sent(session, station)) == boot_recipe.MAX_READS
    assert tick(session, NOW + timedelta(hours=1)) == []


def test_what_a_reboot_was_required_for_is_read_again_after_it(
    session: Session, station: ChargePoint, olga: Admin
) -> None:
    set_up(session, station, HeartbeatInterval="300", MeterValueSampleInterval="60", Ping="1")
    answer(session, change(session, station, olga, "Ping", "2"), ActionStatus.ACCEPTED, result="reboot_required")
    assert tick(session, NOW + timedelta(minutes=1)) == []
    state_of(session, station).booted_at = NOW + timedelta(minutes=5)
    session.flush()
    assert tick(session, NOW + timedelta(minutes=6)) == [station.id]
    report(session, last(session, station), HeartbeatInterval="77", MeterValueSampleInterval="60", Ping="2")
    assert rows(session, station)["Ping"] == ("2", S.REPORTED, None)
    assert len(sent(session, station)) == 3  # looked at, nothing overwritten
    assert tick(session, NOW + timedelta(minutes=7)) == []


def test_a_storm_of_boots_is_worked_off_in_parts(session: Session, people: Cast) -> None:
    for _ in range(boot_recipe.BEGUN_AT_ONCE + 5):
        people.station(priced=False).state.connected = True
    session.flush()
    assert len(tick(session, NOW)) == boot_recipe.BEGUN_AT_ONCE
    assert len(tick(session, NOW)) == 5
    assert tick(session, NOW) == []


# --- the setting


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("LocalPreAuthorize", "line 1: key=value is expected"),
        ("A=1\n\nB C=2", "line 3: key=value is expected"),
        ("A=1\na=2", "line 2: a stands in line 1 already"),
        ("HeartbeatInterval=5", "line 1: HeartbeatInterval is sent from the setting Heartbeat interval above"),
        ("authorizationkey=x", "line 1: authorizationkey is the password of one charge point"),
        ("A=1\nLocalPreAuthorize=maybe", "line 2: LocalPreAuthorize is true or false"),
        ("NumberOfConnectors=2", "line 1: NumberOfConnectors can only be read"),
        ("A=" + "x" * 501, "line 1: at most 50 characters for the key and 500 for the value"),
        ("=1", "line 1: key=value is expected"),
    ],
)
def test_defaults_no_station_can_take_are_refused_with_their_line(session: Session, text: str, complaint: str) -> None:
    with pytest.raises(InvalidSetting, match=complaint):
        settings.change_setting(session, key=boot_recipe.DEFAULTS, value=text, actor=None)
    assert settings.get(session, boot_recipe.DEFAULTS) == ""


def test_the_order_and_blanks_of_the_defaults_do_not_matter(session: Session) -> None:
    settings.change_setting(session, key=boot_recipe.DEFAULTS, value="A=1\n B = 2=3 ", actor=None)
    first = boot_recipe.defaults(session)
    settings.change_setting(session, key=boot_recipe.DEFAULTS, value="B=2=3\nA=1", actor=None)
    second = boot_recipe.defaults(session)
    assert first == second == {"HeartbeatInterval": "300", "MeterValueSampleInterval": "60", "A": "1", "B": "2=3"}
    assert boot_recipe.digest(first) == boot_recipe.digest(second)
