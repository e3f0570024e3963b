"""The universal search: what finds what, who sees which groups, where a result leads."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from admin_views.search_groups import GROUPS, LIMIT
from app.assets.models import ChargePointState
from app.billing.models import Voucher
from app.core.models import Role
from app.core.permissions import Permission
from app.crm.models import RfidTag, UserGroup
from app.tariffs.groups import create_group
from tests.support.factories_dashboard import (
    Visitor,
    counted_statements,
    make_admin,
    make_partner,
    make_session,
    make_station,
    make_user,
    make_zone,
    signed_in,
    visitor,
)


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User."""
    return signed_in(clean, make_admin(session))


@pytest.fixture
def fleet(session: Session) -> dict[str, int]:
    """The manual's example and something else of each kind; ids by name."""
    zone = make_zone(session, name="Sync EV Home", city="Sofia")
    zone.location.name = {"en": "Sync EV Home", "bg": "Дом за зареждане"}
    station = make_station(session, zone, name="SYNC EV 7kw", identifier="HOME-0001")
    station.evses[0].code = "BG*HOM*E0001"
    lidl = make_partner(session, "LIDL Bulgaria")
    other = make_station(
        session, make_zone(session, name="Retail Park", city="Plovdiv"), name="ABB Terra", identifier="T-54",
        partner_id=lidl.id,
    )  # fmt: skip
    elsewhere = make_zone(session, name="Elsewhere", city="")
    elsewhere.location.name = {
        "en": "Central Station",
        "bg": "Централна гара, център",
        "zh": "台北車站",
        "fr": "Entrée",
    }
    session.execute(
        update(ChargePointState).values(serial_number="SN-2291").where(ChargePointState.charge_point_id == station.id)
    )
    dora = make_user(session, phone="+359 881234567")
    friends = UserGroup(name="Friends")
    voucher = Voucher(code="K7WQ2M", amount=5, currency="EUR", description="Christmas campaign")
    session.add_all([friends, voucher])
    tag = RfidTag(tag_id="04A1B2C3D4", card_no="000777")
    dora.rfid_tags.append(tag)
    charge = make_session(session, station.evses[0], started_at=datetime.now(UTC), user_id=dora.id)
    group = create_group(session, name="Night owls", actor=None)
    session.commit()
    return {
        "elsewhere": elsewhere.location_id,
        "partner": lidl.id,
        "friends": friends.id,
        "voucher": voucher.id,
        "location": zone.location_id,
        "zone": zone.id,
        "station": station.id,
        "other": other.id,
        "evse": station.evses[0].id,
        "user": dora.id,
        "tag": tag.id,
        "session": charge.id,
        "group": group.id,
        "tariff": group.tariffs[0].id,
    }


def groups(client: Visitor, text: str) -> dict[str, list[str]]:
    """The addresses of the results by the heading above them."""
    html = client.htmx("/search?q=" + text.replace("+", "%2B").replace("#", "%23"), target="div#search-results").text
    found: dict[str, list[str]] = {}
    for section in html.split('<div class="search-group"')[1:]:
        heading = re.search(r'role="presentation">([^<]+)</div>', section)
        if heading is not None:
            found[heading[1]] = re.findall(r'<a id="search-option-\d+-\d+"[^>]*href="([^"]+)"', section)
    return found


def test_the_manuals_example(olga: Visitor, fleet: dict[str, int]) -> None:
    """Searching for a location finds it, its zone and the charge points installed there."""
    found = groups(olga, "sync ev home")
    # the charge point's own number happens to begin like the location, and leads to its EVSE
    assert found.pop("EVSEs") == [f"/assets/evses/details/?id={fleet['evse']}"]
    assert found == {
        "Charge Points": [f"/assets/charge-points/details/?id={fleet['station']}"],
        "Locations": [f"/assets/locations/details/?id={fleet['location']}"],
        "Charging Zones": [f"/assets/charging-zones/details/?id={fleet['zone']}"],
    }


@pytest.mark.parametrize(
    "text, heading, key",
    [
        ("7KW", "Charge Points", "station"),
        ("home-0001", "Charge Points", "station"),
        ("terra abb", "Charge Points", "other"),
        ("BG*HOM*E0001", "EVSEs", "evse"),
        ("hom*e", "EVSEs", "evse"),
        ("bghome", "EVSEs", "evse"),
        ("0001 hom", "EVSEs", "evse"),
        ("Дом", "Locations", "location"),
        ("ДОМ зареж", "Locations", "location"),
        ("station", "Locations", "elsewhere"),
        ("центъ", "Locations", "elsewhere"),
        ("車站", "Locations", "elsewhere"),
        ("ENTRÉE", "Locations", "elsewhere"),
        ("entree", "Locations", "elsewhere"),
        ("dora@example", "Users", "user"),
        ("Dora Driver", "Users", "user"),
        ("+359", "Users", "user"),
        ("088 123 4567", "Users", "user"),
        ("+359 88-123-4567", "Users", "user"),
        ("4567", "Users", "user"),
        ("example.com dora", "Users", "user"),
        ("04a1b2", "RFID Tags", "tag"),
        ("c3d4", "RFID Tags", "tag"),
        ("777", "RFID Tags", "tag"),
        ("04:A1:B2:C3:D4", "RFID Tags", "tag"),
        ("dora", "RFID Tags", "tag"),
        ("04a1b2", "Users", "user"),
        ("SN-2291", "Charge Points", "station"),
        ("lidl", "Charge Points", "other"),
        ("lidl bulg", "Partners", "partner"),
        ("friends", "User Groups", "friends"),
        ("k7wq2m", "Vouchers", "voucher"),
        ("wq2m", "Vouchers", "voucher"),
        ("christmas", "Vouchers", "voucher"),
        ("000777", "RFID Tags", "tag"),
        ("base tariff", "Tariffs", "tariff"),
        ("night owls", "Tariff Groups", "group"),
    ],
)
def test_what_finds_what(olga: Visitor, fleet: dict[str, int], text: str, heading: str, key: str) -> None:
    found = groups(olga, text)
    assert [url.rpartition("=")[2] for url in found[heading]] == [str(fleet[key])]
    for url in found[heading]:
        assert olga.get(url).status_code == 200


