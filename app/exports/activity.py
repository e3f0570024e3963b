"""Sessions, authorizations, transactions and actions as rows of a CSV."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, case, func, select

from app.assets.models import ChargePoint, ChargingZone, Evse, Location
from app.billing.models import PaymentMethod, Transaction, TransactionPurpose
from app.charging.models import Authorization, ChargingSession, MeterReading
from app.core.models import Action, CurrencyRow
from app.crm.models import User
from app.exports.cells import amount, english, kw, kwh, moment, text
from app.partners.models import Partner

__all__ = ["SESSION_ID", "SESSION_TIME", "Action", "Authorization", "MeterReading", "Transaction"]

SESSION_ID = ChargingSession.id
#: as `PaymentMethod.__str__` says it
METHOD_NAME = func.concat(
    func.coalesce(func.nullif(func.upper(PaymentMethod.brand), ""), case((PaymentMethod.id.is_not(None), "Card"))),
    " **** " + PaymentMethod.last4,
)
SESSION_TIME = func.coalesce(ChargingSession.started_at, ChargingSession.created_at)


def sessions(_base_currency: str) -> Select[Any]:
    """Charging sessions. The first sixteen columns are product.md's."""
    session = ChargingSession
    exponent = CurrencyRow.exponent
    lasted = func.extract("epoch", session.stopped_at - session.started_at)
    return (
        select(
            session.id.label("id"),
            text(User.email).label("user_email"),
            text(session.id_tag).label("id_tag"),
            text(ChargePoint.identifier).label("charge_point_id"),
            Evse.network_id.label("evse_network_id"),
            text(Evse.code).label("evse_id"),
            moment(session.started_at).label("started_at"),
            moment(session.stopped_at).label("stopped_at"),
            session.status.label("status"),
            session.payment_status.label("payment_status"),
            kwh(session.energy_wh).label("energy_kwh"),
            session.currency.label("currency"),
            amount(session.total_gross, exponent).label("total_gross"),
            amount(session.total_net, exponent).label("total_net"),
            amount(session.total_vat, exponent).label("total_vat"),
            text(session.tariff_name).label("tariff"),
            func.round(lasted).label("duration_s"),
            kw(session.max_power_w).label("max_power_kw"),
            session.source.label("source"),
            english(Location.name).label("location"),
            text(ChargingZone.name).label("charging_zone"),
            text(Partner.name).label("partner"),
            text(session.stop_reason).label("stop_reason"),
            text(session.failure_reason).label("failure_reason"),
            text(func.array_to_string(session.flags, ", ")).label("flags"),
            moment(session.created_at).label("created_at"),
        )
        .select_from(session)
        .join(ChargePoint, ChargePoint.id == session.charge_point_id)
        .join(Evse, Evse.id == session.evse_id)
        .join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
        .join(Location, Location.id == ChargingZone.location_id)
        .join(Partner, Partner.id == session.partner_id)
        .outerjoin(User, User.id == session.user_id)
        .outerjoin(CurrencyRow, CurrencyRow.code == session.currency)
    )


def meter_readings(_base_currency: str) -> Select[Any]:
    """What meters showed, chosen by when it arrived; ``energy_wh`` since the session's start is what prices are by."""
    reading = MeterReading
    return (
        select(
            reading.id.label("id"),
            reading.session_id.label("session_id"),
            text(ChargePoint.identifier).label("charge_point_id"),
            text(Evse.code).label("evse_id"),
            moment(reading.measured_at).label("measured_at"),
            moment(reading.received_at).label("received_at"),
            reading.register_wh.label("energy_wh"),
            reading.raw_register_wh.label("register_wh"),
            reading.power_w.label("power_w"),
            text(reading.context).label("context"),
        )
        .select_from(reading)
        .join(ChargePoint, ChargePoint.id == reading.charge_point_id)
        .outerjoin(Evse, Evse.id == reading.evse_id)
    )


def authorizations(_base_currency: str) -> Select[Any]:
    """Authorizations. The first nine columns are product.md's."""
    return (
        select(
            Authorization.id.label("id"),
            moment(Authorization.happened_at).label("happened_at"),
            Authorization.source.label("source"),
            text(Authorization.id_tag).label("id_tag"),
            Authorization.result.label("result"),
            text(Authorization.reason).label("reason"),
            text(User.email).label("user_email"),
            text(ChargePoint.identifier).label("charge_point_id"),
            text(Evse.code).label("evse_id"),
            english(Location.name).label("location"),
        )
        .select_from(Authorization)
        .join(ChargePoint, ChargePoint.id == Authorization.charge_point_id)
        .join(ChargingZone, ChargingZone.id == ChargePoint.zone_id)
        .join(Location, Location.id == ChargingZone.location_id)
        .outerjoin(Evse, Evse.id == Authorization.evse_id)
        .outerjoin(User, User.id == Authorization.user_id)
    )


def transactions(_base_currency: str) -> Select[Any]:
    """Transactions. The first ten columns are product.md's. Top-ups are none (manual, "Transactions")."""
    return (
        select(
            Transaction.id.label("id"),
            moment(Transaction.created_at).label("created_at"),
            Transaction.type.label("type"),
            Transaction.status.label("status"),
            amount(Transaction.amount, CurrencyRow.exponent).label("amount"),
            Transaction.currency.label("currency"),
            text(User.email).label("user_email"),
            Transaction.session_id.label("session_id"),
            text(Transaction.processor).label("processor"),
            text(Transaction.processor_reference).label("processor_reference"),
            text(Transaction.failure_reason).label("failure_reason"),
            moment(Transaction.updated_at).label("updated_at"),
            Transaction.purpose.label("purpose"),
            Transaction.parent_id.label("parent_id"),
            text(METHOD_NAME).label("payment_method"),
            text(Transaction.description).label("description"),
        )
        .select_from(Transaction)
        .join(CurrencyRow, CurrencyRow.code == Transaction.currency)
        .outerjoin(User, User.id == Transaction.user_id)
        .outerjoin(PaymentMethod, PaymentMethod.id == Transaction.payment_method_id)
        .where(Transaction.purpose != TransactionPurpose.TOP_UP)
    )


def actions(_base_currency: str) -> Select[Any]:
    """The Actions log."""
    return (
        select(
            Action.id.label("id"),
            moment(Action.created_at).label("created_at"),
            text(Action.name).label("name"),
            Action.target_type.label("target_type"),
            Action.target_id.label("target_id"),
            text(Action.target_label).label("target"),
            text(ChargePoint.identifier).label("charge_point_id"),
            text(Action.info).label("info"),
            text(Action.reason).label("reason"),
            Action.status.label("status"),
            text(Action.initiated_by).label("initiated_by"),
            moment(Action.sent_at).label("sent_at"),
            moment(Action.finished_at).label("finished_at"),
            text(Action.error).label("error"),
        )
        .select_from(Action)
        .outerjoin(ChargePoint, ChargePoint.id == Action.charge_point_id)
    )
