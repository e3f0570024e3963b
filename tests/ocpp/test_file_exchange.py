"""Files to and from stations over real sockets, with the server as it runs in production (stations.md, line 22)."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import gevent
import pytest
from sqlalchemy import func, select, text

from app.assets.models import ChargePoint
from app.charging.models import DiagnosticsKind, DiagnosticsRequest, FileTicket, TransferStatus
from app.charging.upkeep import file_exchange
from app.core.files import PIECE_BYTES, StoredFile, StoredFilePiece, file_bytes, store_file
from ocpp_ws import body
from ocpp_ws.ranges import Part, Unsatisfiable, wanted_part
from ocpp_ws.run import only_operations
from tests.support.gateway import House, eventually

FIRMWARE = os.urandom(2 * PIECE_BYTES + 4711)
SHA256 = hashlib.sha256(FIRMWARE).hexdigest()


class Wire:
    """Plain HTTP with the running server."""

    def __init__(self, house: House) -> None:
        self.port = house.server.product.port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body. ``body`` may be an iterator: it then goes in chunks."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body, given, encode_chunked=chunked)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def socket(self) -> socket.socket:
        """A connection to write on by hand."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@pytest.fixture
def wire(house: House) -> Wire:
    return Wire(house)


def to_fetch(house: House, charge_point: ChargePoint, content: bytes = FIRMWARE, **ends: Any) -> str:
    """The path at which a station may fetch that content."""
    now = datetime.now(UTC)
    stored = store_file(
        house.session,
        name="firmware.bin",
        content_type="application/octet-stream",
        chunks=[content],
        max_bytes=10**9,
        now=now,
    )
    token = file_exchange.open_ticket(
        house.session,
        charge_point=charge_point,
        expires_at=ends.get("expires_at", now + timedelta(hours=1)),
        now=now,
        file_id=stored.id,
    )
    house.session.commit()
    return file_exchange.address("", token, "firmware.bin")


def to_bring(house: House, charge_point: ChargePoint, max_bytes: int = 10**6) -> tuple[str, DiagnosticsRequest]:
    """The folder to which a station may bring a file, and the request it answers."""
    now = datetime.now(UTC)
    row = DiagnosticsRequest(partner_id=1, charge_point_id=charge_point.id, kind=DiagnosticsKind.DIAGNOSTICS)
    house.session.add(row)
    house.session.flush()
    token = file_exchange.open_ticket(
        house.session,
        charge_point=charge_point,
        expires_at=now + timedelta(hours=1),
        now=now,
        diagnostics_id=row.id,
        max_bytes=max_bytes,
    )
    house.session.commit()
    return file_exchange.address("", token, "diagnostics-1", directory=True), row


