"""Transactions: what is listed, filtered, exported, and who may see it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from admin_views.crm.users import UserView
from app.billing import ledger
from app.billing.models import PaymentMethod, Transaction, TransactionPurpose, TransactionStatus, TransactionType
from app.billing.payments import methods, orders, perform
from app.billing.payments.test_processor import card_of
from app.charging.lifecycle import PaymentStatus
from app.charging.models import ChargingSession
from app.core.db import separate_transaction
from app.core.models import Role
from app.exports.stream import stream_csv
from tests.support.factories_dashboard import (
    counted_statements,
    make_admin,
    make_session,
    make_station,
    make_user,
    make_zone,
    signed_in,
)

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def make_transaction(session: Session, number: int = 1, **fields: object) -> Transaction:
    given: dict[str, object] = {
        "partner_id": 1,
        "created_at": AT,
        "type": TransactionType.CHARGE,
        "status": TransactionStatus.SUCCEEDED,
        "amount": Decimal("3.60"),
        "currency": "EUR",
        "processor": "balance",
        "processor_reference": f"ledger:{number}",
        "idempotency_key": f"key-{number}",
        **fields,
    }
    row = Transaction(**given)
    session.add(row)
    session.flush()
    return row


@pytest.fixture
def paid(session: Session) -> Transaction:
    """A charged session of Dora's and its transaction, beside one that is owed."""
    evse = make_station(session, make_zone(session)).evses[0]
    dora = make_user(session)
    charge = make_session(session, evse, started_at=AT - timedelta(hours=1), user_id=dora.id)
    row = make_transaction(session, 1, user_id=dora.id, session_id=charge.id)
    make_transaction(
        session, 2, status=TransactionStatus.OUTSTANDING, amount=Decimal("12.5"), failure_reason="No money"
    )
    session.commit()
    return row


def test_the_list_shows_every_column_the_manual_names(session: Session, clean: Flask, paid: Transaction) -> None:
    client = signed_in(clean, make_admin(session))
    page = client.get("/payments/transactions/").text
    for words in ("Created", "Type", "Status", "Amount", "User", "Charging Session", "Payment method", "Reference"):
        assert words in page
    assert "€3.60" in page
    assert "€12.50" in page
    assert "Dora Driver" in page
    assert f'href="/activity/charging-sessions/details/?id={paid.session_id}"' in page
    assert "Outstanding" in page
    assert "Create Transaction" not in page


def test_the_page_of_one(session: Session, clean: Flask, paid: Transaction) -> None:
    client = signed_in(clean, make_admin(session))
    page = client.get(f"/payments/transactions/details/?id={paid.id}").text
    for words in ("key-1", "ledger:1", "Balance", "Charge", "€3.60"):
        assert words in page
    assert client.get("/payments/transactions/details/?id=999999").status_code == 404


@pytest.mark.parametrize(
    "query, found",
    [
        ("flt0_status_is=outstanding", ["ledger:2"]),
        ("flt0_type_is=refund", []),
        ("flt0_amount_at_least=5", ["ledger:2"]),
        ("flt0_user_contains=dora", ["ledger:1"]),
        ("search=dora", ["ledger:1"]),
        ("search=ledger:2", ["ledger:2"]),
        ("flt0_created_in=2026-11-20", ["ledger:2", "ledger:1"]),
        ("flt0_created_in=2026-11-21", []),
    ],
)
def test_filters(session: Session, clean: Flask, paid: Transaction, query: str, found: list[str]) -> None:
    client = signed_in(clean, make_admin(session))
    exported = client.get(f"/payments/transactions/export/csv/?{query}")
    assert exported.status_code == 200
    assert [row["processor_reference"] for row in csv.DictReader(io.StringIO(exported.text))] == found


def test_the_export_keeps_its_header(session: Session, clean: Flask, paid: Transaction) -> None:
    client = signed_in(clean, make_admin(session))
    header, _, first = client.get("/payments/transactions/export/csv/").text.splitlines()
    begins = "id,created_at,type,status,amount,currency,user_email,session_id,processor,processor_reference"
    assert header == f"{begins},failure_reason,updated_at,purpose,parent_id,payment_method,description"
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["created_at"] == "2026-11-20T09:30:00+00:00"
    assert Decimal(row["amount"]) == Decimal("3.60")
    assert row["user_email"] == "dora@example.com"
    assert row["session_id"] == str(paid.session_id)


def test_analysts_see_no_money(session: Session, clean: Flask, paid: Transaction) -> None:
    client = signed_in(clean, make_admin(session, role="Analyst"))
    assert client.get("/payments/transactions/").status_code == 403
    assert client.get(f"/payments/transactions/details/?id={paid.id}").status_code == 403
    assert client.get("/payments/transactions/export/csv/").status_code == 403


def test_the_list_needs_few_queries_whatever_its_length(session: Session, clean: Flask) -> None:
    for number in range(40):
        user = make_user(session, email=f"d{number}@example.com")
        make_transaction(session, number, user_id=user.id)
    client = signed_in(clean, make_admin(session))
    session.commit()
    with counted_statements() as statements:
        assert client.get("/payments/transactions/?page_size=50").text.count("Dora Driver") == 40
    assert len(statements) <= 8, statements


