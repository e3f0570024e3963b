"""A field with a formatted text per language. Without JavaScript it is the HTML itself, in a text area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import render_template
from markupsafe import Markup
from wtforms import Field, validators
from wtforms.utils import unset_value

from admin_views.widgets.i18n import I18nField
from app.content import rich_text
from app.core.i18n import LANGUAGES


class RichTextWidget:
    """One tab per language over one editor each (``static/js/rich-text.js``)."""

    def __call__(self, field: Field, **attributes: Any) -> Markup:
        html = render_template("form/_rich_text.html", field=field, languages=LANGUAGES)
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class RichTextField(I18nField):
    """Texts that are cleaned (``app.content.rich_text``) before anybody sees them, also in this very form."""

    widget = RichTextWidget()

    def __init__(self, label: str | None = None, validators: Sequence[Any] | None = None, **options: Any) -> None:
        options.setdefault("max_length", rich_text.MAX_LENGTH)
        super().__init__(label, validators, **options)
        self.too_long: str = ""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        """Clean what was posted; a language without any visible text is left out."""
        super().process(formdata, data, extra_filters)
        if formdata is None:
            return
        kept = {}
        for code, html in self.data.items():
            try:
                text = rich_text.clean(html)
            except rich_text.TextTooLong as error:
                self.too_long = f"{LANGUAGES.get(code, code)}: {error}"
                continue
            if text:
                kept[code] = text
        self.data = kept

    def pre_validate(self, form: Any) -> None:
        """Refuse what is too long."""
        if self.too_long:
            raise validators.ValidationError(self.too_long)
        super().pre_validate(form)
