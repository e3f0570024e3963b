"""TARIFFS & VOUCHERS > Tariffs: what is asked for, what is stored, what is refused. Manual, "Creating a Tariff"."""

from __future__ import annotations

import csv
import io
import re
from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core import settings
from app.core.models import AuditEntry
from app.tariffs.models import Tariff, TariffPowerLevel, TariffType
from app.tariffs.verbs import TariffInUse, require_detached
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor

LIST = "/tariffs/tariffs/"


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


def form_of(page: str) -> dict[str, str]:
    """What a browser would post from the page's form as it is drawn."""
    main = page[page.index("record-form") :]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", main[: main.index("<template")]):
        name = re.search(r'name="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        kind = re.search(r'type="([^"]*)"', tag)
        if name and (kind is None or kind[1] != "checkbox" or "checked" in tag):
            found[name[1]] = value[1] if value else ""
    for name, options in re.findall(r'<select[^>]*name="([^"]*)"[^>]*>(.*?)</select>', main, re.S):
        chosen = re.search(r'<option selected value="([^"]*)"', options)
        if chosen:
            found[name] = chosen[1]
    return found


def edited(client: Visitor, tariff: Tariff, **changes: str) -> Any:
    """Open a tariff's form, change something, save."""
    page = client.get(f"{LIST}edit/?id={tariff.id}").get_data(as_text=True)
    return client.send(f"{LIST}edit/?id={tariff.id}", {**form_of(page), **changes})


def stored(session: Session, name: str) -> Tariff:
    """The tariff as it is in the database."""
    session.rollback()
    session.expire_all()
    return session.scalars(select(Tariff).where(Tariff.name == name)).one()


# --- list -----------------------------------------------------------------------------------------------------


def test_the_list_says_prices_in_words_and_where_tariffs_are_used(olga: Visitor, session: Session) -> None:
    corporate = make.tariff(session, "Corporate", price_per_minute=Decimal("0.03"), type=TariffType.DURATION_ENERGY)
    make.tariff(session, "Nobody’s", type=TariffType.FLAT, price_per_session=Decimal("4.5"))
    make.tariff_group(session, "AC Charging", corporate)
    session.commit()
    page = olga.get(LIST).get_data(as_text=True)
    for words in ("€0.03/min", "€4.50/session", "Duration + energy", "Flat rate", "AC Charging: Base tariff", "Free"):
        assert words in page, words
    found = olga.get(f"{LIST}?search=AC+Charging").get_data(as_text=True)
    assert "Corporate" in found
    assert "Nobody’s" not in found
    flat = olga.get(f"{LIST}?flt0_type_is=flat").get_data(as_text=True)
    assert "Nobody’s" in flat
    assert "Corporate" not in flat


def test_a_page_of_tariffs_takes_at_most_eight_queries(olga: Visitor, session: Session) -> None:
    for number in range(20):
        levels = [TariffPowerLevel(max_power_w=1000 * n, price_per_minute=Decimal(n)) for n in (7, 11)]
        tariff = make.tariff(session, f"Levels {number}", type=TariffType.POWER_LEVELS, levels=levels)
        make.tariff_group(session, f"Group {number}", tariff)
    session.commit()
    settings.forget()
    with make.CountedQueries() as counted:
        page = olga.get(f"{LIST}?page_size=50").get_data(as_text=True)
    assert "Levels 19" in page
    assert counted.count <= 8, "\n".join(counted.statements)


def test_the_csv_has_stable_columns_and_the_whole_list(olga: Visitor, session: Session) -> None:
    group = make.user_group(session, "Fleet")
    tariff = make.tariff(session, "=cmd()", user_groups=[group], max_minutes=90)
    make.tariff_group(session, "AC", tariff)
    session.commit()
    rows = list(csv.DictReader(io.StringIO(olga.get(f"{LIST}export/csv/").get_data(as_text=True))))
    row = next(row for row in rows if "cmd" in row["name"])
    assert row["name"] == "'=cmd()"
    assert (row["price_per_minute"], row["price_per_kwh"]) == ("0.2", "0.2")
    assert (row["currency"], row["type"], row["is_base"]) == ("EUR", "duration_energy", "false")
    assert (row["user_groups"], row["tariff_groups"], row["max_minutes"]) == ("Fleet", "AC", "90")
    assert len(rows) == 2