# ---------------------------------------------------------------------- top-ups are vouchers


def test_top_ups_are_nowhere_among_transactions(session: Session, clean: Flask, paid: Transaction) -> None:
    top_up = make_transaction(
        session, 3, purpose=TransactionPurpose.TOP_UP, user_id=paid.user_id, amount=Decimal("77.77")
    )
    session.commit()
    client = signed_in(clean, make_admin(session))
    assert "€77.77" not in client.get("/payments/transactions/").text
    assert "77.77" not in client.get("/payments/transactions/export/csv/").text
    assert client.get(f"/payments/transactions/details/?id={top_up.id}").status_code == 404
    assert b"77.77" not in b"".join(stream_csv(session, "transactions"))
    number = next(n for n, tab in enumerate(UserView.related) if tab.endpoint == "transaction")
    related = client.get(f"/crm/users/related/{number}/?id={paid.user_id}").text
    assert "€3.60" in related
    assert "€77.77" not in related


# ---------------------------------------------------------------------- what an operator can do


class Desk:
    """An operator at the page of a transaction by a test card."""

    def __init__(self, app: Flask, session: Session) -> None:
        self.app, self.session = app, session
        self.client = signed_in(app, make_admin(session, role="Operator"))
        self.user = make_user(session)
        evse = make_station(session, make_zone(session)).evses[0]
        charge = make_session(
            session,
            evse,
            started_at=AT - timedelta(hours=1),
            user_id=self.user.id,
            paid_from="payment_method",
            payment_status=PaymentStatus.PROCESSING,
            tariff_snapshot={"type": "flat"},
        )
        self.charge_id = charge.id
        session.commit()
        self.client.get("/payments/transactions/")

    def card(self, alias: str) -> PaymentMethod:
        method = methods.add_method(self.session, user=self.user, processor="test", card=card_of(alias), now=AT)
        self.session.commit()
        return method

    def transaction(self, method: PaymentMethod, type_: TransactionType = TransactionType.CHARGE) -> int:
        """Asked about already."""
        row = orders.open_transaction(
            self.session,
            type_=type_,
            purpose=TransactionPurpose.SESSION,
            amount=Decimal("3.60"),
            subject=orders.Subject(
                user_id=self.user.id,
                currency="EUR",
                # what is held for a session that is over would be let go by itself
                session_id=self.charge_id if type_ is TransactionType.CHARGE else None,
            ),
            method=method,
            key=f"{type_}:{method.id}",
            now=AT,
        )
        number = row.id
        self.session.commit()
        perform.perform(separate_transaction, transaction_id=number, clock=lambda: AT)
        return number

    def run(self, action: str, number: int, **fields: str) -> Any:
        data = {"rowid": str(number), "reason": "Asked by phone", **fields}
        return self.client.post(f"/payments/transactions/run/{action}/", data=data)

    def page(self, number: int) -> str:
        return self.client.get(f"/payments/transactions/details/?id={number}").text

    def row(self, number: int) -> Transaction:
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(Transaction, number)

    def children(self, number: int) -> list[Transaction]:
        self.session.rollback()
        rows = self.session.query(Transaction).filter(Transaction.parent_id == number).order_by(Transaction.id)
        return list(rows)

    def payment_status(self) -> PaymentStatus:
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(ChargingSession, self.charge_id).payment_status


@pytest.fixture
def desk(clean: Flask, session: Session) -> Desk:
    return Desk(clean, session)


def test_a_refund_in_parts_until_nothing_is_left(desk: Desk) -> None:
    number = desk.transaction(desk.card("approve"))
    dialog = desk.client.get(f"/payments/transactions/run/refund/?rowid={number}").text
    assert 'value="3.6"' in dialog
    assert "All that is left of €3.60 is €3.60" in dialog
    assert "Finished" in desk.run("refund", number, amount="1.50").text
    assert desk.payment_status() is PaymentStatus.PAID
    page = desk.page(number)
    assert "€1.50" in page
    assert "€2.10 left" in page
    refused = desk.run("refund", number, amount="2.11").text
    assert "Refused" in refused
    assert "2.10" in refused
    assert "Finished" in desk.run("refund", number, amount="2.10").text
    assert [(row.amount, row.status) for row in desk.children(number)] == [
        (Decimal("1.50"), TransactionStatus.SUCCEEDED),
        (Decimal("2.10"), TransactionStatus.SUCCEEDED),
    ]
    assert desk.payment_status() is PaymentStatus.REFUNDED
    assert "/run/refund/" not in desk.page(number), "nothing is left, so nothing is offered"


def test_a_refund_that_the_processor_declines_says_so(desk: Desk) -> None:
    number = desk.transaction(desk.card("refuse-refund"))
    outcome = desk.run("refund", number, amount="3.60").text
    assert "Failure" in outcome
    assert "Declined by the Test processor" in outcome
    assert desk.payment_status() is PaymentStatus.PAID


