"""Tariffs as they were when a session started: frozen, typed, checked when made.

Prices include VAT (manual, "VAT"). A price of None was left blank by the operator; what a blank means depends
on the type of tariff and is decided where the price is used. Grace is in minutes, power in W, time of day is
the wall clock of the location.
"""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.core.money import Currency


class InvalidTariffSnapshot(ValueError):
    """The snapshot cannot be what a tariff was: a field is missing, unknown, or out of its range."""


class MissingPrice(ValueError):
    """The tariff has no price where its type needs one. Never read as 0."""


class TariffType(StrEnum):
    """The types of the manual's chapter "Tariffs > Pricing", by their names in files and database."""

    FREE = "free"
    FLAT = "flat"
    DURATION_ENERGY = "duration_energy"
    DURATION_ENERGY_TOD = "duration_energy_tod"
    POWER_LEVELS = "power_levels"

    @property
    def label(self) -> str:
        """The manual's name of the type."""
        return _TYPE_LABELS[self]


_TYPE_LABELS = {
    TariffType.FREE: "Free",
    TariffType.FLAT: "Flat rate",
    TariffType.DURATION_ENERGY: "Duration + energy",
    TariffType.DURATION_ENERGY_TOD: "Duration + energy TOD",
    TariffType.POWER_LEVELS: "Power levels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffSnapshot:
    """What all types have in common.

    tariff_id is None for the "Free" an operator chooses when starting a session: no tariff of any list.
    The idle fee is per minute, charged after `idle_grace_minutes` once charging has stopped; None is no fee.
    Raises InvalidTariffSnapshot.
    """

    type: ClassVar[TariffType]

    tariff_id: int | None
    version: int
    name: str
    currency: Currency
    vat_percent: Decimal
    timezone: str
    idle_fee_per_minute: Decimal | None = None
    idle_grace_minutes: int = 0

    def __post_init__(self) -> None:
        _check_common(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeTariff(TariffSnapshot):
    """Type A: the charge costs nothing."""

    type: ClassVar[TariffType] = TariffType.FREE


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTariff(TariffSnapshot):
    """Type B: one price per session, whatever its energy or duration. A blank price cannot be charged."""

    type: ClassVar[TariffType] = TariffType.FLAT

    price_per_session: Decimal | None

    def __post_init__(self) -> None:
        _check_common(self)
        _check_price(self.price_per_session, "price_per_session")


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationEnergyTariff(TariffSnapshot):
    """Type C: per minute, per kWh, and a connection fee. "An empty field is set to 0"."""

    type: ClassVar[TariffType] = TariffType.DURATION_ENERGY

    price_per_minute: Decimal | None = None
    price_per_kwh: Decimal | None = None
    connection_fee: Decimal | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        _check_price(self.price_per_minute, "price_per_minute")
        _check_price(self.price_per_kwh, "price_per_kwh")
        _check_price(self.connection_fee, "connection_fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodPrices:
    """The prices of the day or of the night; a blank one is not charged."""

    price_per_minute: Decimal | None = None
    price_per_kwh: Decimal | None = None

    def __post_init__(self) -> None:
        _check_price(self.price_per_minute, "price_per_minute")
        _check_price(self.price_per_kwh, "price_per_kwh")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOfDayTariff(TariffSnapshot):
    """Type D: prices by day and by night, which start at these times of the location's wall clock."""

    type: ClassVar[TariffType] = TariffType.DURATION_ENERGY_TOD

    day_starts: time
    night_starts: time
    day: PeriodPrices
    night: PeriodPrices
    connection_fee: Decimal | None = None

    def __post_init__(self) -> None:
        _check_common(self)
        _check_price(self.connection_fee, "connection_fee")
        for name, starts in (("day_starts", self.day_starts), ("night_starts", self.night_starts)):
            if not isinstance(starts, time) or starts.tzinfo is not None or starts.microsecond:
                raise InvalidTariffSnapshot(f"{name} is a wall-clock time in whole seconds, not {starts!r}")
        if self.day_starts == self.night_starts:
            raise InvalidTariffSnapshot(f"Day and night both start at {self.day_starts}")
        for name, prices in (("day", self.day), ("night", self.night)):
            if not isinstance(prices, PeriodPrices):
                raise InvalidTariffSnapshot(f"The prices of the {name} are missing")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            # ValueError and OSError: names that are no relative path, or name a folder of the database.
            raise InvalidTariffSnapshot(f"Unknown time zone {self.timezone!r}") from error


@dataclass(frozen=True, slots=True)
class PowerLevel:
    """Up to and including this average power (W) a minute costs this much."""

    max_power_w: int
    price_per_minute: Decimal | None

    def __post_init__(self) -> None:
        if not _is_whole(self.max_power_w) or self.max_power_w <= 0:
            raise InvalidTariffSnapshot(f"A power level's maximum is whole W above 0, not {self.max_power_w!r}")
        _check_price(self.price_per_minute, "price_per_minute")


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLevelsTariff(TariffSnapshot):
    """Type E: a price per minute that depends on the average power of the whole session."""

    type: ClassVar[TariffType] = TariffType.POWER_LEVELS

    levels: tuple[PowerLevel, ...]

    def __post_init__(self) -> None:
        _check_common(self)
        if not isinstance(self.levels, tuple) or not all(isinstance(level, PowerLevel) for level in self.levels):
            raise InvalidTariffSnapshot("levels is a tuple of power levels")
        if len({level.max_power_w for level in self.levels}) < len(self.levels):
            raise InvalidTariffSnapshot("Two power levels have the same maximum")


def _check_common(snapshot: TariffSnapshot) -> None:
    if not hasattr(snapshot, "type"):
        raise InvalidTariffSnapshot("A tariff snapshot has a type; this one has none")
    if snapshot.tariff_id is not None and not _is_whole(snapshot.tariff_id):
        raise InvalidTariffSnapshot(f"tariff_id is a whole number, not {snapshot.tariff_id!r}")
    if not _is_whole(snapshot.version):
        raise InvalidTariffSnapshot(f"version is a whole number, not {snapshot.version!r}")
    for name, text in (("name", snapshot.name), ("timezone", snapshot.timezone)):
        if not isinstance(text, str) or not text:
            raise InvalidTariffSnapshot(f"{name} is missing")
    if not isinstance(snapshot.currency, Currency):
        raise InvalidTariffSnapshot("currency is missing")
    _check_price(snapshot.vat_percent, "vat_percent", required=True)
    _check_price(snapshot.idle_fee_per_minute, "idle_fee_per_minute")
    if not _is_whole(snapshot.idle_grace_minutes) or snapshot.idle_grace_minutes < 0:
        raise InvalidTariffSnapshot(f"idle_grace_minutes is a whole number, not {snapshot.idle_grace_minutes!r}")


def _check_price(price: object, name: str, *, required: bool = False) -> None:
    if price is None and not required:
        return
    if not isinstance(price, Decimal):
        raise InvalidTariffSnapshot(f"{name} is Decimal, not {price!r}")
    if not price.is_finite() or price < 0:
        raise InvalidTariffSnapshot(f"{name} is not negative, but {price} is")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
