"""How a value is written in a CSV, as SQL: so that PostgreSQL writes the whole file and no row passes Python.

Times are ISO 8601 with the offset of the system's zone (the connection's TimeZone is set to it), amounts plain
decimals with the currency's digits, text never a formula.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Numeric, Select, String, Text, case, cast, func, literal, literal_column, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

Expression = ColumnElement[Any] | InstrumentedAttribute[Any]

#: what spreadsheets take for a formula, also behind blanks and in full width (OWASP, "CSV Injection")
_FORMULA = r"^(\s*[=+\-@＝＋－＠]|[\t\r\n])"


def text(value: Expression) -> ColumnElement[Any]:
    """Text that a spreadsheet takes as text: the start of a formula gets an apostrophe. Empty is nothing."""
    words = cast(value, String)
    guarded = case((words.regexp_match(_FORMULA), literal("'").concat(words)), else_=words)
    return func.nullif(guarded, "")


def moment(value: Expression) -> ColumnElement[Any]:
    """A time in the connection's zone: 2026-11-22T12:00:00+02:00."""
    return func.to_char(value, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM')


def amount(value: Expression, exponent: Expression) -> ColumnElement[Any]:
    """An amount with as many decimals as its currency has."""
    return func.round(value, exponent)


def unit_price(value: Expression) -> ColumnElement[Any]:
    """A price per minute, kWh or session: the decimals it has, no padding."""
    return func.trim_scale(value)


def kwh(energy_wh: Expression) -> ColumnElement[Any]:
    """Wh as kWh: three decimals, or more where the meter gave more."""
    energy_kwh = func.trim_scale(energy_wh / 1000)
    return func.round(energy_kwh, func.greatest(func.scale(energy_kwh), 3))


def kw(power_w: Expression) -> ColumnElement[Any]:
    """W as kW, no padding."""
    return func.trim_scale(cast(power_w, Numeric) / 1000)


def yes_no(value: Expression) -> ColumnElement[Any]:
    """true or false."""
    return cast(value, Text)


def english(texts: Expression) -> ColumnElement[Any]:
    """A multilingual text in English, or in any language it has."""
    any_language: Select[Any] = select(literal_column("value")).select_from(func.jsonb_each_text(texts)).limit(1)
    return text(func.coalesce(func.jsonb_extract_path_text(texts, "en"), any_language.scalar_subquery()))


def joined(values: Expression, order: Expression) -> ColumnElement[Any]:
    """Several texts in one cell: an aggregate for a sub-query."""
    return text(func.string_agg(cast(values, String), aggregate_order_by(literal(", "), order)))
