"""Lists: search, filters, order, pages, columns, views, exports."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from admin_views.widgets.filters import parse_days
from tests.ui.checked_client import CheckedClient
from tests.ui.sample_app import Station, db

LIST = "/assets/charge-points/"


def text_of(response: Any) -> str:
    return str(response.get_data(as_text=True))


def names_of(html: str) -> list[str]:
    return re.findall(r'class="cell-lead">([^<]+)<', html)


def count_of(html: str) -> int:
    found = re.search(r'data-count="(\d+)"', html)
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 60),
        ("search=alfen", 20),
        ("search=ALFEN+athens", 0),
        ("search=abb+athens", 20),
        ("search=%25", 0),
        ("search=_", 0),
        ("flt0_status_is=active", 26),
        ("flt0_status_is_not=active", 34),
        ("flt0_city_contains=keynes", 20),
        ("flt0_city_is=Sofia&flt1_status_is=active", 9),
        ("flt0_price_is_empty=1", 15),
        ("flt0_price_at_least=0.39", 45),
        ("flt0_price_at_most=0,38", 0),
        ("flt0_managed_is=1", 60),
        ("flt0_managed_is=0", 0),
        ("flt0_evse_id_contains=100", 6),  # eleven EVSEs of six stations: each station once
        ("flt0_last_seen_in=2026-03-29", 21),  # Olga's 29 March has 23 hours; it began at 22:00 UTC the day before
        ("flt0_last_seen_in=2026-03-29+to+2026-03-30", 45),
        ("flt0_last_seen_since=2026-03-30+00:00", 39),
        ("flt0_last_seen_before=2026-03-30+00:00", 21),
        ("flt0_last_seen_in=last-7-days", 0),
    ],
)
def test_what_a_filter_finds(olga: CheckedClient, query: str, count: int) -> None:
    assert count_of(text_of(olga.get(f"{LIST}?{query}"))) == count


def test_filters_show_as_chips_that_can_be_removed_one_by_one(olga: CheckedClient) -> None:
    page = text_of(olga.get(f"{LIST}?flt0_status_is=active&flt1_last_seen_in=this-year&search=abb"))
    chips = re.findall(r'<span class="chip">(.*?)<a', page, re.S)
    assert [re.sub(r"<[^>]+>|\s+", " ", chip).split() for chip in chips] == [
        ["Search", "abb"], ["Status", "is", "Active"], ["Last", "seen", "in", "This", "year"]
    ]  # fmt: skip
    removal = re.search(r'href="([^"]+)"[^>]*aria-label="Remove the filter Status is Active"', page)
    assert removal
    without = text_of(olga.get(removal[1].replace("&amp;", "&")))
    assert "Status</" not in re.findall(r'class="chip">.*?</strong>', without, re.S)
    assert len(re.findall(r'<span class="chip">', without)) == 2


def test_the_order_and_pages_never_overlap(olga: CheckedClient) -> None:
    seen: list[str] = []
    for page in range(6):
        seen += names_of(text_of(olga.get(f"{LIST}?page_size=10&page={page}&sort=price&desc=1")))
    assert len(seen) == len(set(seen)) == 60
    cities = text_of(olga.get(f"{LIST}?sort=site.city&desc=1"))
    assert re.search(r'aria-sort="descending"><a class="list-sort"[^>]*>City', cities)
    assert "Sofia Mall West" in cities
    assert "Athens Retail Park" not in cities


def test_what_has_no_value_comes_last_both_ways(olga: CheckedClient) -> None:
    for desc in ("", "&desc=1"):
        rows = text_of(olga.get(f"{LIST}?sort=price{desc}&page_size=10"))
        assert rows.count("0.3900") == 10


def test_htmx_gets_the_part_it_swaps_and_a_browser_the_page(olga: CheckedClient) -> None:
    whole = text_of(olga.get(LIST))
    part = text_of(olga.htmx(f"{LIST}?search=abb"))
    assert "<html" in whole
    assert "<html" not in part
    assert part.lstrip().startswith('<div id="list"')
    assert 'id="filter-form"' in part
    assert 'hx-swap-oob="true"' in part
    restored = text_of(olga.htmx(LIST, **{"HX-History-Restore-Request": "true"}))
    assert "<html" in restored


def test_the_number_of_queries_does_not_grow_with_the_rows(olga: CheckedClient, screens: Flask) -> None:
    with screens.app_context():
        engine = db.engine
    counts = []
    for size in (10, 50):
        asked: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_rest: Any, asked: list[str] = asked) -> None:
            asked.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            assert len(names_of(text_of(olga.get(f"{LIST}?page_size={size}")))) == size
        finally:
            event.remove(engine, "before_cursor_execute", note)
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 4  # the admin, the count, the rows


def test_page_size_columns_and_density_are_remembered_for_the_admin(olga: CheckedClient, victor: CheckedClient) -> None:
    olga.get(LIST)
    assert olga.send(f"{LIST}preferences/?search=abb", {"page_size": 50}).location == f"{LIST}?search=abb"
    olga.send(f"{LIST}preferences/", {"columns": ["name", "status"], "density": "compact"})
    page = text_of(olga.get(LIST))
    assert len(names_of(page)) == 50
    assert "table-sm" in page
    headings = re.findall(r'<th scope="col".*?</th>', page, re.S)
    assert len(headings) == 2
    assert len(names_of(text_of(victor.get(LIST)))) == 25
    assert olga.send(f"{LIST}preferences/", {"page_size": 7}).status_code == 400


def test_a_view_is_saved_under_a_name_and_forgotten(olga: CheckedClient) -> None:
    olga.get(LIST)
    olga.send(f"{LIST}preferences/?flt0_status_is=active&sort=name", {"save_view": "Active <ones>"})
    page = text_of(olga.get(LIST))
    assert "Active &lt;ones&gt;" in page
    saved = re.search(r'href="/assets/charge-points/\?([^"]+)">Active &lt;ones&gt;', page)
    assert saved
    assert sorted(saved[1].split("&amp;")) == ["flt0_status_is=active", "sort=name"]
    olga.send(f"{LIST}preferences/", {"forget_view": "Active <ones>"})
    assert "Active &lt;ones&gt;" not in text_of(olga.get(LIST))


def test_an_empty_list_says_what_to_do_next(olga: CheckedClient, victor: CheckedClient, screens: Flask) -> None:
    with screens.app_context():
        for table in ("ui_reading", "ui_station"):
            db.session.execute(db.text(f"DELETE FROM {table}"))
        db.session.commit()
    assert "No Charge Points yet" in text_of(olga.get(LIST))
    assert text_of(olga.get(LIST)).count("Create Charge Point") == 2
    assert "They will appear here." in text_of(victor.get(LIST))


def test_words_on_screen_are_the_manuals(olga: CheckedClient) -> None:
    page = text_of(olga.get(LIST))
    assert "Create Charge Point</a>" in page
    assert "Out of order" in page
    assert "out_of_order</" not in page
    assert '<time datetime="2026-03-29T00:30:00Z"' in page
    assert "2026-03-29 02:30:00 EET (UTC+02:00, Europe/Sofia)" in page  # before the clocks change
    assert "2026-03-29 06:30:00 EEST (UTC+03:00, Europe/Sofia)" in page  # after


# --- export --------------------------------------------------------------------------------------------------


def rows_of(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(response).removeprefix("\ufeff"))))


def test_the_whole_filtered_set_is_exported_in_the_systems_zone(olga: CheckedClient, petra: CheckedClient) -> None:
    answer = olga.get(f"{LIST}export/csv/?flt0_city_is=Athens&sort=name")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="charge-points-[\d-]+\.csv"', answer.headers["Content-Disposition"])
    rows = rows_of(answer)
    assert len(rows) == 20
    assert list(rows[0]) == ["id", "name", "identifier", "site_city", "status", "last_seen_at", "price"]
    assert rows[0]["last_seen_at"] == "2026-03-29T02:30:00+02:00"
    assert rows[1]["last_seen_at"] == "2026-03-29T06:30:00+03:00"
    assert rows[1]["price"] == "0.3900"
    assert rows[0]["status"] == "active"
    london = rows_of(petra.get(f"{LIST}export/csv/?sort=name"))  # Petra is in London; exports are not
    assert london[0]["last_seen_at"].endswith("+03:00")


def test_selected_rows_are_exported(olga: CheckedClient) -> None:
    olga.get(LIST)
    answer = olga.send(f"{LIST}export/csv/", {"rowid": ["3", "5"]})
    assert sorted(row["id"] for row in rows_of(answer)) == ["3", "5"]


def test_a_bom_is_written_on_request(olga: CheckedClient) -> None:
    assert olga.get(f"{LIST}export/csv/?bom=1").get_data().startswith(b"\xef\xbb\xbfid,")
    assert olga.get(f"{LIST}export/csv/").get_data().startswith(b"id,")


def test_no_cell_is_a_formula(olga: CheckedClient, screens: Flask) -> None:
    with screens.app_context():
        for key, name in enumerate(("=1+1", "+49 151", "-2", "@SUM(A1)", "\t=1", " =1", "fine"), start=1):
            station = db.session.get(Station, key)
            assert station is not None
            station.name = name
        db.session.commit()
    names = {int(row["id"]): row["name"] for row in rows_of(olga.get(f"{LIST}export/csv/"))}
    assert [names[key] for key in range(1, 8)] == [
        "'=1+1", "'+49 151", "'-2", "'@SUM(A1)", "'\t=1", "' =1", "fine"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-03-01", "2026-03-01", "2026-03-01"),
        ("2026-02-01 to 2026-02-28", "2026-02-01", "2026-02-28"),
        ("yesterday", "2026-02-28", "2026-02-28"),
        ("last-7-days", "2026-02-23", "2026-03-01"),
        ("last-month", "2026-02-01", "2026-02-28"),
        ("this-month", "2026-03-01", "2026-03-01"),
        ("this-year", "2026-01-01", "2026-03-01"),
    ],
)
def test_days_and_their_presets(text: str, first: str, last: str) -> None:
    from datetime import date

    assert parse_days(text, date(2026, 3, 1)) == (date.fromisoformat(first), date.fromisoformat(last))


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "2026-03-02 to 2026-03-01", "0000-00-00", "26-1-1", "x to y"]
)
def test_days_that_are_none(text: str) -> None:
    from datetime import date

    with pytest.raises(ValueError):
        parse_days(text, date(2026, 3, 1))
