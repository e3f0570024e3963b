"""Locations and Charging Zones: forms in languages, addresses, and the lists around them."""

from __future__ import annotations

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets import verbs
from app.assets.models import ChargingZone, ConnectionStatus, Location, ReportedStatus, ZoneStatus
from tests.support.factories_assets import make_location, make_station, make_zone
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

NEW = "/assets/locations/new/"


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User, signed in."""
    return signed_in(clean, make_admin(session))


def fields(**changes: Any) -> dict[str, Any]:
    """What the form of a location posts."""
    return {
        "name-en": "Modera Restaurant parking",
        "name-bg": "Паркинг Модера",
        "short_description-en": "Behind the restaurant",
        "description-en": "Open 24/7.",
        "latitude": "42.697700",
        "longitude": "23.3219",
        "address-en": "1 Vitosha blvd",
        "city": "Sofia",
        "postcode": "1000",
        "region": "Sofia",
        "country": "BG",
        "what3words": "///Index.home.raft",
        "timezone": "Europe/Sofia",
        **changes,
    }


def test_a_location_is_made_in_two_languages(olga: Visitor, session: Session) -> None:
    answer = olga.send(NEW, fields())
    assert answer.status_code == 302
    found = session.query(Location).one()
    assert found.name == {"en": "Modera Restaurant parking", "bg": "Паркинг Модера"}
    assert (found.latitude, found.longitude, found.country) == (Decimal("42.6977"), Decimal("23.3219"), "BG")
    assert (found.what3words, found.timezone, found.roaming) == ("index.home.raft", "Europe/Sofia", False)
    page = olga.get(f"/assets/locations/details/?id={found.id}").get_data(as_text=True)
    assert "Паркинг Модера" in page and "Bulgaria" in page


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name-en": "", "name-bg": ""}, "Enter the English text"),
        ({"latitude": "91"}, "Between -90 and 90"),
        ({"longitude": "-180.5"}, "Between -180 and 180"),
        ({"latitude": "north"}, "Enter a number"),
        ({"latitude": ""}, "required"),
        ({"country": "__None"}, "Choose one"),
        ({"what3words": "only.two"}, "word1.word2.word3"),
        ({"what3words": "a b.c.d"}, "word1.word2.word3"),
        ({"timezone": "Mars/Olympus"}, "Not a valid choice"),
    ],
)
def test_an_address_that_cannot_be_is_refused(
    olga: Visitor, session: Session, changes: dict[str, Any], message: str
) -> None:
    answer = olga.send(NEW, fields(**changes))
    assert answer.status_code == 422 and message in unescape(answer.get_data(as_text=True))
    assert session.query(Location).count() == 0


@pytest.mark.parametrize(
    "text, clean",
    [
        ("filled.count.soap", "filled.count.soap"),
        (" ///Filled.Count.Soap ", "filled.count.soap"),
        ("κάτι.άλλο.εδώ", "κάτι.άλλο.εδώ"),
        ("", None),
        (None, None),
    ],
)
def test_what3words_are_cleaned(text: str | None, clean: str | None) -> None:
    assert verbs.clean_what3words(text) == clean


@pytest.mark.parametrize("text", ["one.two", "one.two.three.four", "1.2.3", "one two three", "/one.two.three/", "a..b"])
def test_what_is_not_three_words_is_refused(text: str) -> None:
    with pytest.raises(verbs.InvalidWhat3words):
        verbs.clean_what3words(text)


def test_the_list_counts_charge_points_and_finds_names_in_any_language(olga: Visitor, session: Session) -> None:
    location = make_location(session)
    zone = make_zone(session, location)
    for _ in range(3):
        make_station(session, zone)
    athens = make_location(session, "Athens Retail Park", city="Athens", country="GR")
    athens.name = {"en": "Athens Retail Park", "el": "Αθήνα"}
    session.commit()
    html = olga.get("/assets/locations/?search=Паркинг").get_data(as_text=True)
    line = re.search(r"<tbody>(.*?)</tbody>", html, re.S)
    assert line is not None
    cells = [re.sub(r"<[^>]+>|\s+", " ", text).strip() for text in re.findall(r"<td>(.*?)</td>", line[1], re.S)]
    assert cells[1:8] == ["Modera Restaurant parking", "1000", "Sofia", "Sofia", "Bulgaria", "No", "3"]
    assert "Athens Retail Park" not in html


def test_a_location_in_use_is_kept(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    session.commit()
    answer = olga.send("/assets/locations/delete/", {"id": zone.location_id}, follow_redirects=True)
    assert "cannot be deleted" in answer.get_data(as_text=True)
    assert session.query(Location).count() == 1


def test_the_page_of_a_location_counts_what_is_shown_of_its_evses(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    make_station(session, zone, evses=2)
    make_station(session, zone, reported=ReportedStatus.FAULTED)
    make_station(session, zone, connection=ConnectionStatus.LONG_TERM_UNAVAILABLE)
    session.commit()
    html = olga.get(f"/assets/locations/details/?id={zone.location_id}").get_data(as_text=True)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    for part in ("3 charge points, 4 EVSEs", "Available 2", "Fault 1", "Long-term unavailable 1"):
        assert part in text, part


def test_a_zone_is_made_at_a_location_with_info_for_the_app(olga: Visitor, session: Session) -> None:
    location = make_location(session)
    session.commit()
    posted = {
        "name": "Level -1",
        "status": "disabled",
        "location": location.id,
        "show_in_app": "y",
        "title-en": "Level -1",
        "description-en": "Down the ramp",
    }
    assert olga.send("/assets/charging-zones/new/", posted).status_code == 302
    zone = session.query(ChargingZone).one()
    assert (zone.status, zone.location_id, zone.show_in_app) == (ZoneStatus.DISABLED, location.id, True)
    assert (zone.title, zone.description) == ({"en": "Level -1"}, {"en": "Down the ramp"})
    page = olga.get(f"/assets/charging-zones/?flt0_location_contains={location.name['en']}").get_data(as_text=True)
    assert "Level -1" in page


def test_a_zone_needs_its_location(olga: Visitor, session: Session) -> None:
    answer = olga.send("/assets/charging-zones/new/", {"name": "Nowhere", "status": "active", "location": ""})
    assert answer.status_code == 422 and session.query(ChargingZone).count() == 0
