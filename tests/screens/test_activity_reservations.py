"""Reserving from the screen, ACTIVITY > Reservations, and how Demo stations and points of interest are shown."""

from __future__ import annotations

import csv
import io
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointNotice, ConnectionStatus, SystemStatus
from app.charging import commands, gateways, mock
from app.charging.models import ChargingSession, Reservation, ReservationStatus
from app.core import settings
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from app.crm.models import User
from tests.screens.test_assets_smoke import counted_queries
from tests.support.factories_assets import make_station, make_tariff_group, make_user
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

EVSES = "/assets/evses/run/"
RUN = "/activity/reservations/run/"


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """An Operator, signed in; reservations are switched on."""
    settings.change_setting(session, key="reservation.enabled", value=True, actor=None)
    session.commit()
    client = signed_in(clean, make_admin(session, role="Operator"))
    client.get("/assets/charge-points/")
    return client


@pytest.fixture
def place(session: Session, clean: Flask) -> ChargePoint:
    """A free station whose socket a living gateway holds."""
    station = make_station(session, group=make_tariff_group(session), evses=2)
    session.commit()
    client = clean.extensions["sync_redis"]
    client.hset(gateways.OWNERS, str(station.id), "gw-test:1")
    client.zadd(gateways.GATEWAYS, {"gw-test": time.time() + 60})
    return station


def kept(session: Session, place: ChargePoint, user: User, *, status: str = "active", **fields: Any) -> Reservation:
    """A reservation of the first EVSE, made a moment ago, committed."""
    now = utcnow().replace(microsecond=0)
    row = Reservation(
        partner_id=1,
        charge_point_id=place.id,
        evse_id=place.evses[0].id,
        user_id=user.id,
        id_tag="04A2",
        status=ReservationStatus(status),
        **{"created_at": now - timedelta(minutes=1), "expires_at": now + timedelta(minutes=14), **fields},
    )
    session.add(row)
    session.commit()
    return row


def text_of(answer: Any) -> str:
    """The page's words, without markup."""
    html = answer.get_data(as_text=True)
    assert answer.status_code == 200, html
    return re.sub(r"(<[^>]+>|\s)+", " ", html)


def answered(session: Session, action: Action, status: ActionStatus, result: str) -> None:
    """What the gateway does when the station has answered."""
    assert commands.claim(session, action_id=action.id, now=utcnow()) is not None
    given = commands.Answer(status, {"status": result.title()}, facts={"result": result})
    commands.record_outcome(session, action_id=action.id, answer=given, now=utcnow())
    session.commit()


# ---------------------------------------------------------------------- reserving


def test_from_the_dialog_to_a_reserved_evse_everywhere(olga: Visitor, session: Session, place: ChargePoint) -> None:
    evse, user = place.evses[0], make_user(session)
    session.commit()
    page = f"/assets/evses/details/?id={evse.id}"
    assert "run/reserve" in olga.get(page).get_data(as_text=True)
    assert "run/cancel_reservation" not in olga.get(page).get_data(as_text=True)
    dialog = text_of(olga.htmx(f"{EVSES}reserve/?rowid={evse.id}"))
    assert "Left empty: 15 minutes." in dialog and "the cool-down time of the Settings hold here too" in dialog
    posted = {"rowid": evse.id, "user": user.id, "minutes": "20", "reason": "The driver called"}
    assert "Pending" in text_of(olga.htmx(f"{EVSES}reserve/", "POST", posted, target="div#modal-content"))
    row = session.query(Reservation).one()
    assert (row.user_id, row.expires_at - row.created_at) == (
        user.id,
        pytest.approx(timedelta(minutes=20), abs=timedelta(seconds=1)),
    )
    assert "the charge point has not answered yet" in text_of(olga.get(page))
    answered(session, session.query(Action).one(), ActionStatus.ACCEPTED, "accepted")
    shown = text_of(olga.get(page))
    assert f"Reserved for {user.full_name} until" in shown and f"Reservation {row.id}" in shown
    assert "not answered yet" not in shown
    html = olga.get(page).get_data(as_text=True)
    assert "run/cancel_reservation" in html and "run/reserve/" not in html
    card = text_of(olga.get(f"/assets/charge-points/details/?id={place.id}"))
    assert f"Reserved for {user.full_name} until" in card
    assert "Reserved" in text_of(olga.get("/assets/evses/"))
    details = text_of(olga.get(f"/activity/reservations/details/?id={row.id}"))
    assert "Active" in details and user.full_name in details and evse.code in details


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"user": ""}, "Choose a user."), ({"minutes": "0"}, "between 1 and"), ({"reason": " "}, "Enter a reason.")],
)
def test_what_is_missing_is_said_at_its_field(
    olga: Visitor, session: Session, place: ChargePoint, fields: dict[str, str], words: str
) -> None:
    user = make_user(session)
    session.commit()
    posted = {"rowid": place.evses[0].id, "user": user.id, "minutes": "", "reason": "Called", **fields}
    answer = olga.htmx(f"{EVSES}reserve/", "POST", posted, target="div#modal-content")
    assert answer.status_code == 422 and words in answer.get_data(as_text=True)
    assert session.query(Reservation).count() == 0


