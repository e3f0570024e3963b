"""Who works here, what was changed and what was sent as rows of a CSV; rates and currencies."""

from __future__ import annotations

from app.core.messages import Mail, SmsMessage
from app.core.models import Admin, AuditEntry, CurrencyRow, Role, VatRate
from app.exports.cells import json_text, text, unit_price
from app.exports.columns import ExportList, by
from app.partners.models import Partner

ADMINS = ExportList(
    Admin,
    (
        "id",
        "name",
        "email",
        ("role_name", "role.name"),
        "status",
        "timezone",
        "created_at",
        "last_login_at",
        ("partner", lambda row: text(row.beside(Partner, lambda partner: partner.id == row("partner_id")).name)),
    ),
    time="created_at",
)

ROLES = ExportList(Role, ("id", "name", "built_in", ("permissions", "permission_names"), "for_partner"))

AUDIT = ExportList(
    AuditEntry,
    (
        "id",
        "at",
        ("admin", "admin_label"),
        "event",
        "object_type",
        "object_id",
        "object_label",
        ("before", by(json_text, "before")),
        ("after", by(json_text, "after")),
    ),
    time="at",
)

_SENDING = ("status", "attempts", "created_at", "next_attempt_at", "sent_at", "error")

#: neither bodies, which may hold one-time links, nor what is confidential in them
MAILS = ExportList(Mail, ("id", "key", "recipient", "subject", *_SENDING), time="created_at")

SMS = ExportList(SmsMessage, ("id", "key", "recipient", *_SENDING, "processor", "reference"), time="created_at")

VAT_RATES = ExportList(VatRate, ("id", "name", ("percent", by(unit_price, "percent"))))

CURRENCIES = ExportList(CurrencyRow, ("code", "name", "symbol", "exponent"))
