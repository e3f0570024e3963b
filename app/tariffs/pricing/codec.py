"""Tariff snapshots as JSON: what is stored with every session, and read back when it is priced again.

Decimals are strings, keys are always all there and always the same, `schema` says which set of keys it is.
Nothing is guessed when reading: a missing or unknown key means that this is not the tariff that was.
"""

from collections.abc import Callable, Mapping
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any

from app.core.money import Currency
from app.tariffs.pricing.snapshots import (
    DurationEnergyTariff,
    FlatTariff,
    FreeTariff,
    InvalidTariffSnapshot,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    TariffSnapshot,
    TariffType,
    TimeOfDayTariff,
)

SCHEMA = 1

_KEYS = (
    "schema",
    "type",
    "tariff_id",
    "version",
    "name",
    "currency",
    "vat_percent",
    "timezone",
    "idle",
    "prices",
)


def snapshot_to_json(snapshot: TariffSnapshot) -> dict[str, Any]:
    """The snapshot as a dictionary of plain JSON values."""
    return {
        "schema": SCHEMA,
        "type": str(snapshot.type),
        "tariff_id": snapshot.tariff_id,
        "version": snapshot.version,
        "name": snapshot.name,
        "currency": {
            "code": snapshot.currency.code,
            "exponent": snapshot.currency.exponent,
            "symbol": snapshot.currency.symbol,
        },
        "vat_percent": _text(snapshot.vat_percent),
        "timezone": snapshot.timezone,
        "idle": {
            "fee_per_minute": _text(snapshot.idle_fee_per_minute),
            "grace_minutes": snapshot.idle_grace_minutes,
        },
        "prices": _prices_to_json(snapshot),
    }


def snapshot_from_json(data: Mapping[str, Any]) -> TariffSnapshot:
    """The snapshot that was written by `snapshot_to_json`.

    Raises InvalidTariffSnapshot for a missing or unknown key, type, schema, currency or a malformed number.
    """
    fields = _take(data, "snapshot", _KEYS)
    if fields["schema"] != SCHEMA:
        raise InvalidTariffSnapshot(f"Unknown schema {fields['schema']!r} of a tariff snapshot")
    try:
        tariff_type = TariffType(fields["type"])
    except ValueError as error:
        raise InvalidTariffSnapshot(f"Unknown type of tariff {fields['type']!r}") from error
    idle = _take(fields["idle"], "idle", ("fee_per_minute", "grace_minutes"))
    common = {
        "tariff_id": fields["tariff_id"],
        "version": fields["version"],
        "name": fields["name"],
        "currency": _currency(fields["currency"]),
        "vat_percent": _decimal(fields["vat_percent"], "vat_percent"),
        "timezone": fields["timezone"],
        "idle_fee_per_minute": _decimal(idle["fee_per_minute"], "idle.fee_per_minute"),
        "idle_grace_minutes": idle["grace_minutes"],
    }
    return _READERS[tariff_type](common, fields["prices"])


def _prices_to_json(snapshot: TariffSnapshot) -> dict[str, Any]:
    match snapshot:
        case FreeTariff():
            return {}
        case FlatTariff():
            return {"price_per_session": _text(snapshot.price_per_session)}
        case DurationEnergyTariff():
            return {
                "price_per_minute": _text(snapshot.price_per_minute),
                "price_per_kwh": _text(snapshot.price_per_kwh),
                "connection_fee": _text(snapshot.connection_fee),
            }
        case TimeOfDayTariff():
            return {
                "day_starts": snapshot.day_starts.isoformat(),
                "night_starts": snapshot.night_starts.isoformat(),
                "day": _period_to_json(snapshot.day),
                "night": _period_to_json(snapshot.night),
                "connection_fee": _text(snapshot.connection_fee),
            }
        case PowerLevelsTariff():
            return {
                "levels": [
                    {"max_power_w": level.max_power_w, "price_per_minute": _text(level.price_per_minute)}
                    for level in snapshot.levels
                ]
            }
    raise InvalidTariffSnapshot(f"{type(snapshot).__name__} is no type of tariff")


