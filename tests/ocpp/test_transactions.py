"""Starts and stops as stations really send them: repeated, late, out of order, of nobody's transaction.

stations.md, "Transactions" 7 to 13 and "Seen on the wire". Each station is scripted over a real socket.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import Authorization, AuthorizationResult
from app.tariffs.models import TariffGroupTariff
from tests.support.gateway import House, ago
from tests.support.scripted_station import sample, stamp


def tag_of(user: Any) -> str:
    """A driver's tag."""
    return str(user.rfid_tags[0].tag_id)


# ---------------------------------------------------------------------- 7: the same again


def test_the_same_start_is_one_session_on_one_connection_and_after_a_reconnect(house: House) -> None:
    charge_point, tag, at = house.station(), tag_of(house.driver()), ago(minutes=2)
    with house.connect(charge_point) as station:
        first = station.start(1, tag, meter_start_wh=500, at=at)
        again = station.start(1, tag, meter_start_wh=500, at=at)
    with house.connect(charge_point) as station:
        later = station.start(1, tag, meter_start_wh=500, at=at)
        other_case = station.start(1, tag.lower(), meter_start_wh=500, at=at)
    assert first == again == later == other_case
    assert first["idTagInfo"]["status"] == "Accepted"
    (row,) = house.charges(charge_point)
    assert (row.id, row.status, row.flags) == (first["transactionId"], SessionStatus.ACTIVE, [])


def test_the_same_message_id_with_another_content_is_another_message(house: House) -> None:
    """Ids repeat: firmware exists that gives all its messages the same one (stations.md, "Seen on the wire")."""
    charge_point, tag = house.station(evses=2), tag_of(house.driver())
    with house.connect(charge_point) as station:
        ids = [
            station.call(
                "StartTransaction",
                {"connectorId": number, "idTag": tag, "meterStart": 0, "timestamp": stamp()},
                message_id="1",
            )["transactionId"]
            for number in (1, 2)
        ]
    assert len({*ids}) == 2
    assert [row.evse.network_id for row in house.charges(charge_point)] == [1, 2]


