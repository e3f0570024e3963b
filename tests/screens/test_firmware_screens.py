"""ASSETS > Firmware, Update Firmware, Get Diagnostics and Get Log from the screen."""

from __future__ import annotations

import base64
import html
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, FirmwareFile
from app.charging.models import (
    DiagnosticsKind,
    DiagnosticsRequest,
    FileTicket,
    FirmwareStatus,
    FirmwareUpdate,
    TransferStatus,
)
from app.charging.upkeep import diagnostics
from app.core import settings
from app.core.clock import utcnow
from app.core.files import StoredFile, StoredFilePiece, file_bytes, store_file
from app.core.models import Action
from tests.support.factories_assets import make_station
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

FIRMWARE = "/assets/firmware/"
RUN = "/assets/charge-points/run/"
SIGNATURE = base64.b64encode(b"signed by the manufacturer").decode()


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """An Operator, signed in."""
    client = signed_in(clean, make_admin(session, role="Operator"))
    client.get("/assets/charge-points/")
    return client


@pytest.fixture(scope="module")
def certificate() -> str:
    """A manufacturer's certificate in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ABB firmware")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def firmware(session: Session, name: str = "Terra", content: bytes = b"firmware", **fields: Any) -> FirmwareFile:
    """A file of ours."""
    stored = store_file(session, name="terra.bin", content_type="a/b", chunks=[content], max_bytes=10**6, now=utcnow())
    row = FirmwareFile(name=name, firmware_version="1.8.2", file=stored, **fields)
    session.add(row)
    session.commit()
    return row


def station(session: Session, vendor: str | None = "ABB", model: str | None = "Terra AC") -> ChargePoint:
    """A station that has said what it is."""
    found = make_station(session)
    found.state.vendor, found.state.model, found.state.firmware_version = vendor, model, "1.7"
    session.commit()
    return found


def upload(olga: Visitor, content: bytes = b"new firmware", **fields: Any) -> Any:
    """Post the form of new firmware."""
    given = {"name": "Terra", "firmware_version": "1.8.2", "upload": (io.BytesIO(content), "terra.bin"), **fields}
    given = {name: value for name, value in given.items() if value is not None}
    return olga.post(FIRMWARE + "new/", data=given, content_type="multipart/form-data")


def words(answer: Any) -> str:
    return html.unescape(re.sub(r"<[^>]+>|\s+", " ", answer.get_data(as_text=True)))


def run(olga: Visitor, name: str, charge_points: list[ChargePoint], **fields: Any) -> Any:
    """Post an action's dialog."""
    posted = {"rowid": [each.id for each in charge_points], "reason": "Security fix", **fields}
    return olga.htmx(f"{RUN}{name}/", "POST", posted, target="div#modal-content")


# --- the files


def test_firmware_is_uploaded_shown_and_given_back(olga: Visitor, session: Session, certificate: str) -> None:
    content = b"\0binary" * 100_000
    answer = upload(olga, content, vendor="ABB", signing_certificate=certificate, signature=f" {SIGNATURE}\n")
    assert answer.status_code == 302
    row = session.scalars(select(FirmwareFile)).one()
    assert (row.file.name, row.file.size_bytes, row.signature) == ("terra.bin", len(content), SIGNATURE)
    assert file_bytes(session, file_id=row.file_id) == content
    page = words(olga.get(f"{FIRMWARE}details/?id={row.id}"))
    assert row.file.sha256 in page and "700 kB" in page and "CN=ABB firmware, valid until 2035-" in page
    given = olga.get(f"{FIRMWARE}file/?id={row.id}")
    assert given.data == content and given.headers["Content-Disposition"] == "attachment; filename=terra.bin"
    assert "Terra" in words(olga.get(FIRMWARE))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"upload": None}, "Choose a file."),
        ({"upload": "terra.bin"}, "Choose a file."),
        ({"upload": (io.BytesIO(b""), "empty.bin")}, "The file is empty."),
        ({"name": ""}, "required"),
        ({"signature": SIGNATURE}, "A signature is of no use without the signing certificate."),
        ({"signing_certificate": "PEM"}, "A signing certificate is of no use without the signature."),
        ({"signing_certificate": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "signature": SIGNATURE},
         "This is not a certificate in PEM form"),
        ({"signing_certificate": "valid", "signature": "not base64!"}, "This is not a signature in base64."),
        ({"signing_certificate": "valid", "signature": "QUFB" * 300}, "at most 800 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_at_its_field(
    olga: Visitor, session: Session, certificate: str, fields: dict[str, Any], message: str
) -> None:
    if fields.get("signing_certificate") == "valid":
        fields = {**fields, "signing_certificate": certificate}
    answer = upload(olga, **fields)
    assert answer.status_code == 422 and message in words(answer)
    left = [session.scalar(select(func.count()).select_from(each)) for each in (FirmwareFile, StoredFile)]
    assert left == [0, 0]


