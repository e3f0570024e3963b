"""From a station's start to the CSV: what was billed is what a second calculator makes of the exported readings."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.charging import clockwork, price_reasons
from app.charging.models import ChargingSession, MeterReading
from app.core.clock import utcnow
from app.exports import stream_csv
from app.tariffs.models import TariffPowerLevel, TariffType
from tests.support.charging import start, stop, tag_of
from tests.support.gateway import Cast, people
from tests.unit.independent_prices import bill

__all__ = ["people"]  # a fixture

#: the night on which clocks go back in Sofia, two hours before it begins
EVENING = datetime(2026, 10, 24, 19, 12, 34, tzinfo=UTC)
TARIFFS: dict[str, dict[str, Any]] = {
    "free": {"type": TariffType.FREE},
    "flat": {"type": TariffType.FLAT, "price_per_session": Decimal("4.99")},
    "duration and energy": {
        "type": TariffType.DURATION_ENERGY,
        "price_per_minute": Decimal("0.0123"),
        "price_per_kwh": Decimal("0.3875"),
        "connection_fee": Decimal("0.35"),
        "idle_fee_per_minute": Decimal("0.05"),
        "idle_grace_minutes": 10,
    },
    "time of day": {
        "type": TariffType.DURATION_ENERGY_TOD,
        "price_per_minute": Decimal("0.02"),
        "price_per_kwh": Decimal("0.4567"),
        "night_price_per_minute": Decimal("0.011"),
        "night_price_per_kwh": Decimal("0.2345"),
        "day_starts": time(3, 30),
        "night_starts": time(23),
    },
    "power levels": {"type": TariffType.POWER_LEVELS},
}


def exported(session: Session, name: str) -> list[dict[str, str]]:
    content = b"".join(stream_csv(session, name)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content)))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize("kind", TARIFFS)
def test_the_exported_readings_make_the_exported_total(people: Cast, kind: str) -> None:
    """Would catch a price that rests on something else than what is told to other programs."""
    group = people.tariff_group(**TARIFFS[kind])
    if kind == "power levels":
        levels = ((4000, "0.10"), (11000, "0.12"), (22000, "0.15"))
        for power_w, price in levels:
            group.tariffs[0].levels.append(TariffPowerLevel(max_power_w=power_w, price_per_minute=Decimal(price)))
    station = people.station(group=group)
    number = start(people, station, tag_of(people.driver()), reported_at=EVENING, now=EVENING).session_id
    row = people.charge(number)
    for minutes, energy_wh in ((31, 3700), (229, 17411), (391, 31007)):
        people.session.add(
            MeterReading(
                received_at=utcnow(),
                partner_id=1,
                charge_point_id=station.id,
                evse_id=row.evse_id,
                session_id=row.id,
                measured_at=EVENING + timedelta(minutes=minutes, seconds=7),
                register_wh=Decimal(energy_wh),
                raw_register_wh=Decimal(1000 + energy_wh),
            )
        )
    row.energy_wh, row.last_raw_wh = Decimal(31007), Decimal(32007)
    row.charging_ended_at = EVENING + timedelta(hours=7)
    people.session.commit()
    over = EVENING + timedelta(hours=8, seconds=11)
    stop(people, station, session_id=number, meter_stop_wh=Decimal(33_345), reported_at=over, now=over)
    clockwork.bill(people.session, session_id=number, now=over)
    people.session.commit()

    told = next(line for line in exported(people.session, "sessions") if line["id"] == str(number))
    began, ended = at(told["started_at"]), at(told["stopped_at"])
    readings = [
        (at(line["measured_at"]), Decimal(line["energy_wh"]))
        for line in exported(people.session, "meter-readings")
        if line["session_id"] == str(number) and began < at(line["measured_at"]) < ended
    ]
    series = [(began, Decimal(0)), *sorted(readings), (ended, Decimal(told["energy_kwh"]) * 1000)]
    stored = people.session.scalars(select(ChargingSession).where(ChargingSession.id == number)).one()
    assert stored.tariff_snapshot is not None
    other = bill(stored.tariff_snapshot, began, ended, series, stored.charging_ended_at)
    assert [round(Decimal(told[name]) * 100) for name in ("total_gross", "total_net", "total_vat")] == [
        other.gross,
        other.net,
        other.vat,
    ]
    assert (other.gross == 0) is (kind == "free")
    words = list(price_reasons.in_words(people.session, stored))
    assert any(line.startswith("Tariff: Base") and "Europe/Sofia" in line for line in words)
    assert any(": taken. The base tariff applies to everybody" in line for line in words)
    assert f"Readings behind it: {len(series)}" in words
