"""Local auth lists: what a station should keep, and that it gets it. Manual, "Enable Local Auth List"; OCPP 1.6, 5.15.

The clockwork's look is called here with ``now=``; the station is scripted and answers over a real socket.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.models import ConfigurationKey, LocalList, LocalListStatus
from app.charging.plans import local_list_sync, local_lists
from app.charging.plans.local_list_sync import _changes
from app.core.models import Action, Admin
from app.crm.models import RfidTag, RfidTagStatus, User, UserStatus
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation, ServerCall


@pytest.fixture
def operator(house: House) -> Admin:
    """Who decides who is on a list."""
    return house.operator()


def listed(house: House, operator: Admin, *users: User, **fields: Any) -> ChargePoint:
    """A station with these users on its list."""
    charge_point = house.station(local_auth_list=True, **fields)
    if users:
        add(house, charge_point, operator, *users)
    return charge_point


def add(house: House, charge_point: ChargePoint, operator: Admin, *users: User) -> None:
    local_lists.add_users(
        house.session, charge_point=charge_point, users=users, reason="r", actor=operator, now=datetime.now(UTC)
    )
    house.session.commit()


def remove(house: House, charge_point: ChargePoint, operator: Admin, *users: User) -> None:
    local_lists.remove_users(
        house.session, charge_point=charge_point, users=users, reason="r", actor=operator, now=datetime.now(UTC)
    )
    house.session.commit()


def look(house: House, **later: float) -> int:
    """The clockwork's look, now or so much later."""
    sent = local_list_sync.keep_in_step(house.again(), now=datetime.now(UTC) + timedelta(**later))
    house.session.commit()
    return sent


def boot(house: House, charge_point: ChargePoint, station: ScriptedStation) -> None:
    station.boot()
    eventually(lambda: house.state(charge_point).connected and house.state(charge_point).booted_at)


def state_of(house: House, charge_point: ChargePoint) -> LocalList:
    found = local_lists.list_of(house.again(), charge_point_id=charge_point.id)
    assert found is not None
    return found


def becomes(house: House, charge_point: ChargePoint, status: LocalListStatus) -> LocalList:
    eventually(lambda: state_of(house, charge_point).status is status, why=f"the list is not {status.label}")
    return state_of(house, charge_point)


def confirm(house: House, charge_point: ChargePoint, station: ScriptedStation) -> ServerCall:
    """The next list is accepted."""
    call = station.expect_call("SendLocalList")
    call.answer(status="Accepted")
    eventually(lambda: state_of(house, charge_point).version == call.payload["listVersion"])
    return call


def tag_of(user: User) -> str:
    return user.rfid_tags[0].tag_id


def test_first_the_whole_list_then_only_what_changes(house: House, operator: Admin) -> None:
    dora, karl = house.driver(), house.driver()
    charge_point = listed(house, operator, dora)
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        assert look(house) == 1
        first = confirm(house, charge_point, station).payload
        assert first == {
            "listVersion": 1,
            "updateType": "Full",
            "localAuthorizationList": [{"idTag": tag_of(dora), "idTagInfo": {"status": "Accepted"}}],
        }
        row = becomes(house, charge_point, LocalListStatus.IN_STEP)
        assert row.confirmed_at is not None and row.entries == {tag_of(dora): {"status": "accepted"}}
        assert look(house) == 0, "what is in step is left alone"

        add(house, charge_point, operator, karl)
        house.session.get_one(RfidTag, dora.rfid_tags[0].id).expires_on = date(2031, 6, 30)
        house.session.commit()
        assert look(house) == 1
        second = confirm(house, charge_point, station).payload
        assert (second["listVersion"], second["updateType"]) == (2, "Differential")
        assert {entry["idTag"]: entry["idTagInfo"] for entry in second["localAuthorizationList"]} == {
            tag_of(dora): {"status": "Accepted", "expiryDate": "2031-07-01T00:00:00Z"},
            tag_of(karl): {"status": "Accepted"},
        }
        becomes(house, charge_point, LocalListStatus.IN_STEP)

        remove(house, charge_point, operator, dora)
        house.session.get_one(User, karl.id).status = UserStatus.DISABLED
        house.session.commit()
        assert look(house) == 1
        third = confirm(house, charge_point, station).payload
        assert third["localAuthorizationList"] == [
            {"idTag": tag_of(dora)},
            {"idTag": tag_of(karl), "idTagInfo": {"status": "Blocked"}},
        ]


