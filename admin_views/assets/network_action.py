"""Where a charge point connects to: a connection for one of its slots, given with reason (OCPP 2.0.1)."""

from __future__ import annotations

from typing import Any

from wtforms import StringField, validators

from admin_views.assets.charging_actions import speaks_newer
from admin_views.assets.ocpp_address import ocpp_base
from admin_views.base import ChoiceField, EnumField, ReasonForm, RemoteAction
from admin_views.widgets.fields import IntegerField
from app.assets.models import ChargePoint, SecurityProfile
from app.charging.commands import NotManaged
from app.charging.upkeep import network_profiles
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

_TLS = (SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CERTIFICATE)


class NetworkForm(ReasonForm):
    """The connection, ours unless another is entered."""

    slot = IntegerField("Slot", [validators.InputRequired(message="Enter the slot.")], default=1)
    address = StringField(
        "Address",
        [validators.InputRequired(message="Enter the address.")],
        description="Without the Charge Point ID, which the charge point adds itself.",
    )
    security = EnumField("Security Profile", enum_class=SecurityProfile, default=SecurityProfile.BASIC)
    timeout_s = IntegerField(
        "Message time-out (s)", [validators.InputRequired(message="Enter the time-out.")], default=30
    )
    interface = ChoiceField("Interface", choices=list(network_profiles.INTERFACES.items()), default="wired0")

    def __init__(self, formdata: Any = None, obj: ChargePoint | None = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        if obj is not None and not formdata:
            self.security.data = obj.security_profile
            self.address.data = ocpp_base(secure=obj.security_profile in _TLS).rstrip("/")


def set_network_profile(obj: ChargePoint, form: NetworkForm, *, reason: str, actor: Admin) -> Action:
    """Give it a connection."""
    return network_profiles.set_network_profile(
        db.session(),
        charge_point=obj,
        profile=network_profiles.NetworkProfile(
            slot=form.slot.data,
            address=form.address.data.strip(),
            security=form.security.data,
            timeout_s=form.timeout_s.data,
            interface=form.interface.data,
        ),
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


ACTIONS = (
    RemoteAction(
        "network_profile",
        "Set Network Profile",
        set_network_profile,
        form=NetworkForm,
        icon="network",
        group="Configuration",
        danger=True,
        bulk=False,
        available=speaks_newer,
        refusals=(NotManaged, network_profiles.InvalidNetworkProfile),
        help="Warning: a charge point that is given a wrong address may never be reached from here again, and somebody "
        "has to go there. Use a slot that is not in use. It is taken into use after a reset, in the order of "
        "OCPPCommCtrlr.NetworkConfigurationPriority. No password is sent.",
    ),
)
