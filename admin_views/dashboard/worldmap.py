"""The map of locations: folium with our own Leaflet, one script with a nonce, pins by FastMarkerCluster.

Everything else a map does on the page (icons, popups, live colours, the outline of countries) is ``static/js/map.js``.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy.orm import Session

from admin_views.widgets.tiles import Tiles, default_centre, tiles
from app.dashboard import sites
from app.dashboard.sites import Pin, SiteStatus

#: functions of static/js/map.js, as folium's callbacks
MARKER = "SyncMap.marker"
CLUSTER = "SyncMap.cluster"
ZOOM_WITHOUT_PINS = 4
CLOSEST_FIRST_VIEW = 13


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """A map ready for the page: markup, the script that wants a nonce, and what map.js has to know."""

    html: Markup
    script: Markup
    map_name: str
    cluster_name: str
    key: str
    tiles: bool
    legend: list[tuple[SiteStatus, int]]
    number: int


def draw(session: Session, language: str) -> DrawnMap:
    """The map with every location. Lets the page load pictures of the tile server, when one is set."""
    # folium takes half a second to import, which commands and workers need not pay
    import folium
    from folium.plugins import FastMarkerCluster

    class LocalMap(folium.Map):  # type: ignore[misc]
        """A map whose scripts and styles are the page's."""

        default_js: Sequence[Any] = ()
        default_css: Sequence[Any] = ()

    class LocalCluster(FastMarkerCluster):  # type: ignore[misc]
        """Likewise."""

        default_js: Sequence[Any] = ()
        default_css: Sequence[Any] = ()

    found = sites.pins(session, language=language)
    drawn = LocalMap(
        location=list(default_centre(session)),
        zoom_start=ZOOM_WITHOUT_PINS,
        tiles=None,
        # Leaflet's own spelling: folium keeps min_zoom and max_zoom for its tiles
        minZoom=2,
        maxZoom=19,
        world_copy_jump=True,
    )
    source = tiles(session)
    if source is not None:
        _add_tiles(drawn, source)
    cluster = LocalCluster(
        _rows(found), callback=MARKER, icon_create_function=CLUSTER, max_cluster_radius=50, chunked_loading=True
    )
    cluster.add_to(drawn)
    if found:
        drawn.fit_bounds(_bounds(found), max_zoom=CLOSEST_FIRST_VIEW, padding=(24, 24))
    figure = drawn.get_root()
    figure.render()
    return DrawnMap(
        html=Markup(figure.html.render()),  # noqa: S704 (one div of folium's)
        script=Markup(figure.script.render()),  # noqa: S704 (folium's own JSON filter escapes what we put in)
        map_name=drawn.get_name(),
        cluster_name=cluster.get_name(),
        key=_key(pin.location_id for pin in found),
        tiles=source is not None,
        legend=_legend(Counter(pin.status for pin in found)),
        number=len(found),
    )


def pins(session: Session, language: str) -> dict[str, Any]:
    """Every pin as map.js takes it."""
    found = sites.pins(session, language=language)
    return {"key": _key(pin.location_id for pin in found), "rows": _rows(found)}


def statuses(session: Session) -> dict[str, str]:
    """A digit per location, in the order of their ids; ``key`` changes when locations come or go."""
    found = sites.pin_statuses(session)
    return {
        "key": _key(number for number, _ in found),
        "statuses": "".join(str(status) for _, status in found),
    }


def _rows(found: Iterable[Pin]) -> list[list[Any]]:
    return [[pin.latitude, pin.longitude, pin.location_id, pin.name, int(pin.status)] for pin in found]


def _key(numbers: Iterable[int]) -> str:
    return f"{zlib.crc32(','.join(map(str, numbers)).encode()):08x}"


def _legend(counted: Counter[SiteStatus]) -> list[tuple[SiteStatus, int]]:
    return [(status, counted[status]) for status in sorted(SiteStatus, reverse=True)]


def _bounds(found: Sequence[Pin]) -> list[list[float]]:
    latitudes = [pin.latitude for pin in found]
    longitudes = [pin.longitude for pin in found]
    return [[min(latitudes), min(longitudes)], [max(latitudes), max(longitudes)]]


def _add_tiles(drawn: Any, source: Tiles) -> None:
    import folium

    folium.TileLayer(
        tiles=source.url,
        attr=str(Markup.escape(source.attribution)),
        max_zoom=19,
        referrer_policy="strict-origin-when-cross-origin",
    ).add_to(drawn)
