"""CONFIGURATION: who works here, what they may do, and how the system is set."""

from __future__ import annotations

from typing import Any

from admin_views.configuration.admins import AdminAccountView
from admin_views.configuration.api_tokens import ApiTokenView
from admin_views.configuration.audit import AuditView
from admin_views.configuration.company import CompanyView
from admin_views.configuration.integrations import IntegrationsView
from admin_views.configuration.mail_templates import MailTemplatesView
from admin_views.configuration.outbox import OutboxView
from admin_views.configuration.rates import CurrencyView, VatView
from admin_views.configuration.roles import RoleView
from admin_views.configuration.settings import SettingsView
from admin_views.configuration.sms import SmsView
from app.core.db import db
from app.core.models import Admin, ApiToken, AuditEntry, CurrencyRow, Mail, Role, SmsMessage, VatRate


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [
        AdminAccountView(Admin, db, endpoint="admin_account"),
        RoleView(Role, db),
        ApiTokenView(ApiToken, db),
        AuditView(AuditEntry, db),
        SettingsView("Settings", endpoint="settings", url="/configuration/settings"),
        IntegrationsView("Integrations"),
        MailTemplatesView("Mail Templates"),
        OutboxView(Mail, db),
        SmsView(SmsMessage, db),
        VatView(VatRate, db),
        CurrencyView(CurrencyRow, db),
        CompanyView("Company Details", endpoint="company", url="/configuration/company-details"),
    ]
