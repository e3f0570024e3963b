"""`python -m bench.pricing`: what pricing one session takes, and "try on last month" on a hundred thousand of them.

One session is compared with a thousand additions of decimals in the same process, the trial with a plain loop that
prices session by session as a bill does: absolute figures drift with the machine. Written to ``bench/pricing.md``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.charging import bill
from app.charging.models import ChargingSession
from app.charging.trials import asking, running
from app.core import partitions
from app.core.clock import utcnow
from app.core.db import OWNER_ROLE, plain_url, transaction
from app.core.money import Currency
from app.tariffs.models import Tariff, TariffPowerLevel, TariffTrial, TariffType
from app.tariffs.pricing import (
    DurationEnergyTariff,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    Reading,
    TariffSnapshot,
    TimeOfDayTariff,
    price_session,
    snapshot_to_json,
)
from app.tariffs.trials import draft_of
from bench.lists import product
from bench.many_rows import fill
from bench.processes import processor_name

RESULTS = Path(__file__).with_name("pricing.md")
GOAL_US, GOAL_S = 100.0, 20.0
_LOOP_SESSIONS = 1000
_COMMON: dict[str, Any] = {
    "tariff_id": 1,
    "version": 1,
    "name": "Bench",
    "currency": Currency("EUR", 2, "€"),
    "vat_percent": Decimal(20),
    "timezone": "Europe/Sofia",
}


# --- one session -------------------------------------------------------------------------------------------------


def _snapshots() -> dict[str, TariffSnapshot]:
    price = Decimal
    return {
        "duration + energy, connection fee": DurationEnergyTariff(
            **_COMMON, price_per_minute=price("0.02"), price_per_kwh=price("0.35"), connection_fee=price("0.50")
        ),
        "time of day, over a boundary": TimeOfDayTariff(
            **_COMMON,
            day_starts=clock_time(7),
            night_starts=clock_time(23),
            day=PeriodPrices(price_per_minute=price("0.02"), price_per_kwh=price("0.35")),
            night=PeriodPrices(price_per_minute=price("0.01"), price_per_kwh=price("0.20")),
            connection_fee=price("0.50"),
        ),
        "power levels": PowerLevelsTariff(
            **_COMMON, levels=(PowerLevel(7400, price("0.10")), PowerLevel(22000, price("0.15")))
        ),
    }


def _least_us(work: Callable[[], object], *, times: int = 40, rounds: int = 200) -> float:
    """Microseconds a call, of the least disturbed round."""
    least = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            work()
        least = min(least, time.perf_counter() - began)
    return least / times * 1e6


def _thousand_additions() -> Decimal:
    total, cent = Decimal(0), Decimal("0.01")
    for _ in range(1000):
        total += cent
    return total


@dataclass(frozen=True)
class One:
    """Pricing one session of a type."""

    name: str
    took_us: float
    ratio: float


def one_session() -> Iterator[One]:
    """An hour with 60 readings, from 22:31 to 23:31 by the clock on the wall."""
    yardstick_us = _least_us(_thousand_additions, times=50)
    start = datetime(2026, 10, 5, 19, 31, 7, tzinfo=UTC)
    readings = [Reading(start + timedelta(minutes=n), Decimal(n * 180) + Decimal("0.123")) for n in range(60)]
    stop = start + timedelta(hours=1)
    for name, snapshot in _snapshots().items():

        def work(snapshot: TariffSnapshot = snapshot) -> object:
            return price_session(snapshot, started_at=start, stopped_at=stop, readings=readings, charging_ended_at=stop)

        took_us = _least_us(work)
        yield One(name, took_us, took_us / yardstick_us)


# --- a month of sessions -----------------------------------------------------------------------------------------

_SESSIONS = (
    "INSERT INTO charging_session (id, partner_id, charge_point_id, evse_id, user_id, source, status, payment_status,"
    " created_at, started_at, stopped_at, charging_ended_at, energy_wh, currency, total_gross, total_net, total_vat,"
    " tariff_id, tariff_name, tariff_snapshot)"
    " SELECT 1000000 + n, 1, 1 + n %% 1000, 2 * (1 + n %% 1000), 1 + n %% 1000, 'rfid_tag', 'finished', 'paid',"
    " at, at, at + took, at + took, 1000 + n %% 30000, 'EUR', 12.00, 10.00, 2.00, %(tariff)s, 'Bench', %(snapshot)s"
    " FROM (SELECT n, %(since)s + n * %(every)s AS at, interval '20 minutes' + n %% 240 * interval '1 minute' AS took"
    " FROM generate_series(1, %(sessions)s) n) made"
)
_READINGS = (
    "INSERT INTO meter_reading (received_at, partner_id, charge_point_id, evse_id, session_id, measured_at,"
    " register_wh, flags)"
    " SELECT at, partner_id, charge_point_id, evse_id, id, at, round(energy_wh * n / (%(readings)s + 1), 3), '{}'"
    " FROM (SELECT s.*, n, started_at + (stopped_at - started_at) * n / (%(readings)s + 1) AS at"
    " FROM charging_session s, generate_series(1, %(readings)s) n WHERE tariff_id = %(tariff)s) made"
)


def _drafts(tariff: Tariff) -> dict[str, dict[str, Any]]:
    """What each draft changes: a form's values."""
    day = {"price_per_minute": Decimal("0.02"), "price_per_kwh": Decimal("0.35")}
    night = {"night_price_per_minute": Decimal("0.01"), "night_price_per_kwh": Decimal("0.20")}
    hours = {"day_starts": clock_time(7), "night_starts": clock_time(23)}
    levels = [TariffPowerLevel(max_power_w=7400, price_per_minute=Decimal("0.10"))]
    as_values = [{"max_power_w": level.max_power_w, "price_per_minute": level.price_per_minute} for level in levels]
    return {
        "flat rate": {"type": TariffType.FLAT, "price_per_session": Decimal(5)},
        "duration + energy": {"type": TariffType.DURATION_ENERGY, **day},
        "power levels": {"type": TariffType.POWER_LEVELS, "levels": as_values},
        "time of day": {"type": TariffType.DURATION_ENERGY_TOD, **day, **night, **hours},
    }


