"""What a charge costs: tariff snapshot, meter readings and times in, priced lines out. Pure functions.

snapshots  the five types of tariff as they were when the session started (manual, "Tariffs > Pricing")
codec      the same as JSON, so that a session can be priced again next year
periods    day and night by the wall clock of the location, also on days of 23 and 25 hours
lines      readings, priced lines and their total
session    the pricing itself
"""

from app.tariffs.pricing.codec import SCHEMA, snapshot_from_json, snapshot_to_json
from app.tariffs.pricing.lines import LineKind, PricedSession, PriceLine, Reading, Unit, total_of
from app.tariffs.pricing.session import FallingRegister, NegativeDuration, UnorderedReadings, price_session
from app.tariffs.pricing.snapshots import (
    DurationEnergyTariff,
    FlatTariff,
    FreeTariff,
    InvalidTariffSnapshot,
    MissingPrice,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    TariffSnapshot,
    TariffType,
    TimeOfDayTariff,
)

__all__ = [
    "SCHEMA",
    "DurationEnergyTariff",
    "FallingRegister",
    "FlatTariff",
    "FreeTariff",
    "InvalidTariffSnapshot",
    "LineKind",
    "MissingPrice",
    "NegativeDuration",
    "PeriodPrices",
    "PowerLevel",
    "PowerLevelsTariff",
    "PriceLine",
    "PricedSession",
    "Reading",
    "TariffSnapshot",
    "TariffType",
    "TimeOfDayTariff",
    "Unit",
    "UnorderedReadings",
    "price_session",
    "snapshot_from_json",
    "snapshot_to_json",
    "total_of",
]
