"""Calls in the protocol's own words: any of them for those who may, and a vendor's own messages."""

from __future__ import annotations

import json
from typing import Any

from flask import current_app
from wtforms import StringField, TextAreaField, validators

from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from admin_views.widgets.actions import NotBlank
from app.assets.models import ChargePoint
from app.charging import raw_commands
from app.charging.commands import NotManaged
from app.charging.raw_commands import InvalidCall, dictionary, protocol_of
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin
from app.core.permissions import Permission

FIRST_CALL = "GetConfiguration"
LONGEST_PAYLOAD = 200_000


class CallForm(ReasonForm):
    """Which call, with what."""

    call = ChoiceField("Call", choices=[], default=FIRST_CALL)
    payload = TextAreaField(
        "Payload",
        [validators.Length(max=LONGEST_PAYLOAD)],
        default="{}",
        description="JSON as in OCPP. Choosing a call fills in what it must have.",
        render_kw={"rows": 9, "spellcheck": "false", "autocomplete": "off"},
    )

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        self._station = obj
        if obj is None:
            return
        protocol = protocol_of(obj)
        names = dictionary().actions(protocol)
        self.call.choices = [(name, name) for name in names]
        skeletons = {name: _pretty(dictionary().skeleton(protocol, name)) for name in names}
        self.payload.render_kw = {**self.payload.render_kw, "data-skeletons": json.dumps(skeletons)}

    def validate(self, extra_validators: Any = None) -> bool:
        """What the station's protocol would not understand is told with its path."""
        if not super().validate(extra_validators):
            return False
        try:
            given = json.loads(self.payload.data or "{}", parse_constant=_no_number)
        except (ValueError, RecursionError) as fault:
            self.payload.errors = [f"This is not JSON: {fault}."]
            return False
        if "\\u0000" in (self.payload.data or "") or "\x00" in (self.payload.data or ""):
            self.payload.errors = ["NUL characters cannot be kept."]
            return False
        self.given = given
        try:
            if self._station is not None:
                raw_commands.check_call(self._station, action=self.call.data, payload=given)
        except InvalidCall as fault:
            field = self.call if fault.mistake.path == "action" else self.payload
            field.errors = [f"{fault}."]
            return False
        return True


class TransferForm(ReasonForm):
    """A vendor's own message."""

    vendor = StringField("Vendor", [NotBlank("Enter the vendor ID."), validators.Length(max=255)])
    message = StringField("Message", [validators.Optional(), validators.Length(max=50)])
    data = TextAreaField(
        "Data",
        [validators.Optional(), validators.Length(max=20_000)],
        description="As the vendor documents it; sent as text.",
        render_kw={"rows": 4, "spellcheck": "false"},
    )


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2)


def send_call(obj: ChargePoint, form: CallForm, *, reason: str, actor: Admin) -> Action:
    """Send the call as it is."""
    return raw_commands.request_call(
        db.session(),
        charge_point=obj,
        action=form.call.data,
        payload=form.given,
        reason=reason,
        actor=actor,
        secret_key=current_app.config["SECRET_KEY"],
        now=utcnow(),
    )


def transfer_data(obj: ChargePoint, form: TransferForm, *, reason: str, actor: Admin) -> Action:
    """Send a vendor's own message."""
    return raw_commands.transfer_data(
        db.session(),
        charge_point=obj,
        vendor=form.vendor.data.strip(),
        message=(form.message.data or "").strip() or None,
        data=form.data.data or None,
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def _managed(obj: ChargePoint) -> bool:
    return obj.managed_by_operator


ACTIONS = (
    RemoteAction(
        "data_transfer",
        "Data Transfer",
        transfer_data,
        form=TransferForm,
        icon="arrows-exchange",
        group="OCPP",
        bulk=False,
        available=_managed,
        refusals=(NotManaged,),
        shows_response=True,
        help="Sends a message that the vendor of the charge point has defined.",
    ),
    RemoteAction(
        "call",
        "OCPP Command",
        send_call,
        form=CallForm,
        icon="terminal",
        group="OCPP",
        permission=Permission.CHARGE_POINT_RAW_COMMAND.value,
        bulk=False,
        available=_managed,
        refusals=(NotManaged, InvalidCall),
        shows_response=True,
        button="Send",
        help="Sends any call that the charge point's protocol knows, and shows its answer.",
    ),
)
