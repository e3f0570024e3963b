"""Form fields of charge points: kW for W, tags by name, the network password, IDs with what belongs beside them."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from flask import current_app, g, render_template, url_for
from markupsafe import Markup
from sqlalchemy import select
from wtforms import BooleanField, PasswordField, StringField, validators, widgets

from admin_views.assets.ocpp_address import ocpp_base, web_base
from admin_views.widgets.fields import NONE_CHOICE, ChoiceField, DecimalField
from app.assets import queries, verbs
from app.core.db import db
from app.tariffs.models import TariffGroup

WATTS = Decimal(1000)
MAX_KW = 10_000


class KilowattField(DecimalField):
    """A power entered and shown in kW, held in W."""

    def process_data(self, value: Any) -> None:
        """W to kW."""
        self.data = None if value is None else Decimal(value) / WATTS

    def pre_validate(self, form: Any) -> None:
        """More than 0, to the watt."""
        super().pre_validate(form)
        if self.data is None:
            return
        if not 0 < self.data <= MAX_KW or (self.data * WATTS) % 1:
            raise validators.ValidationError("Enter kW, like 22 or 7.4.")

    def populate_obj(self, obj: Any, name: str) -> None:
        """kW to W."""
        setattr(obj, name, None if self.data is None else int(self.data * WATTS))


class TagsField(StringField):
    """Tags by name; new names become tags."""

    def __init__(self, label: str | None = None, validators: Any = None, allow_blank: bool = True, **options: Any):
        super().__init__(label, validators, **options)
        self.render_kw = {"data-tags": "1", **(self.render_kw or {})}

    def process(self, *args: Any, **kwargs: Any) -> None:
        """With the tags there are, to choose from."""
        super().process(*args, **kwargs)
        self.render_kw = {**(self.render_kw or {}), "data-options": json.dumps(_tag_names())}

    def process_data(self, value: Any) -> None:
        """Tag records to names."""
        self.data = [tag if isinstance(tag, str) else tag.name for tag in value or ()]

    def _value(self) -> str:
        return ",".join(self.data or ())

    def process_formdata(self, valuelist: list[str]) -> None:
        """Comma-separated names."""
        if valuelist:
            names = [name.strip() for name in valuelist[0].split(",")]
            self.data = [name for name in dict.fromkeys(names) if name]

    def pre_validate(self, form: Any) -> None:
        """Names of a sensible length."""
        if any(len(name) > verbs.MAX_TAG_LENGTH for name in self.data or ()):
            raise validators.ValidationError(f"A tag has at most {verbs.MAX_TAG_LENGTH} characters.")

    def populate_obj(self, obj: Any, name: str) -> None:
        """Names to tag records."""
        setattr(obj, name, verbs.tags_named(db.session(), self.data or ()))


class TariffGroupField(ChoiceField):
    """A choice among the tariff groups, asked for once a request however many EVSEs the form has."""

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options.update(choices=[], coerce=int, allow_blank=True)
        options["render_kw"] = {"data-role": "select2"}
        super().__init__(label, validators, **options)

    def process(self, *args: Any, **kwargs: Any) -> None:
        """Take the choices of this request."""
        self.choices = tariff_groups()
        super().process(*args, **kwargs)

    def process_formdata(self, valuelist: list[str]) -> None:
        """What was posted; blank is none."""
        super().process_formdata([value or NONE_CHOICE for value in valuelist])


def _tag_names() -> list[str]:
    if "tag_names" not in g:
        g.tag_names = queries.tag_names(db.session())
    found: list[str] = g.tag_names
    return found


def tariff_groups() -> list[tuple[int, str]]:
    """Number and name of each tariff group, by name."""
    if "tariff_groups" not in g:
        rows = db.session.execute(select(TariffGroup.id, TariffGroup.name).order_by(TariffGroup.name))
        g.tariff_groups = [(row[0], row[1]) for row in rows]
    found: list[tuple[int, str]] = g.tariff_groups
    return found


class EvseCodeWidget(widgets.TextInput):
    """The ID and a button that draws a new one."""

    def __call__(self, field: Any, **attributes: Any) -> Markup:
        html = render_template(
            "assets/_evse_code.html",
            control=super().__call__(field, **attributes),
            field=field,
            draw_url=url_for("charge_point.evse_code_view"),
            download_url=url_for("charge_point.qr_view"),
            public_base=f"{web_base()}/public/cs/",
        )
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class EvseCodeField(StringField):
    """The ID on the EVSE's sticker. Left empty, one is drawn when the form is saved."""

    widget = EvseCodeWidget()

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        kept = [each for each in validators or () if type(each).__name__ not in ("InputRequired", "DataRequired")]
        options["filters"] = [lambda text: (text or "").strip()]
        super().__init__(label, kept, **options)


class ChargePointIdWidget(widgets.TextInput):
    """The ID and below it the address that goes into the station."""

    def __call__(self, field: Any, **attributes: Any) -> Markup:
        html = render_template(
            "assets/_charge_point_id.html",
            control=super().__call__(field, **attributes),
            field=field,
            base=ocpp_base(),
        )
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class ChargePointIdField(StringField):
    """The Charge Point ID with its OCPP URL."""

    widget = ChargePointIdWidget()

    def __init__(self, label: str | None = None, validators: Any = None, **options: Any) -> None:
        options["filters"] = [lambda text: (text or "").strip()]
        super().__init__(label, validators, **options)


class NetworkPasswordField(PasswordField):
    """A new network password; left empty, the stored one stays. Never shown."""

    def pre_validate(self, form: Any) -> None:
        """Only what a station can send."""
        if self.data:
            try:
                verbs.password_bytes(self.data)
            except verbs.InvalidNetworkPassword as error:
                raise validators.ValidationError(str(error)) from None

    def populate_obj(self, obj: Any, name: str) -> None:
        """Keep its keyed hash."""
        if self.data:
            verbs.set_network_password(obj, text=self.data, secret_key=str(current_app.secret_key))


class ClearPasswordField(BooleanField):
    """Whether the stored network password is to be forgotten; a new one wins."""

    def populate_obj(self, obj: Any, name: str) -> None:
        """Forget it."""
        if self.data:
            verbs.clear_network_password(obj)
