"""The product in one charge, as the operator sees it: a station goes into service, a driver charges, the bill is right.

The example file is provisioned; 7.4 kWh in 40 minutes at 0.50 € + 0.02 €/min + 0.40 €/kWh are 4.26 € with 20% VAT.
Every page was opened once; what changes on it must change by itself, within the two seconds the product promises.
"""

from __future__ import annotations

import csv
import io
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from app.assets.models import ChargePoint
from app.crm.models import User
from app.exports.stream import stream_csv
from app.provisioning.apply import provision
from tests.browser.desk import Desk, assert_same_document, connected, mark, ready, soon, status_row
from tests.support.gateway import House, ago
from tests.support.product import ROOT
from tests.support.scripted_station import ScriptedStation, sample

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = ROOT / "docs" / "provision.example.yaml"
TAG = "04A2B3C4D5E680"
_numbers = itertools.count(1)


def provisioned(house: House) -> ChargePoint:
    """The example file's house; its station gets an ID that the running server has never heard."""
    identifier = f"MODERA-{next(_numbers)}-{datetime.now(UTC):%H%M%S}"
    text = EXAMPLE.read_text().replace("MODERA-1", identifier)
    provision(house.session, text=text, secret_key=house.secret_key, actor=None, now=datetime.now(UTC))
    house.session.commit()
    return house.session.scalars(select(ChargePoint).where(ChargePoint.identifier == identifier)).one()


def by_menu(desk: Desk, entry: str) -> Page:
    """Open a page the way operators do."""
    desk.page.get_by_role("navigation", name="Main").get_by_role("link", name=entry, exact=True).click()
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(entry)
    return ready(desk.page)


def put_into_service(page: Page, station: ScriptedStation) -> None:
    """The station boots and reports; the open page tells so."""
    soon(status_row(page, "Connection"), "Available")
    assert station.boot(vendor="Vestel", model="EVC04", firmwareVersion="3.47.0")["status"] == "Accepted"
    station.status(0)
    station.status(1)
    soon(status_row(page, "Hardware status"), "Available")
    soon(page.locator("#card-evses .evse-status"), "Available")


def charge(page: Page, station: ScriptedStation, number: int, started_at: datetime) -> None:
    """The meter runs; the session's page follows each reading."""
    status = page.locator("#session-status")
    for minutes, energy_wh, shown in ((10, 1850, "1.85 kWh"), (20, 3700, "3.70 kWh"), (30, 5550, "5.55 kWh")):
        at = started_at + timedelta(minutes=minutes)
        station.meter(1, number, 1000 + energy_wh, at=at, samples=[sample(11_100, "Power.Active.Import", "W")])
        soon(status, shown)
        soon(status, "11.1 kW")
    # half way the price so far is on the page as well: 0.50 + 0.80 (of the clock) + 2.22
    soon(page.locator("#session-price"), "so far")
    soon(page.locator("#session-price"), "€2.22")


def assert_billed(page: Page) -> None:
    """The finished session's page: lines, totals, the balance's movement, curve and table."""
    soon(page.locator("#session-status"), "Finished")
    price = page.locator("#session-price")
    soon(price, "Total, VAT included")
    soon(price.locator("tfoot").first, "€4.26")
    assert [row.inner_text().split("\t") for row in price.locator("table").first.locator("tbody tr").all()] == [
        ["Connection fee", "1 session", "€0.50 / session", "€0.50"],
        ["Time", "40.000 min", "€0.02 / min", "€0.80"],
        ["Energy", "7.400 kWh", "€0.40 / kWh", "€2.96"],
    ]
    totals = [row.locator("td").inner_text() for row in price.locator("tfoot tr").all()]
    assert totals == ["€4.26", "€3.55", "€0.71"]
    expect(page.locator("#session-status")).to_contain_text("Paid")
    expect(price.get_by_role("region", name="Ledger entries").locator("tbody tr")).to_contain_text("€45.74")
    expect(price.locator(".verdicts .chosen")).to_contain_text("Standard AC")


def assert_curve(page: Page) -> None:
    """A picture, and beneath it the numbers it is made of."""
    expect(page.locator("canvas[data-curve]")).to_be_visible()
    page.locator("details.readings summary").click()
    rows = page.get_by_role("region", name="Meter readings").locator("tbody tr")
    energies = [row.locator("td").nth(1).inner_text() for row in rows.all()]
    assert energies[:3] == ["1.850", "3.700", "5.550"]
    painted = (
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(each => each)"
    )
    assert page.locator("canvas[data-curve]").evaluate(painted), "the curve is blank"


