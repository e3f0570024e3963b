"""The calculator on a tariff's page: a charge that somebody imagines, priced as a real one would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.core import rates, settings
from app.core.clock import utcnow
from app.tariffs.models import Tariff
from app.tariffs.preview import Charge, Contradiction, imagine, preview, wall_clock
from app.tariffs.pricing import InvalidTariffSnapshot, MissingPrice, PricedSession, TariffSnapshot
from app.tariffs.snapshots import snapshot_of

FIELDS = ("starts", "energy", "minutes", "power", "idle")
#: what is in the form when it is opened: an evening's charge at a 7.4 kW socket
OPENED: Mapping[str, str] = {"energy": "7.4", "minutes": "60", "power": "", "idle": "0"}
_LARGEST = Decimal(10**9)


@dataclass
class Calculation:
    """The form as it was sent, and what came of it: a price, or what is wrong with which field ("" for the whole)."""

    values: dict[str, str]
    timezone: str
    mistakes: dict[str, str] = field(default_factory=dict)
    charge: Charge | None = None
    priced: PricedSession | None = None


def calculate(session: Session, tariff: Tariff, arguments: Mapping[str, str]) -> Calculation:
    """Price what the form says by the tariff as it is now, in the system's time zone."""
    timezone = settings.get_text(session, "system.timezone")
    if "starts" in arguments:
        values = {name: arguments.get(name, "").strip() for name in FIELDS}
    else:
        values = {**OPENED, "starts": f"{utcnow().astimezone(ZoneInfo(timezone)):%Y-%m-%d} 18:00"}
    result = Calculation(values, timezone)
    starts_at = _moment(result)
    numbers = {name: _number(result, name) for name in FIELDS[1:]}
    if result.mistakes or starts_at is None:
        return result
    try:
        result.charge = imagine(
            starts_at=starts_at,
            energy_kwh=numbers["energy"],
            charging_minutes=numbers["minutes"],
            power_kw=numbers["power"],
            idle_minutes=numbers["idle"] or Decimal(0),
        )
        result.priced = preview(_snapshot(session, tariff, timezone), result.charge)
    except Contradiction as error:
        result.mistakes[""] = str(error)
    except (MissingPrice, InvalidTariffSnapshot, rates.MissingRate) as error:
        result.mistakes[""] = f"This tariff cannot be priced: {error}"
    return result


def _moment(result: Calculation) -> datetime | None:
    try:
        return wall_clock(result.values["starts"], result.timezone)
    except (ValueError, OverflowError):
        result.mistakes["starts"] = "A date and time such as 2026-03-29 18:00 is expected."
        return None


def _number(result: Calculation, name: str) -> Decimal | None:
    text = result.values[name].replace(",", ".")
    if not text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > _LARGEST:
        result.mistakes[name] = "A number is expected."
        return None
    return number


def _snapshot(session: Session, tariff: Tariff, timezone: str) -> TariffSnapshot:
    currency, vat_percent = rates.price_terms(session)
    return snapshot_of(tariff, currency=currency, vat_percent=vat_percent, timezone=timezone)
