"""The base screens in Chromium: nothing for axe to find, nothing the policy blocks, and everything that moves."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import make_server

from tests.browser.axe import violations
from tests.ui.sample_app import Deed, Station, Status, db

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
WATCH = """document.addEventListener(
    'securitypolicyviolation', e => console.error('BLOCKED ' + e.violatedDirective + ' ' + e.sourceFile)
)"""
LIST = "/assets/charge-points/"
PAGES = {
    "dashboard": "/dashboard/home/",
    "list": LIST,
    "list with chips": f"{LIST}?flt0_status_is=active&flt1_last_seen_in=this-year&search=abb",
    "nothing matches": f"{LIST}?search=nothing-like-this",
    "create": f"{LIST}new/",
    "edit": f"{LIST}edit/?id=1",
    "details": f"{LIST}details/?id=2",
    "languages": "/assets/locations/edit/?id=1",
    "log": "/activity/charging-sessions/",
    "not there": "/assets/nothing",
    "bad request": f"{LIST}?flt0_colour_is=red",
}


@pytest.fixture
def site(screens: Flask) -> Iterator[str]:
    """The sample on a port of its own."""
    server = make_server("127.0.0.1", 0, screens, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)


def open_as_olga(browser: Browser, site: str, *, width: int = 1440, theme: str = "light") -> tuple[Page, list[str]]:
    """A page signed in, and what its console complains about."""
    context: BrowserContext = browser.new_context(viewport={"width": width, "height": 900}, base_url=site)
    context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    context.add_init_script(WATCH)
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda message: note(message, complaints))
    page.goto("/login")
    page.fill("#email", "olga@example.com")
    page.fill("#password", "x")
    page.click("text=Sign in >> nth=-1")
    page.wait_for_url("**/dashboard/home/")
    return page, complaints


def note(message: Any, complaints: list[str]) -> None:
    """Keep console errors, but not those of answers that are meant to be errors."""
    if message.type == "error" and "Failed to load resource" not in message.text:
        complaints.append(message.text)


def visit(page: Page, path: str) -> None:
    """Open a page and wait until its scripts are at work."""
    page.goto(path)
    page.wait_for_function("document.documentElement.dataset.ready === 'yes'")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_and_the_policy_blocks_nothing(browser: Browser, site: str, width: int, theme: str) -> None:
    page, complaints = open_as_olga(browser, site, width=width, theme=theme)
    wrong: dict[str, list[str]] = {}

    def look(name: str) -> None:
        page.wait_for_timeout(350)  # transitions end, colours settle
        found = violations(page)
        if found:
            wrong[name] = found
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
            f"{name} is wider than the screen"
        )

    for name, path in PAGES.items():
        visit(page, path)
        look(name)
    visit(page, LIST)
    page.click("[aria-controls=filters]")
    look("filters")
    page.keyboard.press("Escape")
    page.locator("#list-form input[name=rowid]").first.check()
    page.click("[data-bulk] > button")
    page.click("text=Reset…")
    page.wait_for_selector("#modal.show textarea")
    look("dialog")
    page.click("#modal .modal-footer .btn-primary")
    page.wait_for_selector("#reason-error")
    look("dialog with an error")
    visit(page, f"{LIST}edit/?id=1")
    page.click("#tab-evses-link")
    look("nested records")
    page.click("#tab-advanced-link")
    look("other fields")
    page.context.close()
    assert not wrong, json.dumps(wrong, indent=1)
    assert not complaints


def test_searching_filtering_and_going_back_without_a_reload(browser: Browser, site: str) -> None:
    page, complaints = open_as_olga(browser, site)
    visit(page, LIST)
    page.evaluate("window.kept = true")
    page.locator("#list-search").press_sequentially("alfen", delay=40)
    expect(page.locator(".list-footer")).to_contain_text("of 20")
    expect(page).to_have_url(re.compile("search=alfen"))
    expect(page.locator("#list-search")).to_have_value("alfen")
    assert page.evaluate("document.activeElement.id") == "list-search"
    page.click("[aria-controls=filters]")
    page.locator(".filter", has_text="Status").locator("select[data-value-for]:visible").select_option("active")
    page.click("text=Apply filters")
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator(".offcanvas-backdrop")).to_have_count(0)
    page.locator(".chip", has_text="Status").locator("a").click()
    expect(page.locator(".chip")).to_have_count(1)
    page.click("th >> text=Last seen")
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Last seen")
    page.click("text=Clear all")
    expect(page.locator(".list-footer")).to_contain_text("of 60")
    expect(page.locator("#list-search")).to_have_value("")
    assert page.evaluate("window.kept") is True
    page.go_back()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Last seen")
    page.context.close()
    assert not complaints


def test_a_preset_and_a_saved_view(browser: Browser, site: str) -> None:
    page, _ = open_as_olga(browser, site)
    visit(page, LIST)
    page.click("[aria-controls=filters]")
    page.click("[data-preset=last-month]")
    expect(page.locator(".chip")).to_contain_text("Last month")
    page.click("[aria-label='Columns, density and saved views']")
    page.fill("[name=save_view]", "Seen last month")
    page.keyboard.press("Enter")
    page.wait_for_load_state()
    visit(page, LIST)
    page.click("[aria-label='Columns, density and saved views']")
    page.click("text=Seen last month")
    expect(page.locator(".chip")).to_contain_text("Last month")
    page.context.close()


def test_an_action_on_all_that_match_followed_to_its_end(browser: Browser, site: str, screens: Flask) -> None:
    page, complaints = open_as_olga(browser, site)
    visit(page, f"{LIST}?flt0_city_is=Sofia")
    page.click("text=Select >> nth=0")
    page.click("[data-select=matching]")
    expect(page.locator("[data-selected-text]")).to_have_text("20 selected")
    page.click("[data-bulk] > button")
    page.click("text=Reset…")
    page.fill("#reason", "Grid works")
    page.click("#modal .modal-footer .btn-primary")
    expect(page.locator("#outcome")).to_contain_text("Waiting for the answer")
    with screens.app_context():
        assert db.session.query(Deed).count() == 20
        db.session.query(Deed).update({"status": "accepted"})
        db.session.commit()
    expect(page.locator("#outcome")).not_to_contain_text("Waiting")
    expect(page.locator("#outcome .status").first).to_contain_text("Accepted")
    page.click("#modal .modal-footer .btn-primary")
    expect(page.locator("#modal")).not_to_be_visible()
    page.context.close()
    assert not complaints


def test_nested_records_by_hand(browser: Browser, site: str, screens: Flask) -> None:
    page, complaints = open_as_olga(browser, site)
    visit(page, f"{LIST}new/")
    page.fill("#name", "By hand")
    page.fill("#identifier", "HAND-1")
    page.click("#site-ts-control")
    page.click(".ts-dropdown .option >> text=Sofia Mall West")
    page.click("#tab-evses-link")
    page.click("text=Add EVSE")
    page.fill("#outlets-0-code", "H1")
    page.select_option("#outlets-0-type", "DC")
    page.fill("#outlets-0-max_power_w", "50000")
    page.click("text=Add Connector")
    page.fill("#outlets-0-plugs-0-kind", "CCS2")
    page.locator("[data-inline-duplicate]").first.click()
    expect(page.locator("#outlets-1-max_power_w")).to_have_value("50000")
    expect(page.locator("#outlets-1-code")).to_have_value("")  # it must be unique
    expect(page.locator("#outlets-1-plugs-0-kind")).to_have_value("CCS2")
    page.click("text=Add EVSE")
    page.locator("[data-inline-item]", has=page.locator("#outlets-2-code")).locator(
        "[data-inline-remove]"
    ).first.click()
    page.fill("#outlets-1-code", "H2")
    page.click("button >> text=Create Charge Point")
    page.wait_for_url("**/details/**")
    expect(page.locator(".alert-success")).to_contain_text("Charge Point “By hand” was created.")
    with screens.app_context():
        made = db.session.query(Station).filter_by(identifier="HAND-1").one()
        assert [(o.code, o.type.value, [p.kind for p in o.plugs]) for o in made.outlets] == [
            ("H1", "DC", ["CCS2"]), ("H2", "DC", ["CCS2"])
        ]  # fmt: skip
        key = made.id
    visit(page, f"{LIST}edit/?id={key}")
    page.click("#tab-evses-link")
    page.locator("label.inline-delete").first.click()
    page.click("button >> text=/^Save$/")
    page.wait_for_url("**/details/**")
    with screens.app_context():
        kept = db.session.get(Station, key)
        assert kept is not None
        assert [o.code for o in kept.outlets] == ["H2"]
    page.context.close()
    assert not complaints


def test_leaving_a_changed_form_asks_first(browser: Browser, site: str) -> None:
    page, _ = open_as_olga(browser, site)
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    visit(page, "/assets/locations/edit/?id=1")
    page.click("text=Cancel")
    page.wait_for_url("**/details/**")
    assert asked == []
    visit(page, "/assets/locations/edit/?id=1")
    page.fill("#city", "Piraeus")
    page.click("text=Cancel")
    page.wait_for_timeout(300)
    assert asked == ["beforeunload"]
    assert "/edit/" in page.url
    page.context.close()


def test_the_theme_stays_and_the_keyboard_finds_the_search(browser: Browser, site: str) -> None:
    page, _ = open_as_olga(browser, site)
    visit(page, LIST)
    page.click("[data-theme-toggle]")
    visit(page, "/dashboard/home/")
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "universal-search"
    page.keyboard.type("lidl")
    expect(page.locator("#search-results a")).to_contain_text("lidl")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#search-results [aria-selected=true]")).to_have_text("lidl")
    assert page.evaluate("document.activeElement.id") == "universal-search"
    page.keyboard.press("Escape")
    expect(page.locator("#search-results a")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("athens")
    page.keyboard.press("Enter")  # before the answer is there
    page.wait_for_url("**/assets/charge-points/")
    page.context.close()


def test_a_dialog_keeps_the_focus_and_esc_closes_it(browser: Browser, site: str) -> None:
    page, _ = open_as_olga(browser, site)
    visit(page, f"{LIST}details/?id=2")
    page.get_by_role("button", name="Actions", exact=True).click()
    page.click("text=Disable…")
    page.wait_for_selector("#modal.show")
    for _step in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.getElementById('modal').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.locator("#modal")).not_to_be_visible()
    page.context.close()


def test_a_details_page_follows_what_was_done_without_a_reload(browser: Browser, site: str, screens: Flask) -> None:
    page, complaints = open_as_olga(browser, site)
    visit(page, f"{LIST}details/?id=4")
    expect(page.locator("#status")).to_contain_text("Active")
    page.evaluate("window.kept = true")
    page.get_by_role("button", name="Actions", exact=True).click()
    page.click("text=Disable…")
    page.fill("#reason", "Sold")
    page.click("#modal .modal-footer .btn-primary, #modal .modal-footer .btn-danger")
    expect(page.locator("#status")).to_contain_text("Disabled")
    page.click("#modal [data-bs-dismiss=modal] >> nth=-1")
    expect(page.locator("#related-0-content")).to_contain_text("kWh")
    assert page.evaluate("window.kept") is True
    with screens.app_context():
        disabled = db.session.get(Station, 4)
        assert disabled is not None
        assert disabled.status is Status.DISABLED
    page.context.close()
    assert not complaints


def test_an_error_in_the_background_is_said_in_a_message(browser: Browser, site: str, screens: Flask) -> None:
    page, _ = open_as_olga(browser, site)
    visit(page, f"{LIST}?search=abb")
    with screens.app_context():
        for station in db.session.query(Station).filter(Station.name.ilike("abb%")).limit(3):
            db.session.execute(db.text("DELETE FROM ui_reading WHERE station_id = :id"), {"id": station.id})
            db.session.delete(station)
        db.session.commit()
    page.click("text=Select >> nth=0")
    page.click("[data-select=matching]")
    page.click("[data-bulk] > button")
    page.click("text=Reset…")
    expect(page.locator("#toasts")).to_contain_text("17 match now")
    page.context.close()