# --- create ---------------------------------------------------------------------------------------------------


def test_the_form_asks_for_all_that_the_manual_names(olga: Visitor) -> None:
    page = olga.get(f"{LIST}new/").get_data(as_text=True)
    tabs = re.findall(r'data-bs-toggle="tab" role="tab"[^>]*>([^<]+)', page[page.index("record-form") :])
    assert [tab for tab in tabs if tab in ("General", "Pricing", "Restrictions", "Stop Session")] == [
        "General",
        "Pricing",
        "Restrictions",
        "Stop Session",
    ]
    for words in (
        "Name",
        "Description",
        "Additional Information",
        "Learn more URL",
        "English",
        "Traditional Chinese",
        "Price per session",
        "Connection fee",
        "Day tariff starts",
        "Night tariff starts",
        "Max average power (kW)",
        "Grace time (minutes)",
        "Users of the CP owner",
        "Users of all roaming Partners",
        "Ad-hoc users (non-registered)",
        "Users of specific Partners",
        "User groups",
        "Session max time (minutes)",
        "Energy exceeds (kWh)",
    ):
        assert words in page, words


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"type": "free"}, {"type": TariffType.FREE}),
        ({"type": "flat", "price_per_session": "4,50"}, {"price_per_session": Decimal("4.5")}),
        (
            {"type": "duration_energy", "price_per_minute": "0.2", "price_per_kwh": "0.25", "connection_fee": "1"},
            {"price_per_minute": Decimal("0.2"), "price_per_kwh": Decimal("0.25"), "connection_fee": Decimal(1)},
        ),
        (
            {"type": "duration_energy_tod", "day_starts": "07:00", "night_starts": "22:30", "price_per_kwh": "0.4",
             "night_price_per_kwh": "0.3"},
            {"day_starts": time(7), "night_starts": time(22, 30), "night_price_per_kwh": Decimal("0.3"),
             "price_per_minute": None},
        ),
    ],
)  # fmt: skip
def test_each_type_stores_what_it_charges(
    olga: Visitor, session: Session, fields: dict[str, str], expected: dict[str, Any]
) -> None:
    answer = olga.send(f"{LIST}new/", {"name": "New", **fields})
    assert answer.status_code == 302, answer.get_data(as_text=True)
    tariff = stored(session, "New")
    for name, value in expected.items():
        assert getattr(tariff, name) == value, name
    assert tariff.revision == 1


def test_power_levels_are_entered_in_kw_and_stored_in_w(olga: Visitor, session: Session) -> None:
    fields = {"name": "AC", "type": "power_levels"}
    for row, (power, price) in enumerate((("7.4", "0.10"), ("11", "0.12"), ("22", "0.15"))):
        fields |= {f"levels-{row}-max_power_w": power, f"levels-{row}-price_per_minute": price}
    assert olga.send(f"{LIST}new/", fields).status_code == 302
    tariff = stored(session, "AC")
    assert [(level.max_power_w, level.price_per_minute) for level in tariff.levels] == [
        (7400, Decimal("0.1")),
        (11000, Decimal("0.12")),
        (22000, Decimal("0.15")),
    ]
    page = olga.get(f"{LIST}edit/?id={tariff.id}").get_data(as_text=True)
    assert form_of(page)["levels-0-max_power_w"] == "7.4"
    assert form_of(page)["levels-0-price_per_minute"] == "0.1"


def test_what_the_type_does_not_charge_is_not_kept(olga: Visitor, session: Session) -> None:
    fields = {"name": "Flat", "type": "flat", "price_per_session": "5", "price_per_kwh": "0.4", "day_starts": "07:00"}
    olga.send(f"{LIST}new/", {**fields, "levels-0-max_power_w": "11", "levels-0-price_per_minute": "0.1"})
    tariff = stored(session, "Flat")
    assert (tariff.price_per_session, tariff.price_per_kwh, tariff.day_starts) == (Decimal(5), None, None)
    assert tariff.levels == []


