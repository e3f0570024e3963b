"""CSV of all that matches: PostgreSQL's COPY where the list is one of ``app.exports``, system time, no formulas.

A page's export is the list of its model in ``app.exports.lists``; without one, that of the paths in
``column_export_list``. Columns that only Python can say go through the ORM, a batch in memory at a time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Response, abort, redirect, request, stream_with_context, url_for
from flask_admin import expose
from flask_login import current_user

from admin_views import formats
from admin_views.widgets import preferences
from admin_views.widgets.cells import follow, is_record
from admin_views.widgets.keys import key_columns
from app.core import principal, settings
from app.core.clock import utcnow
from app.core.db import Base, allow_minutes, copy_connection, separate_transaction
from app.exports import background
from app.exports.columns import ExportList, UnknownColumn, derived, world_of
from app.exports.lists import LISTS, of_model, offer
from app.exports.stream import copy_statement, csv_rows

log = structlog.get_logger(__name__)

BATCH_ROWS = 1000
#: so many chunks are read before the first is sent: the header, and 64 KB
AHEAD = 2
#: what the setting allows at least
FEWEST_MANY = 1000
#: counting stops here where nothing depends on it
MOST_COUNTED = 100_000
CHUNK_CHARACTERS = 64 * 1024
_STREAMED = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}

#: a header with the dotted attribute or function that fills it
Column = tuple[str, str | Callable[[Any], Any]]
Chunks = Generator[bytes, None, int]


@dataclass(frozen=True)
class Wanted:
    """What is to be exported: the rows of a query, these columns of them, as the admin's words say it."""

    query: Any
    names: tuple[str, ...]
    bom: bool
    narrowed: tuple[str, ...]


def csv_text(header: Sequence[str], rows: Iterator[Sequence[Any]], *, bom: bool) -> Iterator[str]:
    """CSV in chunks; every value passes ``formats.export_value``."""
    buffer = io.StringIO()
    if bom:
        buffer.write("\ufeff")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([formats.export_value(str(value) if is_record(value) else value) for value in row])
        if buffer.tell() > CHUNK_CHARACTERS:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


