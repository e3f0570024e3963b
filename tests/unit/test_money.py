"""Money: exact, in one currency, rounded in one named step, and split into net and VAT that always add up."""

from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.money import (
    Currency,
    CurrencyMismatch,
    Money,
    NotInMinorUnits,
    Price,
    UnbalancedPrice,
    round_minor,
    split_vat,
)

EUR = Currency("EUR", 2, "€")
GBP = Currency("GBP", 2, "£")
JPY = Currency("JPY", 0, "¥")
KWD = Currency("KWD", 3, "KD")

currencies = st.sampled_from([EUR, GBP, JPY, KWD])
cents = st.integers(min_value=-(10**12), max_value=10**12)
percents = st.decimals(min_value=0, max_value=100, places=2)


@pytest.mark.parametrize(
    ("amount", "exponent", "rounded"),
    [
        ("0.005", 2, "0.01"),
        ("0.0049999999", 2, "0.00"),
        ("-0.005", 2, "-0.01"),
        ("2.675", 2, "2.68"),
        ("2.665", 2, "2.67"),
        ("0.5", 0, "1"),
        ("1.5", 0, "2"),
        ("0.0005", 3, "0.001"),
        ("9.995", 2, "10.00"),
        ("7", 2, "7.00"),
    ],
)
def test_rounds_half_up_once_to_the_minor_unit(amount, exponent, rounded):
    assert str(round_minor(D(amount), exponent)) == rounded
    assert str(round_minor(Fraction(D(amount)), exponent)) == rounded


def test_a_fraction_is_rounded_from_its_exact_value():
    third = Fraction(1, 3)
    assert round_minor((third + third + third) / 200, 2) == D("0.01")
    just_below_a_tie = Fraction(1, 200) - Fraction(1, 10**60)
    assert round_minor(just_below_a_tie, 2) == D("0.00")


@settings(deadline=None)
@given(st.decimals(min_value=-(10**9), max_value=10**9, places=7), st.integers(min_value=0, max_value=4))
def test_decimal_and_fraction_round_alike_and_by_less_than_a_unit(amount, exponent):
    rounded = round_minor(amount, exponent)
    assert rounded == round_minor(Fraction(amount), exponent)
    assert abs(rounded - amount) <= D(1).scaleb(-exponent) / 2


@pytest.mark.parametrize("amount", [1.5, 1, "1.50", None, True])
def test_only_decimals_are_money(amount):
    with pytest.raises(TypeError):
        Money(amount, EUR)
    with pytest.raises(TypeError):
        round_minor(amount, 2)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_only_finite_amounts_are_money(amount):
    with pytest.raises(ValueError, match="finite"):
        Money(D(amount), EUR)
    with pytest.raises(ValueError, match="finite"):
        round_minor(D(amount), 2)


@pytest.mark.parametrize(
    ("code", "exponent", "symbol", "error"),
    [
        ("eur", 2, "€", ValueError),
        ("EURO", 2, "€", ValueError),
        ("", 2, "€", ValueError),
        (None, 2, "€", ValueError),
        ("EUR", -1, "€", ValueError),
        ("EUR", 5, "€", ValueError),
        ("EUR", 2.0, "€", TypeError),
        ("EUR", True, "€", TypeError),
        ("EUR", 2, "", ValueError),
    ],
)
def test_a_currency_is_checked(code, exponent, symbol, error):
    with pytest.raises(error):
        Currency(code, exponent, symbol)


def test_money_needs_a_currency():
    with pytest.raises(TypeError, match="Currency"):
        Money(D("1"), "EUR")


def test_arithmetic_and_comparison():
    five, two = Money(D("5.00"), EUR), Money(D("2.50"), EUR)
    assert five + two == Money(D("7.50"), EUR)
    assert two - five == Money(D("-2.50"), EUR)
    assert -five == Money(D("-5.00"), EUR)
    assert two < five
    assert two <= two
    assert five > two
    assert five >= five
    assert not two > five
    assert five
    assert not Money.zero(EUR)
    assert str(Money.zero(KWD)) == "0.000 KWD"
    assert str(five) == "5.00 EUR"