def test_texts_of_all_languages_and_restrictions_are_stored(olga: Visitor, session: Session) -> None:
    fleet, staff = make.user_group(session, "Fleet"), make.user_group(session, "Staff")
    session.commit()
    olga.send(
        f"{LIST}new/",
        {
            "name": "All",
            "type": "free",
            "description-en": "Short",
            "description-bg": "Кратко",
            "additional_information-en": "Long\ntext",
            "learn_more_url-en": "https://example.com/more",
            "for_ad_hoc_users": "y",
            "user_groups": f"{fleet.id},{staff.id}",
            "max_minutes": "120",
            "max_energy_kwh": "50.5",
        },
    )
    tariff = stored(session, "All")
    assert tariff.description == {"en": "Short", "bg": "Кратко"}
    assert tariff.learn_more_url == {"en": "https://example.com/more"}
    assert {group.name for group in tariff.user_groups} == {"Fleet", "Staff"}
    assert (tariff.for_ad_hoc_users, tariff.for_roaming_users) == (True, False)
    assert (tariff.max_minutes, tariff.max_energy_kwh) == (120, Decimal("50.5"))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"type": "flat"}, "A flat rate needs a price per session."),
        ({"type": "flat", "price_per_session": "-1"}, "A number that is not negative is expected."),
        ({"type": "flat", "price_per_session": "much"}, "Enter a number, like 12.5."),
        ({"type": "duration_energy_tod", "night_starts": "22:00"}, "The time at which the day tariff starts"),
        ({"type": "duration_energy_tod", "day_starts": "7", "night_starts": "22:00"}, "Not a valid time value."),
        (
            {"type": "duration_energy_tod", "day_starts": "07:00", "night_starts": "07:00"},
            "Day and night cannot start at the same time.",
        ),
        ({"type": "power_levels"}, "At least one power level is required."),
        (
            {"type": "power_levels", "levels-0-max_power_w": "11", "levels-0-price_per_minute": "1",
             "levels-1-max_power_w": "11", "levels-1-price_per_minute": "2"},
            "Power level 2: another level has the same maximum average power.",
        ),
        (
            {"type": "power_levels", "levels-0-max_power_w": "7.4444", "levels-0-price_per_minute": "1"},
            "at most three decimals",
        ),
        ({"type": "free", "learn_more_url-en": "example.com"}, "An address that begins with https:// is expected."),
        ({"type": "free", "max_minutes": "0"}, "Minutes between 1 and 525600 are expected."),
        ({"type": "free", "max_minutes": "-5"}, "Minutes between 1 and 525600 are expected."),
        ({"type": "free", "max_minutes": "1.5"}, "Enter a whole number."),
        ({"type": "free", "max_energy_kwh": "0"}, "An energy above 0 kWh is expected."),
        ({"type": "free", "max_energy_kwh": "1.2345"}, "At most 3 decimals are expected."),
        ({"type": "flat", "price_per_session": "4.505"}, "At most 2 decimals are expected."),
        ({"type": "duration_energy", "connection_fee": "0.005"}, "At most 2 decimals are expected."),
        ({"type": "duration_energy", "price_per_kwh": "0.1234567"}, "At most 6 decimals are expected."),
        ({"type": "duration_energy", "price_per_minute": "-0.01"}, "A number that is not negative is expected."),
        ({"type": "duration_energy", "price_per_minute": "1000000"}, "A number below 1000000 is expected."),
        ({"type": "free", "idle_fee_per_minute": "1", "idle_grace_minutes": "-1"}, "Minutes between 0 and 32767"),
        ({"type": "free", "auto_stop_amount": "-1"}, "A number that is not negative is expected."),
        ({"type": "free", "auto_stop_amount": "0.505"}, "At most 2 decimals are expected."),
        (
            {"type": "free", "minimum_balance_to_start": "5", "auto_stop_amount": "5"},
            "A session that starts with the minimum balance would stop at once",
        ),
        ({"type": "gold"}, "Not a valid choice."),
        ({"type": "free", "name": " "}, "A name is required."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field(
    olga: Visitor, session: Session, fields: dict[str, str], message: str
) -> None:
    settings.change_setting(session, key="billing.strategy", value="balance_or_payment_method", actor=None)
    session.commit()
    answer = olga.send(f"{LIST}new/", {"name": "Wrong", **fields})
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert message in page
    assert "to correct" in page
    session.rollback()
    assert session.scalars(select(Tariff)).all() == []


# --- edit -----------------------------------------------------------------------------------------------------


def test_a_change_of_what_is_charged_raises_the_revision_and_nothing_else_does(olga: Visitor, session: Session) -> None:
    tariff = make.tariff(session, "Standard")
    session.commit()
    assert edited(olga, tariff, **{"description-en": "New words"}).status_code == 302
    assert stored(session, "Standard").revision == 1
    assert edited(olga, tariff, price_per_kwh="0.21").status_code == 302
    tariff = stored(session, "Standard")
    assert (tariff.revision, tariff.price_per_kwh) == (2, Decimal("0.21"))
    assert edited(olga, tariff, idle_fee_per_minute="0.1", idle_grace_minutes="15").status_code == 302
    assert stored(session, "Standard").revision == 3
    kept = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "tariff").order_by(AuditEntry.id)).all()
    assert [entry.after.get("revision") for entry in kept] == [None, 2, 3]
    assert kept[1].before["price_per_kwh"] == "0.2"


