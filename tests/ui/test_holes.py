"""What Flask-Admin leaves open, each hole with the proof that it is closed here."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from admin_views import base as kit
from tests.ui.checked_client import CheckedClient
from tests.ui.sample_app import Outlet, Plug, Reading, Site, Station, StationView, Status, db

OURS, THEIRS = 2, 1  # Petra's partner owns the stations with even ids


def text_of(response: Any) -> str:
    return str(response.get_data(as_text=True))


# --- rows of others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["details", "edit", "status", "related/0", "history", "delete"])
def test_a_foreign_row_is_not_there(petra: CheckedClient, page: str) -> None:
    petra.get(f"/assets/charge-points/details/?id={OURS}")
    assert petra.get(f"/assets/charge-points/{page}/?id={OURS}").status_code == 200
    assert petra.get(f"/assets/charge-points/{page}/?id={THEIRS}").status_code == 404


def test_a_foreign_row_cannot_be_saved_deleted_or_acted_on(petra: CheckedClient, screens: Flask) -> None:
    petra.get("/assets/charge-points/")
    fields = {"name": "Mine now", "_version": "1"}
    assert petra.send(f"/assets/charge-points/edit/?id={THEIRS}", fields).status_code == 404
    assert petra.send("/assets/charge-points/delete/", {"id": THEIRS}).status_code == 404
    answer = petra.send("/assets/charge-points/run/disable/", {"rowid": THEIRS, "reason": "because"})
    assert answer.status_code == 404
    with screens.app_context():
        untouched = db.session.get(Station, THEIRS)
        assert untouched is not None
        assert untouched.name.startswith("ABB Terra")
        assert untouched.status is Status.ACTIVE


def test_lists_counts_exports_and_search_stay_within_the_scope(petra: CheckedClient) -> None:
    assert "of <strong>30</strong>" in text_of(petra.get("/assets/charge-points/"))
    rows = text_of(petra.get("/assets/charge-points/export/csv/")).strip().splitlines()
    assert len(rows) == 31
    assert "No Charge Points match" in text_of(petra.get("/assets/charge-points/?search=CP-0002"))


def test_a_related_list_is_scoped_by_its_own_page(petra: CheckedClient) -> None:
    petra.get("/assets/locations/details/?id=1")
    answer = text_of(petra.get("/assets/locations/related/0/?id=1"))
    assert "of <strong>10</strong>" in answer  # ten of the twenty there are theirs


# --- look-ups ------------------------------------------------------------------------------------------------


def lookup(client: CheckedClient, query: str) -> Any:
    return client.get(f"/assets/charge-points/ajax/lookup/?{query}")


def test_a_lookup_needs_the_permission_to_fill_the_form(victor: CheckedClient, stranger: CheckedClient) -> None:
    assert lookup(victor, "name=site&query=").status_code == 403
    assert lookup(stranger, "name=site&query=").status_code == 302


def test_a_lookup_is_scoped_bounded_and_takes_wildcards_literally(olga: CheckedClient) -> None:
    assert [row[1] for row in lookup(olga, "name=site&query=sofia").json] == ["Sofia Mall West"]
    assert lookup(olga, "name=site&query=%25").json == []
    assert len(lookup(olga, "name=site&query=&limit=100000&offset=-5").json) == 3
    assert lookup(olga, "name=site&query=%00").json is not None
    assert lookup(olga, "name=password_hash&query=").status_code == 404


def test_a_lookup_of_a_nested_form_answers_too(olga: CheckedClient) -> None:
    assert lookup(olga, "name=outlet-spare_site&query=ath").json == [["1", "Athens Retail Park"]]


def test_a_lookup_uses_the_scope_of_the_records_own_page(screens: Flask, olga: CheckedClient) -> None:
    class Narrow(kit.BaseView):
        resource, singular, plural = "assets.charging_zone", "Site", "Sites"
        form_columns = ("name",)
        i18n_fields = ("name",)

        def scope(self, query: Any) -> Any:
            return query.filter(Site.city != "Sofia")

    from admin_views.widgets import lookups

    kept = lookups.VIEWS[Site]
    try:
        lookups.register(Narrow(Site, db))
        assert [row[1] for row in lookup(olga, "name=site&query=sofia").json] == []
    finally:
        lookups.VIEWS[Site] = kept


# --- permissions ---------------------------------------------------------------------------------------------


def test_editing_in_the_list_and_flask_admins_own_actions_are_gone(olga: CheckedClient) -> None:
    olga.get("/assets/charge-points/")
    assert olga.send("/assets/charge-points/ajax/update/", {"list_form_pk": 1, "name": "x"}).status_code == 404
    assert olga.send("/assets/charge-points/action/", {"action": "delete", "rowid": 1}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/assets/charge-points/new/"),
        ("POST", "/assets/charge-points/new/"),
        ("GET", "/assets/charge-points/edit/?id=1"),
        ("POST", "/assets/charge-points/edit/?id=1"),
        ("GET", "/assets/charge-points/delete/?id=1"),
        ("POST", "/assets/charge-points/delete/"),
        ("GET", "/assets/charge-points/export/csv/"),
        ("GET", "/assets/charge-points/run/reset/?rowid=1"),
        ("POST", "/assets/charge-points/run/reset/"),
    ],
)
def test_whoever_may_only_look_may_only_look(victor: CheckedClient, method: str, path: str) -> None:
    page = text_of(victor.get("/assets/charge-points/"))
    for word in ("Create Charge Point", "Export CSV", 'name="rowid"', "Delete ABB", "Edit ABB"):
        assert word not in page
    answer = victor.get(path) if method == "GET" else victor.send(path, {"id": 1, "rowid": 1, "reason": "x"})
    assert answer.status_code == 403


def test_a_page_one_may_not_see_is_refused_and_not_in_the_menu(nora: CheckedClient) -> None:
    assert nora.get("/assets/charge-points/").status_code == 403
    assert "Charge Points" not in text_of(nora.get("/dashboard/home/"))


def test_can_true_in_a_declaration_grants_nothing(victor: CheckedClient, screens: Flask) -> None:
    class Generous(StationView):
        can_create = can_edit = can_delete = can_export = True

    assert "can_create" not in vars(Generous)
    with screens.test_request_context():
        assert not Generous(Station, db, endpoint="generous").can_create


def test_a_log_cannot_be_written_whatever_the_role(olga: CheckedClient) -> None:
    olga.get("/activity/charging-sessions/")
    assert olga.get("/activity/charging-sessions/new/").status_code == 403
    assert olga.send("/activity/charging-sessions/delete/", {"id": "1"}).status_code == 403


def test_a_view_with_a_permission_that_does_not_exist_does_not_start(screens: Flask) -> None:
    class Misspelt(StationView):
        resource = "assets.charge_pint"

    with pytest.raises(ValueError, match=r"assets\.charge_pint\.view"):
        Misspelt(Station, db)


# --- strangers -----------------------------------------------------------------------------------------------


def test_strangers_are_sent_to_the_login_and_back(stranger: CheckedClient) -> None:
    answer = stranger.get("/assets/charge-points/?search=abb")
    assert answer.status_code == 302
    assert answer.location == "/login?next=/assets/charge-points/?search%3Dabb"
    posted = stranger.post("/assets/charge-points/delete/", data={})
    assert posted.status_code == 400  # no CSRF token


def test_htmx_is_told_to_move_to_the_login(stranger: CheckedClient) -> None:
    answer = stranger.htmx("/assets/charge-points/", **{"HX-Current-URL": "http://localhost/assets/locations/?page=1"})
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=/assets/locations/?page%3D1"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", None]
)
def test_signing_in_never_leads_to_another_site(screens: Flask, target: str | None) -> None:
    with screens.test_request_context():
        assert kit.safe_next(target) == "/"
        assert kit.safe_next("/assets/locations/?page=1") == "/assets/locations/?page=1"


# --- CSRF ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["new/", "edit/?id=1", "delete/", "run/disable/", "export/csv/", "preferences/"],
)
def test_nothing_is_posted_without_the_csrf_token(olga: CheckedClient, path: str) -> None:
    answer = olga.post(f"/assets/charge-points/{path}", data={"id": 1, "rowid": 1, "reason": "x", "page_size": 50})
    assert answer.status_code == 400


# --- addresses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["abc", "", "-1", "1.5", "1 OR 1=1", "9" * 30, "9" * 5000, "٣", "%00", "0", "99999"])
@pytest.mark.parametrize("page", ["details", "edit", "delete"])
def test_a_key_that_is_none_is_404(olga: CheckedClient, page: str, key: str) -> None:
    assert olga.get(f"/assets/charge-points/{page}/?id={key}").status_code == 404


def test_a_key_of_two_columns_works_and_is_checked(olga: CheckedClient, screens: Flask) -> None:
    with screens.app_context():
        reading = db.session.query(Reading).order_by(Reading.id).first()
        assert reading is not None
        key = f"{reading.id},{reading.at.isoformat().replace('+', '%2B')}"
    page = text_of(olga.get("/activity/charging-sessions/"))
    assert re.search(r"details/\?id=\d+,2026-03-29T", page) or "details/?id=" in page
    assert olga.get(f"/activity/charging-sessions/details/?id={key}").status_code == 200
    for wrong in ("1", "1,2", "1,yesterday", ",,", "a,2026-01-01"):
        assert olga.get(f"/activity/charging-sessions/details/?id={wrong}").status_code == 404


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("flt0_colour_is=red", "no filter “Colour Is”"),
        ("flt0_status_is=purple", "“purple” cannot be used for the filter “Status is”"),
        ("flt0_last_seen_in=soon", "cannot be used"),
        ("flt0_last_seen_in=2026-02-31", "cannot be used"),
        ("flt0_price_at_least=NaN", "cannot be used"),
        ("flt0_managed_is=maybe", "cannot be used"),
        ("flt=1", "no filter"),
        ("flt0=1", "no filter"),
        ("statsu=active", "no filter “statsu”"),
        ("sort=password_hash", "cannot be sorted"),
        ("sort=0", "cannot be sorted"),
        ("search=%00", "cannot be searched"),
    ],
)
@pytest.mark.parametrize("page", ["", "export/csv/", "run/disable/"])
def test_what_cannot_be_filtered_by_is_refused_never_dropped(
    olga: CheckedClient, page: str, query: str, says: str
) -> None:
    if page.startswith("run"):
        query += "&all_matching=1&expected_count=60"
    answer = olga.get(f"/assets/charge-points/{page}?{query}")
    assert answer.status_code == 400
    assert says in text_of(answer)
    assert "Clear filters" in text_of(answer)


@pytest.mark.parametrize(
    "query", ["page=-1", "page=99999999999999999999", "page=abc", "page_size=-5", "page_size=0", "page=2&page_size=x"]
)
def test_a_page_that_is_none_becomes_one_that_is(olga: CheckedClient, query: str) -> None:
    answer = olga.get(f"/assets/charge-points/?{query}")
    assert answer.status_code == 200
    assert 'name="rowid"' in text_of(answer)


# --- selections ----------------------------------------------------------------------------------------------


def test_all_matching_is_refused_when_the_count_has_changed(olga: CheckedClient, screens: Flask) -> None:
    olga.get("/assets/charge-points/")
    query = "flt0_status_is=active&all_matching=1"
    page = text_of(olga.get("/assets/charge-points/?flt0_status_is=active"))
    seen = int(re.search(r'data-count="(\d+)"', page)[1])  # type: ignore[index]
    assert olga.get(f"/assets/charge-points/run/disable/?{query}&expected_count={seen}").status_code == 200
    with screens.app_context():
        changed = db.session.query(Station).filter_by(status=Status.DISABLED).first()
        assert changed is not None
        changed.status = Status.ACTIVE
        db.session.commit()
    answer = olga.get(f"/assets/charge-points/run/disable/?{query}&expected_count={seen}")
    assert answer.status_code == 409
    assert f"{seen + 1} match now" in text_of(answer)
    posted = olga.send(f"/assets/charge-points/run/disable/?{query}&expected_count={seen}", {"reason": "x"})
    assert posted.status_code == 409
    exported = olga.send(f"/assets/charge-points/export/csv/?{query}&expected_count={seen}")
    assert exported.status_code == 409
    assert olga.get(f"/assets/charge-points/run/disable/?{query}").status_code == 400


def test_selected_ids_are_typed_and_all_must_exist(olga: CheckedClient) -> None:
    olga.get("/assets/charge-points/")
    for wrong, code in (("abc", 404), ("99999", 404), ("1;drop", 404)):
        assert olga.get(f"/assets/charge-points/run/disable/?rowid=1&rowid={wrong}").status_code == code
    assert olga.get("/assets/charge-points/run/disable/").status_code == 400
    assert olga.get("/assets/charge-points/run/disable/?rowid=1&rowid=1").status_code == 200
    assert olga.get("/assets/charge-points/run/nothing/?rowid=1").status_code == 404


# --- what is shown -------------------------------------------------------------------------------------------


def test_descriptions_and_values_are_escaped(olga: CheckedClient, screens: Flask) -> None:
    with screens.app_context():
        station = db.session.get(Station, 1)
        assert station is not None
        station.name = "<img src=x onerror=alert(1)>"
        db.session.commit()
    form = text_of(olga.get("/assets/charge-points/new/"))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in form
    assert "&lt;b&gt;sticker&lt;/b&gt;" in form
    for page in ("", "details/?id=1", "edit/?id=1", "delete/?id=1", "run/reset/?rowid=1"):
        shown = text_of(olga.get(f"/assets/charge-points/{page}"))
        assert "<img src=x" not in shown
        assert "&lt;img src=x" in shown


# --- lost updates --------------------------------------------------------------------------------------------


def form_fields(html: str) -> dict[str, str]:
    """The inputs of the page's form as a browser would post them."""
    inert = re.sub(r"<template.*?</template>", "", html, flags=re.S)
    form = re.search(r'<form method="post" class="card record-form".*?</form>', inert, re.S)
    assert form
    found = {}
    for tag in re.findall(r"<input[^>]*>", form[0]):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if "name" in attributes and (attributes.get("type") != "checkbox" or " checked" in tag):
            found[attributes["name"]] = attributes.get("value", "")
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form[0], re.S):
        chosen = re.search(r'<option[^>]*selected[^>]*value="([^"]*)"|value="([^"]*)"', options)
        selected = re.search(r'<option selected value="([^"]*)"', options)
        if selected or (chosen and 'name="currents"' not in name):
            found[name] = (selected or chosen)[1] or (chosen[2] if chosen else "")  # type: ignore[index]
    found.pop("currents", None)
    return found