def test_who_is_told_what(house: House, operator: Admin) -> None:
    """One user, every kind of tag."""
    dora = house.driver(tag="GOOD")
    dora.rfid_tags += [
        RfidTag(tag_id="OFF", status=RfidTagStatus.DISABLED),
        RfidTag(tag_id="GONE", expires_on=date(2020, 1, 1)),
        RfidTag(tag_id="lower"),
        RfidTag(tag_id="T" * 21),
    ]
    house.session.commit()
    charge_point = listed(house, operator, dora)
    wanted = local_lists.wanted_entries(house.session, [charge_point], now=datetime.now(UTC))[charge_point.id]
    assert wanted.entries == {
        "GOOD": {"status": "accepted"},
        "LOWER": {"status": "accepted"},
        "GONE": {"status": "expired"},
        "OFF": {"status": "blocked"},
    }
    assert wanted.too_long == ("T" * 21,)


def test_a_long_list_goes_in_pieces_and_no_further_than_the_station_can(house: House, operator: Admin) -> None:
    dora = house.driver(tag="T0")
    dora.rfid_tags += [RfidTag(tag_id=f"T{number}") for number in range(1, 8)]
    house.session.commit()
    charge_point = listed(house, operator, dora)
    for key, value in (("sendlocallistmaxlength", " 2 "), ("LocalAuthListMaxLength", "5")):
        house.session.add(
            ConfigurationKey(charge_point_id=charge_point.id, partner_id=1, key=key, value=value, readonly=True)
        )
    house.session.commit()
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        pieces = [confirm(house, charge_point, station).payload for _ in range(3)]
        row = becomes(house, charge_point, LocalListStatus.IN_STEP)
        assert [piece["updateType"] for piece in pieces] == ["Full", "Differential", "Differential"]
        assert [len(piece["localAuthorizationList"]) for piece in pieces] == [2, 2, 1]
        assert sorted(row.entries) == ["T0", "T1", "T2", "T3", "T4"]
        assert look(house) == 0
    wanted = local_lists.wanted_entries(house.session, [charge_point], now=datetime.now(UTC))[charge_point.id]
    assert wanted.beyond == ("T5", "T6", "T7")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": "NotSupported"}, LocalListStatus.NOT_SUPPORTED),
        ({"status": "Failed"}, LocalListStatus.FAILED),
        ({"status": "Whatever"}, LocalListStatus.FAILED),
    ],
)
def test_a_refusal_is_told_and_not_repeated_at_once(
    house: House, operator: Admin, answer: dict[str, Any], status: LocalListStatus
) -> None:
    charge_point = listed(house, operator, house.driver())
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        station.expect_call("SendLocalList").answer(answer)
        assert becomes(house, charge_point, status).detail
        assert look(house) == 0
        assert look(house, hours=12) == (1 if status is LocalListStatus.FAILED else 0)
        if status is LocalListStatus.FAILED:
            assert station.expect_call("SendLocalList").payload["updateType"] == "Full"


def test_a_station_without_such_calls_is_not_asked_again(house: House, operator: Admin) -> None:
    charge_point = listed(house, operator, house.driver())
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        station.expect_call("SendLocalList").fail("NotImplemented", "no")
        becomes(house, charge_point, LocalListStatus.NOT_SUPPORTED)
        assert look(house, days=30) == 0