def _period_to_json(prices: PeriodPrices) -> dict[str, str | None]:
    return {"price_per_minute": _text(prices.price_per_minute), "price_per_kwh": _text(prices.price_per_kwh)}


def _read_free(common: dict[str, Any], prices: object) -> TariffSnapshot:
    _take(prices, "prices", ())
    return FreeTariff(**common)


def _read_flat(common: dict[str, Any], prices: object) -> TariffSnapshot:
    fields = _take(prices, "prices", ("price_per_session",))
    return FlatTariff(**common, price_per_session=_decimal(fields["price_per_session"], "price_per_session"))


def _read_duration_energy(common: dict[str, Any], prices: object) -> TariffSnapshot:
    fields = _take(prices, "prices", ("price_per_minute", "price_per_kwh", "connection_fee"))
    return DurationEnergyTariff(
        **common,
        price_per_minute=_decimal(fields["price_per_minute"], "price_per_minute"),
        price_per_kwh=_decimal(fields["price_per_kwh"], "price_per_kwh"),
        connection_fee=_decimal(fields["connection_fee"], "connection_fee"),
    )


def _read_time_of_day(common: dict[str, Any], prices: object) -> TariffSnapshot:
    fields = _take(prices, "prices", ("day_starts", "night_starts", "day", "night", "connection_fee"))
    return TimeOfDayTariff(
        **common,
        day_starts=_time(fields["day_starts"], "day_starts"),
        night_starts=_time(fields["night_starts"], "night_starts"),
        day=_period(fields["day"], "day"),
        night=_period(fields["night"], "night"),
        connection_fee=_decimal(fields["connection_fee"], "connection_fee"),
    )


def _read_power_levels(common: dict[str, Any], prices: object) -> TariffSnapshot:
    levels = _take(prices, "prices", ("levels",))["levels"]
    if not isinstance(levels, list):
        raise InvalidTariffSnapshot(f"levels is a list, not {levels!r}")
    return PowerLevelsTariff(**common, levels=tuple(_level(level) for level in levels))


_READERS: dict[TariffType, Callable[[dict[str, Any], object], TariffSnapshot]] = {
    TariffType.FREE: _read_free,
    TariffType.FLAT: _read_flat,
    TariffType.DURATION_ENERGY: _read_duration_energy,
    TariffType.DURATION_ENERGY_TOD: _read_time_of_day,
    TariffType.POWER_LEVELS: _read_power_levels,
}


def _level(data: object) -> PowerLevel:
    fields = _take(data, "level", ("max_power_w", "price_per_minute"))
    return PowerLevel(fields["max_power_w"], _decimal(fields["price_per_minute"], "price_per_minute"))


def _period(data: object, name: str) -> PeriodPrices:
    fields = _take(data, name, ("price_per_minute", "price_per_kwh"))
    return PeriodPrices(
        price_per_minute=_decimal(fields["price_per_minute"], f"{name}.price_per_minute"),
        price_per_kwh=_decimal(fields["price_per_kwh"], f"{name}.price_per_kwh"),
    )


def _currency(data: object) -> Currency:
    fields = _take(data, "currency", ("code", "exponent", "symbol"))
    try:
        return Currency(fields["code"], fields["exponent"], fields["symbol"])
    except (TypeError, ValueError) as error:
        raise InvalidTariffSnapshot(str(error)) from error


def _take(data: object, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """The mapping, if it has exactly these keys."""
    if not isinstance(data, Mapping):
        raise InvalidTariffSnapshot(f"{where} is missing or no object")
    wrong = set(keys).symmetric_difference(data)
    if wrong:
        raise InvalidTariffSnapshot(f"Missing or unknown in {where}: {', '.join(sorted(map(str, wrong)))}")
    return data


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def _decimal(text: object, name: str) -> Decimal | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise InvalidTariffSnapshot(f"{name} is a number written as text, not {text!r}")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise InvalidTariffSnapshot(f"{name} is no number: {text!r}") from error


def _time(text: object, name: str) -> time:
    if not isinstance(text, str):
        raise InvalidTariffSnapshot(f"{name} is a time written as text, not {text!r}")
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise InvalidTariffSnapshot(f"{name} is no time of day: {text!r}") from error
