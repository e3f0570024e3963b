"""Webhooks: the signature, repetition, any order, what is unknown, and that no state changes against the life cycle."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import stripe
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.billing.models import (
    PaymentMethod,
    PaymentMethodStatus,
    ProcessorNews,
    Transaction,
    TransactionEvent,
    TransactionPurpose,
    TransactionStatus,
    TransactionType,
)
from app.billing.payments import orders, perform
from app.core import settings
from app.core.clock import utcnow
from tests.support.factories_crm import user
from tests.support.payments import followed
from tests.support.stripe_stand_ins import SECRET_KEY, WEBHOOK_SECRET

URL = "/webhooks/stripe"
PENDING, AUTHENTICATION, SUCCEEDED, OUTSTANDING, FAILED, CANCELLED = TransactionStatus


@pytest.fixture(autouse=True)
def connected(session: Session) -> Iterator[None]:
    """Stripe's keys are set; nothing follows a payment here."""
    for name, value in (("secret_key", SECRET_KEY), ("webhook_secret", WEBHOOK_SECRET)):
        settings.change_setting(session, key=f"stripe.{name}", value=value, actor=None)
    session.commit()
    with followed(), followed(TransactionPurpose.TOP_UP):
        yield


def post(app: Flask, event: Any, *, secret: str = WEBHOOK_SECRET, age_s: int = 0, **headers: str) -> Any:
    body = event if isinstance(event, str) else json.dumps(event)
    signed = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()) - age_s)
    return app.test_client().post(URL, data=body, headers={"Stripe-Signature": signed, **headers})


def event(type_: str, subject: dict[str, Any], number: str = "evt_1") -> dict[str, Any]:
    return {"id": number, "object": "event", "type": type_, "data": {"object": subject}}


def intent(status: str = "succeeded", **values: Any) -> dict[str, Any]:
    made = {"id": "pi_1", "object": "payment_intent", "status": status, "capture_method": "automatic",
            "client_secret": "pi_1_secret_x", "metadata": {"key": "session:1"}}  # fmt: skip
    return {**made, **values}


def method(session: Session, reference: str = "pm_1") -> PaymentMethod:
    found = session.scalars(select(PaymentMethod).where(PaymentMethod.reference == reference)).one_or_none()
    if found is None:
        owner = user(session, f"{reference}@example.com")
        found = PaymentMethod(
            user_id=owner.id, processor="stripe", reference=reference, brand="visa", last4="4242",
            status=PaymentMethodStatus.ACTIVE, created_at=utcnow(),
        )  # fmt: skip
        session.add(found)
        session.flush()
    return found


def charge(session: Session, *, key: str = "session:1", **values: Any) -> Transaction:
    paid_by = method(session)
    row = orders.open_transaction(
        session,
        type_=values.pop("type_", TransactionType.CHARGE),
        purpose=TransactionPurpose.SESSION,
        amount=Decimal(values.pop("amount", "5.32")),
        subject=orders.Subject(user_id=paid_by.user_id, currency="EUR"),
        method=paid_by,
        key=key,
        now=utcnow(),
    )
    for name, value in values.items():
        setattr(row, name, value)
    session.commit()
    return row


def child(session: Session, parent: Transaction, type_: TransactionType, amount: str) -> Transaction:
    row = orders.open_child(
        session, parent=parent, type_=type_, amount=Decimal(amount), key=f"{type_.value}:{parent.id}", now=utcnow()
    )
    session.commit()
    return row


def fresh(session: Session, row: Transaction) -> Transaction:
    session.commit()
    return session.get_one(Transaction, row.id, populate_existing=True)


def history(session: Session, row: Transaction) -> list[str]:
    session.commit()
    query = (
        select(TransactionEvent.event).where(TransactionEvent.transaction_id == row.id).order_by(TransactionEvent.id)
    )
    return list(session.scalars(query))


def news(session: Session) -> list[tuple[str, str | None]]:
    session.commit()
    return [(row.type, row.outcome) for row in session.scalars(select(ProcessorNews).order_by(ProcessorNews.id))]


# --- at the door


