"""CSV of all that matches: streamed from a server-side cursor, system time, no formulas, BOM on request."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from flask import Response, abort, request, stream_with_context
from flask_admin import expose

from admin_views import formats
from admin_views.widgets.cells import follow, is_record
from app.core.db import allow_minutes

BATCH_ROWS = 1000
CHUNK_CHARACTERS = 64 * 1024

#: a header with the dotted attribute or function that fills it
Column = tuple[str, str | Callable[[Any], Any]]


def csv_text(header: Sequence[str], rows: Iterator[Sequence[Any]], *, bom: bool) -> Iterator[str]:
    """CSV in chunks; every value passes ``formats.export_value``."""
    buffer = io.StringIO()
    if bom:
        buffer.write("\ufeff")
    writer = csv.writer(buffer)
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

    def export_columns(self) -> list[Column]:
        """Headers (snake_case, stable) and what fills them: ``column_export_list`` or the list's columns.

        An entry is an attribute, a dotted path, or ``(header, path or function)``.
        """
        found: list[Column] = []
        for entry in self.column_export_list or self.column_list or self.scaffold_list_columns():
            header, source = entry if isinstance(entry, tuple) else (str(entry).replace(".", "_"), str(entry))
            found.append((header, source))
        return found

    def get_export_columns(self) -> list[Any]:
        """Flask-Admin's cache of them; ours are made by ``export_columns``."""
        return []

    def export_rows(self, query: Any) -> Iterator[list[Any]]:
        """The values of each row, a batch in memory at a time.

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

    @expose("/export/csv/", methods=("GET", "POST"))
    def export(self) -> Any:
        """GET: all that the address matches. POST: the rows selected, or all matching as counted."""
        self.require("export")
        args = self.list_args()
        query = self.sorted_query(args)
        if request.method == "POST":
            query = self.selected_query(query)
        bom = request.values.get("bom") == "1"
        return self.stream_csv([header for header, _ in self.export_columns()], self.export_rows(query), bom=bom)

    def stream_csv(self, header: Sequence[str], rows: Iterator[Sequence[Any]], *, bom: bool) -> Response:
        """A download of ``rows``, which are asked for while they are sent, in the request's context."""
        now = datetime.now(UTC).astimezone(formats.system_zone())
        name = f"{self.plural.lower().replace(' ', '-').replace('&', 'and')}-{now:%Y-%m-%d-%H%M}.csv"
        return Response(
            stream_with_context(csv_text(header, rows, bom=bom)),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "X-Accel-Buffering": "no",
                "Cache-Control": "no-store",
            },
        )

    def _export_data(self) -> Any:
        """Flask-Admin's export, which loads every row, is not reachable."""
        abort(404)