def test_a_refused_start_is_refused_again_alike(house: House) -> None:
    charge_point, at = house.station(), ago(seconds=5)
    with house.connect(charge_point) as station:
        answers = [station.start(1, "UNKNOWN1", at=at) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["idTagInfo"] == {"status": "Invalid"}
    (row,) = house.charges(charge_point)
    assert row.flags == ["unauthorized_start"]


def test_the_same_stop_bills_once(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=1000, at=ago(minutes=40))["transactionId"]
        stop = {"meter_stop_wh": 8400, "at": ago(), "reason": "Local"}
        first = station.stop(number, **stop)
        again = station.stop(number, **stop)
    with house.connect(charge_point) as station:
        assert station.stop(number, **stop) == first == again == {}
        assert station.stop(number, meter_stop_wh=99_000, at=ago()) == {}, "a second, different stop is confirmed too"
    row = house.charge(number)
    assert (row.energy_wh, row.status, row.payment_status) == (7400, SessionStatus.FINISHED, PaymentStatus.PAID)
    entries, transactions = house.bills(number)
    assert (len(entries), len(transactions)) == (1, 1)
    assert entries[0].debit == row.total_gross == transactions[0].amount
    assert house.balance(user) == Decimal(50) - row.total_gross


def test_two_starts_at_once_by_two_sockets_are_one_session(house: House) -> None:
    """The newer socket wins; what the older one has sent just before is not done twice."""
    charge_point, tag, at = house.station(), tag_of(house.driver()), ago()
    payload = {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": stamp(at)}
    old = house.connect(charge_point)
    old.send_call("StartTransaction", payload)
    with house.connect(charge_point) as new:
        ids = [new.send_call("StartTransaction", payload) for _ in range(3)]
        numbers = {new.wait_result(each)["transactionId"] for each in ids}
    assert len(numbers) == 1
    assert len(house.charges(charge_point)) == 1


# ---------------------------------------------------------------------- 8: stops of nobody


@pytest.mark.parametrize("number", [-1, 0, None])
def test_a_stop_without_a_number_of_ours_finds_the_one_session_it_can_mean(house: House, number: int | None) -> None:
    charge_point, user = house.station(evses=2), house.driver()
    with house.connect(charge_point) as station:
        mine = station.start(2, tag_of(user), meter_start_wh=1000, at=ago(minutes=30))["transactionId"]
        payload = {"transactionId": number, "meterStop": 3000, "timestamp": stamp(ago()), "idTag": tag_of(user).lower()}
        assert station.call("StopTransaction", payload) == {"idTagInfo": {"status": "Accepted"}}
        assert station.call("StopTransaction", payload) == {"idTagInfo": {"status": "Accepted"}}
    row = house.charge(mine)
    assert (row.status, row.energy_wh) == (SessionStatus.FINISHED, 2000)
    assert house.strays(charge_point) == [], "the repetition is recognised by its content"


def test_of_two_sessions_the_meter_tells_which_was_stopped(house: House) -> None:
    charge_point, user = house.station(evses=2), house.driver()
    with house.connect(charge_point) as station:
        first = station.start(1, tag_of(user), meter_start_wh=1000, at=ago(minutes=30))["transactionId"]
        second = station.start(2, tag_of(user), meter_start_wh=700_000, at=ago(minutes=30))["transactionId"]
        station.stop(-1, meter_stop_wh=702_500, at=ago())
    assert house.charge(first).status is SessionStatus.ACTIVE
    assert house.charge(second).energy_wh == 2500


def test_of_two_sessions_that_fit_none_is_guessed(house: House) -> None:
    charge_point, user = house.station(evses=2), house.driver()
    with house.connect(charge_point) as station:
        for number in (1, 2):
            station.start(number, tag_of(user), meter_start_wh=1000, at=ago(minutes=30))
        assert station.stop(-1, meter_stop_wh=2500, at=ago()) == {}
    assert {row.status for row in house.charges(charge_point)} == {SessionStatus.ACTIVE}
    (stray,) = house.strays(charge_point)
    assert (stray.action, stray.payload["meterStop"]) == ("StopTransaction", 2500)


@pytest.mark.parametrize("number", [987_654_321, 2**40, 10**25])
def test_a_stop_of_an_unknown_transaction_is_kept_once_and_confirmed(house: House, number: int) -> None:
    charge_point = house.station()
    payload = {"transactionId": number, "meterStop": 100, "timestamp": stamp(ago()), "idTag": "ABC"}
    with house.connect(charge_point) as station:
        for _ in range(2):
            assert station.call("StopTransaction", payload) == {"idTagInfo": {"status": "Accepted"}}
    (stray,) = house.strays(charge_point)
    assert stray.payload["idTag"] == "ABC"
    assert house.charges(charge_point) == []


def test_a_stop_of_somebody_elses_transaction_does_not_touch_it(house: House) -> None:
    mine, theirs, user = house.station(), house.station(), house.driver()
    with house.connect(theirs) as station:
        number = station.start(1, tag_of(user), at=ago(minutes=5))["transactionId"]
    with house.connect(mine) as station:
        assert station.stop(number, meter_stop_wh=100) == {}
        station.meter(1, number, 900)
    row = house.charge(number)
    assert (row.status, row.energy_wh) == (SessionStatus.ACTIVE, 0)
    assert len(house.strays(mine)) == 1


def test_an_unknown_number_may_mean_the_only_evse_but_not_one_of_two(house: House) -> None:
    one, two, user = house.station(), house.station(evses=2), house.driver()
    for charge_point in (one, two):
        with house.connect(charge_point) as station:
            station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=5))
            station.stop(987_654_321, meter_stop_wh=100, at=ago())
    assert [row.status for row in house.charges(one)] == [SessionStatus.FINISHED]
    assert [row.status for row in house.charges(two)] == [SessionStatus.ACTIVE]
    assert len(house.strays(two)) == 1


