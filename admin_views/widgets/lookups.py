"""Look-ups of related records: scoped like their own page, bounded, and asked for with permission."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from sqlalchemy import String, cast, or_

from admin_views.widgets.keys import decode_key

MAX_RESULTS = 50
MAX_TERM = 100

#: model → the view that lists it; filled by the views themselves, read for links and scopes
VIEWS: dict[type, Any] = {}


def register(view: Any) -> None:
    """Make a view the home of its model: look-ups, relation links and scopes find it here."""
    VIEWS[view.model] = view


def home_of(model: type) -> Any | None:
    """The view that lists a model."""
    return VIEWS.get(model)


def scoped(query: Any, model: type) -> Any:
    """The query within what the current admin may see of a model."""
    view = home_of(model)
    return view.scope(query) if view is not None else query


def like(term: str) -> str:
    """A LIKE pattern that finds the term anywhere, its own wildcards taken literally."""
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


class Lookup(QueryAjaxModelLoader):
    """A field's related records: ``Lookup("zone", ChargingZone, fields=["name"], narrow=f)``.

    ``fields`` are the attributes searched, ``narrow`` limits beyond the scope, ``text`` gives the label.
    """

    def __init__(
        self,
        name: str,
        model: type,
        *,
        session: Any,
        fields: Sequence[str],
        narrow: Callable[[Any], Any] | None = None,
        text: Callable[[Any], str] = str,
        **options: Any,
    ) -> None:
        options.setdefault("placeholder", "Click to choose")
        options.setdefault("minimum_input_length", 0)
        super().__init__(name, session, model, fields=list(fields), **options)
        self.narrow = narrow
        self.text = text

    def get_query(self) -> Any:
        """Only what the admin may see."""
        query = scoped(super().get_query(), self.model)
        return self.narrow(query) if self.narrow else query

    def get_one(self, pk: Any) -> Any:
        """The record of that key, or None if it does not exist for this admin."""
        key = decode_key(self.model, str(pk))
        if key is None:
            return None
        column = getattr(self.model, self.pk)
        with self._session().no_autoflush:
            return self.get_query().filter(column == key[0]).one_or_none()

    def _session(self) -> Any:
        return getattr(self.session, "session", self.session)

    def format(self, model: Any) -> tuple[str, str] | None:
        """Key and label."""
        return None if model is None else (str(getattr(model, self.pk)), self.text(model))

    def get_list(self, term: str | None, offset: int = 0, limit: int = 20) -> list[Any]:
        """At most MAX_RESULTS records whose fields contain every word of the term."""
        query = self.get_query()
        for word in (term or "").replace("\x00", "")[:MAX_TERM].split():
            columns = [cast(column, String).ilike(like(word), escape="\\") for column in self._cached_fields]
            query = query.filter(or_(*columns))
        order = self.order_by if self.order_by is not None else self._cached_fields[0]
        order = getattr(self.model, order) if isinstance(order, str) else order
        query = query.order_by(order, getattr(self.model, self.pk))
        return list(query.offset(max(0, offset or 0)).limit(min(max(1, limit or 20), MAX_RESULTS)))
