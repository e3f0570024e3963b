"""The page of one charging session: live facts, why this price, the readings behind it, what it moved.

product.md, "Why this price?".
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from flask import abort, request
from flask_admin import expose
from sqlalchemy import or_

from admin_views import formats
from admin_views.activity.correction_actions import ACTIONS as CORRECTIONS
from admin_views.activity.correction_actions import GROUP
from admin_views.activity.effect_words import in_words
from admin_views.activity.price_words import terms
from admin_views.base import Facts, Related
from admin_views.payments.session_payment import session_payment
from app.billing.payments.orders import InvalidAmount
from app.charging import price_reasons, price_versions, session_queries
from app.charging.corrections.prepare import prepare
from app.charging.corrections.rules import CorrectionRefused
from app.charging.flags import DEMO, flag_labels
from app.charging.lifecycle import RUNNING
from app.charging.models import Authorization, ChargingSession
from app.charging.stop_watch import stop_words
from app.core import principal
from app.core.clock import utcnow
from app.core.models import Action

CARDS = ("status", "price")
KILO = Decimal(1000)
#: more points than pixels help nobody
MAX_CURVE_POINTS = 600


def _actions(query: Any, obj: ChargingSession) -> Any:
    own = Action.request["session_id"].astext == str(obj.id)
    direct = (Action.target_type == ChargingSession.__tablename__) & (Action.target_id == obj.id)
    return query.filter(Action.charge_point_id == obj.charge_point_id, or_(own, direct))


class SessionPage:
    """Joined before BaseView: details and parts of the sessions' view."""

    details_template = "activity/session.html"
    details_tabs = (
        Facts(
            "General",
            (
                "id",
                "user",
                "at_evse",
                "charge_point",
                "charge_point.zone.location",
                "source",
                "id_tag",
                "authorization",
                "status",
                "payment_status",
                "paid_by",
                "started_at",
                "stopped_at",
                "duration",
                "stop_reason",
                "failure_reason",
                "stop_note",
            ),
        ),
        Facts("Station's account", template="activity/_station_account.html"),
    )
    related = (
        Related("Transactions", "transaction", "session_id"),
        Related("Authorization", "authorization", lambda query, obj: _authorization(query, obj)),
        Related(
            "Actions",
            "action",
            _actions,
            ("id", "name", "info", "reason", "status", "initiated_by", "created_at"),
        ),
    )

    def live_topics(self, obj: ChargingSession) -> list[str]:
        """The session."""
        return [f"session-{obj.id}"]

    def details_context(self, obj: ChargingSession) -> dict[str, Any]:
        """The cards."""
        return {**super().details_context(obj), **self._status(obj), **self._price(obj)}  # type: ignore[misc]

    def _status(self, obj: ChargingSession) -> dict[str, Any]:
        now = utcnow()
        return {
            "running": obj.status in RUNNING,
            "duration": session_queries.duration_of(obj, now=now),
            "flag_words": flag_labels([flag for flag in obj.flags if flag != DEMO]),
            "stop_words": stop_words(self.db_session(), obj, now=now),
            "price": session_queries.price_view(self.db_session, obj, now=now),
        }

    def _price(self, obj: ChargingSession) -> dict[str, Any]:
        return {
            "running": obj.status in RUNNING,
            "price": session_queries.price_view(self.db_session, obj, now=utcnow()),
            "terms": terms(obj.tariff_snapshot) if obj.tariff_snapshot else [],
            "verdicts": price_reasons.verdicts_of(obj),
            "driver": price_reasons.driver_of(obj),
            "price_readings": price_reasons.readings_behind(self.db_session(), obj) if obj.tariff_snapshot else [],
            "payment": session_payment(self.db_session(), obj),
            "entries": session_queries.ledger_entries(self.db_session, session_id=obj.id),
            "versions": price_versions.chain(self.db_session(), session_id=obj.id),
            "confined": principal.current().is_confined,
            "corrections": [each for each in self.actions_for("row", obj) if each.group == GROUP],  # type: ignore[attr-defined]
        }

    @expose("/effect/<action_name>/")
    def effect_view(self, action_name: str) -> str:
        """What a correction would do, as its dialog stands: nothing is changed."""
        action = next((each for each in CORRECTIONS if each.name == action_name), None)
        if action is None:
            abort(404)
        self.require(self.action_permission(action))  # type: ignore[attr-defined]
        obj = self.get_one(request.args.get("id"))
        form = action.form(request.args, obj=obj)
        session = self.db_session()
        try:
            words, problem = in_words(session, obj, prepare(session, obj, form.order(), now=utcnow())), ""
        except (CorrectionRefused, InvalidAmount) as refusal:
            words, problem = None, str(refusal)
        return self.render("activity/_effect.html", words=words, problem=problem)

    @expose("/ajax/lookup/")
    def ajax_lookup(self) -> Any:
        """Users, for whoever may assign one."""
        self.require("assign_user")
        loader = self._form_ajax_refs.get(request.args.get("name", ""))  # type: ignore[attr-defined]
        if loader is None:
            abort(404)
        found = loader.get_list(request.args.get("query", ""), request.args.get("offset", 0, type=int))
        return [loader.format(record) for record in found]

    @expose("/card/<card>/")
    def card_view(self, card: str) -> str:
        """One live card: status or price."""
        if card not in CARDS:
            abort(404)
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        context = self._status(obj) if card == "status" else self._price(obj)
        return self.render(f"activity/_session_{card}.html", model=obj, **context)

    @expose("/curve/")
    def curve_view(self) -> str:
        """Energy and power over time, with the numbers beneath."""
        obj = self.get_one(request.args.get("id"))
        readings = session_queries.readings_of(self.db_session, obj)
        points = session_queries.curve(obj, readings)
        return self.render(
            "activity/_curve.html",
            model=obj,
            running=obj.status in RUNNING,
            readings=readings,
            flag_labels=flag_labels,
            limit=session_queries.MAX_READINGS,
            chart=json.dumps(chart_data(points), separators=(",", ":")) if len(points) > 1 else "",
        )


def _authorization(query: Any, obj: ChargingSession) -> Any:
    return query.filter(Authorization.id == (obj.authorization_id or 0))


def chart_data(points: list[session_queries.CurvePoint]) -> dict[str, Any]:
    """What static/js/activity.js draws: times in the admin's zone, energy in kWh, power in kW."""
    step = max(1, -(-len(points) // MAX_CURVE_POINTS))
    shown = [point for index, point in enumerate(points) if index % step == 0 or index == len(points) - 1]
    same_day = formats.local(shown[0].at).date() == formats.local(shown[-1].at).date()
    pattern = "%H:%M" if same_day else "%m-%d %H:%M"
    start = shown[0].at
    return {
        "labels": [formats.local(point.at).strftime(pattern) for point in shown],
        "minutes": [round((point.at - start).total_seconds() / 60, 2) for point in shown],
        "energy": [_kilo(point.energy_wh) for point in shown],
        "power": [_kilo(point.power_w) for point in shown],
    }


def _kilo(value: Decimal | None) -> float | None:
    return None if value is None else float(round(value / KILO, 3))
