"""ACTIVITY: the sessions' list and page, authorizations with unknown cards, the Actions log."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ConnectionStatus, EvseStatus
from app.billing import ledger
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import Authorization, ChargingSession, MeterReading
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus, Admin
from app.crm.models import RfidTag
from tests.support.factories_assets import NOW, make_session, make_station, make_tariff_group, make_user, tap
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

SESSIONS = "/activity/charging-sessions/"


@pytest.fixture
def admin(session: Session) -> Admin:
    """A Super User whose clock shows Sofia's time."""
    return make_admin(session, timezone="Europe/Sofia")


@pytest.fixture
def olga(admin: Admin, clean: Flask) -> Visitor:
    """Signed in."""
    return signed_in(clean, admin)


@pytest.fixture
def charged(session: Session, admin: Admin) -> ChargingSession:
    """7.4 kWh in 40 minutes, for 0.50 + 40 × 0.02 + 7.4 × 0.40 = 4.26, paid from the balance."""
    station = make_station(session, group=make_tariff_group(session), name="Vestel 22 kW", identifier="MODERA-1")
    station.evses[0].code = "1112"
    user = make_user(session, first_name="Alex", last_name="Petkov", email="alex@example.com", tag_id="04A2B3C4")
    ledger.add_balance(session, user=user, amount=Decimal(50), currency="EUR", reason="test", actor=admin, now=NOW)
    row = make_session(session, station.evses[0], user)
    session.commit()
    return row


def words(answer: Any) -> str:
    """The text of a page."""
    html = answer.get_data(as_text=True)
    assert answer.status_code == 200, html
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def rows_of(client: Visitor, query: str) -> list[str]:
    """The ids of the sessions a list shows."""
    html = client.get(f"{SESSIONS}?{query}").get_data(as_text=True)
    return re.findall(r'name="rowid" value="(\d+)"', html)


# --- the list


def test_the_list_has_the_manuals_columns(olga: Visitor, charged: ChargingSession) -> None:
    html = olga.get(SESSIONS).get_data(as_text=True)
    heads = [re.sub(r"<.*?>", "", text).strip() for text in re.findall(r"<th scope=\"col\".*?>(.*?)</th>", html, re.S)]
    assert heads[:9] == [
        "ID",
        "User",
        "Started At",
        "Duration",
        "Session Status",
        "Payment Status",
        "kWh",
        "Total Amount",
        "Charge Point",
    ]
    line = words(olga.get(SESSIONS))
    for text in ("Alex Petkov", "40 min", "Finished", "Paid", "7.40", "€4.26", "1112", "Modera Restaurant parking"):
        assert text in line, text


@pytest.mark.parametrize(
    "query, found",
    [
        ("flt0_session_status_is=finished", True),
        ("flt0_session_status_is=active", False),
        ("flt0_running_is=1", False),
        ("flt0_payment_status_is=paid", True),
        ("flt0_payment_status_is=outstanding", False),
        ("flt0_started_at_in=this-year", True),
        ("flt0_started_at_in=2020-01-01 to 2020-01-02", False),
        ("flt0_user_contains=petkov", True),
        ("flt0_user_contains=alex@", True),
        ("flt0_user_contains=nobody", False),
        ("flt0_evse_id_contains=1112", True),
        ("flt0_evse_id_contains=9999", False),
        ("flt0_evse_type_is=DC", False),
        ("flt0_charge_point_contains=vestel", True),
        ("flt0_charge_point_id_contains=modera", True),
        ("flt0_charge_point_id_contains=other", False),
        ("flt0_location_contains=Паркинг", True),
        ("flt0_location_contains=Athens", False),
        ("flt0_tariff_contains=base", True),
        ("flt0_flag_is=clock_ahead", False),
        ("flt0_has_flags_is=0", True),
        ("flt0_has_flags_is=1", False),
        ("flt0_kwh_at_least=7.4", True),
        ("flt0_kwh_at_least=7.5", False),
        ("flt0_kwh_at_most=7.4", True),
        ("flt0_duration_minutes_at_least=40", True),
        ("flt0_duration_minutes_at_most=39", False),
        ("flt0_charging_zone_contains=zone", True),
        ("flt0_charging_zone_contains=nowhere", False),
        ("flt0_partner_contains=nobody", False),
        ("flt0_tariff_group_contains=AC public", True),
        ("flt0_tariff_group_contains=DC", False),
        ("flt0_user_group_contains=fleet", False),
        ("flt0_energy_anomaly_is=0", True),
        ("flt0_energy_anomaly_is=1", False),
        ("flt0_price_corrected_is=1", False),
        ("flt0_total_amount_at_least=5", False),
        ("search=petkov", True),
        ("search=1112", True),
        ("search=zzz", False),
    ],
)
def test_each_filter_finds_what_it_says(olga: Visitor, charged: ChargingSession, query: str, found: bool) -> None:
    assert rows_of(olga, query) == ([str(charged.id)] if found else [])


