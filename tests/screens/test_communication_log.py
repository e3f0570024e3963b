"""The communication log of a charge point: pairs, pages by key, filters, live rows, exports, and what it asks for."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import conversation
from app.charging.conversation import Exchange, Key, Show, Window
from app.charging.models import CommunicationLog
from app.charging.models.logs import Direction, FrameKind
from tests.support.factories_assets import NOW, make_station
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

BASE = "/assets/charge-points/"
MS = timedelta(milliseconds=1)


def frames(session: Session, station: ChargePoint, *rows: tuple[Any, ...]) -> None:
    """Frames of a station: direction, kind, message id, milliseconds after NOW, action, payload."""
    session.execute(
        insert(CommunicationLog),
        [
            {
                "at": NOW + row[3] * MS,
                "partner_id": 1,
                "charge_point_id": station.id,
                "direction": Direction(row[0]),
                "kind": FrameKind(row[1]),
                "message_id": row[2],
                "action": row[4] if len(row) > 4 else "Heartbeat",
                "payload": row[5] if len(row) > 5 else "[]",
            }
            for row in rows
        ],
    )


def window(station: ChargePoint, **narrowed: Any) -> Window:
    return Window(station.id, since=NOW - timedelta(hours=1), until=NOW + timedelta(hours=1), **narrowed)


def told(found: list[Exchange]) -> list[tuple[str, int | None, bool]]:
    return [(each.first.message_id, round(each.took / MS) if each.took else None, each.went_wrong) for each in found]


@pytest.fixture
def station(session: Session) -> ChargePoint:
    return make_station(session)


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    return signed_in(clean, make_admin(session))


# --- pairs


def test_requests_stand_with_their_answers_and_strays_alone(session: Session, station: ChargePoint) -> None:
    other = make_station(session)
    frames(session, other, ("out", "answer", "2", 20))
    frames(
        session,
        station,
        ("in", "request", "1", 0),
        ("out", "answer", "1", 5),
        ("out", "request", "2", 10, "Reset"),
        ("in", "error", "2", 60, "Reset"),
        ("in", "error", "-1", 70, ""),
        ("in", "request", "3", 80, "BootNotification"),
        # the same number again, as after a restart of the station: each answer belongs to the request before it
        ("in", "request", "1", 90),
        ("out", "answer", "1", 97),
    )
    found = conversation.exchanges(session, window(station))
    assert told(found) == [("1", 7, False), ("3", None, False), ("-1", None, True), ("2", 50, True), ("1", 5, False)]
    heard = conversation.actions_heard(
        session, charge_point_id=station.id, since=NOW - timedelta(hours=1), until=NOW + timedelta(hours=1)
    )
    assert heard == ["BootNotification", "Heartbeat", "Reset"]


def test_a_request_whose_connection_broke_does_not_take_the_next_ones_answer(
    session: Session, station: ChargePoint
) -> None:
    """Message ids begin again with each connection; both sides may use the same at once."""
    frames(
        session,
        station,
        ("in", "request", "1", 0),
        ("in", "request", "1", 5000),
        ("out", "request", "1", 5001, "Reset"),
        ("out", "answer", "1", 5004),
        ("in", "answer", "1", 5030, "Reset"),
    )
    assert told(conversation.exchanges(session, window(station))) == [
        ("1", 29, False),
        ("1", 4, False),
        ("1", None, False),
    ]


def test_an_answer_after_ten_minutes_stands_alone(session: Session, station: ChargePoint) -> None:
    frames(session, station, ("out", "request", "1", 0, "Reset"), ("in", "answer", "1", 600_001, "Reset"))
    assert told(conversation.exchanges(session, window(station))) == [("1", None, False), ("1", None, False)]


def test_what_narrows_the_log(session: Session, station: ChargePoint) -> None:
    frames(
        session,
        station,
        ("in", "request", "1", 0, "Authorize", '[2,"1","Authorize",{"idTag":"100%_A"}]'),
        ("out", "answer", "1", 5, "Authorize", '[3,"1",{"idTagInfo":{"status":"Blocked"}}]'),
        ("out", "request", "2", 10, "Reset", '[2,"2","Reset",{"type":"Soft"}]'),
        ("in", "error", "2", 60, "Reset", '[4,"2","NotSupported","",{}]'),
        ("in", "request", "3", 80, "Heartbeat", '[2,"3","Heartbeat",{}]'),
    )

    def ids(**narrowed: Any) -> str:
        return "".join(each.first.message_id for each in conversation.exchanges(session, window(station, **narrowed)))

    assert ids() == "321"
    assert ids(action="Reset") == "2"
    assert ids(direction=Direction.TO_STATION) == "2"
    assert ids(show=Show.ERRORS) == "2"
    assert ids(show=Show.UNANSWERED) == "3"
    assert ids(text="blocked") == "1"  # of the answer, whatever the case
    assert ids(text="%_a") == "1"
    assert ids(text="%_b") == ""
    assert ids(text="e", show=Show.ERRORS, direction=Direction.FROM_STATION) == ""


# --- pages


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_pages_by_key_neither_skip_nor_repeat(session: Session, station: ChargePoint, size: int) -> None:
    """Many frames at the very same moment, which a page by time alone would lose."""
    rows = [("in", "request", str(number), number // 5 * 10) for number in range(23)]
    frames(session, station, *rows)
    seen: list[str] = []
    before: Key | None = None
    while found := conversation.exchanges(session, window(station), before=before, limit=size):
        seen += [each.first.message_id for each in found]
        before = found[-1].key
    assert seen == [str(number) for number in reversed(range(23))]
    back: list[str] = []
    after = Key(NOW - timedelta(seconds=1), 0)
    while found := conversation.exchanges(session, window(station), after=after, limit=size):
        back = [each.first.message_id for each in found] + back
        after = found[0].key
    assert back == seen
    assert [each.first.message_id for each in conversation.all_exchanges(session, window(station))] == seen


def test_a_page_reads_the_index_and_stops_when_it_is_full(session: Session, station: ChargePoint) -> None:
    """A plan that sorts or reads the window whole would take seconds of a loud station's month."""
    noise = make_station(session)
    session.execute(
        text(
            "INSERT INTO communication_log"
            " (at, partner_id, charge_point_id, direction, kind, message_id, action, payload)"
            " SELECT CAST(:now AS timestamptz) + n * interval '10 ms', 1, CASE WHEN n % 4 < 2 THEN :a ELSE :b END,"
            " CASE WHEN n % 2 = 0 THEN 'in' ELSE 'out' END, CASE WHEN n % 2 = 0 THEN 'request' ELSE 'answer' END,"
            " (n / 2)::text, 'Heartbeat', repeat('x', 200) FROM generate_series(0, 19999) n"
        ),
        {"now": NOW - timedelta(minutes=4), "a": station.id, "b": noise.id},
    )
    session.execute(text("ANALYZE communication_log"))
    for before in (None, Key(NOW - timedelta(minutes=2), 1)):
        query = conversation.exchanges_query(window(station), before=before).limit(51)
        compiled = query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        plan = session.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {str(compiled).replace(':', chr(92) + ':')}"))
        nodes = list(_nodes(plan[0]["Plan"]))
        read = [node for node in nodes if "Relation Name" in node and node.get("Actual Loops")]
        assert {node["Node Type"] for node in read} == {"Index Scan"}, json.dumps(plan, indent=1)
        assert all("charge_point_id_at" in node["Index Name"] for node in read)
        outer = max(node["Actual Rows"] for node in read)
        assert outer < 250, json.dumps(plan, indent=1)


