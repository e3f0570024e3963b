"""Tolerant in: what a station sends against the schema is put right by named rules, or refused with a reason.

Soft faults are normalised, and each leaves a `Deviation` for the quirk book; a message is refused (`HardFault`)
only when a field is missing or unusable without which its meaning is lost. The schema is walked; the few fields
that need more than the schema says are in the tables at the top, per action.

What a handler may rely on after `tolerate`: fields are of the schema's types and required fields are there,
except those in `MAY_BE_ABSENT`; enums have a value of the schema, except `KEPT_AS_SENT`, where a wrong guess
would change a bill.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from copy import copy
from datetime import datetime
from typing import Any

import orjson

from ocpp_ws import codec
from ocpp_ws.codec import Deviation, Direction, HardFault, Payload, Version
from ocpp_ws.timestamps import format_timestamp, has_zone, is_rfc3339, parse_timestamp
from ocpp_ws.tolerance_tables import (
    ALIASES,
    IF_MISSING,
    IF_UNKNOWN,
    KEPT_AS_SENT,
    MAY_BE_ABSENT,
    NEVER_CUT,
    SET_ASIDE,
    UNREADABLE_STATUS,
)

__all__ = [
    "KEPT_AS_SENT",
    "MAY_BE_ABSENT",
    "NEVER_CUT",
    "UNREADABLE_STATUS",
    "format_timestamp",
    "parse_timestamp",
    "tolerate",
]

Schema = Mapping[str, Any]


def tolerate(
    version: Version, action: str, payload: Payload, *, now: datetime, direction: Direction = "request"
) -> tuple[Payload, list[Deviation]]:
    """Normalise a payload that fails its schema; `payload` itself is not changed.

    `now` is the arrival time in UTC: it stands in for a required time stamp that is missing or unreadable.
    Deviations come once per rule and path. An action without a schema is passed as it is.

    Raises:
        HardFault: something is missing or unusable without which the message has lost its meaning.
    """
    schema = codec.load_schema(version, action, direction)
    if schema is None:
        return payload, []
    walk = _Walk(schema, action if direction == "request" else "", now)
    try:
        normal = walk.object(schema, payload, "")
    except _Unusable as lost:
        raise HardFault(lost.code, lost.description, lost.path) from None
    except RecursionError:
        raise HardFault(codec.FORMATION_VIOLATION, "nested too deeply") from None
    deviations = walk.deviations
    if not deviations:
        fault = codec.check(version, action, direction, payload)
        if fault is not None:  # something no rule here knows, e.g. too fine a decimal
            deviations = [Deviation(f"schema_{fault.rule}", re.sub(r"\[\d+\]", "[]", fault.path), fault.detail)]
    return normal, deviations


class _Unusable(Exception):
    """A value cannot be used; ends at the nearest container that can do without it."""

    def __init__(self, code: str, rule: str, path: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.rule = rule
        self.path = path
        self.description = description


class _Walk:
    """One payload beside its schema. Paths carry no list indexes, so equal slips in a list are one deviation."""

    def __init__(self, schema: Schema, action: str, now: datetime) -> None:
        self._definitions: Mapping[str, Schema] = schema.get("definitions", {})
        self._may_be_absent = MAY_BE_ABSENT.get(action, frozenset())
        self._if_missing = IF_MISSING.get(action, {})
        self._if_unknown = IF_UNKNOWN.get(action, {})
        self._set_aside = SET_ASIDE.get(action, {})
        self._now = now
        self._noted: dict[tuple[str, str], Deviation] = {}

    @property
    def deviations(self) -> list[Deviation]:
        return list(self._noted.values())

    def _note(self, rule: str, path: str, value: object) -> None:
        if (rule, path) not in self._noted:
            self._noted[rule, path] = Deviation(rule, path, _text_of(value))

    def value(self, schema: Schema, value: Any, path: str) -> Any:
        """`value` as `schema` wants it; raises _Unusable."""
        while "$ref" in schema:
            schema = self._definitions[schema["$ref"].rpartition("/")[2]]
        kind = schema.get("type")
        if kind == "object":
            return self.object(schema, value, path)
        if kind == "array":
            return self._array(schema, value, path)
        if kind == "string":
            return self._string(schema, value, path)
        if kind in ("integer", "number"):
            return self._number(schema, value, path, whole=kind == "integer")
        if kind == "boolean":
            return self._boolean(value, path)
        return value

    # ------------------------------------------------------------------ containers

    def object(self, schema: Schema, value: Any, path: str) -> Payload:
        """An object with the schema's fields only, required ones filled in where a rule allows it."""
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            self._note("list_for_object", path, value)
            value = value[0]
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        properties: Mapping[str, Schema] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        result: Payload = {}
        lost: dict[str, _Unusable] = {}
        for key, item in self._known_fields(schema, value, path):
            child = f"{path}.{key}" if path else key
            if _is_nothing(item):
                if key not in required:
                    self._note("null_removed", child, "null")
                continue
            try:
                result[key] = self.value(properties.get(key, {}), item, child)
            except _Unusable as unusable:
                lost[key] = unusable
                if child in self._set_aside:
                    result[self._set_aside[child]] = _text_of(item)
        for key in required:
            if key not in result:
                child = f"{path}.{key}" if path else key
                self._fill_in(properties.get(key, {}), key, child, lost.pop(key, None), result)
        for key, fault in lost.items():
            child = f"{path}.{key}" if path else key
            if fault.rule == "unknown_enum" and child in self._if_unknown:
                result[key] = self._if_unknown[child]
            self._note(fault.rule, fault.path, fault.description)
        return result

    def _known_fields(self, schema: Schema, value: Payload, path: str) -> Iterator[tuple[str, Any]]:
        """The fields the schema knows, misspelt ones under their right name; the others are dropped."""
        properties: Mapping[str, Schema] = schema.get("properties", {})
        is_open = schema.get("additionalProperties") is not False
        squeezed = {_squeeze(key): key for key in properties if _is_nothing(value.get(key))}
        for key, item in value.items():
            child = f"{path}.{key}" if path else key
            if key in properties:
                yield key, item
            elif (right := squeezed.pop(_squeeze(key), None)) is not None:
                self._note("field_misspelt", child, right)
                yield right, item
            elif is_open:
                yield key, item
            else:
                self._note("extra_field", child, item)

    def _fill_in(self, schema: Schema, key: str, path: str, lost: _Unusable | None, result: Payload) -> None:
        """Find what stands in for a required field that is missing (`lost` is None) or unusable."""
        rule = lost.rule if lost else "required_missing"
        detail = lost.description if lost else "missing"
        if lost is not None and lost.rule == "unknown_enum" and path in self._if_unknown:
            result[key] = self._if_unknown[path]
        elif path in self._may_be_absent:
            pass
        elif path in self._if_missing:
            result[key] = copy(self._if_missing[path])
        elif schema.get("format") == "date-time":
            result[key] = format_timestamp(self._now)
        elif lost is not None:
            raise lost
        else:
            raise _Unusable(codec.OCCURENCE_CONSTRAINT_VIOLATION, rule, path, f"{path} is required")
        self._note(rule, path, detail)

    def _array(self, schema: Schema, value: Any, path: str) -> list[Any]:
        """A list without its unusable items; a lone item is a list of one."""
        if not isinstance(value, list):
            if not isinstance(value, dict):
                raise _wrong_type(path, "a list", value)
            self._note("object_for_list", path, value)
            value = [value]
        result = []
        for item in value:
            try:
                result.append(self.value(schema.get("items", {}), item, f"{path}[]"))
            except _Unusable as lost:
                self._note("item_dropped", lost.path, lost.description)
        if len(result) < schema.get("minItems", 0):
            raise _Unusable(codec.OCCURENCE_CONSTRAINT_VIOLATION, "too_few_items", path, f"{path} is empty")
        if len(result) > schema.get("maxItems", len(result)):
            self._note("too_many_items", path, len(result))
        return result

    # ------------------------------------------------------------------ scalars

    def _string(self, schema: Schema, value: Any, path: str) -> str:
        if isinstance(value, bool):
            self._note("boolean_for_string", path, value)
            value = "true" if value else "false"
        elif isinstance(value, (int, float)):
            if "enum" in schema or _is_nothing(value):
                raise _wrong_type(path, "a string", value)
            if schema.get("format") != "date-time":
                self._note("number_for_string", path, value)
            value = str(value)
        elif isinstance(value, (dict, list)) and "maxLength" not in schema and "enum" not in schema:
            self._note("json_for_string", path, value)
            value = _as_json(path, value)
        elif not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if "enum" in schema:
            return self._enum(schema["enum"], value, path)
        if schema.get("format") == "date-time":
            return self._timestamp(value, path)
        longest = schema.get("maxLength")
        if longest is not None and len(value) > longest:
            if path.rpartition(".")[2] in NEVER_CUT:
                self._note("string_too_long_kept", path, value)
            else:
                self._note("string_too_long", path, value)
                value = value[:longest]
        return str(value)

    def _enum(self, allowed: list[str], value: str, path: str) -> str:
        if value in allowed:
            return value
        name = path.rpartition(".")[2]
        plain = value.strip().casefold()
        for option in allowed:
            if _squeeze(option) == _squeeze(value) and _squeeze(value):
                self._note("enum_misspelt", path, value)
                return option
        alias = ALIASES.get(name, {}).get(plain) or ALIASES.get(name, {}).get(_squeeze(value))
        if alias is not None and (alias in allowed or name in KEPT_AS_SENT):
            self._note("enum_alias", path, value)
            return alias
        if not plain:
            raise _Unusable(codec.PROPERTY_CONSTRAINT_VIOLATION, "empty_removed", path, f"{path} is empty")
        if name in KEPT_AS_SENT:
            self._note("unknown_enum_kept", path, value)
            return value
        raise _Unusable(
            codec.PROPERTY_CONSTRAINT_VIOLATION, "unknown_enum", path, f"{path} has no value {value[:100]!r}"
        )

    def _timestamp(self, value: str, path: str) -> str:
        try:
            moment = parse_timestamp(value)
        except ValueError:
            raise _Unusable(
                codec.PROPERTY_CONSTRAINT_VIOLATION,
                "timestamp_unreadable",
                path,
                f"{path} cannot be read as a time: {value[:100]!r}",
            ) from None
        if is_rfc3339(value):
            return value
        self._note("timestamp_format" if has_zone(value) else "timestamp_without_zone", path, value)
        return format_timestamp(moment)

    def _number(self, schema: Schema, value: Any, path: str, *, whole: bool) -> int | float:
        if isinstance(value, str):
            text = value.strip() if whole else value.strip().replace(",", ".")
            try:
                number: int | float = int(text) if text.lstrip("+-").isdigit() else float(text)
            except ValueError:
                raise _wrong_type(path, "a number", value) from None
            self._note("string_for_number", path, value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            number = value
        else:
            raise _wrong_type(path, "a number", value)
        if not math.isfinite(number):
            raise _wrong_type(path, "a number", value)
        if whole and isinstance(number, float):
            self._note("fraction_for_integer" if number % 1 else "float_for_integer", path, value)
            number = math.floor(number + 0.5)
        if not schema.get("minimum", number) <= number <= schema.get("maximum", number):
            self._note("number_out_of_range", path, value)
        return number

    def _boolean(self, value: Any, path: str) -> bool:
        if isinstance(value, bool):
            return value
        truth = {"true": True, "false": False, "1": True, "0": False}.get(str(value).strip().lower())
        if truth is None:
            raise _wrong_type(path, "true or false", value)
        self._note("boolean_misspelt", path, value)
        return truth


# ---------------------------------------------------------------------- helpers


def _squeeze(text: str) -> str:
    """Letters and digits in lower case: what is left when spelling habits are taken away."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _is_nothing(value: object) -> bool:
    """null, or NaN, which a lenient parser lets through."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _as_json(path: str, value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper than orjson follows
        raise _wrong_type(path, "a string", "nested too deeply") from None


def _wrong_type(path: str, wanted: str, value: object) -> _Unusable:
    return _Unusable(
        codec.TYPE_CONSTRAINT_VIOLATION,
        "type_unusable",
        path,
        f"{path or 'payload'} must be {wanted}: {_text_of(value)[:100]}",
    )


def _text_of(value: object) -> str:
    """What was received, short enough for a log."""
    return (value if isinstance(value, str) else repr(value))[:500]