def test_levels_are_exchanged_added_and_removed(olga: Visitor, session: Session) -> None:
    levels = [TariffPowerLevel(max_power_w=w, price_per_minute=Decimal(p)) for w, p in ((7400, "0.1"), (22000, "0.2"))]
    tariff = make.tariff(session, "Levels", type=TariffType.POWER_LEVELS, levels=levels)
    session.commit()
    swapped = {"levels-0-max_power_w": "22", "levels-1-max_power_w": "7.4"}
    assert edited(olga, tariff, **swapped).status_code == 302
    tariff = stored(session, "Levels")
    assert [(level.max_power_w, level.price_per_minute) for level in tariff.levels] == [
        (7400, Decimal("0.2")),
        (22000, Decimal("0.1")),
    ]
    assert tariff.revision == 2
    added = {"levels-2-max_power_w": "11", "levels-2-price_per_minute": "0.15", "del-levels-0": "1"}
    assert edited(olga, tariff, **added).status_code == 302
    tariff = stored(session, "Levels")
    assert [level.max_power_w for level in tariff.levels] == [11000, 22000]
    assert tariff.revision == 3


def test_changing_the_type_drops_the_other_prices(olga: Visitor, session: Session) -> None:
    levels = [TariffPowerLevel(max_power_w=7400, price_per_minute=Decimal("0.1"))]
    tariff = make.tariff(session, "Turns", type=TariffType.POWER_LEVELS, levels=levels)
    session.commit()
    assert edited(olga, tariff, type="free").status_code == 302
    tariff = stored(session, "Turns")
    assert (tariff.type, tariff.levels, tariff.revision) == (TariffType.FREE, [], 2)


def test_the_base_tariff_cannot_be_restricted(olga: Visitor, session: Session) -> None:
    fleet = make.user_group(session, "Fleet")
    base = make.tariff_group(session, "AC").tariffs[0]
    session.commit()
    page = olga.get(f"{LIST}edit/?id={base.id}").get_data(as_text=True)
    assert "It cannot be restricted." in page
    assert 'name="for_owner_users"' not in page
    assert 'name="user_groups"' not in page
    assert edited(olga, base, for_owner_users="y", user_groups=str(fleet.id)).status_code == 302
    base = stored(session, "AC: Base tariff")
    assert (base.for_owner_users, base.user_groups) == (False, [])


