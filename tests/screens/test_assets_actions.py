"""What an operator does at charge points and EVSEs from the screen, and the account of it in the Actions log."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, SystemStatus
from app.charging import commands, gateways
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession, UnknownStation
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus, Admin
from app.tariffs.models import Tariff
from tests.support.factories_assets import NOW, make_session, make_station, make_tariff_group, make_user, make_zone
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

STATIONS = "/assets/charge-points/run/"
EVSES = "/assets/evses/run/"


@pytest.fixture
def operator(session: Session) -> Admin:
    """Who does it."""
    return make_admin(session, role="Operator")


@pytest.fixture
def olga(operator: Admin, clean: Flask) -> Visitor:
    """An Operator, signed in, with a page open."""
    client = signed_in(clean, operator)
    client.get("/assets/charge-points/")
    return client


def outcome(client: Visitor, answer: Any) -> str:
    """The outcome's words now, and after it has fetched itself again."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    html = answer.get_data(as_text=True)
    again = re.search(r'hx-get="([^"]+/outcome/[^"]+)"', html)
    assert again is not None and "Pending" in html
    for _ in range(20):
        html = client.htmx(again[1]).get_data(as_text=True)
        if "Pending" not in html:
            break
        time.sleep(0.05)
    return re.sub(r"<[^>]+>|\s+", " ", html)


def connect(app: Flask, station: ChargePoint) -> None:
    """Say that a living gateway holds the station's socket."""
    client = app.extensions["sync_redis"]
    client.hset(gateways.OWNERS, str(station.id), "gw-test:1")
    client.zadd(gateways.GATEWAYS, {"gw-test": time.time() + 60})


def answer_of_station(session: Session, action: Action, status: ActionStatus) -> None:
    """What the gateway does when the station has answered."""
    assert commands.claim(session, action_id=action.id, now=utcnow()) is not None
    commands.record_outcome(
        session, action_id=action.id, answer=commands.Answer(status, {"status": "Accepted"}), now=utcnow()
    )
    session.commit()


# --- remote actions


@pytest.mark.parametrize(
    "name, fields, command, info",
    [
        ("reset", {"kind": "hard"}, "reset", "Hard"),
        ("availability", {"availability": "inoperative"}, "change_availability", "Inoperative"),
        ("trigger", {"message": "boot"}, "trigger_message", "Boot notification"),
        ("clear_cache", {}, "clear_cache", None),
    ],
)
def test_an_action_on_a_station_that_is_away_says_so(
    olga: Visitor, session: Session, operator: Admin, name: str, fields: dict[str, str], command: str, info: str | None
) -> None:
    station = make_station(session)
    session.commit()
    posted = {"rowid": station.id, "reason": " It hangs ", **fields}
    words = outcome(olga, olga.htmx(f"{STATIONS}{name}/", "POST", posted, target="div#modal-content"))
    assert "Not connected" in words
    action = session.query(Action).one()
    assert (action.command, action.info, action.reason) == (command, info, "It hangs")
    assert (action.status, action.admin_id, action.charge_point_id) == (
        ActionStatus.NOT_CONNECTED,
        operator.id,
        station.id,
    )


def test_the_outcome_follows_the_stations_answer(olga: Visitor, session: Session, clean: Flask) -> None:
    station = make_station(session)
    session.commit()
    connect(clean, station)
    posted = {"rowid": station.id, "reason": "hangs", "kind": "soft"}
    answer = olga.htmx(f"{STATIONS}reset/", "POST", posted, target="div#modal-content")
    again = re.search(r'hx-get="([^"]+/outcome/[^"]+)"', answer.get_data(as_text=True))
    assert again is not None
    assert "Pending" in olga.htmx(again[1]).get_data(as_text=True)
    answer_of_station(session, session.query(Action).one(), ActionStatus.ACCEPTED)
    ended = olga.htmx(again[1])
    assert "Accepted" in ended.get_data(as_text=True) and ended.headers["HX-Trigger"] == "record-changed"
    page = olga.get(f"/activity/actions/details/?id={session.query(Action).one().id}").get_data(as_text=True)
    assert "Accepted" in page and "&#34;kind&#34;: &#34;soft&#34;" in page and "&#34;status&#34;" in page


def test_one_action_on_all_that_match(olga: Visitor, session: Session) -> None:
    zone = make_zone(session)
    for _ in range(3):
        make_station(session, zone)
    make_station(session, zone, status=SystemStatus.DISABLED)
    session.commit()
    path = f"{STATIONS}clear_cache/?flt0_system_status_is=active"
    posted = {"all_matching": "1", "expected_count": "3", "reason": "new cards"}
    assert "Not connected" in outcome(olga, olga.htmx(path, "POST", posted, target="div#modal-content"))
    assert session.query(Action).count() == 3