@pytest.mark.parametrize("query", ["flt0_flag_is=invented", "flt0_running_is=2", "flt0_session_status_is=paid"])
def test_a_filter_that_means_nothing_is_refused(olga: Visitor, charged: ChargingSession, query: str) -> None:
    assert olga.get(f"{SESSIONS}?{query}").status_code == 400


def test_the_export_begins_with_the_promised_columns(olga: Visitor, charged: ChargingSession) -> None:
    """product.md, "Outside in": CSV."""
    text = olga.get(f"{SESSIONS}export/csv/").get_data(as_text=True)
    head, line = list(csv.reader(io.StringIO(text)))
    assert ",".join(head[:16]) == (
        "id,user_email,id_tag,charge_point_id,evse_network_id,evse_id,started_at,stopped_at,status,payment_status,"
        "energy_kwh,currency,total_gross,total_net,total_vat,tariff"
    )
    found = dict(zip(head, line, strict=True))
    assert (found["user_email"], found["charge_point_id"], found["evse_id"]) == ("alex@example.com", "MODERA-1", "1112")
    assert Decimal(found["energy_kwh"]) == Decimal("7.4") and Decimal(found["total_gross"]) == Decimal("4.26")
    assert found["duration_s"] == "2400"


# --- the page


def test_the_page_explains_the_price(olga: Visitor, charged: ChargingSession) -> None:
    text = words(olga.get(f"{SESSIONS}details/?id={charged.id}"))
    for part in (
        "Connection fee 1 session €0.50 / session €0.50",
        "40.000 min €0.02 / min €0.80",
        "7.400 kWh €0.40 / kWh €2.96",
        "Total, VAT included €4.26",
        "Net €3.55",
        "VAT €0.71",
        "Price per kWh €0.40 / kWh",
        "VAT included 20%",
        "The base tariff applies to everybody",
        "Charging session",
        "€45.74",
    ):
        assert part in text, part
    assert olga.get(f"{SESSIONS}details/?id={charged.id}").get_data(as_text=True).count("so far") == 0


def test_the_curve_has_its_numbers_beneath(olga: Visitor, charged: ChargingSession, session: Session) -> None:
    reading = session.query(MeterReading).order_by(MeterReading.measured_at).first()
    assert reading is not None
    reading.flags = ["register_jumped"]
    session.commit()
    olga.get(f"{SESSIONS}details/?id={charged.id}")
    answer = olga.htmx(f"{SESSIONS}curve/?id={charged.id}")
    html = answer.get_data(as_text=True)
    chart = json.loads(unescape(re.findall(r'data-curve="([^"]+)"', html)[0]))
    assert chart["energy"] == [0.0, 1.48, 2.96, 4.44, 5.92, 7.4]
    assert chart["minutes"] == [0.0, 8.0, 16.0, 24.0, 32.0, 40.0]
    assert chart["power"][:2] == [None, 11.0]
    text = words(answer)
    assert "4 readings behind it" in text and "Register rose by more than the EVSE can deliver" in text
    assert "101.480" in text and "16.0" in text


def test_a_running_session_shows_what_it_costs_so_far(olga: Visitor, session: Session) -> None:
    station = make_station(session, group=make_tariff_group(session))
    started_at = utcnow() - timedelta(minutes=30)
    row = make_session(
        session,
        station.evses[0],
        make_user(session),
        status=SessionStatus.ACTIVE,
        started_at=started_at,
        minutes=29,
        energy_wh=Decimal(5000),
        readings=0,
    )
    session.commit()
    text = words(olga.get(f"{SESSIONS}details/?id={row.id}"))
    assert "so far" in text and "5.00 kWh" in text and "11 kW" in text
    assert "€2.00" in text and "€3.10" in text


def test_flags_are_told_in_words(olga: Visitor, session: Session) -> None:
    station = make_station(session, group=make_tariff_group(session))
    row = make_session(session, station.evses[0], make_user(session), flags=["no_stop_message", "clock_ahead"])
    session.commit()
    text = words(olga.get(f"{SESSIONS}details/?id={row.id}"))
    assert "The station never reported the stop" in text and "clock is ahead" in text
    assert rows_of(olga, "flt0_flag_is=clock_ahead") == [str(row.id)]


@pytest.mark.parametrize(
    "status, fields, message",
    [
        (SessionStatus.FAILED, {"failure_reason": "No car was plugged in"}, "failed before it began"),
        (SessionStatus.FINISHED, {}, "No tariff was chosen"),
    ],
)
def test_a_session_without_price_says_why(
    olga: Visitor, session: Session, status: SessionStatus, fields: dict[str, Any], message: str
) -> None:
    station = make_station(session)
    row = make_session(session, station.evses[0], None, status=status, **fields)
    session.commit()
    assert message in words(olga.get(f"{SESSIONS}details/?id={row.id}"))
    assert row.payment_status is PaymentStatus.NOT_BILLED


