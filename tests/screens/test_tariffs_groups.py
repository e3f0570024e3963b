"""TARIFFS & VOUCHERS > Tariff Groups: the base tariff, the order, attaching and detaching. Manual, "Tariff Groups"."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.models import AuditEntry
from app.tariffs import groups
from app.tariffs.models import Tariff, TariffGroup, TariffType
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.factories_dashboard import make_station, make_zone

LIST = "/tariffs/tariff-groups/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


@pytest.fixture
def group(session: Session) -> TariffGroup:
    """The manual's example: a base tariff, one for corporate users, one for partner users."""
    fleet = make.user_group(session, "Corporate users")
    corporate = make.tariff(
        session,
        "AC, Discounted, Corporate Users",
        type=TariffType.DURATION_ENERGY,
        price_per_minute=Decimal("0.03"),
        price_per_kwh=Decimal("0.03"),
        user_groups=[fleet],
    )
    partner = make.tariff(session, "AC, Partner Users", type=TariffType.FREE, for_owner_users=True)
    made = make.tariff_group(session, "AC Chargers", corporate, partner)
    session.commit()
    return made


def order(session: Session, group: TariffGroup) -> list[str]:
    """The names of the group's tariffs as stored."""
    session.rollback()
    session.expire_all()
    return [tariff.name for tariff in session.get_one(TariffGroup, group.id).tariffs]


def shown(page: str) -> list[str]:
    """The names in the group's table, from top to bottom."""
    table = page[page.index("group-tariffs") :]
    return re.findall(r'class="cell-lead">([^<]+)<', table[: table.index("</table>")])


BASE, CORPORATE, PARTNER = "AC Chargers: Base tariff", "AC, Discounted, Corporate Users", "AC, Partner Users"


def test_a_new_group_has_a_free_base_tariff(olga: Visitor, session: Session) -> None:
    answer = olga.send(f"{LIST}new/", {"name": " AC Charging "})
    assert answer.status_code == 302
    made = session.scalars(select(TariffGroup)).one()
    assert made.name == "AC Charging"
    assert [(tariff.name, tariff.type) for tariff in made.tariffs] == [("AC Charging: Base tariff", TariffType.FREE)]
    page = olga.get(f"{LIST}details/?id={made.id}").get_data(as_text=True)
    assert shown(page) == ["AC Charging: Base tariff"]
    assert "Everybody (base tariff)" in page
    again = olga.send(f"{LIST}new/", {"name": "AC Charging"})
    assert again.status_code == 422
    assert "There is a tariff group “AC Charging” already." in again.get_data(as_text=True)


def test_the_page_shows_order_price_and_to_whom(olga: Visitor, group: TariffGroup) -> None:
    page = olga.get(f"{LIST}details/?id={group.id}").get_data(as_text=True)
    assert shown(page) == [BASE, CORPORATE, PARTNER]
    for words in ("€0.03/min, €0.03/kWh", "Corporate users", "Users of the CP owner", "lowest in the list"):
        assert words in page, words


def test_a_group_with_many_tariffs_takes_at_most_eight_queries(
    olga: Visitor, session: Session, group: TariffGroup
) -> None:
    for number in range(15):
        tariff = make.tariff(session, f"Tariff {number}", user_groups=[make.user_group(session, f"Group {number}")])
        groups.attach_tariff(session, group=group, tariff=tariff, actor=None)
        make.tariff_group(session, f"Other {number}", tariff)
    session.commit()
    address = f"{LIST}details/?id={group.id}"
    session.rollback()
    settings.forget()
    with make.CountedQueries() as page_queries:
        page = olga.get(address).get_data(as_text=True)
    assert len(shown(page)) == 18
    assert page_queries.count <= 8, "\n".join(page_queries.statements)
    with make.CountedQueries() as list_queries:
        olga.get(LIST)
    assert list_queries.count <= 8, "\n".join(list_queries.statements)


