"""The page behind a QR code: what strangers see of an EVSE, and what they do not."""

from __future__ import annotations

import itertools
import re
from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import (
    AccessType,
    ChargePoint,
    ChargePointNotice,
    ConnectionStatus,
    Evse,
    EvseStatus,
    ReportedStatus,
    SystemStatus,
    ZoneStatus,
)
from app.charging.models import Reservation, ReservationStatus
from app.charging.public_page import PublicStatus, is_visible, public_status
from app.core.clock import utcnow
from app.tariffs.models import Tariff, TariffPowerLevel, TariffType
from tests.support.factories_assets import make_session, make_station, make_tariff_group, make_user, make_zone
from tests.support.factories_dashboard import Visitor, counted_statements, visitor


@pytest.fixture
def stranger(clean: Flask) -> Visitor:
    """Somebody with a phone and no account."""
    return visitor(clean)


def page(stranger: Visitor, code: str, language: str = "en", status: int = 200) -> str:
    answer = stranger.get(f"/public/cs/{code}", headers={"Accept-Language": language})
    assert answer.status_code == status, answer.get_data(as_text=True)
    return str(answer.get_data(as_text=True))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture
def evse(session: Session) -> Evse:
    """An available one with a price."""
    station = make_station(session, group=make_tariff_group(session))
    session.commit()
    return station.evses[0]


def test_a_sticker_leads_to_status_price_connector_and_place(stranger: Visitor, evse: Evse) -> None:
    shown = words(page(stranger, evse.code))
    for text in ("Available", "Modera Restaurant parking", "1 Vitosha blvd", "1000 Sofia", "Bulgaria", "Type 2"):
        assert text in shown
    assert "AC 22 kW" in shown and "Socket, bring your own cable" in shown
    for text in ("Connection fee €0.50", "Per minute €0.02", "Per kWh €0.40"):
        assert text in shown


def test_the_browsers_language_is_spoken(stranger: Visitor, evse: Evse) -> None:
    shown = words(page(stranger, evse.code, "bg-BG,bg;q=0.9,en;q=0.5"))
    assert "Паркинг" in shown and "Свободна" in shown and "България" in shown and "0,40" in shown
    assert "可使用" in page(stranger, evse.code, "zh-TW")
    assert 'lang="en"' in page(stranger, evse.code, "tlh")
    asked = stranger.get(f"/public/cs/{evse.code}?lang=pt", headers={"Accept-Language": "bg"})
    assert "Disponível" in asked.get_data(as_text=True)


def test_an_id_is_found_whatever_its_case_and_nothing_else_is(stranger: Visitor, session: Session, evse: Evse) -> None:
    evse.code = "BG*ABC-7k"
    session.commit()
    assert "BG*ABC-7k" in page(stranger, "bg*abc-7K")
    for wrong in ("nothing", "BG*ABC-7", "%25", "a" * 300, "%00", "BG_ABC-7k"):
        missing = page(stranger, wrong, "pt", 404)
        assert "ponto de carregamento" in missing and "/login" not in missing


@pytest.mark.parametrize(
    "change",
    [
        {"status": SystemStatus.DISABLED},
        {"access_type": AccessType.PRIVATE},
    ],
)
def test_what_drivers_do_not_see_is_not_there(
    stranger: Visitor, session: Session, evse: Evse, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(evse.charge_point, name, value)
    session.commit()
    page(stranger, evse.code, status=404)
    assert stranger.get(f"/public/cs/{evse.code}/status").status_code == 404


def test_disabled_zones_evses_and_connectors_are_hidden(stranger: Visitor, session: Session, evse: Evse) -> None:
    evse.connectors[0].status = EvseStatus.DISABLED
    session.commit()
    shown = words(page(stranger, evse.code))
    assert "Type 2" not in shown and "Out of order" in shown
    evse.status = EvseStatus.DISABLED
    session.commit()
    page(stranger, evse.code, status=404)
    evse.status, evse.charge_point.zone.status = EvseStatus.ACTIVE, ZoneStatus.DISABLED
    session.commit()
    page(stranger, evse.code, status=404)


def test_a_private_one_with_notice_and_one_that_is_not_managed_show_their_notice(
    stranger: Visitor, session: Session, evse: Evse
) -> None:
    station = evse.charge_point
    station.notice = ChargePointNotice(name="Guests", message={"en": "For hotel guests.", "bg": "За гости."})
    station.access_type, station.show_to_public_with_notice = AccessType.PRIVATE, True
    session.commit()
    shown = words(page(stranger, evse.code))
    assert "For hotel guests." in shown and "Only for invited users" in shown and "Available" in shown
    assert "За гости." in page(stranger, evse.code, "bg")
    station.access_type, station.show_to_public_with_notice = AccessType.PUBLIC, False
    station.managed_by_operator = False
    session.commit()
    shown = words(page(stranger, evse.code))
    assert "For hotel guests." in shown and "Status not known" in shown
    assert "Only for invited users" not in shown and "Per kWh" not in shown


def test_nobody_is_named_and_the_page_may_be_kept_for_a_moment(stranger: Visitor, session: Session, evse: Evse) -> None:
    dora = make_user(session, "04A2B3C4", first_name="Dora", last_name="Petrova")
    make_session(session, evse, dora)
    session.commit()
    answer = stranger.get(f"/public/cs/{evse.code}")
    html = answer.get_data(as_text=True)
    for secret in ("Dora", "Petrova", "04A2B3C4", dora.email, evse.charge_point.identifier, evse.charge_point.name):
        assert secret not in html
    assert answer.cache_control.public and 0 < (answer.cache_control.max_age or 0) <= 60
    assert "Set-Cookie" not in answer.headers and "Accept-Language" in answer.headers["Vary"]


def test_a_reservation_is_told_though_the_station_says_nothing_of_it(
    stranger: Visitor, session: Session, evse: Evse
) -> None:
    user = make_user(session, "04A2B3C4")
    row = Reservation(
        partner_id=1,
        charge_point_id=evse.charge_point_id,
        evse_id=evse.id,
        user_id=user.id,
        id_tag="04A2B3C4",
        status=ReservationStatus.ACTIVE,
        created_at=utcnow() - timedelta(hours=1),
        expires_at=utcnow() + timedelta(minutes=15),
    )
    session.add(row)
    session.commit()
    shown = page(stranger, evse.code)
    assert "Reserved" in shown and user.last_name not in shown
    row.expires_at = utcnow() - timedelta(seconds=1)
    session.commit()
    assert "Reserved" not in page(stranger, evse.code)


def test_the_status_alone_follows_the_station(stranger: Visitor, session: Session, evse: Evse) -> None:
    page(stranger, evse.code)
    evse.state.status = ReportedStatus.CHARGING
    session.commit()
    answer = stranger.get(f"/public/cs/{evse.code}/status?lang=el")
    assert "Φορτίζει" in answer.get_data(as_text=True) and len(answer.get_data()) < 400


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"type": TariffType.FREE}, ["Free of charge"]),
        ({"type": TariffType.FLAT, "price_per_session": Decimal("3.5")}, ["Per session €3.50"]),
        (
            {"price_per_kwh": Decimal("0.3875"), "idle_fee_per_minute": Decimal("0.1"), "idle_grace_minutes": 15},
            ["Per kWh €0.3875", "Per minute, from 15 min after charging has stopped €0.10"],
        ),
    ],
)
def test_prices_in_words(
    stranger: Visitor, session: Session, evse: Evse, fields: dict[str, Any], expected: list[str]
) -> None:
    tariff = session.scalars(select(Tariff)).one()
    for name in ("price_per_minute", "price_per_kwh", "connection_fee"):
        setattr(tariff, name, None)
    for name, value in fields.items():
        setattr(tariff, name, value)
    session.commit()
    shown = words(page(stranger, evse.code))
    for text in expected:
        assert text in shown


