"""Meters as they come: units, phases, intervals, registers that fall, jump or begin anew, and values that are none.

stations.md, "Meters" 14 to 16. What is billed is the last word of each test.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession, MeterReading
from tests.support.gateway import House, ago
from tests.support.scripted_station import Payload, ScriptedStation, sample, stamp

ENERGY = "Energy.Active.Import.Register"


class Charge:
    """One charge on a station's first EVSE that began half an hour ago, told minute by minute."""

    def __init__(self, house: House, *, start_wh: int = 1_000_000, **station: Any) -> None:
        self.house = house
        self.charge_point = house.station(**station)
        self.station: ScriptedStation = house.connect(self.charge_point)
        self.began = ago(minutes=30)
        tag = house.driver(balance="500.00").rfid_tags[0].tag_id
        self.number = int(self.station.start(1, tag, meter_start_wh=start_wh, at=self.began)["transactionId"])

    def at(self, minute: float) -> str:
        """A time stamp of the charge."""
        return stamp(self.began + timedelta(minutes=minute))

    def tell(self, minute: float, *samples: Payload | float | str, **fields: Any) -> Payload:
        """MeterValues of one moment: samples as on the wire, or the register in Wh."""
        sampled = [each if isinstance(each, dict) else sample(each) for each in samples]
        payload = {"connectorId": 1, "transactionId": self.number, **fields}
        return self.station.call(
            "MeterValues", {**payload, "meterValue": [{"timestamp": self.at(minute), "sampledValue": sampled}]}
        )

    def stop(self, meter_stop_wh: int, minute: float = 29) -> ChargingSession:
        """The end; the session as it is then."""
        self.station.stop(self.number, meter_stop_wh=meter_stop_wh, at=self.at(minute))
        row = self.house.charge(self.number)
        assert row.status is SessionStatus.FINISHED
        return row

    @property
    def energy_wh(self) -> Decimal:
        """What has been charged so far."""
        return self.house.charge(self.number).energy_wh

    @property
    def readings(self) -> list[MeterReading]:
        """What is stored."""
        return self.house.readings(self.number)

    @property
    def registers(self) -> list[Decimal | None]:
        """The curve, in Wh since the start."""
        return [reading.register_wh for reading in self.readings]


# ---------------------------------------------------------------------- units and defaults


@pytest.mark.parametrize(
    "told",
    [
        sample(1002000, unit="Wh"),
        sample("1002", unit="kWh"),
        sample("1002.000", unit="kwh"),
        sample("1.002", unit="MWh"),
        {"value": "1002000"},
        {"value": "1002000", "measurand": ENERGY},
        {"value": 1002000},
        {"value": "1002000.0", "unit": "Wattshour"},
        {"value": "1002,0", "unit": "kWh"},
        {"value": "1002000", "unit": None, "phase": None, "context": "Sample.Periodic"},
    ],
)
def test_two_kilowatt_hours_in_every_spelling(house: House, told: Payload) -> None:
    charge = Charge(house)
    assert charge.tell(10, told) == {}
    assert charge.registers == [2000]
    assert charge.energy_wh == 2000


def test_power_current_voltage_and_charge_have_their_columns(house: House) -> None:
    charge = Charge(house)
    charge.tell(
        10,
        1001000,
        sample("7.36", "Power.Active.Import", "kW"),
        *[sample(ampere, "Current.Import", "A", phase=f"L{n}") for n, ampere in ((1, 16), (2, 15.5), (3, 0))],
        sample(231.4, "Voltage", "V", phase="L1-N"),
        sample(64, "SoC", "Percent"),
        sample(31, "Temperature", "Celsius", location="Body"),
        sample(49.98, "Frequency", "Hertz"),
    )
    (row,) = charge.readings
    assert (row.power_w, row.current_l1_a, row.current_l2_a, row.current_l3_a) == (7360, 16, Decimal("15.5"), 0)
    assert (row.voltage_v, row.soc_percent) == (Decimal("231.4"), 64)
    assert row.other == {"Temperature Body Celsius": "31", "Frequency Hertz": "49.98"}
    session = house.charge(charge.number)
    assert (session.power_w, session.max_power_w, session.soc_percent) == (7360, 7360, 64)
    charge.tell(11, 1001200, sample(11000, "Power.Active.Import", "W"))
    charge.tell(12, 1001300, sample(3000, "Power.Active.Import", "W"))
    session = house.charge(charge.number)
    assert (session.power_w, session.max_power_w) == (3000, 11000)
    assert charge.stop(1001400).power_w is None


# ---------------------------------------------------------------------- the ladder


def test_phases_without_a_total_are_added_up(house: House) -> None:
    charge = Charge(house, start_wh=3000)
    charge.tell(10, *[sample(1500 + n, phase=f"L{n}") for n in (1, 2, 3)])
    (row,) = charge.readings
    assert (row.register_wh, row.flags) == (1506, ["energy_from_phases"])
    assert charge.stop(4600).flags == ["energy_from_phases"]


