"""What a charge point keeps about a customer: asked with reason, and shown to who may see users (OCPP 2.0.1)."""

from __future__ import annotations

from flask import abort, request
from flask_admin import expose
from wtforms import StringField, validators

from admin_views.assets.charging_actions import speaks_newer
from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from admin_views.widgets import access
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.upkeep import customer_information
from app.core import principal
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

WHAT = [("report", "Tell what it keeps"), ("clear", "Forget what it keeps"), ("both", "Tell, and then forget")]


def may_see() -> bool:
    """Who asks stations, and sees users; never admins of partners."""
    allowed = access.allowed("assets.charge_point.command") and access.allowed("crm.user.view")
    return allowed and not principal.current().is_partner


class AskForm(ReasonForm):
    """About whom, and what for."""

    id_tag = StringField("RFID tag", [validators.Length(max=customer_information.LONGEST_TAG)])
    customer = StringField(
        "Customer",
        [validators.Length(max=customer_information.LONGEST_CUSTOMER)],
        description="As the charge point knows the customer otherwise. One of the two is enough.",
    )
    what = ChoiceField("The charge point shall", choices=WHAT, default="report")


def ask(obj: ChargePoint, form: AskForm, *, reason: str, actor: Admin) -> Action:
    """Ask it."""
    return customer_information.ask(
        db.session(),
        charge_point=obj,
        id_tag=(form.id_tag.data or "").strip() or None,
        customer=(form.customer.data or "").strip() or None,
        report=form.what.data != "clear",
        clear=form.what.data != "report",
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


ACTIONS = (
    RemoteAction(
        "customer_information",
        "Get Customer Information",
        ask,
        form=AskForm,
        icon="user",
        group="Security",
        bulk=False,
        available=lambda obj: speaks_newer(obj) and may_see(),
        refusals=(NotManaged, customer_information.InvalidQuestion),
        help="Asks the charge point what it keeps about a customer, or to forget it. What it tells is shown in the tab "
        "Customers.",
    ),
)


class CustomerMixin:
    """Joined before BaseView: the tab Customers."""

    def may_see_customers(self) -> bool:
        """Whether the tab has something to say to this admin."""
        return may_see()

    @expose("/customers/")
    def customers_view(self) -> str:
        """What was asked, and what was told."""
        if not may_see():
            abort(403)
        obj = self.get_one(request.args.get("id"))  # type: ignore[attr-defined]
        return self.render(  # type: ignore[attr-defined, no-any-return]
            "assets/_customers.html",
            model=obj,
            questions=customer_information.questions_of(self.db_session, charge_point_id=obj.id),  # type: ignore[attr-defined]
            newer=speaks_newer(obj),
        )
