"""Authorizations: who asked to charge, and what the answer was. Manual, "Authorizations"."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy import func, or_, select
from sqlalchemy.orm import joinedload

from admin_views import formats
from admin_views.activity.authorization_words import advice_of
from admin_views.activity.sessions import ANONYMOUS, linked
from admin_views.assets.charge_point_lists import at_location
from admin_views.assets.parts import ChoiceWhere, LiveList, TextWhere, YesNoWhere
from admin_views.base import BaseView, Facts, Related, pill, url_if
from admin_views.crm.tag_links import tag_link
from admin_views.widgets import cells
from app.assets.models import ChargePoint, ChargingZone, Evse
from app.charging.authorizations import find_tag, reason_label
from app.charging.authorize import RejectReason
from app.charging.models import Authorization, AuthorizationSource, ChargingSession
from app.crm.models import RfidTag, User
from app.search.kinds import Kind

OPTIONS = (
    joinedload(Authorization.user),
    joinedload(Authorization.evse),
    joinedload(Authorization.charge_point).joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
)


def reason(view: Any, context: Any, obj: Authorization, name: str) -> Any:
    """The check that failed, in words."""
    return reason_label(obj.reason) or None


def result(view: Any, context: Any, obj: Authorization, name: str) -> Any:
    """Accepted or rejected."""
    return obj.result if context is None else pill(obj.result, title=reason_label(obj.reason))


def user(view: Any, context: Any, obj: Authorization, name: str) -> Any:
    """Who asked; where nobody is asked, nobody is known."""
    if obj.user is None and obj.source is AuthorizationSource.PLUG_AND_CHARGE:
        return ANONYMOUS
    return cells.record(obj.user)


def place(view: Any, context: Any, obj: Authorization, name: str) -> Any:
    """EVSE or charge point, with the location, as the manual shows it."""
    if obj.charge_point is None:  # sold by the partner whose page it is
        return formats.NOTHING
    location = linked(obj.charge_point.zone.location)
    if obj.evse is not None:
        return Markup("EVSE ID: {} ({}) {}").format(linked(obj.evse), linked(obj.charge_point), location)
    return Markup("CP ID: {} {}").format(_identifier(obj.charge_point), location)


def _identifier(station: ChargePoint) -> Any:
    url = cells.details_url(station)
    return cells.link(url, station.identifier, css="text-link") if url else station.identifier


def _user(like: str) -> Any:
    name = User.first_name + " " + User.last_name
    return Authorization.user.has(or_(User.email.ilike(like, escape="\\"), name.ilike(like, escape="\\")))


def _unknown() -> Any:
    """That the token is nobody's RFID tag now; a tap that was refused before it was registered is no longer unknown."""
    known = select(RfidTag.id).where(func.upper(RfidTag.tag_id) == func.upper(Authorization.id_tag)).exists()
    return Authorization.id_tag.is_not(None) & (Authorization.source == AuthorizationSource.RFID_TAG) & ~known


def _charged() -> Any:
    return select(ChargingSession.id).where(ChargingSession.authorization_id == Authorization.id).exists()


def _station(condition: Any) -> Any:
    return Authorization.charge_point_id.in_(select(ChargePoint.id).where(condition))


