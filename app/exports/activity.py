"""Sessions, authorizations, reservations, actions and readings as rows of a CSV.

The first columns of sessions and authorizations are a contract with other programs (product.md, "CSV").
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func

from app.assets.models import ChargePoint, Evse
from app.charging.authorize import RejectReason
from app.charging.models import (
    Authorization,
    ChargingSession,
    MeterReading,
    Reservation,
)
from app.core.models import Action
from app.exports.cells import in_words, json_text, kw, kwh, seconds, text
from app.exports.columns import ExportList, Row, amount, by
from app.partners.models import Partner

_REASONS = {reason.value: reason.label for reason in RejectReason}


def _partner_name(row: Row) -> ColumnElement[Any]:
    return text(row.beside(Partner, lambda partner: partner.id == row("partner_id")).name)


def station_id(row: Row) -> ColumnElement[Any]:
    """The Charge Point ID, of a row that has a charge point but no relation to it."""
    return text(row.beside(ChargePoint, lambda station: station.id == row("charge_point_id")).identifier)


def evse_id(row: Row) -> ColumnElement[Any]:
    """The EVSE ID, of a row that has an EVSE but no relation to it."""
    return text(row.beside(Evse, lambda evse: evse.id == row("evse_id")).code)


SESSIONS = ExportList(
    ChargingSession,
    (
        "id",
        "user.email",
        "id_tag",
        ("charge_point_id", "charge_point.identifier"),
        "evse.network_id",
        ("evse_id", "evse.code"),
        "started_at",
        "stopped_at",
        "status",
        "payment_status",
        ("energy_kwh", by(kwh, "energy_wh")),
        "currency",
        ("total_gross", amount("total_gross")),
        ("total_net", amount("total_net")),
        ("total_vat", amount("total_vat")),
        ("tariff", "tariff_name"),
        ("duration_s", lambda row: seconds(row("started_at"), row("stopped_at"))),
        ("max_power_kw", by(kw, "max_power_w")),
        "source",
        ("location", "charge_point.zone.location.name"),
        ("charging_zone", "charge_point.zone.name"),
        ("partner", _partner_name),
        "stop_reason",
        "failure_reason",
        "flags",
        "created_at",
        ("charge_point", "charge_point.name"),
    ),
    time=lambda row: func.coalesce(row("started_at"), row("created_at")),
)

AUTHORIZATIONS = ExportList(
    Authorization,
    (
        "id",
        "happened_at",
        "source",
        "id_tag",
        "result",
        "reason",
        "user.email",
        ("charge_point_id", "charge_point.identifier"),
        ("evse_id", "evse.code"),
        ("location", "charge_point.zone.location.name"),
        ("reason_in_words", lambda row: in_words(row("reason"), _REASONS, text(row("reason")))),
    ),
    time="happened_at",
)

RESERVATIONS = ExportList(
    Reservation,
    (
        "id",
        "created_at",
        "expires_at",
        "status",
        "user.email",
        ("charge_point_id", "charge_point.identifier"),
        "evse.network_id",
        ("evse_id", "evse.code"),
        "ended_at",
        "end_reason",
        "session_id",
        "id_tag",
        "reminded_at",
        ("location", "charge_point.zone.location.name"),
    ),
    time="created_at",
)

ACTIONS = ExportList(
    Action,
    (
        "id",
        "created_at",
        "name",
        ("target_type", lambda row: row("target_type").expression),
        "target_id",
        ("target", "target_label"),
        ("charge_point_id", station_id),
        "info",
        "reason",
        "status",
        "initiated_by",
        "sent_at",
        "finished_at",
        "error",
        "command",
        ("request", by(json_text, "request")),
        ("response", by(json_text, "response")),
    ),
    time="created_at",
)

#: what meters showed, chosen by when it arrived; ``energy_wh`` since the session's start is what prices are by
METER_READINGS = ExportList(
    MeterReading,
    (
        "id",
        "session_id",
        ("charge_point_id", station_id),
        ("evse_id", evse_id),
        "measured_at",
        "received_at",
        ("energy_wh", "register_wh"),
        ("register_wh", "raw_register_wh"),
        "power_w",
        "context",
        "current_l1_a",
        "current_l2_a",
        "current_l3_a",
        "voltage_v",
        "soc_percent",
        "flags",
    ),
    time="received_at",
)
