"""The makes of charge point the simulator knows: names, firmware and habits, all as data.

The vendors are invented; their habits are not: every quirk has been seen on the wire from a real station.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from ocpp_ws.simulator.quirks import Quirks

Current = Literal["AC", "DC"]
Version = Literal["ocpp1.6", "ocpp2.0.1"]


@dataclass(frozen=True, slots=True)
class Make:
    """A model of one vendor with one firmware."""

    key: str
    vendor: str
    model: str
    firmware: str
    serial_prefix: str
    current: Current
    evse_count: int
    max_power_w: int
    """Of each EVSE, unless the station's own data say otherwise."""
    meter_type: str
    fault: tuple[str, str, str] = ("OtherError", "", "")
    """What it reports when it breaks: OCPP error code, vendor's own code, and text."""
    reboot_s: float = 30.0
    unlocks: bool = True
    """Has a socket with a lock; a fixed cable has none."""
    quirks: Quirks = field(default_factory=Quirks)
    version: Version = "ocpp1.6"
    """Of OCPP, unless the station is told to speak another."""


_ALL = (
    Make(
        key="oriel-duo",
        vendor="Oriel Power",
        model="Duo 22 S",
        firmware="5.14.2-4021",
        serial_prefix="OD22",
        current="AC",
        evse_count=2,
        max_power_w=22_000,
        meter_type="EM340 MID",
        fault=("GroundFailure", "RCD-6mA", "DC residual current above 6 mA"),
    ),
    Make(
        key="hartwell-home",
        vendor="Hartwell",
        model="HW-11 Plus",
        firmware="2.3.0",
        serial_prefix="HW11",
        current="AC",
        evse_count=1,
        max_power_w=11_000,
        meter_type="internal",
        fault=("HighTemperature", "E17", "contactor 96 C"),
        quirks=Quirks(
            timestamps="seconds",
            energy_unit="kWh",
            counts_message_ids=True,
            boots_after_outage=False,
            reports_connector_zero=False,
        ),
    ),
    Make(
        key="brenta-strada",
        vendor="Brenta Energia",
        model="Strada 2x22",
        firmware="V1.09.77",
        serial_prefix="BRS",
        current="AC",
        evse_count=2,
        max_power_w=22_000,
        meter_type="ABN-3P",
        fault=("PowerMeterFailure", "0x31", "meter does not answer"),
        quirks=Quirks(
            timestamps="naive",
            phases_only=True,
            status_before_boot=True,
            stops_before_unlock_answer=True,
            extra_fields={
                "BootNotification": {"localIp": "192.168.10.41", "apn": "iot.m2m"},
                "StatusNotification": {"temperature": 31},
            },
        ),
    ),
    Make(
        key="tessin-wall",
        vendor="TESSIN e-Mobility AG",
        model="wall.11",
        firmware="R7.2 build 118",
        serial_prefix="TW",
        current="AC",
        evse_count=1,
        max_power_w=11_000,
        meter_type="",
        fault=("ConnectorLockFailure", "LOCK_JAM", "plug lock did not close"),
        quirks=Quirks(
            omits_units=True,
            sends_end_readings=False,
            omits_stop_tag=True,
            lower_case_tags=True,
            offline_transaction_id=-1,
            renamed_keys={"MeterValueSampleInterval": "MeterValuesSampleInterval"},
        ),
    ),
    Make(
        key="lumo-post",
        vendor="Lumo",
        model="Lamppost 7",
        firmware="0.98-rc3",
        serial_prefix="LP7-",
        current="AC",
        evse_count=1,
        max_power_w=7_400,
        meter_type="SDM230",
        fault=("WeakSignal", "", ""),
        quirks=Quirks(
            timestamps="micros_offset",
            interval_energy=True,
            null_heartbeat=True,
            boots_after_outage=False,
            numbers_unquoted=True,
            subprotocols=("ocpp1.6", "ocpp1.5"),
        ),
    ),
    Make(
        key="kestrel-hpc",
        vendor="Kestrel Charging",
        model="HPC 150",
        firmware="3.2.11",
        serial_prefix="KHPC150-",
        current="DC",
        evse_count=2,
        max_power_w=150_000,
        meter_type="DCBM 400",
        fault=("PowerSwitchFailure", "M3-0042", "power module 3 off line"),
        reboot_s=75.0,
        unlocks=False,
    ),
    Make(
        key="norrland-dc",
        vendor="Norrland Elektro",
        model="NE-50 Compact",
        firmware="1.0.44",
        serial_prefix="NE50",
        current="DC",
        evse_count=1,
        max_power_w=50_000,
        meter_type="LEM",
        fault=("EVCommunicationError", "PLC_TIMEOUT", "no SLAC answer"),
        reboot_s=60.0,
        unlocks=False,
        quirks=Quirks(timestamps="seconds", energy_unit="kWh", decodes_hex_key=True),
    ),
    Make(
        key="sable-socket",
        vendor="SABLE",
        model="Socket One",
        firmware="2019.11.2",
        serial_prefix="S1",
        current="AC",
        evse_count=1,
        max_power_w=3_700,
        meter_type="none",
        fault=("OverCurrentFailure", "OC", "over 20 A"),
        quirks=Quirks(register_per_session=True, sends_end_readings=False),
    ),
    Make(
        key="oriel-trio",
        vendor="Oriel Power",
        model="Trio 22 S",
        firmware="8.1.0-118",
        serial_prefix="OT22",
        current="AC",
        evse_count=2,
        max_power_w=22_000,
        meter_type="EM340 MID",
        fault=("GroundFailure", "RCD-6mA", "DC residual current above 6 mA"),
        quirks=Quirks(boots_after_outage=False),
        version="ocpp2.0.1",
    ),
    Make(
        key="hartwell-street",
        vendor="Hartwell",
        model="HW-22 Street",
        firmware="4.0.2",
        serial_prefix="HW22",
        current="AC",
        evse_count=1,
        max_power_w=22_000,
        meter_type="internal",
        fault=("HighTemperature", "E17", "contactor 96 C"),
        quirks=Quirks(
            timestamps="seconds",
            energy_unit="kWh",
            late_id_token=True,
            boots_after_outage=False,
            counts_message_ids=True,
        ),
        version="ocpp2.0.1",
    ),
    Make(
        key="kestrel-hpc2",
        vendor="Kestrel Charging",
        model="HPC 300",
        firmware="6.0.4",
        serial_prefix="KHPC300-",
        current="DC",
        evse_count=2,
        max_power_w=300_000,
        meter_type="DCBM 400",
        fault=("PowerSwitchFailure", "M3-0042", "power module 3 off line"),
        reboot_s=75.0,
        unlocks=False,
        quirks=Quirks(boots_after_outage=False),
        version="ocpp2.0.1",
    ),
)

