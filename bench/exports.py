"""`python -m bench.exports`: CSV of a million sessions by the running server, beside PostgreSQL's own COPY.

The product runs as in production (one server process, an embedded PostgreSQL); a signed-in client downloads the list
of Charging Sessions as the button does. In turn with it psql's way is measured: COPY of the same table to the same
machine. Sessions are measured bare, which is the hardest case (COPY has least to write), and with the tariff snapshot
and price lines that real ones have. Written to ``bench/exports.md``.
"""

from __future__ import annotations

import argparse
import http.client
import re
import statistics
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from app.core import bootstrap, embedded
from app.core.config import load
from bench import servers
from bench.many_rows import fill
from bench.processes import processor_name, rss_kb

RESULTS = Path(__file__).with_name("exports.md")
FIRST_BYTE_S, LEAST_RATIO = 0.3, 0.5
STATIONS = 10_000
_COPY = "COPY (SELECT * FROM charging_session) TO STDOUT WITH (FORMAT csv, HEADER)"
_BARE = "NULL::jsonb, NULL::jsonb"
_SNAPSHOT = (
    "jsonb_build_object('type', 'duration_energy_tod', 'name', 'Standard AC', 'currency', 'EUR', 'vat', '20.000',"
    " 'price_per_minute', '0.011', 'price_per_kwh', '0.4321', 'night_price_per_kwh', '0.1234', 'day_starts', '07:00',"
    " 'night_starts', '23:00', 'connection_fee', '0.50', 'timezone', 'Europe/Sofia', 'revision', 3),"
    " jsonb_build_array(jsonb_build_object('kind', 'connection', 'amount', '0.50', 'quantity', '1'),"
    " jsonb_build_object('kind', 'time', 'amount', '0.66', 'quantity', '3600', 'unit_price', '0.011'),"
    " jsonb_build_object('kind', 'energy', 'amount', '10.84', 'quantity', '25.1', 'unit_price', '0.4321'))"
)
_SESSIONS = """
INSERT INTO charging_session (id, partner_id, charge_point_id, evse_id, user_id, authorization_id, id_tag, source,
 status, payment_status, created_at, started_at, stopped_at, energy_wh, currency, total_gross, total_net, total_vat,
 tariff_name, max_power_w, stop_reason, tariff_snapshot, price_lines)
SELECT n, 1, 1 + n % {stations}, 2 * (1 + n % {stations}), 1 + n % {stations}, n, '04A2B3C4D5E6' || n % 97, 'rfid_tag',
 'finished', 'paid', at, at - interval '1 hour', at, n % 40000, 'EUR', 12.00, 10.00, 2.00, 'Standard AC', 11000,
 'Local', {documents}
FROM (SELECT n, now() - ({rows} - n) * interval '20 seconds' AS at FROM generate_series(1, {rows}) n) numbered
"""


@dataclass(frozen=True)
class Round:
    """One download, and one COPY beside it. Seconds; rows are data rows."""

    first_byte_s: float
    export_s: float
    copy_s: float
    rows: int
    megabytes: float
    grown_mb: float

    @property
    def ratio(self) -> float:
        """The export's speed in rows, COPY's being 1."""
        return self.copy_s / self.export_s


