"""Records inside a record's form, to any depth: charge point → EVSE → connector."""

from __future__ import annotations

from typing import Any

from flask import render_template
from flask_admin.contrib.sqla.fields import InlineModelFormList
from flask_admin.contrib.sqla.form import InlineModelConverter
from flask_admin.model.form import InlineFormAdmin
from markupsafe import Markup
from wtforms.utils import unset_value

from admin_views.widgets.converter import Converter


class InlineList(InlineModelFormList):
    """A list of sub-forms drawn by ``form/_inline.html``; its template row carries a placeholder index."""

    def process(self, formdata: Any, data: Any = unset_value, extra_filters: Any = None) -> None:
        """Match posted rows with stored ones by key, and note which are to be removed, before rows are renumbered.

        WTForms would match them by position and renumber first: with a gap in the numbers (a row added and removed
        again) another row than the one marked would be removed.
        """
        if not formdata or not isinstance(self._pk, str):
            super().process(formdata, data, extra_filters)
            return
        stored = [] if data is unset_value or data is None else list(data)
        by_key = {str(getattr(obj, self._pk)): obj for obj in stored}
        self.object_data = stored
        self.entries = []
        for index in sorted(set(self._extract_indices(self.name, formdata))):
            key = formdata.get(f"{self.name}{self._separator}{index}-{self._pk}")
            entry = self._add_entry(formdata, by_key.get(key, unset_value), index=index)
            entry._should_delete = f"del-{entry.id}" in formdata
        self._compact_indices()

    def __call__(self, **attributes: Any) -> Markup:
        token = f"__row{self.name.count('__row')}__"
        blank = self.unbound_field.bind(
            form=None,
            name=f"{self.name}{self._separator}{token}",
            id=f"{self.id}{self._separator}{token}",
            _meta=self.meta,
            translations=self._translations,
        )
        blank.process(None)
        html = render_template("form/_inline.html", field=self, blank=blank, token=token)
        return Markup(html)  # noqa: S704 (Jinja has escaped it)


class NestedConverter(InlineModelConverter):
    """Contributes inline forms whose own inline forms and look-ups work too."""

    inline_field_list_type = InlineList

    def get_info(self, inline: Any) -> Any:
        """Tell the inline form which view it stands in."""
        if isinstance(inline, InlineFormAdmin):
            inline.parent_view = self.view
        return super().get_info(inline)

    def process_ajax_refs(self, info: Any) -> dict[Any, Any]:
        """Register the look-ups of inner forms with the page's view, which answers them."""
        info.parent_view = self.view
        own = self.view
        root = own
        while getattr(root, "parent_view", None) is not None:
            root = root.parent_view
        self.view = root
        try:
            info.form_ajax_refs = root.expand_lookups(info.model, getattr(info, "form_ajax_refs", None))
            return dict(super().process_ajax_refs(info))
        finally:
            self.view = own


class NestedInline(InlineFormAdmin):
    """An inline form: ``NestedInline(Evse, label="EVSE", form_columns=(…), inline_models=(…,))``.

    ``label`` names one record, ``unique_fields`` are left empty by "Duplicate",
    ``min_items`` is how many there must be.
    """

    form_args: dict[str, Any]
    inline_models: tuple[Any, ...] = ()
    form_label: str | None = None
    form_ajax_refs: dict[str, Any] | None = None
    column_labels: dict[str, str] | None = None
    column_descriptions: dict[str, str] | None = None
    form_overrides: dict[str, Any] | None = None
    form_choices: dict[str, Any] | None = None
    i18n_fields: tuple[str, ...] = ()
    unique_fields: tuple[str, ...] = ()
    min_items = 0
    parent_view: Any = None

    def __init__(self, model: type, *, label: str | None = None, **options: Any) -> None:
        if label:
            options["form_label"] = label
        super().__init__(model, **options)
        self.form_args = dict(self.form_args or {})
        if self.form_columns and "id" not in self.form_columns:
            self.form_columns = ("id", *self.form_columns)

    def postprocess_form(self, form_class: Any) -> Any:
        """Add the inner inline forms."""
        root = self.parent_view
        while getattr(root, "parent_view", None) is not None:
            root = root.parent_view
        converter = NestedConverter(root.session, self, Converter)
        for child in self.inline_models:
            form_class = converter.contribute(self.model, form_class, child)
        return form_class