def test_two_who_edit_the_same_record_do_not_overwrite_each_other(olga: CheckedClient, screens: Flask) -> None:
    first = form_fields(text_of(olga.get("/assets/charge-points/edit/?id=2")))
    second = dict(first)
    assert olga.send("/assets/charge-points/edit/?id=2", {**first, "name": "First"}).status_code == 302
    answer = olga.send("/assets/charge-points/edit/?id=2", {**second, "name": "Second"})
    assert answer.status_code == 409
    page = text_of(answer)
    assert "Somebody else saved this Charge Point" in page
    assert "stored now: First" in page
    assert 'value="Second"' in page  # the input is kept
    again = form_fields(page)
    assert again["_version"] != second["_version"]
    assert olga.send("/assets/charge-points/edit/?id=2", again).status_code == 302
    with screens.app_context():
        saved = db.session.get(Station, 2)
        assert saved is not None
        assert saved.name == "Second"


def test_a_record_without_version_column_is_guarded_by_its_content(olga: CheckedClient, screens: Flask) -> None:
    first = form_fields(text_of(olga.get("/assets/locations/edit/?id=1")))
    assert olga.send("/assets/locations/edit/?id=1", {**first, "city": "Piraeus"}).status_code == 302
    assert olga.send("/assets/locations/edit/?id=1", {**first, "city": "Patras"}).status_code == 409
    with screens.app_context():
        site = db.session.get(Site, 1)
        assert site is not None
        assert site.city == "Piraeus"


