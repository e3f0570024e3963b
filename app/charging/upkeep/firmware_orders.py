"""Ordering firmware updates: what may be asked of a station, and the command that asks it.

Manual, "Update Firmware"; OCPP 1.6, 6.19; its security whitepaper, L01.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from app.assets.firmware_files import fits, made_for
from app.assets.models import ChargePoint, FirmwareFile
from app.charging import commands
from app.charging.commands import CommandName
from app.charging.models import FirmwareStatus, FirmwareUpdate
from app.charging.upkeep import file_exchange
from app.charging.upkeep.firmware import NEWS_WITHIN, enter
from app.core.models import Action, Admin

SCHEMES = ("ftp", "ftps", "http", "https")


class InvalidUpdate(ValueError):
    """The order makes no sense; the message says what to change, ``field`` of the order where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class FirmwareMismatch(InvalidUpdate):
    """The firmware is meant for other charge points."""


@dataclass(frozen=True)
class UpdateOrder:
    """What an operator asks for: one of our files or an address elsewhere. Times UTC, ``retry_interval_s`` seconds."""

    retrieve_at: datetime
    firmware: FirmwareFile | None = None
    location: str | None = None
    install_at: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None
    signed: bool = False
    #: send firmware that is meant for another vendor or model
    despite_mismatch: bool = False


def check_location(location: str) -> str:
    """An address a station can fetch a file from. Raises InvalidUpdate."""
    location = location.strip()
    hint = "Write an address such as https://host/firmware.bin; ftp, ftps, http and https are possible."
    try:
        parts = urlsplit(location)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise InvalidUpdate("location", hint) from None
    if parts.scheme.lower() not in SCHEMES or not host or any(c.isspace() or not c.isprintable() for c in location):
        raise InvalidUpdate("location", hint)
    if len(location) > file_exchange.MAX_ADDRESS:
        raise InvalidUpdate("location", f"The address is longer than {file_exchange.MAX_ADDRESS} characters.")
    return location


def check_order(order: UpdateOrder, *, vendor: str | None, model: str | None) -> None:
    """Whether an order makes sense for a station of that vendor and model. Raises InvalidUpdate, FirmwareMismatch."""
    if (order.firmware is None) == (not order.location):
        raise InvalidUpdate("firmware", "Choose an uploaded file or enter an address, one of the two.")
    if order.location:
        check_location(order.location)
    if order.signed and (order.firmware is None or not order.firmware.signature):
        raise InvalidUpdate(
            "signed", "Only an uploaded file with signing certificate and signature can be sent signed."
        )
    if order.install_at is not None and not order.signed:
        raise InvalidUpdate("install_at", "Only a signed update can be told when to install.")
    if order.install_at is not None and order.install_at < order.retrieve_at:
        raise InvalidUpdate("install_at", "It cannot be installed before it has been retrieved.")
    if (
        order.firmware is not None
        and not order.despite_mismatch
        and not fits(order.firmware, vendor=vendor, model=model)
    ):
        station = " ".join(part for part in (vendor, model) if part)
        message = f"{order.firmware} is meant for {made_for(order.firmware)}, this is {station}."
        raise FirmwareMismatch("despite_mismatch", message)


def request_update(
    session: Session,
    *,
    charge_point: ChargePoint,
    order: UpdateOrder,
    base_url: str,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Tell a station to update its firmware; ``base_url`` is where it reaches us. Flushes.

    Raises InvalidUpdate, FirmwareMismatch, commands.NotManaged, ReasonRequired.
    """
    state = charge_point.state
    check_order(order, vendor=state.vendor, model=state.model)
    row = FirmwareUpdate(
        partner_id=charge_point.partner_id,
        charge_point_id=charge_point.id,
        firmware_file_id=order.firmware.id if order.firmware else None,
        location="",
        signed=order.signed,
        retrieve_at=order.retrieve_at,
        install_at=order.install_at,
        status=FirmwareStatus.REQUESTED,
        version_before=state.firmware_version,
        requested_at=now,
        history=[],
    )
    session.add(row)
    session.flush()
    location = _location(session, charge_point, row, order, base_url, now)
    row.location = file_exchange.masked(location)
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.UPDATE_FIRMWARE,
        request=_request(row, order, location),
        reason=reason,
        actor=actor,
        now=now,
        info=f"{order.firmware or row.location}{', signed' if order.signed else ''}",
    )
    row.action_id = action.id
    enter(row, FirmwareStatus.REQUESTED, now)
    session.flush()
    return action


def _location(
    session: Session, charge_point: ChargePoint, row: FirmwareUpdate, order: UpdateOrder, base_url: str, now: datetime
) -> str:
    if order.firmware is None:
        return check_location(order.location or "")
    expires_at = max(now, order.retrieve_at, order.install_at or now) + NEWS_WITHIN
    token = file_exchange.open_ticket(
        session,
        charge_point=charge_point,
        expires_at=expires_at,
        now=now,
        file_id=order.firmware.file_id,
        firmware_update_id=row.id,
    )
    return file_exchange.address(base_url, token, order.firmware.file.name)


def _request(row: FirmwareUpdate, order: UpdateOrder, location: str) -> dict[str, Any]:
    request: dict[str, Any] = {
        "update_id": row.id,
        "location": location,
        "retrieve_at": _stamp(order.retrieve_at),
        "retries": order.retries,
        "retry_interval_s": order.retry_interval_s,
    }
    if order.signed and order.firmware is not None:
        request |= {
            "install_at": _stamp(order.install_at) if order.install_at else None,
            "signing_certificate": order.firmware.signing_certificate,
            "signature": order.firmware.signature,
        }
    return request


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
