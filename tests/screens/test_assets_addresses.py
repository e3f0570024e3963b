"""The address picker's look-ups, against a Nominatim and a what3words on loopback; off unless the settings say so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from admin_views.assets import address
from app.assets import geocoding, what3words
from app.assets.geocoding import GeocodingFailed, NominatimGeocoder
from app.core import settings
from app.core.models import Role
from tests.support.factories_dashboard import Visitor, make_admin, signed_in
from tests.support.fake_places import Places, places

LOOKUP, WORDS = "/assets/locations/address/", "/assets/locations/what3words/"
POINT = {"latitude": "42.6977", "longitude": "23.3219"}


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User, signed in."""
    return signed_in(clean, make_admin(session))


@pytest.fixture
def server() -> Iterator[Places]:
    with places() as running:
        yield running


@pytest.fixture
def geocoder(session: Session, server: Places, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Nominatim is set; nobody waits for a turn."""
    monkeypatch.setattr(address, "PACE_MS", 1)
    settings.change_setting(session, key="geocoding.provider", value="nominatim", actor=None)
    settings.change_setting(session, key="geocoding.nominatim_url", value=f"{server.url}/nominatim/", actor=None)
    session.commit()
    return server


def ask(olga: Visitor, path: str = LOOKUP, **fields: str) -> tuple[int, dict[str, Any]]:
    answer = olga.post(path, data=fields)
    return answer.status_code, answer.get_json()


def test_an_address_gives_coordinates_and_every_field(olga: Visitor, geocoder: Places) -> None:
    status, said = ask(olga, search=" Vitosha 1, Sofia ")
    assert status == 200
    (place,) = said["places"]
    assert (place["latitude"], place["longitude"]) == (42.697703, 23.321736)
    assert {name: place[name] for name in ("address", "city", "postcode", "region", "country")} == {
        "address": "Vitosha blvd 1",
        "city": "Sofia",
        "postcode": "1000",
        "region": "Sofia-City",
        "country": "BG",
    }
    path, query, headers = geocoder.asked[0]
    assert path == "/nominatim/search" and query["accept-language"] == "en" and query["addressdetails"] == "1"
    assert headers["User-Agent"] == geocoding.USER_AGENT
    assert ask(olga, search="Atlantis") == (200, {"places": []})


def test_coordinates_give_an_address_or_nothing(olga: Visitor, geocoder: Places) -> None:
    status, said = ask(olga, **POINT)
    assert status == 200 and said["places"][0]["city"] == "Sofia" and geocoder.asked[0][0] == "/nominatim/reverse"
    assert ask(olga, latitude="-40", longitude="-30,5") == (200, {"places": []})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"status": 429}, "asked too often"),
        ({"status": 403}, "refuses us"),
        ({"status": 500}, "cannot be reached"),
        ({"body": b"<html>proxy</html>"}, "cannot be reached"),
        ({"body": b'[{"lat": "x", "lon": "y"}]'}, "cannot be reached"),
        ({"body": b'{"unexpected": 1}'}, "cannot be reached"),
    ],
)
def test_a_geocoder_that_fails_is_told_in_words(
    olga: Visitor, geocoder: Places, change: dict[str, Any], message: str
) -> None:
    for name, value in change.items():
        setattr(geocoder, name, value)
    status, said = ask(olga, search="Vitosha")
    assert status == 502 and message in said["message"] and "http" not in said["message"]


def test_a_slow_or_absent_geocoder_is_given_up(server: Places) -> None:
    server.delay_s = 1
    with pytest.raises(GeocodingFailed, match="did not answer"):
        NominatimGeocoder(server.url, timeout_s=0.2).search("Vitosha", language="en")
    with pytest.raises(GeocodingFailed, match="cannot be reached"):
        NominatimGeocoder("http://127.0.0.1:9").reverse(1, 1, language="en")
    for wrong in ("", "ftp://example.com", "file:///etc/passwd"):
        with pytest.raises(GeocodingFailed, match="not the address"):
            NominatimGeocoder(wrong)


def test_without_geocoder_nothing_is_asked(olga: Visitor, server: Places) -> None:
    status, said = ask(olga, search="Vitosha")
    assert status == 404 and "CONFIGURATION > Settings" in said["message"] and server.asked == []
    html = olga.get("/assets/locations/new/").get_data(as_text=True)
    assert "data-address-map" in html and "data-address-search" not in html and 'data-lookup=""' in html


@pytest.mark.parametrize("point", [{}, {"latitude": "91", "longitude": "0"}, {"latitude": "nan", "longitude": "1"}])
def test_what_is_no_question_is_refused(olga: Visitor, geocoder: Places, point: dict[str, str]) -> None:
    status, said = ask(olga, **point)
    assert status == 400 and "latitude" in said["message"] and geocoder.asked == []


def test_whoever_may_not_change_locations_asks_nobody(session: Session, clean: Flask, geocoder: Places) -> None:
    session.add(Role(name="Onlooker", permission_names=["assets.location.view"]))
    session.flush()
    viewer = signed_in(clean, make_admin(session, role="Onlooker", email="vera@example.com"))
    assert viewer.post(LOOKUP, data=POINT).status_code == 403
    assert viewer.post(WORDS, data=POINT).status_code == 403
    assert geocoder.asked == []


def test_look_ups_are_limited_and_paced(
    olga: Visitor, geocoder: Places, clean: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = [ask(olga, search="Atlantis")[0] for _ in range(61)]
    assert statuses[0] == 200 and statuses[-1] == 429
    monkeypatch.setattr(address, "PACE_MS", 60_000)
    monkeypatch.setattr(address, "PACE_WAIT_S", 0.05)
    with clean.app_context():
        address.keep_pace()
        with pytest.raises(GeocodingFailed, match="at once"):
            address.keep_pace()


def test_the_tile_server_may_be_loaded_from_and_no_other(olga: Visitor, session: Session) -> None:
    settings.change_setting(session, key="map.tile_url", value="https://{s}.tiles.example/{z}/{x}/{y}.png", actor=None)
    session.commit()
    answer = olga.get("/assets/locations/new/")
    assert "https://*.tiles.example" in answer.headers["Content-Security-Policy"]
    assert "data-tiles=" in answer.get_data(as_text=True) and "data-outline" not in answer.get_data(as_text=True)


# --- what3words


@pytest.fixture
def keyed(session: Session, server: Places, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A key is set, and the service is on loopback."""
    settings.change_setting(session, key="geocoding.what3words_key", value="right", actor=None)
    session.commit()
    here = partial(what3words.words_of, endpoint=f"{server.url}/v3")
    monkeypatch.setattr(what3words, "words_of", here)
    return server


def test_coordinates_give_three_words(olga: Visitor, keyed: Places) -> None:
    assert ask(olga, WORDS, **POINT) == (200, {"words": "filled.count.soap"})
    assert keyed.asked[0][1]["coordinates"] == "42.6977,23.3219"
    html = olga.get("/assets/locations/new/").get_data(as_text=True)
    assert "Fill What3words address" in html and "right" not in html.split("what3words")[1][:50]


def test_a_service_that_fails_is_told_without_its_key(
    olga: Visitor, keyed: Places, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed.body = b"<html>"
    status, said = ask(olga, WORDS, **POINT)
    assert status == 502 and "cannot be reached" in said["message"]
    keyed.body = b'{"words": "only.two"}'
    assert "no usable answer" in ask(olga, WORDS, **POINT)[1]["message"]
    keyed.body, keyed.delay_s = None, 0.5
    monkeypatch.setattr(what3words, "TIMEOUT_S", 0.1)
    assert "did not answer" in ask(olga, WORDS, **POINT)[1]["message"]
    keyed.delay_s = 0
    monkeypatch.setattr(what3words, "TIMEOUT_S", 5)
    settings.change_setting(session, key="geocoding.what3words_key", value="wrong", actor=None)
    session.commit()
    message = ask(olga, WORDS, **POINT)[1]["message"]
    assert "refuses the API key" in message and "wrong" not in message


def test_without_key_the_form_is_all_that_is_checked(olga: Visitor) -> None:
    assert "Fill What3words" not in olga.get("/assets/locations/new/").get_data(as_text=True)
    status, said = ask(olga, WORDS, **POINT)
    assert status == 502 and "No what3words API key" in said["message"]
