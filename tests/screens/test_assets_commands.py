"""On screen: any OCPP call, charging limits and schedules, the local auth list, API tokens."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import Answer, CommandName, Outcome
from app.charging.lifecycle import SessionStatus
from app.charging.models import CompositeSchedule
from app.charging.plans import local_lists, smart_charging
from app.charging.plans.smart_charging import InvalidLimit, Limit, Purpose
from app.core import api_tokens
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus, Admin, ApiToken, Role
from app.crm.models import RfidTag
from tests.screens.test_assets_actions import answer_of_station, connect
from tests.support.factories_assets import make_session, make_station, make_user
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


@pytest.fixture
def station(session: Session) -> ChargePoint:
    """A station of one 22 kW EVSE."""
    made = make_station(session)
    session.commit()
    return made


def post(client: Visitor, address: str, **fields: Any) -> Any:
    return client.htmx(address, "POST", {"reason": "To see", **fields}, target="div#modal-content")


def words(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)).split())


def last(session: Session) -> Action:
    session.rollback()
    return session.scalars(select(Action).order_by(Action.id.desc()).limit(1)).one()


# --- any call


def test_the_dialog_offers_what_the_stations_protocol_answers_with_a_beginning(
    olga: Visitor, station: ChargePoint
) -> None:
    dialog = olga.htmx(f"{STATIONS}call/?rowid={station.id}").get_data(as_text=True)
    assert 'value="SetChargingProfile"' in dialog and 'value="BootNotification"' not in dialog
    skeletons = re.search(r'data-skeletons="([^"]+)"', dialog)
    assert skeletons is not None and "csChargingProfiles" in skeletons[1]


@pytest.mark.parametrize(
    ("call", "payload", "said"),
    [
        ("Reset", '{"type": "Softly"}', "payload.type"),
        ("Reset", '{"type": "Soft"', "This is not JSON"),
        ("Reset", "[]", "a JSON object is expected"),
        ("Reset", '{"type": NaN}', "This is not JSON"),
        ("ClearCache", '{"x": "\\u0000"}', "NUL"),
        ("BootNotification", "{}", "Not a valid choice"),
    ],
)
def test_a_mistake_stands_in_the_dialog_and_nothing_is_written(
    olga: Visitor, session: Session, station: ChargePoint, call: str, payload: str, said: str
) -> None:
    answer = post(olga, f"{STATIONS}call/", rowid=station.id, call=call, payload=payload)
    assert answer.status_code == 422 and said in words(answer)
    assert session.query(Action).count() == 0


def test_the_stations_answer_stands_with_the_outcome(
    olga: Visitor, session: Session, station: ChargePoint, clean: Flask
) -> None:
    connect(clean, station)
    answer = post(olga, f"{STATIONS}call/", rowid=station.id, call="GetConfiguration", payload='{"key": ["X"]}')
    again = re.search(r'hx-get="([^"]+/outcome/[^"]+)"', answer.get_data(as_text=True))
    assert again is not None
    action = last(session)
    assert (action.name, action.info) == ("OCPP command", "GetConfiguration")
    assert action.request == {"action": "GetConfiguration", "payload": {"key": ["X"]}}
    answer_of_station(session, action, ActionStatus.ANSWERED)
    shown = olga.htmx(again[1])
    assert "Answered" in words(shown) and "Answer of the station" in words(shown)
    assert "&#34;status&#34;: &#34;Accepted&#34;" in shown.get_data(as_text=True)


def test_whoever_may_only_click_is_not_offered_any_call(session: Session, clean: Flask, station: ChargePoint) -> None:
    names = ["assets.charge_point.view", "assets.charge_point.command"]
    session.add(Role(name="Field", permission_names=names))
    session.commit()
    field = signed_in(clean, make_admin(session, role="Field", email="f@example.com"))
    page = field.get(f"/assets/charge-points/details/?id={station.id}").get_data(as_text=True)
    assert "Data Transfer…" in page and "OCPP Command…" not in page
    assert post(field, f"{STATIONS}call/", rowid=station.id, call="Reset", payload="{}").status_code == 403


def test_data_transfer_is_sent_as_typed(olga: Visitor, session: Session, station: ChargePoint) -> None:
    assert post(olga, f"{STATIONS}data_transfer/", rowid=station.id, vendor=" ").status_code == 422
    post(olga, f"{STATIONS}data_transfer/", rowid=station.id, vendor="acme", message="Ping", data="1;2")
    assert last(session).request == {"vendor": "acme", "message": "Ping", "data": "1;2"}
    assert last(session).info == "acme: Ping"


# --- limits and schedules


@pytest.mark.parametrize(
    ("evse", "limit", "field"),
    [
        (True, Limit(Decimal("-1"), "A", Purpose.DEFAULT), "limit"),
        (True, Limit(Decimal("16.05"), "A", Purpose.DEFAULT), "limit"),
        (True, Limit(Decimal("NaN"), "A", Purpose.DEFAULT), "limit"),
        (True, Limit(Decimal(22_001), "W", Purpose.DEFAULT), "limit"),
        (True, Limit(Decimal(97), "A", Purpose.DEFAULT), "limit"),
        (False, Limit(Decimal(22_001), "W", Purpose.STATION), "limit"),
        (True, Limit(Decimal(16), "V", Purpose.DEFAULT), "unit"),
        (True, Limit(Decimal(16), "A", Purpose.DEFAULT, phases=4), "phases"),
        (True, Limit(Decimal(16), "A", Purpose.DEFAULT, duration_s=0), "duration"),
        (True, Limit(Decimal(16), "A", Purpose.STATION), "purpose"),
        (False, Limit(Decimal(16), "A", Purpose.SESSION), "purpose"),
        (True, Limit(Decimal(16), "A", Purpose.SESSION), "purpose"),
    ],
)
def test_limits_that_cannot_be_set(
    session: Session, station: ChargePoint, evse: bool, limit: Limit, field: str
) -> None:
    with pytest.raises(InvalidLimit) as refusal:
        smart_charging.check_limit(session, charge_point=station, evse=station.evses[0] if evse else None, limit=limit)
    assert refusal.value.field == field


def test_a_limit_for_a_while_at_an_evse(olga: Visitor, session: Session, station: ChargePoint) -> None:
    evse = station.evses[0]
    fields = {"limit": "16.5", "unit": "A", "purpose": "default", "phases": "3", "duration": "20"}
    refused = post(olga, f"{EVSES}set_limit/", rowid=evse.id, **{**fields, "limit": "99"})
    assert refused.status_code == 422 and "has at most 96 A" in words(refused)
    post(olga, f"{EVSES}set_limit/", rowid=evse.id, **fields)
    action = last(session)
    assert action.request is not None
    profile = action.request["profile"]
    assert (action.request["network_id"], profile["purpose"], profile["duration_s"], profile["periods"]) == (
        1,
        "default",
        1200,
        [{"start_s": 0, "limit": "16.5", "phases": 3}],
    )
    assert action.info == "At most 16.5 A on 3 phases, each session from now on, for 20 min"
    post(olga, f"{EVSES}set_limit/", rowid=evse.id, **fields)
    again = last(session)
    assert again.request is not None and again.request["profile"]["id"] > profile["id"], "numbers are never given twice"


def test_a_limit_of_a_session_needs_one_that_the_station_knows(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    evse = station.evses[0]
    fields = {"limit": "8", "unit": "A", "purpose": "session"}
    assert "No session is running" in words(post(olga, f"{EVSES}set_limit/", rowid=evse.id, **fields))
    running = make_session(session, evse, status=SessionStatus.PENDING)
    session.commit()
    assert "No session is running" in words(post(olga, f"{EVSES}set_limit/", rowid=evse.id, **fields))
    running.status = SessionStatus.ACTIVE
    session.commit()
    number = running.id
    post(olga, f"{EVSES}set_limit/", rowid=evse.id, **fields)
    action = last(session)
    assert action.request is not None and action.request["profile"]["session_id"] == number


def schedule_answer(session: Session, station: ChargePoint, network_id: int, **facts: Any) -> None:
    """What the gateway does with an accepted answer."""
    action = smart_charging.get_composite_schedule(
        session,
        charge_point=station,
        evse=station.evses[0] if network_id else None,
        unit=None,
        reason="r",
        actor=None,
        now=utcnow(),
    )
    answer = Answer(ActionStatus.ACCEPTED, {"status": "Accepted"}, facts=facts)
    commands.record_outcome(session, action_id=action.id, answer=answer, now=utcnow())
    session.commit()


def test_a_schedule_is_recorded_and_drawn_with_its_numbers(
    olga: Visitor, session: Session, station: ChargePoint
) -> None:
    periods = [{"start_s": 0, "limit": 16.1, "phases": 3}, {"start_s": 900, "limit": 8, "phases": None}]
    facts = {"starts_at": "2026-05-01T12:00:00+00:00", "duration_s": 3600, "unit": "A", "min_rate": 6.0}
    page = "/assets/charge-points/schedule/?id="
    assert "No schedule has been requested" in words(olga.htmx(f"{page}{station.id}"))
    schedule_answer(session, station, 0, **facts, periods=periods)
    shown = olga.htmx(f"{page}{station.id}")
    drawn = re.search(r"data-schedule='([^']+)'|data-schedule=\"([^\"]+)\"", shown.get_data(as_text=True))
    assert drawn is not None
    chart = json.loads((drawn[1] or drawn[2]).replace("&#34;", '"'))
    assert (chart["minutes"], chart["limits"], chart["unit"]) == ([0, 15, 60], [16.1, 8, 8], "A")
    assert "12:00:00 12:15:00 16.1 3" in words(shown) and "12:15:00 13:00:00 8.0" in words(shown)
    evse = f"/assets/evses/schedule/?id={station.evses[0].id}"
    assert "No schedule has been requested" in words(olga.htmx(evse)), "the station's is not the EVSE's"
    schedule_answer(session, station, 1, **facts, periods=[])
    assert "No limit is in force" in words(olga.htmx(evse))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"starts_at": None, "duration_s": -5, "unit": "kW", "periods": [{"start_s": -3, "limit": -1}]},
        {"duration_s": 10**12, "periods": [{"start_s": 0, "limit": True}, {"start_s": 0, "limit": 1e300}]},
        {"periods": [{"start_s": 900, "limit": 1}, {"start_s": 0, "limit": 2}, {"start_s": 0, "limit": 3}]},
        {"duration_s": 60, "periods": [{"start_s": 3600, "limit": 1, "phases": 9}]},
    ],
)
def test_odd_schedules_are_kept_without_a_crash(
    olga: Visitor, session: Session, station: ChargePoint, facts: dict[str, Any]
) -> None:
    schedule_answer(session, station, 0, **facts)
    assert olga.htmx(f"/assets/charge-points/schedule/?id={station.id}").status_code == 200
    row = session.scalars(select(CompositeSchedule)).one()
    steps = smart_charging.steps(row)
    assert all(step.begins_at < step.ends_at for step in steps)
    assert [step.begins_at for step in steps] == sorted(step.begins_at for step in steps)


def test_a_refused_schedule_is_none(session: Session, station: ChargePoint) -> None:
    outcome = Outcome(
        0, CommandName.GET_COMPOSITE_SCHEDULE, station.id, 1, {"network_id": 0}, Answer(ActionStatus.REJECTED), utcnow()
    )
    smart_charging.keep_schedule(session, outcome)
    assert session.query(CompositeSchedule).count() == 0


# --- the local auth list


def test_users_are_put_on_the_list_and_taken_off(olga: Visitor, session: Session, station: ChargePoint) -> None:
    page = f"/assets/charge-points/local-list/?id={station.id}"
    assert "not enabled" in words(olga.htmx(page))
    station.local_auth_list = True
    dora = make_user(session)
    dora.rfid_tags += [RfidTag(tag_id="04A1"), RfidTag(tag_id="L" * 30)]
    session.commit()
    number = dora.id
    looked_up = olga.get(f"/assets/charge-points/ajax/lookup/?name=list_users&query={dora.email}")
    assert [str(row[0]) for row in looked_up.get_json()] == [str(number)]
    assert post(olga, f"{STATIONS}local_list_add/", rowid=station.id, users="").status_code == 422
    post(olga, f"{STATIONS}local_list_add/", rowid=station.id, users=str(number))
    assert last(session).name == local_lists.ADD_USERS
    shown = words(olga.htmx(page))
    assert "04A1 May charge Not listed" in shown and "Not sent yet" in shown
    assert "left out: " + "L" * 30 in shown
    dialog = olga.htmx(f"{STATIONS}local_list_remove/?rowid={station.id}&user={number}").get_data(as_text=True)
    assert re.search(rf'selected[^>]* value="{number}"|value="{number}"[^>]*selected', dialog)
    post(olga, f"{STATIONS}local_list_remove/", rowid=station.id, user=str(number))
    assert "Nobody yet" in words(olga.htmx(page))
    assert post(olga, f"{STATIONS}local_list_remove/", rowid=station.id, user=str(number)).status_code == 422


# --- API tokens


def test_a_token_is_shown_once_and_kept_as_a_hash(olga: Visitor, session: Session, operator: Admin) -> None:
    olga.get("/configuration/api-tokens/")
    made = olga.post("/configuration/api-tokens/new/", data={"name": "Night script", "days": "30"})
    found = re.search(r"sync_[\w-]{43}", made.get_data(as_text=True))
    assert found is not None
    token = session.scalars(select(ApiToken)).one()
    assert token.token_hash == api_tokens.digest(found[0]) and found[0] not in str(vars(token))
    assert token.expires_at is not None and token.expires_at - token.created_at == timedelta(days=30)
    assert api_tokens.holder(session, found[0], now=utcnow()) is token
    page = olga.get(f"/configuration/api-tokens/details/?id={token.id}").get_data(as_text=True)
    assert found[0] not in page and found[0][:11] in page
    post(olga, "/configuration/api-tokens/run/revoke/", rowid=token.id)
    session.rollback()
    assert api_tokens.holder(session, found[0], now=utcnow()) is None
    assert "Revoked" in words(olga.get("/configuration/api-tokens/"))
    assert olga.post("/configuration/api-tokens/new/", data={"name": " "}).status_code == 422


def test_tokens_of_others_are_a_super_users_affair(olga: Visitor, session: Session, clean: Flask) -> None:
    master = make_admin(session, role="Super User", email="master@example.com")
    token, key = api_tokens.create_token(session, admin=master, name="theirs", actor=None, now=utcnow())
    session.commit()
    assert "theirs" not in words(olga.get("/configuration/api-tokens/"))
    assert olga.get(f"/configuration/api-tokens/details/?id={token.id}").status_code == 404
    assert post(olga, "/configuration/api-tokens/run/revoke/", rowid=token.id).status_code == 404
    own, _ = api_tokens.create_token(
        session, admin=session.scalars(select(Admin).where(Admin.email == "olga@example.com")).one(), name="olgas",
        actor=None, now=utcnow(),
    )  # fmt: skip
    session.commit()
    boss = signed_in(clean, master)
    assert "olgas" in words(boss.get("/configuration/api-tokens/"))
    boss.get("/configuration/api-tokens/")
    post(boss, "/configuration/api-tokens/run/revoke/", rowid=own.id)
    session.expire_all()
    assert own.revoked_at is not None and api_tokens.holder(session, key, now=utcnow()) is not None


def test_nobody_makes_a_token_in_anothers_name(session: Session, operator: Admin) -> None:
    boss = make_admin(session, role="Super User", email="boss@example.com")
    with pytest.raises(api_tokens.NotOwnToken):
        api_tokens.create_token(session, admin=boss, name="x", actor=operator, now=utcnow())
