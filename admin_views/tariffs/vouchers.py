"""TARIFFS & VOUCHERS > Vouchers: vouchers and all top-ups. Manual, "Vouchers" to "Exporting Voucher & Top-Up Data"."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import abort, flash, redirect, request
from flask_admin import expose
from flask_admin.form import BaseForm
from flask_admin.model.fields import AjaxSelectField
from flask_login import current_user
from sqlalchemy.orm import joinedload, selectinload
from wtforms import StringField, TextAreaField, validators

from admin_views import formats
from admin_views.base import BaseView, Facts, Lookup, Outcome, ReasonForm, RecordAction
from admin_views.tariffs.words import SECTION, base_currency
from admin_views.widgets.fields import DateField, DecimalField, IntegerField
from app.billing import ledger, vouchers
from app.billing.models import Transaction, Voucher
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User
from app.search.kinds import Kind

MAX_DESCRIPTION = 1000
#: what a new voucher proposes
USUAL_LIFE = timedelta(days=90)

USERS = Lookup(
    "user",
    User,
    session=db,
    fields=["email", "first_name", "last_name"],
    text=lambda user: f"{user.full_name} ({user.email})",
)


def _description() -> TextAreaField:
    return TextAreaField(
        "Description",
        [validators.Length(max=MAX_DESCRIPTION)],
        description="For your reference only; users do not see it.",
        render_kw={"rows": 3, "maxlength": MAX_DESCRIPTION, "placeholder": "Description"},
    )


class VoucherForm(BaseForm):
    """New vouchers. Manual, "Creating Vouchers"."""

    quantity = IntegerField(
        "Quantity",
        [validators.InputRequired(), validators.NumberRange(min=1, max=vouchers.MAX_QUANTITY)],
        default=1,
        description=f"How many vouchers to make, up to {vouchers.MAX_QUANTITY:,}; each gets a code of its own.",
    )
    amount = DecimalField(
        "Amount",
        [validators.InputRequired(), validators.NumberRange(max=100_000)],
        description="Added to the user’s balance when the voucher is redeemed.",
    )
    redeem_before = DateField(
        "Redeem before",
        [validators.Optional()],
        description="The last day; afterwards it is expired. Empty: it does not expire.",
    )
    description = _description()


class DescriptionForm(BaseForm):
    """All that can be changed of a voucher."""

    description = _description()

    def populate_obj(self, obj: Voucher) -> None:
        """Nothing is nothing."""
        obj.description = (self.description.data or "").strip() or None


class RedeemForForm(ReasonForm):
    """For whom."""

    user = AjaxSelectField(USERS, "User", description="Start typing the name or e-mail.")

    def __init__(self, formdata: Any = None, obj: Voucher | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)

    def validate(self, extra_validators: Any = None) -> bool:
        """A user is needed."""
        valid: bool = super().validate(extra_validators)
        if self.user.data is None:
            self.user.errors = ["Choose a user."]
            return False
        return valid


def redeem_for(obj: Voucher, form: RedeemForForm, *, reason: str, actor: Admin) -> Outcome:
    """Add the voucher to a user's balance."""
    user = form.user.data
    entry = vouchers.redeem_for(db.session(), code=obj.code, user=user, reason=reason, actor=actor, now=utcnow())
    return Outcome(obj.code, ActionStatus.FINISHED, credited(entry, user))


def credited(entry: Any, user: User) -> str:
    """What was added and what there is now."""
    code = entry.account.currency
    added, balance = formats.money(entry.credit, code), formats.money(entry.balance_after, code)
    return f"{added} added; the balance of {user.full_name} is now {balance}."