def test_prices_by_power_and_by_time_of_day(stranger: Visitor, session: Session, evse: Evse) -> None:
    tariff = session.scalars(select(Tariff)).one()
    tariff.type = TariffType.POWER_LEVELS
    tariff.levels = [TariffPowerLevel(max_power_w=11000, price_per_minute=Decimal("0.1"))]
    session.commit()
    assert "Per minute, up to 11 kW on average €0.10" in words(page(stranger, evse.code))
    tariff.type, tariff.day_starts, tariff.night_starts = TariffType.DURATION_ENERGY_TOD, time(7), time(22)
    tariff.night_price_per_kwh = Decimal("0.2")
    session.commit()
    shown = words(page(stranger, evse.code))
    assert re.search(r"By day, from 7:00\sAM: Per kWh €0.40", shown)
    assert re.search(r"By night, from 10:00\sPM: Per kWh €0.20", shown)


def test_without_tariff_group_no_price_is_made_up(stranger: Visitor, session: Session, evse: Evse) -> None:
    evse.tariff_group_id = None
    session.commit()
    shown = words(page(stranger, evse.code))
    assert "No price is set." in shown and "Free" not in shown


def test_every_status_and_intent_has_an_answer(session: Session) -> None:
    """No combination of intent, connection and report crashes, and none is better than the worst of the three."""
    station = make_station(session, make_zone(session))
    evse = station.evses[0]
    lost = {ConnectionStatus.LONG_TERM_UNAVAILABLE, ConnectionStatus.NEVER_CONNECTED}
    for intent, own, connection, reported, managed in itertools.product(
        SystemStatus, EvseStatus, ConnectionStatus, ReportedStatus, (True, False)
    ):
        station.status, evse.status, station.managed_by_operator = intent, own, managed
        station.state.connection, evse.state.status = connection, reported
        if not is_visible(station, evse):
            assert SystemStatus.DISABLED in (intent, own)
            continue
        found = public_status(station, evse)
        if SystemStatus.OUT_OF_ORDER in (intent, own):
            assert found is PublicStatus.OUT_OF_ORDER
        elif intent is SystemStatus.DEMO:
            assert found is not PublicStatus.NOT_MANAGED
        elif not managed:
            assert found is PublicStatus.NOT_MANAGED
        elif connection in lost:
            assert found is PublicStatus.OUT_OF_ORDER
        elif found is PublicStatus.AVAILABLE:
            assert (connection, reported) == (ConnectionStatus.AVAILABLE, ReportedStatus.AVAILABLE)


def test_too_many_tries_are_refused_in_words(stranger: Visitor, evse: Evse) -> None:
    answers = [stranger.get(f"/public/cs/{evse.code}/status").status_code for _ in range(301)]
    assert answers[0] == 200 and answers[-1] == 429
    assert "Wait a minute" in stranger.get(f"/public/cs/{evse.code}/status").get_data(as_text=True)


def test_the_page_asks_for_little(session: Session, stranger: Visitor, evse: Evse, clean: Flask) -> None:
    page(stranger, evse.code)
    with clean.app_context(), counted_statements() as statements:
        page(stranger, evse.code)
    assert len([each for each in statements if each.lstrip().startswith("SELECT")]) <= 10
    assert session.get(ChargePoint, evse.charge_point_id) is not None