def test_a_name_is_taken_once(olga: Visitor, session: Session) -> None:
    firmware(session)
    assert "Already exists." in words(upload(olga))
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 1


def test_the_form_takes_as_much_as_the_setting_allows(olga: Visitor, session: Session) -> None:
    settings.change_setting(session, key="file.firmware_max_mb", value="18", actor=None)
    session.commit()
    assert upload(olga, bytes(17 * 1024 * 1024)).status_code == 302
    answer = upload(olga, bytes(18 * 1024 * 1024 + 1), name="Another")
    assert answer.status_code == 422 and "larger than 18 MB (Settings > Files)" in words(answer)
    assert upload(olga, bytes(20 * 1024 * 1024), name="Another").status_code == 413
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 1


def test_nobody_else_may_send_so_much(session: Session, clean: Flask) -> None:
    analyst = signed_in(clean, make_admin(session, role="Analyst"))
    assert upload(analyst, bytes(17 * 1024 * 1024)).status_code in (403, 413)


def test_the_file_stays_when_the_facts_change(olga: Visitor, session: Session) -> None:
    row = firmware(session)
    page = olga.get(f"{FIRMWARE}edit/?id={row.id}").get_data(as_text=True)
    assert 'type="file"' not in page
    fields = {"name": "Terra 2", "firmware_version": "1.8.3", "_version": "1"}
    assert olga.post(f"{FIRMWARE}edit/?id={row.id}", data=fields).status_code == 302
    session.expire_all()
    assert (row.name, row.file.name) == ("Terra 2", "terra.bin")


def test_firmware_under_way_is_kept_and_other_is_deleted_with_its_bytes(olga: Visitor, session: Session) -> None:
    row, charge_point = firmware(session), station(session)
    update = FirmwareUpdate(
        partner_id=1, charge_point_id=charge_point.id, firmware_file_id=row.id, location="x", retrieve_at=utcnow()
    )
    session.add(update)
    session.commit()
    olga.post(f"{FIRMWARE}delete/?id={row.id}", data={"id": row.id})
    assert "1 update that needs it is still under way" in words(olga.get(f"{FIRMWARE}details/?id={row.id}"))
    update.status = FirmwareStatus.INSTALLED
    session.commit()
    olga.post(f"{FIRMWARE}delete/?id={row.id}", data={"id": row.id})
    session.expire_all()
    left = [session.scalar(select(func.count()).select_from(t)) for t in (FirmwareFile, StoredFile, StoredFilePiece)]
    assert left == [0, 0, 0] and session.get(FirmwareUpdate, update.id) is not None


# --- the actions


def test_firmware_for_the_station_is_offered_first_and_other_is_marked(olga: Visitor, session: Session) -> None:
    firmware(session, "Terra", vendor="abb", model="terra ac")
    firmware(session, "Other", vendor="Alfen")
    charge_point = station(session)
    page = olga.htmx(f"{RUN}update_firmware/?rowid={charge_point.id}").get_data(as_text=True)
    assert page.index("Terra (1.8.2) – for abb terra ac") < page.index("Other (1.8.2) – meant for Alfen!")


