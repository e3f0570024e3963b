"""Lists: what was asked for (strictly parsed), which rows match, and the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flask import abort, redirect, request
from flask_admin import expose
from sqlalchemy import JSON, String, cast, func, or_, tuple_
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.exceptions import BadRequest

from admin_views import formats
from admin_views.widgets import preferences, searching
from admin_views.widgets.access import wants_partial
from admin_views.widgets.filters import PRESETS
from admin_views.widgets.keys import has_any_key, key_columns
from admin_views.widgets.lookups import like

MAX_SEARCH = 200
MAX_WORDS = 8
LIST_ARGUMENTS = ("page", "page_size", "sort", "desc", "search", "url")
SELECTION_ARGUMENTS = ("rowid", "all_matching", "expected_count", "bom", "columns")


class UnknownFilter(BadRequest):
    """The address names a filter, value, column or argument that this list does not have."""


@dataclass(frozen=True)
class ActiveFilter:
    """A filter of the address: ``argument`` names it there, ``flt`` is the object that applies it."""

    argument: str
    index: int
    flt: Any
    value: str

    @property
    def chip(self) -> str:
        """The value as words."""
        show = getattr(self.flt, "show", None)
        return str(show(self.value)) if show else self.value


@dataclass(frozen=True)
class ListArgs:
    """What a list's address asks for."""

    page: int = 0
    page_size: int = 25
    sort: str | None = None
    desc: bool = False
    search: str = ""
    filters: tuple[ActiveFilter, ...] = ()
    default_page_size: int = 25

    def query(self, *, paging: bool = True) -> dict[str, str]:
        """The address's arguments; without ``paging`` those that choose rows and order only."""
        found: dict[str, str] = {}
        for position, active in enumerate(self.filters):
            found[f"flt{position}_{active.argument}"] = active.value
        if self.search:
            found["search"] = self.search
        if self.sort:
            found["sort"] = self.sort
            if self.desc:
                found["desc"] = "1"
        if paging and self.page:
            found["page"] = str(self.page)
        if paging and self.page_size != self.default_page_size:
            found["page_size"] = str(self.page_size)
        return found

    @property
    def narrowed(self) -> bool:
        """Whether fewer than all rows are asked for."""
        return bool(self.search or self.filters)