# --- exports and counts --------------------------------------------------------------------------------------


def test_an_export_streams_and_gives_its_connection_back(olga: CheckedClient, screens: Flask) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append((statement, type(cursor).__name__))

    with screens.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        answer = olga.get("/activity/charging-sessions/export/csv/")
        assert answer.is_streamed
        lines = text_of(answer).splitlines()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(lines) == 701
    selects = [name for statement, name in statements if "FROM ui_reading" in statement]
    assert selects == ["ServerCursor"]
    assert "Current Checked out connections: 0" in engine.pool.status()


def test_the_count_has_no_bound_parameter_and_stops_at_the_cap(olga: CheckedClient, screens: Flask) -> None:
    counts: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if "count(" in statement:
            counts.append((statement, parameters))

    with screens.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        log = text_of(olga.get("/activity/charging-sessions/?page=999"))
        plain = text_of(olga.get("/assets/charge-points/"))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert "of <strong>500+</strong>" in log
    assert "Select all matching" not in log  # not all are counted, so not all can be meant
    assert "of <strong>60</strong>" in plain
    capped, simple = counts
    assert "LIMIT" in capped[0]
    assert not simple[1]


# --- forms ---------------------------------------------------------------------------------------------------


def test_every_declared_field_is_on_the_page(olga: CheckedClient, screens: Flask) -> None:
    for path, view_class in (
        ("/assets/charge-points/new/", StationView),
        ("/assets/charge-points/edit/?id=1", StationView),
    ):
        html = text_of(olga.get(path))
        for name in view_class.form_columns:
            assert f'name="{name}' in html or f'name="{name}-' in html, name


