"""CONFIGURATION > Company Details: one's own. Manual, "Company Details" and "Partner Roles".

For the operator they are a group of settings, as receipts and settlement reports show them; for a partner's Owner the
company of that partner.
"""

from __future__ import annotations

from typing import Any

from flask import Response, abort
from flask_admin import expose

from admin_views.configuration.partner_company import own_company
from admin_views.configuration.settings import SettingsView
from admin_views.widgets.threads import beside
from app.billing.receipts.example import example_document
from app.billing.receipts.typesetting import typeset
from app.core import principal, settings
from app.core.db import db

GROUP = settings.BY_KEY["company.name"].group


class CompanyView(SettingsView):
    """The settings of one group as a page of their own, and what a receipt looks like with them."""

    resource, title, icon = "configuration.company", "Company Details", "building"
    description = "Shown in receipts for drivers and in settlement reports for partners."
    group = GROUP
    template = "configuration/company.html"

    @expose("/", methods=("GET", "POST"))
    def index(self) -> Any:
        """The page of whoever asks."""
        return own_company(self) if principal.current().is_partner else super().index()

    @expose("/history/")
    def history(self) -> str:
        """Who changed which of the operator's details."""
        self._require_operator()
        return super().history()

    def _require_operator(self) -> None:
        self.require("view")
        if principal.current().is_partner:
            abort(404)

    @expose("/example.pdf")
    def example(self) -> Any:
        """A receipt of nobody, with the details as they are saved."""
        self._require_operator()
        document = example_document(db.session())
        db.session.rollback()  # no transaction is open while it is typeset
        headers = {"Content-Disposition": "inline; filename=example.pdf", "Cache-Control": "no-store"}
        return Response(beside(typeset, document), headers=headers, content_type="application/pdf")
