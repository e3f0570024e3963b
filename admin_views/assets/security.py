"""Security of charge points: the tab of one, the certificates of all, the events they report.

OCPP 1.6 security whitepaper, edition 2.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, current_app, request
from flask_admin import expose
from sqlalchemy.orm import joinedload

from admin_views import formats
from admin_views.assets.logs import LogView, of_station
from admin_views.assets.parts import ChoiceWhere
from admin_views.assets.transfers import charge_point_link
from admin_views.base import BaseView, Facts, ReasonForm, RecordAction, RemoteAction, pill
from app.assets.models import ChargePoint
from app.charging import security_queries
from app.charging.commands import NotManaged
from app.charging.models import CertificateStatus, CertificateUse, SecurityEvent, StationCertificate
from app.charging.security import certificates
from app.charging.security.certificates import NotInstalled, NotRequested
from app.charging.security.clockwork import RENEW_BEFORE
from app.charging.security.passwords import CRITICAL, EVENT_WORDS
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

GROUP = "Certificate"
SHOWN_EVENTS = 10
AUTHORITY_FILE = "charge-point-authority.pem"


def event_words(kind: str) -> str:
    """A type of event in words; one nobody knows as the station calls it."""
    return EVENT_WORDS.get(kind, kind)


def event_cell(view: Any, context: Any, obj: SecurityEvent, name: str) -> Any:
    """The event, and whether somebody has to look at it."""
    if context is None:
        return obj.type
    words = event_words(obj.type)
    return pill(words, "red", title="Critical") if obj.type in CRITICAL else words


def importance(view: Any, context: Any, obj: SecurityEvent, name: str) -> Any:
    """Critical, or in the course of life."""
    critical = obj.type in CRITICAL
    if context is None:
        return "critical" if critical else "info"
    return pill("Critical", "red") if critical else pill("Info", "secondary")


def until_cell(view: Any, context: Any, obj: StationCertificate, name: str) -> Any:
    """Until when it holds, and that it ends soon."""
    if context is None or obj.valid_until is None:
        return obj.valid_until
    shown = formats.when(obj.valid_until)
    if obj.status is not CertificateStatus.INSTALLED or obj.valid_until - utcnow() > RENEW_BEFORE:
        return shown
    return shown + " " + (pill("Expired", "red") if obj.valid_until <= utcnow() else pill("Ends soon", "yellow"))


class SecurityMixin:
    """Joined before BaseView of charge points: the tab that fetches itself."""

    @expose("/security/")
    def security_view(self) -> str:
        """Profile, password, certificates and the latest events."""
        obj: ChargePoint = self.get_one(request.args.get("id"))  # type: ignore[attr-defined]
        found = security_queries.security_of(
            self.db_session,  # type: ignore[attr-defined]
            charge_point_id=obj.id,
            events=SHOWN_EVENTS,
        )
        return str(
            self.render(  # type: ignore[attr-defined]
                "assets/_security.html",
                model=obj,
                security=found,
                now=utcnow(),
                soon=RENEW_BEFORE,
                event_words=event_words,
                critical=CRITICAL,
                tls=current_app.config["SYNC"],
            )
        )


def sign(obj: StationCertificate, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Sign a request that waits, and send the certificate."""
    return certificates.sign_request(
        db.session(),
        certificate=obj,
        reason=reason,
        actor=actor,
        secret_key=current_app.config["SECRET_KEY"],
        now=utcnow(),
    )


