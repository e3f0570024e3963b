"""ASSETS > Firmware: the files charge points are updated with. Manual, "Update Firmware"."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from cryptography import x509
from flask import request
from flask_admin import expose
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import func
from sqlalchemy.orm import joinedload
from werkzeug.datastructures import FileStorage
from wtforms import fields, validators

from admin_views import formats
from admin_views.assets.transfers import download, file_size
from admin_views.base import BaseView, Facts, Related, Tab, Tabs
from admin_views.widgets.tabs import own_errors
from app.assets import firmware_files
from app.assets.firmware_files import InvalidFirmware
from app.assets.models import ChargePoint, ChargePointState, FirmwareFile
from app.charging.upkeep import firmware
from app.core import settings
from app.core.clock import utcnow
from app.core.db import db
from app.core.files import FileTooLarge

MEGABYTE = 1024 * 1024
COPY_BYTES = 256 * 1024
PERMISSION = "assets.firmware.create"


class UploadField(fields.FileField):
    """A file to be uploaded; nothing of it is put on the record by itself."""

    def __init__(self, label: str | None = None, **options: Any) -> None:
        super().__init__(label, **options)
        self.flags.required = True

    def pre_validate(self, form: Any) -> None:
        """A file with a name, not a text in its place."""
        if not isinstance(self.data, FileStorage) or not self.data.filename:
            raise validators.StopValidation("Choose a file.")

    def populate_obj(self, obj: Any, name: str) -> None:
        """The view stores it."""

    def chunks(self) -> Iterator[bytes]:
        """The file in pieces, letting others work in between."""
        while piece := self.data.stream.read(COPY_BYTES):
            yield piece
            time.sleep(0)


class _InPieces:
    """A request's body that lets others work between its pieces: a large file arrives faster than it is taken in."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def read(self, *size: int) -> bytes:
        """As a file's."""
        time.sleep(0)
        piece: bytes = self._body.read(*size)
        return piece

    def readline(self, *size: int) -> bytes:
        """As a file's."""
        line: bytes = self._body.readline(*size)
        return line


def allow_large_upload(endpoint: str | None, _values: Any) -> None:
    """Who may upload firmware may send as much as Settings > Files allows; runs before the form is read."""
    if request.method != "POST" or not str(endpoint).endswith(".create_view"):
        return
    if current_user.is_authenticated and PERMISSION in {str(each) for each in current_user.permissions}:
        most = settings.get_int(db.session(), "file.firmware_max_mb") * MEGABYTE
        request.max_content_length = most + MEGABYTE
        request.environ["wsgi.input"] = _InPieces(request.environ["wsgi.input"])


def signed_by(view: Any, context: Any, obj: FirmwareFile, name: str) -> Any:
    """Whose certificate the signature is checked with, and until when it holds."""
    if not obj.signing_certificate:
        return None
    found = x509.load_pem_x509_certificates(obj.signing_certificate.encode())[0]
    return f"{found.subject.rfc4514_string()}, valid until {formats.day(found.not_valid_after_utc)}"


def signature(view: Any, context: Any, obj: FirmwareFile, name: str) -> Any:
    """Base64, in a box of its own."""
    if not obj.signature or context is None:
        return obj.signature
    return Markup('<pre class="frame" tabindex="0">{}</pre>').format(obj.signature)


def file_link(view: Any, context: Any, obj: FirmwareFile, name: str) -> Any:
    """The file's name, to be downloaded."""
    if context is None:
        return obj.file.name
    return Markup('<a href="{}">{}</a>').format(view.get_url(f"{view.endpoint}.file_view", id=obj.id), obj.file.name)


def _running_it(query: Any, obj: FirmwareFile) -> Any:
    """Charge points that say they run this version, of the vendor and model it is meant for."""
    state = ChargePoint.state
    query = query.filter(state.has(ChargePointState.firmware_version == obj.firmware_version))
    for column, wanted in ((ChargePointState.vendor, obj.vendor), (ChargePointState.model, obj.model)):
        if wanted:
            query = query.filter(state.has(func.lower(column) == wanted.lower()))
    return query


