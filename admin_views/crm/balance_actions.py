"""What an operator can do to a user's balance. Manual, "Add to User's Balance", "Vouchers", "User billing settings"."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

from wtforms import HiddenField, StringField, validators

from admin_views import formats
from admin_views.base import ChoiceField, Outcome, ReasonForm, RecordAction
from admin_views.crm.actions import AddBalanceForm
from admin_views.tariffs.packages import in_words
from admin_views.tariffs.vouchers import credited
from admin_views.widgets.actions import after_commit
from app.billing import auto_top_up, ledger, packages, top_ups, vouchers
from app.billing.models import AutoTopUp, PaymentMethod, TopUpPackage
from app.billing.payments import methods, orders, perform
from app.core import settings
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import User

GROUP = "Balance"


class RedeemForm(ReasonForm):
    """Which voucher."""

    code = StringField(
        "Code",
        [validators.InputRequired(), validators.Length(max=20)],
        description="Six characters; small letters and blanks do not matter.",
        render_kw={"autocomplete": "off", "spellcheck": "false", "maxlength": 20, "required": True},
    )


class _PaidForm(ReasonForm):
    """By which of the user's payment methods."""

    method = ChoiceField("Payment method", choices=[], coerce=int)

    def __init__(self, formdata: Any = None, obj: User | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        found = methods.usable(db.session(), user_id=obj.id, today=utcnow().date()) if obj is not None else []
        self.method.choices = [(row.id, str(row)) for row in found]
        if not found:
            self.method.description = "The user has no payment method that can be charged."

    def paid_by(self) -> PaymentMethod:
        """The one chosen."""
        return db.session().get_one(PaymentMethod, self.method.data)


def _package_field() -> ChoiceField:
    return ChoiceField("Top-Up Package", choices=[], coerce=int)


def _fill_packages(form: Any) -> None:
    form.package.choices = [(row.id, in_words(row)) for row in packages.on_sale(db.session())]
    if not form.package.choices:
        form.package.description = "No package can be bought; see TARIFFS & VOUCHERS > Top-Up Packages."


class TopUpForm(AddBalanceForm, _PaidForm):
    """A package where packages are sold, else an amount; ``token`` makes a form that is sent twice one top-up."""

    package = _package_field()
    token = HiddenField(default=lambda: secrets.token_hex(12))

    def __init__(self, formdata: Any = None, obj: User | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=obj, **options)
        self.amount.description = "Charged to the payment method and added to the balance."
        if settings.get(db.session(), packages.ENABLED):
            del self.amount
            _fill_packages(self)
        else:
            del self.package

    def ordered(self) -> list[Any]:
        """What is bought, then how it is paid."""
        first = [self[name] for name in ("package", "amount", "method") if name in self]
        return [*first, self["reason"], self["token"]]


class AutoTopUpForm(_PaidForm):
    """What is bought by itself."""

    package = _package_field()

    def __init__(self, formdata: Any = None, obj: User | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=obj, **options)
        _fill_packages(self)
        order = db.session().get(AutoTopUp, obj.id) if obj is not None else None
        if formdata is None and order is not None:
            self.package.data, self.method.data = order.package_id, order.payment_method_id

    def ordered(self) -> list[Any]:
        """What is bought, then how it is paid."""
        return [self["package"], self["method"], self["reason"]]


def redeem_voucher(obj: User, form: RedeemForm, *, reason: str, actor: Admin) -> Outcome:
    """Add a voucher's amount to the balance."""
    entry = vouchers.redeem_for(db.session(), code=form.code.data, user=obj, reason=reason, actor=actor, now=utcnow())
    return Outcome(str(obj), ActionStatus.FINISHED, credited(entry, obj))


def top_up(obj: User, form: TopUpForm, *, reason: str, actor: Admin) -> Action:
    """Charge a payment method for the balance; the processor is asked once it is on record."""
    session = db.session()
    voucher = top_ups.begin_top_up(
        session,
        user=obj,
        method=form.paid_by(),
        package=session.get_one(TopUpPackage, form.package.data) if "package" in form else None,
        amount=form.amount.data if "amount" in form else None,
        reason=reason,
        actor=actor,
        key=f"top-up:{form.token.data[:40]}",
        now=utcnow(),
    )
    after_commit(partial(perform.perform, separate_transaction, transaction_id=voucher.transaction_id, clock=utcnow))
    return session.get_one(Action, voucher.action_id)


def enable_auto_top_up(obj: User, form: AutoTopUpForm, *, reason: str, actor: Admin) -> Action:
    """Let a package be bought whenever the balance reaches the limit."""
    session = db.session()
    return auto_top_up.enable(
        session,
        user=obj,
        package=session.get_one(TopUpPackage, form.package.data),
        method=form.paid_by(),
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def disable_auto_top_up(obj: User, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """End it."""
    return auto_top_up.disable(db.session(), user=obj, reason=reason, actor=actor, now=utcnow())


def standing_order(user_id: int) -> AutoTopUp | None:
    """A user's auto top-up."""
    return db.session().get(AutoTopUp, user_id)


def standing_order_in_words(user_id: int) -> dict[str, Any]:
    """What the tab Balance says of a user's auto top-up: the order, its package, at which balance it buys."""
    session, order = db.session(), standing_order(user_id)
    return {
        "standing_order": order,
        "package_words": in_words(order.package) if order is not None else "",
        "auto_top_up_limit": formats.money(auto_top_up.limit(session), settings.get_text(session, "system.currency")),
    }


_CANNOT_BUY = (top_ups.UnusablePaymentMethod, packages.PackageNotSold, orders.InvalidAmount)

BALANCE_ACTIONS = (
    RecordAction(
        "redeem_voucher",
        "Redeem voucher",
        redeem_voucher,
        form=RedeemForm,
        permission="add_balance",
        icon="gift",
        bulk=False,
        group=GROUP,
        refusals=(vouchers.VoucherError, ledger.UnknownCurrency),
        help="Adds its amount to the user’s balance at once.",
    ),
    RecordAction(
        "top_up",
        "Top up",
        top_up,
        form=TopUpForm,
        permission="payment_methods",
        icon="credit-card",
        bulk=False,
        group=GROUP,
        available=lambda user: bool(settings.get(db.session(), top_ups.ENABLED)),
        refusals=(*_CANNOT_BUY, top_ups.TopUpsDisabled, top_ups.PackageRequired),
        help="Charges the user’s payment method; the balance is credited once it is paid.",
    ),
    RecordAction(
        "enable_auto_top_up",
        "Auto top-up",
        enable_auto_top_up,
        form=AutoTopUpForm,
        permission="payment_methods",
        icon="repeat",
        bulk=False,
        group=GROUP,
        button="Enable auto top-up",
        available=lambda user: bool(settings.get(db.session(), auto_top_up.ENABLED)),
        refusals=(*_CANNOT_BUY, auto_top_up.AutoTopUpDisabled),
        help="Buys the package by itself whenever the balance reaches the limit set in CONFIGURATION > Settings.",
    ),
    RecordAction(
        "disable_auto_top_up",
        "Disable auto top-up",
        disable_auto_top_up,
        permission="payment_methods",
        icon="player-stop",
        bulk=False,
        group=GROUP,
        available=lambda user: (
            bool(settings.get(db.session(), auto_top_up.ENABLED)) and standing_order(user.id) is not None
        ),
        refusals=(auto_top_up.NoAutoTopUp,),
    ),
)
