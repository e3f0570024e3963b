"""From a stored tariff to what pricing works with, and to words for the operator.

Manual, "Tariffs > Pricing" (types A to E) and the price column of "Tariff Group Details".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from app.core.models import CurrencyRow
from app.core.money import Currency
from app.tariffs.models import Tariff, TariffType
from app.tariffs.pricing import (
    DurationEnergyTariff,
    FlatTariff,
    FreeTariff,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    TariffSnapshot,
    TimeOfDayTariff,
)
from app.tariffs.validation import validate_tariff

__all__ = [
    "CHARGED_FIELDS",
    "STOP_FIELDS",
    "charged_terms",
    "currency_of",
    "price_in_words",
    "snapshot_of",
    "validate_tariff",
    "versioned_terms",
]

_FREE = "Free"

#: the fields that decide what a charge costs
CHARGED_FIELDS = (
    "type",
    "price_per_session",
    "price_per_minute",
    "price_per_kwh",
    "connection_fee",
    "day_starts",
    "night_starts",
    "night_price_per_minute",
    "night_price_per_kwh",
    "idle_fee_per_minute",
    "idle_grace_minutes",
)

#: the fields of "Stop Session": what a session needs to start, and what stops it
STOP_FIELDS = (
    "max_minutes",
    "max_energy_kwh",
    "stop_below_preauthorization",
    "minimum_balance_to_start",
    "auto_stop_amount",
)


def versioned_terms(tariff: Tariff) -> dict[str, Any]:
    """What makes a version of a tariff: what it charges and when it stops. When that changes, ``Tariff.revision``
    counts up. Compare before and after an edit."""
    return {**charged_terms(tariff), **{name: getattr(tariff, name) for name in STOP_FIELDS}}


def charged_terms(tariff: Tariff) -> dict[str, Any]:
    """What a charge by this tariff costs, as comparable values."""
    terms = {name: getattr(tariff, name) for name in CHARGED_FIELDS}
    terms["levels"] = sorted((level.max_power_w, level.price_per_minute) for level in tariff.levels)
    return terms


def currency_of(row: CurrencyRow) -> Currency:
    """The currency as pricing knows it."""
    return Currency(row.code, row.exponent, row.symbol)


def snapshot_of(tariff: Tariff, *, currency: CurrencyRow, vat_percent: Decimal, timezone: str) -> TariffSnapshot:
    """The tariff as it is now, for a session to keep. ``timezone`` is the location's.

    Fields of other types than the tariff's are left out. Raises InvalidTariffSnapshot. A flat rate without a
    price raises only when it is priced.
    """
    common: dict[str, Any] = {
        "tariff_id": tariff.id,
        "version": 1 if tariff.revision is None else tariff.revision,
        "name": tariff.name,
        "currency": currency_of(currency),
        "vat_percent": _tidy(vat_percent),
        "timezone": timezone,
        "idle_fee_per_minute": _tidy(tariff.idle_fee_per_minute),
        "idle_grace_minutes": tariff.idle_grace_minutes or 0,
    }
    match tariff.type:
        case TariffType.FREE:
            return FreeTariff(**common)
        case TariffType.FLAT:
            return FlatTariff(**common, price_per_session=_tidy(tariff.price_per_session))
        case TariffType.DURATION_ENERGY:
            return DurationEnergyTariff(
                **common,
                price_per_minute=_tidy(tariff.price_per_minute),
                price_per_kwh=_tidy(tariff.price_per_kwh),
                connection_fee=_tidy(tariff.connection_fee),
            )
        case TariffType.DURATION_ENERGY_TOD:
            return _time_of_day(tariff, common)
        case TariffType.POWER_LEVELS:
            return PowerLevelsTariff(
                **common,
                levels=tuple(
                    PowerLevel(level.max_power_w, _tidy(level.price_per_minute))
                    for level in sorted(tariff.levels, key=lambda level: level.max_power_w)
                ),
            )


def _time_of_day(tariff: Tariff, common: dict[str, Any]) -> TimeOfDayTariff:
    return TimeOfDayTariff(
        **common,
        day_starts=tariff.day_starts,  # type: ignore[arg-type]  # missing is told by the snapshot itself
        night_starts=tariff.night_starts,  # type: ignore[arg-type]
        day=PeriodPrices(price_per_minute=_tidy(tariff.price_per_minute), price_per_kwh=_tidy(tariff.price_per_kwh)),
        night=PeriodPrices(
            price_per_minute=_tidy(tariff.night_price_per_minute),
            price_per_kwh=_tidy(tariff.night_price_per_kwh),
        ),
        connection_fee=_tidy(tariff.connection_fee),
    )


def price_in_words(tariff: Tariff, currency: CurrencyRow) -> str:
    """The price as the lists show it: "€0.20/min, €0.20/kWh", "Free", "€0.10–0.15/min by power".

    A blank or zero price is left out; a tariff that charges nothing is "Free".
    """
    parts = [part for part in (*_parts(tariff, currency), _idle(tariff, currency)) if part]
    return ", ".join(parts) if parts else _FREE


def _parts(tariff: Tariff, currency: CurrencyRow) -> Iterator[str]:
    match tariff.type:
        case TariffType.FREE:
            return
        case TariffType.FLAT:
            yield _rate(tariff.price_per_session, "session", currency)
        case TariffType.DURATION_ENERGY:
            yield _connection_fee(tariff, currency)
            yield _rate(tariff.price_per_minute, "min", currency)
            yield _rate(tariff.price_per_kwh, "kWh", currency)
        case TariffType.DURATION_ENERGY_TOD:
            yield _connection_fee(tariff, currency)
            yield _periods(tariff, currency)
        case TariffType.POWER_LEVELS:
            yield _levels(tariff, currency)


def _connection_fee(tariff: Tariff, currency: CurrencyRow) -> str:
    return f"{_amount(tariff.connection_fee, currency)} connection fee" if tariff.connection_fee else ""


def _periods(tariff: Tariff, currency: CurrencyRow) -> str:
    day = _period(tariff.price_per_minute, tariff.price_per_kwh, currency)
    night = _period(tariff.night_price_per_minute, tariff.night_price_per_kwh, currency)
    if not day and not night:
        return ""
    return f"{day or 'free'} by day, {night or 'free'} by night"


def _period(per_minute: Decimal | None, per_kwh: Decimal | None, currency: CurrencyRow) -> str:
    rates = (_rate(per_minute, "min", currency), _rate(per_kwh, "kWh", currency))
    return " + ".join(rate for rate in rates if rate)


def _levels(tariff: Tariff, currency: CurrencyRow) -> str:
    prices = [level.price_per_minute for level in tariff.levels]
    if not any(prices):
        return ""
    lowest, highest = min(prices), max(prices)
    if lowest == highest:
        return f"{_amount(lowest, currency)}/min"
    low, high = _digits(lowest, currency), _digits(highest, currency)
    return f"{_with_symbol(f'{low}–{high}', currency)}/min by power"


def _idle(tariff: Tariff, currency: CurrencyRow) -> str:
    if not tariff.idle_fee_per_minute:
        return ""
    grace = f" after {tariff.idle_grace_minutes} min" if tariff.idle_grace_minutes else ""
    return f"{_rate(tariff.idle_fee_per_minute, 'min', currency)} idle{grace}"


def _rate(price: Decimal | None, unit: str, currency: CurrencyRow) -> str:
    return f"{_amount(price, currency)}/{unit}" if price else ""


def _amount(price: Decimal | None, currency: CurrencyRow) -> str:
    return _with_symbol(_digits(price or Decimal(0), currency), currency)


def _digits(price: Decimal, currency: CurrencyRow) -> str:
    """With the decimals of the currency, or more where the price has more: 0.20, 0.025."""
    exact = price.normalize()
    return f"{exact:.{max(currency.exponent, -int(exact.as_tuple().exponent))}f}"


def _with_symbol(digits: str, currency: CurrencyRow) -> str:
    """€0.20, £0.20, NT$5; 0.20 лв.: a sign stands before the number, an abbreviation behind it."""
    if unicodedata.category(currency.symbol[-1]) == "Sc":
        return f"{currency.symbol}{digits}"
    return f"{digits} {currency.symbol}"


def _tidy(number: Decimal | None) -> Decimal | None:
    """Without the zeros the database pads with: 0.400000 is 0.4, 10.000 is 10."""
    if number is None:
        return None
    short = number.normalize()
    return short.quantize(Decimal(1)) if int(short.as_tuple().exponent) > 0 else short
