"""Locations: list, form in two tabs, and the page of one. Manual, "Locations"."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import request
from flask_admin import expose
from markupsafe import Markup, escape
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload
from wtforms import validators

from admin_views import formats
from admin_views.assets.address import AddressMixin, AddressPickerField, What3wordsField
from admin_views.assets.parts import DEFAULT_PERIOD, PERIODS, period
from admin_views.assets.picture_fields import UPLOAD_HELP, LocationImageField, PhotosField, TakesPictures
from admin_views.base import (
    BaseView,
    CountryField,
    Facts,
    I18nField,
    I18nTextArea,
    Related,
    Section,
    Tab,
    Tabs,
)
from app.assets import pictures
from app.assets import queries as asset_queries
from app.assets.models import ChargePoint, ChargingZone, Location, LocationImage, LocationPhoto
from app.assets.queries import charge_points_of_location
from app.charging import queries
from app.charging.models import ChargingSession
from app.core.clock import utcnow
from app.core.i18n import LANGUAGES
from app.search.kinds import Kind

WHAT3WORDS_HELP = "Optional, in the format word1.word2.word3."
NAME_LENGTH = 255
ADDRESS_LENGTH = 500


def all_languages(view: Any, context: Any, obj: Any, name: str) -> Any:
    """A multilingual text, one language below the other."""
    texts = getattr(obj, name) or {}
    lines = [
        Markup('<div lang="{}"><span class="text-secondary">{}:</span> {}</div>').format(code, LANGUAGES[code], text)
        for code in LANGUAGES
        if (text := texts.get(code))
    ]
    return Markup("").join(lines) if len(lines) > 1 else escape(formats.translated(texts)) or None


def country(view: Any, context: Any, obj: Location, name: str) -> str:
    """The country by name."""
    return dict(formats.countries()).get(obj.country, obj.country)


def counted(view: Any, context: Any, obj: Any, name: str) -> Any:
    """How many charge points stand there, as counted for the whole page at once."""
    return formats.number(obj.counted)


#: a location with the files of its pictures
PICTURES = (
    joinedload(Location.image).joinedload(LocationImage.file),
    selectinload(Location.photos).joinedload(LocationPhoto.file),
)


class LocationView(TakesPictures, AddressMixin, BaseView):
    """The pins on the map."""

    resource, singular, plural = "assets.location", "Location", "Locations"
    section, icon = "Assets", "map-pin"
    empty_hint = "Create the first location; charging zones and charge points follow."
    details_template = "assets/location.html"
    create_template = edit_template = "assets/location_form.html"
    details_load_options = PICTURES

    column_list = ("name", "postcode", "region", "city", "country", "roaming", "charge_points")
    column_labels = {"charge_points": "Charge Points", "what3words": "What3words address", "timezone": "Time zone"}
    column_labels |= {"postcode": "Postcode", "zones.name": "Charging Zone", "created_at": "Created at"}
    column_formatters = {"country": country, "charge_points": counted}
    column_formatters_detail = {
        "name": all_languages,
        "short_description": all_languages,
        "description": all_languages,
        "address": all_languages,
        "country": country,
    }
    column_sortable_list = ("name", "postcode", "region", "city", "country", "created_at")
    column_default_sort = "name"
    column_searchable_list = ("name", "address", "city", "postcode", "region")
    search_kind = Kind.LOCATION
    column_filters = (
        "city",
        "country",
        "region",
        "postcode",
        "zones.name",
        "roaming",
        "timezone",
        "created_at",
    )
    column_export_list = (
        "id",
        ("name", lambda obj: formats.translated(obj.name)),
        ("address", lambda obj: formats.translated(obj.address)),
        "postcode",
        "region",
        "city",
        "country",
        "latitude",
        "longitude",
        "timezone",
        "what3words",
        "roaming",
        "created_at",
    )

    form_columns = (
        "name",
        "short_description",
        "description",
        "image_id",
        "photos",
        "address_picker",
        "latitude",
        "longitude",
        "address",
        "city",
        "postcode",
        "region",
        "country",
        "what3words",
        "timezone",
    )
    form_extra_fields = {"address_picker": AddressPickerField("Address Picker")}
    form_overrides = {
        "image_id": LocationImageField,
        "photos": PhotosField,
        "name": I18nField,
        "short_description": I18nField,
        "description": I18nTextArea,
        "address": I18nField,
        "country": CountryField,
        "what3words": What3wordsField,
    }
    form_args = {
        "name": {
            "max_length": NAME_LENGTH,
            "description": "Short (30-40 characters); the title of the location in the driver's app.",
        },
        "short_description": {
            "max_length": NAME_LENGTH,
            "description": "The address or one sentence, shown just below the name.",
        },
        "description": {
            "max_length": 10_000,
            "description": "Working hours, access instructions and the like.",
        },
        "image_id": {
            "label": "Location image",
            "description": "From the set in ASSETS > Location Images; shown when a driver taps the pin.",
        },
        "photos": {
            "label": "Images",
            "description": f"Of the location itself, several at once, at most {pictures.MAX_PHOTOS}. {UPLOAD_HELP}",
        },
        "latitude": {
            "validators": [validators.NumberRange(-90, 90, "Between -90 and 90.")],
            "description": "In degrees, north is positive, like 42.6977.",
        },
        "longitude": {
            "validators": [validators.NumberRange(-180, 180, "Between -180 and 180.")],
            "description": "In degrees, east is positive, like 23.3219.",
        },
        "address": {"max_length": ADDRESS_LENGTH, "description": "Street and number, in each language as needed."},
        "what3words": {"label": "What3words address", "description": WHAT3WORDS_HELP},
        "timezone": {
            "label": "Time zone",
            "description": "For the day and night hours of tariffs. Empty: the system's time zone.",
        },
    }
    form_rules = [
        Tabs(
            Tab("General", "name", "short_description", "description", "image_id", "photos"),
            Tab(
                "Address",
                "address_picker",
                "latitude",
                "longitude",
                Section("Address", "address", "city", "postcode", "region", "country", "what3words", "timezone"),
            ),
        )
    ]
    details_tabs = (
        Facts("General", ("name", "short_description", "description", "roaming", "created_at")),
        Facts(
            "Address",
            (
                "address",
                "city",
                "postcode",
                "region",
                "country",
                "latitude",
                "longitude",
                "what3words",
                "timezone",
            ),
        ),
        Facts("Images", template="assets/_location_pictures.html"),
    )
    related = (
        Related("Charging Zones", "charging_zone", "location_id", ("name", "status", "show_in_app")),
        Related(
            "Charge Points",
            "charge_point",
            lambda query, obj: query.filter(ChargePoint.zone.has(ChargingZone.location_id == obj.id)),
            ("name", "zone", "status", "state.connection", "hardware", "state.last_seen_at"),
        ),
        Related(
            "Charging Sessions",
            "charging_session",
            lambda query, obj: query.filter(ChargingSession.charge_point_id.in_(_stations_at(obj))),
        ),
    )

    def get_one(self, id: Any, *, lock: bool = False, options: Any = ()) -> Location:
        """With its pictures when a form is drawn or saved."""
        if not options and request.endpoint in (f"{self.endpoint}.edit_view", f"{self.endpoint}.delete_view"):
            options = PICTURES
        found: Location = super().get_one(id, lock=lock, options=options)
        return found

    def audited(self, obj: Location) -> dict[str, Any]:
        """Pictures by their names, in order."""
        facts = dict(super().audited(obj))
        facts.pop("image_id", None)
        # by its number: the relation still shows the one before
        image = self.db_session.get(LocationImage, obj.image_id) if obj.image_id is not None else None
        photos = [photo.file.name for photo in sorted(obj.photos, key=lambda photo: photo.position or 0)]
        return {**facts, "photos": photos, "image": image.name if image is not None else None}

    def on_model_delete(self, model: Location) -> None:
        """Its own pictures go with it."""
        pictures.forget_photos(self.db_session(), location=model)

    def delete_model(self, model: Location) -> bool:
        """Photos and files in one flush, which knows the order."""
        with self.db_session.no_autoflush:
            deleted: bool = super().delete_model(model)
        return deleted

    def live_topics(self, obj: Location) -> list[str]:
        """Its stations."""
        ids = charge_points_of_location(self.db_session, obj.id)
        return [f"charge_point-{number}" for number in ids[:100]]

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The numbers of charge points of all rows at once."""
        counts = asset_queries.charge_points_by_location(self.db_session, [row.id for row in rows])
        for row in rows:
            row.counted = counts.get(row.id, 0)
        return rows

    def details_context(self, obj: Location) -> dict[str, Any]:
        """The cards."""
        return {**super().details_context(obj), **self._cards(obj)}

    def _cards(self, obj: Location) -> dict[str, Any]:
        session = self.db_session
        stations = session.scalars(
            select(ChargePoint)
            .where(ChargePoint.zone.has(ChargingZone.location_id == obj.id))
            .options(*queries.STATION_OPTIONS)
        ).all()
        shown = [queries.shown_evse(station, evse) for station in stations for evse in station.evses]
        chosen = period(request.args.get("period", DEFAULT_PERIOD), now=utcnow())
        ids = [station.id for station in stations]
        return {
            "stations": len(stations),
            "evse_count": len(shown),
            "statuses": Counter(each.status for each in shown).most_common(),
            "usage": queries.usage(session, since=chosen.since, until=chosen.until, charge_point_ids=ids),
            "period": chosen,
            "periods": PERIODS,
            "topics_of_card": self.live_topics(obj),
        }

    @expose("/card/")
    def card_view(self) -> str:
        """The cards alone, for live updates and another period."""
        obj = self.get_one(request.args.get("id"))
        return self.render("assets/_location_cards.html", model=obj, **self._cards(obj))


def _stations_at(location: Location) -> Any:
    return select(ChargePoint.id).join(ChargingZone).where(ChargingZone.location_id == location.id)
