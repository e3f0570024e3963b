"""What an operator can do to users and tags. Manual, "Disable user account", "Add to User's Balance"."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from flask_admin.contrib.sqla.fields import QuerySelectField
from sqlalchemy import select
from wtforms import validators

from admin_views import formats
from admin_views.base import EnumField, Outcome, ReasonForm, RecordAction
from admin_views.widgets.fields import DecimalField
from app.billing import ledger
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession
from app.core import rates
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin
from app.crm import verbs
from app.crm.models import RfidTag, RfidTagStatus, User, UserGroup, UserStatus

#: more than this at once is a slip of the finger
MAX_TOP_UP = Decimal(100_000)


class _OtherStatusForm(ReasonForm):
    """Proposes the status that a single record does not have yet."""

    def __init__(self, formdata: Any = None, obj: Any = None, **more: Any) -> None:
        super().__init__(formdata, obj=obj, **more)
        if formdata is None and obj is not None:
            self.status.data = next(member for member in type(obj.status) if member is not obj.status)


class UserStatusForm(_OtherStatusForm):
    """Active or disabled."""

    status = EnumField(
        "Status",
        enum_class=UserStatus,
        default=UserStatus.DISABLED,
        description="A disabled user can neither sign in nor start a session. One that is running goes on and is "
        "billed; it is stopped on its own page.",
    )


class TagStatusForm(_OtherStatusForm):
    """Active or disabled."""

    status = EnumField(
        "Status",
        enum_class=RfidTagStatus,
        default=RfidTagStatus.DISABLED,
        description="Only active tags start a session.",
    )


class AddBalanceForm(ReasonForm):
    """How much, in the base currency."""

    amount = DecimalField(
        "Amount",
        [validators.InputRequired(), validators.NumberRange(max=MAX_TOP_UP)],
        description="Credited at once, as an “Operator top up”.",
        render_kw={"required": True},
    )

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.currency = rates.base_currency(db.session())
        self.amount.label.text = f"Amount ({self.currency.symbol})"

    def validate_amount(self, field: Any) -> None:
        """Above zero, with no more decimals than the currency has."""
        if field.data is None or field.errors:
            return
        if field.data <= 0:
            raise validators.ValidationError("Enter an amount above zero.")
        if field.data != round(field.data, self.currency.exponent):
            decimals = self.currency.exponent or "no"
            raise validators.ValidationError(f"{self.currency.code} has {decimals} decimals.")


class GroupForm(ReasonForm):
    """Which user group."""

    group = QuerySelectField(
        "User Group",
        query_factory=lambda: db.session.query(UserGroup).order_by(UserGroup.name),
        allow_blank=False,
    )


def change_user_status(obj: User, form: UserStatusForm, *, reason: str, actor: Admin) -> list[Any]:
    """Disable a user, or make them active again. What a disabled user still charges is told."""
    session = db.session()
    action = verbs.change_user_status(
        session, user=obj, status=form.status.data, reason=reason, actor=actor, now=utcnow()
    )
    if form.status.data is not UserStatus.DISABLED:
        return [action]
    running = session.scalars(
        select(ChargingSession).where(ChargingSession.user_id == obj.id, ChargingSession.status.in_(RUNNING))
    )
    told = "Goes on and is billed. Stop it on its own page if it shall not."
    return [action, *(Outcome(f"Charging Session #{row.id}", row.status, told) for row in running)]


def add_balance(obj: User, form: AddBalanceForm, *, reason: str, actor: Admin) -> Outcome:
    """Credit a user's balance."""
    code = form.currency.code
    entry = ledger.add_balance(
        db.session(), user=obj, amount=form.amount.data, currency=code, reason=reason, actor=actor, now=utcnow()
    )
    detail = (
        f"{formats.money(entry.credit, code)} added; the balance is now {formats.money(entry.balance_after, code)}. "
        f"Voucher {entry.voucher}."
    )
    return Outcome(str(obj), ActionStatus.FINISHED, detail)


def add_to_group(obj: User, form: GroupForm, *, reason: str, actor: Admin) -> Action:
    """Put a user into a group."""
    return verbs.add_to_group(db.session(), user=obj, group=form.group.data, reason=reason, actor=actor, now=utcnow())


def remove_from_group(obj: User, form: GroupForm, *, reason: str, actor: Admin) -> Action:
    """Take a user out of a group."""
    return verbs.remove_from_group(
        db.session(), user=obj, group=form.group.data, reason=reason, actor=actor, now=utcnow()
    )


def change_tag_status(obj: RfidTag, form: TagStatusForm, *, reason: str, actor: Admin) -> Action:
    """Disable a tag, or make it active again."""
    return verbs.change_tag_status(
        db.session(), tag=obj, status=form.status.data, reason=reason, actor=actor, now=utcnow()
    )


USER_ACTIONS = (
    RecordAction(
        "change_status",
        "Change status",
        change_user_status,
        form=UserStatusForm,
        permission="change_status",
        icon="status-change",
        refusals=(verbs.UserStatusUnchanged, verbs.UserErased),
    ),
    RecordAction(
        "add_balance",
        "Add balance",
        add_balance,
        form=AddBalanceForm,
        permission="add_balance",
        icon="wallet",
        group="Balance",
        refusals=(ledger.InvalidLedgerAmount, ledger.UnknownCurrency),
    ),
    RecordAction(
        "add_to_group",
        "Add to User Group",
        add_to_group,
        form=GroupForm,
        icon="user-plus",
        group="User Groups",
        refusals=(verbs.GroupMembershipUnchanged,),
    ),
    RecordAction(
        "remove_from_group",
        "Remove from User Group",
        remove_from_group,
        form=GroupForm,
        icon="user-minus",
        group="User Groups",
        refusals=(verbs.GroupMembershipUnchanged,),
    ),
)

TAG_ACTIONS = (
    RecordAction(
        "change_status",
        "Change status",
        change_tag_status,
        form=TagStatusForm,
        icon="status-change",
        refusals=(verbs.TagStatusUnchanged,),
    ),
)
