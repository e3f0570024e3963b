"""The demo: a believable fleet whose past agrees with itself to the cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app import demo
from app.assets.models import ChargePoint, ConnectionStatus, EvseState, Location
from app.audit_money import run as audit
from app.audit_money.checks import Period
from app.billing import ledger
from app.billing.models import LedgerEntryType
from app.charging.bill import bill_session, check_price
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.core import settings as system_settings
from app.core.clock import utcnow
from app.core.config import Config
from app.core.db import db
from app.core.passwords import verify_station_password
from app.crm.models import RfidTag, User
from app.demo.traffic import USES, ac_charge, arrivals, dc_charge
from app.tariffs.models import Tariff, TariffType
from ocpp_ws.simulator.config import StationSpec
from ocpp_ws.simulator.demo import fleet_config
from tests.conftest import empty_tables


@pytest.fixture(scope="module")
def filled(app: Flask, cleaner: psycopg.Connection[Any]) -> Iterator[Flask]:
    """A database filled once for this module, within the time a person waits for a first start."""
    system_settings.forget()
    assert demo.fill_if_empty(app) is True
    yield app
    with app.app_context():
        db.session.remove()
    empty_tables(cleaner)
    system_settings.forget()


@pytest.fixture
def past(filled: Flask) -> Iterator[Session]:
    """A session on the filled database; nothing a test changes stays."""
    with filled.app_context():
        yield db.session()
        db.session.rollback()
        db.session.remove()


def _one(session: Session, sql: str) -> Any:
    return session.execute(text(sql)).scalar_one()


def test_an_empty_database_is_empty(session: Session) -> None:
    assert demo.is_empty(session) is True
    session.add(User(email="first@example.com"))
    session.flush()
    assert demo.is_empty(session) is False


def test_it_is_filled_once_and_never_beside_other_data(filled: Flask, past: Session, config: Config) -> None:
    assert demo.is_empty(past) is False
    assert demo.fill_if_empty(filled) is False
    with pytest.raises(demo.DatabaseNotEmpty):
        demo.fill(past, now=utcnow(), secret_key=config.secret_key)


def test_the_fleet(past: Session) -> None:
    countries = past.execute(select(Location.country, func.count()).group_by(Location.country)).all()
    assert {country for country, _ in countries} == {"BG", "GB", "GR"}
    assert past.scalar(select(func.count()).select_from(ChargePoint)) == 40
    assert len({language for name in past.scalars(select(Location.name)) for language in name}) >= 3
    vendors = _one(past, "SELECT count(DISTINCT vendor) FROM charge_point_state")
    powers = set(past.execute(text("SELECT DISTINCT type || max_power_w FROM evse")).scalars())
    assert vendors >= 6
    assert powers == {"AC7400", "AC11000", "AC22000", "DC50000", "DC150000"}
    assert set(past.scalars(select(Tariff.type))) == set(TariffType)
    assert _one(past, "SELECT count(*) FROM evse WHERE tariff_group_id IS NULL") == 0
    assert _one(past, "SELECT count(*) FROM user_account") == 120
    assert not past.scalars(select(EvseState).where(EvseState.status_at > utcnow())).all()
    assert set(past.execute(text("SELECT DISTINCT connection FROM charge_point_state")).scalars()) == {
        ConnectionStatus.LONG_TERM_UNAVAILABLE.value
    }


def test_ninety_days_of_sessions(past: Session) -> None:
    total = _one(past, "SELECT count(*) FROM charging_session")
    failed = _one(past, "SELECT count(*) FROM charging_session WHERE status = 'failed'")
    assert 8_000 <= total <= 12_000
    assert 0.03 < failed / total < 0.05
    first, last = past.execute(text("SELECT min(created_at), max(stop_received_at) FROM charging_session")).one()
    # ninety days of the stations' own calendar, and what of today has gone by
    assert timedelta(days=88) < utcnow() - first < timedelta(days=92)
    assert last < utcnow()
    used = past.execute(text("SELECT DISTINCT tariff_snapshot->>'type' FROM charging_session")).scalars()
    assert set(used) == {kind.value for kind in TariffType}
    assert _one(past, "SELECT count(*) FROM charging_session WHERE status NOT IN ('finished', 'failed')") == 0
    by_hour = dict(
        past.execute(
            text(
                "SELECT extract(hour FROM created_at AT TIME ZONE 'Europe/Sofia')::int, count(*) "
                "FROM charging_session GROUP BY 1"
            )
        )
        .tuples()
        .all()
    )
    assert sum(by_hour[hour] for hour in range(10, 20)) > 10 * sum(by_hour[hour] for hour in range(1, 5))


def test_nobody_is_in_two_places_and_no_evse_has_two_cars(past: Session) -> None:
    for column in ("evse_id", "user_id"):
        overlapping = _one(
            past,
            f"SELECT count(*) FROM (SELECT started_at, lag(stopped_at) OVER (PARTITION BY {column} ORDER BY started_at)"
            " AS before FROM charging_session WHERE status = 'finished') s WHERE before > started_at",
        )
        assert overlapping == 0, column


def test_all_books_agree_to_the_cent(past: Session) -> None:
    past.commit()
    found = [text for _, text in audit.differences_here(past, Period(now=utcnow()))]
    assert found == []
    wrong = _one(
        past,
        "SELECT count(*) FROM charging_session s "
        "LEFT JOIN transaction t ON t.idempotency_key = 'session:' || s.id || '\\:charge' "
        "WHERE coalesce(s.total_gross, 0) <> coalesce(t.amount, 0) OR t.session_id <> s.id OR t.user_id <> s.user_id "
        "OR t.partner_id <> s.partner_id",
    )
    assert wrong == 0
    statuses = Counter(
        past.execute(
            text("SELECT payment_status || CASE WHEN total_gross > 0 THEN '+' ELSE '' END FROM charging_session")
        ).scalars()
    )
    assert set(statuses) == {"paid+", "outstanding+", "refunded+", "free", "not_billed"}


def test_every_page_of_money_shows_life(past: Session) -> None:
    for what, query in (
        ("cards", "SELECT count(*) FROM payment_method"),
        ("charges by card", "SELECT count(*) FROM transaction WHERE processor = 'test' AND purpose = 'session'"),
        ("histories", "SELECT count(*) FROM transaction_event"),
        ("refunds", "SELECT count(*) FROM transaction WHERE type = 'refund'"),
        ("declined charges", "SELECT count(*) FROM transaction WHERE status = 'outstanding'"),
        ("standing orders", "SELECT count(*) FROM auto_top_up"),
        ("open vouchers", "SELECT count(*) FROM voucher WHERE status = 'active' AND redeemed_at IS NULL"),
    ):
        assert _one(past, query) > 0, what
    kinds = past.execute(text("SELECT DISTINCT type || ' ' || status FROM voucher")).scalars()
    assert set(kinds) == {
        "voucher active", "voucher expired", "voucher cancelled", "top_up active", "auto_top_up active",
        "operator_top_up active",
    }  # fmt: skip
    packages = past.execute(text("SELECT price, bonus FROM top_up_package ORDER BY position")).all()
    assert [tuple(map(int, row)) for row in packages] == [(25, 0), (50, 2), (100, 6)]


def test_balances_are_the_sum_of_their_entries_and_never_below_zero(past: Session) -> None:
    wrong = _one(
        past,
        "SELECT count(*) FROM (SELECT balance_after, sum(credit - debit) OVER w AS running, at, "
        "lag(at) OVER w AS before FROM ledger_entry WINDOW w AS (PARTITION BY account_id ORDER BY id)) e "
        "WHERE running <> balance_after OR balance_after < 0 OR before > at",
    )
    assert wrong == 0
    differing = _one(
        past,
        "SELECT count(*) FROM balance_account a WHERE balance <> "
        "(SELECT sum(credit - debit) FROM ledger_entry l WHERE l.account_id = a.id)",
    )
    assert differing == 0


def test_every_price_is_found_again_from_what_is_stored(past: Session) -> None:
    ids = past.execute(
        text(
            "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY tariff_name, started_at > now() - interval "
            "'14 days' ORDER BY md5(id::text)) n FROM charging_session WHERE status = 'finished') s WHERE n <= 12"
        )
    ).scalars()
    checks = [check_price(past, session_id=id) for id in ids]
    assert len(checks) > 100
    assert all(check.agrees for check in checks)


def test_billing_a_past_session_again_changes_nothing(past: Session) -> None:
    row = past.scalars(
        select(ChargingSession)
        .where(ChargingSession.payment_status == PaymentStatus.PAID, ChargingSession.paid_from == "balance")
        .limit(1)
    ).one()
    before = ledger.balance(past, user_id=row.user_id or 0, currency="EUR")
    entry = ledger.debit(
        past,
        user_id=row.user_id or 0,
        amount=row.total_gross or Decimal(0),
        currency="EUR",
        type=LedgerEntryType.CHARGING_SESSION,
        reference=f"session:{row.id}:charge",
        now=utcnow(),
    )
    assert entry.session_id == row.id
    bill_session(past, row, now=utcnow())
    assert ledger.balance(past, user_id=row.user_id or 0, currency="EUR") == before


def test_readings_are_there_for_the_last_fortnight_and_rise(past: Session) -> None:
    oldest = _one(past, "SELECT min(measured_at) FROM meter_reading")
    assert timedelta(days=13) < utcnow() - oldest < timedelta(days=14, hours=1)
    wrong = _one(
        past,
        "SELECT count(*) FROM (SELECT m.register_wh, lag(m.register_wh) OVER (PARTITION BY m.session_id ORDER BY "
        "m.measured_at) AS before, m.raw_register_wh - m.register_wh - s.meter_start_wh AS shift, s.energy_wh "
        "FROM meter_reading m JOIN charging_session s ON s.id = m.session_id) r "
        "WHERE before > register_wh OR register_wh > energy_wh OR shift <> 0",
    )
    assert wrong == 0
    assert _one(past, "SELECT count(DISTINCT session_id) FROM meter_reading") > 500


def test_authorizations_and_logs(past: Session) -> None:
    orphans = _one(
        past,
        'SELECT count(*) FROM charging_session s LEFT JOIN "authorization" a ON a.id = s.authorization_id '
        "WHERE a.id IS NULL OR a.user_id <> s.user_id OR a.id_tag <> s.id_tag OR a.result <> 'accepted'",
    )
    assert orphans == 0
    reasons = set(
        past.execute(text("SELECT DISTINCT reason FROM \"authorization\" WHERE result = 'rejected'")).scalars()
    )
    assert reasons == {"tag_unknown", "tag_disabled", "tag_expired", "user_disabled"}
    for table in ("network_status_log", "hardware_status_log"):
        assert _one(past, f"SELECT count(*) FROM {table}") > 100
    assert _one(past, "SELECT count(*) FROM hardware_status_log WHERE status = 'faulted' AND error_code IS NULL") == 0


def test_new_rows_are_numbered_behind_the_past(past: Session) -> None:
    row = past.scalars(select(ChargingSession).where(ChargingSession.status == SessionStatus.FAILED).limit(1)).one()
    highest = _one(past, "SELECT max(id) FROM charging_session")
    fresh = ChargingSession(
        partner_id=row.partner_id,
        charge_point_id=row.charge_point_id,
        evse_id=row.evse_id,
        source=row.source,
        status=SessionStatus.PENDING,
    )
    past.add(fresh)
    past.flush()
    assert fresh.id > highest


def test_what_the_simulator_is_told(past: Session, config: Config) -> None:
    stations = demo.demo_stations(past, secret_key=config.secret_key)
    assert len(stations) == 38, "all but the disabled one and the one out of order"
    known = {tag.tag_id for tag in past.scalars(select(RfidTag))}
    for station in stations:
        spec = StationSpec(
            identifier=station.identifier,
            password=station.password,
            make=station.make,
            evses=[(e.network_id, e.kind, float(e.max_power_w)) for e in station.evses],  # type: ignore[misc]
            id_tags=station.id_tags,
        )
        assert spec.id_tags
        assert known.issuperset(spec.id_tags)
        stored = past.scalars(select(ChargePoint).where(ChargePoint.identifier == station.identifier)).one()
        assert (stored.password_hash is None) == (station.password is None)
        if station.password is not None:
            candidates = [station.password.encode()]
            assert verify_station_password(stored.password_hash or "", candidates, config.secret_key)
        assert (stored.state.vendor, stored.state.model) == (station.vendor, station.model)
    assert len({station.make for station in stations}) >= 5
    assert 18 <= sum(station.protocol == "ocpp2.0.1" for station in stations) <= 20, "half of them"
    for simulated, station in zip(fleet_config(stations, 8000).stations, stations, strict=True):
        assert simulated.version == station.protocol
    assert 5 < sum(station.password is not None for station in stations) < 30


def test_drivers_are_kept_solvent(past: Session) -> None:
    assert demo.top_up_low_balances(past, now=utcnow()) == 0
    tag = past.scalars(select(RfidTag).order_by(RfidTag.id).limit(1)).one()
    had = ledger.balance(past, user_id=tag.user_id, currency="EUR")
    ledger.debit(
        past,
        user_id=tag.user_id,
        amount=had + Decimal("12.34"),
        currency="EUR",
        type=LedgerEntryType.CHARGING_SESSION,
        reference="test",
        now=utcnow(),
    )
    assert demo.top_up_low_balances(past, now=utcnow()) == 1
    assert ledger.balance(past, user_id=tag.user_id, currency="EUR") == 100
    assert demo.top_up_low_balances(past, now=utcnow()) == 0


# --- the traffic by itself


@given(
    seed=st.integers(0, 10_000),
    evse_w=st.sampled_from([7_400, 11_000, 22_000]),
    car_w=st.sampled_from([3_700, 7_200, 22_000]),
    use=st.sampled_from([use for (_, current), use in USES.items() if current == "AC"]),
)
@settings(max_examples=80, deadline=None)
def test_a_charge_at_ac_stays_within_car_evse_and_stay(seed: int, evse_w: int, car_w: int, use: Any) -> None:
    curve = ac_charge(Random(seed), use, evse_w=evse_w, car_w=car_w, battery_wh=58_000)
    assert 0 < curve.energy_wh <= 58_000
    assert curve.max_power_w <= min(evse_w, car_w)
    assert curve.charging_s <= curve.stay_s
    assert use.stay_minutes[0] * 60 <= curve.stay_s <= use.stay_minutes[1] * 60
    assert curve.power_at(curve.stay_s) in (0, curve.power_at(0)) or curve.charging_s == curve.stay_s


@given(seed=st.integers(0, 10_000), second=st.integers(0, 20_000))
@settings(max_examples=80, deadline=None)
def test_a_charge_at_dc_rises_ever_slower_and_ends(seed: int, second: int) -> None:
    curve = dc_charge(Random(seed), evse_w=150_000, car_w=120_000, battery_wh=77_000)
    assert 0 < curve.energy_wh < 77_000
    assert curve.charging_s <= curve.stay_s < 6 * 3600
    assert curve.soc_percent[0] < curve.soc_percent[1] <= 100
    assert 0 <= curve.register_at(second) <= curve.register_at(second + 60) <= curve.energy_wh
    assert curve.register_at(curve.charging_s) == curve.energy_wh
    powers = [curve.power_at(at) for at in range(0, curve.charging_s, 60)]
    assert all(later <= earlier + 60 for earlier, later in pairwise(powers))
    assert curve.power_at(curve.charging_s) == 0


def test_the_same_seed_makes_the_same_days_and_clock_changes_harm_nothing() -> None:
    days = [date(2026, 10, 20) + timedelta(days=n) for n in range(10)]
    use, sofia = USES["work", "AC"], ZoneInfo("Europe/Sofia")
    came = list(arrivals(Random(7), use, days=days, in_zone=sofia))
    assert came == list(arrivals(Random(7), use, days=days, in_zone=sofia))
    assert came != list(arrivals(Random(8), use, days=days, in_zone=sofia))
    workdays = [at for at in came if at.weekday() < 5]
    assert len(workdays) > 0.8 * len(came)
    morning = [at for at in workdays if at.astimezone(sofia).hour in (7, 8, 9)]
    assert len(morning) > len(workdays) / 2
    assert all(at.astimezone(UTC) < datetime(2026, 10, 30, tzinfo=UTC) for at in came)