def main() -> int:
    """Fill, measure, write; gives 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.exports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Round]] = {}
    with servers.ours([], []) as server:
        assert server.environment is not None and server.pid is not None
        config = load(server.environment)
        own = embedded.start(config)
        try:
            url = bootstrap.migration_url(own.admin_database_url, config)
            fill(url, rows=STATIONS, frames=1000)
            client = Client(int(server.environment["PORT"]), server.environment)
            for name, documents in (("bare", _BARE), ("with snapshot and price lines", _SNAPSHOT)):
                _sessions(url, options.rows, documents)
                found[name] = [_round(client, url, server.pid) for _ in range(options.rounds + 1)][1:]
        finally:
            own.release()
    text = _page(found, options.rows)
    print(text)
    RESULTS.write_text(text, encoding="utf-8")
    return 0 if all(_good(rounds) for rounds in found.values()) else 1


def _sessions(url: str, rows: int, documents: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM charging_session")
        connection.execute(_SESSIONS.format(rows=rows, stations=STATIONS, documents=documents))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE charging_session")


class Client:
    """Somebody signed in, who downloads."""

    def __init__(self, port: int, environment: dict[str, str]) -> None:
        self._port = port
        status, headers, page = self._ask("GET", "/login")
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.decode())
        if status != 200 or token is None:
            raise servers.BenchFailed("the sign-in page did not come")
        self._cookie = _cookie(headers)
        form = {
            "csrf_token": token[1],
            "email": environment["SYNC_ADMIN_EMAIL"],
            "password": environment["SYNC_ADMIN_PASSWORD"],
        }
        status, headers, _ = self._ask("POST", "/login", urllib.parse.urlencode(form))
        if status not in (302, 303):
            raise servers.BenchFailed("signing in failed")
        self._cookie = _cookie(headers)

    _cookie = ""

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=900)
        headers = {"Cookie": self._cookie}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def download(self, path: str) -> tuple[float, float, int, int]:
        """Seconds to the first byte and to the last, lines, bytes. Raises BenchFailed."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=900)
        began_s = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = connection.getresponse()
        first = answer.read(1)
        first_s = time.perf_counter() - began_s
        if answer.status != 200 or answer.headers.get_content_type() != "text/csv":
            raise servers.BenchFailed(f"{path} answered {answer.status}")
        lines, size = first.count(b"\n"), len(first)
        while chunk := answer.read(1 << 20):
            lines += chunk.count(b"\n")
            size += len(chunk)
        return first_s, time.perf_counter() - began_s, lines, size


def _cookie(headers: http.client.HTTPMessage) -> str:
    return "; ".join(value.partition(";")[0] for value in headers.get_all("Set-Cookie") or ())


@contextmanager
def _highest_memory(pid: int) -> Iterator[list[float]]:
    """How many MB the process grows meanwhile, at most."""
    before, over = rss_kb(pid), threading.Event()
    grown = [0.0]

    def watch() -> None:
        while not over.wait(0.1):
            grown[0] = max(grown[0], (rss_kb(pid) - before) / 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield grown
    finally:
        over.set()
        thread.join()


def _round(client: Client, url: str, pid: int) -> Round:
    began_s = time.perf_counter()
    with psycopg.connect(url) as connection, connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for _ in copy:
            pass
    copy_s = time.perf_counter() - began_s
    with _highest_memory(pid) as grown:
        first_s, export_s, lines, size = client.download("/activity/charging-sessions/export/csv/")
    return Round(first_s, export_s, copy_s, lines - 1, size / 1e6, grown[0])


def _good(rounds: list[Round]) -> bool:
    first_s = statistics.median(each.first_byte_s for each in rounds)
    return first_s <= FIRST_BYTE_S and statistics.median(each.ratio for each in rounds) >= LEAST_RATIO


def _page(found: dict[str, list[Round]], rows: int) -> str:
    lines = [
        f"# Export of {rows:,} sessions",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {processor_name()}. Through the running server; in turn with it PostgreSQL's",
        "`COPY (SELECT * FROM charging_session) TO STDOUT` read by psycopg. Medians. Goals: first byte within "
        f"{FIRST_BYTE_S} s,",
        f"at least {LEAST_RATIO} of COPY's speed in rows, flat memory.",
        "",
        "| sessions | first byte | export | COPY | of COPY's speed | file | server grew by at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rounds in found.items():
        first_s, export_s, copy_s, ratio, grown = (
            statistics.median(getattr(each, field) for each in rounds)
            for field in ("first_byte_s", "export_s", "copy_s", "ratio", "grown_mb")
        )
        lines.append(
            f"| {name} | {first_s:.3f} s | {export_s:.1f} s | {copy_s:.1f} s | {ratio:.2f} |"
            f" {rounds[0].megabytes:.0f} MB | {grown:.0f} MB |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
