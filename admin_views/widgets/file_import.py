"""Importing from a CSV: a page that explains the columns, a preview of every change, and doing it at once.

An uploaded file waits in Redis, encrypted (it may hold passwords), until it is confirmed or half an hour has passed;
the preview is made from it anew on every page, so that what is shown is always what would happen now.
"""

from __future__ import annotations

import base64
import csv
import io
import secrets
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from flask import Response, abort, current_app, flash, redirect, request
from flask_admin import expose
from flask_login import current_user
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from admin_views.widgets.actions import ReasonForm
from app.core.db import allow_minutes
from app.core.import_columns import Column
from app.core.import_file import MAX_BYTES, MAX_LINES, UnreadableFile
from app.core.import_plan import ImportChanged, InvalidImport, Outcome, Plan
from app.core.redis import client
from app.core.vault import VaultLocked, lock, unlock

KEPT_S = 30 * 60
PER_PAGE = 100
TOKEN_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class FileImport:
    """What a list's import says of itself.

    ``one`` is a record in the middle of a sentence ("charge point"); ``notes`` are sentences above the table of
    columns; ``example`` gives the template's lines; ``asks_reason``: a reason goes with the confirmation.
    """

    permission: str
    one: str
    notes: tuple[str, ...]
    columns: tuple[tuple[str, Sequence[Column]], ...]
    read_only: frozenset[str]
    example: Callable[[], Sequence[Sequence[str]]]
    template_name: str
    asks_reason: bool = False

    @property
    def header(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.name for _, columns in self.columns for column in columns)