def test_an_update_is_ordered(olga: Visitor, session: Session) -> None:
    row, charge_point = firmware(session, vendor="ABB"), station(session)
    answer = run(
        olga, "update_firmware", [charge_point], firmware_file=str(row.id), retrieve_at="2026-12-01 03:00", retries="2"
    )
    assert answer.status_code == 200, words(answer)
    update = session.scalars(select(FirmwareUpdate)).one()
    assert update.retrieve_at == datetime(2026, 12, 1, 3, tzinfo=UTC) and update.version_before == "1.7"
    action = session.scalars(select(Action)).one()
    assert (action.command, action.reason, update.action_id) == ("update_firmware", "Security fix", action.id)
    # the station is away: the update has failed, its address is dead and nowhere to be read
    assert (update.status, update.history[-1]["note"]) == (FirmwareStatus.FAILED, "Not connected")
    assert action.request is not None and action.request["location"].endswith("/files/…/terra.bin")
    assert session.scalars(select(FileTicket)).one().used_up_at is not None
    page = words(olga.get(f"/assets/firmware-updates/card/?id={charge_point.id}"))
    assert "Failed" in page and "Not connected" in page and "Terra (1.8.2)" in page
    assert "Not connected" in words(olga.get(f"/assets/firmware-updates/details/?id={update.id}"))
    csv = olga.get("/assets/firmware-updates/export/csv/").get_data(as_text=True).splitlines()
    assert csv[0].startswith("id,charge_point_id,firmware,address,signed,status") and "Terra (1.8.2)" in csv[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "Choose an uploaded file or enter an address, one of the two."),
        ({"firmware_file": "own", "address": "http://host/fw"}, "one of the two"),
        ({"address": "gopher://host/fw"}, "ftp, ftps, http and https are possible"),
        ({"address": "http:///fw"}, "Write an address such as"),
        ({"address": "http://host:port/fw"}, "Write an address such as"),
        ({"address": "http://host/a b"}, "Write an address such as"),
        ({"address": "http://host/fw", "signed": "1"}, "Only an uploaded file with signing certificate and signature"),
        ({"firmware_file": "own", "signed": "1"}, "Only an uploaded file with signing certificate and signature"),
        ({"firmware_file": "own", "install_at": "2027-01-01 00:00"}, "Only a signed update"),
        ({"firmware_file": "own", "retrieve_at": ""}, "Enter a date and time."),
        ({"firmware_file": "own", "retrieve_at": "soon"}, "Write it like"),
        ({"firmware_file": "own", "retries": "1000"}, "between 0 and 20"),
        ({"firmware_file": "999999"}, "Not a valid choice"),
        ({"firmware_file": "own", "reason": " "}, "Enter a reason."),
        ({"firmware_file": "foreign"}, "Other (1.8.2) is meant for Alfen, this is ABB Terra AC."),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    olga: Visitor, session: Session, fields: dict[str, str], message: str
) -> None:
    numbers = {"own": str(firmware(session).id), "foreign": str(firmware(session, "Other", vendor="Alfen").id)}
    given = {name: numbers.get(value, value) for name, value in fields.items()}
    answer = run(olga, "update_firmware", [station(session)], **{"retrieve_at": "2026-12-01 03:00", **given})
    assert answer.status_code == 422 and message in words(answer)
    assert session.scalar(select(func.count()).select_from(Action)) == 0


def test_firmware_for_others_is_sent_on_demand_and_refused_among_many(olga: Visitor, session: Session) -> None:
    row, own, other = firmware(session, vendor="Alfen"), station(session), station(session, "Alfen", "Eve")
    given = {"firmware_file": str(row.id), "retrieve_at": "2026-12-01 03:00"}
    answer = run(olga, "update_firmware", [own, other], **given)
    assert "Refused" in words(answer) and "is meant for Alfen" in words(answer)
    assert session.scalars(select(FirmwareUpdate.charge_point_id)).all() == [other.id]
    assert run(olga, "update_firmware", [own], despite_mismatch="1", **given).status_code == 200
    assert session.scalar(select(func.count()).select_from(FirmwareUpdate)) == 2


def test_a_signed_update_carries_certificate_and_signature(olga: Visitor, session: Session, certificate: str) -> None:
    row = firmware(session, signing_certificate=certificate, signature=SIGNATURE)
    given = {"retrieve_at": "2026-12-01 03:00", "install_at": "2026-12-01 04:00", "signed": "1"}
    assert run(olga, "update_firmware", [station(session)], firmware_file=str(row.id), **given).status_code == 200
    request = session.scalars(select(Action.request)).one()
    assert request is not None and (request["signature"], request["signing_certificate"]) == (SIGNATURE, certificate)
    assert request["install_at"] == "2026-12-01T04:00:00Z"


def test_a_password_in_an_address_is_not_shown(olga: Visitor, session: Session) -> None:
    charge_point = station(session)
    address = "ftp://anna:s3cret@host/fw.bin"
    run(olga, "update_firmware", [charge_point], address=address, retrieve_at="2026-12-01 03:00")
    update = session.scalars(select(FirmwareUpdate)).one()
    pages = ("/assets/firmware-updates/", f"/assets/firmware-updates/details/?id={update.id}", "/activity/actions/",
             f"/activity/actions/details/?id={update.action_id}")  # fmt: skip
    for page in pages:
        assert "s3cret" not in olga.get(page).get_data(as_text=True), page


