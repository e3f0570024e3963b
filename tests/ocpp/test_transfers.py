"""Firmware, diagnostics and logs as stations live them: ordered, fetched or brought over HTTP, reported, ended.

OCPP 1.6, 6.9, 6.19, 4.4 and 4.5; security whitepaper, L01 and N01; stations.md, line 22.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.assets.models import ChargePoint, FirmwareFile
from app.charging import commands, remote
from app.charging.commands import Answer
from app.charging.models import (
    DiagnosticsKind,
    DiagnosticsRequest,
    FileTicket,
    FirmwareStatus,
    FirmwareUpdate,
    TransferStatus,
)
from app.charging.upkeep import diagnostics, firmware, firmware_orders
from app.charging.upkeep.diagnostics import DiagnosticsOrder
from app.charging.upkeep.firmware_orders import UpdateOrder
from app.core.files import PIECE_BYTES, StoredFile, file_bytes, store_file
from app.core.models import Action, ActionStatus, Admin
from tests.support.gateway import House, eventually
from tests.support.scripted_station import Payload, ScriptedStation

CONTENT = os.urandom(PIECE_BYTES + 1000)
DAY = timedelta(days=1)


@pytest.fixture
def operator(house: House) -> Admin:
    """Who orders."""
    return house.operator()


def fetch(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """What a station's HTTP client gets."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def order(house: House, charge_point: ChargePoint, operator: Admin, **fields: Any) -> FirmwareUpdate:
    """An update with a file of ours (or what ``fields`` say), committed and thereby sent."""
    now = datetime.now(UTC)
    if "location" not in fields:
        stored = store_file(house.session, name="fw 1.8.bin", content_type="application/octet-stream",
                            chunks=[CONTENT], max_bytes=10**7, now=now)  # fmt: skip
        file = FirmwareFile(name=f"Terra {stored.id}", firmware_version="1.8.2", file=stored)
        if fields.get("signed"):
            file.signing_certificate, file.signature = "-----BEGIN CERTIFICATE-----", "c2lnbmVk"
        house.session.add(file)
        house.session.flush()
        fields = {"firmware": file, **fields}
    action = firmware_orders.request_update(
        house.session,
        charge_point=charge_point,
        order=UpdateOrder(**{"retrieve_at": now, **fields}),
        base_url=house.server.product.http,
        reason="Security fix",
        actor=operator,
        now=now,
    )
    house.session.commit()
    return house.session.scalars(select(FirmwareUpdate).where(FirmwareUpdate.action_id == action.id)).one()


def ask(house: House, charge_point: ChargePoint, operator: Admin, kind: DiagnosticsKind) -> DiagnosticsRequest:
    """A request for diagnostics or a log, committed and thereby sent."""
    action = diagnostics.request_diagnostics(
        house.session,
        charge_point=charge_point,
        order=DiagnosticsOrder(kind=kind, logs_from=datetime(2026, 11, 1, tzinfo=UTC), retries=3),
        base_url=house.server.product.http,
        reason="The driver complained",
        actor=operator,
        now=datetime.now(UTC),
    )
    house.session.commit()
    return house.session.scalars(select(DiagnosticsRequest).where(DiagnosticsRequest.action_id == action.id)).one()


def now_of(house: House, row: FirmwareUpdate) -> FirmwareUpdate:
    return house.again().get_one(FirmwareUpdate, row.id)


def request_now(house: House, row: DiagnosticsRequest) -> DiagnosticsRequest:
    return house.again().get_one(DiagnosticsRequest, row.id)


def becomes(house: House, row: FirmwareUpdate, status: FirmwareStatus) -> None:
    eventually(lambda: now_of(house, row).status is status, why=f"{now_of(house, row).status}, not {status}")


def says(station: ScriptedStation, *statuses: str, signed_id: int | None = None) -> None:
    """The station reports how far its update is."""
    for status in statuses:
        if signed_id is None:
            assert station.call("FirmwareStatusNotification", {"status": status}) == {}
        else:
            payload = {"status": status, "requestId": signed_id}
            assert station.call("SignedFirmwareStatusNotification", payload) == {}


def later(house: House, **past: float) -> datetime:
    """What the clock shows then."""
    return datetime.now(UTC) + timedelta(**past)


# ---------------------------------------------------------------------- firmware


