"""Firmware kept by us: uploaded, checked, and for which stations it is meant."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from sqlalchemy.orm import Session

from app.assets.models import FirmwareFile
from app.core.files import StoredFile, store_file

CONTENT_TYPE = "application/octet-stream"
#: as long as a signed update can carry them (OCPP 1.6 security whitepaper, SignedUpdateFirmware)
MAX_CERTIFICATE = 5500
MAX_SIGNATURE = 800


class InvalidFirmware(ValueError):
    """What was entered cannot be used; ``field`` says where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check_signing(certificate: str | None, signature: str | None) -> tuple[str | None, str | None]:
    """The signing certificate (PEM) and the signature (base64), tidied; both or neither. Raises InvalidFirmware."""
    certificate = (certificate or "").replace("\r\n", "\n").strip() or None
    signature = "".join((signature or "").split()) or None
    if certificate is None and signature is None:
        return None, None
    if signature is None:
        raise InvalidFirmware("signature", "A signing certificate is of no use without the signature.")
    if certificate is None:
        raise InvalidFirmware("signing_certificate", "A signature is of no use without the signing certificate.")
    try:
        found = x509.load_pem_x509_certificates(certificate.encode("ascii"))
    except (ValueError, UnicodeError):
        found = []
    if not found:
        raise InvalidFirmware("signing_certificate", "This is not a certificate in PEM form (-----BEGIN CERTIFICATE…).")
    if len(certificate) > MAX_CERTIFICATE:
        message = f"Charge points accept at most {MAX_CERTIFICATE:,} characters; leave out the rest of the chain."
        raise InvalidFirmware("signing_certificate", message)
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise InvalidFirmware("signature", "This is not a signature in base64.")
    if len(signature) > MAX_SIGNATURE:
        raise InvalidFirmware("signature", f"Charge points accept at most {MAX_SIGNATURE} characters.")
    return certificate, signature


def store_firmware(
    session: Session, *, name: str, chunks: Iterable[bytes], max_bytes: int, now: datetime
) -> StoredFile:
    """Keep the bytes of a firmware file. Raises InvalidFirmware for none, FileTooLarge; the caller rolls back."""
    stored = store_file(session, name=name, content_type=CONTENT_TYPE, chunks=chunks, max_bytes=max_bytes, now=now)
    if not stored.size_bytes:
        raise InvalidFirmware("upload", "The file is empty.")
    return stored


def fits(firmware: FirmwareFile, *, vendor: str | None, model: str | None) -> bool:
    """Whether firmware is meant for a station's vendor and model; what is not said on either side fits."""
    return _same(firmware.vendor, vendor) and _same(firmware.model, model)


def _same(wanted: str | None, found: str | None) -> bool:
    return not wanted or not found or wanted.strip().lower() == found.strip().lower()


def made_for(firmware: FirmwareFile) -> str:
    """Vendor and model in words."""
    return " ".join(part for part in (firmware.vendor, firmware.model) if part) or "any charge point"
