"""`python -m bench.lists`: every list with ten thousand rows, how long the server takes and what it asks the database.

The application runs in this process on a PostgreSQL and a Redis of its own, and is asked through its WSGI interface:
what is measured is the server's work from request to the last byte, not the network. Written to ``bench/lists.md``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from app.core import admin_sessions, bootstrap, embedded, schema
from app.core.clock import utcnow
from app.core.config import load
from app.core.db import db, transaction
from app.core.models import Admin
from bench.many_rows import fill
from bench.processes import cpu_s, processor_name, working_below

RESULTS = Path(__file__).with_name("lists.md")
GOAL_MS, GOAL_QUERIES = 50, 8
#: pages beside those that every list has: what is asked of a list beyond its own first filter
PAGES = {
    "charge_point": (
        "?flt0_hardware_status_is=faulted",
        "?flt0_fault_or_connection_loss_is=1",
        "?flt0_tag_contains=tag+77",
        "?sort=state.last_seen_at&desc=1",
        "?flt0_location_contains=Location+77",
    ),
    "evse": ("?flt0_shown_status_is=available", "?sort=charge_point&page=200"),
    "charging_session": ("?sort=energy_wh&desc=1", "?flt0_user_contains=Last77"),
    "communication_log": ("?flt0_charge_point_id_is=BENCH-000001", "?flt0_charge_point_id_is=BENCH-000077"),
    "hardware_status_log": ("?flt0_charge_point_id_is=BENCH-000001",),
}  # fmt: skip
SECTIONS = ("Assets", "Activity", "CRM", "Payments")


@dataclass(frozen=True)
class Measured:
    """One page of one list."""

    page: str
    processor_ms: float
    least_ms: float
    median_ms: float
    queries: int
    status: int

    @property
    def good(self) -> bool:
        """Within the goal, by what it takes where nobody else is served: the processor's time, or a quiet round."""
        took = min(self.processor_ms, self.least_ms)
        return self.status == 200 and took <= GOAL_MS and self.queries <= GOAL_QUERIES


def main() -> int:
    """Fill, measure, write; gives 1 when a page misses the goal."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="lists whose address contains this")
    parser.add_argument("--explain", action="store_true", help="print the plans of queries that take over 10 ms")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sync-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with product(Path(folder)) as (app, url):
            began_s = time.monotonic()
            fill(url, rows=options.rows, frames=options.frames)
            filled_s = time.monotonic() - began_s
            found = [_measure(app, Path(folder), page, options) for page in _pages(app) if options.only in page]
    text = _page(found, options, filled_s)
    print(text)
    if not options.only:
        RESULTS.write_text(text, encoding="utf-8")
    return 0 if all(each.good for each in found) else 1


@contextmanager
def product(folder: Path) -> Iterator[tuple[Flask, str]]:
    """The application on servers of its own, and a superuser's address of its database."""
    from app.factory import build
    from wsgi import compose

    config = load({"SYNC_DATA_DIR": str(folder / "var"), "SYNC_DEMO": "0", "PORT": "8000"})
    servers = embedded.start(config)
    try:
        app_url = bootstrap.prepare(servers.admin_database_url, config)
        url = bootstrap.migration_url(servers.admin_database_url, config)
        schema.upgrade(url)
        app = build(config, database_url=app_url, migration_url=url, redis_url=servers.redis_url)
        compose(app)
        with app.app_context(), transaction() as session:
            schema.seed_roles(session)
            schema.seed_first_admin(session, email="bench@example.com", password="bench-" + os.urandom(8).hex())
        yield app, url
        with app.app_context():
            db.engine.dispose()
    finally:
        servers.release()


def _pages(app: Flask) -> Iterator[str]:
    """First page, a late page, a search and a filtered page of each list, and the pages of ``PAGES``."""
    with app.app_context(), app.test_request_context():
        views = [view for view in app.extensions["admin"][0]._views if getattr(view, "model", None) is not None]
        for view in views:
            if view.category not in SECTIONS:
                continue
            filters = view._filter_args or {}
            texts = [name for name, (_, flt) in filters.items() if name.endswith("_contains")]
            own = ["", "?page=100"]
            own += ["?search=77"] if view._search_supported else []
            own += [f"?flt0_{texts[0]}=77"] if texts else []
            extra = [page for page in PAGES.get(view.endpoint, ()) if _known(page, filters)]
            yield from (f"{view.url}/{page}" for page in dict.fromkeys((*own, *extra)))
        yield "/assets/charge-points/details/?id=1"
        yield "/assets/evses/details/?id=2"
        number = _communication_tab(app)
        for query in (
            "",
            "&hours=720",
            "&hours=720&action=MeterValues",
            "&hours=720&show=errors",
            "&hours=720&text=x999",
        ):
            yield f"/assets/charge-points/related/{number}/?id=1{query}"


