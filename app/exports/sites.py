"""Locations, charging zones, charge points, EVSEs and what they are described by as rows of a CSV."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from app.assets.models import (
    ChargePoint,
    ChargePointNotice,
    ChargePointTemplate,
    ChargingZone,
    Connector,
    ConnectorType,
    Evse,
    Location,
    LocationImage,
    StationModel,
    Tag,
)
from app.assets.models.charge_points import evse_tag
from app.charging.models import ConfigurationKey, UnknownStation
from app.charging.queries import hardware_sql
from app.exports.activity import station_id
from app.exports.cells import in_words, joined, kw, text, unit_price
from app.exports.columns import ExportList, Row, by
from app.exports.shown import shown_status
from app.tariffs.models import TariffGroup


def _count(query: Select[Any], of: type[Any]) -> ColumnElement[Any]:
    return query.correlate(of).scalar_subquery()


def _stations_of_location(_row: Row) -> ColumnElement[Any]:
    stations = select(func.count()).select_from(ChargePoint).join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
    return _count(stations.where(ChargingZone.location_id == Location.id), Location)


def _stations_of_zone(_row: Row) -> ColumnElement[Any]:
    return _count(select(func.count()).where(ChargePoint.zone_id == ChargingZone.id), ChargingZone)


def _stations_of_notice(_row: Row) -> ColumnElement[Any]:
    return _count(select(func.count()).where(ChargePoint.notice_id == ChargePointNotice.id), ChargePointNotice)


def _evses(_row: Row) -> ColumnElement[Any]:
    return _count(select(func.count()).where(Evse.charge_point_id == ChargePoint.id), ChargePoint)


def _evse_ids(_row: Row) -> ColumnElement[Any]:
    return _count(select(joined(Evse.code, Evse.network_id)).where(Evse.charge_point_id == ChargePoint.id), ChargePoint)


def _connectors(_row: Row) -> ColumnElement[Any]:
    words = in_words(Connector.type, {kind.value: kind.label for kind in ConnectorType})
    return _count(select(joined(words, Connector.id)).where(Connector.evse_id == Evse.id), Evse)


def _tags(_row: Row) -> ColumnElement[Any]:
    tags = select(joined(Tag.name, Tag.name)).join(evse_tag, evse_tag.c.tag_id == Tag.id)
    return _count(tags.where(evse_tag.c.evse_id == Evse.id), Evse)


def _tagged(_row: Row) -> ColumnElement[Any]:
    return _count(select(func.count()).where(evse_tag.c.tag_id == Tag.id), Tag)


def _tariff_group(row: Row) -> ColumnElement[Any]:
    return text(row.beside(TariffGroup, lambda group: group.id == row("tariff_group_id")).name)


LOCATIONS = ExportList(
    Location,
    (
        "id",
        "name",
        "address",
        "postcode",
        "region",
        "city",
        "country",
        ("latitude", by(unit_price, "latitude")),
        ("longitude", by(unit_price, "longitude")),
        "timezone",
        "what3words",
        "roaming",
        ("charge_points", _stations_of_location),
        "created_at",
    ),
    time="created_at",
)

CHARGING_ZONES = ExportList(
    ChargingZone,
    (
        "id",
        "name",
        ("location", "location.name"),
        ("city", "location.city"),
        "status",
        "show_in_app",
        "title",
        "created_at",
        ("charge_points", _stations_of_zone),
    ),
    time="created_at",
)

#: with the three truths about each: system status, connection, hardware
CHARGE_POINTS = ExportList(
    ChargePoint,
    (
        "id",
        ("charge_point_id", "identifier"),
        "name",
        ("charging_zone", "zone.name"),
        ("location", "zone.location.name"),
        ("city", "zone.location.city"),
        ("country", "zone.location.country"),
        ("partner", "partner.name"),
        ("system_status", "status"),
        ("connection", "state.connection"),
        ("hardware_status", lambda row: hardware_sql()),
        ("last_seen_at", "state.last_seen_at"),
        "protocol",
        "access_type",
        "managed_by_operator",
        ("vendor", "state.vendor"),
        ("model", "state.model"),
        ("serial_number", "state.serial_number"),
        ("firmware_version", "state.firmware_version"),
        "network_type",
        "manufacture_date",
        "integration_date",
        ("evses", _evses),
        ("evse_ids", _evse_ids),
        "created_at",
    ),
    time="created_at",
)

EVSES = ExportList(
    Evse,
    (
        "id",
        ("evse_id", "code"),
        ("evse_network_id", "network_id"),
        ("charge_point_id", "charge_point.identifier"),
        ("charge_point", "charge_point.name"),
        ("location", "charge_point.zone.location.name"),
        "type",
        ("max_power_kw", by(kw, "max_power_w")),
        ("connectors", _connectors),
        ("tariff_group", _tariff_group),
        ("tags", _tags),
        ("system_status", "status"),
        ("shown_status", shown_status),
        ("last_reported", "state.status"),
        ("connection", "charge_point.state.connection"),
        ("last_reported_at", "state.status_at"),
    ),
)

UNKNOWN_STATIONS = ExportList(
    UnknownStation,
    (
        ("charge_point_id", "identifier"),
        "reason",
        "attempts",
        "first_seen_at",
        "last_seen_at",
        "remote_address",
        "protocols",
    ),
    time="last_seen_at",
)

TEMPLATES = ExportList(
    ChargePointTemplate,
    (
        "id",
        "name",
        ("evses", lambda row: func.jsonb_array_length(func.jsonb_extract_path(row("content"), "evses"))),
        "created_at",
    ),
    time="created_at",
)

NOTICES = ExportList(ChargePointNotice, ("id", "name", ("text", "message"), ("charge_points", _stations_of_notice)))

LOCATION_IMAGES = ExportList(LocationImage, ("id", "name", ("file", "file.name"), "created_at"), time="created_at")

TAGS = ExportList(Tag, ("id", "name", ("evses", _tagged)))

STATION_MODELS = ExportList(
    StationModel, ("id", "vendor", "model", "configure_after_boot", "notes", "created_at"), time="created_at"
)

#: what stations say they are configured with. Keys that hold a password are never told by a station
CONFIGURATION = ExportList(
    ConfigurationKey,
    (
        ("charge_point_id", station_id),
        "key",
        "value",
        "readonly",
        "reported_at",
        "wanted_value",
        "status",
        "changed_at",
    ),
    time="reported_at",
    where=lambda: ConfigurationKey.key.not_in(("AuthorizationKey", "BasicAuthPassword")),
)
