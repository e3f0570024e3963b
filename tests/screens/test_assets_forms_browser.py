"""What scripts do in forms of locations and charge points, in a real browser: picker, template, notice, pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_views.assets import address
from app.assets import templates
from app.assets.models import ChargePoint, Location, Tag
from app.core import settings
from app.core.clock import utcnow
from tests.screens.test_assets_browser import admin, page, site, station
from tests.support.factories_assets import make_location
from tests.support.fake_places import places

pytestmark = [pytest.mark.browser, pytest.mark.slow]
__all__ = ["admin", "page", "site", "station"]


def test_pin_coordinates_and_address_follow_one_another(
    page: Page, session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(address, "PACE_MS", 1)
    location = make_location(session, address={"en": "Old road 5"})
    Image.new("RGB", (400, 300), "green").save(tmp_path / "street.jpg")
    with places() as server:
        settings.change_setting(session, key="geocoding.provider", value="nominatim", actor=None)
        settings.change_setting(session, key="geocoding.nominatim_url", value=server.url, actor=None)
        session.commit()
        page.goto(f"/assets/locations/edit/?id={location.id}")
        page.set_input_files("#photos", tmp_path / "street.jpg")
        expect(page.get_by_alt_text("street.jpg, chosen")).to_be_visible()
        page.get_by_role("tab", name="Address").click()
        # typed coordinates move the pin and offer the address, without replacing what somebody typed
        page.fill("#latitude", "42.7")
        page.keyboard.press("Tab")
        expect(page.locator("[data-address-said]")).to_contain_text("Here is: 1, бул. Витоша")
        assert page.input_value("#address-en") == "Old road 5"
        # a place that was searched and chosen, by the keyboard alone, fills everything
        page.fill("[data-address-search]", "Vitosha 1")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="1, бул. Витоша")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#address-en")).to_have_value("Vitosha blvd 1")
        assert (page.input_value("#latitude"), page.input_value("#longitude")) == ("42.697703", "23.321736")
        # dragging the pin writes the coordinates
        pin = page.locator(".address-pin").bounding_box()
        assert pin is not None
        x, y = pin["x"] + pin["width"] / 2, pin["y"] + pin["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 80, y - 40, steps=5)
        page.mouse.up()
        expect(page.locator("#longitude")).not_to_have_value("23.321736")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("#messages")).to_contain_text("was saved")
    session.expire_all()
    found = session.scalars(select(Location)).one()
    assert float(found.longitude) > 23.33 and float(found.latitude) > 42.7
    assert found.address["en"] == "Vitosha blvd 1" and [photo.file.name for photo in found.photos] == ["street.jpg"]


def test_a_template_fills_the_form_and_the_form_can_be_sent(page: Page, session: Session, station: ChargePoint) -> None:
    station.evses[0].tags = [Tag(name="fast")]
    station.plug_and_charge = True
    session.flush()
    templates.create_template(session, charge_point=station, name="Vestel", actor=None, now=utcnow())
    session.commit()
    page.goto(f"/assets/charge-points/new/?zone={station.zone_id}")
    page.select_option("#template", label="Vestel")
    expect(page.locator("#name")).to_have_value("Vestel")
    page.fill("#name", "Vestel 2")
    page.get_by_role("tab", name="OCPP").click()
    expect(page.locator("#plug_and_charge")).to_be_checked()
    page.fill("#identifier", "CP-FROM-TEMPLATE")
    # what is not managed needs a notice: its field appears in the other tab, and goes again
    page.uncheck("#managed_by_operator")
    page.get_by_role("tab", name="General").click()
    expect(page.locator("#notice")).to_be_visible()
    page.get_by_role("tab", name="OCPP").click()
    page.check("#managed_by_operator")
    page.get_by_role("tab", name="EVSEs").click()
    first = page.locator("[data-inline-item]").first
    expect(first.locator("[data-qr-shown]").first).to_have_text(re.compile(r"/public/cs/[A-Z0-9]{6}$"))
    page.get_by_role("button", name="Create Charge Point").click()
    expect(page.locator("#messages")).to_contain_text("was created")
    session.expire_all()
    made = session.scalars(select(ChargePoint).where(ChargePoint.identifier == "CP-FROM-TEMPLATE")).one()
    assert made.name == "Vestel 2" and made.plug_and_charge
    assert [evse.max_power_w for evse in made.evses] == [22000, 22000]
    assert [tag.name for tag in made.evses[0].tags] == ["fast"]
    assert [[plug.type for plug in evse.connectors] for evse in made.evses] == [
        [plug.type for plug in evse.connectors] for evse in station.evses
    ]
    assert {evse.tariff_group_id for evse in made.evses} == {station.evses[0].tariff_group_id}
    assert not {evse.code for evse in made.evses} & {evse.code for evse in station.evses}
