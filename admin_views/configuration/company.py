"""CONFIGURATION > Company Details: our own, as receipts and settlement reports show them. Manual, "Company Details"."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_admin import expose

from admin_views.configuration.settings import SettingsView
from admin_views.widgets.threads import beside
from app.billing.receipts.example import example_document
from app.billing.receipts.typesetting import typeset
from app.core import settings
from app.core.db import db

GROUP = settings.BY_KEY["company.name"].group


class CompanyView(SettingsView):
    """The settings of one group as a page of their own, and what a receipt looks like with them."""

    title, icon = "Company Details", "building"
    description = "Shown in receipts for drivers and in settlement reports for partners."
    group = GROUP
    template = "configuration/company.html"

    @expose("/example.pdf")
    def example(self) -> Any:
        """A receipt of nobody, with the details as they are saved."""
        self.require("view")
        document = example_document(db.session())
        db.session.rollback()  # no transaction is open while it is typeset
        headers = {"Content-Disposition": "inline; filename=example.pdf", "Cache-Control": "no-store"}
        return Response(beside(typeset, document), headers=headers, content_type="application/pdf")