def test_waits_between_attempts_grow_and_end_with_success(house: House, operator: Admin) -> None:
    charge_point = listed(house, operator, house.driver())
    waits = []
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        for attempt in range(3):
            assert look(house, days=attempt) == 1
            station.expect_call("SendLocalList").answer(status="Failed")
            row = becomes(house, charge_point, LocalListStatus.FAILED)
            assert row.next_attempt_at is not None
            waits.append((row.next_attempt_at - datetime.now(UTC)).total_seconds() // 60)
        assert look(house, days=4) == 1
        confirm(house, charge_point, station)
        row = becomes(house, charge_point, LocalListStatus.IN_STEP)
    assert waits == sorted(waits) and waits[0] < waits[1] < waits[2]
    assert (row.attempts, row.next_attempt_at, row.detail) == (0, None, None)


def test_after_a_version_mismatch_the_whole_list_goes_beyond_the_stations_version(
    house: House, operator: Admin
) -> None:
    dora, karl = house.driver(), house.driver()
    charge_point = listed(house, operator, dora)
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        confirm(house, charge_point, station)
        becomes(house, charge_point, LocalListStatus.IN_STEP)
        add(house, charge_point, operator, karl)
        look(house)
        station.expect_call("SendLocalList").answer(status="VersionMismatch")
        station.expect_call("GetLocalListVersion").answer(listVersion=40)
        becomes(house, charge_point, LocalListStatus.UNKNOWN)
        look(house)
        again = confirm(house, charge_point, station).payload
        assert (again["updateType"], again["listVersion"], len(again["localAuthorizationList"])) == ("Full", 41, 2)


@pytest.mark.parametrize(("version", "status"), [(1, "in_step"), (0, "unknown"), (7, "unknown"), (-1, "not_supported")])
def test_after_a_boot_the_station_is_asked_what_it_still_has(
    house: House, operator: Admin, version: int, status: str
) -> None:
    charge_point = listed(house, operator, house.driver())
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        confirm(house, charge_point, station)
        becomes(house, charge_point, LocalListStatus.IN_STEP)
        station.boot()
        eventually(lambda: look(house) == 1, why="nobody asks")
        station.expect_call("GetLocalListVersion").answer(listVersion=version)
        becomes(house, charge_point, LocalListStatus(status))
        assert look(house) == (1 if status == "unknown" else 0)


def test_switched_off_again_the_list_is_emptied_once(house: House, operator: Admin) -> None:
    charge_point = listed(house, operator, house.driver())
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        confirm(house, charge_point, station)
        becomes(house, charge_point, LocalListStatus.IN_STEP)
        house.session.get_one(ChargePoint, charge_point.id).local_auth_list = False
        house.session.commit()
        assert look(house) == 1
        assert confirm(house, charge_point, station).payload == {"listVersion": 2, "updateType": "Full"}
        assert becomes(house, charge_point, LocalListStatus.UNKNOWN).entries == {}
        assert look(house) == 0


def test_nobody_else_is_sent_a_list(house: House, operator: Admin) -> None:
    """Not enabled; away; not managed."""
    dora = house.driver()
    plain = house.station()
    away = listed(house, operator, dora)
    with house.connect(plain) as station:
        boot(house, plain, station)
        assert look(house) == 0
        station.expect_silence(0.2)
    assert local_lists.list_of(house.again(), charge_point_id=away.id) is None


def test_sync_now_sends_the_whole_list_in_the_operators_name(house: House, operator: Admin) -> None:
    charge_point = listed(house, operator, house.driver())
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        station.expect_call("SendLocalList").answer(status="NotSupported")
        becomes(house, charge_point, LocalListStatus.NOT_SUPPORTED)
        action = local_list_sync.sync_now(
            house.again(),
            charge_point=house.session.get_one(ChargePoint, charge_point.id),
            reason="Firmware was updated",
            actor=operator,
            now=datetime.now(UTC),
        )
        house.session.commit()
        assert confirm(house, charge_point, station).payload["updateType"] == "Full"
        becomes(house, charge_point, LocalListStatus.IN_STEP)
        assert house.session.get_one(Action, action.id).reason == "Firmware was updated"


def test_an_answer_to_an_older_list_confirms_nothing(house: House, operator: Admin) -> None:
    """Two lists crossed: only the newest one's answer says what the station has."""
    charge_point = listed(house, operator, house.driver())
    with house.connect(charge_point) as station:
        boot(house, charge_point, station)
        look(house)
        old = station.expect_call("SendLocalList")
        local_list_sync.sync_now(
            house.again(),
            charge_point=house.session.get_one(ChargePoint, charge_point.id),
            reason="Now",
            actor=operator,
            now=datetime.now(UTC),
        )
        house.session.commit()
        old.answer(status="Accepted")
        new = station.expect_call("SendLocalList")
        assert state_of(house, charge_point).status is LocalListStatus.SENDING
        assert state_of(house, charge_point).version == 0
        new.answer(status="Accepted")
        becomes(house, charge_point, LocalListStatus.IN_STEP)


def test_users_are_added_and_removed_once_each_with_a_log(house: House, operator: Admin) -> None:
    dora = house.driver()
    charge_point = listed(house, operator, dora)
    with pytest.raises(local_lists.ListUnchanged):
        add(house, charge_point, operator, dora)
    house.session.rollback()
    assert local_lists.users_of(house.session, charge_point_id=charge_point.id) == [dora]
    remove(house, charge_point, operator, dora)
    with pytest.raises(local_lists.ListUnchanged):
        remove(house, charge_point, operator, dora)
    house.session.rollback()
    names = [row.name for row in house.again().query(Action).order_by(Action.id)]
    assert names == [local_lists.ADD_USERS, local_lists.REMOVE_USERS]


_ENTRIES = st.dictionaries(
    st.sampled_from("ABCDEFGH"), st.sampled_from([{"status": "accepted"}, {"status": "blocked"}]), max_size=8
)


@given(before=_ENTRIES, wanted=_ENTRIES)
def test_the_changes_turn_one_list_into_the_other(
    before: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]
) -> None:
    after = dict(before)
    for id_tag, info in _changes(before, wanted):
        assert (info is None) == (id_tag not in wanted)
        after.pop(id_tag, None) if info is None else after.update({id_tag: info})
    assert after == wanted
    assert _changes(wanted, wanted) == []


def test_answers_are_followed_up_in_every_process(house: House) -> None:
    """The gateway that gets the answer is not the process that sent the list: it must know too."""
    assert {commands.CommandName.SEND_LOCAL_LIST, commands.CommandName.GET_LOCAL_LIST_VERSION} <= set(
        commands._FOLLOW_UPS
    )
