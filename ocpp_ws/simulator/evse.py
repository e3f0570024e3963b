"""One EVSE: its meter, its plug, and what it says about itself."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

from ocpp_ws.simulator.config import EvseSpec
from ocpp_ws.simulator.metering import Reading
from ocpp_ws.simulator.physics import Car, charge_car, power_w

if TYPE_CHECKING:
    from ocpp_ws.simulator.reserving import Reservation


class Phase(StrEnum):
    """Where a visit has come to; the values are OCPP 1.6 statuses."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"


@dataclass(slots=True, eq=False)
class Charge:
    """What OCPP calls a transaction, from the station's side."""

    id_tag: str
    car: Car
    started_at: datetime
    meter_start_wh: int
    begun_s: float
    """On the event loop's clock."""
    leaves_s: float
    started_offline: bool
    transaction_id: int | str | None = None
    """Given by the server in its answer to StartTransaction (1.6), or by the station itself (2.0.1)."""
    last_read_wh: int = 0
    reservation_id: int | None = None
    """The reservation this charge has used up."""
    remote_number: int | None = None
    """The number of the server's request it began by (2.0.1)."""
    events: int = 0
    """How many TransactionEvents tell of it so far (2.0.1)."""


class Evse:
    """The state of one EVSE, which outlives connections and reboots. Times are the event loop's."""

    def __init__(self, spec: EvseSpec, *, register_wh: float, rng: Random, time_scale: float) -> None:
        self.network_id = spec.network_id
        self.kind = spec.kind
        self.max_power_w = float(spec.max_power_w)
        self.limit_w: float | None = None
        """What charging profiles allow at the moment; None: no limit."""
        self.rng = rng
        self.register_wh = register_wh
        self.phase = Phase.AVAILABLE
        self.operative = True
        self.wanted_operative: bool | None = None
        """An availability change that waits for the charge to end."""
        self.fault: str | None = None
        """The OCPP error code while it is broken."""
        self.charge: Charge | None = None
        self.remote_tag: str | None = None
        """The tag of a RemoteStartTransaction that waits for a car."""
        self.remote_number: int | None = None
        """The server's number of that request, where it has one."""
        self.stop_reason: str | None = None
        self.told_status = ""
        """The connector status last told (2.0.1)."""
        self.shown_cost: float | None = None
        """What its display says the running or last charge costs, as the server has said (2.0.1)."""
        self.reservation: Reservation | None = None
        """For whom it is kept."""
        self._time_scale = time_scale
        self._read_to_s = 0.0
        self._woken = asyncio.Event()

    @property
    def status(self) -> str:
        """The OCPP status: broken before switched off before what the plug is doing."""
        if self.fault is not None:
            return "Faulted"
        if not self.operative:
            return "Unavailable"
        if self.reservation is not None and self.phase is Phase.AVAILABLE:
            return "Reserved"
        return self.phase.value

    @property
    def is_usable(self) -> bool:
        return self.fault is None and self.operative

    @property
    def is_free(self) -> bool:
        """Whether a remote start could begin here: usable, nothing running or ordered."""
        return (
            self.is_usable
            and self.charge is None
            and self.remote_tag is None
            and self.phase in (Phase.AVAILABLE, Phase.PREPARING)
        )

    @property
    def usable_w(self) -> float:
        """What it can give at the moment."""
        return self.max_power_w if self.limit_w is None else min(self.max_power_w, self.limit_w)

    @property
    def transaction_id(self) -> int | str | None:
        """What the running charge is called between station and server."""
        return self.charge.transaction_id if self.charge is not None else None

    def must_stop(self) -> bool:
        """Whether the running charge has been ordered to stop."""
        return self.stop_reason is not None

    def begin(self, charge: Charge) -> None:
        """Let the current flow."""
        self.charge = charge
        if self.reservation is not None:
            charge.reservation_id, self.reservation = self.reservation.number, None
        charge.remote_number, self.remote_number = self.remote_number, None
        self.stop_reason = None
        self.shown_cost = None
        self._read_to_s = charge.begun_s

    def advance(self, now_s: float) -> float:
        """Move meter and battery on to `now_s`; gives the energy since the last time in Wh."""
        charge = self.charge
        if charge is None or now_s <= self._read_to_s:
            return 0.0
        delivered_wh = charge_car(
            charge.car,
            self.kind,
            self.usable_w,
            self._read_to_s - charge.begun_s,
            now_s - charge.begun_s,
            self._time_scale,
        )
        self.register_wh += delivered_wh
        self._read_to_s = now_s
        return delivered_wh

    def read_meter(self, *, since_wh: int = 0) -> Reading:
        """What the meter shows now (after `advance`); the reported register counts from `since_wh`."""
        charge = self.charge
        register_wh = int(self.register_wh)
        flowing_w, phases, soc, interval_wh = 0.0, 3, None, 0
        if charge is not None:
            since_start_s = self._read_to_s - charge.begun_s
            flowing_w = power_w(charge.car, self.kind, self.usable_w, since_start_s, self._time_scale)
            phases = charge.car.phases
            soc = charge.car.soc if self.kind == "DC" else None
            interval_wh = max(0, register_wh - charge.last_read_wh)
            charge.last_read_wh = register_wh
        return Reading(
            energy_wh=register_wh - since_wh,
            interval_wh=interval_wh,
            power_w=flowing_w,
            kind=self.kind,
            phases=phases,
            soc=soc,
        )

    def order_stop(self, reason: str) -> bool:
        """Ask the running charge to stop, with OCPP's reason; False when none runs or it stops already."""
        if self.charge is None or self.stop_reason is not None:
            return False
        self.stop_reason = reason
        self.wake()
        return True

    def wake(self) -> None:
        """Something changed: whoever waits in `pause` should look."""
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until somebody wakes this EVSE."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), max(0.0, seconds))