def test_a_reason_is_mandatory(olga: Visitor, session: Session) -> None:
    station = make_station(session)
    session.commit()
    answer = olga.htmx(f"{STATIONS}reset/", "POST", {"rowid": station.id, "reason": "  ", "kind": "soft"})
    assert answer.status_code == 422 and "Enter a reason" in answer.get_data(as_text=True)
    assert session.query(Action).count() == 0


def test_a_point_of_interest_is_sent_nothing(olga: Visitor, session: Session) -> None:
    station = make_station(session, managed_by_operator=False)
    session.commit()
    page = olga.get(f"/assets/charge-points/details/?id={station.id}").get_data(as_text=True)
    assert "run/reset" not in page and "run/status" in page
    answer = olga.htmx(f"{STATIONS}reset/", "POST", {"rowid": station.id, "reason": "x", "kind": "soft"})
    assert "not managed by the operator" in answer.get_data(as_text=True)
    assert session.query(Action).count() == 0


def test_the_system_status_changes_with_an_account_of_it(olga: Visitor, session: Session) -> None:
    """Manual's example for users: "from Active to Disabled", Finished."""
    station = make_station(session)
    session.commit()
    posted = {"rowid": station.id, "status": "disabled", "reason": "Vandalised"}
    answer = olga.htmx(f"{STATIONS}status/", "POST", posted)
    assert "Finished" in answer.get_data(as_text=True)
    action = session.query(Action).one()
    assert (action.name, action.info) == ("Change Charge Point Status", "from Active to Disabled")
    assert (action.status, action.reason) == (ActionStatus.FINISHED, "Vandalised")
    session.expire_all()
    assert session.get_one(ChargePoint, station.id).status is SystemStatus.DISABLED
    again = olga.htmx(f"{STATIONS}status/", "POST", posted).get_data(as_text=True)
    assert "Disabled already" in again and session.query(Action).count() == 1
    history = olga.htmx(f"/assets/charge-points/history/?id={station.id}").get_data(as_text=True)
    assert "System status" in history and "Disabled" in history


def test_the_analyst_can_do_nothing_to_stations(session: Session, clean: Flask) -> None:
    station = make_station(session)
    session.commit()
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    for path in (f"{STATIONS}reset/", f"{EVSES}unlock/", f"{EVSES}start/"):
        assert anna.send(path, {"rowid": station.id, "reason": "x"}).status_code == 403
    assert anna.get("/assets/evses/ajax/lookup/?name=user").status_code == 403


# --- sessions at an EVSE


def test_the_start_dialog_offers_users_and_the_tariffs_of_the_evse(olga: Visitor, session: Session) -> None:
    group = make_tariff_group(session)
    station = make_station(session, group=group)
    make_user(session, first_name="Maria", last_name="Papadopoulos", email="maria@example.com")
    session.commit()
    dialog = olga.htmx(f"{EVSES}start/?rowid={station.evses[0].id}").get_data(as_text=True)
    assert "AC public: Base tariff" in dialog and ">Free<" in dialog
    found = olga.get("/assets/evses/ajax/lookup/?name=user&query=maria").get_json()
    assert [text for _, text in found] == ["Maria Papadopoulos (maria@example.com)"]


@pytest.mark.parametrize("paid", [True, False])
def test_a_session_is_started_for_a_user(olga: Visitor, session: Session, clean: Flask, paid: bool) -> None:
    group = make_tariff_group(session)
    station = make_station(session, group=group)
    user = make_user(session)
    tariff = session.query(Tariff).one()
    session.commit()
    connect(clean, station)
    posted = {
        "rowid": station.evses[0].id,
        "user": user.id,
        "tariff": tariff.id if paid else "free",
        "reason": "Called: no internet",
    }
    answer = olga.htmx(f"{EVSES}start/", "POST", posted)
    assert "Pending" in answer.get_data(as_text=True), answer.get_data(as_text=True)
    row = session.query(ChargingSession).one()
    assert (row.status, row.user_id) == (SessionStatus.PENDING, user.id)
    assert row.tariff_name == (tariff.name if paid else "Free (by operator)")
    page = olga.get(f"/assets/evses/details/?id={station.evses[0].id}").get_data(as_text=True)
    assert f"Session {row.id}" in page and "run/start" not in page and "run/stop" in page


def test_a_session_that_may_not_start_says_why(olga: Visitor, session: Session) -> None:
    station = make_station(session, status=SystemStatus.OUT_OF_ORDER)
    user = make_user(session)
    session.commit()
    posted = {"rowid": station.evses[0].id, "user": user.id, "tariff": "free", "reason": "x"}
    answer = olga.htmx(f"{EVSES}start/", "POST", posted).get_data(as_text=True)
    assert "Refused" in answer and "status is not Active or Demo" in answer
    assert session.query(ChargingSession).count() == session.query(Action).count() == 0


