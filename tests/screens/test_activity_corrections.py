"""Corrections on a session's page: what the dialog shows, does, and whom it refuses; the timeline; the Actions log."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from html import unescape
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy.orm import Session

from admin_views.widgets.actions import ActionMixin, Outcome, RecordAction
from app.billing import ledger
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.core.models import Action, ActionStatus, Admin
from tests.support.factories_assets import NOW, make_session, make_station, make_tariff_group, make_user
from tests.support.factories_crm import tariff
from tests.support.factories_dashboard import Visitor, make_admin, make_partner, signed_in
from tests.support.partners import hand_over_everything, partner_admin

SESSIONS = "/activity/charging-sessions/"


@pytest.fixture
def admin(session: Session) -> Admin:
    """A Super User."""
    return make_admin(session)


@pytest.fixture
def olga(admin: Admin, clean: Flask) -> Visitor:
    """Signed in."""
    return signed_in(clean, admin)


@pytest.fixture
def charged(session: Session, admin: Admin) -> ChargingSession:
    """7.4 kWh in 40 minutes for 4.26, paid from the balance."""
    station = make_station(session, group=make_tariff_group(session), identifier="MODERA-1")
    user = make_user(session, first_name="Alex", last_name="Petkov", email="alex@example.com", tag_id="04A2B3C4")
    ledger.add_balance(session, user=user, amount=Decimal(50), currency="EUR", reason="test", actor=admin, now=NOW)
    row = make_session(session, station.evses[0], user)
    session.commit()
    return row


def words(answer: Any) -> str:
    """The text of a part of a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))).strip()


def hidden(html: str) -> dict[str, str]:
    """What a dialog sends by itself."""
    return dict(re.findall(r'<input[^>]*name="(token|seen)"[^>]*value="([^"]*)"', html))


def dialog(client: Visitor, name: str, row: ChargingSession) -> dict[str, str]:
    """Its hidden fields."""
    client.get(f"{SESSIONS}details/?id={row.id}")
    html = client.htmx(f"{SESSIONS}run/{name}/?rowid={row.id}").get_data(as_text=True)
    assert 'id="effect"' in html
    return hidden(html)


def send(client: Visitor, name: str, row: ChargingSession, **fields: Any) -> Any:
    """The dialog, sent."""
    return client.htmx(f"{SESSIONS}run/{name}/", method="POST", data={"rowid": str(row.id), **fields})


def test_a_credit_shows_its_effect_and_is_given_once(olga: Visitor, session: Session, charged: ChargingSession) -> None:
    fields = dialog(olga, "credit", charged)
    shown = words(olga.htmx(f"{SESSIONS}effect/credit/?id={charged.id}&amount=1.00"))
    for text in ("Price now €4.26", "New price €3.26", "Difference", "€1.00 goes back to the balance of Alex Petkov."):
        assert text in shown, shown
    session.refresh(charged)
    assert charged.total_gross == Decimal("4.26")  # shown, not done
    for _ in range(2):
        answer = send(olga, "credit", charged, amount="1.00", reason="The connector was blocked", **fields)
        assert answer.status_code == 200 and "Finished" in words(answer)
    session.expire_all()
    assert (charged.total_gross, charged.price_version) == (Decimal("3.26"), 2)
    page = words(olga.get(f"{SESSIONS}details/?id={charged.id}"))
    for text in ("version 2", "Versions of the price", "2. Credit", "The connector was blocked", "1. Billed", "-€1.00"):
        assert text in page, text


def test_the_tariffs_effect_changes_with_what_is_chosen(
    olga: Visitor, session: Session, charged: ChargingSession
) -> None:
    dear = tariff(session, "Dear", price_per_kwh=Decimal(1))
    session.commit()
    for difference, text in (
        ("charge", "€5.22 is charged to the balance of Alex Petkov."),
        ("waive", "€5.22 is waived"),
    ):
        url = f"{SESSIONS}effect/change_tariff/?id={charged.id}&tariff={dear.id}&difference={difference}"
        assert text in words(olga.htmx(url))
    assert "in this version already" in words(
        olga.htmx(f"{SESSIONS}effect/change_tariff/?id={charged.id}&tariff={charged.tariff_id}")
    )