@pytest.mark.parametrize(
    "strategy, asked",
    [
        ("none", []),
        ("after_session", []),
        ("preauthorize", ["stop_below_preauthorization"]),
        ("balance_or_payment_method", ["minimum_balance_to_start", "auto_stop_amount"]),
    ],
)
def test_the_stop_session_tab_follows_the_billing_strategy(
    olga: Visitor, session: Session, strategy: str, asked: list[str]
) -> None:
    settings.change_setting(session, key="billing.strategy", value=strategy, actor=None)
    tariff = make.tariff(session, "Standard", auto_stop_amount=Decimal(1))
    session.commit()
    page = olga.get(f"{LIST}edit/?id={tariff.id}").get_data(as_text=True)
    names = ("stop_below_preauthorization", "minimum_balance_to_start", "auto_stop_amount")
    assert [name for name in names if f'name="{name}"' in page] == asked
    assert edited(olga, tariff, max_minutes="60").status_code == 302
    assert stored(session, "Standard").auto_stop_amount == 1


def test_amounts_of_another_strategy_are_hidden_kept_and_explained(olga: Visitor, session: Session) -> None:
    """Else a change of strategy would seem to have lost them, or they would seem to count."""
    settings.change_setting(session, key="billing.strategy", value="preauthorize", actor=None)
    settings.change_setting(session, key="billing.stop_below_preauthorization", value="0.75", actor=None)
    tariff = make.tariff(session, "Standard", auto_stop_amount=Decimal(2))
    session.commit()
    form = olga.get(f"{LIST}edit/?id={tariff.id}").get_data(as_text=True)
    tab = form[form.index('id="tab-stop-session"') :]
    assert 'href="/configuration/settings/#user-billing"' in tab
    assert "Require payment method and authorize certain amount before starting session" in tab
    assert "what was entered for them is kept" in tab
    assert "Leave empty for what Settings say: €0.75." in tab
    page = olga.get(f"{LIST}details/?id={tariff.id}").get_data(as_text=True)
    assert re.search(r"Auto stop amount</dt><dd>€2\.00 <span[^>]*>\(not in use under the billing strategy", page)
    assert re.search(r"Pre-authorization amount falls below</dt><dd>€0\.75 <span[^>]*>\(as in Settings", page)
    settings.change_setting(session, key="billing.strategy", value="none", actor=None)
    session.commit()
    form = olga.get(f"{LIST}edit/?id={tariff.id}").get_data(as_text=True)
    assert "only time and energy can stop a session" in form


def test_the_versions_say_who_made_what_of_what(olga: Visitor, session: Session) -> None:
    """A driver asks why it was dearer in May: the page has the answer without the database."""
    assert olga.send(f"{LIST}new/", {"name": "Standard", "type": "duration_energy", "price_per_kwh": "0.20"})
    tariff = stored(session, "Standard")
    assert edited(olga, tariff, price_per_kwh="0.25", **{"description-en": "Dearer"}).status_code == 302
    assert edited(olga, tariff, **{"description-en": "Only words"}).status_code == 302
    assert edited(olga, tariff, max_minutes="60").status_code == 302
    levels = {"levels-0-max_power_w": "7.4", "levels-0-price_per_minute": "0.10"}
    assert edited(olga, tariff, type="power_levels", **levels).status_code == 302
    page = olga.get(f"{LIST}details/?id={tariff.id}").get_data(as_text=True)
    part = page[page.index("Versions, the one in force first") :]
    part = part[: part.index("</ol>")]
    assert re.findall(r"<strong>(Version \d)</strong>", part) == ["Version 4", "Version 3", "Version 2", "Version 1"]
    said = re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]+>", " ", part, flags=re.S))
    assert "Price per kWh 0.2 0.25" in said
    assert "Session max time (minutes) — 60" in said
    assert "Power levels — up to 7.4 kW 0.1" in said
    assert "Type Duration + energy Power levels" in said
    assert "Description" not in said
    assert said.count("olga") + said.count("@") >= 4, "each says who"
    assert part.count("In force") == 1


