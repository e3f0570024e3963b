"""Update Firmware, Get Diagnostics and Get Log: what an operator asks of charge points about files.

Manual, "Update Firmware" and "Get Diagnostics".
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload
from wtforms import fields, validators

from admin_views.assets.transfers import base_url
from admin_views.base import ChoiceField, ReasonForm, RemoteAction
from admin_views.widgets.fields import IntegerField, LocalDateTimeField
from admin_views.widgets.tabs import own_errors
from app.assets.firmware_files import fits, made_for
from app.assets.models import ChargePoint, FirmwareFile
from app.charging.commands import NotManaged
from app.charging.models import DiagnosticsKind
from app.charging.upkeep import diagnostics, firmware_orders
from app.charging.upkeep.diagnostics import DiagnosticsOrder, InvalidRequest
from app.charging.upkeep.firmware_orders import InvalidUpdate, UpdateOrder
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, Admin

MAX_RETRIES = 20
MAX_INTERVAL_S = 86_400
#: fields of an order that are called otherwise in the form
_FIELDS = {"firmware": "firmware_file", "location": "address"}


def _retries() -> Any:
    return IntegerField(
        "Retries",
        [validators.Optional(), validators.NumberRange(0, MAX_RETRIES)],
        description="How often the charge point tries again. Empty: it decides.",
    )


def _interval() -> Any:
    return IntegerField("Retry interval (seconds)", [validators.Optional(), validators.NumberRange(0, MAX_INTERVAL_S)])


def _choices(station: ChargePoint | None) -> list[tuple[str, str]]:
    """The uploaded files, newest first; those meant for the station before the others."""
    files = db.session.scalars(
        select(FirmwareFile).options(joinedload(FirmwareFile.file)).order_by(FirmwareFile.id.desc())
    ).all()
    vendor, model = (station.state.vendor, station.state.model) if station is not None else (None, None)
    ranked = sorted(files, key=lambda each: not fits(each, vendor=vendor, model=model))
    return [(str(each.id), _label(each, fits(each, vendor=vendor, model=model))) for each in ranked]


def _label(file: FirmwareFile, suits: bool) -> str:
    note = f"for {made_for(file)}" if suits else f"meant for {made_for(file)}!"
    return f"{file} – {note}{', signed' if file.signature else ''}"


class UpdateFirmwareForm(ReasonForm):
    """Which firmware, from where, and when."""

    firmware_file = ChoiceField(
        "Firmware",
        allow_blank=True,
        description="A file uploaded at ASSETS > Firmware; the charge point fetches it from us.",
    )
    address = fields.StringField(
        "Or address of the file",
        description="ftp, ftps, http or https, for a file that lies elsewhere.",
        render_kw={"maxlength": 512, "spellcheck": "false", "autocomplete": "off"},
    )
    retrieve_at = LocalDateTimeField(
        "Retrieve date and time", [validators.InputRequired("Enter a date and time.")], default=utcnow
    )
    signed = fields.BooleanField(
        "Signed update",
        description="Needs OCPP's security extension, and a file with certificate and signature.",
    )
    install_at = LocalDateTimeField(
        "Install date and time", description="Only for signed updates. Empty: as soon as it is retrieved."
    )
    retries = _retries()
    retry_interval = _interval()
    despite_mismatch = fields.BooleanField(
        "Even if meant for another vendor or model",
        description="Wrong firmware can make a charge point unusable.",
    )

    def __init__(self, formdata: Any = None, obj: Any = None, **more: Any) -> None:
        super().__init__(formdata, obj=obj, **more)
        self.station = obj if isinstance(obj, ChargePoint) else None
        self.firmware_file.choices = _choices(self.station)
        shown = base_url()
        self.firmware_file.description = f"A file uploaded at ASSETS > Firmware; charge points fetch it from {shown}."

    def order(self) -> UpdateOrder:
        """What is asked for. Raises InvalidUpdate when the file is gone."""
        number, address = self.firmware_file.data, (self.address.data or "").strip()
        file = db.session.get(FirmwareFile, int(number)) if number else None
        if number and file is None:
            raise InvalidUpdate("firmware", "This firmware was deleted meanwhile.")
        return UpdateOrder(
            retrieve_at=self.retrieve_at.data,
            firmware=file,
            location=address or None,
            install_at=self.install_at.data,
            retries=self.retries.data,
            retry_interval_s=self.retry_interval.data,
            signed=bool(self.signed.data),
            despite_mismatch=bool(self.despite_mismatch.data),
        )

    def validate(self, *args: Any, **options: Any) -> bool:
        """Also as a whole; whether firmware fits is said for each of several charge points."""
        if not super().validate(*args, **options):
            return False
        state = self.station.state if self.station is not None else None
        try:
            firmware_orders.check_order(
                self.order(), vendor=state.vendor if state else None, model=state.model if state else None
            )
        except InvalidUpdate as mistake:
            bound = self[_FIELDS.get(mistake.field, mistake.field)]
            bound.errors = [*own_errors(bound), str(mistake)]
            return False
        return True


class DiagnosticsForm(ReasonForm):
    """Of which time."""

    logs_from = LocalDateTimeField("Start time", description="Empty: from the beginning.")
    logs_to = LocalDateTimeField("Stop time", description="Empty: until now.")
    retries = _retries()
    retry_interval = _interval()

    def validate(self, *args: Any, **options: Any) -> bool:
        """Start before stop."""
        if not super().validate(*args, **options):
            return False
        if self.logs_from.data and self.logs_to.data and self.logs_from.data >= self.logs_to.data:
            self.logs_to.errors = [*own_errors(self.logs_to), "The stop time has to be after the start time."]
            return False
        return True


class LogForm(DiagnosticsForm):
    """Which log, of which time."""

    log = ChoiceField(
        "Log",
        choices=[
            (DiagnosticsKind.DIAGNOSTICS_LOG.value, "Diagnostics: what the charge point has done"),
            (DiagnosticsKind.SECURITY_LOG.value, "Security: who has tried what"),
        ],
        default=DiagnosticsKind.DIAGNOSTICS_LOG.value,
    )

    def ordered(self) -> list[Any]:
        """Which log comes first."""
        return sorted(super().ordered(), key=lambda bound: bound.name != "log")


def update_firmware(obj: ChargePoint, form: UpdateFirmwareForm, *, reason: str, actor: Admin) -> Action:
    """Tell the station to update."""
    return firmware_orders.request_update(
        db.session(),
        charge_point=obj,
        order=form.order(),
        base_url=base_url(),
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def _ask(obj: ChargePoint, form: DiagnosticsForm, kind: DiagnosticsKind, reason: str, actor: Admin) -> Action:
    return diagnostics.request_diagnostics(
        db.session(),
        charge_point=obj,
        order=DiagnosticsOrder(
            kind=kind,
            logs_from=form.logs_from.data,
            logs_to=form.logs_to.data,
            retries=form.retries.data,
            retry_interval_s=form.retry_interval.data,
        ),
        base_url=base_url(),
        reason=reason,
        actor=actor,
        now=utcnow(),
    )


def get_diagnostics(obj: ChargePoint, form: DiagnosticsForm, *, reason: str, actor: Admin) -> Action:
    """Ask the station for its diagnostics."""
    return _ask(obj, form, DiagnosticsKind.DIAGNOSTICS, reason, actor)


def get_log(obj: ChargePoint, form: LogForm, *, reason: str, actor: Admin) -> Action:
    """Ask the station for one of its logs."""
    return _ask(obj, form, DiagnosticsKind(form.log.data), reason, actor)


def _managed(obj: ChargePoint) -> bool:
    return obj.managed_by_operator


def _action(name: str, title: str, handler: Any, icon: str, form: Any, help: str) -> RemoteAction:
    return RemoteAction(
        name,
        title,
        handler,
        form=form,
        icon=icon,
        group="Charge Point",
        help=help,
        available=_managed,
        refusals=(NotManaged, InvalidUpdate, InvalidRequest),
    )


ACTIONS = (
    _action(
        "update_firmware",
        "Update Firmware",
        update_firmware,
        "versions",
        UpdateFirmwareForm,
        "The charge point fetches the file at the given time and installs it when nobody charges. Its progress is "
        "shown in the Hardware tab.",
    ),
    _action(
        "get_diagnostics",
        "Get Diagnostics",
        get_diagnostics,
        "file-download",
        DiagnosticsForm,
        "The charge point brings its diagnostics to us. The file is then on the Diagnostic Requests log.",
    ),
    _action(
        "get_log",
        "Get Log",
        get_log,
        "file-text",
        LogForm,
        "For charge points with OCPP's security extension. The file is then on the Diagnostic Requests log.",
    ),
)
