"""`python -m bench.dashboard`: the dashboard's cards over a million sessions and ten thousand stations.

The application runs in this process on a PostgreSQL and a Redis of its own. Each card and all together are filled as
the page fills them: by the roll-ups, and, in turns within the same run, straight from the sessions. Also as the admin
of a partner with every fiftieth station, through row-level security. Written to ``bench/dashboard.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import psycopg
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_views.dashboard import arrangement, cards, worldmap
from app.analytics import totals, upkeep
from app.core import principal
from app.core.clock import utcnow
from app.core.db import allow_minutes, db, transaction
from app.core.models import Admin, Role
from app.core.principal import Principal
from app.dashboard.periods import Period
from bench.lists import product
from bench.many_rows import fill
from bench.processes import cpu_s, processor_name, working_below

RESULTS = Path(__file__).with_name("dashboard.md")
GOAL_MS = 50
PARTNER = 2

_SESSIONS = """
INSERT INTO charging_session (partner_id, charge_point_id, evse_id, source, status, payment_status, created_at,
  started_at, stopped_at, charging_ended_at, energy_wh, currency, total_gross, total_net, total_vat)
SELECT CASE WHEN station % 50 = 0 THEN 2 ELSE 1 END, station, 2 * station, 'rfid_tag',
  CASE WHEN n % 40 = 0 THEN 'failed' ELSE 'finished' END, CASE WHEN n % 25 = 0 THEN 'outstanding' ELSE 'paid' END,
  at - interval '1 hour', at - interval '1 hour', at, at - interval '10 minutes', 5000 + n % 40000, 'EUR',
  12.00, 10.00, 2.00
FROM (SELECT n, 1 + n::bigint * 7919 % {stations} AS station, now() - n * (interval '{days} days' / {sessions}) AS at
      FROM generate_series(1, {sessions}) n) g
"""


@dataclass(frozen=True)
class Measured:
    """What one thing took: least and median from beginning to end, and the processors' time, ours and PostgreSQL's."""

    what: str
    processor_ms: float
    least_ms: float
    median_ms: float

    @property
    def good(self) -> bool:
        """Within the goal where nobody else is served: by the processor's time, or in a quiet round."""
        return min(self.processor_ms, self.least_ms) <= GOAL_MS