def test_a_field_of_a_type_without_field_stops_the_start(screens: Flask) -> None:
    from sqlalchemy.types import UserDefinedType

    class Odd(UserDefinedType[Any]):
        cache_ok = True

    class Vanishing(StationView):
        class model_form_converter(StationView.model_form_converter):
            def get_converter(self, column: Any) -> Any:
                return None if column.name == "price" else super().get_converter(column)

    with pytest.raises(kit.FieldVanished, match="price"):
        Vanishing(Station, db)
    assert Odd().cache_ok


def test_a_field_that_no_tab_shows_stops_the_start(screens: Flask) -> None:
    class Forgetful(StationView):
        form_rules = [kit.Tabs(kit.Tab("General", "name", "site"))]

    with pytest.raises(kit.FieldVanished, match="identifier"):
        Forgetful(Station, db)


def test_nested_records_are_created_changed_and_removed(olga: CheckedClient, screens: Flask) -> None:
    olga.get("/assets/charge-points/new/")
    fields = {
        "name": "New", "site": "1", "identifier": "NEW-1", "status": "active", "managed": "y",
        "serial": "", "opening": "1:30", "price": "0,45", "tags": "a,b,a", "last_seen_at": "2026-03-29 04:30",
        "outlets-0-code": "E1", "outlets-0-type": "DC", "outlets-0-max_power_w": "50000",
        "outlets-0-spare_site": "2", "outlets-0-plugs-0-kind": "CCS2", "outlets-0-plugs-4-kind": "CHAdeMO",
        "outlets-7-code": "E2", "outlets-7-type": "AC",
    }  # fmt: skip
    answer = olga.send("/assets/charge-points/new/", fields)
    assert answer.status_code == 302, text_of(answer)
    with screens.app_context():
        station = db.session.query(Station).filter_by(identifier="NEW-1").one()
        assert [(o.code, o.type.value, [p.kind for p in o.plugs]) for o in station.outlets] == [
            ("E1", "DC", ["CCS2", "CHAdeMO"]), ("E2", "AC", [])
        ]  # fmt: skip
        assert station.outlets[0].spare_site is not None
        assert str(station.price) == "0.4500"
        assert station.tags == ["a", "b"]
        assert station.opening is not None
        assert station.opening.total_seconds() == 5400
        assert station.last_seen_at is not None
        assert station.last_seen_at.isoformat() == "2026-03-29T01:30:00+00:00"  # Olga is in Sofia, summer time
        key, first, second = station.id, station.outlets[0].id, station.outlets[1].id
        plug = station.outlets[0].plugs[1].id
    edit = f"/assets/charge-points/edit/?id={key}"
    version = form_fields(text_of(olga.get(edit)))["_version"]
    fields |= {
        "_version": version, "outlets-0-id": str(first), "outlets-0-plugs-4-id": str(plug),
        "del-outlets-0-plugs-4": "1", "outlets-0-code": "E9", "outlets-7-id": str(second), "del-outlets-7": "1",
    }  # fmt: skip
    fields.pop("outlets-0-plugs-0-kind")
    answer = olga.send(edit, fields)
    assert answer.status_code == 302, text_of(answer)
    with screens.app_context():
        outlets = db.session.query(Outlet).filter_by(station_id=key).all()
        assert [o.code for o in outlets] == ["E9"]
        assert [p.kind for p in db.session.query(Plug).filter_by(outlet_id=first)] == ["CCS2"]


