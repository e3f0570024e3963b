"""The dialog "Start Session" of an EVSE: for whom, at which price, paid by what. Manual, "Starting a Session".

Admins of partners know no users: they name one by the whole e-mail address, and nobody is charged for it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import url_for
from flask_admin.model.fields import AjaxSelectField
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from wtforms import StringField, validators

from admin_views.base import ChoiceField, Lookup, Outcome, ReasonForm, Refused
from admin_views.widgets.actions import after_commit
from app.assets.models import Evse
from app.billing.payments import perform
from app.charging import remote
from app.charging.payments import paying
from app.core import principal
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.models import Action, Admin
from app.crm.models import User
from app.tariffs import queries as tariff_queries

FREE = "free"

USERS = Lookup(
    "user",
    User,
    session=db,
    fields=["email", "first_name", "last_name"],
    text=lambda user: f"{user.full_name} ({user.email})",
)


class StartForm(ReasonForm):
    """For whom, at which price."""

    user = AjaxSelectField(USERS, "User", description="Start typing the name or e-mail.")
    email = StringField(
        "User’s e-mail",
        [validators.InputRequired(), validators.Length(max=255)],
        description="The whole address with which the user signs in to the app. The session is free for the user.",
        render_kw={"type": "email", "autocomplete": "off"},
    )
    tariff = ChoiceField(
        "Tariff",
        choices=[],
        default=FREE,
        description="A tariff of the EVSE's group is billed to the user. Free makes the session free.",
    )
    payment = ChoiceField(
        "Payment Methods",
        choices=[],
        default=paying.LAST_USED_KEY,
        description="What is charged for this session. Without a payment method the balance pays.",
    )

    def __init__(self, formdata: Any = None, obj: Evse | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if principal.current().is_partner:
            del self.user, self.tariff, self.payment
            return
        del self.email
        self.tariff.choices = [(FREE, "Free"), *tariffs_of(obj)]
        self.payment.choices = payment_choices(self.user.data)
        if not self.payment.raw_data:
            self.payment.data = paying.LAST_USED_KEY
        self.payment.render_kw = {
            "data-role": "",  # a plain list, so that another user's choices can be put into it
            "hx-get": url_for("evse.payment_choices_view"),
            "hx-trigger": "change from:input[name=user]",
            "hx-include": "input[name=user]",
            "hx-target": "this",
            "hx-swap": "innerHTML",
        }

    def validate(self, extra_validators: Any = None) -> bool:
        """A user is needed."""
        valid: bool = super().validate(extra_validators)
        if "user" in self and self.user.data is None:
            self.user.errors = ["Choose a user."]
            return False
        return valid


def tariffs_of(evse: Evse | None) -> list[tuple[str, str]]:
    """The tariffs of an EVSE's group, in its order."""
    if evse is None or evse.tariff_group_id is None:
        return []
    attached = tariff_queries.attached_tariffs(db.session(), tariff_group_id=evse.tariff_group_id)
    return [(str(each.tariff_id), each.name) for each in attached]


def payment_choices(user: User | None) -> list[tuple[str, str]]:
    """What may pay for a session of the user, as value and label."""
    found = paying.choices(db.session(), user_id=user.id if user else None, now=utcnow())
    return [(each.key, each.label) for each in found]


def start(obj: Evse, form: StartForm, *, reason: str, actor: Admin) -> Action | Outcome:
    """Start a session on behalf of a user; if an amount must be held first, as soon as it is."""
    session = db.session()
    if "user" not in form:
        return _start_free(session, obj, form.email.data, reason=reason, actor=actor)
    chosen, user = form.tariff.data, form.user.data
    row, action = remote.start_session(
        session,
        evse=obj,
        user=user,
        tariff_id=None if chosen == FREE else int(chosen),
        reason=reason,
        actor=actor,
        now=utcnow(),
        wish=paying.wish_of_choice(session, key=form.payment.data, user_id=user.id, now=utcnow()),
    )
    if action is not None:
        return action
    outcome = Outcome(str(obj), "Refused", "The pre-authorisation of the payment method was not confirmed.")
    after_commit(partial(_start_when_held, outcome, session_id=row.id, reason=reason, actor_id=actor.id))
    return outcome


def _start_free(session: Session, obj: Evse, email: str, *, reason: str, actor: Admin) -> Action:
    """Start a session that costs nobody anything, for the user of an address. Raises Refused without such a user."""
    user = session.scalars(select(User).where(func.lower(User.email) == email.strip().lower())).one_or_none()
    if user is None:
        raise Refused("No user has this e-mail address.")
    _, action = remote.start_session(
        session, evse=obj, user=user, tariff_id=None, reason=reason, actor=actor, now=utcnow()
    )
    assert action is not None, "a free session waits for no payment"
    return action


def _start_when_held(outcome: Outcome, *, session_id: int, reason: str, actor_id: int) -> None:
    """Ask the processor, then send the start or say why not. Manual, "User billing settings", 2."""
    with separate_transaction() as session:
        hold_id = remote.hold_of_start(session, session_id=session_id)
    perform.perform(separate_transaction, transaction_id=hold_id, clock=utcnow)
    with separate_transaction() as session:
        actor = session.get_one(Admin, actor_id)
        result = remote.continue_start(session, session_id=session_id, reason=reason, actor=actor, now=utcnow())
        if isinstance(result, remote.StartRefused):
            outcome.detail = str(result)
        else:
            outcome.id, outcome.status = result.id, result.status