def test_the_stop_of_a_start_at_an_unregistered_connector_ends_nobody_elses_charge(house: House) -> None:
    """Of a station's two connectors only one is registered: the other one's refused start is followed by its stop."""
    charge_point, user, at = house.station(), house.driver(), ago(minutes=1)
    with house.connect(charge_point) as station:
        mine = station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=5))["transactionId"]
        refused = station.start(2, tag_of(user), meter_start_wh=0, at=at)
        assert refused["idTagInfo"] == {"status": "Invalid"}
        assert refused["transactionId"] not in (0, mine)
        assert station.start(2, tag_of(user), meter_start_wh=0, at=at) == refused, "the same start, the same number"
        assert station.stop(refused["transactionId"], meter_stop_wh=10, at=ago(), reason="DeAuthorized") == {}
    assert house.charge(mine).status is SessionStatus.ACTIVE
    assert [stray.action for stray in house.strays(charge_point)] == ["StartTransaction", "StopTransaction"]


# ---------------------------------------------------------------------- 9 and offline: out of order, late


def test_readings_before_the_start_are_kept_and_harm_nothing(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        assert station.meter(1, None, 900, at=ago(minutes=12)) == {}
        assert station.meter(1, 0, 950, at=ago(minutes=11)) == {}
        assert station.meter(1, 777_777_777, 960, at=ago(minutes=11)) == {}
        number = station.start(1, tag_of(user), meter_start_wh=1000, at=ago(minutes=10))["transactionId"]
        station.meter(1, number, 1500, at=ago(minutes=5))
        station.stop(number, meter_stop_wh=2000, at=ago())
    row = house.charge(number)
    assert (row.energy_wh, row.flags) == (1000, [])
    assert [reading.register_wh for reading in house.readings(number)] == [500]


def test_late_readings_do_not_revive_a_closed_session_nor_change_its_price(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=20))["transactionId"]
        station.stop(number, meter_stop_wh=2000, at=ago(minutes=1))
        before = house.charge(number)
        bill = (before.total_gross, before.energy_wh, before.stopped_at)
        station.meter(1, number, 1000, at=ago(minutes=10))
        station.meter(
            1,
            number,
            at=ago(),
            samples=[sample(2300, context="Transaction.End"), sample(7000, "Power.Active.Import", "W")],
        )
    row = house.charge(number)
    assert (row.status, row.total_gross, row.energy_wh, row.stopped_at) == (SessionStatus.FINISHED, *bill)
    assert [(r.register_wh, r.flags) for r in house.readings(number)] == [(None, ["after_end"])] * 2


def test_an_offline_queue_is_billed_by_the_stations_own_times(house: House) -> None:
    """Everything comes at once after an outage, without BootNotification, the stop with -1."""
    charge_point, user = house.station(), house.driver()
    began, ended = ago(hours=5), ago(hours=4)
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=10_000, at=began)["transactionId"]
        station.meter(1, number, 14_000, at=began + timedelta(minutes=30))
        station.meter(1, None, 12_000, at=began + timedelta(minutes=15))
        station.stop(-1, meter_stop_wh=18_000, at=ended, transactionData=_data(began + timedelta(minutes=45), 16_000))
    row = house.charge(number)
    assert (row.started_at, row.stopped_at) == (began, ended)
    assert row.start_received_at > ended
    assert (row.energy_wh, row.flags) == (8000, ["register_late"])
    assert row.total_gross == Decimal("0.50") + Decimal("1.20") + Decimal("3.20")
    registers = [(reading.measured_at, reading.register_wh) for reading in house.readings(number)]
    assert registers == [
        (began + timedelta(minutes=15), 2000),
        (began + timedelta(minutes=30), 4000),
        (began + timedelta(minutes=45), 6000),
    ]


def _data(at: datetime, register_wh: int) -> list[dict[str, Any]]:
    return [{"timestamp": stamp(at), "sampledValue": [sample(register_wh)]}]


