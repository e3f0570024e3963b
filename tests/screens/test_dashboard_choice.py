"""Which cards are on a dashboard, in which order: the role's default, and what each admin made of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session

from admin_views.dashboard.cards import CARDS
from app.core.models import Admin, CurrencyRow
from app.dashboard import layout
from app.dashboard.layout import Layout, UnknownCard, arrange
from tests.browser.axe import violations
from tests.screens.test_dashboard_browser import enter, fleet, site  # noqa: F401 (fixtures)
from tests.support.factories_dashboard import (
    Visitor,
    make_admin,
    make_partner,
    make_session,
    make_station,
    make_zone,
    signed_in,
)
from tests.support.rollups import kept_up

# --- pure

_NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(available=_NAMES, shown=_NAMES, hidden=_NAMES, away=_NAMES)
def test_every_card_has_one_place(available: list[str], shown: list[str], hidden: list[str], away: list[str]) -> None:
    found = arrange(available, Layout(tuple(shown), tuple(hidden)), hidden=away)
    assert sorted((*found.shown, *found.hidden)) == sorted(available)
    kept = [name for name in found.shown if name in shown]
    assert kept == [name for name in shown if name in available]
    assert not {*found.hidden} & {*shown}


def test_a_new_card_stands_after_its_neighbour() -> None:
    assert arrange("abcd", Layout(("c", "a"), ("d",))).shown == ("c", "a", "b")
    assert arrange("abcd", Layout(("c", "b"))).shown == ("a", "c", "d", "b")
    assert arrange("abcd", Layout(), hidden="b") == Layout(("a", "c", "d"), ("b",))
    assert arrange("abcd", Layout(("b", "a")), hidden="b").shown == ("b", "c", "d", "a")


def test_moving_hiding_showing() -> None:
    start = Layout(("a", "b", "c"), ("d",))
    assert layout.move(start, "b", -1).shown == ("b", "a", "c")
    assert layout.move(start, "c", 1) == start
    assert layout.place(start, "c", "a").shown == ("c", "a", "b")
    assert layout.place(start, "a", None).shown == ("b", "c", "a")
    assert layout.place(start, "a", "a") == start
    assert layout.place(start, "d", "b") == Layout(("a", "d", "b", "c"), ())
    assert layout.hide(start, "a") == Layout(("b", "c"), ("d", "a"))
    assert layout.show(start, "d") == Layout(("a", "b", "c", "d"), ())
    for wrong in (
        lambda: layout.move(start, "d", 1),
        lambda: layout.place(start, "x", "a"),
        lambda: layout.show(start, "a"),
    ):
        with pytest.raises(UnknownCard):
            wrong()


# --- screens


def titles(page: str) -> list[str]:
    """Cards of the dashboard in order, the map among them."""
    return re.findall(r'<h2 class="(?:dash-title|card-title me-3)"[^>]*>([^<]+)</h2>', page)


def tiles(page: str) -> tuple[list[str], list[str]]:
    """What is shown and what is hidden while customising."""
    shown, _, hidden = page.partition('id="arrange-hidden"')
    return re.findall(r'data-tile="([^"]+)"', shown), re.findall(r'data-tile="([^"]+)"', hidden)


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    return signed_in(clean, make_admin(session))


DEFAULT = [
    "faults", "active", "charge_points", "users", "sessions", "energy", "revenue-EUR", "map", "power", "access",
    "cities",
]  # fmt: skip


def test_all_eleven_cards_of_the_manual_by_default(olga: Visitor) -> None:
    assert len(CARDS) + 1 == 11
    assert titles(olga.get("/").text) == [
        "Faults &amp; connectivity loss",
        "Active Charging Sessions",
        "New charge points",
        "New users",
        "Charging Sessions",
        "Total Energy",
        "Total Revenue (EUR)",
        "Locations",
        "EVSEs by max power (kW)",
        "Charge points by access type",
        "Locations by city",
    ]
    assert tiles(olga.get("/dashboard/customise/").text) == (DEFAULT, [])


def test_an_order_is_kept_for_one_admin(session: Session, clean: Flask, olga: Visitor) -> None:
    other = signed_in(clean, make_admin(session, email="otto@example.com", role="Operator"))
    olga.send("/dashboard/cards/sessions/", {"period": "today"})
    for change in (
        {"do": "later", "card": "faults"},
        {"do": "hide", "card": "users"},
        {"do": "place", "card": "map", "before": "active"},
        {"do": "earlier", "card": "energy"},
    ):
        assert olga.send("/dashboard/customise/", change).status_code == 200
    expected = [
        "map", "active", "faults", "charge_points", "energy", "sessions", "revenue-EUR", "power", "access", "cities",
    ]  # fmt: skip
    assert tiles(olga.get("/dashboard/customise/").text) == (expected, ["users"])
    page = olga.get("/").text
    assert titles(page)[:3] == ["Locations", "Active Charging Sessions", "Faults &amp; connectivity loss"]
    assert "New users" not in page
    assert 'value="today" selected' in page
    assert tiles(other.get("/dashboard/customise/").text) == (DEFAULT, [])
    shown = olga.send("/dashboard/customise/", {"do": "show", "card": "users"}).text
    assert tiles(shown) == ([*expected, "users"], [])
    assert tiles(olga.send("/dashboard/customise/", {"do": "reset"}).text) == (DEFAULT, [])
    admin = session.query(Admin).filter_by(email="olga@example.com").one()
    assert admin.preferences == {"dashboard": {"sessions": "today"}}


def test_all_can_be_hidden_and_come_back(olga: Visitor) -> None:
    for card in DEFAULT:
        assert olga.send("/dashboard/customise/", {"do": "hide", "card": card}).status_code == 200
    page = olga.get("/").text
    assert titles(page) == []
    assert "You have hidden all cards." in page
    assert "data-locations-map" not in page
    assert tiles(olga.get("/dashboard/customise/").text) == ([], DEFAULT)
    olga.send("/dashboard/customise/", {"do": "place", "card": "energy"})
    assert titles(olga.get("/").text) == ["Total Energy"]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"do": "dance", "card": "faults"},
        {"do": "hide", "card": "secrets"},
        {"do": "show", "card": "faults"},
        {"do": "place", "card": "faults", "before": "nowhere"},
        {"do": "later"},
    ],
)
def test_nonsense_changes_nothing(session: Session, olga: Visitor, change: dict[str, str]) -> None:
    answer = olga.send("/dashboard/customise/", change)
    assert answer.status_code == 400
    assert session.query(Admin).one().preferences == {}


@pytest.mark.parametrize("stored", [None, 7, {"shown": 3}, {"shown": [1, {}, "gone", "energy", "energy"]}])
def test_a_strange_choice_does_no_harm(session: Session, olga: Visitor, stored: Any) -> None:
    session.query(Admin).one().preferences = {"dashboard_layout": stored}
    session.commit()
    assert sorted(tiles(olga.get("/dashboard/customise/").text)[0]) == sorted(DEFAULT)
    assert len(titles(olga.get("/").text)) == 11


def test_a_currency_has_a_place_of_its_own(session: Session, olga: Visitor) -> None:
    session.merge(CurrencyRow(code="SEK", name="Krona", symbol="kr"))
    session.flush()
    evse = make_station(session, make_zone(session)).evses[0]
    make_session(session, evse, started_at=datetime.now(UTC) - timedelta(days=2), currency="SEK", gross="100.00")
    session.commit()
    olga.send("/dashboard/customise/", {"do": "place", "card": "revenue-SEK", "before": "faults"})
    olga.send("/dashboard/customise/", {"do": "hide", "card": "revenue-EUR"})
    found = titles(olga.get("/").text)
    assert found[0] == "Total Revenue (SEK)"
    assert "Total Revenue (EUR)" not in found
    assert tiles(olga.get("/dashboard/customise/").text)[1] == ["revenue-EUR"]


@pytest.mark.parametrize(
    "role, first, hidden",
    [
        ("Partner Owner", ["sessions", "energy", "revenue-EUR", "faults", "active"], {"cities"}),
        ("Partner Operator", ["faults", "active", "sessions"], {"cities", "charge_points"}),
        ("Partner Analyst", ["sessions", "energy", "revenue-EUR", "active"], set()),
    ],
)
def test_a_partners_role_has_its_own_dashboard(
    session: Session, clean: Flask, role: str, first: list[str], hidden: set[str]
) -> None:
    partner = make_partner(session)
    zone = make_zone(session)
    mine = make_station(session, zone, partner_id=partner.id).evses[0]
    foreign = make_station(session, zone).evses[0]
    at = datetime.now(UTC) - timedelta(days=2)
    make_session(session, mine, started_at=at, energy_wh=1000, gross="1.50")
    for _ in range(3):
        make_session(session, foreign, started_at=at, energy_wh=9000, gross="7.00")
    session.commit()
    client = signed_in(clean, make_admin(session, role=role, email="pia@lidl.example", partner_id=partner.id))
    kept_up()
    shown, away = tiles(client.get("/dashboard/customise/").text)
    assert shown[: len(first)] == first
    assert set(away) == hidden
    assert "users" not in (*shown, *away)
    page = client.get("/").text
    for title, number in (("Charging Sessions", "1"), ("Total Energy", "1.00 kWh"), ("Total Revenue (EUR)", "€1.50")):
        section = page.split(f">{title}</h2>", 1)[1].split("</section>", 1)[0]
        assert re.sub("<[^>]+>", "", section.split('class="dash-value">')[1].split("</span>")[0]) == number
    assert client.send("/dashboard/customise/", {"do": "later", "card": "sessions"}).status_code == 200
    assert tiles(client.get("/dashboard/customise/").text)[0][:2] == [shown[1], shown[0]] or role == "Partner Operator"


# --- in a browser


def order(page: Page) -> list[str]:
    return page.locator("ol [data-tile]").evaluate_all("all => all.map(each => each.dataset.tile)")


@pytest.mark.browser
@pytest.mark.slow
def test_customising_by_keyboard_and_by_mouse(site: str, browser: Browser, fleet: Any) -> None:  # noqa: F811
    page, complaints = enter(browser, site)
    page.get_by_role("link", name="Customise").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Customise the dashboard")
    button = page.get_by_role("button", name="Move Faults & connectivity loss later")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("ol [data-tile]").first).to_have_attribute("data-tile", "active")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("ol [data-tile]").nth(2)).to_have_attribute("data-tile", "faults")
    page.locator('[data-tile="energy"]').drag_to(
        page.locator('[data-tile="active"]'), target_position={"x": 5, "y": 20}
    )
    expect(page.locator("ol [data-tile]").first).to_have_attribute("data-tile", "energy")
    page.get_by_role("button", name="Hide New users").click()
    expect(page.get_by_role("button", name="Show New users")).to_be_focused()
    assert order(page)[:4] == ["energy", "active", "charge_points", "faults"]
    assert violations(page) == []
    page.get_by_role("link", name="Done").click()
    expect(page.locator(".dash-title").first).to_have_text("Total Energy")
    expect(page.get_by_text("New users")).to_have_count(0)
    assert complaints == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_customising_on_a_phone(site: str, browser: Browser, fleet: Any, theme: str) -> None:  # noqa: F811
    page, complaints = enter(browser, site, width=390, theme=theme)
    page.goto("/dashboard/customise/")
    page.get_by_role("button", name="Hide Total Energy").click()
    expect(page.get_by_role("button", name="Show Total Energy")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
