"""CP Templates, CP Notices, Tags and QR codes: what stands beside charge points and is used by their form."""

from __future__ import annotations

import io
import re
import zipfile
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets import templates
from app.assets.models import (
    AccessType,
    ChargePoint,
    ChargePointNotice,
    ChargePointTemplate,
    Connector,
    ConnectorFormat,
    ConnectorType,
    EvseType,
    NetworkType,
    Tag,
)
from app.core.models import AuditEntry, Role
from tests.screens.test_assets_charge_point_form import fields
from tests.support.factories_assets import make_station, make_tariff_group
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

NEW = "/assets/charge-points/new/"
TEMPLATES, NOTICES, TAGS = "/assets/cp-templates/", "/assets/cp-notices/", "/assets/tags/"


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User, signed in."""
    client = signed_in(clean, make_admin(session))
    client.get("/assets/charge-points/")
    return client


@pytest.fixture
def station(session: Session) -> ChargePoint:
    """Two EVSEs, one with two connectors; private things beside."""
    made = make_station(session, evses=2, group=make_tariff_group(session), network_type=NetworkType.MOBILE_4G)
    made.password_hash = "hash-of-a-secret"
    made.plug_and_charge = True
    first, second = made.evses
    first.connectors = [
        Connector(type=ConnectorType.CCS2, format=ConnectorFormat.CABLE),
        Connector(type=ConnectorType.CHADEMO, format=ConnectorFormat.CABLE),
    ]
    first.type, first.max_power_w, first.tags = EvseType.DC, 50_500, [Tag(name="fast")]
    second.reservation_minutes = 0
    session.commit()
    return made


def text(answer: Any) -> str:
    return unescape(str(answer.get_data(as_text=True)))


def make_template(olga: Visitor, station: ChargePoint, name: str = "Vestel DC") -> Any:
    return olga.send(f"/assets/charge-points/template/new/?id={station.id}", {"name": name})


# --- templates


def test_a_template_keeps_what_stations_share_and_nothing_of_one(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    dialog = text(olga.get(f"/assets/charge-points/template/new/?id={station.id}"))
    assert "Create Template" in dialog and 'value="Vestel EVC04"' in dialog
    answer = make_template(olga, station)
    assert answer.status_code == 302
    made = session.scalars(select(ChargePointTemplate)).one()
    kept = str(made.content)
    for own in (station.identifier, station.name, "hash-of-a-secret", *(evse.code for evse in station.evses)):
        assert own not in kept
    page = text(olga.get(answer.location))
    for shown in ("50.5 kW", "CCS2, cable", "CHAdeMO, cable", "AC public", "fast", "4G", "0 min"):
        assert shown in page
    assert "2 EVSEs: CCS2, CHAdeMO, Type 2" in text(olga.get(TEMPLATES))
    assert session.scalars(select(AuditEntry).where(AuditEntry.object_type == "charge_point_template")).one()


def test_a_template_fills_every_field_it_knows(olga: Visitor, session: Session, station: ChargePoint) -> None:
    make_template(olga, station)
    number = session.scalars(select(ChargePointTemplate.id)).one()
    form = olga.get(NEW).get_data(as_text=True)
    assert f'<option value="{number}">Vestel DC</option>' in form
    found = olga.get(f"/assets/charge-points/template/?template={number}").get_json()
    assert found["fields"]["name"] == "Vestel DC"
    assert (found["fields"]["network_type"], found["fields"]["plug_and_charge"]) == ("4g", True)
    names = set(re.findall(r' name="(?:evses-__row0__-)?([a-z_0-9]+)"', form))
    assert set(found["fields"]) - {"security_profile"} <= names  # a field of another tab
    first, second = found["evses"]
    assert {**first["fields"], **second["fields"]}.keys() <= names
    assert (first["fields"]["max_power_w"], first["fields"]["tags"]) == ("50.5", ["fast"])
    assert [plug["type"] for plug in first["connectors"]] == ["CCS2", "CHAdeMO"]
    assert second["fields"]["reservation_minutes"] == 0


def test_a_template_outlives_what_it_names_and_fields_that_come_and_go(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    made = ChargePointTemplate(
        name="Old",
        content={
            "network_type": "carrier pigeon",
            "a_field_that_is_gone": 7,
            "notice_id": 999_999,
            "phases": "three",
            "evses": [
                {"type": "AC", "tariff_group_id": 999_999, "connectors": [{"type": "Type 9"}, {"type": "Type 2"}, 5]},
                "nonsense",
            ],
        },
    )
    session.add_all([made, ChargePointTemplate(name="Empty", content={})])
    session.commit()
    found = olga.get(f"/assets/charge-points/template/?template={made.id}").get_json()
    assert found == {
        "fields": {"name": "Old"},
        "evses": [{"fields": {"type": "AC", "tags": []}, "connectors": [{}, {"type": "Type 2"}]}],
    }
    for page in (TEMPLATES, f"{TEMPLATES}details/?id={made.id}", f"{TEMPLATES}export/csv/"):
        assert olga.get(page).status_code == 200
    assert "A tariff group that is gone" in text(olga.get(f"{TEMPLATES}details/?id={made.id}"))
    for wrong in ("999999", "abc", ""):
        assert olga.get(f"/assets/charge-points/template/?template={wrong}").status_code == 404


@pytest.mark.parametrize("name, message", [("", "Enter a name"), ("  ", "Enter a name"), ("VESTEL dc", "already")])
def test_a_template_has_a_name_of_its_own(
    olga: Visitor, session: Session, station: ChargePoint, name: str, message: str
) -> None:
    make_template(olga, station)
    answer = make_template(olga, station, name)
    assert answer.status_code == 422 and message in text(answer)
    assert session.scalar(select(func.count()).select_from(ChargePointTemplate)) == 1


def test_templates_are_renamed_and_deleted_but_not_made_in_their_menu(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    make_template(olga, station)
    make_template(olga, station, "Other")
    first = session.scalars(select(ChargePointTemplate).where(ChargePointTemplate.name == "Vestel DC")).one()
    assert olga.get(f"{TEMPLATES}new/").status_code == 403
    path = f"{TEMPLATES}edit/?id={first.id}"
    answer = olga.send(path, {"name": "other", "_version": str(first.version)})
    assert answer.status_code == 422 and "There is a template “other” already." in text(answer)
    assert olga.send(path, {"name": "Vestel 50", "_version": str(first.version)}).status_code == 302
    session.expire_all()
    assert first.name == "Vestel 50" and templates.read_content(first).evses
    olga.send(f"{TEMPLATES}delete/", {"id": str(first.id)})
    assert session.scalars(select(ChargePointTemplate.name)).all() == ["Other"]


def test_whoever_may_not_make_templates_has_no_button(session: Session, clean: Flask, station: ChargePoint) -> None:
    session.add(Role(name="Onlooker", permission_names=["assets.charge_point.view"]))
    session.flush()
    viewer = signed_in(clean, make_admin(session, role="Onlooker", email="vera@example.com"))
    assert "Create Template" not in text(viewer.get(f"/assets/charge-points/details/?id={station.id}"))
    assert viewer.get(f"/assets/charge-points/template/new/?id={station.id}").status_code == 403


def test_a_charge_point_is_made_from_a_template_that_is_gone_meanwhile(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    answer = olga.send(NEW, fields(station.zone, identifier="CP-NEW", template="999999"))
    assert answer.status_code == 302, text(answer)


# --- notices


@pytest.fixture
def notice(olga: Visitor, session: Session) -> ChargePointNotice:
    """Made on screen, in two languages."""
    sent = {"name": "Guests", "message-en": "For hotel guests.", "message-bg": "За гости."}
    assert olga.send(f"{NOTICES}new/", sent).status_code == 302
    return session.scalars(select(ChargePointNotice)).one()


def test_a_notice_needs_its_english_text(olga: Visitor, session: Session) -> None:
    answer = olga.send(f"{NOTICES}new/", {"name": "Guests", "message-bg": "За гости."})
    assert answer.status_code == 422 and "Enter the English text" in text(answer)
    assert session.scalar(select(func.count()).select_from(ChargePointNotice)) == 0


def test_not_managed_needs_a_notice_and_a_public_managed_one_has_none(
    olga: Visitor, session: Session, station: ChargePoint, notice: ChargePointNotice
) -> None:
    unmanaged = {**fields(station.zone, identifier="CP-POI", **{"evses-0-code": ""})}
    unmanaged.pop("managed_by_operator")
    answer = olga.send(NEW, unmanaged)
    assert answer.status_code == 422 and "Not Managed By Operator: choose the notice" in text(answer)
    assert olga.send(NEW, {**unmanaged, "notice": str(notice.id)}).status_code == 302
    made = session.scalars(select(ChargePoint).where(ChargePoint.identifier == "CP-POI")).one()
    assert made.notice_id == notice.id
    # a stale choice in a hidden field is not kept
    olga.send(NEW, fields(station.zone, identifier="CP-PUB", notice=str(notice.id), **{"evses-0-code": ""}))
    assert session.scalars(select(ChargePoint).where(ChargePoint.identifier == "CP-PUB")).one().notice_id is None
    private = {"access_type": AccessType.PRIVATE.value, "show_to_public_with_notice": "y", "notice": str(notice.id)}
    olga.send(NEW, fields(station.zone, identifier="CP-PRI", **private, **{"evses-0-code": ""}))
    assert session.scalars(select(ChargePoint).where(ChargePoint.identifier == "CP-PRI")).one().notice_id == notice.id


def test_a_notice_in_use_is_kept_and_its_charge_points_are_named(
    olga: Visitor, session: Session, station: ChargePoint, notice: ChargePointNotice
) -> None:
    station.notice_id = notice.id
    session.commit()
    olga.send(f"{NOTICES}delete/", {"id": str(notice.id)})
    assert f"it is shown at “{station.name}”" in text(olga.get(NOTICES))
    station.notice_id = None
    session.commit()
    olga.send(f"{NOTICES}delete/", {"id": str(notice.id)})
    assert session.scalar(select(func.count()).select_from(ChargePointNotice)) == 0


# --- tags


def test_tags_are_counted_renamed_and_taken_off_with_a_warning(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    tag = session.scalars(select(Tag)).one()
    row = re.search(r"<tbody>(.*?)</tbody>", text(olga.get(TAGS)), re.S)
    assert row and re.search(r">\s*fast\s*<.*>\s*1\s*<", row[1], re.S)
    page = olga.get(f"{TAGS}edit/?id={tag.id}").get_data(as_text=True)
    version = re.search(r'name="_version" value="([^"]+)"', page)
    assert version
    assert olga.send(f"{TAGS}edit/?id={tag.id}", {"name": " rapid ", "_version": version[1]}).status_code == 302
    session.expire_all()
    assert [each.name for each in station.evses[0].tags] == ["rapid"]
    question = text(olga.htmx(f"{TAGS}delete/?id={tag.id}", target="div#modal-content"))
    assert "1 EVSE carries it and will lose it." in question
    olga.send(f"{TAGS}delete/", {"id": str(tag.id)})
    session.expire_all()
    assert station.evses[0].tags == [] and session.scalar(select(func.count()).select_from(Tag)) == 0


@pytest.mark.parametrize("name, message", [("FAST", "already"), ("a,b", "without commas"), ("", "required")])
def test_a_tag_that_the_evse_form_could_not_name_is_refused(
    olga: Visitor, session: Session, station: ChargePoint, name: str, message: str
) -> None:
    answer = olga.send(f"{TAGS}new/", {"name": name})
    assert answer.status_code == 422 and message in text(answer)
    assert session.scalars(select(Tag.name)).all() == ["fast"]


def test_lists_are_filtered_by_tag_and_the_form_offers_the_tags_there_are(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    other = make_station(session)
    session.commit()
    for path, shown, hidden in (
        ("/assets/charge-points/", station.name, other.name),
        ("/assets/evses/", station.evses[0].code, other.evses[0].code),
    ):
        html = text(olga.get(f"{path}?flt0_tag_contains=fas"))
        assert f">{shown}<" in html and f">{hidden}<" not in html
    assert 'data-options="[&#34;fast&#34;]"' in olga.get(NEW).get_data(as_text=True)


# --- QR codes


def test_a_code_is_downloaded_as_png_and_svg_under_its_evse_id(olga: Visitor) -> None:
    png = olga.get("/assets/charge-points/qr/?code=BG*ABC-7&format=png&size=large")
    assert png.mimetype == "image/png" and 'filename="qr-BG-ABC-7.png"' in png.headers["Content-Disposition"]
    image = Image.open(io.BytesIO(png.get_data()))
    assert image.size[0] == image.size[1] and abs(image.size[0] / 300 * 25.4 - 80) < 4
    svg = olga.get("/assets/charge-points/qr/?code=7KQ4WX&format=svg&size=small")
    root = ElementTree.fromstring(svg.get_data())
    assert svg.mimetype == "image/svg+xml" and root.attrib["width"].startswith("25")
    for wrong in ("", "?code=", "?code=a/b", "?code=A&format=gif", "?code=A&size=huge", "?code=" + "A" * 41):
        assert olga.get(f"/assets/charge-points/qr/{wrong}").status_code == 404


def test_the_code_says_the_public_address(clean: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from admin_views.assets import qr

    monkeypatch.setitem(
        clean.config, "SYNC", replace(clean.config["SYNC"], public_url="https://charge.example.com/office")
    )
    with clean.test_request_context("/", base_url="http://10.0.0.1:8000"):
        assert qr.public_url("BG*7K") == "https://charge.example.com/office/public/cs/BG*7K"


def test_all_codes_of_a_charge_point_on_a_page_and_as_zip(olga: Visitor, station: ChargePoint) -> None:
    page = olga.get(f"/assets/charge-points/qr-codes/?id={station.id}&size=large").get_data(as_text=True)
    for evse in station.evses:
        assert f"/public/cs/{evse.code}</p>" in page
    assert page.count('class="segno"') == 2
    packed = olga.get(f"/assets/charge-points/qr-codes/?id={station.id}&format=zip")
    with zipfile.ZipFile(io.BytesIO(packed.get_data())) as archive:
        assert len(archive.namelist()) == 4 and archive.testzip() is None
    assert olga.get("/assets/charge-points/qr-codes/?id=999999").status_code == 404


def test_the_form_shows_the_address_and_a_taken_id_is_told_at_its_field(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    code = station.evses[0].code
    form = olga.get(f"/assets/charge-points/edit/?id={station.id}").get_data(as_text=True)
    assert f"/public/cs/{code}</code>" in form and "Download the QR code here" in form and "Refresh" in form
    drawn = olga.get("/assets/charge-points/evse-code/").get_data(as_text=True)
    assert re.fullmatch(r"[A-Z0-9]{6}", drawn)
    answer = olga.send(NEW, fields(station.zone, identifier="CP-2", **{"evses-0-code": code.lower()}))
    assert answer.status_code == 422 and "already in use" in text(answer)