def test_arrows_move_a_tariff_but_never_the_base(olga: Visitor, session: Session, group: TariffGroup) -> None:
    _, corporate, partner = group.tariffs
    olga.get(f"{LIST}details/?id={group.id}")
    url = f"{LIST}move/?id={group.id}"
    card = olga.htmx(url, "POST", {"tariff": corporate.id, "direction": "down"}, target="div#group-tariffs")
    assert shown(card.get_data(as_text=True)) == [BASE, PARTNER, CORPORATE]
    assert order(session, group) == [BASE, PARTNER, CORPORATE]
    olga.htmx(url, "POST", {"tariff": corporate.id, "direction": "down"}, target="div#group-tariffs")
    assert order(session, group) == [BASE, PARTNER, CORPORATE]
    olga.htmx(url, "POST", {"tariff": partner.id, "direction": "up"}, target="div#group-tariffs")
    assert order(session, group) == [BASE, PARTNER, CORPORATE]
    refused = olga.htmx(url, "POST", {"tariff": group.tariffs[0].id, "direction": "down"}, target="div#group-tariffs")
    assert refused.status_code == 409
    assert "is the base tariff" in refused.get_data(as_text=True)
    plain = olga.send(url, {"tariff": str(corporate.id), "direction": "up"})
    assert plain.status_code == 303
    assert order(session, group) == [BASE, CORPORATE, PARTNER]
    audited = session.scalars(
        select(AuditEntry).where(AuditEntry.object_type == "tariff_group").order_by(AuditEntry.id)
    ).all()
    assert [entry.after["tariffs"][1] for entry in audited[-2:]] == [PARTNER, CORPORATE]


def test_the_arrows_that_lead_nowhere_are_off(olga: Visitor, group: TariffGroup) -> None:
    page = olga.get(f"{LIST}details/?id={group.id}").get_data(as_text=True)
    buttons = re.findall(r'aria-label="Move ([^"]+) (up|down)"[^>]*?( disabled)?>', page)
    assert [(name, way, bool(off)) for name, way, off in buttons] == [
        (CORPORATE, "up", True),
        (CORPORATE, "down", False),
        (PARTNER, "up", False),
        (PARTNER, "down", True),
    ]


def test_tariffs_are_attached_from_a_dialog_and_detached(olga: Visitor, session: Session, group: TariffGroup) -> None:
    spare = make.tariff(session, "AC, Night owls")
    other_base = make.tariff_group(session, "DC").tariffs[0]
    session.commit()
    olga.get(f"{LIST}details/?id={group.id}")
    url = f"{LIST}attach/?id={group.id}"
    dialog = olga.htmx(url, target="div#modal-content").get_data(as_text=True)
    assert "AC, Night owls" in dialog
    assert other_base.name not in dialog
    assert CORPORATE not in dialog
    empty = olga.htmx(url, "POST", {}, target="div#group-tariffs")
    assert empty.status_code == 422
    assert "Choose at least one tariff." in empty.get_data(as_text=True)
    foreign = olga.htmx(url, "POST", {"tariffs": other_base.id}, target="div#group-tariffs")
    assert foreign.status_code == 422
    card = olga.htmx(url, "POST", {"tariffs": spare.id}, target="div#group-tariffs").get_data(as_text=True)
    assert shown(card) == [BASE, CORPORATE, PARTNER, "AC, Night owls"]
    detach = f"{LIST}detach/?id={group.id}"
    card = olga.htmx(detach, "POST", {"tariff": spare.id}, target="div#group-tariffs").get_data(as_text=True)
    assert shown(card) == [BASE, CORPORATE, PARTNER]
    gone = olga.htmx(detach, "POST", {"tariff": spare.id}, target="div#group-tariffs")
    assert gone.status_code == 409
    fixed = olga.htmx(detach, "POST", {"tariff": group.tariffs[0].id}, target="div#group-tariffs")
    assert fixed.status_code == 409
    assert order(session, group) == [BASE, CORPORATE, PARTNER]
    assert session.get(Tariff, spare.id) is not None


def test_a_renamed_group_renames_its_base_tariff(olga: Visitor, session: Session, group: TariffGroup) -> None:
    page = olga.get(f"{LIST}edit/?id={group.id}").get_data(as_text=True)
    version = re.search(r'name="_version" value="(\d+)"', page)
    assert version
    answer = olga.send(f"{LIST}edit/?id={group.id}", {"name": "AC, Location 1", "_version": version[1]})
    assert answer.status_code == 302
    assert order(session, group)[0] == "AC, Location 1: Base tariff"
    taken = make.tariff_group(session, "Taken")
    session.commit()
    page = olga.get(f"{LIST}edit/?id={group.id}").get_data(as_text=True)
    version = re.search(r'name="_version" value="(\d+)"', page)
    assert version
    wrong = olga.send(f"{LIST}edit/?id={group.id}", {"name": taken.name, "_version": version[1]})
    assert wrong.status_code == 422
    assert "There is a tariff group “Taken” already." in wrong.get_data(as_text=True)


