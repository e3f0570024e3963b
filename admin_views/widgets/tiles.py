"""The tile server of maps, by Settings > Map; without one, maps draw the built-in outline of countries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from admin_views.widgets.chrome import allow_source
from app.core import settings


@dataclass(frozen=True)
class Tiles:
    """Where a map's pictures come from, and whom it has to name."""

    url: str
    attribution: str


def tiles(session: Session) -> Tiles | None:
    """The tile server, if one is set; lets this response load its pictures."""
    url = settings.get_text(session, "map.tile_url")
    parts = urlsplit(url)
    if not url or not parts.netloc:
        return None
    # {s} stands for one of several servers
    origin = f"{parts.scheme}://{re.sub(r'^[{]s[}]', '*', parts.netloc)}"
    allow_source("img-src", origin)
    known = parts.netloc.endswith("openstreetmap.org")
    return Tiles(url, "© OpenStreetMap contributors" if known else f"Map: {parts.netloc}")


def default_centre(session: Session) -> tuple[float, float]:
    """Where a map opens when there is nothing to show; what is no number in Settings > Map is the middle of Europe."""
    try:
        return (
            max(-85.0, min(85.0, float(settings.get_text(session, "map.default_latitude")))),
            max(-180.0, min(180.0, float(settings.get_text(session, "map.default_longitude")))),
        )
    except ValueError:
        return 48.0, 12.0
