"""The dashboard, the door and the search in Chromium: live cards and pins, keyboard, nothing for axe to find."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from admin_views.live_hub import Hub
from app.assets.models import ChargePoint, ConnectionStatus, ReportedStatus
from app.charging.lifecycle import SessionStatus
from app.core import events
from tests.browser.axe import violations
from tests.support.factories_dashboard import (
    PASSWORD,
    make_admin,
    make_session,
    make_station,
    make_user,
    make_zone,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]
#: "Status changes reach an open page within two seconds without reload"; twice that on a busy machine
PROMPTLY_MS = 4000
WATCH = """document.addEventListener(
    'securitypolicyviolation', e => console.error('BLOCKED ' + e.violatedDirective + ' ' + e.sourceFile)
)"""


@pytest.fixture
def site(clean: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The application on a port of its own."""
    hub = Hub(clean.config["REDIS_URL"])
    monkeypatch.setitem(clean.extensions, "live", hub)
    server = make_server("127.0.0.1", 0, clean, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    hub.close()
    server.shutdown()
    thread.join(10)


@pytest.fixture
def fleet(session: Session) -> dict[str, ChargePoint]:
    """Two sites far apart, a driver, an operator."""
    make_admin(session, name="Olga Operator")
    make_user(session)
    sofia = make_station(session, make_zone(session), name="Alfen Eve", evses=2)
    london = make_zone(
        session, name="Canary Wharf", city="London", country="GB", latitude=Decimal("51.5"), longitude=Decimal("-0.02")
    )
    other = make_station(session, london, name="ABB Terra")
    session.commit()
    return {"sofia": sofia, "london": other}


def enter(browser: Browser, site: str, *, width: int = 1440, theme: str = "light") -> tuple[Page, list[str]]:
    """Sign in through the door; the page and what its console complains about."""
    context = browser.new_context(viewport={"width": width, "height": 900}, base_url=site, reduced_motion="reduce")
    context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    context.add_init_script(WATCH)
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto("/")
    page.fill("#email", "olga@example.com")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    return page, complaints


def connected(site_app: Flask, pages: int = 1) -> None:
    """Wait until so many pages listen."""
    deadline = time.monotonic() + 45
    while site_app.extensions["live"].browsers < pages:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_fault_reaches_the_open_dashboard(
    session: Session, clean: Flask, site: str, browser: Browser, fleet: dict[str, ChargePoint]
) -> None:
    page, complaints = enter(browser, site)
    card = page.locator("#card-faults .dash-value")
    expect(card).to_have_text("0")
    expect(page.locator(".pin-available")).to_have_count(2 + 1)  # and the legend's
    connected(clean)
    station = fleet["sofia"]
    station.evses[1].state.status = ReportedStatus.FAULTED
    events.announce(session, "charge_point.hardware", partner_id=1, charge_point_id=station.id)
    session.commit()
    expect(card).to_have_text("1", timeout=PROMPTLY_MS)
    expect(page.locator(".leaflet-marker-icon.pin-faulty")).to_have_count(1, timeout=PROMPTLY_MS)
    expect(page.locator('[data-legend="5"]')).to_have_text("1")
    expect(page.locator('[data-legend="1"]')).to_have_text("1")
    assert complaints == []


def test_sessions_come_and_go_on_the_open_dashboard(
    session: Session, clean: Flask, site: str, browser: Browser, fleet: dict[str, ChargePoint]
) -> None:
    page, complaints = enter(browser, site)
    active = page.locator("#card-active")
    expect(active).to_contain_text("0 sessions")
    connected(clean)
    row = make_session(
        session, fleet["sofia"].evses[0], started_at=datetime.now(UTC), status=SessionStatus.ACTIVE, power_w=7400
    )
    events.announce(session, "session.started", partner_id=1, session_id=row.id)
    session.commit()
    expect(active).to_contain_text("7.4 kW in total", timeout=PROMPTLY_MS)
    time.sleep(1.1)  # readings reach collective events once a second
    row.power_w = Decimal(11000)
    events.announce(session, "session.metered", partner_id=1, session_id=row.id)
    session.commit()
    expect(active).to_contain_text("11 kW in total", timeout=PROMPTLY_MS)
    assert complaints == []


def test_new_locations_appear_on_the_open_map(
    session: Session, clean: Flask, site: str, browser: Browser, fleet: dict[str, ChargePoint]
) -> None:
    page, complaints = enter(browser, site)
    connected(clean)
    zone = make_zone(session, name="Athens", latitude=Decimal("38"), longitude=Decimal("23.7"), country="GR")
    station = make_station(session, zone, connection=ConnectionStatus.NEVER_CONNECTED)
    events.announce(session, "charge_point.changed", partner_id=1, charge_point_id=station.id)
    session.commit()
    expect(page.locator('[data-legend="0"]')).to_have_text("1", timeout=PROMPTLY_MS)
    assert complaints == []


def test_a_pin_opens_its_tooltip_and_leads_on(
    session: Session, site: str, browser: Browser, fleet: dict[str, ChargePoint]
) -> None:
    page, complaints = enter(browser, site)
    page.locator('.leaflet-marker-icon[title="Sofia Ring Mall"]').focus()
    page.keyboard.press("Enter")
    tooltip = page.locator(".leaflet-popup")
    expect(tooltip).to_contain_text("2 × AC 22 kW")
    expect(tooltip).to_contain_text("2 available")
    assert violations(page) == []
    tooltip.get_by_role("link", name="Sofia Ring Mall").click()
    expect(page).to_have_url(re.compile("/assets/locations/details/"))
    assert complaints == []


def test_the_period_menu_changes_its_card_and_is_kept(
    session: Session, site: str, browser: Browser, fleet: dict[str, ChargePoint]
) -> None:
    make_session(session, fleet["sofia"].evses[0], started_at=datetime.now(UTC).replace(year=2025, month=6, day=15))
    session.commit()
    page, complaints = enter(browser, site)
    body = page.locator("#card-sessions")
    expect(body.locator(".dash-value")).to_have_text("0")
    page.get_by_label("Period of Charging Sessions").select_option("Last year")
    expect(body.locator(".dash-value")).to_have_text("1")
    page.reload()
    expect(body.locator(".dash-value")).to_have_text("1")
    expect(page.get_by_label("Period of Charging Sessions")).to_have_value("last-year")
    expect(page.get_by_label("Period of Total Energy")).to_have_value("last-30-days")
    assert complaints == []


def test_the_search_by_keyboard_alone(
    session: Session, site: str, browser: Browser, fleet: dict[str, ChargePoint]
) -> None:
    page, complaints = enter(browser, site)
    page.keyboard.press("/")
    page.keyboard.type("abb")
    results = page.locator("#search-results")
    expect(results.get_by_role("option", name="ABB Terra").first).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(results).to_be_empty()
    page.keyboard.press("Control+k")
    page.keyboard.type("abb ")
    expect(results.get_by_role("option", name="ABB Terra").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("ABB Terra")
    assert complaints == []