def main() -> int:
    """Fill, measure, write; gives 1 when what should be quick misses the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--stations", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sync-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with product(Path(folder)) as (app, url):
            began_s = time.monotonic()
            _fill(url, options)
            filled_s = time.monotonic() - began_s
            with app.app_context():
                began_s = time.monotonic()
                print(f"filled in {filled_s:.0f} s", flush=True)
                upkeep.keep_up(transaction, clock=utcnow)
                built_s = time.monotonic() - began_s
                with psycopg.connect(url, autocommit=True) as owner:
                    owner.execute("VACUUM ANALYZE")
                quick, slow = _measure(app, Path(folder), options.rounds)
    shown = _page(quick, slow, options, filled_s, built_s)
    print(shown)
    RESULTS.write_text(shown, encoding="utf-8")
    return 0 if all(each.good for each in quick) else 1


def _fill(url: str, options: argparse.Namespace) -> None:
    fill(url, rows=options.stations, frames=1000)
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO partner (id, name) OVERRIDING SYSTEM VALUE VALUES (2, 'Lidl')")
        for table, key in (("charge_point", "id"), ("charge_point_state", "charge_point_id")):
            connection.execute(f"UPDATE {table} SET partner_id = 2 WHERE {key} % 50 = 0")
        connection.execute("UPDATE evse SET partner_id = 2 WHERE charge_point_id % 50 = 0")
        connection.execute("UPDATE evse_state s SET partner_id = e.partner_id FROM evse e WHERE e.id = s.evse_id")
        connection.execute("DELETE FROM transaction")
        connection.execute("DELETE FROM charging_session")
        dropped = _without_indexes(connection)
        connection.execute(_SESSIONS.format(sessions=options.sessions, stations=options.stations, days=options.days))
        for definition in dropped:
            connection.execute(definition)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _without_indexes(connection: psycopg.Connection) -> list[str]:
    """Drop what is quicker made anew than kept while a million rows come; gives the statements that make it."""
    rows = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'charging_session' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    ).fetchall()
    for name, _ in rows:
        connection.execute(f'DROP INDEX "{name}"')
    return [definition for _, definition in rows]


def _measure(app: Flask, folder: Path, rounds: int) -> tuple[list[Measured], list[Measured]]:
    with transaction() as session:
        admin = session.scalars(select(Admin)).one()
        role = session.scalars(select(Role).where(Role.name == "Partner Owner")).one()
        owner = Admin(email="owner@example.com", name="Owner", role=role, partner_id=PARTNER)
        session.add(owner)
        session.flush()
        staff_id, owner_id = admin.id, owner.id
    quick, slow = [], []
    for whose, admin_id, who in (("staff", staff_id, Principal()), ("partner", owner_id, Principal(PARTNER))):
        with app.test_request_context():
            principal.bind(who)
            session = db.session()
            admin = session.get_one(Admin, admin_id)
            for what, work in _works(session, admin):
                quick.append(_time(f"{whose}: {what}", work, folder, rounds))
                with _straight():
                    slow.append(_time(f"{whose}: {what}", work, folder, max(2, rounds // 3)))
            session.rollback()
    return quick, slow


def _works(session: Session, admin: Admin) -> Iterator[tuple[str, Callable[[], object]]]:
    allow_minutes(session, 5)
    yield "all cards", lambda: arrangement.fill(session, admin)
    kept = dict(admin.preferences)
    names = ("sessions", "energy", "revenue-EUR", "charge_points", "users")
    periods = (Period.YEAR_TO_DATE, Period.LAST_YEAR, Period.MONTH_TO_DATE, Period.LAST_30_DAYS, Period.LAST_7_DAYS)
    with session.no_autoflush:
        admin.preferences = {"dashboard": {name: each.value for name, each in zip(names, periods, strict=True)}}
        yield "all cards, five periods", lambda: arrangement.fill(session, admin)
        admin.preferences = kept
        for card in cards.permitted(admin):
            yield card.title, lambda card=card: cards.Board(session, admin).shown([card])
        for period in Period:
            admin.preferences = {"dashboard": {"sessions": period.value}}
            [card] = [each for each in cards.permitted(admin) if each.name == "sessions"]
            yield (
                f"Charging Sessions, {period.label.lower()}",
                lambda card=card: cards.Board(session, admin).shown([card]),
            )
        admin.preferences = kept
    session.expire(admin, ["preferences"])
    yield "colours of the map's pins", lambda: worldmap.statuses(session)


@contextlib.contextmanager
def _straight() -> Iterator[None]:
    """As if there were no roll-ups."""
    with mock.patch.object(totals, "generation_in_use", lambda _session, *, zone: None):
        yield


def _time(what: str, work: Callable[[], object], folder: Path, rounds: int) -> Measured:
    work()
    pids, took_ms, used_s = working_below(folder), [], 0.0
    for _ in range(rounds):
        before_s = time.process_time() + sum(cpu_s(pid) for pid in pids)
        began_s = time.perf_counter()
        work()
        took_ms.append((time.perf_counter() - began_s) * 1000)
        used_s += time.process_time() + sum(cpu_s(pid) for pid in pids) - before_s
    return Measured(what, used_s * 1000 / rounds, min(took_ms), statistics.median(took_ms))


def _page(
    quick: list[Measured], slow: list[Measured], options: argparse.Namespace, filled_s: float, built_s: float
) -> str:
    lines = [
        "# The dashboard over a million sessions",
        "",
        f"Written by `make bench-dashboard` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {os.cpu_count()} processors "
        f"({processor_name()}), shared with whatever else ran (load average {os.getloadavg()[0]:.1f} at the end). "
        f"{options.sessions:,} sessions over {options.days} days, {options.stations:,} stations with two EVSEs each at "
        f"as many locations, filled in {filled_s:.0f} s; the roll-ups built in {built_s:.0f} s. The partner has every "
        f"fiftieth station and reads through row-level security. {options.rounds} rounds: the processors' time (ours "
        "and PostgreSQL's, mean), and from beginning to end the least disturbed and the median; beside it the same "
        f"straight from the sessions. The goal is {GOAL_MS} ms.",
        "",
        "| | processor ms | least ms | median ms | straight, least ms | straight, median ms | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for each, other in zip(quick, slow, strict=True):
        lines.append(
            f"| {each.what} | {each.processor_ms:.0f} | {each.least_ms:.1f} | {each.median_ms:.1f} "
            f"| {other.least_ms:.1f} | {other.median_ms:.1f} | {'' if each.good else 'misses the goal'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