def test_a_nested_row_of_another_record_cannot_be_taken_over(olga: CheckedClient, screens: Flask) -> None:
    with screens.app_context():
        theirs = db.session.query(Outlet).filter_by(station_id=1).first()
        assert theirs is not None
        taken, code = theirs.id, theirs.code
    fields = form_fields(text_of(olga.get("/assets/charge-points/edit/?id=2")))
    fields |= {"outlets-9-id": str(taken), "outlets-9-code": "STOLEN", "outlets-9-type": "AC"}
    olga.send("/assets/charge-points/edit/?id=2", fields)
    with screens.app_context():
        still = db.session.get(Outlet, taken)
        assert still is not None
        assert (still.station_id, still.code) == (1, code)


def test_the_first_failing_tab_is_open_and_says_how_many(olga: CheckedClient) -> None:
    olga.get("/assets/charge-points/new/")
    fields = {"name": "New", "site": "1", "identifier": "N-1", "status": "active", "price": "a lot"}
    answer = olga.send("/assets/charge-points/new/", {**fields, "outlets-0-code": "", "outlets-0-type": "AC"})
    assert answer.status_code == 422
    page = text_of(answer)
    assert re.search(r'id="tab-evses-link"[^>]*aria-selected="true"', page)
    assert re.search(r"EVSEs<span class=\"badge[^>]*>1<", page)
    assert re.search(r"Advanced<span class=\"badge[^>]*>1<", page)
    assert "2 fields need your attention" in page
    assert 'value="a lot"' in page
    assert 'aria-invalid="true"' in page


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identifier": "CP-0002"}, "“CP-0002” is already in use."),
        ({"outlets-0-code": "1010"}, "“1010” is already in use."),
    ],
)
def test_what_the_database_refuses_is_said_at_the_field(
    olga: CheckedClient, change: dict[str, str], message: str
) -> None:
    olga.get("/assets/charge-points/new/")
    fields = {"name": "New", "site": "1", "identifier": "N-1", "status": "active", "outlets-0-code": "E77"}
    answer = olga.send("/assets/charge-points/new/", {**fields, "outlets-0-type": "AC", **change})
    assert answer.status_code == 422
    assert message in text_of(answer) or "Already exists" in text_of(answer)