def test_another_driver_is_looked_up_and_assigned(olga: Visitor, session: Session, charged: ChargingSession) -> None:
    right = make_user(session, first_name="Maria", last_name="Ivanova", email="maria@example.com")
    session.commit()
    assert "Ivanova" in olga.get(f"{SESSIONS}ajax/lookup/?name=user&query=ivan").get_data(as_text=True)
    fields = dialog(olga, "assign_user", charged)
    assert "Choose a user" in words(olga.htmx(f"{SESSIONS}effect/assign_user/?id={charged.id}"))
    shown = words(olga.htmx(f"{SESSIONS}effect/assign_user/?id={charged.id}&user={right.id}&price=driver"))
    assert "€4.26 goes back to the balance of Alex Petkov." in shown
    assert "€4.26 is charged to the balance of Maria Ivanova." in shown
    assert send(olga, "assign_user", charged, price="driver", reason="Wrong card", **fields).status_code == 422
    answer = send(olga, "assign_user", charged, user=str(right.id), price="driver", reason="Wrong card", **fields)
    assert "To maria@example.com" in words(answer)
    session.expire_all()
    assert charged.user_id == right.id


def test_a_dialog_that_has_become_stale_is_refused(olga: Visitor, session: Session, charged: ChargingSession) -> None:
    first, second = dialog(olga, "credit", charged), dialog(olga, "credit", charged)
    send(olga, "credit", charged, amount="1.00", reason="Once", **first)
    answer = send(olga, "credit", charged, amount="1.00", reason="Twice", **second)
    assert "has changed since the dialog was opened" in words(answer)
    session.expire_all()
    assert charged.total_gross == Decimal("3.26")


@pytest.mark.parametrize("amount", ["", "abc", "-1", "99", "0.001"])
def test_bad_amounts_are_told(olga: Visitor, session: Session, charged: ChargingSession, amount: str) -> None:
    fields = dialog(olga, "credit", charged)
    assert olga.htmx(f"{SESSIONS}effect/credit/?id={charged.id}&amount={amount}").status_code == 200
    answer = send(olga, "credit", charged, amount=amount, reason="x", **fields)
    assert answer.status_code == 422 or "Refused" in words(answer)
    session.expire_all()
    assert charged.total_gross == Decimal("4.26")


@pytest.mark.parametrize("name", ["assign_user", "change_tariff", "credit"])
def test_the_analyst_corrects_nothing(session: Session, clean: Flask, charged: ChargingSession, name: str) -> None:
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    for path in (f"{SESSIONS}run/{name}/?rowid={charged.id}", f"{SESSIONS}effect/{name}/?id={charged.id}"):
        assert anna.get(path).status_code == 403
    assert anna.get(f"{SESSIONS}ajax/lookup/?name=user&query=a").status_code == 403
    assert "Credit…" not in words(anna.get(f"{SESSIONS}details/?id={charged.id}"))


def test_what_cannot_be_corrected_is_not_offered(olga: Visitor, session: Session) -> None:
    station = make_station(session, group=make_tariff_group(session))
    row = make_session(session, station.evses[0], make_user(session), status=SessionStatus.FAILED)
    session.commit()
    assert row.payment_status is PaymentStatus.NOT_BILLED
    assert "Credit…" not in words(olga.get(f"{SESSIONS}details/?id={row.id}"))
    assert "costs nothing" in words(olga.htmx(f"{SESSIONS}effect/credit/?id={row.id}&amount=1"))


# --- the timeline


def test_the_timeline_is_narrowed_by_its_checkboxes(olga: Visitor, charged: ChargingSession) -> None:
    olga.get(f"{SESSIONS}details/?id={charged.id}")
    everything = words(olga.htmx(f"{SESSIONS}timeline/?id={charged.id}"))
    for text in ("Charging started", "Charging stopped", "Priced: 4.26 EUR", "Charge of 4.26 EUR"):
        assert text in everything, text
    money = words(olga.htmx(f"{SESSIONS}timeline/?id={charged.id}&shown=1&kind=money"))
    table = money.partition("What happened")[2]
    assert "Charge of 4.26 EUR" in table and "Charging started" not in table
    nothing = words(olga.htmx(f"{SESSIONS}timeline/?id={charged.id}&shown=1"))
    assert "Nothing of what is chosen has happened." in nothing
    for query in ("page=99999", "page=abc", "kind=nonsense&shown=1", "page=-3"):
        assert olga.htmx(f"{SESSIONS}timeline/?id={charged.id}&{query}").status_code == 200