def test_a_session_needs_a_user(olga: Visitor, session: Session) -> None:
    station = make_station(session)
    session.commit()
    answer = olga.htmx(f"{EVSES}start/", "POST", {"rowid": station.evses[0].id, "tariff": "free", "reason": "x"})
    assert answer.status_code == 422 and "Choose a user" in answer.get_data(as_text=True)


def test_a_running_session_is_stopped_from_the_evse_and_from_its_own_page(
    olga: Visitor, session: Session, clean: Flask
) -> None:
    station = make_station(session, evses=2, group=make_tariff_group(session))
    rows = [make_session(session, evse, make_user(session), status=SessionStatus.ACTIVE) for evse in station.evses]
    session.commit()
    connect(clean, station)
    answer = olga.htmx(f"{EVSES}stop/", "POST", {"rowid": station.evses[0].id, "reason": "blocks the bay"})
    assert "Pending" in answer.get_data(as_text=True)
    path = "/activity/charging-sessions/run/stop/"
    assert "Pending" in olga.htmx(path, "POST", {"rowid": rows[1].id, "reason": "asked"}).get_data(as_text=True)
    session.expire_all()
    assert {row.status for row in session.query(ChargingSession)} == {SessionStatus.STOPPING}
    related = olga.htmx(f"/activity/charging-sessions/related/2/?id={rows[1].id}").get_data(as_text=True)
    assert "Stop session" in related and "asked" in related and "blocks the bay" not in related


def test_a_finished_session_cannot_be_stopped(olga: Visitor, session: Session) -> None:
    station = make_station(session, group=make_tariff_group(session))
    row = make_session(session, station.evses[0], make_user(session))
    session.commit()
    page = olga.get(f"/activity/charging-sessions/details/?id={row.id}").get_data(as_text=True)
    assert "run/stop" not in page
    answer = olga.htmx("/activity/charging-sessions/run/stop/", "POST", {"rowid": row.id, "reason": "x"})
    assert "Refused" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "name, fields",
    [("unlock", {}), ("availability", {"availability": "operative"}), ("trigger", {"message": "status"})],
)
def test_an_evse_has_actions_of_its_own(olga: Visitor, session: Session, name: str, fields: dict[str, str]) -> None:
    station = make_station(session)
    session.commit()
    evse = station.evses[0]
    outcome(olga, olga.htmx(f"{EVSES}{name}/", "POST", {"rowid": evse.id, "reason": "stuck", **fields}))
    action = session.query(Action).one()
    assert (action.target_type, action.target_id) == ("evse", evse.id)
    assert action.request is not None and action.request["network_id"] == 1
    page = olga.get(f"/assets/evses/details/?id={evse.id}").get_data(as_text=True)
    tab = re.search(r'id="related-(\d+)-link"[^>]*>Actions<', page)
    assert tab is not None
    related = olga.htmx(f"/assets/evses/related/{tab[1]}/?id={evse.id}").get_data(as_text=True)
    assert "stuck" in related


# --- who tried to connect


def make_unknown(session: Session, identifier: str) -> UnknownStation:
    row = UnknownStation(identifier=identifier, reason="unknown charge point", first_seen_at=NOW, last_seen_at=NOW)
    session.add(row)
    return row


def test_one_click_from_who_tried_to_the_form(olga: Visitor, session: Session) -> None:
    make_unknown(session, "NEW 1&2")
    known = make_station(session, identifier="Known-1")
    make_unknown(session, "KNOWN-1")
    session.commit()
    page = olga.get("/assets/tried-to-connect/").get_data(as_text=True)
    assert "/assets/charge-points/new/?identifier=NEW+1%262" in page.replace("%20", "+")
    assert f"/assets/charge-points/details/?id={known.id}" in page
    assert "2 stations tried to connect" in olga.get("/assets/charge-points/").get_data(as_text=True)


def test_who_tried_is_dismissed_singly_and_together(olga: Visitor, session: Session) -> None:
    for number in range(4):
        make_unknown(session, f"NEW/{number}")
    session.commit()
    olga.get("/assets/tried-to-connect/")
    answer = olga.htmx("/assets/tried-to-connect/dismiss/?id=NEW/0", "POST")
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (204, "record-changed")
    posted = {"rowid": ["NEW/1", "NEW/2"], "reason": ""}
    done = olga.htmx("/assets/tried-to-connect/run/dismiss/", "POST", posted).get_data(as_text=True)
    assert "Dismissed" in done and "NEW/1" in done
    assert [row.identifier for row in session.query(UnknownStation)] == ["NEW/3"]
