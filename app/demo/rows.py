"""Visits as rows of charging_session and meter_reading: what the live product would have stored of them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from app.assets.models import EvseType
from app.charging.authorize import PaidFrom
from app.charging.lifecycle import SessionEvent, SessionStatus
from app.charging.price_versions import lines_to_json
from app.charging.sessions import start_key
from app.demo.bulk import json_text
from app.demo.history import RECEIVED_AFTER, Pricer, Visit

#: what a visit's row has; the columns that are not named have their defaults
SESSION_COLUMNS = (
    "id", "partner_id", "charge_point_id", "evse_id", "user_id", "authorization_id", "id_tag", "source", "status",
    "payment_status", "created_at", "started_at", "stopped_at", "start_received_at", "stop_received_at",
    "charging_ended_at", "start_key", "meter_start_wh", "meter_stop_wh", "last_raw_wh", "energy_wh", "last_reading_at",
    "last_activity_at", "max_power_w", "soc_percent", "stop_reason", "failure_reason", "tariff_id", "tariff_name",
    "tariff_snapshot", "tariff_explanation", "currency", "total_gross", "total_net", "total_vat", "price_lines",
    "priced_at", "paid_from", "payment_method_id",
)  # fmt: skip


def session_row(visit: Visit, pricer: Pricer) -> list[Any]:
    """A visit as a row of charging_session, in the order of SESSION_COLUMNS."""
    outlet = visit.outlet
    assert visit.snapshot is not None
    values = {
        "id": visit.id,
        "partner_id": outlet.station.partner_id,
        "charge_point_id": outlet.station.id,
        "evse_id": outlet.evse.id,
        "user_id": visit.driver.id,
        "authorization_id": visit.authorization_id,
        "id_tag": visit.id_tag,
        "source": visit.source,
        "status": SessionStatus.FAILED if visit.curve is None else SessionStatus.FINISHED,
        "payment_status": visit.payment_status,
        "created_at": visit.at,
        "energy_wh": 0,
        "tariff_id": visit.snapshot.tariff_id,
        "tariff_name": visit.snapshot.name,
        "tariff_snapshot": pricer.snapshot_json(visit),
        "tariff_explanation": visit.explanation,
        "currency": visit.snapshot.currency.code,
        "paid_from": PaidFrom.PAYMENT_METHOD if visit.pays_by_card else PaidFrom.BALANCE,
        "payment_method_id": visit.driver.card.id if visit.driver.card and visit.pays_by_card else None,
        **({"failure_reason": SessionEvent.START_TIMED_OUT.label} if visit.curve is None else _charged(visit)),
    }
    return [values.get(column) for column in SESSION_COLUMNS]


def _charged(visit: Visit) -> dict[str, Any]:
    curve, priced = visit.curve, visit.priced
    assert curve is not None and priced is not None
    is_dc = visit.outlet.evse.type is EvseType.DC
    meter_stop_wh = visit.meter_start_wh + curve.energy_wh
    return {
        "started_at": visit.started_at,
        "stopped_at": visit.stopped_at,
        "start_received_at": visit.started_at + RECEIVED_AFTER,
        "stop_received_at": visit.received_at,
        "charging_ended_at": visit.charging_ended_at,
        "start_key": start_key(
            visit.outlet.evse.network_id, visit.id_tag, visit.started_at, Decimal(visit.meter_start_wh), None
        ),
        "meter_start_wh": visit.meter_start_wh,
        "meter_stop_wh": meter_stop_wh,
        "last_raw_wh": meter_stop_wh,
        "energy_wh": curve.energy_wh,
        "last_reading_at": visit.stopped_at,
        "last_activity_at": visit.received_at,
        "max_power_w": curve.max_power_w,
        "soc_percent": curve.soc_percent[1] if is_dc else None,
        "stop_reason": "EVDisconnected" if not is_dc and visit.id % 3 == 0 else "Local",
        "total_gross": priced.total.gross.amount,
        "total_net": priced.total.net.amount,
        "total_vat": priced.total.vat.amount,
        "price_lines": json_text(lines_to_json(priced)),
        "priced_at": visit.received_at,
    }


READING_COLUMNS = (
    "received_at", "partner_id", "charge_point_id", "evse_id", "session_id", "measured_at", "context", "register_wh",
    "raw_register_wh", "power_w", "current_l1_a", "current_l2_a", "current_l3_a", "voltage_v", "soc_percent",
)  # fmt: skip


def reading_rows(visit: Visit) -> Iterator[tuple[Any, ...]]:
    """A visit's readings as rows of meter_reading, in the order of READING_COLUMNS."""
    outlet, curve = visit.outlet, visit.curve
    assert curve is not None
    phases = 1 if curve.max_power_w < 7_500 else 3
    for at, register_wh in visit.readings:
        second = int((at - visit.started_at).total_seconds())
        power_w = curve.power_at(second)
        if outlet.evse.type is EvseType.DC:
            share = register_wh / max(1, curve.energy_wh)
            electrical: tuple[Any, ...] = (
                None, None, None, None,
                round(curve.soc_percent[0] + share * (curve.soc_percent[1] - curve.soc_percent[0])),
            )  # fmt: skip
        else:
            current_a = round(power_w / 230 / phases, 2)
            others = (current_a, current_a) if phases == 3 else (None, None)
            electrical = (current_a, *others, 230 + second % 5, None)
        yield (
            at + RECEIVED_AFTER, outlet.station.partner_id, outlet.station.id, outlet.evse.id, visit.id, at,
            "Sample.Periodic", register_wh, visit.meter_start_wh + register_wh, power_w, *electrical,
        )  # fmt: skip