def test_more_than_a_day_late_is_used_and_flagged(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    began = ago(days=3)
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=0, at=began)["transactionId"]
        station.stop(number, meter_stop_wh=1000, at=began + timedelta(minutes=10))
    row = house.charge(number)
    assert (row.started_at, row.stopped_at) == (began, began + timedelta(minutes=10))
    assert row.flags == ["late_start", "late_stop"]
    assert row.total_gross == Decimal("0.50") + Decimal("0.20") + Decimal("0.40")


def test_a_clock_that_is_ahead_is_replaced_by_the_arrival(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    ahead = datetime.now(UTC) + timedelta(hours=2)
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=0, at=ahead)["transactionId"]
        station.meter(1, number, 500, at=ahead + timedelta(minutes=1))
        station.stop(number, meter_stop_wh=1000, at="9999-12-31T23:59:59Z")
    row = house.charge(number)
    assert (row.started_at, row.stopped_at) == (row.start_received_at, row.stop_received_at)
    assert row.flags == ["clock_ahead"]
    (reading,) = house.readings(number)
    assert reading.measured_at == reading.received_at
    assert "clock_ahead" in reading.flags
    assert row.total_gross == Decimal("0.90"), "connection fee and energy, hardly any time"


def test_four_minutes_ahead_are_no_fault(house: House) -> None:
    charge_point, at = house.station(), datetime.now(UTC) + timedelta(minutes=4)
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(house.driver()), at=at)["transactionId"]
    row = house.charge(number)
    assert row.flags == []
    assert abs(row.started_at - at) < timedelta(milliseconds=1)


def test_a_clock_that_was_never_set_does_not_cost_fifty_years_of_minutes(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=0, at="1970-01-01T00:00:42Z")["transactionId"]
        station.stop(number, meter_stop_wh=1000, at=ago())
    row = house.charge(number)
    assert "clock_unset" in row.flags
    assert row.total_gross == Decimal("0.90")


def test_the_next_charge_by_a_clock_that_was_never_set_is_no_repetition(house: House) -> None:
    """After each power-up it is 1970 again and the meter is 0: two charges may look the same to the letter."""
    charge_point, user = house.station(), house.driver()
    at = "1970-01-01T00:00:42Z"
    with house.connect(charge_point) as station:
        first = station.start(1, tag_of(user), meter_start_wh=0, at=at)
        assert station.start(1, tag_of(user), meter_start_wh=0, at=at) == first
        station.stop(first["transactionId"], meter_stop_wh=1000, at="1970-01-01T00:30:00Z")
        second = station.start(1, tag_of(user), meter_start_wh=0, at=at)
        assert second["transactionId"] != first["transactionId"]
        assert station.start(1, tag_of(user), meter_start_wh=0, at=at) == second
        station.stop(second["transactionId"], meter_stop_wh=3000, at="1970-01-01T00:30:00Z")
    assert [row.energy_wh for row in house.charges(charge_point)] == [1000, 3000]


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T10:00:00.123456Z", "2026-11-22T10:00:00+00:00", "2026-11-22T10:00:00", "2026-11-22T12:00:00.5+02:00"],
)
def test_time_stamps_of_every_habit_are_read(house: House, text: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(house.driver()), at=text)["transactionId"]
    started_at = house.charge(number).started_at
    assert started_at is not None
    expected = datetime(2026, 11, 22, 10, tzinfo=UTC)
    if expected <= datetime.now(UTC) + timedelta(minutes=5):
        assert timedelta(0) <= started_at - expected < timedelta(seconds=1)
    else:
        assert started_at == house.charge(number).start_received_at


def test_a_stop_stamped_before_the_start_lasts_no_time(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=1))["transactionId"]
        station.stop(number, meter_stop_wh=1000, at=ago(minutes=9))
    row = house.charge(number)
    assert (row.stopped_at, row.flags) == (row.started_at, ["stop_before_start"])
    assert row.total_gross == Decimal("0.90")


# ---------------------------------------------------------------------- 10: what the station forgot