@dataclass
class ListPage:
    """Everything the list template draws."""

    args: ListArgs
    columns: list[tuple[str, str]]
    rows: list[Any]
    count: int
    capped: bool
    hidden: list[str] = field(default_factory=list)
    density: str = "regular"

    @property
    def first(self) -> int:
        """Number of the first row shown, from 1; 0 when there is none."""
        return self.args.page * self.args.page_size + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return self.args.page * self.args.page_size + len(self.rows)

    @property
    def pages(self) -> int:
        """How many pages there are (of those counted)."""
        return max(1, -(-self.count // self.args.page_size))

    @property
    def total(self) -> str:
        """The count in words: '1,234' or '10,000+' when counting stopped there."""
        return f"{self.count:,}{'+' if self.capped else ''}"


class ListMixin:
    """The list page and everything that selects its rows. Joined into ``BaseView``."""

    # --- arguments ------------------------------------------------------------------------------------

    def list_args(self) -> ListArgs:
        """Parse the address. Raises UnknownFilter for whatever would otherwise be dropped silently."""
        source = request.args
        if any("\x00" in value for value in source.values()):
            raise UnknownFilter("The address contains a character that cannot be searched for.")
        known = (*LIST_ARGUMENTS, *SELECTION_ARGUMENTS, *self.list_arguments)
        filters = []
        for argument, value in source.items(multi=True):
            if argument.startswith("flt"):
                filters.append(self._active_filter(argument, value))
            elif argument not in known:
                raise UnknownFilter(f"This list has no filter “{argument}”.")
        chosen = preferences.of_list(self.endpoint).get("page_size", self.page_size)
        default = chosen if chosen in self.page_size_options else self.page_size
        size = source.get("page_size", default, type=int)
        return ListArgs(
            page=max(0, min(source.get("page", 0, type=int), 10**9)),
            page_size=size if size in self.page_size_options else default,
            sort=self._sort_column(source.get("sort")),
            desc=source.get("desc") == "1",
            search=source.get("search", "").strip()[:MAX_SEARCH],
            filters=tuple(active for _, active in sorted(filters, key=lambda pair: pair[0])),
            default_page_size=default,
        )

    def _active_filter(self, argument: str, value: str) -> tuple[str, ActiveFilter]:
        position, _, name = argument[3:].partition("_")
        found = (self._filter_args or {}).get(name)
        if found is None:
            raise UnknownFilter(f"This list has no filter “{formats.words(name)}”.")
        index, flt = found
        if not flt.validate(value):
            raise UnknownFilter(f"“{value[:80]}” cannot be used for the filter “{flt.name} {flt.operation()}”.")
        return position.zfill(4), ActiveFilter(name, index, flt, value)

    def _sort_column(self, name: str | None) -> str | None:
        if not name:
            return None
        if name not in self._sortable_columns:
            raise UnknownFilter(f"This list cannot be sorted by “{formats.words(name)}”.")
        return name

    def list_url(self, args: ListArgs, **changes: Any) -> str:
        """The address of this list with some arguments changed."""
        return str(self.get_url(f"{self.endpoint}.index_view", **replace(args, **changes).query()))

    # --- rows -----------------------------------------------------------------------------------------

    def _matching(self, args: ListArgs) -> tuple[Any, dict[Any, Any]]:
        query = self.get_query()
        joins: dict[Any, Any] = {}
        if args.search and self._search_fields:
            query, joins = self._searched(query, joins, args.search)
        for active in args.filters:
            flt = active.flt
            path = self._filter_joins.get(flt.key_name or flt.column, [])
            query, joins, alias = self._apply_path_joins(query, joins, path, inner_join=False)
            query = flt.apply(query, flt.clean(active.value), alias)
        if any(getattr(getattr(item, "property", None), "uselist", False) for _, item in joins):
            # a row with several matching children must come once
            columns = key_columns(self.model)
            keys = query.with_entities(*columns)
            key = columns[0] if len(columns) == 1 else tuple_(*columns)
            return self.get_query().filter(key.in_(keys)), {}
        return query, joins

    def _searched(self, query: Any, joins: dict[Any, Any], search: str) -> tuple[Any, dict[Any, Any]]:
        if searching.declared(self):
            return query.filter(searching.condition(self, search)), joins
        for word in search.split()[:MAX_WORDS]:
            conditions = []
            for column, path in self._search_fields:
                query, joins, alias = self._apply_path_joins(query, joins, path, inner_join=False)
                target = column if alias is None else getattr(alias, column.key)
                conditions.append(cast(target, String).ilike(like(word), escape="\\"))
            query = query.filter(or_(*conditions))
        return query, joins

    def sorted_query(self, args: ListArgs) -> Any:
        """The matching rows in the order asked for, ties by key, so that pages never overlap."""
        query, joins = self._matching(args)
        query, joins = self._apply_sorting(query, joins, args.sort, args.desc)
        return query.order_by(*(column.desc() for column in key_columns(self.model)))

    def _order_by(self, query: Any, joins: Any, sort_joins: Any, sort_field: Any, sort_desc: bool) -> Any:
        if sort_field is None:
            return query, joins
        query, joins, alias = self._apply_path_joins(query, joins, sort_joins, inner_join=False)
        column = sort_field if alias is None else getattr(alias, sort_field.key)
        if isinstance(getattr(column, "type", None), JSON):
            column = column["en"].astext
        ordered = column.desc() if sort_desc else column.asc()
        nullable = alias is not None or getattr(sort_field, "nullable", True)
        return query.order_by(ordered.nulls_last() if nullable else ordered), joins

    def count_rows(self, query: Any) -> int:
        """How many rows a query has; counting stops at ``count_cap`` + 1 where the view sets one."""
        plain = query.order_by(None)
        if self.count_cap is None:
            return int(plain.with_entities(func.count(key_columns(self.model)[0])).scalar())
        few = plain.with_entities(key_columns(self.model)[0]).limit(self.count_cap + 1).subquery()
        return int(self.db_session.query(func.count()).select_from(few).scalar())

    def get_list(  # what Flask-Admin's own code would call
        self, page: Any, sort_column: Any, sort_desc: Any, search: Any, filters: Any, execute: bool = True,
        page_size: int | None = None,
    ) -> Any:  # fmt: skip
        """Refused: rows are reached through ``list_args`` and ``sorted_query``, which drop nothing."""
        raise NotImplementedError("use sorted_query(list_args())")

    def row_options(self, names: Sequence[str]) -> list[Any]:
        """Loader options for the relations that column names lead through: no cell loads by itself."""
        options = []
        for name in dict.fromkeys((*names, *self._auto_join_names())):
            option = _path_option(self.model, str(name))
            if option is not None:
                options.append(option)
        return [*options, *self.load_options]

    def _auto_join_names(self) -> list[str]:
        return [column.key for column in self._auto_joins]

    # --- pages ----------------------------------------------------------------------------------------

    def list_page(self) -> ListPage:
        """The rows and numbers of the page asked for; a page past the end becomes the last."""
        args = self.list_args()
        query = self.sorted_query(args)
        count = self.count_rows(query)
        capped = self.count_cap is not None and count > self.count_cap
        count = min(count, self.count_cap) if capped and self.count_cap else count
        args = replace(args, page=min(args.page, max(0, -(-count // args.page_size) - 1)))
        chosen = preferences.of_list(self.endpoint)
        hidden = [name for name in chosen.get("hidden", ()) if name in dict(self._list_columns)]
        columns = [pair for pair in self._list_columns if pair[0] not in hidden] or list(self._list_columns)
        rows: list[Any] = []
        if count:
            asked = query.limit(args.page_size).offset(args.page * args.page_size)
            rows = self.loaded_rows(asked, self.row_options([name for name, _ in columns]))
        return ListPage(args, columns, rows, count, capped, hidden, chosen.get("density", "regular"))

    def loaded_rows(self, asked: Any, options: Sequence[Any]) -> list[Any]:
        """The rows of a page with all that its cells show, in their order.

        Their keys first: what belongs to them is joined to the page's few rows, not to all that are sorted.
        """
        columns = key_columns(self.model)
        keys = [tuple(row) for row in asked.with_entities(*columns).all()]
        if not keys:
            return []
        rows = self.get_query().filter(has_any_key(self.model, keys)).options(*options)
        by_key = {tuple(getattr(row, column.key) for column in columns): row for row in rows}
        return self.prepared([by_key[key] for key in keys if key in by_key])

    def prepared(self, rows: list[Any]) -> list[Any]:
        """The rows of a list or of a related tab, with what their cells need beyond relations (a count, say)."""
        return rows

    @expose("/")
    def index_view(self) -> Any:
        """The list; htmx gets only the part that changes."""
        page = self.list_page()
        context = self.list_context(page)
        return self.render(self.list_template, partial=wants_partial(), **context)

    def list_context(self, page: ListPage) -> dict[str, Any]:
        """What ``model/list.html`` needs."""
        view_preferences = preferences.of_list(self.endpoint)
        return {
            "page": page,
            "args": page.args,
            "filter_groups": self.filter_groups(page.args),
            "bulk_actions": self.actions_for("bulk"),
            "selectable": bool(self.actions_for("bulk")) or self.can_export,
            "export_asks": self.can_export and self.exports_beside(page.count, page.capped),
            "saved_views": view_preferences.get("views", {}),
            "presets": PRESETS,
        }

    def filter_groups(self, args: ListArgs) -> list[dict[str, Any]]:
        """The filter drawer: one entry per name, with its operations and what is active."""
        active = {found.flt.name: found for found in args.filters}
        groups: dict[str, dict[str, Any]] = {}
        for index, flt in enumerate(self._filters or ()):
            group = groups.setdefault(
                str(flt.name), {"name": str(flt.name), "operations": [], "active": active.get(flt.name)}
            )
            group["operations"].append(
                {
                    "argument": self.get_filter_arg(index, flt),
                    "word": str(flt.operation()),
                    "kind": flt.data_type or "text",
                    "options": [(str(key), str(text)) for key, text in flt.get_options(self) or ()],
                }
            )
        return list(groups.values())

    @expose("/preferences/", methods=("POST",))
    def preferences_view(self) -> Any:
        """Keep the admin's page size, columns, density or a saved view, and show the list again."""
        form = request.form
        if "page_size" in form:
            size = form.get("page_size", type=int)
            if size not in self.page_size_options:
                abort(400, description="That page size is not offered.")
            preferences.save(self.db_session, self.endpoint, page_size=size)
        if form.get("density") in ("regular", "compact"):
            preferences.save(self.db_session, self.endpoint, density=form["density"])
        if "columns" in form:
            shown = set(form.getlist("columns"))
            hidden = [name for name, _ in self._list_columns if name not in shown]
            preferences.save(self.db_session, self.endpoint, hidden=hidden or None)
        self._save_view(form.get("save_view", "").strip()[:60], form.get("forget_view", ""))
        query = {key: value for key, value in request.args.items() if key not in ("page_size", "page")}
        return redirect(self.get_url(f"{self.endpoint}.index_view", **query), code=303)

    def _save_view(self, save: str, forget: str) -> None:
        views = dict(preferences.of_list(self.endpoint).get("views", {}))
        if forget in views:
            views.pop(forget)
        elif save:
            views[save] = self.list_args().query(paging=False)
            if len(views) > preferences.MAX_VIEWS:
                abort(400, description=f"At most {preferences.MAX_VIEWS} views can be saved.")
        else:
            return
        preferences.save(self.db_session, self.endpoint, views=views or None)


def _path_option(model: type, path: str) -> Any:
    """joinedload/selectinload along the relations of a dotted column name; None when there are none."""
    option = None
    current = model
    for name in path.split("."):
        attribute = getattr(current, name, None)
        relation = getattr(attribute, "property", None)
        if relation is None or not hasattr(relation, "direction"):
            break
        loader = selectinload if relation.uselist else joinedload
        option = loader(attribute) if option is None else getattr(option, loader.__name__)(attribute)
        current = relation.mapper.class_
    return option