MAKES: Mapping[str, Make] = {make.key: make for make in _ALL}
"""Every make by its key."""

DEFAULT_MAKE = "oriel-duo"
"""The make that does everything by the book."""

_SHARES: Mapping[Version, Mapping[str, int]] = {
    "ocpp1.6": {
        "oriel-duo": 30,
        "hartwell-home": 18,
        "brenta-strada": 16,
        "tessin-wall": 10,
        "lumo-post": 8,
        "kestrel-hpc": 8,
        "norrland-dc": 8,
        "sable-socket": 2,
    },
    "ocpp2.0.1": {"oriel-trio": 50, "hartwell-street": 30, "kestrel-hpc2": 20},
}
_HABITS = {"hartwell-home", "brenta-strada", "tessin-wall", "lumo-post", "sable-socket"}
"""Makes of AC whose successor has habits too."""


def draw_make(rng: Random, version: Version = "ocpp1.6") -> Make:
    """A make that is sold with this version of OCPP, at random, common ones more often."""
    shares = _SHARES[version]
    return MAKES[rng.choices(list(shares), list(shares.values()))[0]]


def make_speaking(key: str, version: Version) -> Make:
    """The make itself if it speaks this version; else one of the same current that does, habits for habits."""
    make = MAKES[key]
    if make.version == version:
        return make
    if make.current == "DC":
        return MAKES["kestrel-hpc2" if version == "ocpp2.0.1" else "kestrel-hpc"]
    if version == "ocpp1.6":
        return MAKES["hartwell-home" if make.quirks.late_id_token else DEFAULT_MAKE]
    return MAKES["hartwell-street" if key in _HABITS else "oriel-trio"]