def test_the_total_counts_where_phases_come_with_it(house: House) -> None:
    charge = Charge(house, start_wh=0)
    charge.tell(10, *[sample(500, phase=f"L{n}") for n in (1, 2, 3)], sample(1510))
    assert charge.registers == [1510]


def test_intervals_are_added_to_the_register_once(house: House) -> None:
    charge = Charge(house, start_wh=5000)
    for minute in (5, 10, 10, 15):  # the second message of minute 10 is a repetition
        charge.tell(minute, sample(500, "Energy.Active.Import.Interval"))
    assert charge.energy_wh == 1500
    assert charge.registers == [500, 1000, None, 1500]
    charge.tell(20, sample("0.25", "Energy.Active.Import.Interval", "kWh"))
    row = charge.stop(6750)
    assert (row.energy_wh, row.flags) == (1750, ["energy_from_interval"])


def test_what_goes_back_to_the_grid_or_into_the_station_is_not_charged(house: House) -> None:
    charge = Charge(house, start_wh=0)
    charge.tell(
        10,
        sample(9999, ENERGY, location="Inlet"),
        sample(1200, ENERGY, location="Outlet"),
        sample(50, "Energy.Active.Export.Register"),
    )
    (row,) = charge.readings
    assert row.register_wh == 1200
    assert row.other == {f"{ENERGY} Inlet Wh": "9999", "Energy.Active.Export.Register Wh": "50"}


def test_signed_values_are_kept_and_not_read_as_numbers(house: House) -> None:
    charge = Charge(house, start_wh=0)
    charge.tell(10, {"value": "7B22", "format": "SignedData", "measurand": ENERGY}, sample(800))
    (row,) = charge.readings
    assert (row.register_wh, row.other) == (800, {f"{ENERGY} signed": "7B22"})


# ---------------------------------------------------------------------- registers that are not to be believed


def test_a_register_that_falls_is_never_billed_negative(house: House) -> None:
    charge = Charge(house)
    charge.tell(5, 1_001_000)
    charge.tell(10, 900_000)
    charge.tell(15, 1_002_000)
    assert charge.registers == [1000, None, 2000]
    row = charge.stop(1_003_000)
    assert (row.energy_wh, row.flags) == (3000, ["register_fell"])


def test_a_register_that_begins_anew_goes_on_from_where_it_was(house: House) -> None:
    charge = Charge(house)
    charge.tell(5, 1_001_000)
    charge.tell(10, 100)
    charge.tell(15, 600)
    assert charge.registers == [1000, 1100, 1600]
    row = charge.stop(1600)
    assert (row.energy_wh, row.flags) == (2600, ["register_restarted"])


def test_a_jump_is_not_taken_and_a_new_level_goes_on_without_the_step(house: House) -> None:
    charge = Charge(house, max_power_w=11_000)
    charge.tell(5, 1_000_500)
    charge.tell(6, 1_900_000)
    charge.tell(7, 1_900_100)
    assert charge.energy_wh == 600
    assert charge.readings[1].flags == ["register_jumped"]
    row = charge.stop(1_900_300)
    assert (row.energy_wh, row.flags) == (800, ["register_jumped", "register_new_level"])


def test_one_reading_wrong_by_a_thousand_is_put_right(house: House) -> None:
    charge = Charge(house)
    charge.tell(5, 1_001_000)
    charge.tell(10, sample("1002", unit="Wh"))
    charge.tell(15, sample("1003500", unit="kWh"))
    assert charge.registers == [1000, 2000, 3500]
    assert charge.stop(1_004_000).flags == ["register_unit_corrected"]


def test_without_a_usable_start_energy_counts_from_the_first_reading(house: House) -> None:
    charge = Charge(house, start_wh=-1)
    charge.tell(5, 700)
    charge.tell(10, 1200)
    row = charge.stop(1500)
    assert (row.energy_wh, row.flags) == (800, ["register_start_missing"])


# ---------------------------------------------------------------------- the stop's word


def test_at_the_stop_the_meter_is_believed_over_clock_and_display_power(house: House) -> None:
    """docs/adr/0007: stop minus start is billed up to 150 kWh, and flagged when the EVSE should not be able to."""
    charge = Charge(house, max_power_w=7_400)
    charge.tell(5, 1_000_300)
    row = charge.stop(1_060_000, minute=10)
    assert (row.energy_wh, row.flags) == (60_000, ["register_jumped", "register_stop_decided"])
    assert row.total_gross == Decimal("0.50") + Decimal("0.20") + Decimal("24.00")


