"""What a charge that has not happened would cost: the calculator of a tariff's page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from app.tariffs.pricing import PricedSession, Reading, TariffSnapshot, price_session

_HOUR_S = 3600
LONGEST = timedelta(days=31)
MOST_ENERGY_WH = Decimal(10_000_000)


class Contradiction(ValueError):
    """The quantities given do not make one charge; the message says what is missing or too much."""


@dataclass(frozen=True)
class Charge:
    """A charge as somebody imagines it: evenly charged for ``charging``, and parked for ``idle`` afterwards."""

    starts_at: datetime
    charging: timedelta
    energy_wh: Decimal
    idle: timedelta = timedelta(0)

    @property
    def power_w(self) -> Decimal:
        """Average power while charging, in W."""
        if not self.charging:
            return Decimal(0)
        return self.energy_wh * _HOUR_S / Decimal(self.charging.total_seconds())


def imagine(
    *,
    starts_at: datetime,
    energy_kwh: Decimal | None,
    charging_minutes: Decimal | None,
    power_kw: Decimal | None,
    idle_minutes: Decimal = Decimal(0),
) -> Charge:
    """The charge of any two of energy, time and average power; with all three they must agree to a hundredth.

    Raises Contradiction.
    """
    if not 2000 <= starts_at.year < 2200:
        raise Contradiction("A start that far away cannot be calculated.")
    given = [value for value in (energy_kwh, charging_minutes, power_kw) if value is not None]
    if any(value < 0 for value in given) or idle_minutes < 0:
        raise Contradiction("Nothing may be below 0.")
    if len(given) < 2:
        raise Contradiction("Enter two of energy, time and average power; the third follows from them.")
    if charging_minutes is None:
        assert energy_kwh is not None and power_kw is not None
        if not power_kw:
            raise Contradiction("Without power no energy is delivered; enter the time instead.")
        charging_minutes = energy_kwh / power_kw * 60
    elif energy_kwh is None:
        assert power_kw is not None
        energy_kwh = power_kw * charging_minutes / 60
    elif power_kw is not None and abs(power_kw * charging_minutes / 60 - energy_kwh) > max(
        energy_kwh / 100, Decimal("0.01")
    ):
        raise Contradiction("Energy, time and average power do not fit each other; leave one of them empty.")
    charge = Charge(
        starts_at=starts_at,
        charging=_minutes(charging_minutes),
        energy_wh=(energy_kwh * 1000).quantize(Decimal("0.001"), rounding=ROUND_HALF_UP),
        idle=_minutes(idle_minutes),
    )
    if charge.charging + charge.idle > LONGEST:
        raise Contradiction(f"A charge of more than {LONGEST.days} days is not calculated.")
    if charge.energy_wh > MOST_ENERGY_WH:
        raise Contradiction(f"More than {MOST_ENERGY_WH / 1000:.0f} kWh are not calculated.")
    return charge


def _minutes(minutes: Decimal) -> timedelta:
    """In whole seconds; what is longer than can be calculated is only known to be so."""
    seconds = int((min(minutes, Decimal(10**7)) * 60).to_integral_value(rounding=ROUND_HALF_UP))
    return timedelta(seconds=seconds)


def wall_clock(text: str, timezone: str) -> datetime:
    """A zone's wall-clock time, such as "2026-03-29 18:00", as UTC. Raises ValueError.

    Of an hour that comes twice the first is meant; one that is left out is the moment after it.
    """
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def preview(snapshot: TariffSnapshot, charge: Charge) -> PricedSession:
    """Price it like a real session, by the same function. Raises MissingPrice."""
    full_at = charge.starts_at + charge.charging
    return price_session(
        snapshot,
        started_at=charge.starts_at,
        stopped_at=full_at + charge.idle,
        readings=[Reading(charge.starts_at, Decimal(0)), Reading(full_at, charge.energy_wh)],
        charging_ended_at=full_at,
    )
