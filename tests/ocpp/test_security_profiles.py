"""Profiles 0 to 3 over real TLS sockets and behind a proxy: who is let in, and what the operator is told of the others.

OCPP 1.6 security whitepaper, edition 2, chapter 2; README, "Variables".
"""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from gevent import socket as gsocket
from gevent.ssl import SSLContext
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from app.assets.models import ChargePoint, SecurityProfile
from app.charging.models import UnknownStation
from app.charging.security import authority, certificates
from app.core import events, vault
from app.core.config import TlsConfig
from ocpp_ws.tls import Tls, TlsSocket
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation, connect
from tests.support.tls import DAY, Authority, Identity, pem, request

PROXY = "127.0.0.9"
HEADER = "X-SSL-Client-Cert"


@pytest.fixture(scope="module")
def strangers() -> Authority:
    """Whom we do not trust."""
    return Authority("Somebody else's CA")


def station(house: House, profile: SecurityProfile, **fields: Any) -> ChargePoint:
    """A charge point of that profile."""
    return house.station(security_profile=profile, **fields)


def by_tls(house: House, charge_point: ChargePoint, identity: Identity | None = None, **more: Any) -> ScriptedStation:
    """Connect by TLS, perhaps with a client certificate."""
    found = connect(house.server.wss, charge_point.identifier, tls=house.server.tls.client(identity), **more)
    house.stations.append(found)
    return found


