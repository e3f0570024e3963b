"""The daily paths around stations: cards nobody knows, new sites, orders to stations, stations that nobody knows."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select
from websockets.exceptions import InvalidStatus

from app.assets.models import ChargePoint, Evse
from app.charging.models import UnknownStation
from app.crm.models import User
from app.tariffs.models import Tariff
from tests.browser.desk import (
    Desk,
    act,
    assert_same_document,
    choose,
    close_dialog,
    connected,
    fill_dialog,
    mark,
    ready,
    soon,
)
from tests.support.gateway import House, ago, eventually
from tests.support.scripted_station import connect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def details_of(charge_point: ChargePoint) -> str:
    """The address of a charge point's page."""
    return f"/assets/charge-points/details/?id={charge_point.id}"


def test_an_unknown_card_is_registered_and_charges(desk: Desk, house: House) -> None:
    charge_point = house.station()
    driver = house.driver(first_name="Nadia", last_name="Newcard")
    station = house.connect(charge_point)
    station.boot()
    page = desk.open("/activity/authorizations/", live=True)
    mark(page)

    assert station.authorize("04DEADBEEF01") == "Invalid"
    row = page.locator("#list tbody tr")
    soon(row, "04DEADBEEF01")
    expect(row).to_contain_text("Rejected")
    assert_same_document(page)
    row.get_by_role("link", name="View").click()
    ready(page)
    expect(page.locator(".alert-warning")).to_contain_text("belongs to nobody yet")
    page.get_by_role("link", name="Register this RFID tag").click()
    ready(page)
    expect(page.get_by_label("Tag ID")).to_have_value("04DEADBEEF01")
    choose(page, "User", "newcard")
    page.get_by_role("button", name="Create RFID Tag").click()
    expect(page.get_by_role("status").filter(has_text="04DEADBEEF01").first).to_be_visible()

    assert station.authorize("04DEADBEEF01") == "Accepted"
    accepted = desk.open("/activity/authorizations/").locator("#list tbody tr").first
    expect(accepted).to_contain_text("Accepted")
    expect(accepted).to_contain_text(driver.full_name)


def create_location(page: Page) -> None:
    """A pin on the map, named in two languages."""
    page.get_by_role("link", name="Create Location").first.click()
    ready(page)
    page.get_by_label("Name, English").fill("Harbour East")
    page.locator("#name-bg-tab").click()
    page.get_by_label("Name, Bulgarian").fill("Пристанище Изток")
    page.get_by_role("tab", name="Address").click()
    page.get_by_label("Latitude").fill("43.2006")
    page.get_by_label("Longitude").fill("27.9259")
    page.get_by_label("City").fill("Varna")
    choose(page, "Country", "Bulgaria")
    page.get_by_role("button", name="Create Location").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Harbour East")


def create_zone(page: Page) -> None:
    """A part of it."""
    page.get_by_role("link", name="Create Charging Zone").first.click()
    ready(page)
    page.get_by_label("Name", exact=True).fill("Harbour East Zone")
    choose(page, "Location", "harbour")
    page.get_by_role("button", name="Create Charging Zone").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Harbour East Zone")


def tab(page: Page, name: str) -> Locator:
    """A tab of a form, also with a badge behind its name."""
    return page.get_by_role("tab", name=re.compile(rf"^{name}"))


def fill_evses(page: Page) -> None:
    """An EVSE with two plugs, and its duplicate."""
    page.get_by_role("button", name="Add EVSE").click()
    evses = page.locator("[data-inline-list]").first.locator(":scope > [data-inline-item]")
    first = evses.nth(0)
    expect(first.get_by_label("ID (QR Code)")).not_to_have_value("")
    expect(first.get_by_label("Network ID")).to_have_value("1")
    first.get_by_label("Display Max Power (kW)").fill("22")
    first.get_by_label("Tariff Group").select_option(index=1)
    for _ in range(2):
        first.get_by_role("button", name="Add Connector").click()
    first.get_by_label("Type", exact=True).nth(1).select_option("Type 2")
    first.get_by_label("Type", exact=True).nth(2).select_option("Schuko")
    first.get_by_role("button", name="Duplicate").first.click()
    expect(evses).to_have_count(2)
    expect(evses.nth(1).get_by_label("Network ID")).to_have_value("2")
    expect(evses.nth(1).get_by_label("ID (QR Code)")).not_to_have_value("")
    expect(evses.nth(1).get_by_label("Display Max Power (kW)")).to_have_value("22")


def test_a_new_site_from_location_to_connectors(desk: Desk, house: House) -> None:
    house.tariff_group()
    house.session.commit()
    create_location(desk.open("/assets/locations/"))
    create_zone(desk.open("/assets/charging-zones/"))
    page = desk.open("/assets/charge-points/new/")
    page.get_by_label("Name", exact=True).fill("Alfen Eve Double")
    choose(page, "Charging Zone", "harbour")
    tab(page, "EVSEs").click()
    fill_evses(page)
    # the mistake is on a tab that is not open: its badge counts it, and it opens
    page.get_by_role("button", name="Create Charge Point").click()
    ready(page)
    expect(tab(page, "OCPP")).to_have_attribute("aria-selected", "true")
    expect(tab(page, "OCPP").locator(".badge")).to_contain_text("1")
    expect(tab(page, "General").locator(".badge")).to_have_count(0)
    identifier = page.get_by_label("Charge Point ID")
    expect(identifier).to_be_visible()
    expect(identifier).to_have_attribute("aria-invalid", "true")
    identifier.fill("HARBOUR-EAST-1")
    expect(page.locator("[data-ocpp-url]")).to_contain_text("/ocpp/HARBOUR-EAST-1")
    page.get_by_role("button", name="Create Charge Point").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Alfen Eve Double")
    ready(page)
    made = house.again().scalars(select(ChargePoint).where(ChargePoint.identifier == "HARBOUR-EAST-1")).one()
    assert [evse.network_id for evse in made.evses] == [1, 2]
    assert len({evse.code for evse in made.evses}) == 2
    assert [[str(plug.type) for plug in evse.connectors] for evse in made.evses] == [["Type 2", "Schuko"]] * 2
    expect(page.locator("#card-evses .evse-line")).to_have_count(2)
    page.get_by_role("tab", name="EVSEs").click()
    expect(page.get_by_role("region", name="All EVSEs").locator("tbody tr").nth(1)).to_contain_text("Schuko, socket")


