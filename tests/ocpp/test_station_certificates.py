"""Certificates of a station: asked for, checked, signed, sent, installed, deleted, renewed; and security events.

OCPP 1.6 security whitepaper, edition 2, A02 to A04 and 4.3 to 4.7.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, SecurityProfile
from app.charging.models import (
    CertificateAuthority,
    CertificateStatus,
    CertificateUse,
    SecurityEvent,
    StationCertificate,
)
from app.charging.security import authority, certificates
from app.charging.security import clockwork as certificate_clockwork
from app.core.db import db
from app.core.models import Action, ActionStatus, Admin
from tests.support.gateway import Cast, House, eventually
from tests.support.scripted_station import ScriptedStation, connect
from tests.support.tls import DAY, Authority, Identity, pem, request

EXTRA_CA = Authority("Root to install")


@pytest.fixture
def operator(house: House) -> Admin:
    """Who decides."""
    return house.operator()


def now() -> datetime:
    return datetime.now(UTC)


def certificates_of(cast: Cast, charge_point: ChargePoint) -> list[StationCertificate]:
    """A station's certificates as they stand now, oldest first."""
    query = select(StationCertificate).where(StationCertificate.charge_point_id == charge_point.id)
    return list(cast.again().scalars(query.order_by(StationCertificate.id)))


def reaches(cast: Cast, charge_point: ChargePoint, status: CertificateStatus) -> StationCertificate:
    """The newest certificate, once it stands there."""

    def found() -> StationCertificate | None:
        row = certificates_of(cast, charge_point)[-1]
        return row if row.status is status else None

    row = eventually(found, why=f"it is not {status.label}")
    assert row is not None
    return row


def tick(house: House, at: datetime | None = None) -> int:
    """What the clockwork does every five seconds."""
    session = house.again()
    at = at or now()
    done = certificate_clockwork.give_up(session, now=at)
    done += certificate_clockwork.sign_waiting(session, secret_key=house.secret_key, now=at)
    done += certificate_clockwork.send_again(session, now=at)
    session.commit()
    return done


def asks(station: ScriptedStation, csr: str) -> str:
    """The answer to a request."""
    return str(station.call("SignCertificate", {"csr": csr})["status"])


# ---------------------------------------------------------------------- the whole story