def test_a_group_that_evses_use_cannot_be_deleted(olga: Visitor, session: Session, group: TariffGroup) -> None:
    station = make_station(session, make_zone(session))
    station.evses[0].tariff_group_id = group.id
    session.commit()
    code = station.evses[0].code
    page = olga.get(f"{LIST}details/?id={group.id}").get_data(as_text=True)
    assert "Used by 1 EVSE, so it cannot be deleted" in page
    unused = make.tariff_group(session, "Nobody’s")
    session.commit()
    listed = olga.get(LIST).get_data(as_text=True)
    assert f'aria-label="Delete {unused}"' in listed
    for shown_page in (page, listed):
        assert f'aria-label="Delete {group}"' not in shown_page
    dialog = olga.htmx(f"{LIST}delete/?id={group.id}", target="div#modal-content").get_data(as_text=True)
    assert code in dialog
    assert "<form" not in dialog
    refused = olga.send(f"{LIST}delete/", {"id": str(group.id)})
    assert f"is used by EVSE {code}" in olga.get(refused.location).get_data(as_text=True)
    station.evses[0].tariff_group_id = None
    session.commit()
    assert "<form" in olga.htmx(f"{LIST}delete/?id={group.id}", target="div#modal-content").get_data(as_text=True)
    assert f'aria-label="Delete {group}"' in olga.get(LIST).get_data(as_text=True)
    assert olga.send(f"{LIST}delete/", {"id": str(group.id)}).location == LIST
    assert olga.send(f"{LIST}delete/", {"id": str(unused.id)}).location == LIST
    session.rollback()
    assert session.scalars(select(TariffGroup)).all() == []
    assert {tariff.name for tariff in session.scalars(select(Tariff))} == {CORPORATE, PARTNER}


def test_the_list_and_its_csv(olga: Visitor, session: Session, group: TariffGroup) -> None:
    make.tariff_group(session, "DC Chargers")
    session.commit()
    page = olga.get(LIST).get_data(as_text=True)
    assert page.index("DC Chargers") < page.index("AC Chargers")
    found = olga.get(f"{LIST}?search=Discounted").get_data(as_text=True)
    assert "AC Chargers" in found
    assert "DC Chargers" not in found
    rows = list(csv.DictReader(io.StringIO(olga.get(f"{LIST}export/csv/?search=Discounted").get_data(as_text=True))))
    assert [(row["name"], row["tariffs"]) for row in rows] == [("AC Chargers", f"{BASE} > {CORPORATE} > {PARTNER}")]


def test_who_may_only_look_gets_no_buttons(clean: Flask, session: Session, group: TariffGroup) -> None:
    reader = make.admin(session, "Rita Reader", "Readers", permissions=["tariffs.tariff_group.view"])
    session.commit()
    rita = make.signed_in(clean, reader)
    page = rita.get(f"{LIST}details/?id={group.id}").get_data(as_text=True)
    assert shown(page) == []
    assert PARTNER in page
    assert "Detach" not in page
    assert "Attach Tariff" not in page
    for path, data in (("move", {"tariff": group.tariffs[1].id, "direction": "down"}), ("detach", {}), ("attach", {})):
        assert rita.post(f"{LIST}{path}/?id={group.id}", data=data).status_code == 403
    assert rita.get(f"{LIST}details/?id=999").status_code == 404
    assert rita.get(f"{LIST}details/?id=x").status_code == 404


def test_a_tariffs_page_counts_the_evses_of_its_groups(olga: Visitor, session: Session, group: TariffGroup) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    evse.tariff_group_id = group.id
    session.commit()
    base = next(link.tariff_id for link in group.links)
    rows = olga.get(f"/tariffs/tariffs/related/0/?id={base}").get_data(as_text=True)
    assert '<div class="list-cell">1</div>' in rows
