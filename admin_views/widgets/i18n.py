"""A field with a text per language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import current_app, render_template
from markupsafe import Markup
from wtforms import Field, validators
from wtforms.utils import unset_value

from app.core.i18n import LANGUAGES


class I18nWidget:
    """One tab per language over one input each."""

    def __call__(self, field: Field, **attributes: Any) -> Markup:
        attributes.pop("class", None)
        ask = current_app.extensions["screens"].languages
        offered = ask(field.data) if ask is not None else LANGUAGES
        html = render_template("form/_i18n.html", field=field, languages=offered, attributes=attributes)
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class I18nField(Field):
    """A text per language, stored as ``{"en": "…", "bg": "…"}``; languages left empty are left out.

    ``textarea`` draws several lines, ``max_length`` limits each text, ``required_languages`` must be filled.
    """

    widget = I18nWidget()

    def __init__(
        self,
        label: str | None = None,
        validators: Sequence[Any] | None = None,
        textarea: bool = False,
        max_length: int = 2000,
        required_languages: Sequence[str] = (),
        **options: Any,
    ) -> None:
        required = any(type(v).__name__ in ("InputRequired", "DataRequired") for v in validators or ())
        super().__init__(label, [], **options)
        self.textarea = textarea
        self.max_length = max_length
        self.required_languages = tuple(required_languages) or (("en",) if required else ())
        if self.required_languages:
            self.flags.required = True

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        """Read the inputs ``name-en``, ``name-bg``, …; without them the stored value stays."""
        super().process(None, data, extra_filters)
        self.data = dict(self.data or {})
        if formdata is None:
            return
        names = {code: f"{self.name}-{code}" for code in LANGUAGES}
        for code, name in names.items():
            if name not in formdata:  # a language that the form does not offer keeps its text
                continue
            text = (formdata.get(name) or "").strip()
            if text:
                self.data[code] = text
            else:
                self.data.pop(code, None)

    def pre_validate(self, form: Any) -> None:
        """Require the required languages and the length of each."""
        for code in self.required_languages:
            if not self.data.get(code):
                raise validators.ValidationError(f"Enter the {LANGUAGES[code]} text.")
        for code, text in self.data.items():
            if len(text) > self.max_length:
                language = LANGUAGES.get(code, code)
                raise validators.ValidationError(f"{language}: at most {self.max_length} characters.")


class I18nTextArea(I18nField):
    """I18nField of several lines; ready for ``form_overrides``."""

    def __init__(self, label: str | None = None, validators: Sequence[Any] | None = None, **options: Any) -> None:
        options.setdefault("textarea", True)
        super().__init__(label, validators, **options)
