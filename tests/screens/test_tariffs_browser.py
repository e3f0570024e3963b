"""What the pages of tariffs, CRM and CONFIGURATION do in a browser, and that they need neither mouse nor eyes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from app.crm.models import User
from app.tariffs.models import TariffGroup, TariffPowerLevel, TariffType
from tests.support import factories_crm as make

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def site(clean: Flask) -> Iterator[str]:
    """The application on a port of its own."""
    server = make_server("127.0.0.1", 0, clean, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(10)


@pytest.fixture
def people(session: Session) -> dict[str, Any]:
    """An admin, a driver with a card and money, and the tariffs of a group."""
    olga = make.admin(session, "Olga Operator")
    alex = make.user(session)
    make.tag(session, alex)
    make.credited(session, alex, "12.40")
    fleet = make.user_group(session, "Fleet", alex)
    levels = [TariffPowerLevel(max_power_w=7400, price_per_minute=Decimal("0.1"))]
    steps = make.tariff(session, "By power", type=TariffType.POWER_LEVELS, levels=levels)
    cheap = make.tariff(session, "Corporate", user_groups=[fleet])
    make.tariff(session, "Spare", type=TariffType.FLAT, price_per_session=Decimal(5))
    group = make.tariff_group(session, "AC Charging", cheap)
    session.commit()
    return {"admin": olga, "user": alex, "steps": steps, "group": group, "fleet": fleet}


def opened(browser: Browser, clean: Flask, site: str, admin: Any, *, width: int = 1440) -> Page:
    """A signed-in page of this width, light at first."""
    client = make.signed_in(clean, admin)
    cookie = client.get_cookie("sync_session")
    assert cookie is not None
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    context.add_cookies(
        [
            {"name": "sync_session", "value": cookie.value, "url": site},
            {"name": "theme", "value": "light", "url": site},
        ]
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    return page


def go(page: Page, url: str) -> list[str]:
    """Open an address and wait until its scripts have run; returns what the console complained of."""
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    page.wait_for_selector("html[data-ready=yes]")
    return complaints


def test_only_the_prices_of_the_chosen_type_are_asked_for(
    browser: Browser, clean: Flask, site: str, people: dict[str, Any]
) -> None:
    page = opened(browser, clean, site, people["admin"])
    assert go(page, f"{site}/tariffs/tariffs/new/") == []
    page.fill("#name", "Steps")
    page.click("#tab-pricing-link")
    names = (
        "price_per_session", "connection_fee", "price_per_minute", "price_per_kwh", "day_starts", "night_starts",
        "night_price_per_minute", "night_price_per_kwh", "idle_fee_per_minute",
    )  # fmt: skip

    def asked() -> set[str]:
        return {name for name in names if page.locator(f"#{name}").is_visible()}

    idle = {"idle_fee_per_minute"}
    by_energy = {"connection_fee", "price_per_minute", "price_per_kwh"}
    by_time = {"day_starts", "night_starts", "night_price_per_minute", "night_price_per_kwh"}
    expected = {
        "free": set(),
        "flat": {"price_per_session"},
        "duration_energy": by_energy,
        "duration_energy_tod": by_energy | by_time,
        "power_levels": set(),
    }
    for kind, fields in expected.items():
        page.select_option("#type", kind)
        assert asked() == fields | idle, kind
        assert page.get_by_role("heading", name="Night").is_visible() is (kind == "duration_energy_tod")
        assert page.get_by_role("heading", name="Power levels").is_visible() is (kind == "power_levels")
        assert page.get_by_role("button", name="Add Power Level").is_visible() is (kind == "power_levels")
    assert "average power (kW)" in page.locator("#type-hint").inner_text()
    page.get_by_role("button", name="Add Power Level").click()
    page.fill("#levels-0-max_power_w", "7.4")
    page.fill("#levels-0-price_per_minute", "0,10")
    page.get_by_role("button", name="Add Power Level").click()
    page.fill("#levels-1-max_power_w", "22")
    page.fill("#levels-1-price_per_minute", "0.15")
    page.get_by_role("button", name="Create Tariff").click()
    page.wait_for_selector("text=€0.10–0.15/min by power")


def test_a_tariff_is_attached_moved_and_detached_without_a_reload(
    browser: Browser, clean: Flask, site: str, people: dict[str, Any]
) -> None:
    page = opened(browser, clean, site, people["admin"])
    group: TariffGroup = people["group"]
    assert go(page, f"{site}/tariffs/tariff-groups/details/?id={group.id}") == []
    page.evaluate("window.stayed = true")
    rows = page.locator("#group-tariffs tbody tr")
    page.get_by_role("button", name="Attach Tariff").click()
    chooser = page.locator("#modal .ts-control input")
    expect(page.locator("#modal .modal-dialog")).to_have_css("transform", "none")  # it has come to rest
    chooser.click()
    chooser.press_sequentially("Spa")
    expect(page.locator("#modal .ts-dropdown .option")).to_have_count(1)
    chooser.press("Enter")
    chooser.press("Escape")
    page.locator("#modal").get_by_role("button", name="Attach Tariff").click()
    expect(rows).to_have_count(3)
    page.wait_for_selector("#modal", state="hidden")
    page.get_by_role("button", name="Move Spare up").click()
    expect(rows.nth(1)).to_contain_text("Spare")
    page.fill("[data-filter-rows]", "corpor")
    assert [row.is_visible() for row in rows.all()] == [False, False, True]
    page.fill("[data-filter-rows]", "")
    page.on("dialog", lambda dialog: dialog.accept())
    rows.nth(1).get_by_role("button", name="Detach").click()
    expect(rows).to_have_count(2)
    assert page.evaluate("window.stayed") is True


def test_adding_balance_changes_the_card_and_the_history_at_once(
    browser: Browser, clean: Flask, site: str, people: dict[str, Any]
) -> None:
    page = opened(browser, clean, site, people["admin"])
    user: User = people["user"]
    assert go(page, f"{site}/crm/users/details/?id={user.id}") == []
    page.click("text=Balance >> nth=-1")
    page.wait_for_selector("#ledger td:has-text('€12.40')")
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("button", name="Add balance").click()
    page.fill("#modal #amount", "5")
    page.fill("#modal #reason", "Goodwill")
    page.locator("#modal button.btn-primary").click()
    page.wait_for_selector("#modal >> text=the balance is now €17.40")
    page.wait_for_selector("#ledger >> text=Operator top up")
    page.wait_for_selector("#status >> text=€17.40")
