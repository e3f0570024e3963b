"""OCPP 2.0.1 over a real socket: the same doors, the same sessions and prices, whatever order the events come in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from app.assets.models import ChargePoint, NetworkProtocol
from app.charging import remote
from app.charging.flags import EVENTS_MISSING, NO_TOKEN, OFFLINE, UNAUTHORIZED_START
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ConfigurationKey
from app.charging.upkeep import configuration
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from tests.support.charging import tag_of
from tests.support.gateway import House, ago, eventually
from tests.support.scripted_station import ScriptedStation

PROTOCOL = ("ocpp2.0.1",)


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Station:
    """A station that speaks 2.0.1, and the transaction it is at."""

    def __init__(self, house: House, charge_point: ChargePoint, name: str = "tx-1") -> None:
        self.wire: ScriptedStation = house.connect(charge_point, subprotocols=PROTOCOL)
        self.name = name
        self._numbers: Iterator[int] = itertools.count()

    def boot(self) -> dict[str, Any]:
        return self.wire.call(
            "BootNotification",
            {
                "reason": "PowerUp",
                "chargingStation": {
                    "vendorName": "Vestel",
                    "model": "EVC10",
                    "firmwareVersion": "2.0",
                    "serialNumber": "S1",
                },
            },
        )

    def status(self, status: str, evse: int = 1, connector: int = 1) -> None:
        self.wire.call(
            "StatusNotification",
            {
                "timestamp": stamp(utcnow()),
                "connectorStatus": status,
                "evseId": evse,
                "connectorId": connector,
            },
        )

    def event(
        self,
        kind: str,
        at: datetime,
        *,
        tag: str | None = None,
        wh: float | None = None,
        evse: int | None = 1,
        number: int | None = None,
        context: str = "Sample.Periodic",
        info: dict[str, Any] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": stamp(at),
            "triggerReason": "MeterValuePeriodic",
            "seqNo": next(self._numbers) if number is None else number,
            "transactionInfo": {"transactionId": self.name, **(info or {})},
            **fields,
        }
        if evse is not None:
            payload["evse"] = {"id": evse, "connectorId": 1}
        if tag is not None:
            payload["idToken"] = {"idToken": tag, "type": "ISO14443"}
        if wh is not None:
            sampled = {
                "value": wh,
                "context": context,
                "measurand": "Energy.Active.Import.Register",
                "unitOfMeasure": {"unit": "Wh"},
            }
            payload["meterValue"] = [{"timestamp": stamp(at), "sampledValue": [sampled]}]
        return self.wire.call("TransactionEvent", payload)


@pytest.fixture
def charge_point(house: House) -> ChargePoint:
    return house.station()


@pytest.fixture
def station(house: House, charge_point: ChargePoint) -> Station:
    return Station(house, charge_point)


@pytest.mark.parametrize(
    ("chosen", "offered", "spoken"),
    [
        ("ocpp1.6", ("ocpp2.0.1", "ocpp1.6"), "ocpp1.6"),
        ("ocpp2.0.1", ("ocpp1.6", "ocpp2.0.1"), "ocpp2.0.1"),
        ("ocpp1.6", ("ocpp2.1", "ocpp2.0.1"), "ocpp2.0.1"),
        ("ocpp2.0.1", ("ocpp1.6",), "ocpp1.6"),
    ],
)
def test_of_several_versions_the_operators_choice_counts(
    house: House, chosen: str, offered: tuple[str, ...], spoken: str
) -> None:
    charge_point = house.station(protocol=NetworkProtocol(chosen))
    assert house.connect(charge_point, subprotocols=offered).subprotocol == spoken


def test_a_charge_from_boot_to_bill(house: House, charge_point: ChargePoint, station: Station) -> None:
    user = house.driver()
    card, began = tag_of(user), ago(minutes=45)
    assert station.boot()["status"] == "Accepted"
    assert house.state(charge_point).model == "EVC10"
    station.status("Available")
    authorized = station.wire.call("Authorize", {"idToken": {"idToken": card.lower(), "type": "ISO14443"}})
    assert authorized["idTokenInfo"]["status"] == "Accepted"
    station.status("Occupied")
    started = station.event("Started", began, tag=card, wh=123_000, context="Transaction.Begin")
    assert started["idTokenInfo"]["status"] == "Accepted"
    for minute in (10, 20, 30):
        station.event(
            "Updated",
            began + timedelta(minutes=minute),
            wh=123_000 + 185 * minute,
            info={"chargingState": "Charging"},
        )
    (running,) = house.charges(charge_point)
    assert (running.status, running.energy_wh, running.station_reference) == (SessionStatus.ACTIVE, 5550, "tx-1")
    ended = station.event(
        "Ended",
        began + timedelta(minutes=40),
        wh=130_400,
        context="Transaction.End",
        info={"stoppedReason": "EVDisconnected"},
    )
    assert ended == {"totalCost": 4.26}
    (row,) = house.charges(charge_point)
    assert (row.status, row.payment_status, row.flags) == (SessionStatus.FINISHED, PaymentStatus.PAID, [])
    assert (row.user_id, row.energy_wh, row.total_gross) == (user.id, 7400, Decimal("4.26"))
    assert (row.started_at, row.stopped_at) == (began, began + timedelta(minutes=40))
    assert row.stop_reason == "EVDisconnected"


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_events_in_any_order_and_again_make_one_session_of_the_same_energy(
    house: House, charge_point: ChargePoint, station: Station, order: tuple[int, ...]
) -> None:
    user, began = house.driver(), ago(minutes=45)
    card = tag_of(user)
    events = [
        ("Started", began, {"tag": card, "wh": 1000, "number": 0}),
        ("Updated", began + timedelta(minutes=20), {"wh": 5000, "number": 1}),
        ("Ended", began + timedelta(minutes=40), {"wh": 8400, "number": 2, "tag": card}),
    ]
    for index in (*order, *order):
        kind, at, fields = events[index]
        station.event(kind, at, **fields)
    (row,) = house.charges(charge_point)
    assert row.status is SessionStatus.FINISHED
    assert row.stopped_at == began + timedelta(minutes=40)
    assert EVENTS_MISSING not in row.flags


def test_the_driver_is_named_after_the_cable_was_plugged_in(
    house: House, charge_point: ChargePoint, station: Station
) -> None:
    user, began = house.driver(), ago(minutes=45)
    station.event("Started", began, wh=1000, triggerReason="CablePluggedIn", info={"chargingState": "EVConnected"})
    (row,) = house.charges(charge_point)
    assert (row.user_id, row.flags) == (None, [NO_TOKEN])
    named = station.event("Updated", began + timedelta(minutes=1), tag=tag_of(user), triggerReason="Authorized")
    assert named["idTokenInfo"]["status"] == "Accepted"
    station.event("Updated", began + timedelta(minutes=20), wh=5000)
    station.event("Ended", began + timedelta(minutes=40), wh=8400)
    (row,) = house.charges(charge_point)
    assert (row.user_id, row.flags, row.payment_status) == (user.id, [], PaymentStatus.PAID)
    assert row.total_gross == Decimal("4.26")


def test_whom_nobody_knows_charges_flagged_and_unbilled(
    house: House, charge_point: ChargePoint, station: Station
) -> None:
    answer = station.event("Started", ago(minutes=45), tag="DEADBEEF", wh=1000)
    assert answer["idTokenInfo"]["status"] == "Unknown"
    station.event("Ended", ago(minutes=5), wh=8400)
    (row,) = house.charges(charge_point)
    assert UNAUTHORIZED_START in row.flags
    assert row.payment_status is PaymentStatus.NOT_BILLED


def test_the_evse_is_named_late(house: House) -> None:
    charge_point = house.station(evses=2)
    station = Station(house, charge_point)
    user, began = house.driver(), ago(minutes=45)
    station.event("Started", began, tag=tag_of(user), evse=None)
    assert not house.charges(charge_point)
    assert len(house.strays(charge_point)) == 1
    station.event("Updated", began + timedelta(minutes=1), tag=tag_of(user), evse=2, wh=1000)
    station.event("Ended", began + timedelta(minutes=40), wh=8400, evse=None)
    (row,) = house.charges(charge_point)
    assert (row.started_at, row.energy_wh, row.user_id) == (began, 7400, user.id)


def test_a_gap_in_the_numbers_is_flagged_until_it_is_filled(
    house: House, charge_point: ChargePoint, station: Station
) -> None:
    user, began = house.driver(), ago(minutes=45)
    station.event("Started", began, tag=tag_of(user), wh=1000, number=0)
    station.event("Updated", began + timedelta(minutes=20), wh=3000, number=2)
    assert EVENTS_MISSING in house.charges(charge_point)[0].flags
    station.event("Updated", began + timedelta(minutes=10), wh=2000, number=1, offline=True)
    flags = house.charges(charge_point)[0].flags
    assert EVENTS_MISSING not in flags
    assert OFFLINE in flags


def test_the_same_name_on_another_station_is_another_session(house: House, charge_point: ChargePoint) -> None:
    other = house.station()
    user, began = house.driver(), ago(minutes=45)
    house.set("session.allow_concurrent", True)
    for each in (charge_point, other):
        Station(house, each).event("Started", began, tag=tag_of(user), wh=1000)
    assert len(house.charges(charge_point)) == len(house.charges(other)) == 1


def test_an_operator_starts_and_stops(house: House, charge_point: ChargePoint, station: Station) -> None:
    station.boot()
    user, operator, began = house.driver(), house.operator(), ago(minutes=1)
    evse = charge_point.evses[0]
    row, _ = remote.start_session(
        house.session, evse=evse, user=user, tariff_id=None, reason="Test", actor=operator, now=utcnow()
    )
    house.session.commit()
    call = station.wire.expect_call("RequestStartTransaction")
    assert (call.payload["evseId"], call.payload["remoteStartId"]) == (1, row.id)
    call.answer(status="Accepted")
    token = call.payload["idToken"]["idToken"]
    station.event("Started", began, tag=token, wh=1000, triggerReason="RemoteStart")
    assert house.charge(row.id).status is SessionStatus.ACTIVE
    remote.stop_session(
        house.session, charging_session=house.charge(row.id), reason="Test", actor=operator, now=utcnow()
    )
    house.session.commit()
    stop = station.wire.expect_call("RequestStopTransaction")
    assert stop.payload == {"transactionId": "tx-1"}
    stop.answer(status="Accepted")
    ended = station.event("Ended", utcnow(), wh=2000, info={"stoppedReason": "Remote"})
    assert ended == {"totalCost": 0.0}
    assert house.charge(row.id).status is SessionStatus.FINISHED


def test_an_operators_start_of_a_car_that_was_plugged_in_before(
    house: House, charge_point: ChargePoint, station: Station
) -> None:
    station.boot()
    user, operator = house.driver(), house.operator()
    pending, _ = remote.start_session(
        house.session,
        evse=charge_point.evses[0],
        user=user,
        tariff_id=None,
        reason="Test",
        actor=operator,
        now=utcnow(),
    )
    house.session.commit()
    call = station.wire.expect_call("RequestStartTransaction")
    call.answer(status="Accepted", transactionId="tx-1")
    station.event("Started", ago(minutes=1), wh=1000, triggerReason="CablePluggedIn")
    station.event("Updated", utcnow(), tag=call.payload["idToken"]["idToken"], triggerReason="RemoteStart")
    charges = {row.id: row for row in house.charges(charge_point)}
    (running,) = [row for row in charges.values() if row.id != pending.id]
    assert (running.status, running.user_id, running.tariff_name) == (
        SessionStatus.ACTIVE,
        user.id,
        "Free (by operator)",
    )
    assert charges[pending.id].status is SessionStatus.FAILED


def test_connectors_and_charging_states_are_one_status(
    house: House, charge_point: ChargePoint, station: Station
) -> None:
    def shown() -> str:
        return str(
            house.again().scalar(
                text("SELECT status FROM evse_state WHERE evse_id = :id"), {"id": charge_point.evses[0].id}
            )
        )

    station.status("Available", connector=1)
    station.status("Available", connector=2)
    assert shown() == "available"
    station.status("Occupied", connector=2)
    assert shown() == "occupied"
    user = house.driver()
    station.event("Started", utcnow(), tag=tag_of(user), wh=1, info={"chargingState": "Charging"})
    assert shown() == "charging"
    station.status("Occupied", connector=2)
    assert shown() == "charging"
    station.event("Updated", utcnow(), wh=2, info={"chargingState": "SuspendedEV"})
    assert shown() == "suspended_ev"
    station.event("Ended", utcnow(), wh=2)
    assert shown() == "finishing"
    station.status("Available", connector=2)
    assert shown() == "available"


def test_the_device_model_comes_in_parts_and_a_variable_is_changed(
    house: House, charge_point: ChargePoint, station: Station
) -> None:
    station.boot()
    operator = house.operator()
    configuration.read_configuration(
        house.session, charge_point=charge_point, reason="Test", actor=operator, now=utcnow()
    )
    house.session.commit()
    call = station.wire.expect_call("GetBaseReport")
    call.answer(status="Accepted")
    parts = [("OCPPCommCtrlr", "HeartbeatInterval", "300"), ("AuthCtrlr", "Enabled", "true")]
    for number, (component, variable, value) in enumerate(parts):
        station.wire.call(
            "NotifyReport",
            {
                "requestId": call.payload["requestId"],
                "generatedAt": stamp(utcnow()),
                "seqNo": number,
                "tbc": number == 0,
                "reportData": [
                    {
                        "component": {"name": component},
                        "variable": {"name": variable},
                        "variableAttribute": [{"value": value, "mutability": "ReadWrite"}],
                    }
                ],
            },
        )
    rows = house.again().scalars(
        select(ConfigurationKey)
        .where(ConfigurationKey.charge_point_id == charge_point.id)
        .order_by(ConfigurationKey.key)
    )
    assert [(row.key, row.value) for row in rows] == [
        ("AuthCtrlr.Enabled", "true"),
        ("OCPPCommCtrlr.HeartbeatInterval", "300"),
    ]
    action = configuration.change_configuration(
        house.session,
        charge_point=charge_point,
        key="OCPPCommCtrlr.HeartbeatInterval",
        value="60",
        reason="Test",
        actor=operator,
        now=utcnow(),
    )
    number = action.id
    house.session.commit()
    change = station.wire.expect_call("SetVariables")
    (data,) = change.payload["setVariableData"]
    assert data["attributeValue"] == "60"
    change.answer(
        setVariableResult=[
            {"attributeStatus": "Accepted", "component": data["component"], "variable": data["variable"]}
        ]
    )
    eventually(lambda: house.again().get_one(Action, number).status is ActionStatus.ACCEPTED)


def test_what_nobody_asked_for_is_confirmed(station: Station) -> None:
    for action, payload in {
        "NotifyEvent": {"generatedAt": stamp(utcnow()), "seqNo": 0, "eventData": [EVENT]},
        "ReservationStatusUpdate": {"reservationId": 1, "reservationUpdateStatus": "Expired"},
        "NotifyCustomerInformation": {"data": "x", "seqNo": 0, "generatedAt": stamp(utcnow()), "requestId": 1},
        "SecurityEventNotification": {"type": "FirmwareUpdated", "timestamp": stamp(utcnow())},
        "LogStatusNotification": {"status": "Idle"},
        "FirmwareStatusNotification": {"status": "Idle"},
        "Heartbeat": {},
    }.items():
        station.wire.call(action, payload)
    assert station.wire.call("GetCertificateStatus", {"ocspRequestData": OCSP})["status"] == "Failed"
    assert station.wire.call("DataTransfer", {"vendorId": "acme"})["status"] == "UnknownVendorId"


OCSP = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a",
    "issuerKeyHash": "b",
    "serialNumber": "c",
    "responderURL": "http://localhost/",
}
EVENT = {
    "eventId": 1,
    "timestamp": "2026-11-22T10:00:00Z",
    "trigger": "Alerting",
    "actualValue": "true",
    "eventNotificationType": "HardWiredNotification",
    "component": {"name": "ChargingStation"},
    "variable": {"name": "Problem"},
}
