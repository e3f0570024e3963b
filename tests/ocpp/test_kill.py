"""kill -9 and worse: what was acknowledged is on disk, the charge goes on, and there is one bill."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from flask import Flask
from websockets.exceptions import ConnectionClosed

from app.assets.models import ChargePoint
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.core.config import Config
from tests.support.gateway import House, ago, environment, eventually
from tests.support.product import Product, product
from tests.support.scripted_station import ScriptedStation, connect


@pytest.fixture(scope="module")
def mortal(
    config: Config, admin_url: str, redis_url: str, app: Flask, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """A second gateway on the same database and Redis, to be killed."""
    with product(tmp_path_factory.mktemp("mortal"), **environment(config, admin_url, redis_url)) as running:
        running.start("ocpp")
        yield running


def arrive(running: Product, house: House, charge_point: ChargePoint) -> ScriptedStation:
    """The station, at that gateway."""
    station = connect(running.ws.rstrip("/"), charge_point.identifier)
    house.stations.append(station)
    return station


def test_killed_in_the_middle_of_meter_values(mortal: Product, house: House) -> None:
    charge_point, user = house.station(), house.driver()
    began = ago(minutes=40)
    station = arrive(mortal, house, charge_point)
    number = station.start(1, user.rfid_tags[0].tag_id, meter_start_wh=0, at=began)["transactionId"]
    acknowledged: list[int] = []

    def report() -> None:
        for second in range(1, 2000):
            try:
                station.meter(1, number, second, at=began + timedelta(seconds=second))
            except (ConnectionClosed, OSError, TimeoutError):
                return
            acknowledged.append(second)

    reporter = threading.Thread(target=report)
    reporter.start()
    eventually(lambda: len(acknowledged) >= 15, why="the station gets no answers")
    mortal.kill("ocpp")
    reporter.join(20)
    assert not reporter.is_alive()

    kept = {int(reading.raw_register_wh or -1) for reading in house.readings(number)}
    assert set(acknowledged) <= kept, "an acknowledged reading is not on disk"
    row = house.charge(number)
    assert (row.status, row.energy_wh) == (SessionStatus.ACTIVE, max(kept))

    # the station comes back without a boot and says again what was not acknowledged
    mortal.start("ocpp")
    with arrive(mortal, house, charge_point) as again:
        repeated = again.start(1, user.rfid_tags[0].tag_id, meter_start_wh=0, at=began)
        assert repeated["transactionId"] == number
        again.meter(1, number, acknowledged[-1] + 1, at=began + timedelta(seconds=acknowledged[-1] + 1))
        for _ in range(2):
            again.stop(number, meter_stop_wh=7400, at=began + timedelta(minutes=39))
    row = house.charge(number)
    assert (row.status, row.energy_wh, row.payment_status) == (SessionStatus.FINISHED, 7400, PaymentStatus.PAID)
    entries, transactions = house.bills(number)
    assert [entry.debit for entry in entries] == [row.total_gross] == [each.amount for each in transactions]


def test_the_newest_socket_wins_across_processes(mortal: Product, house: House) -> None:
    charge_point = house.station()
    here = house.connect(charge_point)
    here.boot()
    ref = house.state(charge_point).connection_ref
    there = arrive(mortal, house, charge_point)
    assert there.boot()["status"] == "Accepted"
    assert here.expect_close() == 1000
    there.heartbeat()
    state = house.state(charge_point)
    assert state.connected
    assert state.connection_ref != ref


def test_killed_backends_of_the_database_lose_nothing_acknowledged(
    house: House, cleaner: psycopg.Connection[object]
) -> None:
    began = ago(minutes=40)
    tags = [house.driver().rfid_tags[0].tag_id for _ in range(3)]
    identifiers = [house.station().identifier for _ in tags]
    url = house.server.ws
    acknowledged: dict[int, list[int]] = {}
    stop = threading.Event()

    def charge(identifier: str, tag: str) -> int:
        station = connect(url, identifier)
        house.stations.append(station)
        number = int(station.start(1, tag, meter_start_wh=0, at=began)["transactionId"])
        told = acknowledged.setdefault(number, [])
        while not stop.is_set():
            second = len(told) + 1
            station.meter(1, number, second, at=began + timedelta(seconds=second))
            told.append(second)
        station.stop(number, meter_stop_wh=len(told), at=began + timedelta(minutes=39))
        return number

    def kill() -> bool:
        row = cleaner.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() "
            "AND usename = 'sync_app' "
            "AND (query LIKE 'UPDATE charging_session%' OR query LIKE 'INSERT INTO _meter_reading_ %')"
        ).fetchone()
        return row != (0,)

    with ThreadPoolExecutor(len(tags)) as pool:
        charges = [pool.submit(charge, *each) for each in zip(identifiers, tags, strict=True)]
        try:
            for _ in range(3):
                wanted = sum(map(len, acknowledged.values())) + 15
                eventually(lambda wanted=wanted: sum(map(len, acknowledged.values())) > wanted, timeout_s=20)  # type: ignore[misc]
                eventually(kill, why="the gateway's writer was not found")
        finally:
            stop.set()
    for each in charges:
        number = each.result()
        kept = {int(reading.raw_register_wh or -1) for reading in house.readings(number)}
        assert set(acknowledged[number]) <= kept, "an acknowledged reading is not on disk"
        row = house.charge(number)
        assert (row.status, row.energy_wh) == (SessionStatus.FINISHED, len(acknowledged[number]))
        assert len(house.bills(number)[0]) == 1
