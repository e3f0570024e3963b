"""What an operator does for a charge point's security: its password and its certificates, with a reason each.

OCPP 1.6 security whitepaper, edition 2, A01, A02 and 4.3 to 4.6.
"""

from __future__ import annotations

from typing import Any

from flask import current_app
from wtforms import PasswordField, TextAreaField, validators

from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from app.assets.models import ChargePoint
from app.charging.commands import NotManaged
from app.charging.models import CertificateUse
from app.charging.security import authority, certificates
from app.charging.security import passwords as station_security
from app.charging.security.authority import InvalidCertificate
from app.charging.security.passwords import ChangeUnderWay, InvalidKey
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

GROUP = "Security"
SECRETS = "assets.charge_point.secrets"
#: what fits into InstallCertificate (its schema)
MAX_PEM = 5500
_ROOTS = [(use.value, use.label) for use in certificates.ROOT_USES]


class PasswordForm(ReasonForm):
    """The new password, or none to have one drawn."""

    key = PasswordField(
        "New network password",
        [validators.Length(max=80)],
        description="Leave empty to have one drawn (best). Otherwise 32 to 40 hexadecimal digits.",
        render_kw={"autocomplete": "new-password"},
    )

    def __init__(self, formdata: Any = None, obj: Any = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)

    def validate_key(self, bound: Any) -> None:
        """What no station would take is not sent."""
        if not (bound.data or "").strip():
            return
        try:
            station_security.check_key(bound.data)
        except InvalidKey as mistake:
            raise validators.ValidationError(str(mistake)) from None


class InstallForm(ReasonForm):
    """A root certificate and what it is for."""

    use = ChoiceField("Use", choices=_ROOTS, default=CertificateUse.CENTRAL_SYSTEM_ROOT.value)
    pem = TextAreaField(
        "Root certificate (PEM)",
        [validators.Length(max=MAX_PEM)],
        description="Central system root: the authority behind this server's TLS certificate. Manufacturer root: the "
        "one behind signed firmware.",
        render_kw={"rows": 6, "maxlength": MAX_PEM, "spellcheck": "false", "class": "font-monospace"},
    )

    def __init__(self, formdata: Any = None, obj: Any = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)
        self.pem.flags.required = True

    def validate_pem(self, bound: Any) -> None:
        """A certificate, before it is sent."""
        try:
            authority.read_certificate(bound.data or "")
        except InvalidCertificate as mistake:
            raise validators.ValidationError(str(mistake)) from None


class ListForm(ReasonForm):
    """Which root certificates are asked for."""

    use = ChoiceField("Use", choices=[("both", "Both"), *_ROOTS], default="both")

    def __init__(self, formdata: Any = None, obj: Any = None, **options: Any) -> None:
        super().__init__(formdata, obj=None, **options)


def change_password(obj: ChargePoint, form: PasswordForm, *, reason: str, actor: Admin) -> Action:
    """Give the station a new network password."""
    return station_security.change_network_password(
        db.session(),
        charge_point=obj,
        key=(form.key.data or "").strip() or None,
        reason=reason,
        actor=actor,
        secret_key=current_app.config["SECRET_KEY"],
        now=utcnow(),
    )


def request_certificate(obj: ChargePoint, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Have the station ask for a new client certificate."""
    return certificates.request_renewal(db.session(), charge_point=obj, reason=reason, actor=actor, now=utcnow())


def install_certificate(obj: ChargePoint, form: InstallForm, *, reason: str, actor: Admin) -> Action:
    """Have the station trust a root certificate."""
    return certificates.install_root(
        db.session(),
        charge_point=obj,
        use=CertificateUse(form.use.data),
        pem=form.pem.data or "",
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def list_certificates(obj: ChargePoint, form: ListForm, *, reason: str, actor: Admin) -> list[Action]:
    """Ask which root certificates the station has."""
    uses = certificates.ROOT_USES if form.use.data == "both" else (CertificateUse(form.use.data),)
    return certificates.ask_installed(
        db.session(), charge_point=obj, uses=uses, reason=reason, actor=actor, now=utcnow()
    )


def _managed(obj: ChargePoint) -> bool:
    return obj.managed_by_operator


ACTIONS = (
    RemoteAction(
        "change_password",
        "Change Network Password",
        change_password,
        permission=SECRETS,
        form=PasswordForm,
        icon="key",
        group=GROUP,
        available=_managed,
        refusals=(NotManaged, ChangeUnderWay, InvalidKey),
        help="Until the station has connected with the new password, it is let in with the old one too.",
    ),
    RemoteAction(
        "request_certificate",
        "Request New Certificate",
        request_certificate,
        icon="certificate",
        group=GROUP,
        available=_managed,
        refusals=(NotManaged,),
        help="The station makes a new key and asks for a client certificate, which is signed and sent to it.",
    ),
    RemoteAction(
        "install_certificate",
        "Install Certificate",
        install_certificate,
        form=InstallForm,
        icon="shield-check",
        group=GROUP,
        available=_managed,
        refusals=(NotManaged, InvalidCertificate),
    ),
    RemoteAction(
        "list_certificates",
        "Get Installed Certificates",
        list_certificates,
        form=ListForm,
        icon="list-details",
        group=GROUP,
        available=_managed,
        refusals=(NotManaged,),
        help="The root certificates in the Security tab are brought into line with what the station has.",
    ),
)