@pytest.mark.parametrize("fields", [{"reason": " ", "amount": "1"}, {"amount": ""}, {"amount": "much"}])
def test_a_refund_needs_its_reason_and_an_amount(desk: Desk, fields: dict[str, str]) -> None:
    number = desk.transaction(desk.card("approve"))
    assert desk.run("refund", number, **fields).status_code == 422
    assert desk.children(number) == []


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "4"])
def test_a_wrong_amount_is_refused_in_words(desk: Desk, amount: str) -> None:
    number = desk.transaction(desk.card("approve"))
    assert "Refused" in desk.run("refund", number, amount=amount).text
    assert desk.children(number) == []


def test_a_declined_charge_is_paid_by_another_card(desk: Desk) -> None:
    other = desk.card("approve")
    number = desk.transaction(desk.card("decline"))
    assert desk.payment_status() is PaymentStatus.OUTSTANDING
    page = desk.page(number)
    assert "Declined by the Test processor" in page
    dialog = desk.client.get(f"/payments/transactions/run/retry/?rowid={number}").text
    assert str(other) in dialog
    assert "Balance (€0.00)" in dialog
    again = desk.run("retry", number, pay_with="same").text
    assert "Failure" in again
    assert "Finished" in desk.run("retry", number, pay_with=f"method:{other.id}").text
    assert desk.row(number).status is TransactionStatus.SUCCEEDED
    assert desk.payment_status() is PaymentStatus.PAID
    history = desk.page(number)
    for words in ("Asked", "Answered", "Tried again", "Succeeded"):
        assert words in history


def test_a_declined_charge_is_paid_from_the_balance(desk: Desk) -> None:
    number = desk.transaction(desk.card("decline"))
    assert "does not suffice" in desk.run("retry", number, pay_with="balance").text
    ledger.add_balance(
        desk.session, user=desk.user, amount=Decimal(5), currency="EUR", reason="Sorry", actor=None, now=AT
    )
    desk.session.commit()
    assert "Finished" in desk.run("retry", number, pay_with="balance").text
    assert desk.payment_status() is PaymentStatus.PAID
    assert ledger.balance(desk.session, user_id=desk.user.id, currency="EUR") == Decimal("1.40")


def test_a_method_of_somebody_else_is_no_choice(desk: Desk) -> None:
    number = desk.transaction(desk.card("decline"))
    other = make_user(desk.session, email="else@example.com")
    strange = methods.add_method(desk.session, user=other, processor="test", card=card_of("approve"), now=AT)
    desk.session.commit()
    assert desk.run("retry", number, pay_with=f"method:{strange.id}").status_code == 422
    assert desk.row(number).status is TransactionStatus.OUTSTANDING


def test_a_debt_is_written_off(desk: Desk) -> None:
    number = desk.transaction(desk.card("decline"))
    assert "Finished" in desk.run("write_off", number).text
    assert desk.row(number).status is TransactionStatus.CANCELLED
    assert desk.payment_status() is PaymentStatus.NOT_BILLED


def test_a_hold_is_released_once(desk: Desk) -> None:
    number = desk.transaction(desk.card("approve"), TransactionType.PREAUTHORIZATION)
    assert "/run/release/" in desk.page(number)
    assert "Finished" in desk.run("release", number).text
    assert desk.row(number).closed_at is not None
    assert [row.type for row in desk.children(number)] == [TransactionType.VOID]
    assert "/run/release/" not in desk.page(number)
    assert "Refused" in desk.run("release", number).text


def test_a_sessions_page_says_how_it_is_paid_and_leads_to_retry_and_refund(desk: Desk) -> None:
    page = f"/activity/charging-sessions/details/?id={desk.charge_id}"
    good = desk.card("approve")
    number = desk.transaction(desk.card("decline"))
    text = desk.client.get(page).text
    assert f"/run/retry/?rowid={number}" in text
    assert "/run/refund/" not in text
    assert "Open</dt><dd>€3.60" in text
    desk.run("retry", number, pay_with=f"method:{good.id}")
    text = desk.client.get(page).text
    assert f"/run/refund/?rowid={number}" in text
    assert "/run/retry/" not in text
    assert "Paid</dt><dd>€3.60" in text


def test_who_may_only_look_moves_no_money(desk: Desk, session: Session) -> None:
    number = desk.transaction(desk.card("approve"))
    session.add(Role(name="Auditor", permission_names=["payments.transaction.view"]))
    session.commit()
    auditor = signed_in(desk.app, make_admin(session, role="Auditor", email="auditor@example.com"))
    page = auditor.get(f"/payments/transactions/details/?id={number}").text
    assert "/run/" not in page
    for action in ("refund", "retry", "release", "write_off"):
        posted = auditor.post(f"/payments/transactions/run/{action}/", data={"rowid": str(number), "reason": "x"})
        assert posted.status_code == 403
    assert desk.children(number) == []
