"""Stripe's objects and events as answers and news of the processors' interface. Pure; unknown fields do no harm."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from app.billing.models import TransactionType
from app.billing.payments.processors import Answer, AnswerKind, News
from app.billing.payments.stripe_words import AUTHENTICATE, refusal

_AUTHENTICATION_CODES = frozenset({"authentication_required", "payment_intent_action_required"})
#: never stored: with it a browser could act for the driver
_NOT_KEPT = frozenset({"client_secret"})


def answer_of_intent(intent: Mapping[str, Any]) -> Answer:
    """What the state of a PaymentIntent says about the charge, hold or capture that led to it."""
    status, reference = intent.get("status"), _text(intent.get("id"))
    detail = {"status": status, **_named("payment_method", intent.get("payment_method"))}
    if status in ("succeeded", "requires_capture"):
        return Answer(kind=AnswerKind.SUCCEEDED, reference=reference, detail=detail)
    if status in ("processing", "requires_confirmation"):
        return Answer(kind=AnswerKind.PENDING, reference=reference, detail=detail)
    if status == "requires_action":
        return Answer(kind=AnswerKind.AUTHENTICATION_REQUIRED, reference=reference, message=AUTHENTICATE, detail=detail)
    if status == "canceled":
        return Answer(
            kind=AnswerKind.DECLINED, reference=reference, message="It was cancelled at Stripe.", detail=detail
        )
    return refused(_mapping(intent.get("last_payment_error")), reference=reference)


def answer_of_refund(refund: Mapping[str, Any]) -> Answer:
    """What the state of a Refund says."""
    status, reference = refund.get("status"), _text(refund.get("id"))
    detail = {"status": status, **_named("parent_reference", refund.get("payment_intent"))}
    if status == "succeeded":
        return Answer(kind=AnswerKind.SUCCEEDED, reference=reference, detail=detail)
    if status in ("failed", "canceled"):
        why = str(refund.get("failure_reason") or "").replace("_", " ")
        message = f"The refund failed at Stripe{f': {why}' if why else ''}."
        return Answer(kind=AnswerKind.DECLINED, reference=reference, message=message, detail=detail)
    return Answer(kind=AnswerKind.PENDING, reference=reference, detail=detail)


def refused(error: Mapping[str, Any], *, reference: str | None) -> Answer:
    """The answer that an error object of Stripe's stands for."""
    code, decline_code = error.get("code"), error.get("decline_code")
    detail = {k: v for k, v in (("code", code), ("decline_code", decline_code)) if v}
    if _AUTHENTICATION_CODES & {code, decline_code}:
        return Answer(kind=AnswerKind.AUTHENTICATION_REQUIRED, reference=reference, message=AUTHENTICATE, detail=detail)
    words = refusal(decline_code=decline_code, code=code, message=error.get("message"))
    return Answer(kind=AnswerKind.DECLINED, reference=reference, message=words, detail=detail)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _named(name: str, found: Any) -> dict[str, str]:
    """The id of something that Stripe names or includes; nothing where it says nothing."""
    reference = found.get("id") if isinstance(found, dict) else found
    return {name: reference} if isinstance(reference, str) else {}


# --- events


def read_event(text: str) -> News:
    """A verified webhook's body. Raises ValueError, KeyError, TypeError, AttributeError for what is no event."""
    event = _kept(json.loads(text))
    event_id, type_, subject = str(event["id"]), str(event["type"]), event["data"]["object"]
    if not event_id or not isinstance(subject, dict):
        raise ValueError("no event")
    reader = _READERS.get(type_)
    if reader is None:
        return News(event_id=event_id, type=type_, payload=event)
    return News(event_id=event_id, type=type_, payload=event, **reader(subject))


def _kept(value: Any) -> Any:
    """What is stored of an event."""
    if isinstance(value, dict):
        return {name: _kept(part) for name, part in value.items() if name not in _NOT_KEPT}
    if isinstance(value, list):
        return [_kept(part) for part in value]
    return value.replace("\0", "") if isinstance(value, str) else value  # PostgreSQL takes no NUL


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _about(subject: Mapping[str, Any]) -> dict[str, Any]:
    metadata = subject.get("metadata")
    key = metadata.get("key") if isinstance(metadata, dict) else None
    return {"reference": _text(subject.get("id")), "key": _text(key)}


def _intent(subject: Mapping[str, Any]) -> dict[str, Any]:
    """A PaymentIntent that succeeded, failed, waits for the driver, or holds an amount."""
    about = _about(subject)
    if subject.get("status") == "succeeded" and subject.get("capture_method") == "manual":
        about["operation"] = TransactionType.CAPTURE
    return {**about, "answer": answer_of_intent(subject)}


def _cancelled(subject: Mapping[str, Any]) -> dict[str, Any]:
    if subject.get("capture_method") != "manual":
        return {**_about(subject), "answer": answer_of_intent(subject)}
    answer = Answer(kind=AnswerKind.SUCCEEDED, reference=_text(subject.get("id")), detail={"status": "canceled"})
    return {**_about(subject), "operation": TransactionType.VOID, "answer": answer}


def _refund(subject: Mapping[str, Any]) -> dict[str, Any]:
    return {**_about(subject), "answer": answer_of_refund(subject)}


def _refunded_charge(subject: Mapping[str, Any]) -> dict[str, Any]:
    """A charge with its newest refund; where Stripe leaves the refunds out, refund.* tells of each."""
    listed = _mapping(subject.get("refunds")).get("data")
    newest = _mapping(listed[0]) if isinstance(listed, list) and listed else {}
    return _refund(newest) if newest else {}


def _setup(subject: Mapping[str, Any]) -> dict[str, Any]:
    return {"setup_reference": _text(subject.get("id"))}


_READERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "payment_intent.succeeded": _intent,
    "payment_intent.payment_failed": _intent,
    "payment_intent.requires_action": _intent,
    "payment_intent.amount_capturable_updated": _intent,
    "payment_intent.canceled": _cancelled,
    "charge.refunded": _refunded_charge,
    "charge.refund.updated": _refund,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "setup_intent.succeeded": _setup,
}
#: what Stripe should be told to send, for the operator's manual
EVENT_TYPES = tuple(_READERS)