def test_a_reset_needs_a_reason_and_its_outcome_arrives_by_itself(desk: Desk, house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    station.boot()
    page = desk.open(details_of(charge_point), live=True)
    mark(page)
    dialog = act(page, "Reset", kind="Hard: reboots the entire charge point")
    expect(dialog.locator("#reason-error")).to_be_visible()
    expect(dialog.get_by_label("Reason")).to_be_focused()
    expect(dialog.locator("#kind")).to_have_value("hard")
    fill_dialog(page, "Hangs since this morning")
    expect(dialog).to_contain_text("Pending")
    call = station.expect_call("Reset")
    assert call.payload == {"type": "Hard"}
    call.answer(status="Accepted")
    soon(dialog, "Accepted")
    close_dialog(page)
    page.get_by_role("tab", name="Actions", exact=True).click()
    logged = page.get_by_role("region", name="Actions").locator("tbody tr")
    for words in ("Reset", "Hangs since this morning", "Accepted", "Olga Operator"):
        expect(logged).to_contain_text(words)
    assert_same_document(page)


def test_a_refused_and_an_unreachable_order_say_so(desk: Desk, house: House) -> None:
    charge_point = house.station()
    station = house.connect(charge_point)
    station.boot()
    page = desk.open(details_of(charge_point), live=True)
    dialog = act(page, "Change Availability", "Road works", availability="Inoperative: no new sessions")
    station.expect_call("ChangeAvailability").answer(status="Rejected")
    soon(dialog, "Rejected")
    close_dialog(page)
    station.close()
    soon(page.locator("#card-status"), "Last seen")
    dialog = act(page, "Clear Cache", "Old cards")
    soon(dialog, "Not connected")


def test_a_session_is_started_and_stopped_from_the_evse(desk: Desk, house: House) -> None:
    charge_point = house.station()
    evse: Evse = charge_point.evses[0]
    driver: User = house.driver(first_name="Rada", last_name="Remote")
    station = house.connect(charge_point)
    station.boot()
    station.status(1, "Preparing")
    page = desk.open(f"/assets/evses/details/?id={evse.id}", live=True)
    mark(page)
    card = page.locator("#card-session")
    page.get_by_role("button", name="Actions", exact=True).click()
    page.get_by_role("button", name="Start Session…").click()
    choose(page, "User", "remote")
    dialog = fill_dialog(page, "The driver's phone is empty", tariff=house.session.scalars(select(Tariff.name)).one())
    call = station.expect_call("RemoteStartTransaction")
    soon(card, "Pending")
    call.answer(status="Accepted")
    soon(dialog, "Accepted")
    close_dialog(page)
    begun = ago(minutes=5)
    number = station.start(1, call.payload["idTag"], meter_start_wh=0, at=begun)["transactionId"]
    soon(card, "Active")
    soon(card, driver.full_name)

    page.reload()
    ready(page)
    dialog = act(page, "Stop Session", "The driver asked for it")
    call = station.expect_call("RemoteStopTransaction")
    assert call.payload == {"transactionId": number}
    call.answer(status="Accepted")
    soon(dialog, "Accepted")
    station.stop(number, meter_stop_wh=1000, at=begun + timedelta(minutes=5), reason="Remote")
    soon(card, "No active session")
    soon(card, "€1.00")  # 0.50 + 5 × 0.02 + 0.40


def test_a_station_that_tried_to_connect_is_one_click_from_its_form(desk: Desk, house: House) -> None:
    assert house.zone.id
    house.session.commit()
    with pytest.raises(InvalidStatus):
        connect(house.server.ws, "NEW-STATION-7")
    # attempts are counted in memory and written every two seconds
    eventually(lambda: house.again().scalar(select(UnknownStation.attempts)), timeout_s=15)
    page = desk.open("/assets/charge-points/")
    expect(page.get_by_role("status").filter(has_text="tried to connect")).to_contain_text("1 station")
    page.get_by_role("link", name="See who tried").click()
    ready(page)
    row = page.locator("#list tbody tr").filter(has_text="NEW-STATION-7")
    row.get_by_role("link", name="Create Charge Point").click()
    ready(page)
    tab(page, "OCPP").click()
    expect(page.get_by_label("Charge Point ID")).to_have_value("NEW-STATION-7")
    expect(page.locator("[data-ocpp-url]")).to_contain_text("/ocpp/NEW-STATION-7")
    tab(page, "General").click()
    page.get_by_label("Name", exact=True).fill("Found one")
    choose(page, "Charging Zone", "modera")
    with connected(page):
        page.get_by_role("button", name="Create Charge Point").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Found one")
    ready(page)
    station = connect(house.server.ws, "NEW-STATION-7")
    house.stations.append(station)
    soon(page.locator("#card-status"), "socket open")
