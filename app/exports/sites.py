"""Locations and charge points as rows of a CSV."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from app.assets.models import ChargePoint, ChargePointState, ChargingZone, Evse, Location
from app.charging.queries import hardware_sql
from app.exports.cells import english, joined, moment, text, yes_no
from app.partners.models import Partner

__all__ = ["ChargePoint", "Location"]


def charge_points(_base_currency: str) -> Select[Any]:
    """Charge points with the three truths about them: system status, connection, hardware."""
    evses = select(func.count()).where(Evse.charge_point_id == ChargePoint.id).correlate(ChargePoint)
    codes = (
        select(joined(Evse.code, Evse.network_id)).where(Evse.charge_point_id == ChargePoint.id).correlate(ChargePoint)
    )
    state = ChargePointState
    return (
        select(
            ChargePoint.id.label("id"),
            text(ChargePoint.identifier).label("charge_point_id"),
            text(ChargePoint.name).label("name"),
            text(ChargingZone.name).label("charging_zone"),
            english(Location.name).label("location"),
            text(Location.city).label("city"),
            Location.country.label("country"),
            text(Partner.name).label("partner"),
            ChargePoint.status.label("system_status"),
            state.connection.label("connection"),
            hardware_sql().label("hardware_status"),
            moment(state.last_seen_at).label("last_seen_at"),
            ChargePoint.protocol.label("protocol"),
            ChargePoint.access_type.label("access_type"),
            yes_no(ChargePoint.managed_by_operator).label("managed_by_operator"),
            text(state.vendor).label("vendor"),
            text(state.model).label("model"),
            text(state.serial_number).label("serial_number"),
            text(state.firmware_version).label("firmware_version"),
            ChargePoint.network_type.label("network_type"),
            ChargePoint.manufacture_date.label("manufacture_date"),
            ChargePoint.integration_date.label("integration_date"),
            evses.scalar_subquery().label("evses"),
            codes.scalar_subquery().label("evse_ids"),
            moment(ChargePoint.created_at).label("created_at"),
        )
        .select_from(ChargePoint)
        .join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
        .join(Location, Location.id == ChargingZone.location_id)
        .join(Partner, Partner.id == ChargePoint.partner_id)
        .join(state, state.charge_point_id == ChargePoint.id)
    )


def locations(_base_currency: str) -> Select[Any]:
    """Locations."""
    stations = (
        select(func.count())
        .select_from(ChargePoint)
        .join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
        .where(ChargingZone.location_id == Location.id)
        .correlate(Location)
    )
    return select(
        Location.id.label("id"),
        english(Location.name).label("name"),
        english(Location.address).label("address"),
        text(Location.postcode).label("postcode"),
        text(Location.region).label("region"),
        text(Location.city).label("city"),
        Location.country.label("country"),
        func.trim_scale(Location.latitude).label("latitude"),
        func.trim_scale(Location.longitude).label("longitude"),
        Location.timezone.label("timezone"),
        text(Location.what3words).label("what3words"),
        yes_no(Location.roaming).label("roaming"),
        stations.scalar_subquery().label("charge_points"),
        moment(Location.created_at).label("created_at"),
    ).select_from(Location)
