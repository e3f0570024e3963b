"""Filling an empty database with the demo: all of it in one transaction, or nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

import psycopg
import structlog
from flask import Flask
from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from app.assets.models import Location
from app.charging import price_versions
from app.charging.models import ChargingSession
from app.core import settings
from app.core.clock import utcnow
from app.core.db import OWNER_ROLE, allow_minutes, plain_url, transaction
from app.core.models import Admin, CurrencyRow, VatRate
from app.core.partitions import create_partitions
from app.crm.models import User
from app.demo import cards, fleet, history, payments, people, records, rows
from app.demo.bulk import copy_rows, reserve_ids
from app.tariffs.models import Tariff

log = structlog.get_logger(__name__)

SEED = 20_260
CURRENCY = "EUR"
TIMEZONE = "Europe/Sofia"
_LOCK = 0x5359_444D


class DatabaseNotEmpty(Exception):
    """There is something in the database already; a demo never mixes with real data."""


def is_empty(session: Session) -> bool:
    """Whether nobody has put anything in yet: no location, user, tariff or session."""
    return not session.scalar(
        select(
            exists(select(Location.id)).self_group()
            | exists(select(User.id))
            | exists(select(Tariff.id))
            | exists(select(ChargingSession.id))
        )
    )


def fill_if_empty(flask_app: Flask) -> bool:
    """Fill an empty database of the application and commit; True when it was filled now."""
    with flask_app.app_context(), transaction() as session:
        if not is_empty(session):
            return False
    now = utcnow()
    prepare_partitions(flask_app.config["MIGRATION_DATABASE_URL"], now=now)
    with flask_app.app_context(), transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if not is_empty(session):
            return False  # another process has just done it
        fill(session, now=now, secret_key=flask_app.config["SECRET_KEY"])
    return True


def prepare_partitions(migration_url: str, *, now: datetime) -> None:
    """Make the months of the past that the demo's readings and logs fall in, as their owner."""
    since = (now - timedelta(days=max(records.LOG_DAYS, history.READING_DAYS) + 1)).date()
    with psycopg.connect(plain_url(migration_url), autocommit=True, connect_timeout=10) as owner:
        owner.execute(f"SET ROLE {OWNER_ROLE}")
        create_partitions(owner, now=now, since=since)


def fill(session: Session, *, now: datetime, secret_key: str, seed: int = SEED) -> None:
    """Fill an empty database; flushes, the caller commits. The same seed and time make the same world.

    The partitions must be there (``prepare_partitions``). Raises DatabaseNotEmpty.
    """
    if not is_empty(session):
        raise DatabaseNotEmpty("the demo fills an empty database only")
    allow_minutes(session, 10)
    rng = Random(seed)  # noqa: S311 (a demo's chance, nobody's secret)
    now = now.replace(microsecond=0)
    vat_percent = _set_up(session)
    user_groups = people.make_user_groups(session)
    tariff_groups = fleet.make_tariffs(session, user_groups)
    sites = fleet.make_sites(session, rng, tariff_groups=tariff_groups, secret_key=secret_key, now=now)
    crowd = people.make_people(session, rng, user_groups=user_groups, now=now)
    cards.give_cards(session, rng, drivers=crowd.drivers, now=now)
    outlets = history.outlets_of(session, sites, system_timezone=TIMEZONE)
    visits = history.make_visits(rng, outlets, crowd.drivers, now=now)
    pricer = history.Pricer(
        session,
        currency=session.get_one(CurrencyRow, CURRENCY),
        vat_percent=vat_percent,
        user_group_ids={name: group.id for name, group in user_groups.items()},
        now=now,
    )
    _number(session, rng, visits)
    for visit in visits:
        pricer.price(visit)
    payments.plan(rng, visits=visits, now=now)
    records.write_authorizations(session, rng, visits=visits, outlets=outlets, people=crowd)
    copy_rows(session, "charging_session", rows.SESSION_COLUMNS, (rows.session_row(v, pricer) for v in visits))
    price_versions.keep_history(session)
    readings = (row for visit in visits if visit.readings for row in rows.reading_rows(visit))
    copy_rows(session, "meter_reading", rows.READING_COLUMNS, readings)
    actor = session.scalars(select(Admin).order_by(Admin.id).limit(1)).one_or_none()
    payments.pay(session, rng, visits=visits, drivers=crowd.drivers, currency=CURRENCY, actor=actor, now=now)
    records.write_states(session, rng, sites=sites, now=now)
    records.write_logs(session, rng, sites=sites, visits=visits, now=now)
    log.info("demo.filled", stations=sum(len(site.stations) for site in sites), sessions=len(visits))


def _set_up(session: Session) -> Decimal:
    """Currency, VAT, time zone and payments of the demo. Returns the VAT percentage."""
    settings.change_setting(session, key="payment.processor", value="test", actor=None)
    settings.change_setting(session, key="billing.auto_top_up_enabled", value=True, actor=None)
    settings.change_setting(session, key="receipt.send_by_email", value=False, actor=None)
    settings.change_setting(session, key="system.currency", value=CURRENCY, actor=None)
    settings.change_setting(session, key="system.timezone", value=TIMEZONE, actor=None)
    settings.change_setting(session, key="system.vat", value="Standard", actor=None)
    rate = session.scalars(select(VatRate).where(VatRate.name == "Standard")).one_or_none()
    if rate is None:
        rate = VatRate(name="Standard", percent=Decimal(20))
        session.add(rate)
    rate.percent = Decimal(20)
    session.flush()
    return rate.percent


def _number(session: Session, rng: Random, visits: list[history.Visit]) -> None:
    """Sessions are numbered in the order they were asked for; each EVSE's meter counts on."""
    meters: dict[int, int] = {}
    for visit, number in zip(visits, reserve_ids(session, "charging_session", len(visits)), strict=True):
        evse_id = visit.outlet.evse.id
        visit.id = number
        visit.meter_start_wh = meters.setdefault(evse_id, rng.randint(40_000, 2_500_000))
        if visit.curve is not None:
            meters[evse_id] += visit.curve.energy_wh