def behind(house: House, charge_point: ChargePoint, *, source: str = PROXY, **headers: str) -> ScriptedStation:
    """Connect as a proxy does: plain, with its headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.connect(charge_point, headers=named, source=source)


def status_of(refusal: pytest.ExceptionInfo[InvalidStatus]) -> int:
    """The HTTP status of a refused upgrade."""
    return refusal.value.response.status_code


def reason(house: House, identifier: str) -> str:
    """Why a station was refused, as "Tried to connect" shows it."""
    row = eventually(lambda: house.again().get(UnknownStation, identifier), why="nobody was told")
    return row.reason


def own(house: House, common_name: str, *, now: datetime | None = None, days: int = 30) -> Identity:
    """A client certificate of our own authority, as a station gets one."""
    signer = certificates.ensure_authority(house.again(), secret_key=house.secret_key, now=datetime.now(UTC))
    key = ec.generate_private_key(ec.SECP256R1())
    signed = authority.issue(
        authority.read_request(request(common_name, key), identifier=common_name),
        authority=authority.read_certificate(signer.pem),
        key=authority.read_key(vault.unlock(signer.locked_key, house.secret_key)),
        organisation="Tests",
        days=days,
        now=now or datetime.now(UTC),
    )
    house.session.commit()
    return Identity(signed, key)


# ---------------------------------------------------------------------- profiles 0 to 2


def test_profile_1_has_no_way_in_without_the_password(house: House) -> None:
    charge_point = station(house, SecurityProfile.BASIC, password="0123456789abcdef")
    with pytest.raises(InvalidStatus) as refusal:
        house.connect(charge_point)
    assert (status_of(refusal), reason(house, charge_point.identifier)) == (401, "no password")
    assert house.connect(charge_point, password="0123456789abcdef").boot()["status"] == "Accepted"


def test_profile_1_without_a_stored_password_lets_nobody_in(house: House) -> None:
    """A row that was made past the form must not be an open door."""
    charge_point = station(house, SecurityProfile.BASIC)
    with pytest.raises(InvalidStatus) as refusal:
        house.connect(charge_point, password="anything at all")
    assert status_of(refusal) == 401


def test_profile_2_is_refused_in_the_clear_and_let_in_by_tls(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_BASIC, password="0123456789abcdef")
    with pytest.raises(InvalidStatus) as refusal:
        house.connect(charge_point, password="0123456789abcdef")
    assert (status_of(refusal), reason(house, charge_point.identifier)) == (403, "no TLS")
    with pytest.raises(InvalidStatus) as refusal:
        by_tls(house, charge_point)
    assert status_of(refusal) == 401
    assert by_tls(house, charge_point, password="0123456789abcdef").boot()["status"] == "Accepted"


def test_conversations_of_every_size_go_through_tls(house: House) -> None:
    """OpenSSL holds bytes that the kernel has given it already: nobody wakes us for those."""
    charge_point = station(house, SecurityProfile.ANY)
    with by_tls(house, charge_point) as talking:
        talking.boot()
        ids = [talking.send_call("DataTransfer", {"vendorId": "x", "data": "d" * size}) for size in _SIZES]
        for message_id in ids:
            talking.wait_result(message_id)
        several = b"".join(_masked(json.dumps([2, f"m{i}", "Heartbeat", {}]).encode()) for i in range(50))
        talking.websocket.socket.sendall(several)
        for i in range(50):
            assert "currentTime" in talking.wait_result(f"m{i}")


_SIZES = (1, 100, 2_000, 17_000, 40_000, 200_000)


def _masked(payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def test_an_idle_station_in_tls_is_pinged_and_a_closed_one_is_told(house: House) -> None:
    charge_point = station(house, SecurityProfile.ANY)
    with by_tls(house, charge_point) as first:
        first.boot()
        with by_tls(house, charge_point) as second:
            assert first.expect_close() == 1000
            assert second.heartbeat()["currentTime"]


# ---------------------------------------------------------------------- profile 3


def test_profile_3_comes_in_with_a_certificate_of_ours_and_no_password(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE, password="of another time")
    assert by_tls(house, charge_point, own(house, charge_point.identifier)).boot()["status"] == "Accepted"


def test_profile_3_comes_in_with_a_certificate_of_an_authority_we_were_told_of(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    files = house.server.tls
    assert by_tls(house, charge_point, files.manufacturer.issue(charge_point.identifier.lower())).boot()
    by_name = files.manufacturer.issue("Serial 4711", alternative=charge_point.identifier)
    assert by_tls(house, charge_point, by_name).boot()


def test_profile_3_without_tls_or_without_a_certificate_is_refused(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    with pytest.raises(InvalidStatus) as refusal:
        house.connect(charge_point)
    assert (status_of(refusal), reason(house, charge_point.identifier)) == (403, "no TLS")
    with pytest.raises(InvalidStatus) as refusal:
        by_tls(house, charge_point)
    assert status_of(refusal) == 403
    told = refusal.value.response.body
    assert told is not None and b"client certificate" in told
    eventually(lambda: reason(house, charge_point.identifier) == "no client certificate")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"common_name": "CP-OF-ANOTHER"}, "client certificate of another charge point"),
        ({"since": -30 * DAY, "until": -DAY}, "client certificate expired"),
        ({"since": DAY, "until": 2 * DAY}, "client certificate not valid yet"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused_with_its_reason(
    house: House, fields: dict[str, Any], why: str
) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    identity = house.server.tls.manufacturer.issue(**{"common_name": charge_point.identifier, **fields})
    with pytest.raises(InvalidStatus) as refusal:
        by_tls(house, charge_point, identity)
    assert status_of(refusal) == 403 and why.encode() in (refusal.value.response.body or b"")


def test_a_certificate_of_strangers_ends_in_the_handshake_and_is_shown_by_its_address(
    house: House, strangers: Authority
) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    with pytest.raises((ConnectionClosed, InvalidMessage, OSError, EOFError)):
        by_tls(house, charge_point, strangers.issue(charge_point.identifier))
    assert reason(house, "TLS/127.0.0.1").startswith("client certificate: unable to get")


def test_a_raised_profile_ends_a_connection_that_does_not_meet_it(house: House) -> None:
    charge_point = station(house, SecurityProfile.ANY)
    plain = house.connect(charge_point)
    plain.boot()
    charge_point.security_profile = SecurityProfile.TLS_CERTIFICATE
    events.announce(house.session, "charge_point.changed", partner_id=1, charge_point_id=charge_point.id)
    house.session.commit()
    assert plain.expect_close() == 1000


def test_a_raised_profile_leaves_a_connection_that_meets_it(house: House) -> None:
    charge_point = station(house, SecurityProfile.BASIC, password="0123456789abcdef")
    secured = by_tls(house, charge_point, password="0123456789abcdef")
    secured.boot()
    charge_point.security_profile = SecurityProfile.TLS_BASIC
    events.announce(house.session, "charge_point.changed", partner_id=1, charge_point_id=charge_point.id)
    house.session.commit()
    with pytest.raises(TimeoutError):
        secured.expect_close(timeout=0.5)
    assert secured.heartbeat()


# ---------------------------------------------------------------------- what the port speaks


def test_a_frame_that_was_half_sent_is_ended_before_another_begins(server: Any) -> None:
    """OpenSSL wants a half-sent record again, and nothing before it: a ping must not break the message."""
    ours, theirs = gsocket.socketpair()
    certificate = TlsConfig(server.tls.folder / "server.pem", server.tls.folder / "server.key", 1)
    accepting = gevent.spawn(Tls(certificate).accept, ours, ("test", 0))
    client = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=pem(server.tls.web.certificate))
    reader = client.wrap_socket(theirs, server_hostname="127.0.0.1")
    writer = accepting.get(timeout=5)
    assert isinstance(writer, TlsSocket)
    writer.settimeout(0.0)
    sent = b""
    with pytest.raises(BlockingIOError):
        while True:
            chunk = bytes([len(sent) // 9_000 % 250]) * 9_000
            writer.send(chunk)
            sent += chunk
    with pytest.raises(BlockingIOError):
        writer.send(b"ping")
    got = b""
    while len(got) < len(sent) + 9_000 + 4:
        got += reader.recv(65_536)
        if len(got) == len(sent):
            assert writer.send(b"pong") == 4
            break
    rest = b""
    while len(rest) < 9_004:
        rest += reader.recv(65_536)
    assert (got, rest) == (sent, chunk + b"pong")
    reader.close()
    writer.close()


@pytest.fixture
def raw(house: House) -> Iterator[Any]:
    """A TLS connection made by hand."""
    opened: list[socket.socket] = []

    def connect_with(**limits: Any) -> ssl.SSLSocket:
        context = house.server.tls.client()
        for attribute, value in limits.items():
            setattr(context, attribute, value)
        plain = socket.create_connection(("127.0.0.1", house.server.tls.port), timeout=5)
        opened.append(plain)
        secured = context.wrap_socket(plain, server_hostname="127.0.0.1")
        opened.append(secured)
        return secured

    yield connect_with
    for each in opened:
        each.close()


def test_versions_before_1_2_are_refused(raw: Any) -> None:
    assert raw(maximum_version=ssl.TLSVersion.TLSv1_2).version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        raw(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)


def test_screens_are_served_by_tls_as_well_and_know_it(house: House) -> None:
    address = f"https://127.0.0.1:{house.server.tls.port}"
    with urllib.request.urlopen(f"{address}/readyz", context=house.server.tls.client(), timeout=5) as answer:
        assert answer.status == 200


def test_somebody_who_never_ends_his_handshake_keeps_nobody_waiting(house: House) -> None:
    charge_point = station(house, SecurityProfile.ANY)
    idle = [socket.create_connection(("127.0.0.1", house.server.tls.port), timeout=5) for _ in range(20)]
    try:
        for each in idle[:10]:
            each.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert by_tls(house, charge_point).boot()["status"] == "Accepted"
    finally:
        for each in idle:
            each.close()


# ---------------------------------------------------------------------- behind a proxy


def test_a_trusted_proxy_says_that_it_was_tls_and_who_asked(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_BASIC, password="0123456789abcdef")
    found = house.connect(
        charge_point,
        password="0123456789abcdef",
        source=PROXY,
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.99, 198.51.100.7"},
    )
    found.boot()
    assert house.state(charge_point).remote_address == "198.51.100.7"


def test_strangers_headers_say_nothing(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    identity = own(house, charge_point.identifier)
    with pytest.raises(InvalidStatus) as refusal:
        behind(
            house,
            charge_point,
            source="127.0.0.1",
            X_Forwarded_Proto="https",
            X_Forwarded_For="203.0.113.99",
            X_SSL_Client_Cert=quote(pem(identity.certificate)),
        )
    row = eventually(lambda: house.again().get(UnknownStation, charge_point.identifier))
    assert (status_of(refusal), row.reason, row.remote_address) == (403, "no TLS", "127.0.0.1")


def test_a_trusted_proxy_passes_the_certificate(house: House) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    for identity in (own(house, charge_point.identifier), house.server.tls.manufacturer.issue(charge_point.identifier)):
        header = quote(pem(identity.certificate))
        assert behind(house, charge_point, X_Forwarded_Proto="https", X_SSL_Client_Cert=header).boot()
    envoy = f'Hash=ab;Cert="{quote(pem(identity.certificate), safe="")}";Subject="CN=x"'
    assert behind(house, charge_point, X_Forwarded_Proto="https", X_SSL_Client_Cert=envoy).boot()


def test_a_certificate_from_a_proxy_is_judged_as_one_of_our_own_tls(house: House, strangers: Authority) -> None:
    charge_point = station(house, SecurityProfile.TLS_CERTIFICATE)
    mine, theirs = charge_point.identifier, house.server.tls.manufacturer
    cases: list[tuple[x509.Certificate | None, str]] = [
        (None, "no client certificate"),
        (strangers.issue(mine).certificate, "client certificate of an unknown authority"),
        (theirs.issue("CP-OF-ANOTHER").certificate, "client certificate of another charge point"),
        (theirs.issue(mine, until=timedelta(minutes=-1)).certificate, "client certificate expired"),
        (theirs.issue(mine, usage=ExtendedKeyUsageOID.SERVER_AUTH).certificate, "certificate is not for clients"),
    ]
    for certificate, why in cases:
        header = quote(pem(certificate)) if certificate else ""
        with pytest.raises(InvalidStatus) as refusal:
            behind(house, charge_point, X_Forwarded_Proto="https", X_SSL_Client_Cert=header)
        body = refusal.value.response.body or b""
        assert status_of(refusal) == 403 and why.encode() in body


@pytest.mark.parametrize("header", ["rubbish", "-----BEGIN CERTIFICATE-----", "AAAA"])
def test_a_header_that_holds_no_certificate_is_the_proxys_mistake(house: House, header: str) -> None:
    charge_point = station(house, SecurityProfile.ANY)
    with pytest.raises(InvalidStatus) as refusal:
        behind(house, charge_point, X_SSL_Client_Cert=header)
    assert status_of(refusal) == 400
    assert HEADER.encode() in (refusal.value.response.body or b"")