def refuse(obj: StationCertificate, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Leave a request unsigned."""
    return certificates.refuse_request(db.session(), certificate=obj, reason=reason, actor=actor, now=utcnow())


def delete(obj: StationCertificate, form: ReasonForm, *, reason: str, actor: Admin) -> Action:
    """Have the station delete a root certificate."""
    return certificates.delete_root(db.session(), certificate=obj, reason=reason, actor=actor, now=utcnow())


def _waits(obj: StationCertificate) -> bool:
    return obj.status is CertificateStatus.REQUESTED


def _deletable(obj: StationCertificate) -> bool:
    return obj.status is CertificateStatus.INSTALLED and obj.use is not CertificateUse.CLIENT


class StationCertificateView(BaseView):
    """The certificates of all charge points."""

    resource, singular, plural = "assets.charge_point", "Station Certificate", "Station Certificates"
    section, icon = "Assets", "certificate"
    staff_only = True
    description = "Client certificates that charge points asked us for, and the root certificates they trust."
    empty_hint = "Charge points ask for a certificate by themselves, or when you request it on their page."
    list_template = "assets/station_certificates.html"
    can_create = can_edit = can_delete = False
    has_history = False

    column_list = ("subject", "charge_point", "use", "status", "valid_until", "detail", "changed_at")
    column_labels = {
        "subject": "Certificate",
        "charge_point": "Charge Point",
        "use": "Use",
        "status": "Status",
        "detail": "Detail",
        "issuer": "Issuer",
        "serial_number": "Serial number",
        "fingerprint": "SHA-256 fingerprint",
        "valid_from": "Valid from",
        "valid_until": "Valid until",
        "created_at": "Since",
        "changed_at": "Changed at",
        "pem": "PEM",
    }
    column_pills = ("status",)
    column_formatters = {
        "charge_point": charge_point_link,
        "valid_until": until_cell,
        "subject": lambda view, context, obj, name: str(obj),
    }
    column_sortable_list = ("subject", "status", "valid_until", "changed_at")
    column_default_sort = ("id", True)
    column_searchable_list = ("subject", "serial_number", "fingerprint")
    column_filters = (
        "use",
        "status",
        "valid_until",
        "changed_at",
        ChoiceWhere(
            StationCertificate.id,
            "Ends",
            [("soon", "Within 30 days"), ("over", "Has ended")],
            lambda key: (
                (StationCertificate.valid_until < utcnow() + (RENEW_BEFORE if key == "soon" else timedelta(0)))
                & (StationCertificate.status == CertificateStatus.INSTALLED)
            ),
        ),
        *of_station(StationCertificate),
    )
    column_export_list = (
        "id",
        ("charge_point_id", "charge_point.identifier"),
        "use",
        "status",
        "subject",
        "issuer",
        "serial_number",
        "fingerprint",
        "valid_from",
        "valid_until",
        "detail",
        "changed_at",
    )
    load_options = (joinedload(StationCertificate.charge_point),)
    details_load_options = (joinedload(StationCertificate.charge_point),)
    form_columns = ("detail",)
    details_tabs = (
        Facts(
            "General",
            (
                "charge_point",
                "use",
                "status",
                "detail",
                "subject",
                "issuer",
                "serial_number",
                "valid_from",
                "valid_until",
                "fingerprint",
                "created_at",
                "changed_at",
            ),
        ),
        Facts("PEM", template="assets/_certificate_pem.html"),
    )
    actions = (
        RemoteAction(
            "sign",
            "Sign",
            sign,
            icon="check",
            group=GROUP,
            available=_waits,
            refusals=(NotManaged, NotRequested),
            help="Our authority signs the request, and the certificate is sent to the charge point.",
        ),
        RecordAction(
            "refuse",
            "Refuse",
            refuse,
            permission="command",
            icon="x",
            group=GROUP,
            available=_waits,
            refusals=(NotRequested,),
        ),
        RemoteAction(
            "delete_certificate",
            "Delete Certificate",
            delete,
            icon="trash",
            danger=True,
            group=GROUP,
            available=_deletable,
            refusals=(NotManaged, NotInstalled),
            help="The charge point deletes the root certificate and trusts it no more.",
        ),
    )

    def live_topics(self, obj: StationCertificate) -> list[str]:
        """Its station's."""
        return [f"charge_point-{obj.charge_point_id}"]

    @expose("/authority/")
    def authority_view(self) -> Any:
        """Our authority's certificate, for a proxy that ends the TLS; it is made if there is none yet."""
        self.require("view")
        found = certificates.ensure_authority(
            self.db_session(), secret_key=current_app.config["SECRET_KEY"], now=utcnow()
        )
        self.db_session.commit()
        every = "".join(certificates.trusted(self.db_session(), now=utcnow())) or found.pem
        headers = {"Content-Disposition": f'attachment; filename="{AUTHORITY_FILE}"'}
        return Response(every, headers=headers, content_type="application/x-pem-file")


class SecurityEventView(LogView):
    """What stations reported with SecurityEventNotification."""

    singular, plural = "Security Event", "Security Events"
    column_list = ("received_at", "charge_point", "type", "importance", "info", "happened_at")
    column_labels = {
        "received_at": "Received at",
        "charge_point": "Charge Point",
        "type": "Event",
        "importance": "Importance",
        "info": "Info",
        "happened_at": "Happened at",
    }
    column_formatters = {"type": event_cell, "importance": importance, "charge_point": charge_point_link}
    column_sortable_list = ("received_at", "happened_at")
    column_default_sort = ("received_at", True)
    column_filters = (
        "received_at",
        "happened_at",
        ChoiceWhere(
            SecurityEvent.id,
            "Importance",
            [("critical", "Critical"), ("info", "Info")],
            lambda key: SecurityEvent.type.in_(CRITICAL) if key == "critical" else SecurityEvent.type.not_in(CRITICAL),
        ),
        "type",
        *of_station(SecurityEvent),
    )
    column_export_list = (
        "received_at",
        ("charge_point_id", "charge_point.identifier"),
        "type",
        ("importance", lambda obj: "critical" if obj.type in CRITICAL else "info"),
        "info",
        "happened_at",
    )
    load_options = (joinedload(SecurityEvent.charge_point),)