def test_a_session_leads_to_its_transaction_and_authorization(
    olga: Visitor, session: Session, charged: ChargingSession
) -> None:
    answer = tap(session, charged.charge_point, "04A2B3C4")
    charged.authorization_id = answer.authorization_id
    session.commit()
    page = olga.get(f"{SESSIONS}details/?id={charged.id}").get_data(as_text=True)
    lists = [
        olga.htmx(unescape(url)).get_data(as_text=True)
        for url in re.findall(r'hx-get="([^"]*/related/\d+/[^"]*)"', page)
    ]
    assert any("€4.26" in html for html in lists)
    assert any(f"/activity/authorizations/details/?id={answer.authorization_id}" in html for html in lists)


def test_the_analyst_reads_sessions_but_follows_no_closed_doors(
    session: Session, clean: Flask, charged: ChargingSession
) -> None:
    """No link leads where the role may not go."""
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    for path in (
        SESSIONS,
        f"{SESSIONS}details/?id={charged.id}",
        "/activity/authorizations/",
        "/activity/actions/",
    ):
        html = anna.get(path).get_data(as_text=True)
        for closed in ("/assets/", "/crm/", "/payments/"):
            assert f'href="{closed}' not in html, (path, closed)


# --- authorizations


def test_an_unknown_card_is_registered_from_its_authorization(olga: Visitor, session: Session) -> None:
    station = make_station(session)
    answer = tap(session, station, "DEADBEEF00")
    session.commit()
    path = f"/activity/authorizations/details/?id={answer.authorization_id}"
    html = olga.get(path).get_data(as_text=True)
    assert "Rejected: The RFID tag is not registered" in re.sub(r"<[^>]+>", "", html)
    link = re.search(r'href="([^"]*tag_id=DEADBEEF00[^"]*)"[^>]*>.*?Register this RFID tag', html, re.S)
    assert link is not None
    form = olga.get(unescape(link[1]))
    assert form.status_code == 200 and 'value="DEADBEEF00"' in form.get_data(as_text=True)
    session.add(RfidTag(tag_id="deadbeef00", user=make_user(session)))
    session.commit()
    assert "Register this RFID tag" not in olga.get(path).get_data(as_text=True)


def test_who_may_not_register_is_not_offered_it(session: Session, clean: Flask) -> None:
    answer = tap(session, make_station(session), "DEADBEEF00")
    session.commit()
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    page = anna.get(f"/activity/authorizations/details/?id={answer.authorization_id}").get_data(as_text=True)
    assert "DEADBEEF00" in page and "Register this RFID tag" not in page


def test_authorizations_are_filtered_by_reason_and_exported(olga: Visitor, session: Session) -> None:
    station = make_station(session, identifier="MODERA-1")
    disabled = make_station(session)
    disabled.evses[0].status = EvseStatus.DISABLED
    make_user(session, tag_id="04A2", email="alex@example.com")
    for tag in ("04A2", "UNKNOWN"):
        tap(session, station, tag)
    session.commit()
    html = olga.get("/activity/authorizations/?flt0_reason_is=tag_unknown").get_data(as_text=True)
    assert "UNKNOWN" in html and "04A2" not in html
    assert "CP ID: " in words(olga.get("/activity/authorizations/"))
    lines = list(csv.DictReader(io.StringIO(olga.get("/activity/authorizations/export/csv/").get_data(as_text=True))))
    assert list(lines[0])[:9] == (
        ["id", "happened_at", "source", "id_tag", "result", "reason", "user_email", "charge_point_id", "evse_id"]
    )
    found = {line["id_tag"]: (line["result"], line["reason"], line["charge_point_id"]) for line in lines}
    assert found["UNKNOWN"] == ("rejected", "tag_unknown", "MODERA-1") and found["04A2"][0] == "accepted"
    assert session.query(Authorization).count() == 2


# --- the Actions log


def test_the_actions_log_leads_to_what_was_done(olga: Visitor, session: Session) -> None:
    station = make_station(session, connection=ConnectionStatus.NEVER_CONNECTED, name="Lonely <b>station</b>")
    action = Action(
        partner_id=1,
        name="Reset",
        target_type="charge_point",
        target_id=station.id,
        target_label=station.name,
        charge_point_id=station.id,
        info="Soft",
        reason="=cmd|' /C calc'!A0",
        status=ActionStatus.TIMED_OUT,
        initiated_by="Olga",
        command="reset",
        request={"kind": "soft"},
        error="no answer",
    )
    session.add(action)
    session.commit()
    html = olga.get("/activity/actions/?flt0_status_is=timed_out&flt1_command_is=reset").get_data(as_text=True)
    assert f"/assets/charge-points/details/?id={station.id}" in html and "Timed out" in html
    assert "<b>station</b>" not in html
    text = olga.get("/activity/actions/export/csv/").get_data(as_text=True)
    assert "'=cmd" in text and '{""kind"": ""soft""}' in text
    page = words(olga.get(f"/activity/actions/details/?id={action.id}"))
    assert "no answer" in page and '"kind": "soft"' in page and "Actions log" in words(olga.get("/activity/actions/"))