def assert_on_balance(desk: Desk, user: User) -> None:
    """The driver's page: the debit, and what is left."""
    page = desk.open(f"/crm/users/details/?id={user.id}")
    page.get_by_role("tab", name="Balance").click()
    newest = page.locator("#ledger tbody tr").first
    expect(newest).to_contain_text("€45.74")
    timestamp, kind, session, *amounts = [cell.inner_text() for cell in newest.locator("td").all()]
    assert (kind, amounts) == ("Charging session", ["—", "€4.26", "€45.74"])
    assert timestamp and session.isdigit()
    expect(page.locator("#status")).to_contain_text("€45.74")


def exported(page: Page, into: Path) -> list[dict[str, str]]:
    """The list as the spreadsheet gets it."""
    page.get_by_role("button", name="Export CSV").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV", exact=True).click()
    download.value.save_as(into)
    return list(csv.DictReader(io.StringIO(into.read_text("utf-8"))))


def assert_exported(rows: list[dict[str, str]], house: House, charge_point: ChargePoint) -> None:
    """The spreadsheet agrees with the screen, and with what the command line exports."""
    (line,) = rows
    wanted = {"user_email": "a@a.com", "id_tag": TAG, "charge_point_id": charge_point.identifier, "evse_id": "1112",
              "status": "finished", "payment_status": "paid", "energy_kwh": "7.400", "currency": "EUR",
              "total_gross": "4.26", "total_net": "3.55", "total_vat": "0.71", "tariff": "Standard AC"}  # fmt: skip
    assert {name: line[name] for name in wanted} == wanted
    lasted = datetime.fromisoformat(line["stopped_at"]) - datetime.fromisoformat(line["started_at"])
    assert lasted == timedelta(minutes=40)
    by_command = b"".join(stream_csv(house.again(), "sessions")).decode()
    (same,) = csv.DictReader(io.StringIO(by_command))
    contract = list(same)[:16]
    assert contract[-1] == "tariff"
    assert {name: line[name] for name in contract} == {name: same[name] for name in contract}


def test_a_charge_from_the_first_connection_to_the_bill(desk: Desk, house: House, tmp_path: Path) -> None:
    charge_point = provisioned(house)
    driver = house.session.scalars(select(User).where(User.email == "a@a.com")).one()

    page = by_menu(desk, "Charge Points")
    with connected(page):
        page.get_by_role("link", name=charge_point.name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(charge_point.name)
    ready(page)
    expect(status_row(page, "Connection")).to_contain_text("Never connected")
    mark(page)
    station = house.connect(charge_point)
    put_into_service(page, station)

    dashboard = desk.tab("/", live=True)
    active = dashboard.locator("#card-active")
    expect(active.locator(".dash-value")).to_have_text("0")
    sessions = desk.tab("/activity/charging-sessions/", live=True)
    expect(sessions.get_by_text("No Charging Sessions yet")).to_be_visible()
    for each in (dashboard, sessions):
        mark(each)

    started_at = ago(minutes=40)
    assert station.authorize(TAG) == "Accepted"
    station.status(1, "Preparing")
    number = station.start(1, TAG, meter_start_wh=1000, at=started_at)["transactionId"]
    station.status(1, "Charging")
    soon(active.locator(".dash-value"), "1")
    soon(page.locator("#card-evses"), "Charging")
    row = sessions.locator("#list tbody tr")
    soon(row, "Active")
    soon(row, "A A")
    for each in (page, dashboard, sessions):
        assert_same_document(each)

    with desk.context.expect_page() as opened:
        row.get_by_role("link", name="View").click(modifiers=["Control"])
    session_page = ready(opened.value)
    expect(session_page.locator("#session-status")).to_contain_text("0.00 kWh")
    mark(session_page)
    charge(session_page, station, number, started_at)
    soon(row, "5.55")
    soon(active, "11.1 kW")
    station.stop(number, meter_stop_wh=8400, at=started_at + timedelta(minutes=40), reason="EVDisconnected")
    station.status(1, "Available")

    assert_billed(session_page)
    assert_curve(session_page)
    soon(active.locator(".dash-value"), "0")
    soon(row, "Finished")
    soon(row, "€4.26")
    for each in (page, dashboard, sessions, session_page):
        assert_same_document(each)

    assert_on_balance(desk, driver)
    assert_exported(exported(sessions, tmp_path / "sessions.csv"), house, charge_point)
    desk.open("/")
    for card, shown in (("sessions", "1"), ("energy", "7.40 kWh"), ("revenue-EUR", "€4.26")):
        expect(desk.page.locator(f"#card-{card} .dash-value")).to_have_text(shown)
