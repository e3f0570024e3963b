"""Security of charge points on the screens: form, tab, certificates, events, and the actions with their refusals."""

from __future__ import annotations

import html as entities
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, SecurityProfile
from app.charging.models import (
    CertificateStatus,
    CertificateUse,
    SecurityEvent,
    StationCertificate,
    UnknownStation,
)
from app.core.models import Action, Admin, Role
from app.core.passwords import verify_station_password
from tests.support.factories_assets import make_station, make_zone
from tests.support.factories_dashboard import Visitor, make_admin, signed_in
from tests.support.tls import Authority, pem, request

RUN = "/assets/charge-points/run/"


@pytest.fixture
def operator(session: Session) -> Admin:
    """Who does it: one who may see to secrets."""
    return make_admin(session, role="Super User")


@pytest.fixture
def olga(operator: Admin, clean: Flask) -> Visitor:
    """Signed in, with a page open."""
    client = signed_in(clean, operator)
    client.get("/assets/charge-points/")
    return client


@pytest.fixture
def station(session: Session) -> ChargePoint:
    """A charge point without password."""
    found = make_station(session, make_zone(session))
    session.commit()
    return found


def text_of(answer: Any) -> str:
    """The words of a page."""
    assert answer.status_code == 200, answer.status
    return re.sub(r"<[^>]+>|\s+", " ", answer.get_data(as_text=True))


def run(olga: Visitor, name: str, record_id: int, *, base: str = RUN, **fields: str) -> Any:
    """Fill in an action's dialog and send it."""
    return olga.post(f"{base}{name}/?rowid={record_id}", data={"reason": "A test", "rowid": str(record_id), **fields})


def certificate(station: ChargePoint, **fields: Any) -> StationCertificate:
    """A client certificate's row."""
    return StationCertificate(
        **{
            "partner_id": 1,
            "charge_point_id": station.id,
            "use": CertificateUse.CLIENT,
            "status": CertificateStatus.REQUESTED,
            "subject": f"CN={station.identifier}",
            **fields,
        }
    )


# ---------------------------------------------------------------------- the form


@pytest.mark.parametrize(
    ("profile", "password", "saved"),
    [("0", "", True), ("1", "", False), ("1", "secret-secret-1", True), ("2", "", False), ("3", "", True)],
)
def test_a_profile_with_password_is_not_saved_without_one(
    session: Session, olga: Visitor, station: ChargePoint, profile: str, password: str, saved: bool
) -> None:
    page = olga.get(f"/assets/charge-points/edit/?id={station.id}")
    assert "Security Profile" in text_of(page)
    form = _fields(page.get_data(as_text=True))
    form.update(security_profile=profile, network_password=password)
    answer = olga.post(f"/assets/charge-points/edit/?id={station.id}", data=form)
    session.expire_all()
    found = session.get_one(ChargePoint, station.id)
    if saved:
        assert answer.status_code in (302, 303), text_of(answer)
        assert found.security_profile is SecurityProfile(profile)
    else:
        assert "This profile needs a network password" in answer.get_data(as_text=True)
        assert found.security_profile is SecurityProfile.ANY


def _fields(html: str) -> dict[str, Any]:
    """What a browser would send of the form as it stands."""
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", html):
        name = re.search(r'name="([^"]+)"', tag)
        if name is None or ('type="checkbox"' in tag and "checked" not in tag):
            continue
        value = re.search(r'value="([^"]*)"', tag)
        found.setdefault(name[1], entities.unescape(value[1]) if value else "")
    for name, body in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', html, re.DOTALL):
        chosen = re.search(r'<option[^>]*selected[^>]*value="([^"]*)"|<option[^>]*value="([^"]*)"[^>]*selected', body)
        found[name] = (chosen[1] or chosen[2]) if chosen else ""
    return found


# ---------------------------------------------------------------------- the tab and the lists


def test_the_tab_tells_profile_certificates_and_events(session: Session, olga: Visitor, station: ChargePoint) -> None:
    now = datetime.now(UTC)
    installed = {"status": CertificateStatus.INSTALLED, "valid_until": now + timedelta(days=3)}
    session.add_all(
        [
            certificate(station, **installed),
            SecurityEvent(partner_id=1, charge_point_id=station.id, happened_at=now, type="TamperDetectionActivated"),
            SecurityEvent(partner_id=1, charge_point_id=station.id, happened_at=now, type="FirmwareUpdated"),
        ]
    )
    station.security_profile, station.next_password_hash = SecurityProfile.TLS_BASIC, "on its way"
    session.commit()
    html = olga.htmx(f"/assets/charge-points/security/?id={station.id}").get_data(as_text=True)
    words = re.sub(r"<[^>]+>|\s+", " ", html)
    for wanted in (
        "2: TLS and password",
        "A new password is on its way",
        "serves no TLS",
        "Ends soon",
        "Tamper detection activated",
        "Firmware updated",
    ):
        assert wanted in words
    assert re.search(r'status-red"[^>]*title="Critical"', html) and html.count("status-red") == 1


