"""What goes into pricing and what comes out of it: readings in, lines and their total out."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from app.core.money import Price


class LineKind(StrEnum):
    """What a line is for."""

    CONNECTION_FEE = "connection_fee"
    SESSION = "session"
    TIME = "time"
    ENERGY = "energy"
    TIME_DAY = "time_day"
    ENERGY_DAY = "energy_day"
    TIME_NIGHT = "time_night"
    ENERGY_NIGHT = "energy_night"
    TIME_LEVEL = "time_level"
    IDLE = "idle"


class Unit(StrEnum):
    """What a line counts."""

    SESSION = "session"
    MINUTE = "min"
    KWH = "kWh"


@dataclass(frozen=True, slots=True)
class Reading:
    """A normalised energy register (Wh) at a time (UTC). Raises ValueError for a time that is not UTC."""

    at: datetime
    register_wh: Decimal

    def __post_init__(self) -> None:
        require_utc(self.at)
        if not isinstance(self.register_wh, Decimal):
            raise TypeError(f"A register is Decimal, not {type(self.register_wh).__name__}")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One line of a bill, prices and amount with VAT.

    The amount comes from the exact quantity; `quantity` is that rounded to six decimals, for showing.
    """

    kind: LineKind
    label: str
    quantity: Decimal
    unit: Unit
    unit_price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class PricedSession:
    """The bill of a session: at least one line, and their sum as price. Raises ValueError if it is not."""

    lines: tuple[PriceLine, ...]
    total: Price
    energy_wh: Decimal
    duration_s: Decimal

    def __post_init__(self) -> None:
        if not self.lines or total_of(self.lines) != self.total.gross.amount:
            raise ValueError(f"The lines do not add up to {self.total.gross}")


def total_of(lines: Iterable[PriceLine]) -> Decimal:
    """The gross total of the lines: their sum, without any further rounding."""
    return sum((line.amount for line in lines), Decimal(0))


def require_utc(at: datetime) -> None:
    """Raises ValueError for a time without zone, or of another zone than UTC."""
    if at.tzinfo is not UTC and at.utcoffset() != timedelta(0):
        raise ValueError(f"Times are UTC, {at!r} is not")
