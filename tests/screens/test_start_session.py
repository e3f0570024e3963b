"""The dialog "Start Session" of an EVSE asks what pays; a user's debts are paid from the user's page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from app.billing.models import PaymentMethod, Transaction
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession
from app.core.models import Action
from app.tariffs.queries import attached_tariffs
from tests.support import factories_crm as make
from tests.support.charging import start, stop, tag_of
from tests.support.factories_crm import Visitor
from tests.support.gateway import Cast, people
from tests.support.strategies import ask_due, back_to_usual, by_strategy, card, driver

__all__ = ["people"]  # a fixture

EVSES, USERS = "/assets/evses/", "/crm/users/"


@pytest.fixture
def olga(clean: Flask, people: Cast) -> Iterator[Visitor]:
    """A Super User, signed in."""
    somebody = make.admin(people.session)
    people.session.commit()
    yield make.signed_in(clean, somebody)
    back_to_usual(people)


def test_it_offers_what_the_chosen_user_can_pay_with(olga: Visitor, people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    method = people.session.scalars(select(PaymentMethod)).one()
    olga.get(f"{EVSES}details/?id={charge_point.evses[0].id}")
    page = olga.htmx(f"{EVSES}run/start/?rowid={charge_point.evses[0].id}", target="div#modal-content").text
    assert "Payment Methods" in page
    assert '<option selected value="last_used">Last used</option>' in page
    assert "approve" not in page and str(method) not in page
    options = olga.get(f"{EVSES}payment-choices/?user={user.id}").text
    assert options == (
        '<option value="last_used">Last used</option>'
        f'<option value="method:{method.id}">{method}</option><option value="balance">Balance</option>'
    )
    assert olga.get(f"{EVSES}payment-choices/?user=0").text == '<option value="last_used">Last used</option>'


def _start(olga: Visitor, people: Cast, alias: str) -> str:
    by_strategy(people, "preauthorize")
    user, charge_point = driver(people, "approve", alias), people.station()
    method = people.session.scalars(select(PaymentMethod).order_by(PaymentMethod.id.desc())).first()
    assert method is not None
    evse = charge_point.evses[0]
    assert evse.tariff_group_id is not None
    tariff_id = attached_tariffs(people.session, tariff_group_id=evse.tariff_group_id)[0].tariff_id
    olga.get(f"{EVSES}details/?id={evse.id}")
    data = {
        "rowid": str(evse.id),
        "user": str(user.id),
        "tariff": str(tariff_id),
        "payment": f"method:{method.id}",
        "reason": "The driver called",
    }
    return str(olga.htmx(f"{EVSES}run/start/", "POST", data, target="div#modal-content").text)


def test_a_declined_hold_is_told_in_the_dialog_and_nothing_is_sent(olga: Visitor, people: Cast) -> None:
    page = _start(olga, people, "decline")
    assert "The pre-authorisation of the payment method was declined: Declined by the Test processor" in page
    assert people.again().scalars(select(Action)).all() == []
    assert people.session.scalars(select(ChargingSession.status)).all() == [SessionStatus.FAILED]


def test_a_held_amount_sends_the_start(olga: Visitor, people: Cast) -> None:
    page = _start(olga, people, "approve")
    (action,) = people.again().scalars(select(Action)).all()
    assert (action.name, action.reason) == ("Start session", "The driver called")
    assert action.status.value == "not_connected" and "Not connected" in page
    hold = people.session.scalars(select(Transaction)).one()
    assert (hold.status.value, hold.session_id is not None) == ("succeeded", True)


def test_what_somebody_elses_card_pays_is_refused(olga: Visitor, people: Cast) -> None:
    user, charge_point = driver(people, "approve"), people.station()
    foreign = card(people, driver(people))
    olga.get(f"{EVSES}details/?id={charge_point.evses[0].id}")
    data = {
        "rowid": str(charge_point.evses[0].id),
        "user": str(user.id),
        "tariff": "free",
        "payment": f"method:{foreign.id}",
        "reason": "x",
    }
    olga.htmx(f"{EVSES}run/start/", "POST", data, target="div#modal-content", status=422)
    assert people.again().scalars(select(ChargingSession)).all() == []


def test_a_debt_is_shown_and_paid_on_the_users_page_and_the_session_says_who_pays(olga: Visitor, people: Cast) -> None:
    user, charge_point = driver(people, "decline"), people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    stop(people, charge_point, session_id=number)
    ask_due(people, people.charge(number).stopped_at)  # type: ignore[arg-type]
    better = card(people, user, "approve")
    page = olga.get(f"{USERS}details/?id={user.id}").text
    assert "Outstanding amount" in page and "4.26" in page
    session_page = olga.get(f"/activity/charging-sessions/details/?id={number}").text
    assert "Paid by" in session_page and "TEST **** 2222" in session_page
    data = {"rowid": str(user.id), "pay_with": str(better.id), "reason": "Asked for it"}
    paid = olga.htmx(f"{USERS}run/pay_outstanding/", "POST", data, target="div#modal-content").text
    assert "Succeeded" in paid
    assert people.charge(number).payment_status.value == "paid"
    assert "Outstanding amount" not in olga.get(f"{USERS}details/?id={user.id}").text
