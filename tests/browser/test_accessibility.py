"""Every page there is, without a mouse, without eyes for colour, and on a phone.

Each page is opened once with realistic rows, all of its tabs unfolded, and looked at in light and dark 1440 pixels
wide, and in dark 390 pixels wide: axe-core finds nothing, and nothing makes the page scroll sideways.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Page, ViewportSize, expect
from sqlalchemy import select

from app.charging.models import ChargingSession
from tests.browser.axe import COLOUR_RULES, violations
from tests.browser.desk import Desk, act, ready
from tests.browser.scenery import furnish
from tests.support.gateway import House

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DESKTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
SECTIONS = ("assets", "tariffs", "activity", "payments", "crm", "configuration")

UNFOLD = """() => {
  for (const pane of document.querySelectorAll('main .tab-pane')) pane.classList.add('active', 'show');
  for (const details of document.querySelectorAll('main details')) details.open = true;
}"""
#: tabs fetch what they show when they come into sight, wherever on the page that is
SETTLED = "() => ![...document.querySelectorAll('main .spinner-border')].some(each => each.checkVisibility())"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
SCROLL_THROUGH = """async () => {
  for (const pane of document.querySelectorAll('main .tab-pane')) {
    pane.scrollIntoView();
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
  }
  window.scrollTo(0, 0);
}"""


def unfold(page: Page) -> None:
    """Show all tabs at once, and wait for what they fetch."""
    page.evaluate(UNFOLD)
    page.evaluate(SCROLL_THROUGH)
    page.wait_for_function(SETTLED)
    page.evaluate(UNFOLD)


def theme(page: Page, wanted: str) -> None:
    """Light or dark, by the product's own switch."""
    if page.locator("html").get_attribute("data-bs-theme") != wanted:
        page.locator("[data-theme-toggle]").evaluate("button => button.click()")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", wanted)


def look(page: Page) -> dict[str, list[str]]:
    """What is wrong with a page, by how it was looked at."""
    wrong: dict[str, list[str]] = {}
    for name, size, colours, rules in (
        ("desktop, light", DESKTOP, "light", ()),
        ("desktop, dark", DESKTOP, "dark", COLOUR_RULES),
        ("phone, dark", PHONE, "dark", ()),
    ):
        page.set_viewport_size(size)
        theme(page, colours)
        found = violations(page, rules=rules)
        excess = page.evaluate(TOO_WIDE)
        if excess > 0:
            found.append(f"{excess} px wider than the screen")
        if found:
            wrong[name] = found
    page.set_viewport_size(DESKTOP)
    theme(page, "light")
    return wrong


def path_of(page: Page, selector: str, *, last: bool = False) -> list[str]:
    """Where the first (or last) such link of a page leads, if there is one."""
    found = page.locator(selector)
    if not found.count():
        return []
    url = urlsplit(str((found.last if last else found.first).evaluate("link => link.href")))
    return [f"{url.path}?{url.query}".rstrip("?")]


def pages_of(desk: Desk, index: str) -> Iterator[str]:
    """Open a list and what it leads to: its form, one record, that record's form; gives each when it is open."""
    page = desk.open(index)
    yield index
    onward = [
        *path_of(page, "main a[href$='/new/']"),
        *path_of(page, "#list a[aria-label^='View ']"),
        *path_of(page, "#list a[aria-label^='Edit ']", last=True),
    ]
    for path in onward:
        page = desk.open(path)
        unfold(page)
        yield path


@pytest.mark.parametrize("section", SECTIONS)
def test_every_page_of_a_section(desk: Desk, house: House, app: Flask, section: str) -> None:
    furnish(house.session)
    indexes = sorted(
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(f"/{section}/") and rule.endpoint.endswith((".index_view", ".index"))
    )
    assert indexes, f"no page in {section}"
    wrong = {}
    for index in indexes:
        for path in pages_of(desk, index):
            found = look(desk.page)
            if found:
                wrong[path] = found
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)


def filtered_list(page: Page) -> None:
    """Chips, rows that are ticked, and the drawer of filters."""
    everything = page.get_by_role("button", name=re.compile(r"^Select all \d+ on this page"))
    for _ in range(5):  # the list is live: fetched anew just now, it takes an open menu along
        page.get_by_role("button", name="Select", exact=True).click()
        if everything.is_visible():
            break
    everything.click()
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#filters")).to_be_visible()


def list_options(page: Page) -> None:
    """Columns, density and saved views."""
    page.get_by_role("button", name="Columns, density and saved views").click()
    expect(page.get_by_role("group", name="Density")).to_be_visible()


def refused_dialog(page: Page) -> None:
    """An action without its reason."""
    expect(act(page, "Reset").locator("#reason-error")).to_be_visible()


def refused_form(page: Page) -> None:
    """A form with mistakes on two tabs, and an EVSE in it."""
    page.get_by_role("tab", name="EVSEs").click()
    page.get_by_role("button", name="Add EVSE").click()
    page.get_by_role("button", name="Add Connector").click()
    page.get_by_role("button", name="Create Charge Point").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_attached()
    unfold(ready(page))


def results(page: Page) -> None:
    """The universal search at work."""
    page.keyboard.press("/")
    page.keyboard.type("park")
    expect(page.locator("#search-results a").first).to_be_visible()


def phone_menu(page: Page) -> None:
    """The side menu on a phone."""
    page.set_viewport_size(PHONE)
    page.get_by_role("button", name="Menu").click()
    expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Tariffs")).to_be_visible()


STATES: dict[str, Callable[[Page], None] | None] = {
    "/": None,
    "/dashboard/faults/": None,
    "/account": None,
    "/search?q=park": None,
    "/nowhere": None,
    "/assets/charge-points/?flt0_colour_is=red": None,
    "/assets/charge-points/?search=no+such+thing": None,
    "/assets/charge-points/?flt0_system_status_is_not=demo&search=e": filtered_list,
    "/activity/charging-sessions/": list_options,
    "/assets/charge-points/details/?id={station}": refused_dialog,
    "/assets/charge-points/new/": refused_form,
    "/activity/charging-sessions/details/?id={running}": unfold,
    "/crm/users/": results,
    "/tariffs/tariffs/": phone_menu,
}

REFUSED = {"/nowhere": (404,), "/assets/charge-points/?flt0_colour_is=red": (400,)}


@pytest.mark.parametrize("half", [0, 1])
def test_every_state_of_a_page(desk: Desk, house: House, half: int) -> None:
    furnish(house.session)
    running = house.session.scalars(select(ChargingSession).where(ChargingSession.status == "active")).one()
    wrong = {}
    for path, reach in list(STATES.items())[half::2]:
        with desk.watch.allowing(*REFUSED.get(path, ())):
            page = desk.open(path.format(running=running.id, station=running.charge_point_id))
        if reach is not None:
            reach(page)
        found = look(page)
        if found:
            wrong[path] = found
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_door(desk: Desk, colours: str) -> None:
    page = desk.page
    desk.context.clear_cookies()
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")  # type: ignore[arg-type]
    with desk.watch.allowing(401):
        page.goto(desk.http + "/login")
        page.get_by_label("Email").fill("nobody@operator.example")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", colours)
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        assert violations(page) == []
        assert page.evaluate(TOO_WIDE) <= 0