def cancel(obj: Voucher, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Make a voucher worthless."""
    return vouchers.cancel(db.session(), voucher=obj, reason=reason, actor=actor, now=utcnow())


def _money(view: Any, context: Any, voucher: Voucher, name: str) -> Any:
    amount = getattr(voucher, name)
    return formats.NOTHING if amount is None else formats.money(amount, voucher.currency)


def _amount_of(name: str) -> Any:
    return lambda voucher: formats.export_amount(getattr(voucher, name), voucher.currency)


class VoucherView(BaseView):
    """Vouchers, and every top-up of a balance, which is a voucher redeemed at once."""

    resource, singular, plural = "tariffs.voucher", "Voucher", "Vouchers"
    section, icon = SECTION, "gift"
    list_template = "tariffs/list.html"
    description = "Prepaid vouchers, and all top-ups: by payment method, automatic, and by operators."
    empty_hint = "Make vouchers for drivers to redeem. Top-ups of balances appear here as well."
    can_delete = False
    count_cap = 1_000_000

    column_list = (
        "code", "created_at", "type", "status", "redeem_before", "redeemed_at", "user", "amount",
    )  # fmt: skip
    column_labels = {
        "created_at": "Created at",
        "redeem_before": "Redeem before",
        "redeemed_at": "Redeemed at",
        "user": "Redeemed by",
        "user.email": "Redeemed by",
        "amount": "Total Amount",
        "paid_amount": "Charged",
        "package": "Top-Up Package",
        "created_by": "Created by",
    }
    column_pills = ("status",)
    column_formatters = {
        "amount": _money,
        "paid_amount": _money,
        "bonus": _money,
        "package": lambda view, context, voucher, name: voucher.package or formats.NOTHING,
    }
    column_searchable_list = ("code", "user.email", "description", "created_by")
    search_hint = "Search code, user, description"
    search_kind = Kind.VOUCHER
    column_sortable_list = (
        "code", "created_at", "type", "status", "redeem_before", "redeemed_at", ("user", "user.email"), "amount",
    )  # fmt: skip
    column_default_sort = ("created_at", True)
    column_filters = (
        "type", "status", "created_at", "redeemed_at", "redeem_before", "amount", "currency", "user.email", "code",
        "created_by", "description",
    )  # fmt: skip
    column_export_list = (
        "id", "code", "created_at", "type", "status", "redeem_before", "redeemed_at", ("redeemed_by", "user.email"),
        ("total_amount", _amount_of("amount")), "currency", "created_by", "description",
        ("paid_amount", _amount_of("paid_amount")), ("bonus", _amount_of("bonus")),
    )  # fmt: skip
    create_template = "tariffs/voucher_form.html"
    details_tabs = (
        Facts(
            "General",
            (
                "code", "type", "status", "created_at", "created_by", "redeem_before", "redeemed_at", "user", "amount",
                "bonus", "package", "description",
            ),
        ),
        Facts("Payment", template="tariffs/_voucher_payment.html"),
    )  # fmt: skip
    details_load_options = (
        joinedload(Voucher.transaction).options(
            joinedload(Transaction.payment_method), selectinload(Transaction.events)
        ),
    )
    form_ajax_refs = {"user": USERS}
    actions = (
        RecordAction(
            "redeem_for",
            "Redeem for user",
            redeem_for,
            form=RedeemForForm,
            permission="crm.user.add_balance",
            icon="wallet",
            bulk=False,
            available=vouchers.is_open,
            refusals=(vouchers.VoucherError,),
            help="Adds its amount to the user’s balance at once.",
        ),
        RecordAction(
            "cancel",
            "Cancel Voucher",
            cancel,
            icon="ban",
            danger=True,
            button="Cancel Voucher",
            available=vouchers.is_open,
            refusals=(vouchers.VoucherError,),
            help="A cancelled voucher cannot be redeemed any more. This cannot be undone.",
        ),
    )

    def get_create_form(self) -> type[BaseForm]:
        """Several at once."""
        return VoucherForm

    def get_edit_form(self) -> type[BaseForm]:
        """Money that was given out is not changed."""
        return DescriptionForm

    def create_form(self, obj: Any = None) -> Any:
        """Says in which currency; proposes a last day."""
        form = super().create_form(obj)
        form.amount.label.text = f"Amount ({base_currency().symbol})"
        if request.method == "GET" and not form.redeem_before.data:
            form.redeem_before.data = vouchers.today(self.db_session, utcnow()) + USUAL_LIFE
        return form

    @expose("/new/", methods=("GET", "POST"))
    def create_view(self) -> Any:
        """The form for new vouchers; one leads to its page, many to the list."""
        self.require("create")
        form = self.create_form()
        if request.method == "GET":
            return self.render_form(form, None)
        ids = self._create(form) if form.validate() else []
        if not ids:
            return self.render_form(form, None), 422
        if len(ids) > 1:
            flash(f"{len(ids):,} vouchers were created.", "success")
        else:
            flash(f"Voucher “{self.get_one(ids[0])}” was created.", "success")
        if "_add_another" in request.form:
            return redirect(self.get_url(".create_view"))
        return redirect(self.get_url(".index_view") if len(ids) > 1 else self.get_url(".details_view", id=ids[0]))

    def _create(self, form: Any) -> list[int]:
        try:
            ids = vouchers.create_vouchers(
                self.db_session,
                quantity=form.quantity.data,
                amount=form.amount.data,
                redeem_before=form.redeem_before.data,
                description=form.description.data,
                actor=current_user._get_current_object(),
                now=utcnow(),
            )
            self.db_session.commit()
        except vouchers.RedeemBeforePassed as error:
            self._refuse(form.redeem_before, error)
            return []
        except (ledger.InvalidLedgerAmount, ledger.UnknownCurrency) as error:
            self._refuse(form.amount, error)
            return []
        return ids

    def _refuse(self, field: StringField | DecimalField | DateField, error: Exception) -> None:
        self.db_session.rollback()
        text = str(error).rstrip(".")
        field.errors = [f"{text[:1].upper()}{text[1:]}."]

    @expose("/ajax/lookup/")
    def ajax_lookup(self) -> Any:
        """Users, for whoever may redeem for one."""
        self.require("crm.user.add_balance")
        loader = self._form_ajax_refs.get(request.args.get("name", ""))
        if loader is None:
            abort(404)
        found = loader.get_list(request.args.get("query", ""), request.args.get("offset", 0, type=int))
        return [loader.format(record) for record in found]
