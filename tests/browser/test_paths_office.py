"""The operator's daily paths at the office: money, prices, lists and their exports, settings, search, the door."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app.charging.lifecycle import SessionStatus
from tests.browser.desk import Desk, act, assert_same_document, close_dialog, mark, ready
from tests.support import factories_assets as make
from tests.support.gateway import House

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SESSIONS = "/activity/charging-sessions/"


def test_money_is_added_to_a_balance(desk: Desk, house: House) -> None:
    driver = house.driver(balance="12.40")
    page = desk.open(f"/crm/users/details/?id={driver.id}")
    mark(page)
    page.get_by_role("tab", name="Balance").click()
    ledger = page.locator("#ledger tbody tr")
    expect(ledger).to_have_count(1)
    dialog = act(page, "Add balance", "Goodwill", amount="-5")
    expect(dialog.locator("#amount-error")).to_have_text("Enter an amount above zero.")
    dialog.locator("#amount").fill("7,60")
    dialog.get_by_role("button", name="Add balance").click()
    expect(dialog).to_contain_text("the balance is now €20.00")
    close_dialog(page)
    expect(ledger).to_have_count(2)
    expect(ledger.first).to_contain_text("Operator top up")
    expect(ledger.first).to_contain_text("€7.60")
    expect(page.locator("#status")).to_contain_text("€20.00")
    assert_same_document(page)


def create_tariff(desk: Desk, name: str, kwh: str) -> None:
    """A tariff per kWh; the form asks for the prices of its type."""
    page = desk.open("/tariffs/tariffs/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("tab", name="Pricing").click()
    page.get_by_label("Type", exact=True).select_option(label="Flat rate")
    expect(page.get_by_label("Price per session")).to_be_visible()
    expect(page.get_by_label("Price per kWh").first).to_be_hidden()
    page.get_by_label("Type", exact=True).select_option(label="Duration + energy")
    expect(page.get_by_label("Price per session")).to_be_hidden()
    page.get_by_label("Price per kWh").first.fill(kwh)
    page.get_by_role("button", name="Create Tariff").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def test_prices_are_made_attached_and_ordered(desk: Desk) -> None:
    create_tariff(desk, "Residents", "0.30")
    create_tariff(desk, "Guests", "0,55")
    page = desk.open("/tariffs/tariff-groups/new/")
    page.get_by_label("Name", exact=True).fill("Harbour AC")
    page.get_by_role("button", name="Create Tariff Group").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Harbour AC")
    ready(page)
    mark(page)
    rows = page.locator("#group-tariffs tbody tr")
    expect(rows).to_have_count(1)
    for number, name in enumerate(("Residents", "Guests"), start=2):
        page.get_by_role("button", name="Attach Tariff").click()
        expect(page.locator("#modal .ts-control")).to_be_visible()
        page.locator("#modal .ts-control").click()
        page.locator(".ts-dropdown .option:visible", has_text=name).click()
        page.keyboard.press("Tab")
        page.locator("#modal").get_by_role("button", name="Attach Tariff").click()
        expect(rows).to_have_count(number)
        expect(page.locator("#modal")).to_be_hidden()
    expect(rows.nth(2)).to_contain_text("Guests")
    expect(rows.nth(2)).to_contain_text("€0.55")
    page.get_by_role("button", name="Move Guests up").click()
    expect(rows.nth(1)).to_contain_text("Guests")
    expect(rows.nth(2)).to_contain_text("Residents")
    assert_same_document(page)


def many_sessions(house: House, count: int = 32) -> None:
    """Sessions of two drivers; every fourth failed, each a little longer than the one before."""
    evse = house.station().evses[0]
    drivers = [house.driver(first_name="Dora", last_name="Daily"), house.driver(first_name="Emil", last_name="Early")]
    for number in range(count):
        make.make_session(
            house.session,
            evse,
            drivers[number % 2],
            status=SessionStatus.FAILED if number % 4 == 3 else SessionStatus.FINISHED,
            started_at=make.NOW - timedelta(hours=2, minutes=number),
            energy_wh=Decimal(1000 + 100 * number),
            readings=0,
        )
    house.session.commit()


def amounts(page: Page) -> list[float]:
    """The column "Total Amount" of a sorted list."""
    place = page.locator("#list thead th").all_inner_texts().index("TOTAL AMOUNT")
    cells = page.locator(f"#list tbody td:nth-child({place + 1})").all_inner_texts()
    return [float(cell.removeprefix("€")) for cell in cells if cell != "—"]


def narrow(page: Page) -> None:
    """Search one driver, then filter what finished; each leaves a chip and its trace in the address."""
    page.get_by_role("searchbox", name="Search number, user").fill("daily")
    expect(page.locator(".list-footer")).to_contain_text("of 16")
    page.get_by_role("button", name="Filters").click()
    drawer = page.locator("#filters")
    drawer.get_by_role("combobox", name="Session Status is", exact=True).select_option(label="Finished")
    drawer.get_by_role("button", name="Apply filters").click()
    expect(page.get_by_role("group", name="Active filters")).to_contain_text("Session Status is Finished")
    expect(drawer).to_be_hidden()


def test_sessions_are_found_sorted_selected_and_exported(desk: Desk, house: House, tmp_path: Path) -> None:
    many_sessions(house)
    page = desk.open(SESSIONS)
    mark(page)
    footer = page.locator(".list-footer")
    expect(footer).to_contain_text("1–25 of 32")
    narrow(page)
    expect(footer).to_contain_text("of 16")
    page.get_by_role("link", name="Remove the search").click()
    expect(footer).to_contain_text("1–24 of 24")
    expect(page).not_to_have_url(re.compile("search=daily"))
    page.get_by_role("link", name="Total Amount").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Total Amount")
    found = amounts(page)
    assert len(found) == 24 and found == sorted(found)

    page.get_by_label("Rows", exact=True).select_option("10")
    expect(footer).to_contain_text("1–10 of 24")
    page.get_by_role("link", name="Page 2").click()
    expect(footer).to_contain_text("11–20 of 24")
    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("button", name="Select all matching (24)").click()
    expect(page.get_by_role("button", name="24 selected")).to_be_visible()
    assert_same_document(page)
    page.get_by_role("button", name="Actions", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export selected as CSV").click()
    download.value.save_as(tmp_path / "selected.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "selected.csv").read_text("utf-8"))))
    assert {row["status"] for row in rows} == {"finished"} and len(rows) == 24
    assert [float(row["total_gross"]) for row in rows] == found

    # the page size is the admin's, for as long as they like it
    expect(desk.open(SESSIONS).locator(".list-footer")).to_contain_text("1–10 of 32")


def test_a_setting_is_in_force_at_once(desk: Desk, house: House) -> None:
    station = house.connect(house.station())
    assert station.boot()["interval"] == 300
    page = desk.open("/configuration/settings/")
    interval = page.get_by_label("Heartbeat interval")
    interval.fill("1")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".alert-danger")).to_contain_text("Nothing was saved")
    expect(interval).to_have_attribute("aria-invalid", "true")
    interval.fill("120")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved")).to_contain_text("Heartbeat interval")
    assert station.boot()["interval"] == 120
    page.get_by_role("button", name="History").click()
    expect(page.locator("#settings-history")).to_contain_text("300 seconds")
    expect(page.locator("#settings-history")).to_contain_text("120 seconds")


def test_search_needs_no_mouse(desk: Desk, house: House) -> None:
    charge_point = house.station()
    charge_point.name = "Kempower Satellite"
    house.driver(first_name="Kemal", last_name="Kempower")
    page = desk.open("/")
    box = page.get_by_role("combobox", name="Search everything")
    page.keyboard.press("/")
    expect(box).to_be_focused()
    page.keyboard.type("kempo")
    results = page.locator("#search-results")
    expect(results.get_by_role("option", name="Kempower Satellite").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(results.locator("a")).to_have_count(0)
    expect(box).not_to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.press("End")
    page.keyboard.type("wer")
    wanted = results.get_by_role("option", name="Kempower Satellite").first
    expect(wanted).to_be_visible()
    for _ in range(results.locator("a").count()):
        page.keyboard.press("ArrowDown")
        if wanted.get_attribute("aria-selected") == "true":
            break
    expect(wanted).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(charge_point.name)


def test_the_dark_mode_is_remembered(desk: Desk) -> None:
    page = desk.open("/")
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Dark mode").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    expect(page.get_by_role("button", name="Dark mode")).to_have_attribute("aria-pressed", "true")
    expect(desk.open("/crm/users/").locator("html")).to_have_attribute("data-bs-theme", "dark")
    dark = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    page.get_by_role("button", name="Dark mode").click()
    assert page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") != dark


def test_signing_out_closes_the_door(desk: Desk) -> None:
    page = desk.open("/crm/users/")
    page.get_by_role("button", name="Olga Operator").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(desk.http + "/crm/users/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator("input[name=next]")).to_have_value("/crm/users/")
