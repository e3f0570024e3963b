"""The page of one record: status cards, facts in tabs, related lists, history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import abort, current_app, request
from flask_admin import expose

from admin_views import formats
from admin_views.widgets.cells import cell
from admin_views.widgets.keys import key_columns

RELATED_ROWS = 10
HISTORY_ROWS = 20


@dataclass(frozen=True)
class Related:
    """A tab with another page's list, narrowed to this record.

    ``narrow`` is the attribute path of that list's model that holds this record's key ("charge_point_id",
    "evse.charge_point_id"), or a function ``(query, record) -> query``. ``columns`` replaces the list's own.
    """

    title: str
    endpoint: str
    narrow: str | Callable[[Any, Any], Any]
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """A tab of a details page: attribute names, or a template that draws it."""

    title: str
    columns: tuple[str, ...] = ()
    template: str | None = None


@dataclass
class RelatedPage:
    """What ``details/_related.html`` draws."""

    tab: Related
    view: Any
    columns: list[tuple[str, str]]
    rows: list[Any]
    count: int
    capped: bool
    page: int

    @property
    def last_page(self) -> int:
        """Number of the last page, from 0."""
        return max(0, -(-self.count // RELATED_ROWS) - 1)


class DetailsMixin:
    """Joined into ``BaseView``: declare ``details_tabs``, ``related``, ``status_template``, ``live_topics``."""

    def details_options(self) -> list[Any]:
        """Loader options of a single record: the relations its facts name, and ``details_load_options``."""
        names = [name for tab in self.facts() for name in tab.columns]
        return [*self.row_options(names), *self.details_load_options]

    def facts(self) -> list[Facts]:
        """The tabs of facts; one of all columns when none are declared."""
        if self.details_tabs:
            return list(self.details_tabs)
        names = self.column_details_list or self.column_list or self.scaffold_list_columns()
        return [Facts("General", tuple(str(name) for name in names))]

    def fact(self, obj: Any, name: str) -> Any:
        """One fact as the screen shows it."""
        formatter = (self.column_formatters_detail or {}).get(name) or (self.column_formatters or {}).get(name)
        if formatter is not None:
            return cell(formatter(self, {}, obj, name))
        return cell(self.value(obj, name))

    @expose("/details/")
    def details_view(self) -> Any:
        """The record's page; 404 where the list is all there is."""
        if not self.can_view_details:
            abort(404)
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        return self.render(self.details_template, model=obj, **self.details_context(obj))

    def details_context(self, obj: Any) -> dict[str, Any]:
        """What ``model/details.html`` needs; extend it for status cards of one's own."""
        return {
            "facts": self.facts(),
            "row_actions": self.actions_for("row", obj),
            "related_tabs": self.related_tabs(),
            "topics": self.live_topics(obj),
        }

    @expose("/status/")
    def status_view(self) -> Any:
        """The status cards alone: what live updates fetch."""
        if self.status_template is None:
            abort(404)
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        return self.render(self.status_template, model=obj, **self.details_context(obj))

    def related_tabs(self) -> list[tuple[int, Related]]:
        """The related lists the admin may see, numbered as declared."""
        return [
            (number, tab)
            for number, tab in enumerate(self.related)
            if (view := self.sibling(tab.endpoint)) is not None and view.is_accessible()
        ]

    def sibling(self, endpoint: str) -> Any | None:
        """Another page of the back office by its endpoint; None while it does not exist."""
        return next((view for view in self.admin._views if view.endpoint == endpoint), None)

    @expose("/related/<int:number>/")
    def related_view(self, number: int) -> Any:
        """One related list, in pages."""
        if number not in dict(self.related_tabs()):
            abort(404)
        obj = self.get_one(request.args.get("id"))
        page = self.related_page(obj, self.related[number], request.args.get("page", 0, type=int))
        return self.render("details/_related.html", related=page, number=number, model=obj)

    def related_page(self, obj: Any, tab: Related, wanted: int) -> RelatedPage:
        """Rows of the other list that belong to this record, within that list's own scope and order."""
        view = self.sibling(tab.endpoint)
        query = view.get_query()
        query = tab.narrow(query, obj) if callable(tab.narrow) else view.narrowed(query, tab.narrow, obj)
        labels = dict(view._list_columns)
        columns = [(name, labels.get(name, formats.words(name))) for name in tab.columns or labels]
        counted = view.count_rows(query)
        capped = view.count_cap is not None and counted > view.count_cap
        count = min(counted, view.count_cap) if view.count_cap is not None else counted
        page = max(0, min(wanted, -(-count // RELATED_ROWS) - 1))
        query, _ = view._apply_sorting(query, {}, None, False)
        query = query.order_by(*(column.desc() for column in key_columns(view.model)))
        rows = query.options(*view.row_options([name for name, _ in columns]))
        found = view.prepared(rows.limit(RELATED_ROWS).offset(page * RELATED_ROWS).all())
        return RelatedPage(tab, view, columns, found, count, capped, page)

    def narrowed(self, query: Any, path: str, parent: Any) -> Any:
        """Rows whose attribute at the end of a path of relations is the parent's key (or the parent)."""
        *relations, last = path.split(".")
        target = self.model
        joined = []
        for name in relations:
            attribute = getattr(target, name)
            joined.append(attribute)
            target = attribute.property.mapper.class_
        column = getattr(target, last)
        is_relation = hasattr(column.property, "direction")
        condition = column == (parent if is_relation else getattr(parent, key_columns(type(parent))[0].key))
        for attribute in reversed(joined):
            condition = attribute.any(condition) if attribute.property.uselist else attribute.has(condition)
        return query.filter(condition)

    @expose("/history/")
    def history_view(self) -> Any:
        """Who changed what, newest first."""
        obj = self.get_one(request.args.get("id"))
        page = max(0, min(request.args.get("page", 0, type=int), 10_000))
        entries = self.history_of(obj, offset=page * HISTORY_ROWS, limit=HISTORY_ROWS + 1)
        return self.render(
            "details/_history.html",
            model=obj,
            entries=[(entry, self.changes_of(entry)) for entry in entries[:HISTORY_ROWS]],
            number=page,
            more=len(entries) > HISTORY_ROWS,
        )

    def history_of(self, obj: Any, *, offset: int, limit: int) -> list[Any]:
        """Audit entries of a record, newest first."""
        model = current_app.extensions["screens"].audit_model
        if model is None:
            return []
        query = self.db_session.query(model).filter(
            model.object_type == self.object_type, model.object_id == str(self.get_pk_value(obj))
        )
        return list(query.order_by(model.id.desc()).offset(offset).limit(limit))

    def changes_of(self, entry: Any) -> list[tuple[str, Any, Any]]:
        """Label, before and after of each attribute an audit entry mentions."""
        before, after = entry.before or {}, entry.after or {}
        labels = self.column_labels or {}
        return [
            (labels.get(name) or formats.words(name), before.get(name), after.get(name))
            for name in dict.fromkeys((*before, *after))
        ]
