"""What stands in the cells of charge points."""

from __future__ import annotations

from typing import Any

from admin_views import formats
from admin_views.assets.ocpp_address import ocpp_url
from admin_views.base import follow, pill
from admin_views.widgets import cells
from app.assets.models import ChargePoint, SecurityProfile
from app.charging import queries
from app.charging.upkeep.station_clock import clock_words


def hardware(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    """The hardware in one word, its error on hover."""
    found = queries.station_hardware(obj.state.status, [evse.state.status for evse in obj.evses])
    return found if context is None else pill(found, title=queries.error_of(obj.state))


def name(view: Any, context: Any, obj: ChargePoint, column: str) -> Any:
    """Its name, which leads to its page."""
    return obj.name if context is None else cells.record(obj, css="cell-lead two-lines")


def short(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    """A related record, cut in the list where it is long."""
    found = follow(obj, name)
    return found if context is None or found is None else cells.record(found, css="two-lines")


def seen(view: Any, context: Any, obj: ChargePoint, name: str) -> Any:
    """How long ago, the time on hover."""
    return obj.state.last_seen_at if context is None else formats.ago(obj.state.last_seen_at)


def address(view: Any, context: Any, obj: ChargePoint, name: str) -> str:
    """The OCPP URL."""
    secure = obj.security_profile in (SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CERTIFICATE)
    return ocpp_url(obj.identifier, secure=secure)


def password(view: Any, context: Any, obj: ChargePoint, name: str) -> str:
    """Whether there is one; never which."""
    return "Set" if obj.password_hash else "Not set"


def plain_name(view: Any, context: Any, obj: ChargePoint, column: str) -> str:
    """On its own page it leads nowhere."""
    return obj.name


def clock(view: Any, context: Any, obj: ChargePoint, column: str) -> Any:
    """How far the station's clock is off, judged by its time stamps."""
    offset_s = obj.state.clock_offset_s
    if offset_s is None:
        return None
    words = clock_words(offset_s)
    if not words:
        return "Right" if context is not None else ""
    return words if context is None else pill("Clock is off", "orange", text=f"The clock is {words}")


FORMATTERS = {
    "name": name,
    "hardware": hardware,
    "zone": short,
    "zone.location": short,
    "state.last_seen_at": seen,
    "ocpp_url": address,
    "network_password": password,
    "state.clock_offset_s": clock,
}
DETAIL_FORMATTERS = {"name": plain_name}