def test_a_new_start_on_an_evse_ends_the_session_that_was_running_there(house: House) -> None:
    charge_point, first, second = house.station(), house.driver(), house.driver()
    with house.connect(charge_point) as station:
        old = station.start(1, tag_of(first), meter_start_wh=0, at=ago(minutes=60))["transactionId"]
        station.meter(1, old, 4000, at=ago(minutes=30))
        new = station.start(1, tag_of(second), meter_start_wh=4100, at=ago(minutes=10))["transactionId"]
        # the old one's stop was in the queue all the same
        assert station.stop(old, meter_stop_wh=4050, at=ago(minutes=29)) == {}
    row = house.charge(old)
    assert (row.status, row.energy_wh, row.payment_status) == (SessionStatus.FINISHED, 4000, PaymentStatus.PAID)
    assert row.flags == ["replaced", "stopped_after_end"]
    assert (row.meter_stop_wh, row.stop_reason) == (4050, "ghost_closed")
    assert "4050 Wh by its meter, 4000 Wh billed" in str(row.stop_note)
    assert len(house.bills(old)[0]) == 1
    assert house.charge(new).status is SessionStatus.ACTIVE


def test_a_start_from_the_past_does_not_end_the_session_that_runs_now(house: House) -> None:
    charge_point, first, second = house.station(), house.driver(), house.driver()
    with house.connect(charge_point) as station:
        now = station.start(1, tag_of(first), meter_start_wh=9000, at=ago(minutes=5))["transactionId"]
        past = station.start(1, tag_of(second), meter_start_wh=1000, at=ago(hours=3))["transactionId"]
        station.stop(past, meter_stop_wh=9000, at=ago(hours=2))
    assert house.charge(now).status is SessionStatus.ACTIVE
    assert house.charge(past).energy_wh == 8000


def test_a_driver_who_may_charge_once_at_a_time_may_after_a_lost_stop(house: House) -> None:
    """The session the station forgot is over before the driver is judged: it must not forbid the next."""
    house.set("session.allow_concurrent", False)
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=60))
        answer = station.start(1, tag_of(user), meter_start_wh=50, at=ago(minutes=1))
    assert answer["idTagInfo"]["status"] == "Accepted"


# ---------------------------------------------------------------------- 11 to 13: numbers, optional fields, tokens


def test_numbers_are_ours_and_rise(house: House) -> None:
    charge_point = house.station(evses=2)
    with house.connect(charge_point) as station:
        first, second = (station.start(number, tag_of(house.driver()), at=ago())["transactionId"] for number in (1, 2))
    assert 0 < first < second


def test_what_is_optional_really_is(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), at=ago(minutes=3))["transactionId"]
        answer = station.stop(number, meter_stop_wh=10)
        assert answer == {}, "no idTagInfo for a stop without tag"
        other = station.start(1, tag_of(user), meter_start_wh=10, at=ago(minutes=1), reservationId=None)[
            "transactionId"
        ]
        assert station.stop(other, meter_stop_wh=20, id_tag=tag_of(user)) == {"idTagInfo": {"status": "Accepted"}}
    assert house.charge(number).stop_reason == "Local"


def test_a_stop_without_a_meter_ends_at_the_last_reading(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        number = station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=10))["transactionId"]
        station.meter(1, number, 900, at=ago(minutes=5))
        payload = {"transactionId": number, "timestamp": stamp(ago()), "meterStop": None}
        assert station.call("StopTransaction", payload) == {}
    row = house.charge(number)
    assert (row.status, row.energy_wh, row.flags) == (SessionStatus.FINISHED, 900, ["no_meter"])


@pytest.mark.parametrize("shown", ["04a2b3c4d5e6f7a8b9c0", "04A2B3C4D5E6F7A8B9C0", " 04A2b3c4d5e6f7a8b9c0 "])
def test_a_tag_is_known_in_any_case_and_with_all_its_twenty_characters(house: House, shown: str) -> None:
    charge_point = house.station()
    user = house.driver(tag="04A2B3C4D5E6F7A8B9C0")
    with house.connect(charge_point) as station:
        assert station.authorize(shown) == "Accepted"
        number = station.start(1, shown, at=ago())["transactionId"]
    assert house.charge(number).user_id == user.id