def test_a_station_asks_is_signed_installs_and_comes_in_with_it(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    key = ec.generate_private_key(ec.SECP256R1())
    assert asks(station, request(charge_point.identifier, key, "SYNC EV.CHARGE")) == "Accepted"
    assert tick(house) == 1
    call = station.expect_call("CertificateSigned")
    signed = x509.load_pem_x509_certificate(call.payload["certificateChain"].encode())
    assert signed.subject.rfc4514_string() == f"CN={charge_point.identifier},O=SYNC EV.CHARGE"
    assert signed.public_key() == key.public_key()
    life = signed.not_valid_after_utc - signed.not_valid_before_utc
    assert life == timedelta(days=365, hours=1)
    assert reaches(house, charge_point, CertificateStatus.SENDING)
    call.answer(status="Accepted")
    row = reaches(house, charge_point, CertificateStatus.INSTALLED)
    assert (row.valid_until, row.serial_number) == (signed.not_valid_after_utc, f"{signed.serial_number:x}")

    charge_point = house.session.get_one(ChargePoint, charge_point.id)
    charge_point.security_profile = SecurityProfile.TLS_CERTIFICATE
    from app.assets.verbs import announce_changed

    announce_changed(house.session, charge_point)
    house.session.commit()
    assert station.expect_close() == 1000
    tls = house.server.tls.client(Identity(signed, key))
    with connect(house.server.wss, charge_point.identifier, tls=tls) as again:
        assert again.boot()["status"] == "Accepted"


def test_the_next_certificate_takes_the_place_of_the_last(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    for _ in range(2):
        asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
        tick(house)
        station.expect_call("CertificateSigned").answer(status="Accepted")
        reaches(house, charge_point, CertificateStatus.INSTALLED)
    assert [row.status for row in certificates_of(house, charge_point)] == [
        CertificateStatus.REMOVED,
        CertificateStatus.INSTALLED,
    ]


def test_what_the_station_does_not_take_is_refused(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    tick(house)
    station.expect_call("CertificateSigned").answer(status="Rejected")
    assert reaches(house, charge_point, CertificateStatus.REFUSED).detail == "By the station: Rejected"
    assert tick(house, now() + timedelta(hours=1)) == 0


def test_a_certificate_nobody_answered_for_is_the_same_when_it_is_sent_again(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    tick(house)
    first = station.expect_call("CertificateSigned").payload
    station.close(abruptly=True)
    eventually(lambda: (certificates_of(house, charge_point)[0].detail or "").startswith("Not connected"))
    eventually(lambda: not house.state(charge_point).connected)
    later = now() + timedelta(minutes=5)
    assert tick(house, later) == 0, "it is not there"
    back = house.connect(charge_point)
    eventually(lambda: house.state(charge_point).connected)
    assert tick(house, later) == 1
    call = back.expect_call("CertificateSigned")
    assert call.payload == first
    call.answer(status="Accepted")
    reaches(house, charge_point, CertificateStatus.INSTALLED)


def test_what_reached_nobody_for_a_week_is_given_up(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    tick(house)
    station.expect_call("CertificateSigned")
    station.close(abruptly=True)
    eventually(lambda: (certificates_of(house, charge_point)[0].detail or "").startswith("Not connected"))
    assert tick(house, now() + timedelta(days=8)) == 1
    assert certificates_of(house, charge_point)[0].status is CertificateStatus.REFUSED


# ---------------------------------------------------------------------- requests that are not in order


def _tampered(common_name: str) -> str:
    """A request whose signature is of other bytes."""
    lines = request(common_name, ec.generate_private_key(ec.SECP256R1())).splitlines()
    der = bytearray(x509.load_pem_x509_csr("\n".join(lines).encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    import base64

    return f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE REQUEST-----"


def _short_rsa(common_name: str) -> str:
    from cryptography.hazmat.primitives import hashes

    from tests.support.tls import name

    key = rsa.generate_private_key(65537, 1024)
    csr = x509.CertificateSigningRequestBuilder().subject_name(name(common_name)).sign(key, hashes.SHA256())
    return csr.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda own: "no request", "cannot be read"),
        (lambda own: "", "cannot be read"),
        (lambda own: "\x00\x01", "cannot be read"),
        (_tampered, "not signed with the key"),
        (_short_rsa, "1024 bits"),
        (lambda own: request("ANOTHER", ec.generate_private_key(ec.SECP256R1())), "“ANOTHER”"),
        (lambda own: request(own, ec.generate_private_key(ec.SECP192R1())), "192 bits"),
    ],
)
def test_a_request_that_is_not_in_order_is_rejected_and_kept_with_its_reason(house: House, make: Any, why: str) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    csr = make(charge_point.identifier)
    assert asks(station, csr) == "Rejected"
    assert asks(station, csr) == "Rejected"
    rows = certificates_of(house, charge_point)
    assert len(rows) == 1, "a station that repeats its mistake for ever fills a table"
    assert rows[0].status is CertificateStatus.REFUSED and why in (rows[0].detail or "")
    assert tick(house) == 0


def test_odd_line_ends_and_case_are_no_mistakes(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    plain = request(charge_point.identifier.lower(), ec.generate_private_key(ec.SECP384R1()))
    bare = "".join(plain.splitlines()[1:-1])
    for csr in (
        plain.replace("\n", "\r\n"),
        plain.replace("\n", "\\n"),
        bare,
        plain.replace("BEGIN ", "BEGIN NEW ").replace("END ", "END NEW "),
    ):
        assert asks(station, csr) == "Accepted"


def test_a_repeated_request_is_one_and_a_newer_one_replaces_it(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    csr = request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1()), "Other Company")
    assert [asks(station, csr) for _ in range(3)] == ["Accepted"] * 3
    (row,) = certificates_of(house, charge_point)
    assert "Other Company" in (row.detail or "")
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    first, second = certificates_of(house, charge_point)
    assert (first.status, second.status) == (CertificateStatus.REFUSED, CertificateStatus.REQUESTED)
    assert tick(house) == 1


# ---------------------------------------------------------------------- the operator decides


def test_without_the_setting_an_operator_signs_or_refuses(house: House, operator: Admin) -> None:
    house.set("security.sign_certificates", False)
    charge_point = house.station()
    station = house.connect(charge_point)
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    assert tick(house) == 0
    (row,) = certificates_of(house, charge_point)
    action = certificates.refuse_request(house.session, certificate=row, reason="Who is it?", actor=operator, now=now())
    house.session.commit()
    assert (row.status, action.status) == (CertificateStatus.REFUSED, ActionStatus.FINISHED)
    with pytest.raises(certificates.NotRequested):
        certificates.refuse_request(house.session, certificate=row, reason="Again", actor=operator, now=now())
    house.session.rollback()

    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    row = certificates_of(house, charge_point)[-1]
    certificates.sign_request(
        house.session, certificate=row, reason="It is ours", actor=operator, secret_key=house.secret_key, now=now()
    )
    house.session.commit()
    station.expect_call("CertificateSigned").answer(status="Accepted")
    reaches(house, charge_point, CertificateStatus.INSTALLED)


def test_what_ends_within_30_days_is_renewed_once_a_day(house: House) -> None:
    house.set("security.certificate_days", 40)
    charge_point = house.station()
    station = house.connect(charge_point)
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    tick(house)
    station.expect_call("CertificateSigned").answer(status="Accepted")
    reaches(house, charge_point, CertificateStatus.INSTALLED)

    def renew(days: float) -> int:
        done = certificate_clockwork.renew_expiring(house.again(), now=now() + timedelta(days=days))
        house.session.commit()
        return done

    assert renew(5) == 0
    assert [renew(11), renew(11.5)] == [1, 0]
    call = station.expect_call("ExtendedTriggerMessage", timeout=3)
    assert call.payload == {"requestedMessage": "SignChargePointCertificate"}
    call.answer(status="Accepted")
    assert renew(12.1) == 1
    asks(station, request(charge_point.identifier, ec.generate_private_key(ec.SECP256R1())))
    assert renew(14) == 0, "a new one is on its way"


# ---------------------------------------------------------------------- roots


def install(house: House, charge_point: ChargePoint, operator: Admin, text: str = "") -> Action:
    """Have a root installed, committed and thereby sent."""
    action = certificates.install_root(
        house.session,
        charge_point=charge_point,
        use=CertificateUse.CENTRAL_SYSTEM_ROOT,
        pem=text or pem(EXTRA_CA.certificate),
        reason="New server certificate",
        actor=operator,
        now=now(),
    )
    house.session.commit()
    return action


def test_a_root_is_installed_found_and_deleted_by_its_hashes(house: House, operator: Admin) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    install(house, charge_point, operator)
    call = station.expect_call("InstallCertificate")
    assert call.payload["certificateType"] == "CentralSystemRootCertificate"
    call.answer(status="Accepted")
    row = reaches(house, charge_point, CertificateStatus.INSTALLED)

    said = [_hashes(EXTRA_CA.certificate, "SHA384"), _hashes(Authority("Factory").certificate, "SHA256")]
    certificates.ask_installed(
        house.session,
        charge_point=charge_point,
        uses=[CertificateUse.CENTRAL_SYSTEM_ROOT],
        reason="A look",
        actor=operator,
        now=now(),
    )
    house.session.commit()
    station.expect_call("GetInstalledCertificateIds").answer(status="Accepted", certificateHashData=said)
    eventually(lambda: len(certificates_of(house, charge_point)) == 2)
    known, other = certificates_of(house, charge_point)
    assert (known.id, known.status, known.hash_data) == (row.id, CertificateStatus.INSTALLED, said[0])
    assert (other.status, other.subject) == (CertificateStatus.INSTALLED, None)

    certificates.delete_root(house.session, certificate=known, reason="Old", actor=operator, now=now())
    house.session.commit()
    call = station.expect_call("DeleteCertificate")
    assert call.payload == {"certificateHashData": said[0]}, "a station is asked in its own words"
    call.answer(status="NotFound")
    eventually(lambda: certificates_of(house, charge_point)[0].status is CertificateStatus.REMOVED)


def test_what_the_station_has_no_more_is_removed(house: House, operator: Admin) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    install(house, charge_point, operator)
    station.expect_call("InstallCertificate").answer(status="Accepted")
    reaches(house, charge_point, CertificateStatus.INSTALLED)
    certificates.ask_installed(
        house.session,
        charge_point=charge_point,
        uses=certificates.ROOT_USES,
        reason="A look",
        actor=operator,
        now=now(),
    )
    house.session.commit()
    for _ in range(2):
        station.expect_call("GetInstalledCertificateIds").answer(status="NotFound")
    reaches(house, charge_point, CertificateStatus.REMOVED)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"status": "Accepted"}, CertificateStatus.INSTALLED),
        ({"status": "Rejected"}, CertificateStatus.REFUSED),
        ({"status": "Failed"}, CertificateStatus.REFUSED),
    ],
)
def test_an_installation_ends_as_the_station_says(
    house: House, operator: Admin, reply: dict[str, str], status: CertificateStatus
) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    install(house, charge_point, operator)
    station.expect_call("InstallCertificate").answer(reply)
    reaches(house, charge_point, status)


