"""The set of pictures that locations choose from. Manual, "Location Images"."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from sqlalchemy.orm import joinedload
from wtforms.validators import ValidationError

from admin_views import formats
from admin_views.assets.picture_fields import UPLOAD_HELP, PictureField, TakesPictures
from admin_views.base import BaseView, Facts, Related
from admin_views.public import picture_url
from app.assets import pictures, queries
from app.assets.models import LocationImage
from app.core.references import listed


def thumbnail(view: Any, context: Any, obj: LocationImage, name: str) -> Any:
    """The picture, small."""
    return Markup('<img class="thumbnail" src="{}" alt="" loading="lazy">').format(picture_url(obj.file, "small"))


def large(view: Any, context: Any, obj: LocationImage, name: str) -> Any:
    """The picture on its own page."""
    return Markup('<img class="picture-large" src="{}" alt="{}">').format(picture_url(obj.file, "medium"), obj.name)


def used(view: Any, context: Any, obj: LocationImage, name: str) -> Any:
    """How many locations show it, as counted for the whole page at once."""
    return formats.number(obj.counted)


class LocationImageView(TakesPictures, BaseView):
    """The set of pictures."""

    resource, singular, plural = "assets.location_image", "Location Image", "Location Images"
    section, icon = "Assets", "photo"
    empty_hint = "Upload the pictures that locations can choose from."
    description = "Replacing a picture shows the new one at all locations that use it."
    list_template = "assets/list.html"
    details_template = "assets/details.html"
    create_template = edit_template = "assets/picture_form.html"

    column_list = ("name", "picture", "locations", "created_at")
    column_labels = {"picture": "Media", "locations": "Locations", "created_at": "Created at", "file.name": "File"}
    column_formatters = {"picture": thumbnail, "locations": used}
    column_formatters_detail = {"picture": large}
    column_sortable_list = ("name", "created_at")
    column_default_sort = "name"
    column_searchable_list = ("name",)
    column_filters = ("name", "created_at")
    column_export_list = ("id", "name", ("file", "file.name"), "created_at")
    load_options = (joinedload(LocationImage.file),)
    details_load_options = (joinedload(LocationImage.file),)

    form_columns = ("name", "media")
    form_extra_fields = {"media": PictureField("Media (image)", description=UPLOAD_HELP)}
    form_args = {"name": {"description": "For whoever chooses it; not shown to the EV Driver."}}
    details_tabs = (Facts("General", ("picture", "name", "file.name", "created_at")),)
    related = (Related("Locations", "location", "image_id", ("name", "postcode", "city", "country")),)

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The numbers of locations of all rows at once."""
        counts = queries.locations_by_image(self.db_session, [row.id for row in rows])
        for row in rows:
            row.counted = counts.get(row.id, 0)
        return rows

    def edit_form(self, obj: Any = None) -> Any:
        """With the picture as it is."""
        form = super().edit_form(obj)
        form.media.current = obj.file if obj is not None else None
        return form

    def audited(self, obj: LocationImage) -> dict[str, Any]:
        """The media by its file name and digest."""
        facts = dict(super().audited(obj))
        facts.pop("file_id", None)
        return {**facts, "media": f"{obj.file.name} ({obj.file.sha256[:8]})" if obj.file is not None else None}

    def on_model_delete(self, model: LocationImage) -> None:
        """One that locations show is kept."""
        locations, count = pictures.locations_using(self.db_session(), image_id=model.id)
        if count:
            names = [f"“{location}”" for location in locations]
            more = [f"{formats.number(count - len(names))} more"] if count > len(names) else []
            raise ValidationError(
                f"“{model}” cannot be deleted, because it is shown at {listed([*names, *more])}. "
                "Choose another image there first."
            )
        pictures.forget_media(self.db_session(), image=model)

    def delete_model(self, model: LocationImage) -> bool:
        """Picture and file in one flush, which knows the order."""
        with self.db_session.no_autoflush:
            deleted: bool = super().delete_model(model)
        return deleted
