"""Corrections of a session: assign another driver, change the tariff, give a credit; each shows its effect before.

Issue "ACTIVITY": "each with reason and a new priced version, never an edit in place".
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from flask import url_for
from flask_admin.model.fields import AjaxSelectField
from markupsafe import Markup
from wtforms import Field, HiddenField, validators

from admin_views import formats
from admin_views.assets.start_session import USERS, tariffs_of
from admin_views.base import ChoiceField, ReasonForm, RecordAction
from admin_views.widgets.actions import after_commit
from admin_views.widgets.fields import DecimalField
from app.assets.models import Evse
from app.billing.payments import orders, perform
from app.charging.corrections import corrections
from app.charging.corrections.corrections import AssignUser, ChangeTariff, Corrected, Credit, Order
from app.charging.corrections.rules import CorrectionKind, CorrectionRefused, Effect, outcome_of
from app.charging.models import ChargingSession
from app.core.actions import ReasonRequired
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.models import Action, Admin
from app.crm.models import User
from app.tariffs.models import Tariff

FOR_DRIVER, KEEP = "driver", "keep"
CHARGE, WAIVE = "charge", "waive"
GROUP = "Correct"


class EffectField(Field):
    """No input: the place where the dialog shows what the correction does, and asks again at every change."""

    def widget(self, field: Any, **attributes: Any) -> Markup:
        """A box that fetches itself."""
        return Markup(
            '<div class="correction-effect" id="effect" role="status" aria-live="polite" hx-get="{}" '
            'hx-trigger="load, change from:#modal-content delay:50ms, input from:#modal-content delay:500ms" '
            'hx-include="closest form" hx-target="this" hx-swap="innerHTML"></div>'
        ).format(self.url)

    url = ""


class CorrectionForm(ReasonForm):
    """``token`` makes a form that is sent twice one correction; ``seen`` refuses it when the session has changed."""

    effect = EffectField("Effect")
    token = HiddenField(default=lambda: secrets.token_hex(12))
    seen = HiddenField(validators=[validators.Length(max=120)])
    action_name = ""

    def __init__(self, formdata: Any = None, obj: ChargingSession | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is None:
            return
        self.effect.url = url_for("charging_session.effect_view", action_name=self.action_name, id=obj.id)
        if formdata is None:
            self.seen.data = corrections.seen_of(obj)

    def ordered(self) -> list[Any]:
        """What is chosen, what it does, why."""
        last = ("effect", "reason", "token", "seen")
        return [*(bound for bound in self if bound.name not in last), *(self[name] for name in last)]

    def order(self) -> Order:
        """What is asked for. Raises CorrectionRefused while something is still to be chosen."""
        raise NotImplementedError


class AssignForm(CorrectionForm):
    """Whose session it is."""

    user = AjaxSelectField(USERS, "User", description="Start typing the name or e-mail of who has charged.")
    price = ChoiceField("Price", choices=[(FOR_DRIVER, "Price for this driver"), (KEEP, "Keep the price")])
    action_name = "assign_user"

    def validate(self, extra_validators: Any = None) -> bool:
        """A user is needed."""
        valid: bool = super().validate(extra_validators)
        if self.user.data is None:
            self.user.errors = ["Choose a user."]
            return False
        return valid

    def order(self) -> AssignUser:
        """The chosen driver."""
        user = self.user.data
        if not isinstance(user, User):
            raise CorrectionRefused("Choose a user to see what it does.")
        return AssignUser(user.id, keep_price=self.price.data == KEEP)


class TariffForm(CorrectionForm):
    """By which tariff, and whether a higher price is asked for."""

    tariff = ChoiceField("Tariff", choices=[], coerce=int, description="Those of the EVSE’s tariff group come first.")
    difference = ChoiceField(
        "If the price is higher",
        choices=[(CHARGE, "Charge the difference"), (WAIVE, "Waive the difference")],
        description="A lower price is always given back.",
    )
    action_name = "change_tariff"

    def __init__(self, formdata: Any = None, obj: ChargingSession | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=obj, **options)
        self.tariff.choices = tariff_choices(obj)
        if formdata is None and self.tariff.choices:
            others = [key for key, _ in self.tariff.choices if obj is None or key != obj.tariff_id]
            self.tariff.data = others[0] if others else self.tariff.choices[0][0]

    def order(self) -> ChangeTariff:
        """The chosen tariff."""
        if not isinstance(self.tariff.data, int):
            raise CorrectionRefused("Choose a tariff to see what it does.")
        return ChangeTariff(self.tariff.data, waive=self.difference.data == WAIVE)


class CreditForm(CorrectionForm):
    """How much is given back: everything, unless less is said."""

    amount = DecimalField("Amount", [validators.InputRequired()], render_kw={"required": True})
    action_name = "credit"

    def __init__(self, formdata: Any = None, obj: ChargingSession | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=obj, **options)
        if obj is None or obj.total_gross is None or obj.currency is None:
            return
        self.amount.label.text = f"Amount ({obj.currency})"
        self.amount.description = f"The price is {formats.money(obj.total_gross, obj.currency)}; enter less for a part."
        if formdata is None:
            self.amount.data = formats.export_amount(obj.total_gross, obj.currency)

    def order(self) -> Credit:
        """The amount."""
        if not isinstance(self.amount.data, Decimal):
            raise CorrectionRefused("Enter an amount to see what it does.")
        return Credit(self.amount.data)


def tariff_choices(row: ChargingSession | None) -> list[tuple[int, str]]:
    """All tariffs: those of the EVSE's group in its order, then the others by name."""
    evse = db.session().get(Evse, row.evse_id) if row is not None else None
    own = [(int(key), name) for key, name in tariffs_of(evse)]
    known = {key for key, _ in own}
    others = db.session.query(Tariff.id, Tariff.name).order_by(Tariff.name, Tariff.id)
    return [*own, *((key, name) for key, name in others if key not in known)]


