"""Every list's export: the promised headers, each column alone, any selection, over one row of everything there is."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from admin_views.base import BaseView
from app.assets.models import Evse
from app.charging import queries
from app.core import principal
from app.core.models import AuditEntry
from app.crm.models import User
from app.exports import LISTS, stream_csv
from app.exports.columns import world_of
from app.exports.copying import copy_out
from app.exports.stream import copy_statement
from tests.support import factories_crm as make
from tests.support.factories_crm import Visitor
from tests.support.factories_dashboard import signed_in
from tests.support.one_of_each import make_one_of_each

HEADERS = Path(__file__).parents[1] / "data" / "export_headers.json"
#: pages whose cells only Python can say: what was tried to recover a station, in words
THROUGH_PYTHON = {"faults", "recovery"}


def pages(app: Flask) -> list[Any]:
    """The pages of lists that can be exported."""
    views = app.extensions["admin"][0]._views
    return [view for view in views if isinstance(view, BaseView) and view._allow_export]


def rows_of(text: str) -> list[dict[str, str]]:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    # an empty cell alone on its line is an empty line, which the library takes for no cell
    return [dict(zip(header, row or [""], strict=True)) for row in rows]


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User."""
    admin = make.admin(session)
    session.commit()
    return signed_in(clean, admin)


def test_headers_are_a_contract(clean: Flask) -> None:
    """Scripts read these columns by name: a list may gain some at its end, and never lose, rename or move one."""
    promised = json.loads(HEADERS.read_text())
    now = {name: list(found.headers) for name, found in LISTS.items()}
    for name, headers in promised.items():
        assert now[name][: len(headers)] == headers, name
    assert sorted(set(now) - set(promised)) == [], "a new list: add its headers to tests/data/export_headers.json"


def test_every_page_that_lists_is_exported_by_the_database(clean: Flask) -> None:
    through_python = {view.endpoint for view in pages(clean) if view.export_definition() is None}
    assert through_python == THROUGH_PYTHON, "declare the list in app/exports, or name paths in column_export_list"


def test_every_page_exports_what_it_lists(clean: Flask, session: Session, olga: Visitor) -> None:
    make_one_of_each(session)
    session.commit()
    for view in pages(clean):
        with clean.test_request_context():
            principal.bind(principal.STAFF)
            count = view.get_count_query().scalar()  # before: a download of the audit is in the next one
        answer = olga.get(f"{view.url}/export/csv/")
        assert answer.status_code == 200, view.endpoint
        text = answer.get_data(as_text=True)
        found = rows_of(text)
        assert text.splitlines()[0].split(",") == list(view.export_headers()), view.endpoint
        assert len(found) == count, view.endpoint
        key = next((header for header in ("id", "code", "charge_point_id") if header in view.export_headers()), None)
        listed = olga.get(f"{view.url}/").get_data(as_text=True)
        assert key is None or not found or "list-table" in listed


@pytest.mark.parametrize("name", sorted(LISTS))
def test_each_column_alone_is_that_column_of_all(session: Session, name: str) -> None:
    """A column that needs another one's join, or gives a row twice or never, is found here."""
    make_one_of_each(session)
    session.commit()
    whole = rows_of(b"".join(stream_csv(session, name)).decode())
    for header in LISTS[name].headers:
        alone = rows_of(b"".join(stream_csv(session, name, columns=[header])).decode())
        assert [row[header] for row in alone] == [row[header] for row in whole], header


def test_every_filter_and_order_of_every_page_can_be_exported(clean: Flask, session: Session, olga: Visitor) -> None:
    """COPY takes no parameters: a filter's value that has no literal form would end in an error page."""
    make_one_of_each(session)
    session.commit()
    tried = 0
    for view in pages(clean):
        for name, (index, flt) in (view._filter_args or {}).items():
            with clean.test_request_context():
                principal.bind(principal.STAFF)
                value = next(
                    (
                        text
                        for text in (*(str(key) for key, _ in flt.get_options(view) or ()), "1", "2026-11-22",
                                     "2026-11-22 00:00:00 to 2026-11-23 00:00:00", "2026-11-01 to 2026-11-30",
                                     "it's 5%")
                        if flt.validate(text)
                    ),
                    None,
                )  # fmt: skip
            if value is None:
                continue
            answer = olga.get(f"{view.url}/export/csv/", query_string={f"flt0_{name}": value})
            assert answer.status_code == 200, (view.endpoint, name, value, index)
            tried += 1
        for column in view._sortable_columns:
            assert olga.get(f"{view.url}/export/csv/?sort={column}&desc=1").status_code == 200, (view.endpoint, column)
    assert tried > 150