def test_an_unknown_card_is_recorded_so_that_it_can_be_registered(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        assert station.authorize("DEADBEEF") == "Invalid"
        assert station.call("Authorize", {"idTag": "X" * 80})["idTagInfo"]["status"] == "Invalid"
        assert station.start(1, "X" * 80, at=ago())["idTagInfo"]["status"] == "Invalid"
    rows = house.again().scalars(select(Authorization).order_by(Authorization.id)).all()
    assert [(row.id_tag, row.result, row.reason) for row in rows][:2] == [
        ("DEADBEEF", AuthorizationResult.REJECTED, "tag_unknown"),
        ("X" * 64, AuthorizationResult.REJECTED, "tag_unknown"),
    ]


def test_a_start_shares_the_record_of_its_authorization(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        assert station.authorize(tag_of(user)) == "Accepted"
        number = station.start(1, tag_of(user), at=ago())["transactionId"]
    (row,) = house.again().scalars(select(Authorization)).all()
    assert (row.evse_id, house.charge(number).authorization_id) == (charge_point.evses[0].id, row.id)


def test_numbers_that_cannot_be_end_in_an_answer(house: House) -> None:
    charge_point, user = house.station(), house.driver()
    with house.connect(charge_point) as station:
        for remote in ("SYNC-99999999999999999999", "SYNC-²", "SYNC-0", "SYNC-"):
            assert station.authorize(remote) == "Invalid"
        number = station.start(1, tag_of(user), meter_start_wh=10**18, at=ago(minutes=3))["transactionId"]
        station.stop(number, meter_stop_wh=10**19, at=ago())
        minus = station.start(1, tag_of(user), meter_start_wh=-5, at=ago(seconds=30))["transactionId"]
        station.stop(minus, meter_stop_wh=-7, at=ago())
    assert [(row.energy_wh, row.status) for row in house.charges(charge_point)] == [(0, SessionStatus.FINISHED)] * 2


def test_a_missing_tariff_refuses_the_start_and_never_prices_it_at_zero(house: House) -> None:
    charge_point, user = house.station(priced=False), house.driver()
    with house.connect(charge_point) as station:
        answer = station.start(1, tag_of(user), meter_start_wh=0, at=ago(minutes=3))
        assert answer["idTagInfo"]["status"] == "Blocked"
        station.stop(answer["transactionId"], meter_stop_wh=900, at=ago(), reason="DeAuthorized")
    (row,) = house.charges(charge_point)
    assert row.flags == ["no_tariff", "unauthorized_start"]
    assert (row.energy_wh, row.total_gross, row.payment_status) == (900, None, PaymentStatus.NOT_BILLED)


def test_a_broken_price_list_refuses_the_start_instead_of_failing_it(house: House) -> None:
    """A group without its base tariff: the station gets an answer, the operator a flag."""
    group = house.tariff_group()
    charge_point, user = house.station(group=group), house.driver()
    house.session.execute(delete(TariffGroupTariff).where(TariffGroupTariff.tariff_group_id == group.id))
    house.session.commit()
    with house.connect(charge_point) as station:
        answer = station.start(1, tag_of(user), at=ago())
    assert answer["idTagInfo"]["status"] == "Blocked"
    (row,) = house.charges(charge_point)
    assert row.flags == ["no_tariff", "unauthorized_start"]
    (record,) = house.again().scalars(select(Authorization)).all()
    assert (record.result, record.reason) == (AuthorizationResult.REJECTED, "no_tariff_group")


# ---------------------------------------------------------------------- anonymous


def test_plug_and_charge_without_a_card_is_free_of_bill_and_owner(house: House) -> None:
    charge_point = house.station(plug_and_charge=True)
    with house.connect(charge_point) as station:
        answer = station.start(1, "PNC", meter_start_wh=0, at=ago(minutes=3))
        assert answer["idTagInfo"]["status"] == "Accepted"
        station.stop(answer["transactionId"], meter_stop_wh=500, at=ago())
    (row,) = house.charges(charge_point)
    assert (row.user_id, row.payment_status, row.total_gross) == (None, PaymentStatus.NOT_BILLED, None)
