"""Transactions: what is listed, filtered, exported, and who may see it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.billing.models import Transaction, TransactionStatus, TransactionType
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
    for words in ("Created", "Type", "Status", "Amount", "User", "Charging Session", "Processor", "Reference"):
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
    assert header == ("id,created_at,type,status,amount,currency,user_email,session_id,processor,processor_reference")
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
