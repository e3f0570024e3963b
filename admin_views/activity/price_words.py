"""A session's tariff snapshot in words, as the page shows it. Manual, "Tariffs > Pricing"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from admin_views import formats
from app.tariffs.models import TariffType as StoredType
from app.tariffs.pricing import (
    DurationEnergyTariff,
    FlatTariff,
    InvalidTariffSnapshot,
    PeriodPrices,
    PowerLevelsTariff,
    TariffSnapshot,
    TimeOfDayTariff,
    snapshot_from_json,
)

Term = tuple[str, Any]


def terms(stored: Mapping[str, Any]) -> list[Term]:
    """What the snapshot charges, line by line; one line that says so when it cannot be read."""
    try:
        snapshot = snapshot_from_json(stored)
    except InvalidTariffSnapshot as error:
        return [("Tariff", f"The snapshot cannot be read: {error}")]
    return list(_terms(snapshot))


def _terms(snapshot: TariffSnapshot) -> Iterator[Term]:
    money = snapshot.currency.code
    yield "Tariff", snapshot.name
    yield "Type", StoredType(str(snapshot.type)).label
    match snapshot:
        case FlatTariff():
            yield "Price per session", formats.money(snapshot.price_per_session, money)
        case DurationEnergyTariff():
            yield from _fee(snapshot.connection_fee, money)
            yield "Price per minute", _rate(snapshot.price_per_minute, money, "min")
            yield "Price per kWh", _rate(snapshot.price_per_kwh, money, "kWh")
        case TimeOfDayTariff():
            yield from _fee(snapshot.connection_fee, money)
            yield from _period("Day", f"from {snapshot.day_starts:%H:%M}", snapshot.day, money)
            yield from _period("Night", f"from {snapshot.night_starts:%H:%M}", snapshot.night, money)
            yield "Clock", snapshot.timezone
        case PowerLevelsTariff():
            for level in snapshot.levels:
                yield (
                    f"Up to {formats.power(level.max_power_w)} on average",
                    _rate(level.price_per_minute, money, "min"),
                )
    if snapshot.idle_fee_per_minute:
        grace = f" after {snapshot.idle_grace_minutes} min" if snapshot.idle_grace_minutes else ""
        yield f"Idle fee{grace}", _rate(snapshot.idle_fee_per_minute, money, "min")
    yield "VAT included", formats.vat(snapshot.vat_percent)
    yield "Revision", str(snapshot.version)


def _fee(fee: Decimal | None, money: str) -> Iterator[Term]:
    if fee:
        yield "Connection fee", formats.money(fee, money)


def _rate(price: Decimal | None, money: str, unit: str) -> str:
    return str(formats.rate(price or Decimal(0), money, unit))


def _period(name: str, since: str, prices: PeriodPrices, money: str) -> Iterator[Term]:
    yield (
        f"{name} {since}",
        f"{_rate(prices.price_per_minute, money, 'min')}, {_rate(prices.price_per_kwh, money, 'kWh')}",
    )