def brought(house: House, row: DiagnosticsRequest) -> tuple[str, bytes]:
    """The name and the bytes of the file that came."""
    fresh = house.again().get_one(DiagnosticsRequest, row.id)
    assert fresh.status is TransferStatus.UPLOADED and fresh.file is not None
    content = file_bytes(house.session, file_id=fresh.file.id)
    assert (fresh.file.size_bytes, fresh.file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    return fresh.file.name, content


# ---------------------------------------------------------------------- to the station


@pytest.mark.parametrize(
    ("header", "size", "part"),
    [
        (None, 10, None),
        ("bytes=0-", 10, Part(0, 10)),
        ("bytes=4-", 10, Part(4, 10)),
        ("bytes=4-6", 10, Part(4, 7)),
        ("bytes=4-4", 10, Part(4, 5)),
        ("bytes=4-99", 10, Part(4, 10)),
        ("bytes=-3", 10, Part(7, 10)),
        ("bytes=-99", 10, Part(0, 10)),
        ("Bytes=4-6 ", 10, Part(4, 7)),
        ("bytes=6-4", 10, None),
        ("bytes=0-1,4-5", 10, None),
        ("bytes=-", 10, None),
        ("bytes=a-b", 10, None),
        ("lines=1-2", 10, None),
        ("bytes=" + "9" * 40 + "-", 10, None),
    ],
)
def test_which_part_of_a_file_a_range_means(header: str | None, size: int, part: Part | None) -> None:
    assert wanted_part(header, size) == part


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_part_behind_the_end_cannot_be_given(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_part(header, size)


def test_a_file_is_fetched_whole(house: House, wire: Wire) -> None:
    path = to_fetch(house, house.station())
    status, headers, content = wire.ask("GET", path)
    assert (status, hashlib.sha256(content).hexdigest()) == (200, SHA256)
    assert headers["content-length"] == str(len(FIRMWARE))
    assert (headers["etag"], headers["accept-ranges"]) == (f'"{SHA256}"', "bytes")
    assert headers["content-type"] == "application/octet-stream" and headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers
    assert wire.ask("HEAD", path)[::2] == (200, b"")
    assert wire.ask("HEAD", path)[1]["content-length"] == str(len(FIRMWARE))
    assert wire.ask("GET", path, If_None_Match=f'"{SHA256}"')[::2] == (304, b"")


def test_a_broken_download_is_resumed(house: House, wire: Wire) -> None:
    path = to_fetch(house, house.station())
    at = PIECE_BYTES + 13
    with wire.socket() as half:
        half.sendall(f"GET {path} HTTP/1.1\r\nHost: us\r\n\r\n".encode())
        assert half.recv(1000).startswith(b"HTTP/1.1 200 OK")
    status, headers, rest = wire.ask("GET", path, Range=f"bytes={at}-", If_Range=f'"{SHA256}"')
    assert (status, rest) == (206, FIRMWARE[at:])
    assert headers["content-range"] == f"bytes {at}-{len(FIRMWARE) - 1}/{len(FIRMWARE)}"
    assert wire.ask("GET", path, Range=f"bytes={at}-", If_Range='"another"')[0] == 200
    status, headers, _ = wire.ask("GET", path, Range=f"bytes={len(FIRMWARE)}-")
    assert (status, headers["content-range"]) == (416, f"bytes */{len(FIRMWARE)}")


def test_an_address_is_good_for_one_use_and_one_time(house: House, wire: Wire) -> None:
    charge_point = house.station()
    expired = to_fetch(house, charge_point, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    status, headers, said = wire.ask("GET", expired)
    assert (status, headers["content-type"]) == (410, "text/plain; charset=utf-8") and b"expired" in said
    used = to_fetch(house, charge_point)
    house.session.execute(text("UPDATE file_ticket SET used_up_at = now()"))
    house.session.commit()
    assert wire.ask("GET", used)[0] == 410
    for path in ("/files/nobody/firmware.bin", "/files/nobody", "/files//", used[:-30] + "x/firmware.bin"):
        assert wire.ask("GET", path)[0] == 404, path
    assert wire.ask("PUT", "/files/nobody/x", b"1")[0] == 404


def test_the_token_is_not_stored(house: House) -> None:
    path = to_fetch(house, house.station())
    token = path.split("/")[2]
    assert len(token) >= 43  # 256 bits
    assert house.session.scalars(select(FileTicket.token_hash)).one() == hashlib.sha256(token.encode()).hexdigest()


def test_what_is_to_be_fetched_cannot_be_overwritten(house: House, wire: Wire) -> None:
    charge_point = house.station()
    path = to_fetch(house, charge_point)
    status, headers, _ = wire.ask("PUT", path, b"evil")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    folder, _row = to_bring(house, charge_point)
    assert wire.ask("GET", folder + "x")[0] == 405
    assert wire.ask("GET", path)[2] == FIRMWARE


# ---------------------------------------------------------------------- from the station


def form(content: bytes, name: str = "log.txt") -> tuple[bytes, str]:
    """A multipart form with a field and a file."""
    edge = "edge-of-the-form"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    head += f'--{edge}\r\nContent-Disposition: form-data; name="upload"; filename="{name}"\r\n'
    head += "Content-Type: text/plain\r\n\r\n"
    return head.encode() + content + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize(
    ("appended", "name"),
    [
        ("", "diagnostics-{id}.bin"),
        ("station-7.zip", "station-7.zip"),
        ("/station-7.zip", "station-7.zip"),
        ("logs/..%2f..%2fetc%2fpasswd", "passwd"),
        ("%3Cscript%3E.html", "script_.html"),
    ],
)
def test_a_file_is_brought(house: House, wire: Wire, method: str, appended: str, name: str) -> None:
    folder, row = to_bring(house, house.station())
    content = os.urandom(PIECE_BYTES + 99)
    assert wire.ask(method, folder + appended, content)[0] == 201
    assert brought(house, row) == (name.format(id=row.id), content)
    assert wire.ask(method, folder + appended, content)[0] == 410


def test_a_file_is_brought_in_chunks_of_unknown_sum(house: House, wire: Wire) -> None:
    folder, row = to_bring(house, house.station())
    pieces = [os.urandom(size) for size in (1, 70_000, 5, 300_000)]
    assert wire.ask("PUT", folder + "log.gz", iter(pieces), Transfer_Encoding="chunked")[0] == 201
    assert brought(house, row) == ("log.gz", b"".join(pieces))


def test_a_file_is_brought_in_a_form(house: House, wire: Wire) -> None:
    folder, row = to_bring(house, house.station())
    content = os.urandom(150_000) + b"\r\n--edge-of\r\n" + os.urandom(50_000)
    body, kind = form(content)
    assert wire.ask("POST", folder, body, Content_Type=kind)[0] == 201
    assert brought(house, row) == ("log.txt", content)


def test_the_address_is_asked_before_the_body_is_sent(house: House, wire: Wire) -> None:
    """curl says Expect: 100-continue, and is told at once that there is no use in sending."""
    folder, row = to_bring(house, house.station())
    head = "PUT {} HTTP/1.1\r\nHost: us\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n"
    with wire.socket() as station:
        station.sendall(head.format(folder + "a", 3).encode())
        assert station.recv(1000).startswith(b"HTTP/1.1 100")
        station.sendall(b"abc")
        assert station.recv(1000).startswith(b"HTTP/1.1 201")
    assert brought(house, row) == ("a", b"abc")
    folder, _ = to_bring(house, house.station(), max_bytes=10)
    with wire.socket() as station:
        station.sendall(head.format(folder + "a", 10**6).encode())
        assert station.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("how", ["length", "chunked", "form"])
def test_too_large_a_file_is_refused_and_the_connection_cut(house: House, wire: Wire, how: str) -> None:
    folder, row = to_bring(house, house.station(), max_bytes=100_000)
    large = os.urandom(200_000)
    if how == "chunked":
        answer = wire.ask("PUT", folder, iter([large[:50_000]] * 4), Transfer_Encoding="chunked")
    elif how == "form":
        body, kind = form(large)
        answer = wire.ask("POST", folder, body, Content_Type=kind)
    else:
        answer = wire.ask("PUT", folder, large)
    assert (answer[0], answer[1]["connection"].lower()) == (413, "close")
    fresh = house.again().get_one(DiagnosticsRequest, row.id)
    assert fresh.status is TransferStatus.FAILED and "larger than 64 MB" in (fresh.detail or "")
    nothing_kept(house)
    assert wire.ask("PUT", folder, b"a smaller one")[0] == 201


def test_an_endless_upload_is_not_listened_to(house: House, wire: Wire) -> None:
    folder, _ = to_bring(house, house.station(), max_bytes=1000)
    piece = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    began = time.monotonic()
    with wire.socket() as station, pytest.raises(OSError):
        station.sendall(f"PUT {folder} HTTP/1.1\r\nHost: us\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        while time.monotonic() < began + 15:
            station.sendall(piece)
    assert time.monotonic() < began + 10


@pytest.mark.parametrize("how", ["length", "chunked", "form"])
def test_half_an_upload_leaves_nothing_and_may_be_tried_again(house: House, wire: Wire, how: str) -> None:
    folder, row = to_bring(house, house.station())
    content = os.urandom(300_000)
    sent = content
    head = f"PUT {folder}a.zip HTTP/1.1\r\nHost: us\r\n"
    if how == "form":
        sent, kind = form(content)
        head += f"Content-Type: {kind}\r\n"
    with wire.socket() as station:
        if how == "chunked":
            station.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{300_000:x}\r\n".encode() + sent[:200_000])
        else:
            station.sendall(f"{head}Content-Length: {len(sent)}\r\n\r\n".encode() + sent[:200_000])
        status = eventually(
            lambda: house.again().get_one(DiagnosticsRequest, row.id).status is TransferStatus.UPLOADING
        )
        assert status
    nothing_kept(house)
    assert wire.ask("PUT", folder + "a.zip", content)[0] == 201
    assert brought(house, row) == ("a.zip", content)


def nothing_kept(house: House) -> None:
    """No file, and no piece of one."""
    kept = [house.again().scalar(select(func.count()).select_from(table)) for table in (StoredFile, StoredFilePiece)]
    assert kept == [0, 0]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"no form at all", {"Content_Type": "multipart/form-data; boundary=x"}, 400),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n",
         {"Content_Type": "multipart/form-data; boundary=x"}, 400),
        (b"--x\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\nb",
         {"Content_Type": "multipart/form-data; boundary=x"}, 408),
    ],
)  # fmt: skip
def test_what_is_no_file_is_refused_in_words(
    house: House, wire: Wire, body: bytes, headers: dict[str, str], status: int
) -> None:
    folder, _ = to_bring(house, house.station())
    answer = wire.ask("POST", folder, body, **headers)
    assert (answer[0], answer[1]["content-type"]) == (status, "text/plain; charset=utf-8")
    nothing_kept(house)