def test_a_refusal_is_a_sentence_and_nothing_is_written(olga: Visitor, session: Session, place: ChargePoint) -> None:
    place.evses[0].reservation_minutes = 0
    user = make_user(session)
    session.commit()
    posted = {"rowid": place.evses[0].id, "user": user.id, "minutes": "", "reason": "Called"}
    words = text_of(olga.htmx(f"{EVSES}reserve/", "POST", posted, target="div#modal-content"))
    assert "Refused" in words and "its Reservation Time is 0" in words
    assert (session.query(Reservation).count(), session.query(Action).count()) == (0, 0)


def test_several_evses_are_reserved_at_once_each_with_its_outcome(
    olga: Visitor, session: Session, place: ChargePoint
) -> None:
    place.evses[1].reservation_minutes = 0
    user = make_user(session)
    session.commit()
    posted = {"rowid": [each.id for each in place.evses], "user": user.id, "minutes": "", "reason": "A visit"}
    words = text_of(olga.htmx(f"{EVSES}reserve/", "POST", posted, target="div#modal-content"))
    assert "Pending" in words and "Refused" in words
    assert session.query(Reservation).one().evse_id == place.evses[0].id


@pytest.mark.parametrize("where", ["evse", "reservation"])
def test_cancelling_from_either_page(olga: Visitor, session: Session, place: ChargePoint, where: str) -> None:
    row = kept(session, place, make_user(session))
    path = f"{EVSES}cancel_reservation/" if where == "evse" else f"{RUN}cancel/"
    number = place.evses[0].id if where == "evse" else row.id
    assert "run/cancel" in olga.get(f"/activity/reservations/details/?id={row.id}").get_data(as_text=True)
    answer = olga.htmx(path, "POST", {"rowid": number, "reason": "Ill"}, target="div#modal-content")
    assert "cancelled here, whatever the charge point answers" in text_of(answer)
    session.expire_all()
    assert (row.status, row.end_reason) == (ReservationStatus.CANCELLED, "Ill")
    again = text_of(olga.htmx(path, "POST", {"rowid": number, "reason": "Ill"}, target="div#modal-content"))
    assert "Refused" in again
    assert "run/cancel" not in olga.get(f"/activity/reservations/details/?id={row.id}").get_data(as_text=True)


# ---------------------------------------------------------------------- the list


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 2),
        ("flt0_status_is=active", 1),
        ("flt0_open_is=1", 1),
        ("flt0_open_is=0", 1),
        ("flt0_user_contains=alex", 2),
        ("flt0_user_contains=nobody", 0),
        ("flt0_evse_id_contains={code}", 2),
        ("flt0_charge_point_contains=vestel", 2),
        ("flt0_charge_point_id_contains={identifier}", 2),
        ("flt0_location_contains=modera", 2),
        ("flt0_location_contains=elsewhere", 0),
        ("search=04A2", 2),
        ("search=nothing", 0),
    ],
)
def test_the_list_is_searched_and_filtered(
    olga: Visitor, session: Session, place: ChargePoint, query: str, found: int
) -> None:
    user = make_user(session)
    kept(session, place, user, status="expired", ended_at=utcnow())
    kept(session, place, user)
    query = query.format(code=place.evses[0].code, identifier=place.identifier)
    html = olga.get(f"/activity/reservations/?{query}").get_data(as_text=True)
    assert len(set(re.findall(r"/activity/reservations/details/\?id=(\d+)", html))) == found


def test_the_export_says_it_all(olga: Visitor, session: Session, place: ChargePoint) -> None:
    user = make_user(session)
    row = kept(session, place, user, status="cancelled", ended_at=utcnow(), end_reason="=Ill")
    answer = olga.get("/activity/reservations/export/csv/")
    (line,) = csv.DictReader(io.StringIO(answer.get_data(as_text=True).lstrip("\ufeff")))
    assert list(line)[:8] == [
        "id", "created_at", "expires_at", "status", "user_email", "charge_point_id", "evse_network_id", "evse_id",
    ]  # fmt: skip
    assert (line["id"], line["status"], line["user_email"]) == (str(row.id), "cancelled", user.email)
    assert (line["evse_id"], line["end_reason"]) == (place.evses[0].code, "'=Ill")