def test_events_are_listed_by_importance(session: Session, olga: Visitor, station: ChargePoint) -> None:
    now = datetime.now(UTC)
    for kind in ("InvalidCentralSystemCertificate", "FirmwareUpdated", "VendorThing"):
        session.add(SecurityEvent(partner_id=1, charge_point_id=station.id, happened_at=now, type=kind))
    session.commit()
    words = text_of(olga.get("/assets/security-events/?flt0_importance_is=critical"))
    assert "Invalid server certificate" in words and "VendorThing" not in words
    words = text_of(olga.get("/assets/security-events/?flt0_importance_is=info"))
    assert "VendorThing" in words and "Invalid server certificate" not in words


def test_our_authority_can_be_downloaded_and_is_the_same_each_time(olga: Visitor) -> None:
    first, second = (olga.get("/assets/station-certificates/authority/").get_data(as_text=True) for _ in range(2))
    assert first == second and first.startswith("-----BEGIN CERTIFICATE-----") and "PRIVATE" not in first


def test_what_failed_in_the_handshake_is_shown_and_makes_no_charge_point(session: Session, olga: Visitor) -> None:
    now = datetime.now(UTC)
    session.add(
        UnknownStation(identifier="TLS/10.0.0.9", reason="client certificate: x", first_seen_at=now, last_seen_at=now)
    )
    session.commit()
    html = olga.get("/assets/tried-to-connect/").get_data(as_text=True)
    assert "TLS/10.0.0.9" in html and "Create Charge Point" not in html and "Dismiss" in html


# ---------------------------------------------------------------------- actions


def test_a_typed_password_is_judged_in_the_dialog(session: Session, olga: Visitor, station: ChargePoint) -> None:
    answer = run(olga, "change_password", station.id, key="too short")
    assert answer.status_code == 422 and "hexadecimal" in answer.get_data(as_text=True)
    key = "0123456789abcdef" * 2
    assert run(olga, "change_password", station.id, key=key).status_code == 200
    action = session.scalars(select(Action).where(Action.command == "change_password")).one()
    assert key not in str(action.request) and action.reason == "A test"


def test_a_drawn_password_is_sent_and_shown_to_nobody(
    session: Session, olga: Visitor, station: ChargePoint, clean: Flask
) -> None:
    html = run(olga, "change_password", station.id, key="").get_data(as_text=True)
    session.expire_all()
    action = session.scalars(select(Action).where(Action.command == "change_password")).one()
    assert not re.search(r"[0-9a-f]{40}", html) and not re.search(r"'value': '[0-9a-f]", str(action.request))
    stored = session.get_one(ChargePoint, station.id).next_password_hash
    assert stored is None or not verify_station_password(stored, [b""], clean.config["SECRET_KEY"])


def test_an_operator_without_the_right_cannot_change_it(session: Session, station: ChargePoint, clean: Flask) -> None:
    session.add(Role(name="Onlooker", permission_names=["assets.charge_point.view"]))
    session.flush()
    analyst = signed_in(clean, make_admin(session, role="Onlooker"))
    assert analyst.get(f"{RUN}change_password/?rowid={station.id}").status_code == 403
    words = text_of(analyst.get(f"/assets/charge-points/security/?id={station.id}"))
    assert "Change Network Password" not in words and "Install Certificate" not in words


def test_only_a_certificate_can_be_installed(session: Session, olga: Visitor, station: ChargePoint) -> None:
    answer = run(olga, "install_certificate", station.id, use="manufacturer_root", pem="not one")
    assert answer.status_code == 422 and "BEGIN CERTIFICATE" in answer.get_data(as_text=True)
    root = pem(Authority("Factory").certificate)
    assert run(olga, "install_certificate", station.id, use="manufacturer_root", pem=root).status_code == 200
    row = session.scalars(select(StationCertificate)).one()
    assert (row.use, row.subject) == (CertificateUse.MANUFACTURER_ROOT, "CN=Factory")


def test_a_request_is_signed_or_refused_once(session: Session, olga: Visitor, station: ChargePoint) -> None:
    base = "/assets/station-certificates/run/"
    csr = request(station.identifier, ec.generate_private_key(ec.SECP256R1()))
    rows = [certificate(station, csr=csr), certificate(station, csr=csr)]
    session.add_all(rows)
    session.commit()
    assert run(olga, "sign", rows[0].id, base=base).status_code == 200
    assert run(olga, "refuse", rows[1].id, base=base).status_code == 200
    assert "does not wait" in text_of(run(olga, "refuse", rows[1].id, base=base))
    session.expire_all()
    assert rows[0].pem and rows[1].status is CertificateStatus.REFUSED
    page = text_of(olga.get(f"/assets/station-certificates/details/?id={rows[0].id}"))
    assert station.identifier in page and "Delete Certificate" not in page


def test_the_client_certificate_is_not_deleted_from_here(session: Session, olga: Visitor, station: ChargePoint) -> None:
    row = certificate(station, status=CertificateStatus.INSTALLED)
    session.add(row)
    session.commit()
    answer = run(olga, "delete_certificate", row.id, base="/assets/station-certificates/run/")
    assert "root certificates only" in text_of(answer)
