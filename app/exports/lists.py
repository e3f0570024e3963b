"""The lists that can be exported: what each row has, by which time it is chosen, in which order.

The first columns of sessions, authorizations and transactions are a contract with other programs (product.md,
"CSV"); columns are only ever added at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select

from app.exports import activity, crm, partners, receipts, sites, tariffs, vouchers
from app.exports.cells import Expression


@dataclass(frozen=True)
class ExportList:
    """One list. ``query`` takes the base currency's code; ``time`` is what ``--from`` and ``--to`` are about."""

    query: Callable[[str], Select[Any]]
    id: Expression
    time: ColumnElement[Any]


LISTS: Mapping[str, ExportList] = {
    "sessions": ExportList(activity.sessions, activity.SESSION_ID, activity.SESSION_TIME),
    "authorizations": ExportList(
        activity.authorizations, activity.Authorization.id, activity.Authorization.happened_at.expression
    ),
    "meter-readings": ExportList(
        activity.meter_readings, activity.MeterReading.id, activity.MeterReading.received_at.expression
    ),
    "transactions": ExportList(
        activity.transactions, activity.Transaction.id, activity.Transaction.created_at.expression
    ),
    "users": ExportList(crm.users, crm.User.id, crm.User.created_at.expression),
    "charge-points": ExportList(sites.charge_points, sites.ChargePoint.id, sites.ChargePoint.created_at.expression),
    "rfid-tags": ExportList(crm.rfid_tags, crm.RfidTag.id, crm.RfidTag.created_at.expression),
    "locations": ExportList(sites.locations, sites.Location.id, sites.Location.created_at.expression),
    "tariffs": ExportList(tariffs.tariffs, tariffs.Tariff.id, tariffs.Tariff.created_at.expression),
    "actions": ExportList(activity.actions, activity.Action.id, activity.Action.created_at.expression),
    "vouchers": ExportList(vouchers.vouchers, vouchers.Voucher.id, vouchers.Voucher.created_at.expression),
    "ledger": ExportList(crm.ledger, crm.LedgerEntry.id, crm.LedgerEntry.at.expression),
    "partners": ExportList(partners.partners, partners.Partner.id, partners.Partner.created_at.expression),
    "receipts": ExportList(receipts.receipts, receipts.Receipt.id, receipts.Receipt.issued_at.expression),
}