@pytest.mark.parametrize(
    "operate",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
    ],
)
def test_currencies_never_mix(operate):
    with pytest.raises(CurrencyMismatch, match="EUR cannot be mixed with GBP"):
        operate(Money(D("1"), EUR), Money(D("1"), GBP))
    with pytest.raises(TypeError):
        operate(Money(D("1"), EUR), D("1"))


def test_equal_amounts_of_different_currencies_are_not_equal():
    assert Money(D("1.00"), EUR) != Money(D("1.00"), GBP)
    assert Money(D("1.0"), EUR) == Money(D("1.00"), EUR)


def test_rounded_and_in_minor_units():
    unit_price = Money(D("0.125"), EUR)
    assert not unit_price.in_minor_units
    assert unit_price.rounded() == Money(D("0.13"), EUR)
    assert unit_price.rounded().in_minor_units
    assert Money(D("0.125"), KWD).in_minor_units


@pytest.mark.parametrize(
    ("gross", "percent", "net", "vat"),
    [
        ("4.26", "20", "3.55", "0.71"),
        ("9.00", "20", "7.50", "1.50"),
        ("0.05", "20", "0.04", "0.01"),
        ("0.01", "20", "0.01", "0.00"),
        ("10.00", "0", "10.00", "0.00"),
        ("1.00", "5.5", "0.95", "0.05"),
        ("0.00", "20", "0.00", "0.00"),
        ("-4.26", "20", "-3.55", "-0.71"),
    ],
)
def test_vat_is_split_out_of_the_gross_amount(gross, percent, net, vat):
    price = split_vat(Money(D(gross), EUR), D(percent))
    assert (price.net, price.vat) == (Money(D(net), EUR), Money(D(vat), EUR))
    assert price.vat_percent == D(percent)
    assert price.currency == EUR


@settings(deadline=None)
@given(cents, percents, currencies)
def test_net_and_vat_are_the_gross_in_minor_units(minor_units, percent, currency):
    gross = Money(D(minor_units).scaleb(-currency.exponent), currency)
    price = split_vat(gross, percent)
    assert price.net + price.vat == price.gross == gross
    assert price.net.in_minor_units
    assert price.vat.in_minor_units
    exact_net = Fraction(gross.amount) / (1 + Fraction(percent) / 100)
    assert abs(Fraction(price.net.amount) - exact_net) <= Fraction(1, 2 * 10**currency.exponent)
    assert abs(price.net.amount) <= abs(gross.amount)


@settings(deadline=None)
@given(cents, percents)
def test_a_credit_splits_like_the_charge_it_takes_back(minor_units, percent):
    charge = split_vat(Money(D(minor_units).scaleb(-2), EUR), percent)
    credit = split_vat(-charge.gross, percent)
    assert (credit.net, credit.vat) == (-charge.net, -charge.vat)


def test_a_gross_amount_is_rounded_before_it_is_split():
    with pytest.raises(NotInMinorUnits):
        split_vat(Money(D("1.005"), EUR), D("20"))


@pytest.mark.parametrize(
    ("percent", "error"), [(D("-1"), ValueError), (D("NaN"), ValueError), (20, TypeError), (20.0, TypeError)]
)
def test_a_vat_percentage_is_checked(percent, error):
    with pytest.raises(error):
        split_vat(Money(D("1.00"), EUR), percent)


def test_a_price_that_does_not_add_up_cannot_exist():
    with pytest.raises(UnbalancedPrice):
        Price(Money(D("1.00"), EUR), Money(D("0.83"), EUR), Money(D("0.18"), EUR), D("20"))


@pytest.mark.parametrize(("gross", "net", "vat"), [(GBP, EUR, EUR), (EUR, GBP, EUR), (EUR, EUR, GBP)])
def test_a_price_has_one_currency(gross, net, vat):
    with pytest.raises(CurrencyMismatch):
        Price(Money(D("1.20"), gross), Money(D("1.00"), net), Money(D("0.20"), vat), D("20"))