def test_what_is_exported_is_what_the_list_shows(clean: Flask, session: Session, olga: Visitor) -> None:
    """Search × filter × selection × all matching: the ids of the page are those of the file, in its order."""
    for number in range(7):
        make.user(session, f"user{number}@{'a' if number % 2 else 'b'}.example.com", first_name=f"N{number % 3}")
    session.commit()
    address = "/crm/users/export/csv/"
    query = "search=b.example&flt0_first_name_contains=N0&sort=email&desc=1"
    found = rows_of(olga.get(f"{address}?{query}").get_data(as_text=True))
    assert [row["email"] for row in found] == ["user6@b.example.com", "user0@b.example.com"]
    selected = [row["id"] for row in found]
    posted = rows_of(olga.send(address, {"rowid": selected, "columns": ["email", "id"]}).get_data(as_text=True))
    assert [list(row) for row in posted] == [["id", "email"]] * 2
    assert {row["id"] for row in posted} == set(selected)
    every = {"all_matching": "1", "expected_count": "2"}
    assert rows_of(olga.send(f"{address}?{query}", every).get_data(as_text=True)) == found
    assert olga.send(f"{address}?{query}", {**every, "expected_count": "3"}).status_code == 409
    assert olga.send(address, {"rowid": ["999999"]}).status_code == 404


def test_columns_are_chosen_and_remembered(clean: Flask, session: Session, olga: Visitor) -> None:
    make.user(session)
    session.commit()
    address = "/crm/users/"
    dialog = olga.get(f"{address}export/options/").get_data(as_text=True)
    assert dialog.count('name="columns"') == len(LISTS["users"].headers) == dialog.count(" checked") - 1
    sent = olga.send(f"{address}export/csv/", {"columns": ["email", "status"], "bom": "1", "background": "0"})
    assert sent.get_data().startswith(b"\xef\xbb\xbfstatus,email\n")
    again = olga.get(f"{address}export/options/").get_data(as_text=True)
    assert again.count(" checked") == 4  # the two, the byte order mark, "Download now"
    assert olga.get(f"{address}export/csv/").get_data(as_text=True).startswith("id,status,email,")
    assert olga.get(f"{address}export/csv/?columns=nonsense").status_code == 400


def test_vouchers_say_who_made_them_and_why(clean: Flask, session: Session, olga: Visitor) -> None:
    """Manual, "Exporting Voucher & Top-Up Data": the page's columns, and two more."""
    header = olga.get("/tariffs/vouchers/export/csv/").get_data(as_text=True).splitlines()[0].split(",")
    assert header[:10] == [
        "id", "code", "created_at", "type", "status", "redeem_before", "redeemed_at", "redeemed_by", "total_amount",
        "currency",
    ]  # fmt: skip
    assert header[10:12] == ["created_by", "description"]


def test_a_download_is_in_the_audit(session: Session, olga: Visitor) -> None:
    assert olga.get("/crm/users/export/csv/?search=eva").status_code == 200
    session.rollback()
    entry = session.scalars(select(AuditEntry).where(AuditEntry.event == "export")).one()
    assert (entry.object_label, entry.after["search"]) == ("Users", "eva")


def test_the_shown_status_of_evses_is_the_screens(session: Session) -> None:
    """The ladder is written twice, in Python for pages and in SQL for files: they must say the same."""
    make_one_of_each(session)
    session.commit()
    by_id = {row["id"]: row["shown_status"] for row in rows_of(b"".join(stream_csv(session, "evses")).decode())}
    for evse in session.scalars(select(Evse)):
        assert by_id[str(evse.id)] == queries.shown_evse(evse.charge_point, evse).status.value


def test_a_value_cannot_leave_its_quotes(session: Session) -> None:
    """Filters' values stand in the statement itself."""
    wanted = "'; DROP TABLE user_account; -- %s %% \\' :x"

    query = session.query(User).filter(User.first_name == wanted)
    statement = copy_statement(LISTS["users"].narrowed(query, world_of(session), ("id",)))
    assert wanted.replace("'", "''") in statement
    make.user(session, first_name=wanted)
    session.commit()

    connection: Any = session.connection().connection.driver_connection
    assert b"".join(copy_out(connection, statement)).count(b"\n") == 1