def _nodes(node: dict[str, Any]) -> Any:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


# --- the screen


def tab(client: Visitor, station: ChargePoint) -> str:
    """The address of the tab."""
    page = client.get(f"{BASE}details/?id={station.id}").get_data(as_text=True)
    number = page.split("Communication Logs</a>")[0].rsplit("#related-", 1)[1].split('"')[0]
    return f"{BASE}related/{number}/?id={station.id}"


def rows_of(html: str) -> list[str]:
    return re.findall(r'class="direction".*?</td>\s*<td>(\w+)', html, re.S)


def test_the_tab_shows_the_last_day_and_pages_through_it(session: Session, olga: Visitor) -> None:
    station = make_station(session)
    minutes = 60_000
    frames(session, station, *[("in", "request", f"n{n}", -n * minutes, f"Message{n}") for n in range(120)])
    frames(session, station, ("in", "request", "old", -26 * 60 * minutes, "TooOld"))
    session.commit()
    address = tab(olga, station)
    pages = [olga.htmx(address).get_data(as_text=True)]
    for _ in range(2):
        older = re.search(r'hx-get="([^"]+before=[^"]+)"', pages[-1])
        assert older is not None
        pages.append(olga.htmx(older[1].replace("&amp;", "&")).get_data(as_text=True))
    assert [name for page in pages for name in rows_of(page)] == [f"Message{n}" for n in range(120)]
    assert "before=" not in pages[2]
    newer = re.search(r'hx-get="([^"]+after=[^"]+)"', pages[2])
    assert newer is not None
    back = olga.htmx(newer[1].replace("&amp;", "&")).get_data(as_text=True)
    assert rows_of(back) == [f"Message{n}" for n in range(50, 100)]
    assert rows_of(olga.htmx(f"{address}&hours=168&action=TooOld").get_data(as_text=True)) == ["TooOld"]
    assert "No messages “Nothing” in this period" in olga.htmx(f"{address}&action=Nothing").get_data(as_text=True)