@dataclass(frozen=True)
class Month:
    """A trial of one draft on all sessions."""

    name: str
    took_s: float
    sessions: int
    ratio: float


def a_month(app: Flask, url: str, *, sessions: int, readings: int) -> Iterator[Month]:
    """Try drafts on so many sessions with so many readings each; ratios against pricing them one by one."""
    tariff_id = _fill(app, url, sessions=sessions, readings=readings)
    with app.app_context():
        with transaction() as session:
            one_by_one_s = _one_by_one(session, tariff_id) / _LOOP_SESSIONS
        with transaction() as session:
            drafts = _drafts(session.get_one(Tariff, tariff_id))
        for name, values in drafts.items():
            with transaction() as session:
                tariff = session.get_one(Tariff, tariff_id)
                draft = draft_of(session, tariff=tariff, values={"name": tariff.name, **values})
                period = asking.Period.LAST_30_DAYS
                trial_id = asking.ask_for_trial(
                    session, tariff=tariff, draft=draft, period=period, actor=None, now=utcnow()
                ).id
            began = time.perf_counter()
            running.run_trial(transaction, trial_id=trial_id, clock=utcnow)
            took_s = time.perf_counter() - began
            with transaction() as session:
                trial = session.get_one(TariffTrial, trial_id)
                if trial.skipped or trial.done != sessions:
                    raise SystemExit(f"bench: {trial.done} sessions looked at, {trial.skipped} not priced")
            yield Month(name, took_s, sessions, one_by_one_s * sessions / took_s)


def _fill(app: Flask, url: str, *, sessions: int, readings: int) -> int:
    fill(url, rows=1000, frames=0)
    with app.app_context(), transaction() as session:
        tariff = Tariff(name="Bench", type=TariffType.FREE)
        session.add(tariff)
        session.flush()
        tariff_id = tariff.id
    since = utcnow() - timedelta(days=29)
    priced_by = snapshot_to_json(_snapshots()["time of day, over a boundary"])
    given = {
        "tariff": tariff_id,
        "snapshot": psycopg.types.json.Jsonb(priced_by),
        "since": since,
        "every": timedelta(days=28) / sessions,
        "sessions": sessions,
        "readings": readings,
    }
    with psycopg.connect(plain_url(url), autocommit=True) as owner:
        owner.execute(f"SET ROLE {OWNER_ROLE}")
        partitions.create_partitions(owner, now=since)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(_SESSIONS, given)
        connection.execute(_READINGS, given)
        connection.execute("VACUUM ANALYZE")
    return tariff_id


def _one_by_one(session: Session, tariff_id: int) -> float:
    """Seconds for _LOOP_SESSIONS sessions, each with its readings, as bills are made."""
    rows = session.scalars(
        select(ChargingSession).where(ChargingSession.tariff_id == tariff_id).limit(_LOOP_SESSIONS)
    ).all()
    began = time.perf_counter()
    for row in rows:
        bill.price_of(session, row)
    return time.perf_counter() - began


# --- the page ----------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print, write; gives 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.pricing", description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--readings", type=int, default=20)
    parser.add_argument("--one-only", action="store_true", help="measure one session alone")
    options = parser.parse_args()
    ones, months = list(one_session()), []
    if not options.one_only:
        with tempfile.TemporaryDirectory(prefix="sync-bench-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)
            with product(Path(folder)) as (app, url):
                months = list(a_month(app, url, sessions=options.sessions, readings=options.readings))
    text = _page(ones, months, options.readings)
    print(text)
    if months:
        RESULTS.write_text(text, encoding="utf-8")
    good = all(one.took_us <= GOAL_US for one in ones) and all(month.took_s <= GOAL_S for month in months)
    return 0 if good else 1


def _page(ones: list[One], months: list[Month], readings: int) -> str:
    lines = [
        "# Benchmark: pricing",
        "",
        f"Written by `python -m bench.pricing` on {utcnow():%Y-%m-%d %H:%M} UTC: {os.cpu_count()} processors "
        f"({processor_name()}), shared with whatever else ran (load average {os.getloadavg()[0]:.1f} at the end).",
        "",
        f"One session of an hour with 60 readings, the least disturbed of 200 rounds; the goal is {GOAL_US:.0f} µs. "
        "The ratio is to a thousand additions of decimals in the same process.",
        "",
        "| one session | µs | ratio |",
        "|---|---:|---:|",
        *(f"| {one.name} | {one.took_us:.0f} | {one.ratio:.2f} |" for one in ones),
    ]
    if months:
        lines += [
            "",
            f"“Try on last month” on {months[0].sessions:,} sessions with {readings} readings each, from the request "
            f"to the totals; the goal is {GOAL_S:.0f} s. The ratio says how much faster that is than pricing session "
            f"by session, as a bill is made (measured on {_LOOP_SESSIONS:,} of them).",
            "",
            "| try on last month: the draft | s | sessions per second | times faster than one by one |",
            "|---|---:|---:|---:|",
            *(
                f"| {month.name} | {month.took_s:.1f} | {month.sessions / month.took_s:,.0f} | {month.ratio:.1f} |"
                for month in months
            ),
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
