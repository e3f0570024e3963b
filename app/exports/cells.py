"""How a value is written in a CSV, as SQL: so that PostgreSQL writes the whole file and no row passes Python.

Times are ISO 8601 with the offset of the system's zone (the connection's TimeZone is set to it), amounts plain
decimals with the currency's digits, text never a formula. What is asked of each of a million cells is the cheapest
that gives exactly this: ``bench/exports.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, String, Text, and_, case, cast, func, literal, literal_column, null, or_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

Expression = ColumnElement[Any] | InstrumentedAttribute[Any]

#: what spreadsheets take for a formula, also behind blanks and in full width (OWASP, "CSV Injection")
_FORMULA = r"^([\s[:cntrl:]]*[=+\-@＝＋－＠]|[\t\r\n])"
#: most currencies have cents
_CENTS = 2
_THOUSANDTH = literal(Decimal("0.001"))


def text(value: Expression) -> ColumnElement[Any]:
    """Text that a spreadsheet takes as text: the start of a formula gets an apostrophe. Empty is nothing.

    What begins with a letter (Latin, Greek, Cyrillic …) or a digit is no formula; comparing bytes says so at a
    fraction of a regular expression's price. ``@`` is below the letters, ``=`` above the digits; between À and U+0FFF
    there is neither a blank nor a sign in full width.
    """
    words = cast(value, String) if not isinstance(getattr(value, "type", None), String) else value
    by_bytes = words.collate("C")
    harmless = or_(
        and_(by_bytes >= "A", or_(by_bytes < "~", and_(by_bytes >= "À", by_bytes < "\u1000"))),
        and_(by_bytes >= "0", by_bytes < "="),
    )
    return case(
        (harmless, words),
        (words == "", null()),
        (words.regexp_match(_FORMULA), literal("'").concat(words)),
        else_=words,
    )


def moment(value: Expression) -> ColumnElement[Any]:
    """A time in the connection's zone: 2026-11-22T12:00:00+02:00."""
    return func.to_char(value, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM')


def amount(value: Expression, currency: Expression, exponents: Mapping[str, int]) -> ColumnElement[Any]:
    """An amount with as many decimals as its currency has; ``exponents`` are those of all currencies there are."""
    others: dict[int, list[str]] = {}
    for code, exponent in exponents.items():
        if exponent != _CENTS:
            others.setdefault(exponent, []).append(code)
    if not others:
        return func.round(value, _CENTS)
    places = case(*((currency.in_(sorted(codes)), places) for places, codes in sorted(others.items())), else_=_CENTS)
    return func.round(value, places)


def unit_price(value: Expression) -> ColumnElement[Any]:
    """A price per minute, kWh or session, a percentage: the decimals it has, no padding."""
    return func.trim_scale(value)


def kwh(energy_wh: Expression) -> ColumnElement[Any]:
    """Wh as kWh: three decimals, or more where the meter gave more."""
    energy_kwh = energy_wh * _THOUSANDTH
    return case((energy_wh == func.trunc(energy_wh), func.round(energy_kwh, 3)), else_=func.trim_scale(energy_kwh))


def kw(power_w: Expression) -> ColumnElement[Any]:
    """W as kW, no padding."""
    return func.trim_scale(power_w * _THOUSANDTH)


def seconds(start: Expression, end: Expression) -> ColumnElement[Any]:
    """How long it was from ``start`` to ``end``, in whole seconds, half ones up."""
    return func.floor(func.date_part("epoch", end - start) + 0.5)


def yes_no(value: Expression) -> ColumnElement[Any]:
    """true or false."""
    return cast(value, Text)


def english(texts: Expression) -> ColumnElement[Any]:
    """A multilingual text in English, or in any language it has."""
    own = cast(texts.op("->>")(literal_column("'en'")), String)
    any_language = cast(func.jsonb_path_query_first(texts, "$.*").op("#>>")(literal_column("'{}'")), String)
    return func.coalesce(text(own), text(any_language))


def json_text(value: Expression) -> ColumnElement[Any]:
    """A JSON value as it is, in one cell."""
    return text(cast(value, Text))


def listed(values: Expression) -> ColumnElement[Any]:
    """A list of words in one cell; most lists are empty."""
    return case((func.cardinality(values) > 0, text(func.array_to_string(values, ", "))))


def joined(values: Expression, order: Expression, between: str = ", ") -> ColumnElement[Any]:
    """Several texts in one cell: an aggregate for a sub-query."""
    return text(func.string_agg(cast(values, String), aggregate_order_by(literal(between), order)))


def in_words(value: Expression, words: Mapping[str, str], otherwise: Expression | None = None) -> ColumnElement[Any]:
    """The words for a code; ``otherwise`` (the code itself, if not said) for one that is unknown."""
    return case(
        *((value == code, said) for code, said in words.items()), else_=value if otherwise is None else otherwise
    )