def test_unanswered_calls_are_marked_and_frames_fold_out(session: Session, olga: Visitor) -> None:
    station = make_station(session)
    frames(
        session,
        station,
        ("out", "request", "1", -60_000, "Reset", '[2,"1","Reset",{"type":"<b>"}]'),
        ("in", "request", "2", -50_000, "Authorize"),
        ("out", "answer", "2", -49_977, "Authorize"),
    )
    session.commit()
    html = olga.htmx(tab(olga, station)).get_data(as_text=True)
    assert "No answer" in html and "23 ms" in html
    assert "&#34;type&#34;: &#34;&lt;b&gt;&#34;" in html and '<pre class="frame" tabindex="0">' in html


@pytest.mark.parametrize(
    "wrong",
    [
        "hours=x",
        "before=-1",
        "before=99999999999999999999-1",
        "before=999999999999999999-1",
        "after=x",
        "hours=999999999",
        "until=yesterday",
        "until=9999-12-31T23:59",
        "show=some",
        "side=up",
        "action=%00",
        "text=%00%25",
        "live=1&until=2026-01-01T00:00",
    ],
)
def test_odd_addresses_show_the_log_all_the_same(session: Session, olga: Visitor, wrong: str) -> None:
    station = make_station(session)
    session.commit()
    assert olga.htmx(f"{tab(olga, station)}&{wrong}").status_code == 200


def test_the_live_view_asks_for_what_is_new_only(session: Session, olga: Visitor) -> None:
    station = make_station(session)
    frames(session, station, ("in", "request", "1", -60_000, "Old"))
    session.commit()
    html = olga.htmx(f"{tab(olga, station)}&live=1").get_data(as_text=True)
    mark = re.search(r'id="messages-live" hx-get="([^"]+)"', html)
    assert mark is not None and rows_of(html) == ["Old"]
    address = mark[1].replace("&amp;", "&")
    assert olga.htmx(address).status_code == 204
    frames(session, station, ("in", "request", "2", -10_000, "Fresh"))
    session.commit()
    fresh = olga.htmx(address).get_data(as_text=True)
    assert rows_of(fresh) == ["Fresh"]
    again = re.search(r'id="messages-live" hx-get="([^"]+)"', fresh)
    assert again is not None and olga.htmx(again[1].replace("&amp;", "&")).status_code == 204
    assert olga.htmx(f"{BASE}messages/live/?id={station.id}&after=nonsense").status_code == 400


# --- exports


def test_the_filtered_window_as_csv_and_ndjson(
    session: Session, olga: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "BATCH", 3)
    station = make_station(session)
    for number in range(7):
        frames(
            session,
            station,
            ("in", "request", f"{number}", -60_000 + 100 * number, "Authorize", f'[2,"{number}","Authorize",{{}}]'),
            ("out", "answer", f"{number}", -59_960 + 100 * number, "Authorize", "not JSON"),
        )
    frames(session, station, ("in", "request", "=1+1", -1000, "Heartbeat", "[2]"))
    session.commit()
    rows = list(csv.DictReader(io.StringIO(_export(olga, station, "csv", "action=Authorize"))))
    assert [row["message_id"] for row in rows] == [str(number) for number in reversed(range(7))]
    assert {(row["answer_ms"], row["answer_kind"], row["from"]) for row in rows} == {("40.0", "answer", "station")}
    assert "'=1+1" in _export(olga, station, "csv", "")
    lines = [json.loads(line) for line in _export(olga, station, "ndjson", "").splitlines()]
    assert len(lines) == 8
    assert lines[1]["request"] == [2, "6", "Authorize", {}] and lines[1]["answer"] == "not JSON"
    assert lines[0]["answer_ms"] is None
    assert all(one["at"] >= two["at"] for one, two in pairwise(lines))


def _export(client: Visitor, station: ChargePoint, form: str, query: str) -> str:
    answer = client.get(f"{BASE}messages/export/{form}/?id={station.id}&{query}")
    assert answer.status_code == 200
    return str(answer.get_data(as_text=True))


def test_who_may_not_export_may_not(session: Session, clean: Flask) -> None:
    station = make_station(session)
    session.commit()
    analyst = signed_in(clean, make_admin(session, role="Analyst", email="ana@example.com"))
    for path in (f"messages/export/csv/?id={station.id}", f"messages/live/?id={station.id}&after=1-1"):
        assert analyst.get(BASE + path).status_code == 403
