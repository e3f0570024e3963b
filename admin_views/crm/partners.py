"""CRM > Partners: who owns charge points beside the operator, and their admins.

Manual, "Partners" and "Create and Manage Partner Admin Account(s)".
"""

from __future__ import annotations

from typing import Any

from flask import abort, request
from flask_admin import expose
from markupsafe import Markup
from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload
from wtforms import TextAreaField, validators

from admin_views.base import BaseView, Facts, Related, Section, Tab, Tabs, pill
from admin_views.widgets import cells
from admin_views.widgets.lookups import like
from app.assets.models import ChargePoint
from app.core.models import Admin
from app.partners import verbs
from app.partners.models import Partner

ADMINS_PER_PAGE = 10
MAX_SEARCH = 100
COMPANY = tuple(verbs.COMPANY)
COMPANY_LABELS = {
    "company_name": "Company name",
    "address": "Address",
    "registration_no": "Registration No.",
    "vat_no": "VAT No.",
    "contact_email": "E-mail",
    "contact_phone": "Phone",
}
#: how the company's fields are entered, by staff and by a partner's Owner alike
COMPANY_ARGS: dict[str, dict[str, Any]] = {
    name: {"label": label, "validators": [validators.Optional(), validators.Length(max=verbs.COMPANY[name])]}
    for name, label in COMPANY_LABELS.items()
}
COMPANY_ARGS["company_name"]["description"] = "The legal name."
COMPANY_ARGS["address"] |= {"description": "As on letters, line by line.", "render_kw": {"rows": 4}}
COMPANY_ARGS["contact_email"] |= {
    "description": "Where the partner is written to.",
    "render_kw": {"type": "email", "autocomplete": "off"},
}


def _name(view: Any, context: Any, partner: Partner, name: str) -> Any:
    if context is None or not partner.is_house:
        return partner.name
    return Markup("{} {}").format(cells.record(partner, css="cell-lead"), pill("Operator", "azure"))


def _address(view: Any, context: Any, partner: Partner, name: str) -> Any:
    return Markup("<br>").join((partner.address or "").splitlines()) or None


class PartnerView(BaseView):
    """Hosts and fleets: a name, a company, charge points and admins."""

    resource, singular, plural = "crm.partner", "Partner", "Partners"
    section, icon = "CRM", "building-store"
    description = "Who owns charge points. Their admins see what belongs to them, and nothing else."
    empty_hint = "Create a partner, make it the Owner of charge points, and give it an admin."
    details_template = "crm/partner.html"

    column_list = ("name", "charge_points", "admins", "company_name", "contact_email", "contact_phone", "created_at")
    column_labels = {
        **COMPANY_LABELS,
        "charge_points": "Charge Points",
        "admins": "Admins",
        "created_at": "Created",
        "id": "ID",
    }
    column_formatters = {
        "name": _name,
        "address": _address,
        "charge_points": lambda view, context, partner, name: f"{partner.station_count:,}",
        "admins": lambda view, context, partner, name: f"{partner.admin_count:,}",
    }
    column_searchable_list = ("name", *COMPANY)
    search_hint = "Search name, company, e-mail, VAT No."
    column_sortable_list = ("name", "company_name", "created_at")
    column_default_sort = "name"
    column_filters = ("name", "company_name", "vat_no", "contact_email", "created_at")
    column_export_list = ("id", "name", *COMPANY, "created_at")

    form_columns = ("name", *COMPANY)
    form_overrides = {"address": TextAreaField}
    form_args = {
        "name": {
            "validators": [validators.DataRequired(), validators.Length(max=255)],
            "description": "As the partner is called in this back office.",
        },
        **COMPANY_ARGS,
    }
    form_rules = [
        Tabs(
            Tab(
                "General",
                "name",
                Section("Company details", *COMPANY, help="The partner’s Owner can edit them too, on Company Details."),
            )
        )
    ]
    constraint_messages = {"uq_partner_name": ("name", "There is a partner of this name already.")}
    refusals = (verbs.PartnerInUse, verbs.HousePartner, verbs.InvalidCompany)
    details_tabs = (
        Facts("General", ("id", "name", "charge_points", "created_at")),
        Facts("Company details", COMPANY),
    )
    related = (
        Related("Charge Points", "charge_point", "partner_id"),
        Related("Charging Sessions", "charging_session", "partner_id"),
        Related("Transactions", "transaction", "partner_id"),
    )

    def prepared(self, rows: list[Any]) -> list[Any]:
        """With the numbers of charge points and admins."""
        ids = [partner.id for partner in rows]
        stations, accounts = (
            dict(self.db_session.execute(select(column, func.count()).where(column.in_(ids)).group_by(column)).all())
            for column in (ChargePoint.partner_id, Admin.partner_id)
        )
        for partner in rows:
            partner.station_count, partner.admin_count = stations.get(partner.id, 0), accounts.get(partner.id, 0)
        return rows

    def edit_form(self, obj: Any = None) -> Any:
        """The operator's own company stands on Company Details, for receipts."""
        form = super().edit_form(obj)
        if obj is not None and obj.is_house:
            for name in COMPANY:
                delattr(form, name)
            form.name.description = "How the operator is called where owners of charge points are listed."
        return form

    def on_model_change(self, form: Any, model: Partner, is_created: bool) -> None:
        """Fields that hold nothing are empty; what cannot be an address or a number is said at its field."""
        model.name = (model.name or "").strip()
        verbs.clean_company(model)

    def explain(self, error: Exception, form: Any) -> None:
        """A mistake in the company at its field."""
        if isinstance(error, verbs.InvalidCompany) and error.field in form:
            form[error.field].errors = [str(error)]
            return
        super().explain(error, form)

    def can_delete_row(self, obj: Any) -> bool:
        """The operator itself stays."""
        return self.can_delete and not obj.is_house

    def on_model_delete(self, model: Partner) -> None:
        """Partners that own something, or did, are kept."""
        verbs.require_deletable(self.db_session, partner=model)

    # --- the page ---------------------------------------------------------------------------------------

    def details_context(self, obj: Partner) -> dict[str, Any]:
        """With its numbers, and whether its admins are listed."""
        self.prepared([obj])
        return {**super().details_context(obj), "accounts": self._accounts_page(obj)}

    def _accounts_page(self, obj: Partner) -> Any | None:
        """The page of admin accounts, if this admin may see it and the partner can have any."""
        page = self.sibling("admin_account")
        return page if page is not None and page.is_accessible() and not obj.is_house else None

    @expose("/admins/")
    def admins_view(self) -> str:
        """The admins of a partner: searched, in pages."""
        obj = self.get_one(request.args.get("id"))
        accounts = self._accounts_page(obj)
        if accounts is None:
            abort(404)
        sought = request.args.get("search", "").replace("\x00", "").strip()[:MAX_SEARCH]
        query = self.db_session.query(Admin).filter(Admin.partner_id == obj.id)
        for word in sought.split():
            query = query.filter(or_(Admin.name.ilike(like(word)), Admin.email.ilike(like(word))))
        count = query.count()
        last = max(0, -(-count // ADMINS_PER_PAGE) - 1)
        page = max(0, min(request.args.get("page", 0, type=int), last))
        rows = query.options(joinedload(Admin.role)).order_by(Admin.id)
        return self.render(
            "crm/_partner_admins.html",
            model=obj,
            accounts=accounts,
            rows=rows.offset(page * ADMINS_PER_PAGE).limit(ADMINS_PER_PAGE).all(),
            count=count,
            number=page,
            last=last,
            sought=sought,
            per_page=ADMINS_PER_PAGE,
        )