def test_who_saves_later_is_told_of_the_other_change(olga: Visitor, session: Session) -> None:
    tariff = make.tariff(session, "Standard")
    session.commit()
    mine = form_of(olga.get(f"{LIST}edit/?id={tariff.id}").get_data(as_text=True))
    assert edited(olga, tariff, price_per_kwh="0.30").status_code == 302
    late = olga.send(f"{LIST}edit/?id={tariff.id}", {**mine, "price_per_kwh": "0.99"})
    assert late.status_code == 409
    assert "stored now: 0.3" in late.get_data(as_text=True)
    assert stored(session, "Standard").price_per_kwh == Decimal("0.3")


# --- details, delete, permissions -----------------------------------------------------------------------------


def test_each_type_has_a_page(olga: Visitor, session: Session) -> None:
    level = TariffPowerLevel(max_power_w=7400, price_per_minute=Decimal("0.1"))
    made = [
        make.tariff(session, "A", type=TariffType.FREE, for_roaming_users=True),
        make.tariff(session, "B", type=TariffType.FLAT, price_per_session=Decimal(5)),
        make.tariff(session, "C", idle_fee_per_minute=Decimal("0.1"), idle_grace_minutes=10),
        make.tariff(
            session,
            "D",
            type=TariffType.DURATION_ENERGY_TOD,
            day_starts=time(7),
            night_starts=time(22),
            price_per_kwh=Decimal("0.4"),
        ),
        make.tariff(session, "E", type=TariffType.POWER_LEVELS, levels=[level], max_minutes=90),
    ]
    session.commit()
    pages = [olga.get(f"{LIST}details/?id={tariff.id}").get_data(as_text=True) for tariff in made]
    assert "Users of all roaming Partners" in pages[0]
    assert "€5.00 / session" in pages[1]
    assert "€0.10 / min after 10 min" in pages[2]
    assert "07:00" in pages[3]
    assert "€0.40/kWh by day, free by night" in pages[3]
    assert "Up to 7.4 kW" in pages[4]
    assert "1 h 30 min" in pages[4]


def test_a_tariff_in_use_cannot_be_deleted_and_says_where(olga: Visitor, session: Session) -> None:
    tariff, free = make.tariff(session, "Used"), make.tariff(session, "Unused")
    group = make.tariff_group(session, "AC", tariff)
    make.tariff_group(session, "DC", tariff)
    session.commit()
    olga.send(f"{LIST}delete/", {"id": str(tariff.id)})
    page = olga.get(f"{LIST}details/?id={tariff.id}").get_data(as_text=True)
    assert "is attached to the tariff groups “AC” and “DC”" in page
    with pytest.raises(TariffInUse, match="is the base tariff of the tariff group “AC”"):
        require_detached(session, tariff=group.tariffs[0])
    assert olga.send(f"{LIST}delete/", {"id": str(free.id)}).location == LIST
    session.rollback()
    assert {found.name for found in session.scalars(select(Tariff).where(~Tariff.is_base))} == {"Used"}


def test_who_may_do_what(clean: Flask, session: Session) -> None:
    tariff = make.tariff(session, "Standard")
    analyst = make.admin(session, "Anna Analyst", "Analyst")
    reader = make.admin(session, "Rita Reader", "Readers", permissions=["tariffs.tariff.view"])
    session.commit()
    addresses = (LIST, f"{LIST}details/?id={tariff.id}", f"{LIST}new/", f"{LIST}edit/?id={tariff.id}")
    assert [make.signed_in(clean, analyst).get(address).status_code for address in addresses] == [403] * 4
    rita = make.signed_in(clean, reader)
    assert [rita.get(address).status_code for address in addresses] == [200, 200, 403, 403]
    assert rita.post(f"{LIST}delete/", data={"id": tariff.id}).status_code == 403
    assert rita.get(f"{LIST}export/csv/").status_code == 403
    assert clean.test_client().get(LIST).status_code == 302
