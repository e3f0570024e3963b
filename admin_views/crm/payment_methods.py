"""Payment methods of a user: the tab of the user's page, adding and removing. Manual, "Payment Methods"."""

from __future__ import annotations

from typing import Any

from flask import make_response, request, url_for
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_login import current_user
from markupsafe import Markup
from wtforms import fields

from admin_views import card_entry, formats
from admin_views.base import BaseView, ChoiceField, Facts, ReasonForm, RecordAction, Related, pill
from app.billing.models import PaymentMethod
from app.billing.payments import card_entry as entries
from app.billing.payments import method_actions, methods, test_processor
from app.billing.payments.processors import ProcessorMisconfigured, ProcessorUnreachable, UnknownProcessor, title
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.models import Action, Admin
from app.crm.models import User

PERMISSION = "crm.user.payment_methods"
#: what keeps an operator from adding one, each with words of its own
_REFUSALS = (methods.NoProcessor, methods.TooManyPaymentMethods, ProcessorMisconfigured, UnknownProcessor)


class TestCardForm(ReasonForm):
    """How the new card of the Test processor behaves."""

    __test__ = False

    alias = ChoiceField(
        "The card",
        choices=list(test_processor.ALIASES.items()),
        description="A test card: no money moves. What it does when it is charged is fixed by this choice.",
    )


class InvitationForm(ReasonForm):
    """Whether the driver is sent the address."""

    send = fields.BooleanField(
        "Send the address to the user by e-mail",
        default=True,
        description="In the user’s language. Otherwise copy it from the next page and pass it on yourself.",
    )


class PaymentMethodsMixin:
    """Joined into the users' view: the tab, and the dialog "Add payment method"."""

    @expose("/payment-methods/")
    def payment_methods_view(self) -> Any:
        """The tab's content."""
        user = self.get_one(request.args.get("id"))
        wallet = method_actions.wallet(self.db_session, user_id=user.id, now=utcnow())
        today = utcnow().date()
        return self.render(
            "crm/_payment_methods.html",
            model=user,
            wallet=wallet,
            title_of=title,
            expiry=expiry,
            status_of=lambda method: method_actions.shown_status(method, today=today),
            may_change=self.may(PERMISSION),
        )

    @expose("/add-payment-method/", methods=("GET", "POST"))
    def add_payment_method_view(self) -> Any:
        """GET: the dialog. POST: a test card at once, else a one-time address for the driver."""
        self.require(PERMISSION)
        user = self.get_one(request.args.get("id"))
        try:
            processor = methods.processor_name(self.db_session, user)
        except methods.NoProcessor as error:
            return self._refused(user, str(error))
        make = TestCardForm if processor == test_processor.NAME else InvitationForm
        form = make(request.form if request.method == "POST" else None)
        if request.method != "POST" or not form.validate():
            html = self.render("crm/_add_payment_method.html", model=user, form=form, processor=title(processor))
            return html, 422 if request.method == "POST" else 200
        if isinstance(form, TestCardForm):
            return self._add_test_card(user, form)
        return self._invite(user, form)

    def _add_test_card(self, user: User, form: TestCardForm) -> Any:
        try:
            action = method_actions.add_test_method(
                self.db_session,
                user=user,
                alias=form.alias.data,
                reason=form.reason.data.strip(),
                actor=current_user._get_current_object(),
                now=utcnow(),
            )
        except methods.TooManyPaymentMethods as error:
            self.db_session.rollback()
            return self._refused(user, str(error))
        self.db_session.commit()
        return self._changed("crm/_payment_method_added.html", model=user, info=action.info)

    def _invite(self, user: User, form: InvitationForm) -> Any:
        try:
            invitation = entries.invite(separate_transaction, user_id=user.id, clock=utcnow)
        except (*_REFUSALS, ProcessorUnreachable) as error:
            return self._refused(user, str(error))
        url = card_entry.address(invitation.token)
        session, now = self.db_session, utcnow()
        if form.send.data:
            method_actions.mail_invitation(session, user=user, setup_id=invitation.setup_id, url=url, now=now)
        method_actions.note_invitation(
            session,
            user=user,
            sent=form.send.data,
            reason=form.reason.data.strip(),
            actor=current_user._get_current_object(),
            now=now,
        )
        session.commit()
        return self._changed(
            "crm/_payment_method_added.html",
            model=user,
            url=url,
            path=url_for("card_entry.page", token=invitation.token),
            expires_at=invitation.expires_at,
            sent=form.send.data,
        )

    def _refused(self, user: User, problem: str) -> Any:
        html = self.render("crm/_payment_method_added.html", model=user, problem=problem)
        return html, 422 if request.method == "POST" else 200

    def _changed(self, template: str, **context: Any) -> Any:
        response = make_response(self.render(template, **context))
        response.headers["HX-Trigger"] = "record-changed"
        return response


