"""What a simulated station answers to ReserveNow and CancelReservation, and whom it lets in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ocpp_ws.simulator import EvseSpec, FleetConfig, StationSpec, reserving
from ocpp_ws.simulator.evse import Charge, Evse, Phase
from ocpp_ws.simulator.physics import draw_car
from ocpp_ws.simulator.station import Station, utc_now


def story(steps: Callable[[Station], Awaitable[None]]) -> None:
    """Run it with a station of two EVSEs that nobody visits."""

    async def told() -> None:
        specs = (EvseSpec(1, "AC", 22_000), EvseSpec(2, "AC", 22_000))
        spec = StationSpec(identifier="A-1", make="oriel-duo", evses=specs, id_tags=("TAG1",))
        await steps(Station(spec, FleetConfig(url="ws://127.0.0.1:1/ocpp", stations=(spec,)), set()))

    asyncio.run(told())


def ask(station: Station, *, number: int = 7, id_tag: str = "TAG1", connector: int = 1, seconds: float = 60) -> str:
    """ReserveNow."""
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return reserving.reserve(station, connector, number=number, id_tag=id_tag, parent="GROUP", expires_at=until)


def spoil_fault(station: Station, evse: Evse) -> None:
    station.break_down(evse.network_id)


def spoil_availability(station: Station, evse: Evse) -> None:
    station.change_availability(evse.network_id, operative=False)


def spoil_car(station: Station, evse: Evse) -> None:
    evse.phase = Phase.PREPARING


def spoil_remote(station: Station, evse: Evse) -> None:
    evse.remote_tag = "TAG1"


@pytest.mark.parametrize(
    ("spoil", "options", "answer"),
    [
        (None, {}, "Accepted"),
        (None, {"connector": 0}, "Rejected"),
        (None, {"connector": 9}, "Rejected"),
        (None, {"seconds": -1}, "Rejected"),
        (spoil_fault, {}, "Faulted"),
        (spoil_availability, {}, "Unavailable"),
        (spoil_car, {}, "Occupied"),
        (spoil_remote, {}, "Occupied"),
    ],
)
def test_what_a_station_answers(spoil: Any, options: dict[str, Any], answer: str) -> None:
    async def steps(station: Station) -> None:
        if spoil is not None:
            spoil(station, station.evses[1])
        assert ask(station, **options) == answer
        assert station.evses[1].status == ("Reserved" if answer == "Accepted" else station.evses[1].status)
        assert (station.evses[1].reservation is not None) is (answer == "Accepted")

    story(steps)


def test_the_same_number_replaces_another_is_occupied_and_only_its_own_is_cancelled() -> None:
    async def steps(station: Station) -> None:
        assert ask(station, seconds=30) == "Accepted"
        assert ask(station, seconds=90) == "Accepted"
        assert ask(station, number=8) == "Occupied"
        assert reserving.cancel(station, 8) is None
        assert reserving.cancel(station, 7) is station.evses[1]
        assert station.evses[1].status == "Available"
        assert reserving.cancel(station, 7) is None

    story(steps)


def test_it_lets_in_the_tag_and_its_group_and_nobody_else() -> None:
    async def steps(station: Station) -> None:
        ask(station)
        station.parents["FRIEND"] = "group"
        evse = station.evses[1]
        assert [reserving.let_in(station, evse, tag) for tag in ("tag1", "friend", "OTHER")] == [True, True, False]
        assert reserving.let_in(station, station.evses[2], "OTHER")
        assert station.remote_start("OTHER", 1) == "Rejected"
        assert station.remote_start("Tag1", 1) == "Accepted"

    story(steps)


def test_a_start_uses_it_up_and_names_it() -> None:
    async def steps(station: Station) -> None:
        ask(station)
        evse = station.evses[1]
        charge = Charge("TAG1", draw_car(evse.rng, "AC"), utc_now(), 0, 0.0, 1.0, started_offline=True)
        station.begin_charge(evse, charge)
        assert (evse.reservation, charge.reservation_id) == (None, 7)
        assert (await station.outbox.head()).request().reservation_id == 7

    story(steps)


@pytest.mark.parametrize("spoil", [spoil_fault, spoil_availability])
def test_a_fault_or_going_out_of_operation_ends_it(spoil: Any) -> None:
    async def steps(station: Station) -> None:
        ask(station)
        spoil(station, station.evses[1])
        assert station.evses[1].reservation is None

    story(steps)


def test_its_time_is_over() -> None:
    async def steps(station: Station) -> None:
        ask(station, seconds=0.15)
        assert station.evses[1].status == "Reserved"
        await asyncio.sleep(0.25)
        assert station.evses[1].status == "Available"

    story(steps)