class ExportMixin:
    """The export of a list. Joined into ``BaseView``."""

    #: the name of a list of ``app.exports``; None: that of the page's model; "": the page's own ``column_export_list``
    export_list: str | None = None

    # --- which columns ------------------------------------------------------------------------------------

    def export_definition(self) -> ExportList | None:
        """The page's list in SQL; None where only Python can say what the columns hold."""
        if "_export_definition" not in self.__dict__:
            self.__dict__["_export_definition"] = self._find_definition()
        found: ExportList | None = self.__dict__["_export_definition"]
        return found

    def _find_definition(self) -> ExportList | None:
        if self.export_list == "":
            return None
        if self.export_list:
            return LISTS[self.export_list]
        return of_model(self.model) or derived(self.model, self._declared_columns())

    def offer_export(self) -> None:
        """Have the page's list on the command line too."""
        definition = self.export_definition()
        if definition is not None and self._allow_export and issubclass(self.model, Base):
            offer(self.url.rstrip("/").rpartition("/")[2], definition)

    def _declared_columns(self) -> list[Any]:
        return list(self.column_export_list or self.column_list or self.scaffold_list_columns())

    def export_columns(self) -> list[Column]:
        """Headers (snake_case, stable) and what fills them, of a page whose columns Python fills.

        An entry of ``column_export_list`` is an attribute, a dotted path, or ``(header, path or function)``.
        """
        found: list[Column] = []
        for entry in self._declared_columns():
            header, source = entry if isinstance(entry, tuple) else (str(entry).replace(".", "_"), str(entry))
            found.append((header, source))
        return found

    def export_headers(self) -> tuple[str, ...]:
        """The columns there are to choose from, in their order."""
        definition = self.export_definition()
        return definition.headers if definition else tuple(header for header, _ in self.export_columns())

    def get_export_columns(self) -> list[Any]:
        """Flask-Admin's cache of them; ours are made by ``export_headers``."""
        return []

    def background_rows(self) -> int | None:
        """From how many rows on an export is offered in the background; None where it never is."""
        if self.export_definition() is None:
            return None
        return settings.get_int(self.db_session(), "export.background_rows")

    def exports_beside(self, count: int, capped: bool = False) -> bool:
        """Whether so many rows are many, or nobody knows how many there are."""
        if capped:
            return self.export_definition() is not None
        most = self.background_rows() if count >= FEWEST_MANY else None
        return most is not None and count >= most

    # --- what is wanted -----------------------------------------------------------------------------------

    def wanted(self) -> Wanted:
        """GET: all that the address matches. POST: the rows selected, or all matching as counted."""
        args = self.list_args()
        query = self.sorted_query(args)
        narrowed = [f"Search: {args.search}"] if args.search else []
        narrowed += [f"{active.flt.name} {active.flt.operation()} {active.chip}" for active in args.filters]
        if request.method == "POST" and (request.values.get("rowid") or "all_matching" in request.values):
            matching = request.values.get("all_matching") == "1"
            query = self.selected_query(query)
            if not matching:
                query = query.order_by(*(column.desc() for column in key_columns(self.model)))
                narrowed = [f"{len(set(request.values.getlist('rowid'))):,} selected"]
        names = [name for text in request.values.getlist("columns") for name in text.split(",") if name]
        definition = self.export_definition()
        known = ExportList(self.model, tuple((name, name) for name in self.export_headers()))
        try:
            chosen = (definition or known).chosen(names)
        except UnknownColumn as error:
            abort(400, description=f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return Wanted(query, chosen, request.values.get("bom") == "1", tuple(narrowed))

    def export_file_name(self) -> str:
        """'charging-sessions-2026-11-22-1400.csv', by the system's clock."""
        now = datetime.now(UTC).astimezone(formats.system_zone())
        return f"{self.plural.lower().replace(' ', '-').replace('&', 'and')}-{now:%Y-%m-%d-%H%M}.csv"

    # --- rows ---------------------------------------------------------------------------------------------

    def export_rows(self, query: Any) -> Iterator[list[Any]]:
        """The values of each row where Python fills them, a batch in memory at a time.

        The query's session ended with the view, before the first row is sent; it begins anew here and has to be
        closed here, because nobody else knows of it any more.
        """
        sources = [source for _, source in self.export_columns()]
        paths = [source for source in sources if isinstance(source, str)]
        session = query.session
        try:
            allow_minutes(session, 15)
            for row in query.options(*self.row_options(paths)).yield_per(BATCH_ROWS):
                yield [follow(row, source) if isinstance(source, str) else source(row) for source in sources]
        finally:
            session.close()

    @contextmanager
    def opened(self, wanted: Wanted) -> Iterator[Chunks]:
        """The bytes of an export; in the end, how many rows. Begun when the first is asked for."""
        definition = self.export_definition()
        if definition is None:
            yield self._through_python(wanted)
            return
        session = self.db_session()
        query = definition.narrowed(wanted.query, world_of(session), wanted.names)
        statement, in_zone = copy_statement(query), str(formats.system_zone())
        session.rollback()  # its connection may serve others while this one is read
        with copy_connection() as connection:
            yield csv_rows(connection, statement, wanted.names, in_zone, bom=wanted.bom)

    def _through_python(self, wanted: Wanted) -> Chunks:
        headers = self.export_headers()
        places = [headers.index(name) for name in wanted.names]
        count = 0

        def rows() -> Iterator[list[Any]]:
            nonlocal count
            for row in self.export_rows(wanted.query):
                count += 1
                yield [row[place] for place in places]

        for text in csv_text(wanted.names, rows(), bom=wanted.bom):
            yield text.encode()
        return count

    # --- pages --------------------------------------------------------------------------------------------

    @expose("/export/csv/", methods=("GET", "POST"))
    def export(self) -> Any:
        """The file, while it is written; or, if the dialog says so, an export in the background."""
        self.require("export")
        who = principal.current()
        if who.is_partner:
            # a selection is posted, and still only read
            principal.bind(principal.Principal(who.partner_id))
        wanted = self.wanted()
        if request.method == "POST" and "columns" in request.form:
            chosen = None if wanted.names == self.export_headers() else list(wanted.names)
            preferences.save(self.db_session, self.endpoint, export=chosen, export_bom=wanted.bom or None)
        if request.method == "POST" and request.form.get("background") == "1":
            return self._ask(wanted)
        name = self.export_file_name()
        return self._download(_begun(self._sent(wanted), self.db_session()), name)

    def _sent(self, wanted: Wanted) -> Iterator[bytes]:
        """The bytes. An error half-way breaks the connection off: half a file must not look whole."""
        try:
            with self.opened(wanted) as chunks:
                yield from chunks
        except Exception:  # whoever reads sees an unfinished download; whoever looks after us, why
            log.exception("export.broken_off", page=self.endpoint)
            raise

    def _ask(self, wanted: Wanted) -> Any:
        """Put it in the queue and lead to where it can be followed."""
        admin = current_user._get_current_object()
        asked = {
            "args": [[name, value] for name, value in request.args.items(multi=True) if name != "columns"],
            "rowid": request.values.getlist("rowid"),
            "all_matching": request.values.get("all_matching") == "1",
        }
        try:
            with principal.on_behalf(), separate_transaction() as session:
                background.ask(
                    session,
                    admin=admin,
                    page=self.endpoint,
                    title=self.plural,
                    request=asked,
                    narrowed=wanted.narrowed,
                    columns=[] if wanted.names == self.export_headers() else wanted.names,
                    bom=wanted.bom,
                    now=utcnow(),
                )
        except background.TooManyExports as refusal:
            abort(409, description=str(refusal))
        return redirect(url_for("my_exports.index_view"), code=303)

    @expose("/export/options/")
    def export_options(self) -> Any:
        """The dialog: which columns, a byte order mark, now or in the background."""
        self.require("export")
        args = self.list_args()
        matching = "rowid" not in request.args
        query = self.sorted_query(args) if matching else self.selected_query(None)
        most = self.background_rows()
        counted = query.order_by(None).with_entities(key_columns(self.model)[0])
        count = int(counted.limit((most or MOST_COUNTED) + 1).count())
        chosen = preferences.of_list(self.endpoint)
        headers = self.export_headers()
        kept = [name for name in chosen.get("export", ()) if name in headers]
        return self.render(
            "model/_export.html",
            headers=headers,
            chosen=kept or list(headers),
            shown=self._shown_headers(headers, chosen.get("hidden", ())),
            bom=bool(chosen.get("export_bom")),
            count=count,
            most=most or MOST_COUNTED,
            offered=most is not None,
            values=request.args,
            post_url=self.get_url(".export", **args.query(paging=False)),
        )

    def _shown_headers(self, headers: Sequence[str], hidden: Sequence[str]) -> list[str]:
        """The columns that say what the list shows now: "user" is user_email, "energy_wh" energy_kwh."""
        pages = [name for name, _ in self._list_columns if name not in hidden]
        stems = {stem for name in pages for stem in (name.replace(".", "_"), name.rpartition(".")[2])}
        stems |= {stem.rpartition("_")[0] for stem in stems if stem.endswith(("_wh", "_w", "_id"))}
        return [name for name in headers if name in stems or any(name.startswith(f"{stem}_") for stem in stems)]

    def _download(self, chunks: Iterable[bytes], name: str) -> Response:
        return Response(
            chunks if isinstance(chunks, list) else stream_with_context(iter(chunks)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', **_STREAMED},
        )

    def stream_csv(self, header: Sequence[str], rows: Iterator[Sequence[Any]], *, bom: bool) -> Response:
        """A download of other rows than the list's, which are asked for while they are sent."""
        text = csv_text(header, rows, bom=bom)
        return self._download((part.encode() for part in text), self.export_file_name())

    def _export_data(self) -> Any:
        """Flask-Admin's export, which loads every row, is not reachable."""
        abort(404)


def _begun(chunks: Iterator[bytes], session: Any) -> Iterable[bytes]:
    """The chunks, the first of them read ahead, unless they take their time: what is short is whole before it is sent.

    So a short list holds no connection while it is sent, and what cannot be begun is an error page, not half a file.
    The request's session is closed before a long one is sent.
    """
    taken: list[bytes] = []
    for chunk in chunks:
        if not chunk or len(taken) == AHEAD:
            return _with([*taken, chunk], chunks, session)
        taken.append(chunk)
    return taken


def _with(taken: list[bytes], rest: Iterator[bytes], session: Any) -> Iterator[bytes]:
    """An iterator of which some were taken already; closing it closes the rest."""
    try:
        session.close()
        yield from filter(None, taken)
        yield from filter(None, rest)
    finally:
        rest.close()  # type: ignore[attr-defined]
