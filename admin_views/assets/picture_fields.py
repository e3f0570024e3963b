"""Form fields of pictures: one from the set, one uploaded, several uploaded in an order."""

from __future__ import annotations

from typing import Any

from flask import g, render_template, request
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import flag_modified
from wtforms import Field, FileField, validators, widgets
from wtforms.fields.choices import SelectChoice
from wtforms.utils import unset_value

from admin_views.public import picture_url
from admin_views.widgets.fields import ChoiceField
from admin_views.widgets.threads import beside
from app.assets import pictures
from app.assets.models import LocationImage
from app.assets.pictures import InvalidPicture, Picture
from app.core.clock import utcnow
from app.core.db import db

ACCEPT = "image/jpeg,image/png,image/webp"
#: what a form with pictures may weigh: several from a phone at once
MAX_FORM_BYTES = 64 * 1024 * 1024
UPLOAD_HELP = f"JPEG, PNG or WebP, at most {pictures.MAX_UPLOAD_BYTES // 1024 // 1024} MB each. Kept without metadata."


class TakesPictures:
    """Joined before BaseView: its forms may weigh MAX_FORM_BYTES, when an admin sends them."""

    def create_blueprint(self, admin: Any) -> Any:
        """As BaseView's; the limit has to be known before anything reads the form, the CSRF check included."""
        blueprint = super().create_blueprint(admin)
        blueprint.url_value_preprocessor(_allow_pictures)
        return blueprint


def _allow_pictures(endpoint: str | None, _values: Any) -> None:
    if (endpoint or "").endswith((".create_view", ".edit_view")) and current_user.is_authenticated:
        request.max_content_length = MAX_FORM_BYTES


def read_upload(upload: Any) -> Picture:
    """The picture of a posted file. Raises InvalidPicture.

    Under gevent it is decoded in a thread of its own: other requests and stations of this process go on meanwhile.
    """
    data = upload.stream.read(pictures.MAX_UPLOAD_BYTES + 1)
    name = f"“{upload.filename}”"
    return beside(pictures.read_picture, data, name=name)


def _uploads(formdata: Any, name: str) -> list[Any]:
    """The files that were chosen; a browser posts an empty one where none was."""
    return [each for each in formdata.getlist(name) if getattr(each, "filename", "")]


class _Drawn:
    """Draws a field by a template; ``context(field)`` is what it needs beside the field."""

    input_type = "file"

    def __init__(self, template: str) -> None:
        self.template = template

    def __call__(self, field: Any, **attributes: Any) -> Markup:
        attributes.setdefault("id", field.id)
        attributes["accept"] = ACCEPT
        html = render_template(
            self.template,
            field=field,
            attributes=Markup(widgets.html_params(**attributes)),  # noqa: S704 (it escapes what it is given)
            max_bytes=MAX_FORM_BYTES,
            max_photos=pictures.MAX_PHOTOS,
        )
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class PictureField(FileField):
    """One uploaded picture; ``current`` is the stored file it would replace, ``picture`` what was read."""

    widget = _Drawn("assets/_picture_field.html")

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        super().__init__(label, validators, **options)
        self.current: Any = None
        self.picture: Picture | None = None
        self.file_name = ""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        """Take the file, if one was chosen."""
        super().process(None, None, extra_filters)
        chosen = _uploads(formdata, self.name) if formdata else []
        self.data = chosen[0] if chosen else None

    def pre_validate(self, form: Any) -> None:
        """It has to be a picture; there has to be one."""
        if self.data is None:
            if self.current is None:
                raise validators.StopValidation("Choose a picture.")
            return
        self.file_name = self.data.filename
        try:
            self.picture = read_upload(self.data)
        except InvalidPicture as error:
            raise validators.StopValidation(str(error)) from None

    def populate_obj(self, obj: Any, name: str) -> None:
        """Replace the media of a location image."""
        if self.picture is not None:
            pictures.replace_media(db.session(), image=obj, picture=self.picture, name=self.file_name, now=utcnow())


class PhotosField(Field):
    """The pictures of a location: uploaded, ordered, removed."""

    widget = _Drawn("assets/_photos_field.html")

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.pop("allow_blank", None)
        super().__init__(label, [], **options)
        self.uploads: list[Any] = []
        self.added: list[tuple[str, Picture]] = []
        self.order: list[int] = []
        self.removed: list[int] = []

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        """Stored photos, and what is to become of them."""
        super().process(None, data, extra_filters)
        self.data = list(self.data or ())
        if not formdata:
            return
        self.order = _numbers(formdata.getlist(f"{self.name}-order"))
        self.removed = _numbers(formdata.getlist(f"{self.name}-remove"))
        self.uploads = _uploads(formdata, self.name)
        places = {number: place for place, number in enumerate(self.order)}
        self.data.sort(key=lambda photo: places.get(photo.id, len(places)))

    def pre_validate(self, form: Any) -> None:
        """Each file has to be a picture, and there is a limit to their number."""
        left = sum(photo.id not in self.removed for photo in self.data)
        if left + len(self.uploads) > pictures.MAX_PHOTOS:
            raise validators.StopValidation(
                f"A location has at most {pictures.MAX_PHOTOS} images; this would be {left + len(self.uploads)}."
            )
        self.added = []
        for upload in self.uploads:
            try:
                self.added.append((upload.filename, read_upload(upload)))
            except InvalidPicture as error:
                raise validators.StopValidation(f"{error} Choose the pictures again.") from None

    def populate_obj(self, obj: Any, name: str) -> None:
        """Arrange the photos of the location."""
        before = [photo.id for photo in obj.photos]
        if not self.added and not self.removed and self.order in ([], before):
            return
        pictures.arrange_photos(
            db.session(), location=obj, order=self.order, removed=self.removed, added=self.added, now=utcnow()
        )
        if obj.id is not None:
            flag_modified(obj, "name")  # whoever else has the form open is told that something changed


def _numbers(texts: list[str]) -> list[int]:
    return [int(text) for text in texts if text.isdigit() and len(text) <= 18]


class LocationImageField(ChoiceField):
    """A choice among the location images, with a preview."""

    class _PictureSelect(widgets.Select):
        def __call__(self, field: Any, **attributes: Any) -> Markup:
            html = render_template(
                "assets/_image_choice.html", field=field, control=super().__call__(field, **attributes)
            )
            return Markup(html)  # noqa: S704 (Jinja has escaped it)

    widget = _PictureSelect()

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.update(choices=[], coerce=int, allow_blank=True)
        super().__init__(label, [], **options)

    def process(self, *args: Any, **kwargs: Any) -> None:
        """Take the choices of this request."""
        self.choices = [SelectChoice(image.id, image.name) for image in _images()]
        super().process(*args, **kwargs)

    @property
    def pictures(self) -> dict[str, str]:
        """The small picture of each choice."""
        return {str(image.id): picture_url(image.file, "small") or "" for image in _images()}


def _images() -> list[LocationImage]:
    if "location_images" not in g:
        query = select(LocationImage).order_by(LocationImage.name).options(joinedload(LocationImage.file))
        g.location_images = list(db.session.scalars(query))
    found: list[LocationImage] = g.location_images
    return found