def _correct(obj: ChargingSession, form: CorrectionForm, *, reason: str, actor: Admin) -> Action:
    done: Corrected = corrections.correct(
        db.session(),
        charging_session=obj,
        order=form.order(),
        reason=reason,
        actor=actor,
        key=f"{form.action_name}:{obj.id}:{(form.token.data or '')[:40]}",
        seen=form.seen.data or None,
        now=utcnow(),
    )
    for transaction_id in done.pending:
        after_commit(partial(perform.perform, separate_transaction, transaction_id=transaction_id, clock=utcnow))
    return done.action


def _possible(kind: CorrectionKind) -> Callable[[ChargingSession], bool]:
    """Whether the correction is offered for a session in its state."""
    return lambda obj: isinstance(outcome_of(kind, obj.status, obj.payment_status), Effect)


_REFUSALS = (CorrectionRefused, orders.InvalidAmount, orders.NotRefundable, ReasonRequired)

ACTIONS = (
    RecordAction(
        "assign_user",
        corrections.TITLES[CorrectionKind.ASSIGN_USER],
        _correct,
        form=AssignForm,
        permission="assign_user",
        icon="user-check",
        bulk=False,
        group=GROUP,
        available=_possible(CorrectionKind.ASSIGN_USER),
        refusals=_REFUSALS,
        help="The session is another driver’s: that driver pays, and whoever has paid gets it back.",
    ),
    RecordAction(
        "change_tariff",
        corrections.TITLES[CorrectionKind.CHANGE_TARIFF],
        _correct,
        form=TariffForm,
        permission="change_tariff",
        icon="receipt",
        bulk=False,
        group=GROUP,
        available=_possible(CorrectionKind.CHANGE_TARIFF),
        refusals=_REFUSALS,
        help="The session is priced anew from its readings, by the tariff as it is now.",
    ),
    RecordAction(
        "credit",
        corrections.TITLES[CorrectionKind.CREDIT],
        _correct,
        form=CreditForm,
        permission="credit",
        icon="receipt-refund",
        bulk=False,
        group=GROUP,
        available=_possible(CorrectionKind.CREDIT),
        refusals=_REFUSALS,
        help="Takes an amount off the price. It goes back the way it came; a credit note follows by itself.",
    ),
)
