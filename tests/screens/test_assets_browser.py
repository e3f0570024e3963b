"""Stations and sessions in a browser: changes arrive within two seconds, forms help, everybody can use it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from app.assets.models import ChargePoint, ReportedStatus, SystemStatus
from app.billing import ledger
from app.charging import commands, gateways
from app.charging.lifecycle import SessionStatus
from app.charging.models import Authorization, ChargingSession
from app.core import events
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus, Admin
from tests.support.factories_assets import make_session, make_station, make_tariff_group, make_user, make_zone, tap
from tests.support.factories_dashboard import make_admin, signed_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
#: product: "Status changes reach an open page within two seconds without reload"
LIVE_MS = 2000


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
def admin(session: Session) -> Admin:
    """An operator."""
    return make_admin(session, role="Operator", timezone="Europe/Sofia")


@pytest.fixture
def station(session: Session, admin: Admin) -> ChargePoint:
    """Two EVSEs, one of which charges a car."""
    made = make_station(session, make_zone(session), evses=2, group=make_tariff_group(session), name="Vestel 22 kW")
    made.evses[1].state.status = ReportedStatus.CHARGING
    started_at = utcnow() - timedelta(minutes=30)
    driver = make_user(session)
    ledger.add_balance(
        session, user=driver, amount=Decimal(50), currency="EUR", reason="test", actor=admin, now=started_at
    )
    make_session(session, made.evses[1], driver, status=SessionStatus.ACTIVE, started_at=started_at, minutes=29)
    make_session(session, made.evses[0], driver, started_at=started_at - timedelta(minutes=60))
    tap(session, made, "DEADBEEF00")
    session.commit()
    return made


@pytest.fixture
def page(browser: Browser, clean: Flask, site: str, admin: Admin) -> Iterator[Page]:
    """A signed-in page that complains of any script error."""
    opened = open_page(browser, clean, site, admin)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield opened
    opened.context.close()
    assert not problems, problems


def open_page(
    browser: Browser, clean: Flask, site: str, admin: Admin, *, width: int = 1440, theme: str = "light"
) -> Page:
    """A signed-in page of this width and theme."""
    cookie = signed_in(clean, admin).get_cookie("sync_session")
    assert cookie is not None
    context = browser.new_context(viewport={"width": width, "height": 900}, base_url=site)
    context.add_cookies(
        [
            {"name": "sync_session", "value": cookie.value, "url": site},
            {"name": "theme", "value": theme, "url": site},
        ]
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    return page


def listening(page: Page, path: str) -> None:
    """Open a page and wait until it hears events."""
    with page.expect_response(lambda answer: "/live?" in answer.url):
        page.goto(path)
    page.wait_for_function("document.documentElement.dataset.ready === 'yes'")
    time.sleep(0.3)


# --- what happens reaches the page


def test_a_fault_reaches_the_open_page(page: Page, session: Session, station: ChargePoint) -> None:
    listening(page, f"/assets/charge-points/details/?id={station.id}")
    page.evaluate("window.sameDocument = true")
    expect(page.locator("#card-evses")).to_contain_text("Charging")
    state = station.evses[0].state
    state.status, state.error_code, state.status_at = ReportedStatus.FAULTED, "GroundFailure", utcnow()
    session.commit()
    events.publish([{"name": "charge_point.hardware", "partner_id": 1, "charge_point_id": station.id}])
    expect(page.locator("#card-evses")).to_contain_text("GroundFailure", timeout=LIVE_MS)
    expect(page.locator("#card-status")).to_contain_text("Fault", timeout=LIVE_MS)
    assert page.evaluate("window.sameDocument") is True


def test_the_list_follows_too_unless_somebody_is_selecting(page: Page, session: Session, station: ChargePoint) -> None:
    listening(page, "/assets/charge-points/")
    row = page.locator("#list tbody tr", has_text="Vestel 22 kW")
    station.status = SystemStatus.OUT_OF_ORDER
    session.commit()
    events.publish([{"name": "charge_point.changed", "partner_id": 1, "charge_point_id": station.id}])
    expect(row).to_contain_text("Out of order", timeout=LIVE_MS)
    row.locator("input[name=rowid]").check()
    station.status = SystemStatus.ACTIVE
    session.commit()
    events.publish([{"name": "charge_point.changed", "partner_id": 1, "charge_point_id": station.id}])
    page.wait_for_timeout(LIVE_MS)
    expect(row.locator("input[name=rowid]")).to_be_checked()
    row.locator("input[name=rowid]").uncheck()
    expect(row).to_contain_text("Active", timeout=2 * LIVE_MS)


def test_a_reading_reaches_the_sessions_page(page: Page, session: Session, station: ChargePoint) -> None:
    row = session.query(ChargingSession).filter_by(status=SessionStatus.ACTIVE).one()
    listening(page, f"/activity/charging-sessions/details/?id={row.id}")
    expect(page.locator("#session-status")).to_contain_text("7.40 kWh")
    expect(page.locator("canvas[data-curve]")).to_be_visible()
    row.energy_wh, row.power_w = Decimal(9990), Decimal(7000)
    session.commit()
    events.publish([{"name": "session.metered", "partner_id": 1, "session_id": row.id, "charge_point_id": station.id}])
    expect(page.locator("#session-status")).to_contain_text("9.99 kWh", timeout=LIVE_MS)
    expect(page.locator("#session-price")).to_contain_text("9.990 kWh", timeout=LIVE_MS)


def test_an_action_is_followed_to_its_outcome(page: Page, session: Session, clean: Flask, station: ChargePoint) -> None:
    client = clean.extensions["sync_redis"]
    client.hset(gateways.OWNERS, str(station.id), "gw-test:1")
    client.zadd(gateways.GATEWAYS, {"gw-test": time.time() + 60})
    listening(page, f"/assets/charge-points/details/?id={station.id}")
    page.locator(".page-header").get_by_role("button", name="Actions").click()
    page.get_by_role("button", name="Reset…").click()
    dialog = page.locator("#modal")
    expect(dialog).to_contain_text("Soft: only reboots the controller")
    dialog.get_by_label("Reason").fill("It hangs")
    dialog.get_by_role("button", name="Reset").click()
    expect(dialog).to_contain_text("Pending")
    action = session.query(Action).filter_by(command="reset").one()
    assert commands.claim(session, action_id=action.id, now=utcnow()) is not None
    commands.record_outcome(session, action_id=action.id, answer=commands.Answer(ActionStatus.ACCEPTED), now=utcnow())
    session.commit()
    expect(dialog).to_contain_text("Accepted", timeout=LIVE_MS)


# --- forms


def test_the_form_of_a_charge_point_helps(page: Page, session: Session, station: ChargePoint) -> None:
    page.goto("/assets/charge-points/new/?identifier=NEW-1")
    page.get_by_label("Name").fill("ABB Terra 54")
    page.locator("#zone-ts-control").click()
    page.locator(".ts-dropdown .option").first.click()
    page.get_by_role("tab", name="OCPP").click()
    expect(page.locator("[data-ocpp-url]")).to_have_text(
        f"{page.url.split('/assets')[0].replace('http', 'ws')}/ocpp/NEW-1"
    )
    page.get_by_label("Charge Point ID").fill("A B")
    expect(page.locator("[data-ocpp-url]")).to_contain_text("/ocpp/A%20B")
    page.get_by_label("Charge Point ID").fill("NEW-1")
    page.get_by_role("tab", name="Advanced").click()
    expect(page.get_by_text("Dynamic Load Management Settings")).to_be_hidden()
    page.locator("#load_management").check()
    expect(page.get_by_label("Phases")).to_be_visible()
    expect(page.get_by_label("Phase Rotation")).to_be_hidden()
    page.get_by_label("Phases").select_option("3-Phase")
    expect(page.get_by_label("Phase Rotation")).to_be_visible()
    expect(page.get_by_label("Connected Phase")).to_be_hidden()
    page.locator("#load_management").uncheck()
    page.get_by_role("tab", name="EVSEs").click()
    page.get_by_role("button", name="Add EVSE").click()
    code = page.locator("#evses-0-code")
    expect(code).to_have_value(re.compile("^[0-9A-Z]{6}$"))
    expect(page.locator("#evses-0-network_id")).to_have_value("1")
    expect(page.locator("#evses-0-max_current_a")).to_be_hidden()
    drawn = code.input_value()
    page.get_by_role("button", name="Refresh").first.click()
    expect(code).not_to_have_value(drawn)
    page.locator("#evses-0-max_power_w").fill("7.4")
    page.get_by_role("button", name="Add Connector").first.click()
    page.locator("#evses-0-connectors-0-type").select_option("CCS2")
    page.get_by_role("button", name="Duplicate").first.click()
    expect(page.locator("#evses-1-network_id")).to_have_value("2")
    expect(page.locator("#evses-1-max_power_w")).to_have_value("7.4")
    expect(page.locator("#evses-1-connectors-0-type")).to_have_value("CCS2")
    expect(page.locator("#evses-1-code")).not_to_have_value("")
    page.get_by_role("button", name="Create Charge Point").click()
    expect(page.locator("#card-evses")).to_contain_text("7.4 kW")
    made = session.query(ChargePoint).filter_by(identifier="NEW-1").one()
    assert [evse.max_power_w for evse in made.evses] == [7400, 7400]
    assert made.evses[0].code != made.evses[1].code


def test_a_session_is_started_from_the_evse(page: Page, session: Session, station: ChargePoint) -> None:
    page.goto(f"/assets/evses/details/?id={station.evses[0].id}")
    page.locator(".page-header").get_by_role("button", name="Actions").click()
    page.get_by_role("button", name="Start Session…").click()
    dialog = page.locator("#modal")
    dialog.locator("#user-ts-control").fill("alex")
    dialog.locator(".ts-dropdown .option").first.click()
    dialog.get_by_label("Tariff").select_option("AC public: Base tariff")
    dialog.get_by_label("Reason").fill("No internet")
    dialog.get_by_role("button", name="Start Session").click()
    expect(dialog).to_contain_text("Not connected", timeout=5000)
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator("#card-session")).to_contain_text("Failed", timeout=LIVE_MS)


# --- for everybody


def last_authorization(session: Session) -> int:
    """The unknown card's."""

    return session.query(Authorization).order_by(Authorization.id.desc()).limit(1).one().id