class ImportPages:
    """Joined into a view: declare ``file_import``, and do ``plan_import``, ``do_import`` and ``import_rows``."""

    file_import: FileImport

    def plan_import(self, data: bytes) -> Plan:
        """What the file would do; the session is rolled back afterwards. Raises UnreadableFile."""
        raise NotImplementedError

    def do_import(self, data: bytes, *, digest: str, reason: str) -> Plan:
        """Do it; committed afterwards. Raises ImportChanged, InvalidImport."""
        raise NotImplementedError

    def import_rows(self) -> Any:
        """Every record as lines of such a file."""
        raise NotImplementedError

    @expose("/import/", methods=("GET", "POST"))
    def import_view(self: Any) -> Any:
        """GET: how it works, the columns. POST: a file, whose preview is shown next."""
        self.require(self.file_import.permission)
        problem = ""
        if request.method == "POST":
            try:
                data = _given()
                self._previewed(data)
                return redirect(self.get_url(".import_preview_view", token=_keep(data)), code=303)
            except UnreadableFile as error:
                problem = str(error)
            except redis.RedisError:
                problem = "The file could not be kept. Try again in a moment."
        html = self.render("import/page.html", problem=problem, spec=self.file_import, max_lines=MAX_LINES)
        return html, 422 if problem else 200

    @expose("/import/template/")
    def import_template_view(self: Any) -> Response:
        """The header with an example, for a spreadsheet: with BOM; ``semicolon=1`` for those that want it so."""
        self.require(self.file_import.permission)
        buffer = io.StringIO("\ufeff")
        buffer.seek(0, io.SEEK_END)
        writer = csv.writer(buffer, delimiter=";" if request.args.get("semicolon") == "1" else ",")
        writer.writerows([self.file_import.header, *self.file_import.example()])
        name = self.file_import.template_name
        return Response(
            buffer.getvalue(),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
        )

    @expose("/import/all/")
    def import_all_view(self: Any) -> Any:
        """Every record in the form of an import file, to be changed and brought back."""
        self.require(self.file_import.permission)
        self.require("export")
        return self.stream_csv(self.file_import.header, self.import_rows(), bom=True)

    @expose("/import/preview/<token>/")
    def import_preview_view(self: Any, token: str) -> Any:
        """What the uploaded file would do now, or all that is wrong with it."""
        self.require(self.file_import.permission)
        return self._preview_page(token, None)

    def _preview_page(self: Any, token: str, form: ReasonForm | None) -> Any:
        data = _kept(token)
        if data is None:
            flash("The uploaded file was kept for half an hour. Upload it again.", "warning")
            return redirect(self.get_url(".import_view"))
        plan = self._previewed(data)
        shown: list[Any] = list(plan.mistakes or plan.planned)
        last = max(0, -(-len(shown) // PER_PAGE) - 1)
        page = max(0, min(request.args.get("page", 0, type=int), last))
        if form is None and self.file_import.asks_reason:
            form = ReasonForm(None)
        return self.render(
            "import/preview.html",
            spec=self.file_import,
            form=form,
            plan=plan,
            shown=shown[page * PER_PAGE : (page + 1) * PER_PAGE],
            token=token,
            number=page,
            last=last,
        )

    @expose("/import/confirm/<token>/", methods=("POST",))
    def import_confirm_view(self: Any, token: str) -> Any:
        """Do what was previewed, all or nothing; back to the preview if it would be something else by now."""
        self.require(self.file_import.permission)
        data = _kept(token)
        if data is None:
            abort(404, description="The uploaded file is no longer kept. Upload it again.")
        form = ReasonForm(request.form) if self.file_import.asks_reason else None
        if form is not None and not form.validate():
            return self._preview_page(token, form), 422
        session = self.db_session
        try:
            allow_minutes(session, 2)
            reason = form.reason.data.strip() if form is not None else ""
            plan = self.do_import(data, digest=request.form.get("digest", ""), reason=reason)
            session.commit()
        except (ImportChanged, InvalidImport, IntegrityError, StaleDataError):
            session.rollback()
            flash("Something changed since this preview, so nothing was imported. This is what the file would do now.",
                  "warning")  # fmt: skip
            return redirect(self.get_url(".import_preview_view", token=token), code=303)
        _forget(token)
        created, changed = plan.count(Outcome.CREATED), plan.count(Outcome.CHANGED)
        flash(f"Imported: {created:,} created, {changed:,} changed, {plan.unchanged:,} unchanged.", "success")
        return redirect(self.get_url(".index_view"), code=303)

    def _previewed(self: Any, data: bytes) -> Plan:
        """The plan; nothing of it stays. Raises UnreadableFile."""
        session = self.db_session
        try:
            allow_minutes(session, 2)
            return cast(Plan, self.plan_import(data))
        finally:
            session.rollback()


def _given() -> bytes:
    """What was uploaded, else what was pasted. Raises UnreadableFile."""
    upload = request.files.get("file")
    data = upload.read(MAX_BYTES + 1) if upload is not None else b""
    data = data or request.form.get("text", "").strip().encode()
    if not data:
        raise UnreadableFile("Choose a file, or paste its lines.")
    return data


def _name(token: str) -> str:
    """Where a file is kept: only for whoever uploaded it, only for the page it was uploaded on."""
    return f"sync:import:{request.blueprint}:{current_user.get_id()}:{token}"


def _keep(data: bytes) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    packed = base64.b64encode(zlib.compress(data)).decode("ascii")
    client().set(_name(token), lock(packed, str(current_app.secret_key)), ex=KEPT_S)
    return token


def _kept(token: str) -> bytes | None:
    try:
        stored = cast("bytes | None", client().get(_name(token[:64])))
        packed = unlock(stored.decode("ascii"), str(current_app.secret_key)) if stored is not None else None
    except (redis.RedisError, VaultLocked):
        return None
    return zlib.decompress(base64.b64decode(packed)) if packed is not None else None


def _forget(token: str) -> None:
    try:
        client().delete(_name(token[:64]))
    except redis.RedisError:
        return  # it goes by itself after half an hour, and a second import of it changes nothing


def signed_in_admin() -> Any:
    """Whoever imports."""
    return current_user._get_current_object()