def test_a_session_is_found_by_its_number(olga: Visitor, fleet: dict[str, int]) -> None:
    url = f"/activity/charging-sessions/details/?id={fleet['session']}"
    for text in (str(fleet["session"]), f"#{fleet['session']}"):
        assert groups(olga, text)["Charging Sessions"] == [url]
    assert "Charging Sessions" not in groups(olga, "9" * 30)


@pytest.mark.parametrize("text", ["en", "bg"])
def test_language_codes_find_nothing(olga: Visitor, session: Session, text: str) -> None:
    make_zone(session, name="Xyz", city="")
    session.commit()
    assert groups(olga, text) == {}


@pytest.mark.parametrize("text", ["%", "_", "%%", "__", "\\\\", "';--", "<b>x</b>", "{}", "0x00", "  "])
def test_special_characters_are_taken_literally(olga: Visitor, fleet: dict[str, int], text: str) -> None:
    assert groups(olga, text) == {}


def test_a_null_byte_is_refused(olga: Visitor) -> None:
    assert olga.get("/search?q=a%00b").status_code == 400


def test_one_letter_is_too_short(olga: Visitor, fleet: dict[str, int]) -> None:
    assert "Type at least 2 characters." in olga.htmx("/search?q=s", target="div#search-results").text
    assert olga.htmx("/search?q=", target="div#search-results").text.strip() == ""


def test_nothing_found_says_so_without_repeating_markup(olga: Visitor) -> None:
    answer = olga.htmx("/search?q=<script>alert(1)</script>", target="div#search-results").text
    assert "Nothing found for “&lt;script&gt;" in answer


def test_each_group_is_limited_and_leads_to_all(session: Session, olga: Visitor) -> None:
    for number in range(LIMIT + 3):
        make_user(session, email=f"many{number}@example.com")
    session.commit()
    assert len(groups(olga, "many")["Users"]) == LIMIT
    page = olga.get("/search?q=many").text
    more = re.search(r'<a [^>]*href="([^"]+)">More Users…</a>', page)
    assert more is not None
    assert olga.get(more[1]).text.count("@example.com</a>") == LIMIT + 3


def test_the_page_works_without_script(olga: Visitor, fleet: dict[str, int]) -> None:
    page = olga.get("/search?q=dora").text
    assert "<h1" in page
    assert f'href="/crm/users/details/?id={fleet["user"]}"' in page
    assert "Nothing found for “zzzz”" in olga.get("/search?q=zzzz").text
    assert olga.get("/search").status_code == 200


def test_strangers_find_nothing(clean: Flask) -> None:
    assert visitor(clean).get("/search?q=dora").location == "/login?next=/search?q%3Ddora"


@pytest.mark.parametrize(
    "permissions, headings",
    [
        ((), set()),
        ((Permission.USER_VIEW,), {"Users"}),
        ((Permission.USER_VIEW, Permission.RFID_TAG_VIEW), {"Users", "RFID Tags"}),
        ((Permission.LOCATION_VIEW,), {"Locations"}),
        ((Permission.CHARGE_POINT_VIEW,), {"Charge Points", "EVSEs"}),
    ],
)
def test_a_role_finds_what_it_may_see(
    session: Session,
    clean: Flask,
    fleet: dict[str, int],
    permissions: tuple[Permission, ...],
    headings: set[str],
) -> None:
    session.add(Role(name="Special", permission_names=[permission.value for permission in permissions]))
    session.flush()
    client = signed_in(clean, make_admin(session, role="Special", email="sam@example.com"))
    found = {heading for text in ("home", "dora", "04A1", "BG*HOM") for heading in groups(client, text)}
    assert found == headings


def test_one_query_per_group(session: Session, clean: Flask, olga: Visitor, fleet: dict[str, int]) -> None:
    with counted_statements() as statements:
        olga.htmx("/search?q=o", target="div#search-results")
        olga.htmx("/search?q=ho", target="div#search-results")
    # twice the admin, once every group
    assert len(statements) <= len(GROUPS) + 2, statements