def methods_cell(found: list[PaymentMethod]) -> Markup | str:
    """The users' list: "VISA **** 1111", the one that pays first, and how many more there are."""
    if not found:
        return formats.NOTHING
    more = f" +{len(found) - 1}" if len(found) > 1 else ""
    return Markup('<span title="{}">{}{}</span>').format(", ".join(map(str, found)), str(found[0]), more)


def expiry(method: PaymentMethod) -> str:
    """As on the card: "04/2029"."""
    if method.exp_month is None or method.exp_year is None:
        return formats.NOTHING
    return f"{method.exp_month:02}/{method.exp_year}"


def remove(obj: PaymentMethod, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Use it no more."""
    return method_actions.remove(db.session(), method=obj, reason=reason, actor=actor, now=utcnow())


class PaymentMethodView(BaseView):
    """One payment method and what it paid; reached from its user and from transactions."""

    resource, singular, plural = "crm.user", "Payment Method", "Payment Methods"
    section, icon = "CRM", "credit-card"
    description = "The cards of all users. Their numbers are kept by the payment processor alone."
    empty_hint = "Payment methods are added on a user’s page."
    can_create = can_edit = can_delete = False

    column_list = ("name", "user", "status", "processor", "expiry", "last_used_at", "created_at")
    column_labels = {
        "name": "Payment Method",
        "user": "User",
        "user.email": "E-mail",
        "expiry": "Expiration date",
        "last_used_at": "Last used",
        "created_at": "Added",
        "removed_at": "Removed",
        "last4": "Last four digits",
        "id": "ID",
    }
    column_pills = ()
    column_formatters = {
        "name": lambda view, context, obj, name: str(obj),
        "status": lambda view, context, obj, name: pill(method_actions.shown_status(obj, today=utcnow().date())),
        "processor": lambda view, context, obj, name: title(obj.processor),
        "expiry": lambda view, context, obj, name: expiry(obj),
    }
    link_column = "name"
    column_searchable_list = ("last4", "user.email", "user.first_name", "user.last_name")
    search_hint = "Search last four digits, user"
    column_sortable_list = ("status", "processor", "last_used_at", "created_at")
    column_default_sort = ("created_at", True)
    column_filters = ("status", "processor", "brand", "user.email", "created_at", "last_used_at")
    column_export_list = (
        "id", "user.email", "brand", "last4", "exp_month", "exp_year", "status", "processor", "created_at",
        "last_used_at", "removed_at",
    )  # fmt: skip
    form_columns = ()
    details_tabs = (
        Facts("General", ("name", "user", "status", "processor", "expiry", "created_at", "last_used_at", "removed_at")),
    )
    related = (Related("Transactions", "transaction", "payment_method_id"),)
    actions = (
        RecordAction(
            "remove",
            "Remove",
            remove,
            permission=PERMISSION,
            icon="trash",
            button="Remove the payment method",
            danger=True,
            bulk=False,
            help="It is charged no more: auto top-ups by it end, and RFID tags that named it use the last used one.",
            available=lambda obj: obj.removed_at is None,
            refusals=(method_actions.AlreadyRemoved,),
        ),
    )

    def __init__(self, model: type, session: Any, **options: Any) -> None:
        # who may see users may see what they pay with: the same permissions, another page
        super().__init__(model, session, endpoint="payment_method", **options)

    def is_visible(self) -> bool:
        """Not in the menu: the manual shows payment methods with their user."""
        return False

    def scaffold_form(self) -> Any:
        """None is needed."""
        return BaseForm