def test_beyond_what_any_car_takes_the_readings_decide(house: House) -> None:
    charge = Charge(house)
    charge.tell(5, 1_000_300)
    row = charge.stop(1_150_001, minute=10)
    assert (row.energy_wh, row.flags) == (300, ["register_jumped"])


def test_readings_without_a_stop_register_are_enough(house: House) -> None:
    charge = Charge(house)
    charge.tell(5, 1_000_300)
    payload = {"transactionId": charge.number, "timestamp": charge.at(20), "meterStop": "none at all"}
    assert charge.station.call("StopTransaction", payload) == {}
    row = house.charge(charge.number)
    assert (row.energy_wh, row.flags) == (300, ["no_meter"])


def test_the_readings_that_come_with_the_stop_draw_the_curve(house: House) -> None:
    charge = Charge(house)
    data = [{"timestamp": charge.at(m), "sampledValue": [sample(1_000_000 + 100 * m)]} for m in (20, 5, 10)]
    charge.station.stop(charge.number, meter_stop_wh=1_003_000, at=charge.at(29), transactionData=data)
    assert charge.registers == [500, 1000, 2000]
    assert house.charge(charge.number).energy_wh == 3000


# ---------------------------------------------------------------------- values that are none


@pytest.mark.parametrize(
    "told",
    [
        sample("NaN"),
        sample("n/a"),
        sample(""),
        sample("Infinity"),
        sample("1e99"),
        sample("-1e99"),
        {"value": None},
        {"measurand": ENERGY},
        sample(10**11, "Power.Active.Import", "W"),
        sample(10**7, "Current.Import", "A", phase="L1"),
        sample(10**9, "Voltage", "mV"),
        sample(480, "SoC", "Percent"),
        sample(5, "x" * 80, "y" * 60, context="z" * 90),
    ],
)
def test_what_no_column_could_hold_is_kept_beside_and_answered(house: House, told: Payload) -> None:
    charge = Charge(house)
    assert charge.tell(10, told) == {}
    assert charge.tell(11, told, 1_000_400) == {}
    assert charge.registers[-1] == 400
    assert charge.stop(1_000_500).energy_wh == 500


@pytest.mark.parametrize(
    "meter_value",
    [
        [],
        None,
        [{"timestamp": stamp(ago())}],
        [{"timestamp": None, "sampledValue": []}],
        [{"timestamp": stamp(ago()), "sampledValue": None}],
        [{"timestamp": stamp(ago()), "sampledValue": [None]}],
    ],
)
def test_empty_meter_values_are_answered(house: House, meter_value: Any) -> None:
    charge = Charge(house)
    payload = {"connectorId": 1, "transactionId": charge.number, "meterValue": meter_value}
    assert charge.station.call("MeterValues", payload) == {}
    assert charge.tell(10, 1_000_400) == {}
    assert charge.energy_wh == 400


@pytest.mark.parametrize("fields", [{"transactionId": None}, {"transactionId": 0}, {"transactionId": -1}])
def test_readings_without_a_number_belong_to_the_session_on_their_evse(house: House, fields: dict[str, Any]) -> None:
    charge = Charge(house)
    charge.tell(5, 1_000_400, **fields)
    charge.tell(6, 1_000_500)
    charge.tell(7, 1_000_600, **fields)
    assert charge.registers == [400, 500, 600]


@pytest.mark.parametrize("number", [10**9, 2**63, 10**30])
def test_readings_of_an_unknown_transaction_are_kept_without_a_session(house: House, number: int) -> None:
    charge = Charge(house)
    assert charge.tell(5, 1_000_400, transactionId=number) == {}
    assert charge.energy_wh == 0
    assert charge.tell(5, 99, connectorId=0, transactionId=None) == {}
    assert charge.tell(5, 99, connectorId=77, transactionId=None) == {}
    query = select(MeterReading).where(MeterReading.charge_point_id == charge.charge_point.id)
    kept = list(house.again().scalars(query.order_by(MeterReading.id)))
    assert [(row.session_id, row.raw_register_wh) for row in kept] == [(None, 1_000_400), (None, 99), (None, 99)]
    assert [row.flags for row in kept] == [["unknown_transaction"], [], []]


def test_an_idle_meter_does_not_keep_a_session_alive_and_a_rising_one_does(house: House) -> None:
    charge = Charge(house)
    charge.tell(5, 1_000_400)
    alive_at = house.charge(charge.number).last_activity_at
    charge.tell(10, 1_000_400, transactionId=None)
    assert house.charge(charge.number).last_activity_at == alive_at
    charge.tell(15, 1_000_500, transactionId=None)
    assert house.charge(charge.number).last_activity_at > alive_at


def test_what_was_acknowledged_is_on_disk(house: House) -> None:
    charge = Charge(house)
    for minute in range(1, 6):
        charge.tell(minute, 1_000_000 + minute * 100)
        assert charge.registers == [100 * n for n in range(1, minute + 1)]
