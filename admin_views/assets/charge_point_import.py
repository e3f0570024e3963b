"""Importing charge points from a CSV: the columns explained, a preview of every change, and doing it at once.

An uploaded file waits in Redis, encrypted (it may hold passwords), until it is confirmed or half an hour has passed;
the preview is made from it anew on every page, so that what is shown is always what would happen now.
"""

from __future__ import annotations

import base64
import csv
import io
import secrets
import zlib
from collections.abc import Iterator
from typing import Any, cast

import redis
from flask import Response, abort, current_app, flash, redirect, request
from flask_admin import expose
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload
from sqlalchemy.orm.exc import StaleDataError

from app.assets import import_rows, imports
from app.assets.import_columns import EVSE, READ_ONLY, STATION
from app.assets.import_file import MAX_BYTES, MAX_LINES, UnreadableFile
from app.assets.models import ChargePoint, ChargingZone, Evse
from app.core.db import allow_minutes
from app.core.redis import client
from app.core.vault import VaultLocked, lock, unlock
from app.partners.models import Partner
from app.provisioning.evse_codes import draw_evse_codes
from app.tariffs.models import TariffGroup

PERMISSION = "assets.charge_point.import"
KEPT_S = 30 * 60
PER_PAGE = 100
TOKEN_BYTES = 16


class ImportPages:
    """Joined into the charge points' view."""

    @expose("/import/", methods=("GET", "POST"))
    def import_view(self: Any) -> Any:
        """GET: how it works, the columns. POST: a file, whose preview is shown next."""
        self.require(PERMISSION)
        problem = ""
        if request.method == "POST":
            upload = request.files.get("file")
            data = upload.read(MAX_BYTES + 1) if upload is not None else b""
            try:
                if not data:
                    raise UnreadableFile("Choose a file.")
                self._preview(data)
                return redirect(self.get_url(".import_preview_view", token=_keep(data)), code=303)
            except UnreadableFile as error:
                problem = str(error)
            except redis.RedisError:
                problem = "The file could not be kept. Try again in a moment."
        html = self.render(
            "assets/import.html",
            page_title="Import Charge Points",
            problem=problem,
            station_columns=STATION,
            evse_columns=EVSE,
            read_only=sorted(READ_ONLY),
            max_lines=MAX_LINES,
        )
        return html, 422 if problem else 200

    @expose("/import/template/")
    def import_template_view(self: Any) -> Response:
        """The header with an example, for a spreadsheet: with BOM; ``semicolon=1`` for those that want it so."""
        self.require(PERMISSION)
        buffer = io.StringIO("\ufeff")
        buffer.seek(0, io.SEEK_END)
        writer = csv.writer(buffer, delimiter=";" if request.args.get("semicolon") == "1" else ",")
        writer.writerows([import_rows.HEADER, *import_rows.examples()])
        return _download(buffer.getvalue(), "charge-points-template.csv")

    @expose("/import/all/")
    def import_all_view(self: Any) -> Any:
        """Every charge point in the form of an import file, to be changed and brought back."""
        self.require(PERMISSION)
        self.require("export")
        rows = self._import_rows()
        return self.stream_csv(import_rows.HEADER, rows, bom=True)

    def _import_rows(self: Any) -> Iterator[list[Any]]:
        session = self.db_session
        partners, groups = _partners(session), {number: name for name, number in _groups(session).items()}
        query = (
            self.get_query()
            .order_by(ChargePoint.id)
            .options(
                joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
                joinedload(ChargePoint.notice),
                selectinload(ChargePoint.evses).options(selectinload(Evse.connectors), selectinload(Evse.tags)),
            )
        )

        def rows() -> Iterator[list[Any]]:
            try:
                allow_minutes(session, 15)
                for station in query.yield_per(500):
                    yield from import_rows.rows_of(station, partners=partners, tariff_groups=groups)
            finally:
                session.close()

        return rows()

    @expose("/import/preview/<token>/")
    def import_preview_view(self: Any, token: str) -> Any:
        """What the uploaded file would do now, or all that is wrong with it."""
        self.require(PERMISSION)
        data = _kept(token)
        if data is None:
            flash("The uploaded file was kept for half an hour. Upload it again.", "warning")
            return redirect(self.get_url(".import_view"))
        plan = self._preview(data)
        shown: list[Any] = list(plan.mistakes or plan.planned)
        last = max(0, -(-len(shown) // PER_PAGE) - 1)
        page = max(0, min(request.args.get("page", 0, type=int), last))
        return self.render(
            "assets/import_preview.html",
            page_title="Import Charge Points: preview",
            plan=plan,
            shown=shown[page * PER_PAGE : (page + 1) * PER_PAGE],
            token=token,
            number=page,
            last=last,
            per_page=PER_PAGE,
        )

    @expose("/import/confirm/<token>/", methods=("POST",))
    def import_confirm_view(self: Any, token: str) -> Any:
        """Do what was previewed, all or nothing; back to the preview if it would be something else by now."""
        self.require(PERMISSION)
        data = _kept(token)
        if data is None:
            abort(404, description="The uploaded file is no longer kept. Upload it again.")
        session = self.db_session()
        try:
            allow_minutes(session, 2)
            plan = imports.apply_import(
                session,
                data=data,
                previewed=request.form.get("digest", ""),
                tariff_groups=_groups(session),
                secret_key=str(current_app.secret_key),
                draw_codes=lambda count, taken: draw_evse_codes(session, count, taken),
                actor=current_user._get_current_object(),
            )
            session.commit()
        except (imports.ImportChanged, imports.InvalidImport, IntegrityError, StaleDataError):
            session.rollback()
            flash("Something changed since this preview, so nothing was imported. This is what the file would do now.",
                  "warning")  # fmt: skip
            return redirect(self.get_url(".import_preview_view", token=token), code=303)
        _forget(token)
        created, changed = plan.count(imports.Outcome.CREATED), plan.count(imports.Outcome.CHANGED)
        flash(f"Imported: {created:,} created, {changed:,} changed, {plan.unchanged:,} unchanged.", "success")
        return redirect(self.get_url(".index_view"), code=303)

    def _preview(self: Any, data: bytes) -> imports.Plan:
        """The plan; nothing of it stays. Raises UnreadableFile."""
        session = self.db_session()
        try:
            allow_minutes(session, 2)
            return imports.preview_import(
                session, data=data, tariff_groups=_groups(session), secret_key=str(current_app.secret_key)
            )
        finally:
            session.rollback()


def _groups(session: Any) -> dict[str, int]:
    return {row[0]: row[1] for row in session.execute(select(TariffGroup.name, TariffGroup.id))}


def _partners(session: Any) -> dict[int, str]:
    return {row[0]: row[1] for row in session.execute(select(Partner.id, Partner.name))}


def _name(token: str) -> str:
    """Where a file is kept: only for whoever uploaded it."""
    return f"sync:import:{current_user.get_id()}:{token}"


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


def _download(content: str, name: str) -> Response:
    return Response(
        content,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
