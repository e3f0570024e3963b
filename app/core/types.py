"""Column types and shorthands shared by every model.

Rules they carry: times are UTC and aware; an enum is stored as text under a CHECK; a
multilingual text is a JSON object of language → text; money and energy are exact numerics.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import BigInteger, Dialect, Enum, Identity, Numeric, String, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import mapped_column


class UTCDateTime(TypeDecorator[datetime]):
    """A timestamptz that refuses naive values and always comes back in UTC."""

    impl = TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored; use datetime.now(UTC)")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


class LabelledEnum(enum.StrEnum):
    """A text enum whose members also say how they are written on screen: ``NAME = "value", "Label"``."""

    label: str

    def __new__(cls, value: str, label: str | None = None) -> LabelledEnum:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label if label is not None else value.replace("_", " ").capitalize()
        return member


def enum_type(cls: type[enum.Enum], name: str | None = None) -> Enum:
    """A text column with a named CHECK that admits the values of ``cls`` only."""
    return Enum(
        cls,
        native_enum=False,
        create_constraint=True,
        validate_strings=True,
        length=40,
        name=name or _snake(cls.__name__),
        values_callable=lambda c: [m.value for m in c],
    )


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


BigId = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Text40 = Annotated[str, mapped_column(String(40))]
Text120 = Annotated[str, mapped_column(String(120))]
Text255 = Annotated[str, mapped_column(String(255))]
#: language code → text, e.g. ``{"en": "Modera Restaurant parking", "bg": "Паркинг Модера"}``
I18nText = Annotated[dict[str, str], mapped_column(JSONB(none_as_null=True))]
JsonDict = Annotated[dict[str, Any], mapped_column(JSONB(none_as_null=True))]
#: An amount of money; the currency stands beside it. Four places hold every ISO exponent.
Amount = Annotated[Decimal, mapped_column(Numeric(16, 4))]
#: A price per minute or per kWh.
UnitPrice = Annotated[Decimal, mapped_column(Numeric(16, 6))]
#: Energy in Wh.
EnergyWh = Annotated[Decimal, mapped_column(Numeric(16, 3))]
