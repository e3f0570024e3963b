"""Primary keys as text in URLs and forms, and back, without trusting them."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from flask_admin.tools import iterdecode, iterencode
from sqlalchemy import TypeDecorator, and_, inspect, or_

LARGEST_BIGINT = 2**63 - 1


def key_columns(model: type) -> list[Any]:
    """The primary key's columns as attributes of the model."""
    mapper = inspect(model)
    return [getattr(model, mapper.get_property_by_column(column).key) for column in mapper.primary_key]


def encode_key(model: type, obj: Any) -> str:
    """An object's primary key as text; several columns are joined."""
    values = [getattr(obj, column.key) for column in key_columns(model)]
    if len(values) == 1:
        return str(values[0])
    return str(iterencode(str(v.isoformat() if isinstance(v, date) else v) for v in values))


def decode_key(model: type, text: str) -> tuple[Any, ...] | None:
    """Text to typed key values, or None for text that cannot be a key of this model."""
    columns = key_columns(model)
    parts = iterdecode(text) if len(columns) > 1 else (text,)
    if len(parts) != len(columns):
        return None
    try:
        return tuple(_typed(_stored_type(column), part) for column, part in zip(columns, parts, strict=True))
    except ValueError:
        return None


def _stored_type(column: Any) -> type:
    kind = column.property.columns[0].type
    return (kind.impl_instance if isinstance(kind, TypeDecorator) else kind).python_type  # type: ignore[no-any-return]


def _typed(kind: type, text: str) -> Any:
    if kind is int:
        if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > LARGEST_BIGINT:
            raise ValueError(text)
        return int(text)
    if kind is uuid.UUID:
        return uuid.UUID(text)
    if kind is datetime:
        return datetime.fromisoformat(text)
    if kind is date:
        return date.fromisoformat(text)
    if "\x00" in text:
        raise ValueError(text)
    return text


def has_key(model: type, key: tuple[Any, ...]) -> Any:
    """The condition that a row has this key."""
    return and_(*(column == value for column, value in zip(key_columns(model), key, strict=True)))


def has_any_key(model: type, keys: list[tuple[Any, ...]]) -> Any:
    """The condition that a row has one of these keys."""
    columns = key_columns(model)
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    return or_(*(has_key(model, key) for key in keys))