def test_only_what_stripe_signed_lately_is_taken(clean: Flask, session: Session) -> None:
    body = event("payment_intent.succeeded", intent())
    row = charge(session)
    for answer in (
        post(clean, body, secret="whsec_other"),
        post(clean, body, age_s=301),
        clean.test_client().post(URL, json=body),
        clean.test_client().post(URL, json=body, headers={"Stripe-Signature": "nonsense"}),
        clean.test_client().post(URL, json=body, headers={"Stripe-Signature": "t=x,v1="}),
    ):
        assert answer.status_code == 400, answer.get_data(as_text=True)
    assert news(session) == [] and fresh(session, row).status is PENDING
    assert post(clean, body).status_code == 200
    assert fresh(session, row).status is SUCCEEDED


@pytest.mark.parametrize(
    "body",
    ["", "[]", "7", "null", "{", '{"id": "evt_1"}', '{"id":"evt_1","type":"x","data":{"object":7}}', "\u0000",
     '{"id":"evt_1","type":"x","data":[]}', '{"id":"","type":"x","data":{"object":{}}}'],
)  # fmt: skip
def test_what_is_no_event_is_refused_though_it_is_signed(clean: Flask, session: Session, body: str) -> None:
    assert post(clean, body).status_code == 400
    assert news(session) == []


def test_a_body_is_read_up_to_its_limit(clean: Flask) -> None:
    assert post(clean, event("x", {"text": "a" * 600_000})).status_code == 413
    assert clean.test_client().post("/webhooks/nobody", data=b"{}").status_code == 404
    assert clean.test_client().post("/webhooks/test", data=b"{}").status_code == 400


def test_without_the_signing_secret_stripe_shall_come_again(clean: Flask, session: Session) -> None:
    settings.change_setting(session, key="stripe.webhook_secret", value="", actor=None)
    session.commit()
    assert post(clean, event("payment_intent.succeeded", intent())).status_code == 503