def test_what_is_still_used_is_not_deleted(olga: CheckedClient, screens: Flask) -> None:
    olga.get("/assets/locations/")
    answer = olga.send("/assets/locations/delete/", {"id": 1})
    assert answer.status_code == 302
    assert "cannot be deleted" in text_of(olga.get(answer.location))
    with screens.app_context():
        assert db.session.get(Site, 1) is not None


def test_text_in_languages_is_kept_per_language(olga: CheckedClient, screens: Flask) -> None:
    fields = form_fields(text_of(olga.get("/assets/locations/edit/?id=2")))
    assert fields["name-bg"] == "София Мол"
    answer = olga.send("/assets/locations/edit/?id=2", {**fields, "name-bg": "", "name-el": "Σόφια"})
    assert answer.status_code == 302
    with screens.app_context():
        site = db.session.get(Site, 2)
        assert site is not None
        assert site.name == {"en": "Sofia Mall West", "el": "Σόφια"}
    fields = form_fields(text_of(olga.get("/assets/locations/edit/?id=2")))
    refused = olga.send("/assets/locations/edit/?id=2", {**fields, "name-en": " "})
    assert refused.status_code == 422
    assert "Enter the English text." in text_of(refused)


# --- audit ---------------------------------------------------------------------------------------------------


def test_changes_are_recorded_with_before_and_after_and_shown(olga: CheckedClient, screens: Flask) -> None:
    from app.core.models import AuditEntry

    fields = form_fields(text_of(olga.get("/assets/charge-points/edit/?id=2")))
    olga.send("/assets/charge-points/edit/?id=2", {**fields, "name": "Renamed", "outlets-0-code": "Z1"})
    olga.get("/assets/charge-points/details/?id=2")
    history = text_of(olga.get("/assets/charge-points/history/?id=2"))
    assert "Changed" in history
    assert "Olga Petrova" in history
    assert "<ins>Renamed</ins>" in history
    assert "Alfen Eve Double" in history
    olga.send("/assets/locations/new/", {"name-en": "Plovdiv", "city": "Plovdiv", "timezone": "__None"})
    with screens.app_context():
        changed, created = db.session.query(AuditEntry).order_by(AuditEntry.id)
        assert (changed.event, changed.object_type, changed.object_id) == ("change", "ui_station", "2")
        assert changed.after["name"] == "Renamed"
        assert changed.before["outlets"][0]["code"] == "1002"
        assert changed.after["outlets"][0]["code"] == "Z1"
        assert "password_hash" not in changed.before
        assert (created.event, created.before) == ("create", {})
        assert created.after["city"] == "Plovdiv"


