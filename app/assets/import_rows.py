"""Charge points as lines of an import file: what is written here is read back without a change."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from app.assets.import_columns import EVSE, NETWORK_ID, STATION, plugs_text
from app.assets.models import ChargePoint, Evse
from app.core.audit import plain
from app.core.i18n import localized
from app.core.import_columns import Column

HEADER: tuple[str, ...] = tuple(column.name for column in (*STATION, *EVSE))


def rows_of(
    station: ChargePoint, *, partners: Mapping[int, str], tariff_groups: Mapping[int, str]
) -> Iterator[list[Any]]:
    """A line for each EVSE, one if there is none; every line has the charge point's own columns."""
    own = [_own(station, column, partners) for column in STATION]
    for evse in station.evses:
        yield own + [_of_evse(evse, column, tariff_groups) for column in EVSE]
    if not station.evses:
        yield own + [None] * len(EVSE)


def examples() -> list[list[str]]:
    """The template's lines: a station with two EVSEs."""
    first = [column.example for column in (*STATION, *EVSE)]
    second = [
        column.example if column.of_line or column.name == "charge_point_id" else "" for column in (*STATION, *EVSE)
    ]
    second[HEADER.index(NETWORK_ID)] = "2"
    return [first, second]


def _own(station: ChargePoint, column: Column, partners: Mapping[int, str]) -> Any:
    if column.secret:
        return None
    if column.attribute == "location":
        return localized(station.zone.location.name)
    if column.attribute == "zone":
        return station.zone.name
    if column.attribute == "partner":
        return partners.get(station.partner_id)
    if column.attribute == "notice":
        return station.notice.name if station.notice is not None else None
    return _value(getattr(station, column.attribute))


def _of_evse(evse: Evse, column: Column, tariff_groups: Mapping[int, str]) -> Any:
    if column.attribute == "tariff_group_id":
        return tariff_groups.get(evse.tariff_group_id or 0)
    if column.attribute == "tags":
        return ", ".join(tag.name for tag in evse.tags) or None
    if column.attribute == "connectors":
        return plugs_text(evse.connectors) or None
    if column.attribute == "max_power_w":
        return None if evse.max_power_w is None else plain(Decimal(evse.max_power_w) / 1000)
    return _value(getattr(evse, column.attribute))


def _value(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