def test_no_form_token_is_asked_of_stripe(clean: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(clean.config, "WTF_CSRF_ENABLED", True)
    assert post(clean, event("payment_intent.succeeded", intent())).status_code == 200


# --- once


def test_an_event_counts_once_however_often_it_comes(clean: Flask, session: Session) -> None:
    row = charge(session)
    body = event("payment_intent.succeeded", intent())
    answers = [post(clean, body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "Known already" in answers[1].get_data(as_text=True)
    assert news(session) == [("payment_intent.succeeded", f"Transaction {row.id}: Succeeded")]
    assert history(session, row) == ["Webhook"]
    assert fresh(session, row).processor_reference == "pi_1"


def test_two_of_the_same_at_once_count_once(clean: Flask, session: Session) -> None:
    row = charge(session)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(clean, event("payment_intent.succeeded", intent())), range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(news(session)) == 1 and history(session, row) == ["Webhook"]


def test_what_a_browser_could_act_with_is_not_stored(clean: Flask, session: Session) -> None:
    post(clean, event("payment_intent.succeeded", intent(nested=[{"client_secret": "y"}])))
    kept = session.scalars(select(ProcessorNews)).one()
    assert "client_secret" not in json.dumps(kept.payload) and kept.payload["data"]["object"]["id"] == "pi_1"


# --- what it means


@pytest.mark.parametrize(
    "type_, subject, before, after",
    [
        ("payment_intent.succeeded", intent(), PENDING, SUCCEEDED),
        ("payment_intent.succeeded", intent(), OUTSTANDING, SUCCEEDED),
        ("payment_intent.succeeded", intent(), SUCCEEDED, SUCCEEDED),
        ("payment_intent.succeeded", intent(), CANCELLED, CANCELLED),
        ("payment_intent.processing", intent("processing"), PENDING, PENDING),
        ("payment_intent.requires_action", intent("requires_action"), PENDING, AUTHENTICATION),
        ("payment_intent.requires_action", intent("requires_action"), SUCCEEDED, SUCCEEDED),
        ("payment_intent.payment_failed", intent("requires_payment_method"), PENDING, OUTSTANDING),
        ("payment_intent.payment_failed", intent("requires_payment_method"), SUCCEEDED, SUCCEEDED),
        ("payment_intent.canceled", intent("canceled"), PENDING, OUTSTANDING),
        ("payment_intent.canceled", intent("canceled"), SUCCEEDED, SUCCEEDED),
    ],
)
def test_a_charge_follows_its_life_cycle(
    clean: Flask, session: Session, type_: str, subject: dict[str, Any], before: Any, after: Any
) -> None:
    row = charge(session, status=before, processor_reference=None if before is PENDING else "pi_1")
    assert post(clean, event(type_, subject)).status_code == 200
    assert fresh(session, row).status is after


def test_a_decline_says_why(clean: Flask, session: Session) -> None:
    row = charge(session)
    why = {"code": "card_declined", "decline_code": "insufficient_funds"}
    post(clean, event("payment_intent.payment_failed", intent("requires_payment_method", last_payment_error=why)))
    assert fresh(session, row).failure_reason == "There is not enough money on the card."


def test_late_news_of_an_earlier_attempt_do_not_touch_the_next(clean: Flask, session: Session) -> None:
    row = charge(session, attempts=1, processor_reference="pi_1")
    failed = event("payment_intent.payment_failed", intent("requires_payment_method"))
    assert "earlier attempt" in post(clean, failed).get_data(as_text=True)
    assert fresh(session, row).status is PENDING
    second = intent(id="pi_2", metadata={"key": perform.attempt_key(row)})
    post(clean, event("payment_intent.succeeded", second, "evt_2"))
    assert (fresh(session, row).status, row.processor_reference) == (SUCCEEDED, "pi_2")


def test_a_second_payment_for_the_same_is_an_alarm_and_no_second_booking(clean: Flask, session: Session) -> None:
    row = charge(session, attempts=1, status=SUCCEEDED, processor_reference="pi_2")
    answer = post(clean, event("payment_intent.succeeded", intent()))
    assert "second payment" in answer.get_data(as_text=True)
    assert (fresh(session, row).processor_reference, history(session, row)) == ("pi_2", ["Contradiction"])


def test_somebody_elses_payment_with_our_key_is_not_ours(clean: Flask, session: Session) -> None:
    row = charge(session)
    assert post(clean, event("payment_intent.succeeded", intent(payment_method="pm_other"))).status_code == 200
    assert fresh(session, row).status is PENDING
    post(clean, event("payment_intent.succeeded", intent(payment_method="pm_1"), "evt_2"))
    assert fresh(session, row).status is SUCCEEDED


def hold(session: Session, status: TransactionStatus = SUCCEEDED) -> Transaction:
    return charge(
        session, type_=TransactionType.PREAUTHORIZATION, amount="20", status=status,
        processor_reference=None if status is PENDING else "pi_1",
    )  # fmt: skip


def test_a_hold_is_told_by_its_amount(clean: Flask, session: Session) -> None:
    row = hold(session, PENDING)
    held = intent("requires_capture", capture_method="manual")
    post(clean, event("payment_intent.amount_capturable_updated", held))
    assert fresh(session, row).status is SUCCEEDED


@pytest.mark.parametrize(
    "type_, status, verb",
    [
        (TransactionType.CAPTURE, "succeeded", "payment_intent.succeeded"),
        (TransactionType.VOID, "canceled", "payment_intent.canceled"),
    ],
)
def test_capture_and_void_are_told_by_their_holds_payment(
    clean: Flask, session: Session, type_: TransactionType, status: str, verb: str
) -> None:
    held = hold(session)
    row = child(session, held, type_, "7.50" if type_ is TransactionType.CAPTURE else "20")
    post(clean, event(verb, intent(status, capture_method="manual")))
    assert fresh(session, row).status is SUCCEEDED
    assert fresh(session, held).closed_at is not None


def test_a_hold_that_the_bank_released_is_closed(clean: Flask, session: Session) -> None:
    held = hold(session)
    answer = post(clean, event("payment_intent.canceled", intent("canceled", capture_method="manual")))
    assert "released at the processor" in answer.get_data(as_text=True)
    assert (fresh(session, held).status, held.closed_at is not None) == (SUCCEEDED, True)
    again = post(clean, event("payment_intent.canceled", intent("canceled", capture_method="manual"), "evt_2"))
    assert again.status_code == 200 and len(history(session, held)) == 1
    pending = charge(session, key="session:9", type_=TransactionType.PREAUTHORIZATION)
    gone = intent("canceled", id="pi_9", capture_method="manual", metadata={"key": "session:9"})
    post(clean, event("payment_intent.canceled", gone, "evt_3"))
    assert fresh(session, pending).status is FAILED


@pytest.mark.parametrize(
    "type_, status, after",
    [
        ("refund.created", "pending", PENDING),
        ("refund.updated", "succeeded", SUCCEEDED),
        ("refund.failed", "failed", FAILED),
        ("charge.refund.updated", "succeeded", SUCCEEDED),
    ],
)
def test_a_refund_follows_what_stripe_says(
    clean: Flask, session: Session, type_: str, status: str, after: TransactionStatus
) -> None:
    paid = charge(session, status=SUCCEEDED, processor_reference="pi_1")
    row = child(session, paid, TransactionType.REFUND, "2")
    subject = {"id": "re_1", "object": "refund", "status": status, "payment_intent": "pi_1",
               "metadata": {"key": row.idempotency_key}}  # fmt: skip
    assert post(clean, event(type_, subject)).status_code == 200
    assert (fresh(session, row).status, row.processor_reference) == (after, "re_1")


def test_a_refunded_charge_names_its_refund_or_leaves_it_to_others(clean: Flask, session: Session) -> None:
    paid = charge(session, status=SUCCEEDED, processor_reference="pi_1")
    row = child(session, paid, TransactionType.REFUND, "2")
    bare = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "refunds": None}
    assert "Nothing to do" in post(clean, event("charge.refunded", bare)).get_data(as_text=True)
    refund = {"id": "re_1", "status": "succeeded", "metadata": {"key": row.idempotency_key}}
    post(clean, event("charge.refunded", {**bare, "refunds": {"data": [refund]}}, "evt_2"))
    assert fresh(session, row).status is SUCCEEDED


def test_a_refund_made_at_stripe_is_noted_with_what_was_paid(clean: Flask, session: Session) -> None:
    paid = charge(session, status=SUCCEEDED, processor_reference="pi_1")
    subject = {"id": "re_7", "object": "refund", "status": "succeeded", "payment_intent": "pi_1", "metadata": {}}
    answer = post(clean, event("refund.created", subject))
    assert "not by this system: re_7" in answer.get_data(as_text=True)
    assert history(session, paid) == ["Webhook"] and fresh(session, paid).status is SUCCEEDED


@pytest.mark.parametrize(
    "type_, subject",
    [
        ("customer.created", {"id": "cus_1"}),
        ("payment_intent.succeeded", {}),
        ("payment_intent.succeeded", {"id": "pi_gone", "metadata": {"key": "nobody's"}}),
        ("payment_intent.succeeded", {"id": 7, "metadata": ["x"], "status": "succeeded"}),
        ("payment_intent.canceled", {"id": "pi_gone", "capture_method": "manual"}),
        ("charge.refunded", {"id": "ch_1", "payment_intent": "pi_gone"}),
        ("refund.updated", {"id": "re_gone", "status": "succeeded", "payment_intent": "pi_gone"}),
        ("setup_intent.succeeded", {"id": "seti_gone"}),
        ("setup_intent.succeeded", {}),
        ("charge.refunded", {"refunds": {"data": [7]}}),
        ("payment_intent.payment_failed", {"id": ["x"], "status": 7, "last_payment_error": "none"}),
        ("customer\x00.created", {"id": "cus\x00", "name": "\x00"}),
    ],
)
def test_what_is_unknown_is_kept_and_confirmed(clean: Flask, session: Session, type_: str, subject: Any) -> None:
    assert post(clean, event(type_, subject)).status_code == 200
    kept = session.scalars(select(ProcessorNews)).one()
    assert (kept.type, kept.handled_at is not None) == (type_.replace("\0", ""), True)
    assert kept.outcome in ("Nothing to do", "About nothing that is known here")
