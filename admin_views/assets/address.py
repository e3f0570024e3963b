"""The address picker of locations: a map with a pin, and look-ups by whoever Settings > Addresses names.

Manual, "Filling in an address". Without geocoder the map, the pin and typed coordinates still work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import abort, current_app, jsonify, render_template, request
from flask_admin import expose
from flask_limiter import RateLimitExceeded
from markupsafe import Markup
from redis import RedisError
from wtforms import Field, StringField, validators, widgets

from admin_views.widgets.chrome import asset
from admin_views.widgets.tiles import default_centre, tiles
from app.assets import geocoding, verbs, what3words
from app.assets.geocoding import GeocodingFailed, Place
from app.assets.what3words import What3wordsFailed
from app.core import redis as redis_clients
from app.core.db import db
from app.core.i18n import DEFAULT_LANGUAGE

#: per admin's address
LOOKUPS = "60 per minute"
#: what public geocoders ask of everybody: one request a second, from all our processes together
PACE_MS = 1000
PACE_WAIT_S = 4.0
PACE_KEY = "geocoding:pace"


def keep_pace() -> None:
    """Wait for our turn to ask the geocoder. Raises GeocodingFailed when too many wait."""
    deadline = time.monotonic() + PACE_WAIT_S
    try:
        while not redis_clients.client().set(PACE_KEY, "1", nx=True, px=PACE_MS):
            if time.monotonic() > deadline:
                raise GeocodingFailed("Too many addresses are being looked up at once. Try again in a moment.")
            time.sleep(0.1)
    except RedisError:
        time.sleep(PACE_MS / 1000)


class PickerWidget:
    """The map with its search field."""

    def __call__(self, field: Any, **attributes: Any) -> Markup:
        session = db.session()
        source = tiles(session)
        html = render_template(
            "assets/_address_picker.html",
            field=field,
            searchable=geocoding.has_geocoder(session) and attributes.get("searchable", True),
            latitude_field=attributes.get("latitude_field", ""),
            longitude_field=attributes.get("longitude_field", ""),
            tiles=source,
            outline=None if source else asset("vendor/world/world.json"),
            centre=default_centre(session),
            language=DEFAULT_LANGUAGE,
        )
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class AddressPickerField(Field):
    """Not a value of its own: it fills latitude, longitude and the address."""

    widget = PickerWidget()

    def populate_obj(self, obj: Any, name: str) -> None:
        """Nothing."""


class What3wordsWidget(widgets.TextInput):
    """The address and, when a key is set, a button that fills it."""

    def __call__(self, field: Any, **attributes: Any) -> Markup:
        html = render_template(
            "assets/_what3words.html",
            control=super().__call__(field, **attributes),
            field=field,
            fillable=what3words.has_key(db.session()),
        )
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class What3wordsField(StringField):
    """A what3words address, its form checked."""

    widget = What3wordsWidget()

    def process_formdata(self, valuelist: list[str]) -> None:
        """Cleaned of slashes; empty is None."""
        self.data = valuelist[0].strip() or None if valuelist else None

    def pre_validate(self, form: Any) -> None:
        """Three words."""
        try:
            self.data = verbs.clean_what3words(self.data)
        except verbs.InvalidWhat3words as error:
            raise validators.ValidationError(str(error)) from None


class AddressMixin:
    """Joined into the locations' view: what the picker asks. Answers are JSON, mistakes {"message": "…"}."""

    @expose("/address/", methods=("POST",))
    def address_view(self) -> Any:
        """Places for ``search``; or the place at ``latitude`` and ``longitude``."""
        self._may_fill()
        text = (request.form.get("search") or "").strip()[: geocoding.MAX_QUERY_LENGTH]
        point = None if text else _point()
        if not text and point is None:
            return _sorry("Enter an address, or latitude and longitude.", 400)

        def ask() -> Any:
            geocoder = geocoding.geocoder(db.session(), pace=keep_pace)
            if geocoder is None:
                return _sorry("No geocoder is set in CONFIGURATION > Settings > Addresses.", 404)
            db.session.rollback()  # no connection is kept from others while a server far away thinks
            if point is None:
                return jsonify(places=_plain(geocoder.search(text, language=DEFAULT_LANGUAGE)))
            found = geocoder.reverse(*point, language=DEFAULT_LANGUAGE)
            return jsonify(places=_plain([found] if found else []))

        return _answered(ask)

    @expose("/what3words/", methods=("POST",))
    def what3words_view(self) -> Any:
        """The what3words address of ``latitude`` and ``longitude``."""
        self._may_fill()
        point = _point()
        if point is None:
            return _sorry("Enter latitude and longitude first.", 400)
        latitude, longitude = point
        return _answered(
            lambda: jsonify(words=what3words.words_of(db.session(), latitude=latitude, longitude=longitude))
        )

    def _may_fill(self) -> None:
        if not (self.can_create or self.can_edit):
            abort(403)


def _answered(ask: Callable[[], Any]) -> Any:
    limiter = current_app.extensions["sync_limiter"]
    try:
        with limiter.limit(LOOKUPS, scope="geocoding"):
            return ask()
    except RateLimitExceeded:
        return _sorry("Too many look-ups. Wait a minute, then try again.", 429)
    except (GeocodingFailed, What3wordsFailed) as failure:
        return _sorry(str(failure), 502)


def _sorry(message: str, status: int) -> Any:
    return jsonify(message=message), status


def _plain(places: list[Place]) -> list[dict[str, Any]]:
    return [asdict(place) for place in places]


def _point() -> tuple[float, float] | None:
    try:
        latitude = float(request.form.get("latitude", "").replace(",", "."))
        longitude = float(request.form.get("longitude", "").replace(",", "."))
    except ValueError:
        return None
    return (latitude, longitude) if -90 <= latitude <= 90 and -180 <= longitude <= 180 else None
