"""Actions: dialog, mandatory reason, run, outcome followed live."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from tests.ui.checked_client import CheckedClient
from tests.ui.sample_app import Deed, Station, Status, db

LIST = "/assets/charge-points/"
MODAL = "div#modal-content"


def text_of(response: Any) -> str:
    return str(response.get_data(as_text=True))


def run(client: CheckedClient, action: str, data: dict[str, Any]) -> Any:
    client.get(LIST)
    return client.htmx(f"{LIST}run/{action}/", "POST", data, target=MODAL)


def test_the_dialog_names_what_it_is_about_and_asks_for_a_reason(olga: CheckedClient) -> None:
    olga.get(LIST)
    one = text_of(olga.htmx(f"{LIST}run/reset/?rowid=2", target=MODAL))
    assert "Charge Point <strong>Alfen Eve Double 28282819100001</strong>" in one
    assert 'class="form-label required" for="reason"' in one
    assert "Reset type" in one
    several = text_of(olga.htmx(f"{LIST}run/reset/?rowid=2&rowid=3", target=MODAL))
    assert "Applies to <strong>2</strong> Charge Points" in several


@pytest.mark.parametrize("reason", ["", "   ", "x" * 401])
def test_without_a_reason_nothing_happens(olga: CheckedClient, screens: Flask, reason: str) -> None:
    answer = run(olga, "reset", {"rowid": 2, "type": "hard", "reason": reason})
    assert answer.status_code == 422
    page = text_of(answer)
    assert 'aria-invalid="true"' in page
    assert re.search(r'<option selected value="hard">', page)  # the rest of the input is kept
    with screens.app_context():
        assert db.session.query(Deed).count() == 0


def test_an_action_is_a_row_with_who_what_and_why(olga: CheckedClient, screens: Flask) -> None:
    answer = run(olga, "reset", {"rowid": 2, "type": "hard", "reason": "  Screen frozen "})
    assert answer.status_code == 200
    assert answer.headers["HX-Trigger"] == "record-changed"
    page = text_of(answer)
    assert "Waiting for the answer" in page
    with screens.app_context():
        deed = db.session.query(Deed).one()
        assert (deed.name, deed.reason, deed.initiated_by) == ("Reset (hard)", "Screen frozen", "Olga Petrova")


def test_the_outcome_is_followed_until_it_is_final(olga: CheckedClient, screens: Flask, victor: CheckedClient) -> None:
    page = text_of(run(olga, "reset", {"rowid": 2, "type": "soft", "reason": "why"}))
    follow = re.search(r'hx-get="([^"]+/outcome/[^"]+)" hx-trigger="every 1s"', page)
    assert follow
    assert "Pending" in text_of(olga.htmx(follow[1], target="div#outcome"))
    with screens.app_context():
        deed = db.session.query(Deed).one()
        deed.status, deed.error = "timed_out", "No answer within 30 s"
        db.session.commit()
    final = olga.htmx(follow[1], target="div#outcome")
    assert "Timed out" in text_of(final)
    assert "No answer within 30 s" in text_of(final)
    assert "hx-trigger" not in text_of(final)
    assert final.headers["HX-Trigger"] == "record-changed"
    victor.get(LIST)
    assert victor.get(follow[1]).status_code == 404  # somebody else's
    assert olga.get(follow[1][:-3] + "x/").status_code == 404


def test_one_refusal_does_not_stop_the_others(olga: CheckedClient, screens: Flask) -> None:
    page = text_of(run(olga, "reset", {"rowid": ["1", "2", "3"], "type": "soft", "reason": "why"}))
    assert "This station is locked." in page
    assert "Refused" in page
    with screens.app_context():
        assert sorted(deed.station_id for deed in db.session.query(Deed)) == [2, 3]


def test_all_matching_means_all_that_match_and_no_other(olga: CheckedClient, screens: Flask) -> None:
    olga.get(LIST)
    answer = olga.htmx(
        f"{LIST}run/disable/?flt0_city_is=Sofia&sort=name",
        "POST",
        {"all_matching": "1", "expected_count": "20", "reason": "Works on the grid"},
        target=MODAL,
    )
    assert answer.status_code == 200
    assert text_of(answer).count("Disabled</li>") or "Finished" in text_of(answer)
    with screens.app_context():
        disabled = {s.site.city for s in db.session.query(Station) if s.status is Status.DISABLED}
        assert "Sofia" in disabled
        sofia = [s.status for s in db.session.query(Station) if s.site.city == "Sofia"]
        assert set(sofia) == {Status.DISABLED}
        others = [s.status for s in db.session.query(Station) if s.site.city != "Sofia"]
        assert Status.ACTIVE in others


def test_the_details_page_offers_the_actions_one_may_start(olga: CheckedClient, victor: CheckedClient) -> None:
    page = text_of(olga.get(f"{LIST}details/?id=2"))
    assert "Reset…" in page
    assert "Disable…" in page
    assert "Actions" in page
    assert "Reset…" not in text_of(victor.get(f"{LIST}details/?id=2"))