def test_a_deletion_is_recorded_with_what_was_there(olga: CheckedClient, screens: Flask) -> None:
    from app.core.models import AuditEntry

    olga.get("/assets/charge-points/")
    answer = olga.send("/assets/charge-points/delete/", {"id": 40})
    assert answer.location == "/assets/charge-points/"
    with screens.app_context():
        entry = db.session.query(AuditEntry).one()
        assert (entry.event, entry.object_id, entry.after) == ("delete", "40", {})
        assert entry.before["identifier"] == "CP-0039"
        assert db.session.get(Station, 40) is None


def test_a_save_without_change_leaves_no_entry(olga: CheckedClient, screens: Flask) -> None:
    from app.core.models import AuditEntry

    fields = form_fields(text_of(olga.get("/assets/locations/edit/?id=1")))
    assert olga.send("/assets/locations/edit/?id=1", fields).status_code == 302
    with screens.app_context():
        assert db.session.query(AuditEntry).count() == 0


def test_the_sample_moments_are_aware(screens: Flask) -> None:
    with screens.app_context():
        reading = db.session.query(Reading).first()
        assert reading is not None
        assert isinstance(reading.at, datetime)
        assert reading.at.tzinfo is not None


# --- rows that a rule of their own closes ------------------------------------------------------------------------


def test_a_row_may_be_closed_to_editing_and_deleting(olga: CheckedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither offered nor done, while its neighbours stay open."""
    monkeypatch.setattr(StationView, "can_edit_row", lambda self, obj: self.can_edit and obj.id != OURS)
    monkeypatch.setattr(StationView, "can_delete_row", lambda self, obj: self.can_delete and obj.id != OURS)
    page = text_of(olga.get("/assets/charge-points/?page_size=100&sort=name"))
    offered = set(re.findall(r"/assets/charge-points/(edit|delete)/\?id=(\d+)", page))
    assert ("edit", "1") in offered and ("delete", "1") in offered
    assert not {("edit", "2"), ("delete", "2")} & offered
    own = text_of(olga.get(f"/assets/charge-points/details/?id={OURS}"))
    assert "/edit/" not in own and "/delete/" not in own
    assert olga.get(f"/assets/charge-points/edit/?id={OURS}").status_code == 403
    assert olga.send(f"/assets/charge-points/edit/?id={OURS}", {"name": "x", "_version": "1"}).status_code == 403
    assert olga.send("/assets/charge-points/delete/", {"id": OURS}).status_code == 403
    assert olga.get("/assets/charge-points/edit/?id=1").status_code == 200


def test_a_page_without_details_has_none(olga: CheckedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StationView, "can_view_details", False)
    assert olga.get(f"/assets/charge-points/details/?id={OURS}").status_code == 404
