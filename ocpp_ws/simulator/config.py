"""What to simulate: the fleet, its stations, and the mishaps planned for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from ocpp_ws.simulator.makes import DEFAULT_MAKE, MAKES, Current, Version


class EvseSpec(NamedTuple):
    """One EVSE: its number (in OCPP 1.6 the connector), kind of current, and what it can deliver in W."""

    network_id: int
    kind: Current
    max_power_w: float


class Nameplate(NamedTuple):
    """What a station says of itself when it boots, where it is not its make's own; at most 20, 20 and 50 characters."""

    vendor: str
    model: str
    firmware: str


@dataclass(frozen=True, slots=True)
class StationSpec:
    """One station: how it signs on, what it is built of, and the cards that are held to its reader.

    `make` is a key of `makes.MAKES`. EVSEs may be given as plain tuples.
    Raises ValueError for an unknown make, no or doubled EVSEs, and tags beyond OCPP's 20 characters.
    """

    identifier: str
    password: str | None = None
    make: str = DEFAULT_MAKE
    evses: Sequence[EvseSpec | tuple[int, Current, float]] = (EvseSpec(1, "AC", 22_000),)
    id_tags: Sequence[str] = ()
    nameplate: Nameplate | None = None
    protocol: Version | None = None
    """The version of OCPP; None: the one its make is sold with."""

    def __post_init__(self) -> None:
        if self.make not in MAKES:
            raise ValueError(f"{self.identifier}: unknown make {self.make!r}; known are {', '.join(MAKES)}")
        evses = tuple(EvseSpec(*evse) for evse in self.evses)
        numbers = [evse.network_id for evse in evses]
        if not numbers or min(numbers) < 1 or len(set(numbers)) != len(numbers):
            raise ValueError(f"{self.identifier}: EVSEs need distinct numbers from 1, got {numbers}")
        too_long = [tag for tag in self.id_tags if not 1 <= len(tag) <= 20]
        if too_long:
            raise ValueError(f"{self.identifier}: an id tag has 1 to 20 characters, not {too_long[0]!r}")
        object.__setattr__(self, "evses", evses)
        object.__setattr__(self, "id_tags", tuple(self.id_tags))

    @property
    def version(self) -> Version:
        """The version of OCPP it speaks."""
        return self.protocol or MAKES[self.make].version

    @property
    def evse_specs(self) -> tuple[EvseSpec, ...]:
        """The EVSEs, as EvseSpec whatever they were given as."""
        return tuple(EvseSpec(*evse) for evse in self.evses)


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something that is planned to go wrong; times in simulated seconds (see FleetConfig.time_scale)."""

    identifier: str
    kind: Literal["fault", "drop_off"]
    """fault: one EVSE reports Faulted. drop_off: the socket ends without a word and stays away."""
    starts_after_s: float
    lasts_s: float
    repeats_every_s: float | None = None
    network_id: int = 1


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """A fleet and how it behaves.

    `time_scale` says how many times livelier than a real street this one is: pauses, stays and reboots are
    that much shorter and the cars' batteries that much smaller, while watts, seconds on the wire and
    watt-hours stay true to each other. What the protocol itself counts in seconds (heartbeats, meter
    interval, reconnecting) is never scaled.
    Raises ValueError when something cannot be simulated.
    """

    url: str
    """Like ws://127.0.0.1:8000/ocpp; the station's identifier is appended as a path segment."""
    stations: Sequence[StationSpec]
    seed: int = 1
    time_scale: float = 1.0
    meter_interval_s: float = 60.0
    """The stations' MeterValueSampleInterval until the server changes it."""
    mean_gap_s: float = 2700.0
    """Between one car leaving an EVSE and the next one coming, in simulated seconds."""
    unknown_card_share: float = 0.02
    reconnect_first_s: float = 1.0
    reconnect_most_s: float = 60.0
    connects_at_once: int = 50
    mishaps: Sequence[Mishap] = field(default=())

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"the URL must look like ws://HOST:PORT/ocpp, not {self.url!r}")
        if self.time_scale <= 0 or self.mean_gap_s <= 0 or self.meter_interval_s < 0:
            raise ValueError("time_scale and mean_gap_s must be above 0, meter_interval_s not below 0")
        identifiers = [station.identifier for station in self.stations]
        if len(set(identifiers)) != len(identifiers):
            raise ValueError("two stations have the same identifier")
        known = {(station.identifier, evse.network_id) for station in self.stations for evse in station.evse_specs}
        for mishap in self.mishaps:
            if (mishap.identifier, mishap.network_id) not in known:
                raise ValueError(f"a mishap names {mishap.identifier} EVSE {mishap.network_id}, which is not there")


def demo_mishaps(stations: Iterable[StationSpec]) -> tuple[Mishap, ...]:
    """The drama of a demonstration: the second station faults again and again, the last one drops off.

    Fewer than two stations are left in peace.
    """
    listed = list(stations)
    if len(listed) < 2:
        return ()
    faulty, absent = listed[1], listed[-1]
    mishaps = [Mishap(faulty.identifier, "fault", 90.0, 900.0, 3600.0, network_id=faulty.evse_specs[0].network_id)]
    if absent is not faulty:
        evse = absent.evse_specs[0].network_id
        mishaps.append(Mishap(absent.identifier, "drop_off", 240.0, 600.0, 3600.0, network_id=evse))
    return tuple(mishaps)