class FirmwareFileView(BaseView):
    """Firmware uploaded to us."""

    resource, singular, plural = "assets.firmware", "Firmware File", "Firmware"
    section, icon = "Assets", "versions"
    empty_hint = "Upload a file; Update Firmware on a charge point then offers it."
    column_list = ("name", "firmware_version", "vendor", "model", "file.size_bytes", "signed", "created_at")
    column_labels = {
        "firmware_version": "Version",
        "file.size_bytes": "Size",
        "file.sha256": "SHA-256",
        "file": "File",
        "signed": "Signed",
        "signing_certificate": "Signing certificate",
        "created_at": "Uploaded at",
    }
    column_formatters = {
        "file.size_bytes": lambda view, context, obj, name: file_size(obj.file.size_bytes),
        "signed": lambda view, context, obj, name: formats.yes_no(bool(obj.signature)),
        "file": file_link,
    }
    column_formatters_detail = {"signing_certificate": signed_by, "signature": signature}
    column_sortable_list = ("name", "firmware_version", "vendor", "model", "created_at")
    column_default_sort = ("created_at", True)
    column_searchable_list = ("name", "firmware_version", "vendor", "model")
    column_filters = ("vendor", "model", "firmware_version", "created_at")
    column_export_list = (
        "id",
        "name",
        ("version", "firmware_version"),
        "vendor",
        "model",
        ("file_name", "file.name"),
        ("size_bytes", "file.size_bytes"),
        ("sha256", "file.sha256"),
        ("signed", lambda obj: bool(obj.signature)),
        ("uploaded_at", "created_at"),
    )
    load_options = (joinedload(FirmwareFile.file),)
    details_load_options = (joinedload(FirmwareFile.file),)

    form_columns = (
        "upload",
        "name",
        "firmware_version",
        "vendor",
        "model",
        "notes",
        "signing_certificate",
        "signature",
    )
    form_extra_fields = {"upload": UploadField("File")}
    form_args = {
        "vendor": {"description": "As the charge point reports it. Empty: offered for every vendor."},
        "model": {"description": "As the charge point reports it. Empty: offered for every model."},
        "signing_certificate": {
            "description": "The manufacturer's certificate in PEM form: -----BEGIN CERTIFICATE----- …",
            "render_kw": {"rows": 8, "spellcheck": "false"},
        },
        "signature": {
            "description": "The manufacturer's signature of the file, in base64.",
            "render_kw": {"rows": 4, "spellcheck": "false"},
        },
    }
    form_overrides = {"signature": fields.TextAreaField, "signing_certificate": fields.TextAreaField}
    form_rules = [
        Tabs(
            Tab("General", "upload", "name", "firmware_version", "vendor", "model", "notes"),
            Tab(
                "Signed update",
                "signing_certificate",
                "signature",
                help="With both, the file can be sent as a signed update (security extension of OCPP 1.6): the "
                "charge point checks the signature before it installs.",
            ),
        )
    ]
    refusals = (InvalidFirmware, FileTooLarge, firmware.FirmwareInUse)

    details_tabs = (
        Facts(
            "General",
            ("name", "firmware_version", "vendor", "model", "file", "file.size_bytes", "file.sha256", "notes",
             "created_at"),
        ),
        Facts("Signed update", ("signing_certificate", "signature")),
    )  # fmt: skip
    related = (
        Related("Firmware Updates", "firmware_update", "firmware_file_id"),
        Related(
            "Charge Points with this version",
            "charge_point",
            _running_it,
            ("name", "zone", "status", "state.vendor", "state.model", "state.firmware_version", "state.booted_at"),
        ),
    )

    def create_blueprint(self, admin: Any) -> Any:
        """A form that may be as large as the setting allows."""
        blueprint = super().create_blueprint(admin)
        blueprint.url_value_preprocessor(allow_large_upload)
        return blueprint

    def create_form(self, obj: Any = None) -> Any:
        """With the limit beside the file."""
        form = super().create_form(obj)
        most = settings.get_int(self.db_session, "file.firmware_max_mb")
        form.upload.description = f"At most {most:,} MB (Settings > Files). It cannot be exchanged later."
        return form

    def edit_form(self, obj: Any = None) -> Any:
        """The file stays: another one is other firmware."""
        form = super().edit_form(obj)
        del form.upload
        return form

    def on_model_change(self, form: Any, model: FirmwareFile, is_created: bool) -> None:
        """Check what is needed for a signed update; keep the bytes."""
        model.signing_certificate, model.signature = firmware_files.check_signing(
            model.signing_certificate, model.signature
        )
        for name in ("vendor", "model", "notes"):
            setattr(model, name, (getattr(model, name) or "").strip() or None)
        if not is_created:
            return
        most = settings.get_int(self.db_session, "file.firmware_max_mb")
        try:
            model.file = firmware_files.store_firmware(
                self.db_session(),
                name=form.upload.data.filename or model.name,
                chunks=form.upload.chunks(),
                max_bytes=most * MEGABYTE,
                now=utcnow(),
            )
        except FileTooLarge:
            raise InvalidFirmware("upload", f"The file is larger than {most:,} MB (Settings > Files).") from None

    def explain(self, error: Exception, form: Any) -> None:
        """At its field."""
        if isinstance(error, InvalidFirmware) and error.field in form:
            form[error.field].errors = [*own_errors(form[error.field]), str(error)]
        else:
            super().explain(error, form)

    def on_model_delete(self, model: FirmwareFile) -> None:
        """Not while an update needs it."""
        firmware.check_unused(self.db_session(), firmware=model)

    @expose("/file/")
    def file_view(self) -> Any:
        """The file itself."""
        self.require("view")
        return download(self.get_one(request.args.get("id"), options=self.details_load_options).file)