def test_the_timeline_keeps_money_and_messages_from_who_may_not_see_them(
    session: Session, clean: Flask, charged: ChargingSession
) -> None:
    anna = signed_in(clean, make_admin(session, role="Analyst", email="anna@example.com"))
    anna.get(f"{SESSIONS}details/?id={charged.id}")
    shown = words(anna.htmx(f"{SESSIONS}timeline/?id={charged.id}"))
    assert "Charging started" in shown
    may = {kind: kind in shown for kind in ("Money", "Messages")}
    assert may["Money"] == ("Transactions" in words(anna.get(f"{SESSIONS}details/?id={charged.id}")))
    if not may["Messages"]:
        assert anna.get(f"{SESSIONS}timeline/message/?id={charged.id}&frame=1-1").status_code == 403
    assert not may["Money"] or "EUR" in shown


def test_a_message_that_is_not_the_stations_is_not_found(olga: Visitor, charged: ChargingSession) -> None:
    for frame in ("", "nonsense", "1-1"):
        assert olga.htmx(f"{SESSIONS}timeline/message/?id={charged.id}&frame={frame}").status_code == 404


# --- the Actions log


def test_every_action_of_every_page_goes_through_what_writes_the_log(clean: Flask) -> None:
    views = [view for view in clean.extensions["admin"][0]._views if getattr(view, "actions", ())]
    assert len(views) > 5
    for view in views:
        for name in ("run_action", "_run", "_do"):
            assert getattr(type(view), name).__qualname__ == f"{ActionMixin.__name__}.{name}", view
        assert all(action.title and issubclass(action.form, RecordAction.form) for action in view.actions), view


@pytest.mark.parametrize(
    "result, rows", [(None, 1), ("Done", 1), (Outcome("x", "Finished", "Well"), 1), (Outcome("x", "Refused"), 0)]
)
def test_an_action_without_a_row_of_its_own_gets_one(
    olga: Visitor,
    session: Session,
    charged: ChargingSession,
    clean: Flask,
    monkeypatch: pytest.MonkeyPatch,
    result: Any,
    rows: int,
) -> None:
    view = next(view for view in clean.extensions["admin"][0]._views if view.endpoint == "charging_session")
    silent = replace(view.actions[-1], handler=lambda *_args, **_more: result, name="silent", title="Silent")
    monkeypatch.setattr(type(view), "actions", (*view.actions, silent))
    fields = dialog(olga, "silent", charged)
    send(olga, "silent", charged, amount="1.00", reason="Nobody says so", **fields)
    found = session.query(Action).filter(Action.name == "Silent").all()
    assert [(each.target_id, each.reason, each.status) for each in found] == [
        (charged.id, "Nobody says so", ActionStatus.FINISHED)
    ] * rows


def test_the_log_names_and_links_what_was_done_to_whom(olga: Visitor, charged: ChargingSession) -> None:
    fields = dialog(olga, "credit", charged)
    send(olga, "credit", charged, amount="1.00", reason="Blocked", **fields)
    page = olga.get("/activity/actions/?flt0_kind_is=charging_session")
    assert f"{SESSIONS}details/?id={charged.id}" in page.get_data(as_text=True)
    assert "Charging Session" in words(page) and "4.26 → 3.26 EUR" in words(page)
    assert "Credit" not in words(olga.get("/activity/actions/?flt0_kind_is=transaction"))


# --- partners


def test_a_partner_sees_its_sessions_timeline_and_versions_without_names_and_reasons(
    olga: Visitor,
    session: Session,
    clean: Flask,
    charged: ChargingSession,
    cleaner: psycopg.Connection[Any],
) -> None:
    fields = dialog(olga, "credit", charged)
    send(olga, "credit", charged, amount="1.00", reason="Alex complained", **fields)
    partner = make_partner(session)
    session.commit()
    hand_over_everything(cleaner, partner.id)
    owner = signed_in(clean, partner_admin(session, partner.id))
    page = words(owner.get(f"{SESSIONS}details/?id={charged.id}"))
    timeline = words(owner.htmx(f"{SESSIONS}timeline/?id={charged.id}"))
    assert "Versions of the price" in page and "Charging started" in timeline
    for text in (page, timeline):
        for closed in ("Petkov", "alex@example.com", "balance then", "Credit…"):
            assert closed not in text, closed
    assert "Alex complained" not in page.partition("Versions of the price")[2].partition("Payment")[0]
    for name in ("credit", "change_tariff", "assign_user"):
        assert owner.get(f"{SESSIONS}effect/{name}/?id={charged.id}").status_code == 403
