"""What the list of sessions can be narrowed by, and the presets above it. Manual, "Charging Sessions"."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import extract, func, or_, select

from admin_views.assets.charge_point_lists import at_location
from admin_views.assets.parts import ChoiceWhere, TextWhere, YesNoWhere
from admin_views.widgets.filters import AtLeast, AtMost
from app.assets.models import ChargePoint, ChargingZone, Evse, EvseType
from app.charging.flags import DEMO, FLAGS, flagged
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession
from app.charging.registers import RegisterFlag
from app.crm.models import User, UserGroup
from app.partners.models import Partner
from app.tariffs.models import TariffGroup

#: what an operator looks at again and again: words, arguments of the list
PRESETS = (
    ("Active now", {"flt0_running_is": "1"}),
    ("Failed", {"flt0_session_status_is": "failed"}),
    ("Unpaid", {"flt0_payment_status_is": "outstanding"}),
    ("Flagged", {"flt0_has_flags_is": "1"}),
)
#: flags by which the meter's energy is in doubt
ENERGY_ANOMALIES = tuple(flag.value for flag in RegisterFlag)


class AtLeastWhere(AtLeast):
    """A lower bound of whatever ``make(number)`` compares."""

    def __init__(self, column: Any, name: str, make: Callable[[Decimal], Any]) -> None:
        super().__init__(column, name)
        self.make = make

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Add the condition."""
        return query.filter(self.make(value))


class AtMostWhere(AtMost):
    """An upper bound of whatever ``make(number)`` compares."""

    def __init__(self, column: Any, name: str, make: Callable[[Decimal], Any]) -> None:
        super().__init__(column, name)
        self.make = make

    def apply(self, query: Any, value: Any, alias: Any = None) -> Any:
        """Add the condition."""
        return query.filter(self.make(value))


def has_flags() -> Any:
    """Whether anything is unusual; the index of rare sessions answers it."""
    return func.cardinality(ChargingSession.flags) > 0


def _user(like: str) -> Any:
    name = User.first_name + " " + User.last_name
    found = select(User.id).where(or_(User.email.ilike(like, escape="\\"), name.ilike(like, escape="\\")))
    return ChargingSession.user_id.in_(found)


def _user_group(like: str) -> Any:
    found = select(User.id).where(User.groups.any(UserGroup.name.ilike(like, escape="\\")))
    return ChargingSession.user_id.in_(found)


def _evse(condition: Any) -> Any:
    return ChargingSession.evse_id.in_(select(Evse.id).where(condition))


def _station(condition: Any) -> Any:
    return ChargingSession.charge_point_id.in_(select(ChargePoint.id).where(condition))


def _partner(like: str) -> Any:
    return ChargingSession.partner_id.in_(select(Partner.id).where(Partner.name.ilike(like, escape="\\")))


def _tariff_group(like: str) -> Any:
    groups = select(TariffGroup.id).where(TariffGroup.name.ilike(like, escape="\\"))
    return _evse(Evse.tariff_group_id.in_(groups))


def _minutes() -> Any:
    return extract("epoch", ChargingSession.stopped_at - ChargingSession.started_at) / 60


def _flag(key: str) -> Any:
    return has_flags() & flagged(key)


def _anomalous() -> Any:
    return has_flags() & or_(*(flagged(key) for key in ENERGY_ANOMALIES))


def filters() -> tuple[Any, ...]:
    """The filters of the list."""
    own, row = ChargingSession.id, ChargingSession
    return (
        "status",
        YesNoWhere(own, "Running", lambda: row.status.in_(RUNNING)),
        "payment_status",
        "started_at",
        "stopped_at",
        TextWhere(own, "User", _user),
        TextWhere(own, "User Group", _user_group),
        "id_tag",
        "source",
        TextWhere(own, "EVSE ID", lambda like: _evse(Evse.code.ilike(like, escape="\\"))),
        ChoiceWhere(
            own,
            "EVSE type",
            [(kind.value, kind.label) for kind in EvseType],
            lambda key: _evse(Evse.type == EvseType(key)),
        ),
        TextWhere(own, "Charge Point", lambda like: _station(ChargePoint.name.ilike(like, escape="\\"))),
        TextWhere(own, "Charge Point ID", lambda like: _station(ChargePoint.identifier.ilike(like, escape="\\"))),
        TextWhere(
            own,
            "Charging Zone",
            lambda like: _station(ChargePoint.zone.has(ChargingZone.name.ilike(like, escape="\\"))),
        ),
        TextWhere(own, "Location", lambda like: _station(ChargePoint.zone.has(at_location(like)))),
        TextWhere(own, "Partner", _partner),
        "tariff_name",
        TextWhere(own, "Tariff Group", _tariff_group),
        YesNoWhere(own, "Demo", lambda: flagged(DEMO)),
        ChoiceWhere(own, "Flag", list(FLAGS.items()), _flag),
        YesNoWhere(own, "Has flags", has_flags),
        YesNoWhere(own, "Energy anomaly", _anomalous),
        YesNoWhere(own, "Price corrected", lambda: row.price_version > 1),
        AtLeastWhere(own, "kWh", lambda kwh: row.energy_wh >= kwh * 1000),
        AtMostWhere(own, "kWh", lambda kwh: row.energy_wh <= kwh * 1000),
        "total_gross",
        AtLeastWhere(own, "Duration (minutes)", lambda minutes: _minutes() >= minutes),
        AtMostWhere(own, "Duration (minutes)", lambda minutes: _minutes() <= minutes),
        "currency",
        "stop_reason",
        "failure_reason",
        "created_at",
    )