@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("get_diagnostics", {}, DiagnosticsKind.DIAGNOSTICS),
        ("get_log", {"log": "diagnostics_log"}, DiagnosticsKind.DIAGNOSTICS_LOG),
        ("get_log", {"log": "security_log"}, DiagnosticsKind.SECURITY_LOG),
    ],
)
def test_diagnostics_are_asked_for(
    olga: Visitor, session: Session, name: str, fields: dict[str, str], kind: DiagnosticsKind
) -> None:
    charge_point = station(session)
    span = {"logs_from": "2026-11-01 00:00", "logs_to": "2026-11-02 00:00"}
    assert run(olga, name, [charge_point], **span, **fields).status_code == 200
    row = session.scalars(select(DiagnosticsRequest)).one()
    assert (row.kind, row.logs_to) == (kind, datetime(2026, 11, 2, tzinfo=UTC))
    assert (row.status, row.detail) == (TransferStatus.FAILED, "Not connected")
    wrong = run(olga, name, [charge_point], logs_from="2026-11-02 00:00", logs_to="2026-11-01 00:00", **fields)
    assert wrong.status_code == 422 and "has to be after the start time" in words(wrong)


def arrived(session: Session, charge_point: ChargePoint, content: bytes) -> DiagnosticsRequest:
    """A request whose file has come."""
    row = DiagnosticsRequest(partner_id=1, charge_point_id=charge_point.id, kind=DiagnosticsKind.DIAGNOSTICS)
    session.add(row)
    session.flush()
    stored = store_file(
        session, name="<b>log.html", content_type="text/html", chunks=[content], max_bytes=99, now=utcnow()
    )
    row.file_id, row.received_at, row.status = stored.id, utcnow(), TransferStatus.UPLOADED
    session.commit()
    return row


def test_a_file_that_came_is_downloaded_and_never_shown(olga: Visitor, session: Session, clean: Flask) -> None:
    charge_point = station(session)
    row = arrived(session, charge_point, b"<script>alert(1)</script>")
    page = olga.get(f"/assets/charge-points/details/?id={charge_point.id}").get_data(as_text=True)
    tab = re.search(r'id="related-(\d+)-link"[^>]*>Diagnostic Requests', page)
    assert tab is not None
    shown = olga.htmx(
        f"/assets/charge-points/related/{tab[1]}/?id={charge_point.id}", target=f"div#related-{tab[1]}-content"
    ).get_data(as_text=True)
    assert f"/assets/diagnostic-requests/file/?id={row.id}" in shown and "&lt;b&gt;log.html" in shown
    given = olga.get(f"/assets/diagnostic-requests/file/?id={row.id}")
    assert given.data == b"<script>alert(1)</script>" and given.mimetype == "application/octet-stream"
    assert given.headers["Content-Disposition"].startswith("attachment")
    assert given.headers["X-Content-Type-Options"] == "nosniff"
    assert given.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    analyst = signed_in(clean, make_admin(session, role="Analyst", email="ana@example.com"))
    assert analyst.get(f"/assets/diagnostic-requests/file/?id={row.id}").status_code == 403


def test_a_status_is_followed_until_it_is_final(olga: Visitor, session: Session) -> None:
    row = arrived(session, station(session), b"log")
    row.file_id, row.received_at, row.status = None, None, TransferStatus.UPLOADING
    session.commit()
    path = f"/assets/diagnostic-requests/state/?id={row.id}"
    under_way = olga.htmx(path)
    assert "Uploading" in words(under_way) and path in under_way.get_data(as_text=True).replace("&amp;", "&")
    assert "HX-Trigger" not in under_way.headers
    row.status = TransferStatus.FAILED
    session.commit()
    ended = olga.htmx(path)
    assert "hx-get" not in ended.get_data(as_text=True) and ended.headers["HX-Trigger"] == "record-changed"


def test_a_file_is_deleted_with_a_reason_and_the_request_stays(olga: Visitor, session: Session) -> None:
    row = arrived(session, station(session), b"log")
    posted = {"rowid": row.id, "reason": "Contains names"}
    answer = olga.htmx("/assets/diagnostic-requests/run/delete_file/", "POST", posted, target="div#modal-content")
    assert answer.status_code == 200
    session.expire_all()
    assert row.file_id is None and (row.detail or "").startswith("the file was deleted by")
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 0
    assert diagnostics.fail_silent(session, now=utcnow() + timedelta(days=3)) == 0
    assert olga.get(f"/assets/diagnostic-requests/file/?id={row.id}").status_code == 404