def test_a_plain_update_from_the_order_to_the_new_version(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot(firmwareVersion="1.7")
        row = order(house, charge_point, operator, retries=2, retry_interval_s=30)
        call = station.expect_call("UpdateFirmware")
        assert set(call.payload) == {"location", "retrieveDate", "retries", "retryInterval"}
        assert call.payload["retrieveDate"].endswith("Z")
        call.answer({})
        becomes(house, row, FirmwareStatus.SCHEDULED)
        location = call.payload["location"]
        assert location.startswith(house.server.product.http + "/files/") and location.endswith("/fw_1.8.bin")
        assert fetch(location) == (200, CONTENT)
        becomes(house, row, FirmwareStatus.DOWNLOADING)
        assert fetch(location)[0] == 200  # a second try of the same command
        says(station, "Downloading", "Downloaded")
        assert now_of(house, row).status is FirmwareStatus.DOWNLOADED
        assert fetch(location)[0] == 410
        says(station, "Installing", "Installed")
        station.boot(firmwareVersion="1.8.2")
        assert firmware.settle_by_boot(house.again(), now=later(house)) == 1
        house.session.commit()
    row = now_of(house, row)
    assert (row.status, row.version_before, row.version_after) == (FirmwareStatus.INSTALLED, "1.7", "1.8.2")
    steps = [entry["status"] for entry in row.history]
    assert steps == ["requested", "scheduled", "downloading", "downloading", "downloading", "downloaded",
                     "installing", "installed", "installed"]  # fmt: skip
    assert row.history[-1]["note"] == "booted with firmware 1.8.2"
    action = house.session.get_one(Action, row.action_id)
    assert (action.status, action.command) == (ActionStatus.ACCEPTED, "update_firmware")
    assert action.request is not None and "…" in action.request["location"]
    assert firmware.settle_by_boot(house.session, now=later(house)) == 0


def test_a_station_that_never_says_so_is_believed_by_its_boot(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot(firmwareVersion="1.7")
        row = order(house, charge_point, operator)
        station.expect_call("UpdateFirmware").answer({})
        becomes(house, row, FirmwareStatus.SCHEDULED)
        says(station, "Installing")
        station.boot(firmwareVersion="1.7")
        assert firmware.settle_by_boot(house.again(), now=later(house)) == 0
        station.boot(firmwareVersion="1.8.2-b5")
        assert firmware.settle_by_boot(house.again(), now=later(house)) == 1
        house.session.commit()
    row = now_of(house, row)
    assert (row.status, row.version_after) == (FirmwareStatus.INSTALLED, "1.8.2-b5")


def test_a_boot_before_the_download_proves_nothing(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot(firmwareVersion="1.7")
        row = order(house, charge_point, operator, retrieve_at=later(house, hours=5))
        station.expect_call("UpdateFirmware").answer({})
        becomes(house, row, FirmwareStatus.SCHEDULED)
        station.boot(firmwareVersion="9.9")
        assert firmware.settle_by_boot(house.again(), now=later(house)) == 0


def test_a_signed_update_follows_its_number(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        station.boot(firmwareVersion="1.7")
        row = order(house, charge_point, operator, signed=True, install_at=later(house, hours=2))
        call = station.expect_call("SignedUpdateFirmware")
        sent = call.payload["firmware"]
        assert call.payload["requestId"] == row.id
        assert (sent["signature"], sent["signingCertificate"]) == ("c2lnbmVk", "-----BEGIN CERTIFICATE-----")
        assert sent["installDateTime"] > sent["retrieveDateTime"] and len(sent["location"]) <= 512
        call.answer(status="Accepted")
        becomes(house, row, FirmwareStatus.SCHEDULED)
        says(station, "Downloaded", signed_id=row.id + 1000)  # nobody's: logged, no error
        assert now_of(house, row).status is FirmwareStatus.SCHEDULED
        assert fetch(sent["location"]) == (200, CONTENT)
        says(station, "Downloading", "Downloaded", "SignatureVerified", "InstallScheduled", signed_id=row.id)
        row = now_of(house, row)
        assert (row.status, row.reported) == (FirmwareStatus.DOWNLOADED, "Installation scheduled")
        says(station, "Installing", "InstallRebooting", signed_id=row.id)
        assert now_of(house, row).status is FirmwareStatus.REBOOTING
        says(station, "Installed", "Downloading", signed_id=row.id)
    assert now_of(house, row).status is FirmwareStatus.INSTALLED


@pytest.mark.parametrize(
    ("said", "words"),
    [("InvalidSignature", "Invalid signature"), ("InstallVerificationFailed", "could not be verified")],
)
def test_a_signed_update_that_fails_says_why(house: House, operator: Admin, said: str, words: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = order(house, charge_point, operator, signed=True)
        station.expect_call("SignedUpdateFirmware").answer(status="Accepted")
        becomes(house, row, FirmwareStatus.SCHEDULED)
        says(station, said, signed_id=row.id)
    row = now_of(house, row)
    assert row.status is FirmwareStatus.FAILED and words in str(row.reported)


@pytest.mark.parametrize("answer", ["InvalidCertificate", "Rejected", "error"])
def test_a_refused_update_is_over_and_its_address_dead(house: House, operator: Admin, answer: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = order(house, charge_point, operator, signed=True)
        call = station.expect_call("SignedUpdateFirmware")
        if answer == "error":
            call.fail("NotImplemented", "no security extension")
        else:
            call.answer(status=answer)
        becomes(house, row, FirmwareStatus.REFUSED)
        assert fetch(call.payload["firmware"]["location"])[0] == 410
    assert ("no security extension" if answer == "error" else answer) in now_of(house, row).history[-1]["note"]


def test_the_newer_update_takes_the_place_of_the_older(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        older = order(house, charge_point, operator)
        first = station.expect_call("UpdateFirmware")
        first.answer({})
        becomes(house, older, FirmwareStatus.SCHEDULED)
        newer = order(house, charge_point, operator, location="ftp://files.example/fw.bin")
        second = station.expect_call("UpdateFirmware")
        assert second.payload["location"] == "ftp://files.example/fw.bin"
        second.answer({})
        becomes(house, older, FirmwareStatus.FAILED)
        assert now_of(house, older).history[-1]["note"] == f"replaced by update #{newer.id}"
        assert fetch(first.payload["location"])[0] == 410
        says(station, "Downloading")
        assert now_of(house, newer).status is FirmwareStatus.DOWNLOADING
        assert now_of(house, older).status is FirmwareStatus.FAILED


def test_a_failed_download_may_be_tried_again(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = order(house, charge_point, operator, retries=3)
        call = station.expect_call("UpdateFirmware")
        call.answer({})
        becomes(house, row, FirmwareStatus.SCHEDULED)
        says(station, "Downloading", "DownloadFailed")
        assert now_of(house, row).status is FirmwareStatus.FAILED
        assert fetch(call.payload["location"]) == (200, CONTENT)
        says(station, "Downloading", "Downloaded", "Installing", "Installed")
    assert now_of(house, row).status is FirmwareStatus.INSTALLED


def test_what_a_station_says_of_no_update_is_answered(house: House) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        says(station, "Installed", "Idle", "Exploding")
        says(station, "Idle", signed_id=-1)
        assert station.call("SignedFirmwareStatusNotification", {"status": "Idle"}) == {}
        for number in (0, 7, -1):
            assert station.call("LogStatusNotification", {"status": "Uploaded", "requestId": number}) == {}
        assert station.call("DiagnosticsStatusNotification", {"status": "Uploaded"}) == {}
        assert station.call("DiagnosticsStatusNotification", {}) == {}


def test_asked_too_early_a_station_tells_of_its_last_update(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = order(house, charge_point, operator, retrieve_at=later(house, hours=3))
        station.expect_call("UpdateFirmware").answer({})
        becomes(house, row, FirmwareStatus.SCHEDULED)
        remote.trigger_message(house.session, charge_point=charge_point, evse=None, message="firmware_status",
                               reason="How far?", actor=operator, now=later(house))  # fmt: skip
        house.session.commit()
        call = station.expect_call("TriggerMessage")
        assert call.payload == {"requestedMessage": "FirmwareStatusNotification"}
        call.answer(status="Accepted")
        says(station, "Installed")
    row = now_of(house, row)
    assert (row.status, row.reported) == (FirmwareStatus.SCHEDULED, "Installed")
    assert row.history[-1]["note"] == "about an earlier update"


def test_an_update_nobody_answers_fails_and_a_late_answer_takes_it_up(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = order(house, charge_point, operator)
        call = station.expect_call("UpdateFirmware")
        session = house.again()
        commands.expire(session, now=later(house, minutes=10))
        session.commit()
        assert now_of(house, row).status is FirmwareStatus.FAILED
        action = house.session.get_one(Action, row.action_id)
        commands.record_outcome(house.session, action_id=action.id, answer=Answer(ActionStatus.ACCEPTED, {}),
                                now=later(house, minutes=11))  # fmt: skip
        house.session.commit()
        assert now_of(house, row).status is FirmwareStatus.SCHEDULED
        assert fetch(call.payload["location"])[0] == 200


def test_without_news_an_update_fails_after_a_day(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = order(house, charge_point, operator, retrieve_at=later(house, hours=10))
        call = station.expect_call("UpdateFirmware")
        call.answer({})
        becomes(house, row, FirmwareStatus.SCHEDULED)
    assert firmware.fail_silent(house.again(), now=later(house, hours=33)) == 0
    assert firmware.fail_silent(house.session, now=later(house, hours=35)) == 1
    house.session.commit()
    row = now_of(house, row)
    assert (row.status, row.history[-1]["note"]) == (FirmwareStatus.FAILED, "no news for 24 hours")
    assert fetch(call.payload["location"])[0] == 410
    assert firmware.fail_silent(house.session, now=later(house, hours=35)) == 0


@pytest.mark.parametrize(("current", "reported"), list(product(FirmwareStatus, [None, *FirmwareStatus])))
def test_every_report_in_every_state(current: FirmwareStatus, reported: FirmwareStatus | None) -> None:
    """Installed and refused are for good; otherwise the station's word counts, also backwards: it retries."""
    after = firmware.next_status(current, reported)
    final = current in (FirmwareStatus.INSTALLED, FirmwareStatus.REFUSED)
    assert after is (current if final or reported is None else reported)


# ---------------------------------------------------------------------- diagnostics and logs


def uploads(station: ScriptedStation, action: str, *statuses: str, **more: Any) -> None:
    """The station reports how far its upload is."""
    for status in statuses:
        assert station.call(action, {"status": status, **more}) == {}


@pytest.mark.parametrize("early", [True, False], ids=["file before the status", "status before the file"])
def test_diagnostics_are_brought(house: House, operator: Admin, early: bool) -> None:
    charge_point = house.station()
    content = os.urandom(5000)
    with house.connect(charge_point) as station:
        row = ask(house, charge_point, operator, DiagnosticsKind.DIAGNOSTICS)
        call = station.expect_call("GetDiagnostics")
        assert call.payload["startTime"] == "2026-11-01T00:00:00Z" and call.payload["retries"] == 3
        call.answer(fileName="diag-7.zip")
        uploads(station, "DiagnosticsStatusNotification", "Uploading")
        assert request_now(house, row).status is TransferStatus.UPLOADING
        location = call.payload["location"]
        assert location.endswith("/")
        if early:
            assert fetch(location + "diag-7.zip", "PUT", content)[0] == 201
            uploads(station, "DiagnosticsStatusNotification", "Uploaded", "UploadFailed", "Idle")
        else:
            uploads(station, "DiagnosticsStatusNotification", "Uploaded")
            assert request_now(house, row).received_at is None
            assert fetch(location, "POST", content)[0] == 201
    fresh = request_now(house, row)
    assert (fresh.status, fresh.announced_name, fresh.detail) == (TransferStatus.UPLOADED, "diag-7.zip", None)
    assert fresh.file is not None and fresh.file.name == "diag-7.zip"
    assert file_bytes(house.session, file_id=fresh.file.id) == content
    assert house.session.get_one(Action, fresh.action_id).status is ActionStatus.ACCEPTED
    assert fetch(location, "PUT", content)[0] == 410
    assert diagnostics.fail_silent(house.session, now=later(house, days=3)) == 0


@pytest.mark.parametrize("answer", [{}, {"fileName": ""}])
def test_a_station_may_have_nothing_to_bring(house: House, operator: Admin, answer: Payload) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = ask(house, charge_point, operator, DiagnosticsKind.DIAGNOSTICS)
        call = station.expect_call("GetDiagnostics")
        call.answer(answer)
        eventually(lambda: request_now(house, row).status is TransferStatus.NOTHING)
        assert fetch(call.payload["location"], "PUT", b"late")[0] == 410
    assert house.session.get_one(Action, row.action_id).status is ActionStatus.ANSWERED


@pytest.mark.parametrize(
    ("kind", "name"),
    [(DiagnosticsKind.DIAGNOSTICS_LOG, "DiagnosticsLog"), (DiagnosticsKind.SECURITY_LOG, "SecurityLog")],
)
def test_a_log_is_brought_under_its_number(house: House, operator: Admin, kind: DiagnosticsKind, name: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = ask(house, charge_point, operator, kind)
        call = station.expect_call("GetLog")
        assert (call.payload["logType"], call.payload["requestId"]) == (name, row.id)
        assert call.payload["log"]["oldestTimestamp"] == "2026-11-01T00:00:00Z"
        call.answer(status="Accepted", filename="log.txt")
        uploads(station, "LogStatusNotification", "Uploading", requestId=row.id)
        uploads(station, "LogStatusNotification", "UploadFailure", requestId=row.id + 1000)
        uploads(station, "DiagnosticsStatusNotification", "UploadFailed")  # about diagnostics, not about this log
        assert request_now(house, row).status is TransferStatus.UPLOADING
        assert fetch(call.payload["log"]["remoteLocation"] + "log.txt", "PUT", b"who tried what")[0] == 201
        uploads(station, "LogStatusNotification", "Uploaded", requestId=row.id)
    fresh = request_now(house, row)
    assert fresh.status is TransferStatus.UPLOADED and fresh.file is not None and fresh.file.size_bytes == 14


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("UploadFailure", "Upload failed"),
        ("PermissionDenied", "Upload not permitted"),
        ("NotSupportedOperation", "Kind of upload not supported"),
        ("BadMessage", "Request not understood"),
    ],
)
def test_a_failed_upload_says_why_and_may_be_tried_again(house: House, operator: Admin, said: str, words: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = ask(house, charge_point, operator, DiagnosticsKind.SECURITY_LOG)
        call = station.expect_call("GetLog")
        call.answer(status="Accepted")
        uploads(station, "LogStatusNotification", said, requestId=row.id)
        fresh = request_now(house, row)
        assert (fresh.status, fresh.detail) == (TransferStatus.FAILED, words)
        assert fetch(call.payload["log"]["remoteLocation"] + "again.txt", "PUT", b"log")[0] == 201
    assert request_now(house, row).status is TransferStatus.UPLOADED


def test_a_refused_log_is_over(house: House, operator: Admin) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = ask(house, charge_point, operator, DiagnosticsKind.SECURITY_LOG)
        station.expect_call("GetLog").answer(status="Rejected")
        eventually(lambda: request_now(house, row).status is TransferStatus.FAILED)
    assert request_now(house, row).detail == "Rejected: Rejected"


@pytest.mark.parametrize(("said", "words"), [(None, "no news"), ("Uploaded", "no file came")])
def test_what_never_comes_has_failed_after_a_day(house: House, operator: Admin, said: str | None, words: str) -> None:
    charge_point = house.station()
    with house.connect(charge_point) as station:
        row = ask(house, charge_point, operator, DiagnosticsKind.DIAGNOSTICS)
        call = station.expect_call("GetDiagnostics")
        call.answer(fileName="diag.zip")
        eventually(lambda: request_now(house, row).announced_name)
        if said:
            uploads(station, "DiagnosticsStatusNotification", said)
    assert diagnostics.fail_silent(house.again(), now=later(house, hours=23)) == 0
    assert diagnostics.fail_silent(house.session, now=later(house, hours=25)) == 1
    house.session.commit()
    fresh = request_now(house, row)
    assert fresh.status is TransferStatus.FAILED and words in str(fresh.detail)
    assert fetch(call.payload["location"], "PUT", b"x")[0] == 410


def test_old_files_and_addresses_are_forgotten_and_requests_are_not(house: House, operator: Admin) -> None:
    charge_point = house.station()
    house.set("retention.diagnostics_days", "30")
    with house.connect(charge_point) as station:
        rows = [ask(house, charge_point, operator, DiagnosticsKind.DIAGNOSTICS) for _ in range(2)]
        for _ in rows:
            call = station.expect_call("GetDiagnostics")
            call.answer(fileName="d.zip")
            assert fetch(call.payload["location"] + "d.zip", "PUT", b"log")[0] == 201
    old = now = datetime.now(UTC)
    old -= 31 * DAY
    session = house.again()
    first = session.get_one(DiagnosticsRequest, rows[0].id)
    session.execute(text("UPDATE stored_file SET created_at = :old WHERE id = :id"), {"old": old, "id": first.file_id})
    session.execute(
        text("UPDATE file_ticket SET used_up_at = :old WHERE diagnostics_id = :id"), {"old": old, "id": first.id}
    )
    session.commit()
    assert diagnostics.forget_files(session, now=now) == 1
    session.commit()
    gone, kept = (request_now(house, row) for row in rows)
    assert (gone.status, gone.file_id) == (TransferStatus.UPLOADED, None) and "deleted" in str(gone.detail)
    assert kept.file_id is not None
    left = [house.session.scalar(select(func.count()).select_from(each)) for each in (StoredFile, FileTicket)]
    assert left == [1, 1]
    assert diagnostics.fail_silent(house.session, now=later(house, days=3)) == 0
