"""Reservations on the wire: what a station is told, and what its answers, its faults and its starts make of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.assets.models import ChargePoint
from app.charging.models import Reservation
from app.charging.models import ReservationStatus as S
from app.charging.reservations import reservations
from app.core.models import Action, ActionStatus
from app.crm.models import User
from tests.support.charging import tag_of
from tests.support.gateway import House, ago, eventually
from tests.support.scripted_station import ScriptedStation


def reserve(house: House, charge_point: ChargePoint, user: User, *, evse: int = 0) -> Reservation:
    """Reserve, committed and thereby asked."""
    row, _ = reservations.reserve(
        house.session,
        evse=charge_point.evses[evse],
        user=user,
        reason="The driver called",
        actor=None,
        now=datetime.now(UTC),
    )
    house.session.commit()
    return row


def settled(house: House, row: Reservation, *, wanted: S) -> Reservation:
    """The reservation once it has this status."""

    def there() -> Reservation | None:
        found = house.again().get_one(Reservation, row.id)
        return found if found.status is wanted else None

    found = eventually(there, why=f"the reservation is not {wanted}")
    assert found is not None
    return found


@pytest.fixture
def place(house: House) -> tuple[ChargePoint, ScriptedStation]:
    """A connected station with two free EVSEs."""
    house.set("reservation.enabled", True)
    charge_point = house.station(evses=2)
    station = house.connect(charge_point)
    station.boot()
    for connector in (0, 1, 2):
        station.status(connector, "Available")
    return charge_point, station


def test_from_reserve_now_to_the_start_that_uses_it(house: House, place: Any) -> None:
    charge_point, station = place
    owner, stranger = house.driver(), house.driver()
    row = reserve(house, charge_point, owner)
    asked = station.expect_call("ReserveNow")
    expires_at = row.expires_at.isoformat().replace("+00:00", "Z")
    assert asked.payload == {
        "connectorId": 1,
        "expiryDate": expires_at,
        "idTag": tag_of(owner),
        "parentIdTag": f"SYNC-U{owner.id}",
        "reservationId": row.id,
    }
    # some stations ask about the tag before they answer (stations.md, "Seen on the wire")
    asking = station.call("Authorize", {"idTag": tag_of(owner)})
    assert asking["idTagInfo"] == {"status": "Accepted", "parentIdTag": f"SYNC-U{owner.id}"}
    asked.answer(status="Accepted")
    settled(house, row, wanted=S.ACTIVE)
    station.status(1, "Reserved")
    assert station.call("Authorize", {"idTag": tag_of(stranger)})["idTagInfo"] == {"status": "Accepted"}
    refused = station.start(1, tag_of(stranger), meter_start_wh=0, at=ago(seconds=5))
    assert refused["idTagInfo"]["status"] == "Blocked"
    station.stop(refused["transactionId"], meter_stop_wh=0, at=ago(seconds=4), reason="DeAuthorized")
    started = station.start(1, tag_of(owner), meter_start_wh=0, at=ago(seconds=1), reservationId=row.id)
    assert started["idTagInfo"]["status"] == "Accepted"
    assert settled(house, row, wanted=S.USED).session_id == started["transactionId"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("NotImplemented", "The charge point does not accept reservations: NotImplemented"),
        ("NotSupported", "The charge point does not accept reservations: NotSupported"),
    ],
)
def test_a_station_without_the_profile_is_refused_with_its_word(
    house: House, place: Any, code: str, words: str
) -> None:
    charge_point, station = place
    row = reserve(house, charge_point, house.driver())
    station.expect_call("ReserveNow").fail(code, "no such thing")
    refused = settled(house, row, wanted=S.REFUSED)
    assert refused.end_reason is not None and refused.end_reason.startswith(words)


def test_a_fault_ends_it_and_the_station_need_not_be_told(house: House, place: Any) -> None:
    charge_point, station = place
    row = reserve(house, charge_point, house.driver())
    station.expect_call("ReserveNow").answer(status="Accepted")
    settled(house, row, wanted=S.ACTIVE)
    station.status(1, "Faulted", error_code="GroundFailure")
    ended = house.again().get_one(Reservation, row.id)  # the answer comes when it is on disk
    assert (ended.status, ended.end_reason) == (S.ENDED, "The EVSE reports a fault")


def test_cancelling_tells_the_station_or_says_that_it_could_not(house: House, place: Any) -> None:
    charge_point, station = place
    first = reserve(house, charge_point, house.driver())
    second = reserve(house, charge_point, house.driver(), evse=1)
    for _ in range(2):
        station.expect_call("ReserveNow").answer(status="Accepted")
    settled(house, first, wanted=S.ACTIVE)
    settled(house, second, wanted=S.ACTIVE)
    _, action = reservations.cancel(house.session, reservation=first, reason="Ill", actor=None, now=datetime.now(UTC))
    house.session.commit()
    told = station.expect_call("CancelReservation")
    assert told.payload == {"reservationId": first.id}
    told.answer(status="Accepted")
    eventually(lambda: house.again().get_one(Action, action.id).status is ActionStatus.ACCEPTED)
    assert house.session.get_one(Reservation, first.id).end_reason == "Ill"
    station.close()
    eventually(lambda: not house.state(charge_point).connected)
    reservations.cancel(
        house.session,
        reservation=house.session.get_one(Reservation, second.id),
        reason="Ill too",
        actor=None,
        now=datetime.now(UTC),
    )
    house.session.commit()
    gone = settled(house, second, wanted=S.CANCELLED)
    assert gone.end_reason == "Ill too; The charge point is not connected"


def test_plug_and_charge_asks_nobody_who_he_is(house: House) -> None:
    """Manual, "Plug-n-charge without authorization": all sessions are anonymous and not paid, whatever the tag."""
    charge_point = house.station(plug_and_charge=True)
    user = house.driver(balance="5.00")
    disabled = house.driver(status="disabled")
    station = house.connect(charge_point)
    for index, tag in enumerate(("", "PNC", "UNKNOWN", tag_of(user), tag_of(disabled))):
        assert station.call("Authorize", {"idTag": tag})["idTagInfo"] == {"status": "Accepted"}
        at = ago(minutes=30 - 5 * index)
        started = station.start(1, tag, meter_start_wh=1000 * index, at=at)
        assert started["idTagInfo"] == {"status": "Accepted"}
        station.stop(started["transactionId"], meter_stop_wh=1000 * index + 500, at=ago(minutes=28 - 5 * index))
    rows = house.charges(charge_point)
    assert len(rows) == 5
    assert {(row.user_id, row.source.value, row.payment_status.value, row.total_gross) for row in rows} == {
        (None, "plug_and_charge", "not_billed", None)
    }
    assert all(row.energy_wh == 500 and not row.flags for row in rows)
    assert house.balance(user) == 5
    assert all(house.bills(row.id) == ([], []) for row in rows)


def test_an_operator_may_start_for_a_user_at_a_plug_and_charge_station(house: House) -> None:
    from app.charging import remote

    charge_point = house.station(plug_and_charge=True)
    station = house.connect(charge_point)
    user = house.driver()
    row, _ = remote.start_session(
        house.session,
        evse=charge_point.evses[0],
        user=user,
        tariff_id=None,
        reason="Called",
        actor=house.operator(),
        now=datetime.now(UTC),
    )
    house.session.commit()
    asked = station.expect_call("RemoteStartTransaction")
    asked.answer(status="Accepted")
    started = station.start(1, asked.payload["idTag"], meter_start_wh=0, at=ago())
    assert started["transactionId"] == row.id
    assert house.charge(row.id).user_id == user.id
