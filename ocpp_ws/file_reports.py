"""What stations report of firmware updates and of uploads, in any version of OCPP: their words, and what they mean.

A status that belongs to nothing we asked for, or that nobody knows, is answered like any other.
"""

from __future__ import annotations

from typing import Any

from app.charging.models import FirmwareStatus, TransferStatus
from app.charging.upkeep import diagnostics, firmware
from app.charging.upkeep.diagnostics import TransferReport
from app.charging.upkeep.firmware import FirmwareReport
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served

#: a status of a plain or signed update → what it means, and how it is said on screen; Idle: nothing is under way
FIRMWARE: dict[str, tuple[FirmwareStatus | None, str]] = {
    "Idle": (None, "Idle"),
    "DownloadScheduled": (FirmwareStatus.SCHEDULED, "Download scheduled"),
    "Downloading": (FirmwareStatus.DOWNLOADING, "Downloading"),
    "DownloadPaused": (FirmwareStatus.DOWNLOADING, "Download paused"),
    "Downloaded": (FirmwareStatus.DOWNLOADED, "Downloaded"),
    "SignatureVerified": (FirmwareStatus.DOWNLOADED, "Signature verified"),
    "InstallScheduled": (FirmwareStatus.DOWNLOADED, "Installation scheduled"),
    "Installing": (FirmwareStatus.INSTALLING, "Installing"),
    "InstallRebooting": (FirmwareStatus.REBOOTING, "Rebooting to install"),
    "Installed": (FirmwareStatus.INSTALLED, "Installed"),
    "DownloadFailed": (FirmwareStatus.FAILED, "Download failed"),
    "InvalidSignature": (FirmwareStatus.FAILED, "Invalid signature"),
    "InstallationFailed": (FirmwareStatus.FAILED, "Installation failed"),
    "InstallVerificationFailed": (FirmwareStatus.FAILED, "Installation could not be verified"),
}
TRANSFERS: dict[str, tuple[TransferStatus | None, str]] = {
    "Idle": (None, "Idle"),
    "Uploading": (TransferStatus.UPLOADING, "Uploading"),
    "Uploaded": (TransferStatus.UPLOADED, "Uploaded"),
    "UploadFailed": (TransferStatus.FAILED, "Upload failed"),
    "UploadFailure": (TransferStatus.FAILED, "Upload failed"),
    "BadMessage": (TransferStatus.FAILED, "Request not understood"),
    "NotSupportedOperation": (TransferStatus.FAILED, "Kind of upload not supported"),
    "PermissionDenied": (TransferStatus.FAILED, "Upload not permitted"),
}


def report_firmware(
    connection: StationConnection, payload: dict[str, Any], *, signed: bool, numbered: bool
) -> dict[str, Any]:
    """Keep how far an update is. ``numbered``: the message may name the update by its number."""
    said = payload.get("status")
    if said is None:  # one that nobody knows was taken out on its way here, and noted
        return {}
    status, words = FIRMWARE.get(said, (None, str(said)))
    of = served(connection)
    report = FirmwareReport(
        charge_point_id=of.station.id,
        status=status,
        words=words,
        signed=signed,
        update_id=_number(payload) if numbered else None,
    )
    now = now_of(connection)
    of.transact(lambda session: firmware.record_report(session, report=report, now=now))
    return {}


def report_transfer(connection: StationConnection, payload: dict[str, Any], *, of_log: bool) -> dict[str, Any]:
    """Keep how far an upload is; only those of logs are numbered."""
    said = payload.get("status")
    if said is None:
        return {}
    status, words = TRANSFERS.get(said, (None, str(said)))
    of = served(connection)
    report = TransferReport(
        charge_point_id=of.station.id,
        status=status,
        words=words,
        of_log=of_log,
        request_id=_number(payload) if of_log else None,
    )
    now = now_of(connection)
    of.transact(lambda session: diagnostics.record_report(session, report=report, now=now))
    return {}


def _number(payload: dict[str, Any]) -> int | None:
    """The request's number. Some stations send 0 or -1 where there is none to name."""
    number = payload.get("requestId")
    return number if isinstance(number, int) and 0 < number < 2**63 else None