def test_an_installation_at_a_station_that_is_away_says_so(house: House, operator: Admin) -> None:
    charge_point = house.station()
    install(house, charge_point, operator)
    assert reaches(house, charge_point, CertificateStatus.REFUSED).detail == "Not connected"


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_not_sent(people: Cast, text: str) -> None:
    charge_point = people.station()
    with pytest.raises(authority.InvalidCertificate):
        certificates.install_root(
            people.session,
            charge_point=charge_point,
            use=CertificateUse.MANUFACTURER_ROOT,
            pem=text,
            reason="x",
            actor=people.operator(),
            now=now(),
        )


def test_an_expired_root_is_not_sent(people: Cast) -> None:
    expired = EXTRA_CA.issue("Old root", since=-2 * DAY, until=-DAY).certificate
    with pytest.raises(authority.InvalidCertificate, match="expired"):
        certificates.install_root(
            people.session,
            charge_point=people.station(),
            use=CertificateUse.MANUFACTURER_ROOT,
            pem=pem(expired),
            reason="x",
            actor=people.operator(),
            now=now(),
        )


def _hashes(certificate: x509.Certificate, algorithm: str) -> dict[str, str]:
    """Hash data as a station makes them: by hand, in capitals, with a leading zero."""
    import hashlib

    digest = getattr(hashlib, algorithm.lower())
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    bits = spki[-65:]  # an uncompressed point of P-256
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": digest(certificate.issuer.public_bytes()).hexdigest().upper(),
        "issuerKeyHash": digest(bits).hexdigest().upper(),
        "serialNumber": f"{certificate.serial_number:040X}",
    }


