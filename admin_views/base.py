"""The hardened base of every page: derive from ``BaseView`` (a model's pages) or ``PageView`` (any other page).

What Flask-Admin leaves open is closed here and in ``widgets/``, each with a test in ``tests/ui``: rows, look-ups,
edits and exports go through ``scope``; every page and verb asks for its permission; nothing in an address is
dropped silently; keys are typed; lost updates are refused. How to declare a page: ``admin_views/README.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import abort, request, url_for
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import BaseForm
from flask_admin.helpers import is_safe_url
from sqlalchemy import func

from admin_views import formats
from admin_views.widgets import access, cells
from admin_views.widgets.actions import ActionMixin, Outcome, ReasonForm, RecordAction, Refused, RemoteAction
from admin_views.widgets.cells import cell, follow, pill, pill_formatter, text_formatter
from admin_views.widgets.chrome import allow_source, csp_nonce, init_screens, url_if
from admin_views.widgets.converter import Converter
from admin_views.widgets.details import DetailsMixin, Facts, Related
from admin_views.widgets.editing import EditMixin, FieldVanished
from admin_views.widgets.export import ExportMixin
from admin_views.widgets.fields import (
    ChoiceField,
    CountryField,
    DurationField,
    EnumField,
    TimezoneField,
)
from admin_views.widgets.filters import FilterConverter
from admin_views.widgets.guarded import Guarded, PageView
from admin_views.widgets.i18n import I18nField, I18nTextArea
from admin_views.widgets.inline import NestedConverter, NestedInline
from admin_views.widgets.keys import decode_key, encode_key, has_key
from admin_views.widgets.listing import ListArgs, ListMixin, UnknownFilter
from admin_views.widgets.lookups import Lookup, register
from admin_views.widgets.tabs import Section, Tab, Tabs
from app.search.kinds import Kind

__all__ = [
    "BaseView",
    "ChoiceField",
    "CountryField",
    "DurationField",
    "EnumField",
    "Facts",
    "FieldVanished",
    "I18nField",
    "I18nTextArea",
    "ListArgs",
    "Lookup",
    "NestedInline",
    "Outcome",
    "PageView",
    "ReasonForm",
    "RecordAction",
    "Refused",
    "Related",
    "RemoteAction",
    "Section",
    "Tab",
    "Tabs",
    "TimezoneField",
    "UnknownFilter",
    "allow_source",
    "cell",
    "csp_nonce",
    "follow",
    "init_screens",
    "pill",
    "pill_formatter",
    "safe_next",
    "text_formatter",
    "url_if",
]


def safe_next(target: str | None, default: str = "/") -> str:
    """Where to go after signing in: a path of this site, never another site."""
    if target and target.startswith("/") and not target.startswith(("//", "/\\")) and is_safe_url(target):
        return target
    return default


class BaseView(Guarded, ListMixin, ActionMixin, ExportMixin, EditMixin, DetailsMixin, ModelView):
    """The pages of one model. Everything below is meant to be declared by subclasses."""

    # --- who and what -----------------------------------------------------------------------------------
    singular: str = ""
    plural: str = ""
    description: str = ""
    empty_hint: str = ""

    # --- list -------------------------------------------------------------------------------------------
    list_template = "model/list.html"
    page_size = 25
    can_set_page_size = True
    page_size_options = (10, 25, 50, 100)
    named_filter_urls = True
    list_arguments: tuple[str, ...] = ()
    count_cap: int | None = None
    load_options: tuple[Any, ...] = ()
    column_pills: tuple[str, ...] = ()
    column_energy: tuple[str, ...] = ()
    column_power: tuple[str, ...] = ()
    column_duration: tuple[str, ...] = ()
    link_column: str | None = None
    search_hint: str | None = None
    search_kind: Kind | None = None
    search_related: tuple[tuple[Kind, str], ...] = ()
    search_numbers: tuple[str, ...] = ()
    search_same: tuple[str, ...] = ()
    search_whole: tuple[str, ...] = ()

    # --- details ----------------------------------------------------------------------------------------
    can_view_details = True
    details_template = "model/details.html"
    details_tabs: tuple[Facts, ...] = ()
    details_load_options: tuple[Any, ...] = ()
    related: tuple[Related, ...] = ()
    status_template: str | None = None
    has_history = True
    actions: tuple[RecordAction, ...] = ()

    # --- forms ------------------------------------------------------------------------------------------
    create_template = "model/form.html"
    edit_template = "model/form.html"
    model_form_converter = Converter
    inline_model_form_converter = NestedConverter
    filter_converter = FilterConverter()
    i18n_fields: tuple[str, ...] = ()
    form_lookups: dict[str, Any] | None = None
    constraint_messages: dict[str, tuple[str, str]] = {}
    refusals: tuple[type[Exception], ...] = ()
    audit_ignored: tuple[str, ...] = ("version", "updated_at")

    _allow_create = True
    _allow_edit = True
    _allow_delete = True
    _allow_export = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let pages say ``can_create = False`` as Flask-Admin does, without ever switching a permission off."""
        for verb in ("create", "edit", "delete", "export"):
            declared = cls.__dict__.get(f"can_{verb}")
            if isinstance(declared, bool):
                setattr(cls, f"_allow_{verb}", declared)
                delattr(cls, f"can_{verb}")
        super().__init_subclass__(**kwargs)

    def __init__(self, model: type, session: Any, **options: Any) -> None:
        if not (self.resource and self.singular and self.plural):
            raise ValueError(f"{type(self).__name__} declares no resource, singular or plural")
        section, _, resource = self.resource.partition(".")
        options.setdefault("name", self.plural)
        options.setdefault("category", self.section)
        options.setdefault("endpoint", resource)
        options.setdefault("url", f"/{section}/{self.plural.lower().replace('&', 'and').replace(' ', '-')}")
        options.setdefault("menu_icon_type", "tabler")
        options.setdefault("menu_icon_value", self.icon)
        self.column_labels = dict(self.column_labels or {})
        self.form_ajax_refs = {
            **(self.form_ajax_refs or {}),
            **self._lookups(model, session, self.form_lookups),
        }
        super().__init__(model, session, **options)
        self._check_declaration()

    def create_blueprint(self, admin: Any) -> Any:
        """Put the page on the application; from now on its model's records are found here."""
        register(self)
        self.offer_export()
        return super().create_blueprint(admin)

    def _check_declaration(self) -> None:
        names = [f"{self.resource}.view", *(self.action_permission(action) for action in self.actions)]
        unknown = [name for name in names if not access.is_permission(name)]
        if unknown:
            raise ValueError(f"{type(self).__name__}: no permission {', '.join(unknown)}")
        self.check_form_fields()
        if self._filters is not None and len(self._filter_args or {}) != len(self._filters):
            raise ValueError(f"{type(self).__name__}: two filters have the same name and operation")

    # --- permission and scope ---------------------------------------------------------------------------

    @property
    def can_create(self) -> bool:
        """Whether the admin may make such a record."""
        return self._allow_create and self.may(f"{self.resource}.create")

    @property
    def can_edit(self) -> bool:
        """Whether the admin may change one."""
        return self._allow_edit and self.may(f"{self.resource}.edit")

    @property
    def can_delete(self) -> bool:
        """Whether the admin may delete one."""
        return self._allow_delete and self.may(f"{self.resource}.delete")

    @property
    def can_export(self) -> bool:
        """Whether the admin may download the list."""
        return self._allow_export and self.may(f"{self.resource}.export")

    def can_edit_row(self, obj: Any) -> bool:
        """Whether this very record may be changed; a page may close some by a rule of its own."""
        return self.can_edit

    def can_delete_row(self, obj: Any) -> bool:
        """Whether this very record may be deleted."""
        return self.can_delete

    def scope(self, query: Any) -> Any:
        """Narrow a query of this model to what the admin may see. Lists, details, look-ups, exports use it."""
        return query

    @property
    def db_session(self) -> Any:
        """The request's session."""
        return getattr(self.session, "session", self.session)

    def get_query(self) -> Any:
        """All records within the scope."""
        return self.scope(self.db_session.query(self.model))

    def get_count_query(self) -> Any:
        """Their number; ``func.count()`` has no bound parameter to plan for."""
        return self.scope(self.db_session.query(func.count()).select_from(self.model))

    def get_one(self, id: Any, *, lock: bool = False, options: Sequence[Any] = ()) -> Any:
        """The record of that key within the scope; 404 for any other text."""
        key = decode_key(self.model, str(id)) if id not in (None, "") else None
        if key is None:
            abort(404)
        query = self.get_query().filter(has_key(self.model, key)).options(*options)
        if lock:
            # weaker than a whole lock: rows of stations that refer to it are written meanwhile
            query = query.populate_existing().with_for_update(of=self.model, key_share=True)
        return query.one_or_none() or abort(404)

    def get_pk_value(self, model: Any) -> str:
        """A record's key as text for addresses."""
        return encode_key(self.model, model)

    # --- look-ups ---------------------------------------------------------------------------------------

    @staticmethod
    def _lookups(model: type, session: Any, declared: dict[str, Any] | None) -> dict[str, Any]:
        """``{"zone": ("name",)}`` as Lookup objects for the relations of a model."""
        found = {}
        for name, entry in (declared or {}).items():
            if isinstance(entry, Lookup):
                found[name] = entry
                continue
            remote = getattr(model, name).property.mapper.class_
            found[name] = Lookup(name, remote, session=session, fields=list(entry))
        return found

    def expand_lookups(self, model: type, declared: dict[str, Any] | None) -> dict[str, Any]:
        """The same for an inline form."""
        return self._lookups(model, self.session, declared)

    @expose("/ajax/lookup/")
    def ajax_lookup(self) -> Any:
        """Related records for a form's field: only for who may fill such a form, only what they may see."""
        if not (self.can_create or self.can_edit):
            abort(403)
        loader = self._form_ajax_refs.get(request.args.get("name", ""))
        if loader is None:
            abort(404)
        offset = request.args.get("offset", 0, type=int)
        limit = request.args.get("limit", 20, type=int)
        found = loader.get_list(request.args.get("query", ""), offset, limit)
        return [loader.format(record) for record in found]

    @expose("/ajax/update/", methods=("POST",))
    def ajax_update(self) -> Any:
        """Editing in the list is not offered; it would pass by the version check and the audit."""
        abort(404)

    @expose("/action/", methods=("POST",))
    def action_view(self) -> Any:
        """Flask-Admin's bulk actions take no reason; ours are at ``/run/<name>/``."""
        abort(404)

    # --- cells ------------------------------------------------------------------------------------------

    def value(self, obj: Any, name: str) -> Any:
        """An attribute (or dotted path), in the form its column was declared to have."""
        value = follow(obj, name)
        if name in self.column_pills:
            return pill(value)
        if name in self.column_energy:
            return formats.energy(value)
        if name in self.column_power:
            return formats.power(value)
        if name in self.column_duration:
            return formats.duration(value)
        return value

    def list_cell(self, obj: Any, name: str) -> Any:
        """A cell of the list; the first column leads to the record."""
        formatter = (self.column_formatters or {}).get(name)
        shown = cell(formatter(self, {}, obj, name) if formatter else self.value(obj, name))
        lead = self.link_column or self._list_columns[0][0]
        if name == lead and self.can_view_details and "<a " not in str(shown):
            url = url_for(f"{self.endpoint}.details_view", id=self.get_pk_value(obj))
            return cells.link(url, shown, css="cell-lead")
        return shown

    def get_column_name(self, field: str) -> str:
        """A column's heading."""
        return str((self.column_labels or {}).get(field) or formats.words(field.split(".")[-1]))

    def search_placeholder(self) -> str:
        """What the search box of the list looks at."""
        if self.search_hint:
            return self.search_hint
        names = [str(getattr(name, "key", name)) for name in self.column_searchable_list or ()]
        return "Search " + ", ".join(self.get_column_name(name) for name in names)

    def live_topics(self, obj: Any) -> list[str]:
        """Events that make the status cards of a record fetch themselves again, e.g. ["charge_point-5"]."""
        return []

    def render(self, template: str, **context: Any) -> str:
        """Render one of our templates."""
        context.setdefault("page_title", self.plural)
        context.setdefault("partial", False)
        return str(super().render(template, **context))

    def is_action_allowed(self, name: str) -> bool:
        """None of Flask-Admin's own actions."""
        return False

    # Flask-Admin asks for the form's delete and action forms; ours are plain forms under the global CSRF check
    def get_delete_form(self) -> type[BaseForm]:
        """Not used."""
        return BaseForm

    def get_action_form(self) -> type[BaseForm]:
        """Not used."""
        return BaseForm
