"""Money: a Decimal with its currency, the one rounding step, and the split of a price into net and VAT.

Prices for drivers include VAT (manual, "VAT"); so a price starts from the gross amount, and net is derived.
No float ever takes part: a binary fraction cannot hold 0.10, and the difference shows up at month end.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Self

_CODE = re.compile(r"[A-Z]{3}")
_MAX_EXPONENT = 4  # ISO 4217 knows currencies with 0, 2, 3 and 4 decimals


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met in one calculation."""


class UnbalancedPrice(ValueError):
    """Net and VAT do not add up to gross."""


class NotInMinorUnits(ValueError):
    """An amount that is to be billed has more decimals than its currency."""


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 currency: its code, how many decimals its minor unit has, the symbol shown on screen."""

    code: str
    exponent: int
    symbol: str

    def __post_init__(self) -> None:
        if not isinstance(self.code, str) or not _CODE.fullmatch(self.code):
            raise ValueError(f"A currency code is three capital letters, not {self.code!r}")
        if isinstance(self.exponent, bool) or not isinstance(self.exponent, int):
            raise TypeError(f"A currency's exponent is a whole number, not {self.exponent!r}")
        if not 0 <= self.exponent <= _MAX_EXPONENT:
            raise ValueError(f"A currency has 0 to {_MAX_EXPONENT} decimals, not {self.exponent}")
        if not isinstance(self.symbol, str) or not self.symbol:
            raise ValueError(f"Currency {self.code} has no symbol")


def round_minor(amount: Decimal | Fraction, exponent: int) -> Decimal:
    """Round once, half up (ties away from zero), to `exponent` decimals: the only rounding of money there is.

    A Fraction is rounded from its exact value, so a division on the way cannot make or hide a tie.
    Raises TypeError for anything but Decimal or Fraction, ValueError for NaN and infinity.
    """
    if isinstance(amount, Fraction):
        return round_ratio(amount.numerator, amount.denominator, exponent)
    _require_decimal(amount)
    return amount.quantize(Decimal(1).scaleb(-exponent), rounding=ROUND_HALF_UP)


def round_ratio(numerator: int, denominator: int, exponent: int) -> Decimal:
    """`round_minor` of numerator / denominator, which need not be in lowest terms: a Fraction would spend its time
    on that. The denominator is above 0."""
    scaled = 2 * abs(numerator) * 10**exponent
    minor_units = (scaled + denominator) // (2 * denominator)
    return Decimal(-minor_units if numerator < 0 else minor_units).scaleb(-exponent)


def _require_decimal(amount: object) -> None:
    if not isinstance(amount, Decimal):
        raise TypeError(f"Money is Decimal, not {type(amount).__name__}: {amount!r}")
    if not amount.is_finite():
        raise ValueError(f"Money is a finite number, not {amount}")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency. Not rounded by itself: a unit price may have more decimals."""

    amount: Decimal
    currency: Currency

    def __post_init__(self) -> None:
        _require_decimal(self.amount)
        if not isinstance(self.currency, Currency):
            raise TypeError(f"Money needs a Currency, not {self.currency!r}")

    @classmethod
    def zero(cls, currency: Currency) -> Self:
        """Nothing, written with the decimals of the currency."""
        return cls(round_minor(Decimal(0), currency.exponent), currency)

    def rounded(self) -> "Money":
        """This amount rounded half up to the currency's minor unit."""
        return Money(round_minor(self.amount, self.currency.exponent), self.currency)

    @property
    def in_minor_units(self) -> bool:
        """Whether the amount can be paid: it has no more decimals than its currency."""
        return self.amount == round_minor(self.amount, self.currency.exponent)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._comparable(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._comparable(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._comparable(other)

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._comparable(other)

    def __gt__(self, other: "Money") -> bool:
        return self.amount > self._comparable(other)

    def __ge__(self, other: "Money") -> bool:
        return self.amount >= self._comparable(other)

    def __bool__(self) -> bool:
        return bool(self.amount)

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency.code}"

    def _comparable(self, other: object) -> Decimal:
        """The other's amount, if it may be added to or compared with this one."""
        if not isinstance(other, Money):
            raise TypeError(f"Money goes with Money only, not with {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency.code} cannot be mixed with {other.currency.code}")
        return other.amount


@dataclass(frozen=True, slots=True)
class Price:
    """What is billed: gross, net and VAT in one currency, and the VAT percentage it was split with.

    Raises UnbalancedPrice unless net + vat == gross, CurrencyMismatch unless all three share a currency.
    """

    gross: Money
    net: Money
    vat: Money
    vat_percent: Decimal

    def __post_init__(self) -> None:
        _require_vat_percent(self.vat_percent)
        if self.net + self.vat - self.gross:
            raise UnbalancedPrice(f"{self.net} net and {self.vat} VAT are not {self.gross} gross")

    @property
    def currency(self) -> Currency:
        """The currency all three amounts share."""
        return self.gross.currency


def split_vat(gross: Money, vat_percent: Decimal) -> Price:
    """Split a gross amount: net = gross / (1 + VAT) rounded half up, VAT = gross - net (product, "Pricing").

    `vat_percent` is 20 for 20 %. Raises NotInMinorUnits if gross was not rounded before, ValueError for a
    negative percentage, TypeError for anything but Decimal.
    """
    _require_vat_percent(vat_percent)
    if not gross.in_minor_units:
        raise NotInMinorUnits(f"{gross} has more than {gross.currency.exponent} decimals")
    gross_over, gross_under = gross.amount.as_integer_ratio()
    vat_over, vat_under = vat_percent.as_integer_ratio()
    # gross * 100 / (100 + VAT), all of it in whole numbers
    over, under = gross_over * 100 * vat_under, gross_under * (100 * vat_under + vat_over)
    net = Money(round_ratio(over, under, gross.currency.exponent), gross.currency)
    return Price(gross=gross, net=net, vat=gross - net, vat_percent=vat_percent)


def _require_vat_percent(vat_percent: object) -> None:
    if not isinstance(vat_percent, Decimal):
        raise TypeError(f"A VAT percentage is Decimal, not {type(vat_percent).__name__}")
    if not vat_percent.is_finite() or vat_percent < 0:
        raise ValueError(f"A VAT percentage is not negative, but {vat_percent} is")