def test_a_full_page_asks_as_little_as_a_short_one(olga: Visitor, session: Session, place: ChargePoint) -> None:
    user = make_user(session)
    for _ in range(30):
        kept(session, place, user, status="expired", ended_at=utcnow())
    with counted_queries() as seen:
        olga.get("/activity/reservations/?page_size=50")
    assert len(seen) <= 8, "\n".join(seen)


def test_it_stands_below_charge_point_evse_and_user(olga: Visitor, session: Session, place: ChargePoint) -> None:
    user = make_user(session)
    row = kept(session, place, user, status="expired", ended_at=utcnow())
    for page in (
        f"/assets/charge-points/details/?id={place.id}",
        f"/assets/evses/details/?id={place.evses[0].id}",
        f"/crm/users/details/?id={user.id}",
    ):
        html = olga.get(page).get_data(as_text=True)
        number = re.search(r'id="related-(\d+)-link"[^>]*>Reservations<', html)
        assert number is not None, page
        part = page.replace("/details/", f"/related/{number[1]}/")
        assert f"/activity/reservations/details/?id={row.id}" in olga.get(part).get_data(as_text=True)


def test_an_analyst_sees_and_cancels_nothing(session: Session, clean: Flask, place: ChargePoint) -> None:
    row = kept(session, place, make_user(session))
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    html = anna.get(f"/activity/reservations/details/?id={row.id}").get_data(as_text=True)
    assert "run/cancel" not in html
    anna.expected_status = 403
    assert anna.post(f"{RUN}cancel/", data={"rowid": row.id, "reason": "x"}).status_code == 403


# ---------------------------------------------------------------------- Demo stations and points of interest


def test_a_demo_station_charges_from_the_screen(olga: Visitor, session: Session) -> None:
    place = make_station(
        session, group=make_tariff_group(session), status=SystemStatus.DEMO, connection=ConnectionStatus.NEVER_CONNECTED
    )
    evse, user = place.evses[0], make_user(session)
    session.commit()
    page = f"/assets/evses/details/?id={evse.id}"
    assert "Available" in text_of(olga.get(page)) and "run/reserve/" not in olga.get(page).get_data(as_text=True)
    posted = {"rowid": evse.id, "user": user.id, "tariff": "free", "reason": "To show it"}
    words = text_of(olga.htmx(f"{EVSES}start/", "POST", posted, target="div#modal-content"))
    assert "Accepted" in words and "a demonstration, nothing is sent" in words
    mock.advance_all(session, now=utcnow() + timedelta(minutes=3))
    session.commit()
    row = session.query(ChargingSession).one()
    shown = text_of(olga.get(page))
    assert "Charging" in shown and f"Session {row.id}" in shown and "Demo" in shown
    session_page = olga.get(f"/activity/charging-sessions/details/?id={row.id}").get_data(as_text=True)
    assert ">Demo</span>" in session_page and "Unusual about this session" not in session_page
    refused = text_of(
        olga.htmx(f"{EVSES}unlock/", "POST", {"rowid": evse.id, "reason": "Try"}, target="div#modal-content")
    )
    assert "is for demonstration only" in refused
    olga.htmx(f"{EVSES}stop/", "POST", {"rowid": evse.id, "reason": "Shown"}, target="div#modal-content")
    session.expire_all()
    assert row.status.value == "finished"
    station = text_of(olga.get(f"/assets/charge-points/details/?id={place.id}"))
    assert "there is no actual charge point" in station and "Has never connected" not in station


def test_a_point_of_interest_is_shown_with_its_notice_and_offers_nothing(olga: Visitor, session: Session) -> None:
    place = make_station(session, managed_by_operator=False, connection=ConnectionStatus.NEVER_CONNECTED)
    place.notice = ChargePointNotice(name="Not ours", message={"en": "Ask at the desk."})
    session.commit()
    shown = text_of(olga.get(f"/assets/charge-points/details/?id={place.id}"))
    assert "Not managed" in shown and "Not ours" in shown and "Never connected" not in shown
    html = olga.get(f"/assets/evses/details/?id={place.evses[0].id}").get_data(as_text=True)
    assert "Not managed" in html
    assert re.findall(r"run/(start|reserve|unlock|stop|trigger)/", html) == []


def test_the_dialog_says_what_disabling_does_not_do(olga: Visitor, session: Session, place: ChargePoint) -> None:
    dialog = text_of(olga.htmx(f"/assets/charge-points/run/status/?rowid={place.id}"))
    assert "A session that is running is not ended by it" in dialog
    assert "is not ended by it" in text_of(olga.htmx(f"{EVSES}status/?rowid={place.evses[0].id}"))