def test_a_slow_upload_holds_nobody_up(house: House, wire: Wire) -> None:
    """While one station's bytes drip in, the server serves others and holds no database connection for it."""
    folder, row = to_bring(house, house.station())
    charge_point = house.station()
    with wire.socket() as slow:
        slow.sendall(f"PUT {folder}slow HTTP/1.1\r\nHost: us\r\nContent-Length: 6\r\n\r\nabc".encode())
        eventually(lambda: house.again().get_one(DiagnosticsRequest, row.id).status is TransferStatus.UPLOADING)
        idle = text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND pid <> "
                    "pg_backend_pid() AND datname = current_database()")  # fmt: skip
        assert house.again().scalar(idle) == 0
        with house.connect(charge_point) as station:
            assert station.boot()["status"] == "Accepted"
        slow.sendall(b"def")
        assert slow.recv(1000).startswith(b"HTTP/1.1 201")
    assert brought(house, row) == ("slow", b"abcdef")


def test_addresses_are_shown_without_their_secrets() -> None:
    token = "t" * 43
    assert file_exchange.masked(f"https://us.example/files/{token}/fw.bin") == "https://us.example/files/…/fw.bin"
    assert file_exchange.masked("ftp://anna:secret@host/fw.bin") == "ftp://anna:…@host/fw.bin"
    assert file_exchange.masked("ftp://anna@host/files/fw.bin") == "ftp://anna@host/files/fw.bin"


def test_a_station_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        def read(self, _count: int) -> bytes:
            gevent.sleep(5)
            return b""

    monkeypatch.setattr(body, "SILENT_S", 0.05)
    with pytest.raises(body.BodyBroken, match="Nothing came"):
        body.receive({"wsgi.input": Silent(), "CONTENT_LENGTH": "10"}, max_bytes=100)


@pytest.mark.parametrize(("path", "served"), [("/files/token/fw.bin", True), ("/metrics", True), ("/assets/", False)])
def test_a_server_for_stations_only_serves_their_files(path: str, served: bool) -> None:
    answered: list[str] = []

    def screens(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"from the application"]

    operations = only_operations(screens)
    operations({"PATH_INFO": path}, lambda status, _headers: answered.append(status))
    assert answered == ["200 OK" if served else "404 Not Found"]