class AuthorizationView(LiveList, BaseView):
    """One request to charge each."""

    resource, singular, plural = "activity.authorization", "Authorization", "Authorizations"
    section, icon = "Activity", "shield-check"
    live_topic = "authorizations"
    count_cap = 100_000
    can_create = can_edit = can_delete = False
    has_history = False
    details_template = "activity/authorization.html"
    description = "Every tap of an RFID tag, start from the app and plugged-in car, with the answer."
    empty_hint = "Tap a card at any charge point: it appears here, also when nobody knows it."

    column_list = ("id", "user", "happened_at", "source", "id_tag", "result", "reason", "charge_point")
    column_labels = {
        "id": "ID",
        "user": "User",
        "happened_at": "Happened at",
        "source": "Source",
        "id_tag": "RFID tag",
        "result": "Result",
        "reason": "Reason",
        "charge_point": "Charge Point",
        "evse": "EVSE",
        "charge_point.zone.location": "Location",
    }
    column_formatters = {"user": user, "reason": reason, "result": result, "charge_point": place}
    column_formatters_detail = {
        "user": user,
        "reason": reason,
        "result": result,
        "charge_point": lambda v, c, m, n: m.charge_point,
        "id_tag": tag_link,
    }
    column_sortable_list = ("id", ("user", "user.last_name"), "happened_at", "source", "id_tag", "result")
    column_default_sort = ("id", True)
    column_searchable_list = (
        "id_tag",
        "user.email",
        "user.first_name",
        "user.last_name",
        "charge_point.name",
        "charge_point.identifier",
    )
    search_hint = "Search RFID tag, user, charge point"
    search_related = ((Kind.USER, "user_id"), (Kind.CHARGE_POINT, "charge_point_id"))
    search_whole = ("id_tag",)
    column_filters = (
        "result",
        ChoiceWhere(
            Authorization.id,
            "Reason",
            [(each.value, each.label) for each in RejectReason],
            lambda key: Authorization.reason == key,
        ),
        "happened_at",
        "source",
        "id_tag",
        YesNoWhere(Authorization.id, "Unknown RFID tag", _unknown),
        YesNoWhere(Authorization.id, "Led to a session", _charged),
        TextWhere(Authorization.id, "User", _user),
        TextWhere(Authorization.id, "Charge Point", lambda like: _station(ChargePoint.name.ilike(like, escape="\\"))),
        TextWhere(
            Authorization.id,
            "Charge Point ID",
            lambda like: _station(ChargePoint.identifier.ilike(like, escape="\\")),
        ),
        TextWhere(
            Authorization.id,
            "EVSE ID",
            lambda like: Authorization.evse.has(Evse.code.ilike(like, escape="\\")),
        ),
        TextWhere(Authorization.id, "Location", lambda like: _station(ChargePoint.zone.has(at_location(like)))),
    )
    column_export_list = (
        "id",
        "happened_at",
        "source",
        "id_tag",
        "result",
        "reason",
        ("user_email", "user.email"),
        ("charge_point_id", "charge_point.identifier"),
        ("evse_id", "evse.code"),
        ("reason_in_words", lambda obj: reason_label(obj.reason)),
    )
    load_options = OPTIONS
    form_columns = ("source",)
    details_tabs = (
        Facts(
            "General",
            (
                "user",
                "happened_at",
                "source",
                "id_tag",
                "result",
                "reason",
                "charge_point",
                "evse",
                "charge_point.zone.location",
            ),
        ),
    )
    related = (Related("Charging Sessions", "charging_session", "authorization_id"),)

    def details_context(self, obj: Authorization) -> dict[str, Any]:
        """What to do about it, whose tag it is now, and the session it led to."""
        tag = find_tag(self.db_session(), obj.id_tag) if obj.id_tag else None
        return {
            **super().details_context(obj),
            "register_url": self._register_url(obj, tag),
            "advice": advice_of(obj.reason),
            "tag": tag if tag is not None and self.may("crm.rfid_tag.view") else None,
            "charge": self._session_of(obj),
        }

    def _register_url(self, obj: Authorization, tag: RfidTag | None) -> str | None:
        """Where an unknown card is registered, for who may do so."""
        if not obj.id_tag or tag is not None or not self.may("crm.rfid_tag.create"):
            return None
        return url_if("rfid_tag.create_view", tag_id=obj.id_tag)

    def _session_of(self, obj: Authorization) -> ChargingSession | None:
        found = self.db_session.query(ChargingSession).filter(ChargingSession.authorization_id == obj.id)
        return found.order_by(ChargingSession.id).first()  # type: ignore[no-any-return]