def _known(page: str, filters: Any) -> bool:
    """Whether a list has the filter a page asks for."""
    return not page.startswith("?flt0_") or page.removeprefix("?flt0_").partition("=")[0] in filters


def _communication_tab(app: Flask) -> int:
    view = next(view for view in app.extensions["admin"][0]._views if view.endpoint == "charge_point")
    return next(number for number, tab in enumerate(view.related) if tab.endpoint == "communication_log")


def client_of(app: Flask, email: str) -> FlaskClient:
    """A client in which the admin of that address has signed in."""
    client = app.test_client()
    with app.app_context(), client.session_transaction() as cookie:
        with transaction() as session:
            admin = session.scalars(select(Admin).where(Admin.email == email)).one()
            _, key = admin_sessions.begin(session, admin=admin, address="127.0.0.1", agent="bench", now=utcnow())
        cookie["_user_id"], cookie["_fresh"] = key, True
    return client


def _measure(app: Flask, folder: Path, page: str, options: argparse.Namespace) -> Measured:
    client = client_of(app, "bench@example.com")
    status, took = 0, []
    pids, used_s = working_below(folder), 0.0
    for round_number in range(options.rounds + 1):
        with _statements(app) as seen:
            before_s = time.process_time() + sum(cpu_s(pid) for pid in pids)
            began_s = time.perf_counter()
            answer = client.get(page)
            answer.get_data()
            elapsed_ms = (time.perf_counter() - began_s) * 1000
        status = answer.status_code
        if round_number:  # the first warms up caches of templates and connections
            took.append(elapsed_ms)
            used_s += time.process_time() + sum(cpu_s(pid) for pid in pids) - before_s
    if options.explain:
        _explain(app, page, seen)
    measured = Measured(page, used_s * 1000 / options.rounds, min(took), statistics.median(took), len(seen), status)
    print(
        f"{measured.processor_ms:8.1f} {measured.least_ms:8.1f} ms {measured.queries:3} queries  {page}",
        file=sys.stderr,
    )
    return measured


@contextmanager
def _statements(app: Flask) -> Iterator[list[tuple[str, Any, float]]]:
    """The statements sent meanwhile, with their parameters and milliseconds."""
    seen: list[tuple[str, Any, float]] = []
    began_s: list[float] = []

    def before(*_: Any) -> None:
        began_s.append(time.perf_counter())

    def after(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        elapsed_ms = (time.perf_counter() - began_s.pop()) * 1000
        if not statement.startswith("SET"):
            seen.append((statement, parameters, elapsed_ms))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)


def _explain(app: Flask, page: str, seen: list[tuple[str, Any, float]]) -> None:
    with app.app_context():
        for statement, parameters, elapsed_ms in seen:
            if elapsed_ms > 10:
                raw = db.engine.raw_connection()
                try:
                    plan = raw.cursor().execute("EXPLAIN (ANALYZE, BUFFERS) " + statement, parameters).fetchall()
                finally:
                    raw.close()
                print(f"--- {page} {elapsed_ms:.0f} ms\n{statement}\n" + "\n".join(row[0] for row in plan))


def _page(found: list[Measured], options: argparse.Namespace, filled_s: float) -> str:
    lines = [
        "# Lists with ten thousand rows",
        "",
        f"Written by `make bench-lists` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {os.cpu_count()} processors "
        f"({processor_name()}), shared with whatever else ran (load average {os.getloadavg()[0]:.1f} at the end). "
        f"{options.rows:,} charge points with two EVSEs each, as many sites, users, cards, tags, groups, sessions, "
        "authorizations, transactions and actions, ten times as many status logs, "
        f"{options.frames:,} frames in the communication log (a tenth of them of station 1); filled in "
        f"{filled_s:.0f} s. "
        f"From the request to the last byte, {options.rounds} requests each: the time of the processor (ours and "
        "PostgreSQL's, mean), and from beginning to end the least disturbed and the median. "
        f"The goal is {GOAL_MS} ms and {GOAL_QUERIES} queries.",
        "",
        "| page | processor ms | least ms | median ms | queries | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for each in found:
        mark = "" if each.good else (f"status {each.status}" if each.status != 200 else "misses the goal")
        lines.append(
            f"| `{each.page}` | {each.processor_ms:.0f} | {each.least_ms:.0f} | {each.median_ms:.0f} "
            f"| {each.queries} | {mark} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