# ---------------------------------------------------------------------- our authority


def test_ten_who_need_an_authority_at_once_get_one(people: Cast, app: Any) -> None:
    people.session.execute(delete(CertificateAuthority))
    people.session.commit()
    secret_key = app.config["SECRET_KEY"]

    def make() -> str:
        with app.app_context(), Session(db.engine) as session:
            found = certificates.ensure_authority(session, secret_key=secret_key, now=now())
            session.commit()
            return found.pem

    with ThreadPoolExecutor(10) as pool:
        made = {future.result() for future in [pool.submit(make) for _ in range(10)]}
    assert len(made) == 1
    key = people.again().scalars(select(CertificateAuthority.locked_key)).one()
    assert "PRIVATE" not in key


def test_an_authority_whose_key_cannot_be_opened_is_followed_by_another_and_stays_trusted(people: Cast) -> None:
    first = certificates.ensure_authority(people.session, secret_key="one", now=now()).pem
    second = certificates.ensure_authority(people.session, secret_key="another", now=now()).pem
    assert first != second
    assert certificates.trusted(people.session, now=now())[:2] == [second, first]
    people.session.rollback()


# ---------------------------------------------------------------------- security events


def test_a_security_event_is_kept_as_the_station_said_it(house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    events = [
        {"type": "TamperDetectionActivated", "timestamp": "2026-05-04T10:00:00Z", "techInfo": "lid \x00 open"},
        {"type": "VendorSpecificThing" * 5, "timestamp": "yesterday"},
    ]
    for event in events:
        assert station.call("SecurityEventNotification", event) == {}
    query = select(SecurityEvent).where(SecurityEvent.charge_point_id == charge_point.id).order_by(SecurityEvent.id)
    first, second = house.again().scalars(query).all()
    assert (first.type, first.info) == ("TamperDetectionActivated", "lid  open")
    assert first.happened_at == datetime(2026, 5, 4, 10, tzinfo=UTC)
    assert second.type.startswith("VendorSpecificThing") and second.received_at - second.happened_at < timedelta(
        seconds=1
    )
