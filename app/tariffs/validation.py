"""What is wrong with a tariff, field by field, in words. Manual, "Creating a Tariff".

For the form and for the provisioning file alike; what passes here passes the database's constraints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import time
from decimal import Decimal
from typing import Any

from app.tariffs.models import Tariff, TariffType

_PRICES = (
    "price_per_session",
    "price_per_minute",
    "price_per_kwh",
    "connection_fee",
    "night_price_per_minute",
    "night_price_per_kwh",
    "idle_fee_per_minute",
)
#: amounts that are charged, or compared with a balance, as they are; a price per minute or kWh may be finer
_WHOLE_MINOR = ("price_per_session", "connection_fee")
_AMOUNTS = ("stop_below_preauthorization", "minimum_balance_to_start", "auto_stop_amount")
_RESTRICTIONS = ("for_owner_users", "for_roaming_users", "for_ad_hoc_users", "partners", "user_groups")
_PRICE_LIMIT = Decimal(1_000_000)
_MINUTES_LIMIT = 525_600  # a year
_ENERGY_LIMIT_KWH = Decimal(1_000_000)
_GRACE_LIMIT_MINUTES = 32_767
_POWER_LIMIT_W = 10_000_000


def values_of(tariff: Tariff) -> dict[str, Any]:
    """A tariff's fields as ``validate_tariff`` takes them."""
    names = (
        "name",
        "type",
        "is_base",
        "day_starts",
        "night_starts",
        "levels",
        "idle_grace_minutes",
        "max_minutes",
        "max_energy_kwh",
        "learn_more_url",
        *_PRICES,
        *_AMOUNTS,
        *_RESTRICTIONS,
    )
    return {name: getattr(tariff, name) for name in names}


def validate_tariff(values: Mapping[str, Any], *, currency_decimals: int | None = None) -> dict[str, str]:
    """Field → what is wrong with it; empty when the tariff can be saved.

    ``values`` has the names of the model's columns, and ``levels``, a sequence of objects or mappings with
    max_power_w (W) and price_per_minute; messages about one level have the key ``levels``. What is not there is
    blank. Fields of other types than the tariff's are checked for range only. ``currency_decimals``: how many decimals
    an amount of the currency has; None where the currency is not known.
    """
    errors: dict[str, str] = {}
    for field, message in _problems(values, currency_decimals):
        errors.setdefault(field, message)
    return errors


def _problems(values: Mapping[str, Any], currency_decimals: int | None) -> Iterator[tuple[str, str]]:
    name = values.get("name") or ""
    if not name.strip():
        yield "name", "a name is required"
    elif len(name) > 255:
        yield "name", "at most 255 characters are expected"
    for field in _PRICES:
        decimals = currency_decimals if field in _WHOLE_MINOR else None
        yield from _range(field, values.get(field), 6 if decimals is None else decimals, _PRICE_LIMIT)
    for field in _AMOUNTS:
        yield from _range(field, values.get(field), 4 if currency_decimals is None else currency_decimals, _PRICE_LIMIT)
    yield from _of_type(values)
    yield from _stops(values)
    yield from _balances(values)
    yield from _links(values)
    if values.get("is_base"):
        for field in _RESTRICTIONS:
            if values.get(field):
                yield field, "the base tariff applies to everybody and cannot be restricted"


def _of_type(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        kind = TariffType(values["type"])
    except (KeyError, ValueError):
        yield "type", f"one of {', '.join(TariffType)} is expected"
        return
    if kind is TariffType.FLAT and values.get("price_per_session") is None:
        yield "price_per_session", "a flat rate needs a price per session"
    if kind is TariffType.DURATION_ENERGY_TOD:
        yield from _times(values)
    levels = values.get("levels") or ()
    if kind is TariffType.POWER_LEVELS and not levels:
        yield "levels", "at least one power level is required"
    yield from _levels(levels)


def _times(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field, period in (("day_starts", "day"), ("night_starts", "night")):
        if not isinstance(values.get(field), time):
            yield field, f"the time at which the {period} tariff starts is required"
    if values.get("day_starts") is not None and values.get("day_starts") == values.get("night_starts"):
        yield "night_starts", "day and night cannot start at the same time"


def _levels(levels: Sequence[Any]) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, level in enumerate(levels, start=1):
        max_power_w, price = _part(level, "max_power_w"), _part(level, "price_per_minute")
        if max_power_w is None or not 0 < max_power_w <= _POWER_LIMIT_W:
            yield "levels", f"power level {number}: a maximum average power above 0 kW is required"
        elif max_power_w in seen:
            yield "levels", f"power level {number}: another level has the same maximum average power"
        if price is None:
            yield "levels", f"power level {number}: a price per minute is required"
        for _, message in _range("levels", price, 6, _PRICE_LIMIT):
            yield "levels", f"power level {number}: {message}"
        seen.add(max_power_w)


def _part(level: Any, name: str) -> Any:
    return level.get(name) if isinstance(level, Mapping) else getattr(level, name)


def _stops(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    minutes = values.get("max_minutes")
    if minutes is not None and not 0 < minutes <= _MINUTES_LIMIT:
        yield "max_minutes", f"minutes between 1 and {_MINUTES_LIMIT} are expected"
    grace = values.get("idle_grace_minutes")
    if grace is not None and not 0 <= grace <= _GRACE_LIMIT_MINUTES:
        yield "idle_grace_minutes", f"minutes between 0 and {_GRACE_LIMIT_MINUTES} are expected"
    energy_kwh = values.get("max_energy_kwh")
    if energy_kwh is not None:
        if energy_kwh <= 0:
            yield "max_energy_kwh", "an energy above 0 kWh is expected"
        yield from _range("max_energy_kwh", energy_kwh, 3, _ENERGY_LIMIT_KWH)


def _balances(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    least, left = values.get("minimum_balance_to_start"), values.get("auto_stop_amount")
    if least is not None and left is not None and left >= least:
        yield (
            "auto_stop_amount",
            "a session that starts with the minimum balance would stop at once: less than that minimum is expected",
        )


def _links(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for url in (values.get("learn_more_url") or {}).values():
        if url and not url.startswith(("https://", "http://")):
            yield "learn_more_url", "an address that begins with https:// is expected"


def _range(field: str, number: Decimal | None, decimals: int, limit: Decimal) -> Iterator[tuple[str, str]]:
    if number is None:
        return
    if not number.is_finite() or number < 0:
        yield field, "a number that is not negative is expected"
    elif number >= limit:
        yield field, f"a number below {limit} is expected"
    elif number != round(number, decimals):
        yield field, f"at most {decimals} decimals are expected" if decimals else "a whole number is expected"
