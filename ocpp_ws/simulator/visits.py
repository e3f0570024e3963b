"""Cars that come and go at one EVSE, for ever."""

from __future__ import annotations

import asyncio

from ocpp_ws.simulator.evse import Charge, Evse, Phase
from ocpp_ws.simulator.physics import draw_car
from ocpp_ws.simulator.reserving import let_in
from ocpp_ws.simulator.station import Station, utc_now

_NO_SHOW_SHARE = 0.04
"""Of remote starts nobody plugs in for."""
_CARD_FIRST_SHARE = 0.3
_SHORTEST_LOOK_S = 0.2
_SHORTEST_METER_INTERVAL_S = 0.05


async def receive_visitors(station: Station, evse: Evse) -> None:
    """Let drivers come by chance or by remote start, until cancelled."""
    gap_s = evse.rng.uniform(0.0, station.config.mean_gap_s)
    while True:
        by_chance = await _next_arrival(station, evse, station.pace(gap_s))
        gap_s = evse.rng.expovariate(1.0 / station.config.mean_gap_s)
        if not by_chance:
            await _visit_by_remote(station, evse)
            continue
        card = _take_card(station, evse)
        if card is None:
            continue
        try:
            await _visit_with_card(station, evse, card)
        finally:
            station.cards_in_use.discard(card)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _next_arrival(station: Station, evse: Evse, gap_s: float) -> bool:
    """Wait for the next driver: True when one comes by chance, False when a remote start waits for a car."""
    due_s = _now_s() + gap_s
    while True:
        if not (evse.is_usable and station.is_powered):
            # Nobody queues at a dead station.
            evse.remote_tag = None
            due_s = max(due_s, _now_s() + station.pace(60.0))
        if evse.remote_tag is not None:
            return False
        left_s = due_s - _now_s()
        if left_s <= 0:
            return True
        await evse.pause(left_s)


def _take_card(station: Station, evse: Evse) -> str | None:
    """A card from the station's list that is in nobody else's hand, or now and then one that nobody knows.

    A reserved EVSE has only its own driver; everybody else drives on.
    """
    if evse.reservation is not None:
        card = evse.reservation.id_tag
        if card not in station.spec.id_tags or card in station.cards_in_use:
            return None
        station.cards_in_use.add(card)
        return card
    if evse.rng.random() < station.config.unknown_card_share or not station.spec.id_tags:
        return f"{evse.rng.randrange(16**8):08X}"
    free = [tag for tag in station.spec.id_tags if tag not in station.cards_in_use]
    if not free:
        return None
    card = evse.rng.choice(free)
    station.cards_in_use.add(card)
    return card


async def _still_waiting(station: Station, evse: Evse, simulated_s: float) -> bool:
    """Let time pass before a charge; False when the EVSE went out of use meanwhile."""
    until_s = _now_s() + station.pace(simulated_s)
    while evse.is_usable and station.is_powered:
        left_s = until_s - _now_s()
        if left_s <= 0:
            return True
        await evse.pause(left_s)
    return False


def _show(station: Station, evse: Evse, phase: Phase) -> None:
    station.speech.show(station, evse, phase)


async def _visit_with_card(station: Station, evse: Evse, card: str) -> None:
    """A driver plugs in and holds a card to the reader, in one order or the other."""
    if evse.rng.random() < _CARD_FIRST_SHARE:
        if not await station.authorize(card):
            return
        await _still_waiting(station, evse, evse.rng.uniform(3, 20))
        if not (evse.is_usable and station.is_powered):
            return
        _show(station, evse, Phase.PREPARING)
        await _still_waiting(station, evse, evse.rng.uniform(1, 4))
        accepted = True
    else:
        _show(station, evse, Phase.PREPARING)
        await _still_waiting(station, evse, evse.rng.uniform(4, 25))
        accepted = evse.remote_tag is not None or await station.authorize(card)
        if not accepted:
            await _still_waiting(station, evse, evse.rng.uniform(5, 30))
    # An operator may have started it remotely while the driver was fumbling.
    if evse.remote_tag is None:
        evse.remote_number = None  # of a request that has lapsed
    tag, evse.remote_tag = evse.remote_tag or card, None
    # it may have been reserved for somebody else while the driver was fumbling
    if accepted and let_in(station, evse, tag) and evse.is_usable and station.is_powered:
        await _charge(station, evse, tag)
    _show(station, evse, Phase.AVAILABLE)


async def _visit_by_remote(station: Station, evse: Evse) -> None:
    """A driver plugs in after a remote start, or does not and it lapses."""
    tag = evse.remote_tag or ""
    if evse.rng.random() < _NO_SHOW_SHARE:
        await _still_waiting(station, evse, station.configuration.seconds("ConnectionTimeOut"))
        evse.remote_tag = None
        return
    accepted = True
    if station.configuration.flag("AuthorizeRemoteTxRequests"):
        accepted = await station.authorize(tag)
    ready = accepted and await _still_waiting(station, evse, evse.rng.uniform(2, 10))
    if ready:
        _show(station, evse, Phase.PREPARING)
        ready = await _still_waiting(station, evse, evse.rng.uniform(1, 4))
    evse.remote_tag = None
    if ready:
        await _charge(station, evse, tag)
    if evse.phase is not Phase.AVAILABLE:
        _show(station, evse, Phase.AVAILABLE)


async def _charge(station: Station, evse: Evse, tag: str) -> None:
    """From StartTransaction to the empty parking space."""
    car = draw_car(evse.rng, evse.kind)
    now_s = _now_s()
    register_wh = int(evse.register_wh)
    charge = Charge(
        id_tag=tag,
        car=car,
        started_at=utc_now(),
        meter_start_wh=register_wh,
        begun_s=now_s,
        leaves_s=now_s + station.pace(car.stay_s),
        started_offline=not station.is_online,
        last_read_wh=register_wh,
    )
    station.begin_charge(evse, charge)
    _show(station, evse, Phase.CHARGING)
    reason = await _until_it_ends(station, evse, charge)
    station.end_charge(evse, reason)
    _show(station, evse, Phase.FINISHING)
    await asyncio.sleep(station.pace(evse.rng.uniform(5, 60)))


async def _until_it_ends(station: Station, evse: Evse, charge: Charge) -> str:
    """Let it charge, sending meter values; gives the reason it ended (OCPP 1.6, Reason)."""
    last_sent_s = charge.begun_s
    while not evse.must_stop():
        interval_s = station.configuration.seconds("MeterValueSampleInterval")
        meter_due_s = last_sent_s + max(_SHORTEST_METER_INTERVAL_S, interval_s) if interval_s else float("inf")
        look_s = _now_s() + max(_SHORTEST_LOOK_S, station.pace(60.0))
        await evse.pause(min(meter_due_s, charge.leaves_s, look_s) - _now_s())
        station.advance(evse)
        if evse.must_stop():
            break
        now_s = _now_s()
        if now_s >= charge.leaves_s:
            return "EVDisconnected" if evse.kind == "AC" and evse.rng.random() < 0.4 else "Local"
        if charge.car.is_full and evse.phase is Phase.CHARGING:
            _show(station, evse, Phase.SUSPENDED_EV)
            if evse.kind == "DC":
                charge.leaves_s = min(charge.leaves_s, now_s + station.pace(evse.rng.uniform(60, 400)))
        if now_s >= meter_due_s and station.is_powered:
            station.send_meter_values(evse)
            last_sent_s = now_s if now_s - meter_due_s > interval_s else meter_due_s
    return evse.stop_reason or "Other"
