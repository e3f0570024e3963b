"""Stripe behind the processors' interface, by its official SDK. Each adapter has a client of its own: nothing global.

A charge is a PaymentIntent confirmed off session, a pre-authorization one that is captured by hand; capture, void and
refund name that PaymentIntent, so they share its reference. Stripe keeps an idempotency key for a day: what is asked
again with the same key is answered, not done, again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import stripe
from sqlalchemy.orm import Session

from app.billing.models import TransactionType
from app.billing.payments import stripe_events
from app.billing.payments.processors import (
    Answer,
    AnswerKind,
    Card,
    InvalidNews,
    News,
    Order,
    ProcessorMisconfigured,
    ProcessorUnreachable,
    Setup,
    register,
)
from app.billing.payments.stripe_words import AmountNotPayable, minor_units
from app.core import settings, vault
from app.core.settings import InvalidSetting

NAME = "stripe"
#: seconds to connect and to answer; a driver waits for a pre-authorization
CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S = 4.0, 20.0
#: payments of one customer that are gone through for a key
LOOKED_THROUGH = 2000
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
WHERE = "CONFIGURATION > Settings > Stripe"
#: also 409, "still busy with the same request", is an APIError
_UNANSWERED = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)


class StripeProcessor:
    """One client with the keys of the moment."""

    name = NAME

    def __init__(self, *, secret_key: str, publishable_key: str, webhook_secret: str, api_base: str) -> None:
        self._publishable_key = publishable_key
        self._webhook_secret = webhook_secret
        if not secret_key:
            raise ProcessorMisconfigured(f"Stripe's secret key is missing: enter it in {WHERE}.")
        try:
            base = checked_api_base(api_base)
        except InvalidSetting as error:
            raise ProcessorMisconfigured(f"Stripe's API address does not work: {error} ({WHERE}).") from None
        self._client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base},
            # what was not answered is asked again by our own rule, with the same key
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S)),
        )
        self._by_operation: dict[TransactionType, Callable[[Order], Answer]] = {
            TransactionType.CHARGE: self._sell,
            TransactionType.PREAUTHORIZATION: self._sell,
            TransactionType.CAPTURE: self._capture,
            TransactionType.VOID: self._void,
            TransactionType.REFUND: self._refund,
        }

    def perform(self, order: Order) -> Answer:
        """See Processor.perform."""
        try:
            with _translated():
                return self._by_operation[order.operation](order)
        except AmountNotPayable as error:
            return Answer(kind=AnswerKind.DECLINED, message=str(error))
        except stripe.CardError as error:
            return _declined(error)
        except stripe.InvalidRequestError as error:
            # refused, because a call whose answer was lost has done it already?
            done = self.find(order) if order.parent_reference else None
            return done if done is not None and done.kind is AnswerKind.SUCCEEDED else _declined(error)

    def _sell(self, order: Order) -> Answer:
        hold = order.operation is TransactionType.PREAUTHORIZATION
        params: Any = {
            "amount": minor_units(order.amount, order.currency),
            "currency": order.currency.lower(),
            "payment_method": order.token,
            "payment_method_types": ["card"],
            "confirm": True,
            "off_session": True,
            "capture_method": "manual" if hold else "automatic",
            "metadata": _metadata(order),
        }
        if order.customer:
            params["customer"] = order.customer
        made = self._client.v1.payment_intents.create(params, {"idempotency_key": order.key})
        if made.status == "processing":
            made = self._client.v1.payment_intents.retrieve(made.id)
        return stripe_events.answer_of_intent(plain(made))

    def _capture(self, order: Order) -> Answer:
        amount = minor_units(order.amount, order.currency)
        made = self._client.v1.payment_intents.capture(
            _parent(order), {"amount_to_capture": amount}, {"idempotency_key": order.key}
        )
        return stripe_events.answer_of_intent(plain(made))

    def _void(self, order: Order) -> Answer:
        made = self._client.v1.payment_intents.cancel(_parent(order), {}, {"idempotency_key": order.key})
        return _voided(made.id, made.status)

    def _refund(self, order: Order) -> Answer:
        made = self._client.v1.refunds.create(
            {
                "payment_intent": _parent(order),
                "amount": minor_units(order.amount, order.currency),
                "metadata": _metadata(order),
            },
            {"idempotency_key": order.key},
        )
        if made.status == "pending":
            made = self._client.v1.refunds.retrieve(made.id)
        return stripe_events.answer_of_refund(plain(made))

    def find(self, order: Order) -> Answer | None:
        """See Processor.find."""
        try:
            with _translated():
                return self._found(order)
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                return None
            raise ProcessorUnreachable(f"Stripe does not tell: {_said(error)}") from None

    def _found(self, order: Order) -> Answer | None:
        if order.operation is TransactionType.REFUND:
            if order.reference:
                return stripe_events.answer_of_refund(plain(self._client.v1.refunds.retrieve(order.reference)))
            refund = self._with_key(self._client.v1.refunds.list, order, {"payment_intent": _parent(order)})
            return None if refund is None else stripe_events.answer_of_refund(refund)
        if order.operation in (TransactionType.CAPTURE, TransactionType.VOID):
            hold = plain(self._client.v1.payment_intents.retrieve(_parent(order)))
            return _of_hold(order, hold)
        if order.reference:
            return stripe_events.answer_of_intent(plain(self._client.v1.payment_intents.retrieve(order.reference)))
        intent = self._with_key(self._client.v1.payment_intents.list, order, {"customer": order.customer})
        return None if intent is None else stripe_events.answer_of_intent(intent)

    def _with_key(self, listed: Callable[[Any], Any], order: Order, narrowed: dict[str, Any]) -> dict[str, Any] | None:
        """The newest object that carries the order's key; only the customer's, or the payment's, are looked at."""
        known = {name: value for name, value in narrowed.items() if value}
        try:
            pages = listed({**known, "limit": 100})
        except stripe.InvalidRequestError:  # a stand-in that cannot narrow the list down
            pages = listed({"limit": 100})
        for each in itertools.islice(pages.auto_paging_iter(), LOOKED_THROUGH):
            found = plain(each)
            if (found.get("metadata") or {}).get("key") == order.key:
                return found
        return None

    def customer(self, *, user_id: int, email: str, name: str) -> str:
        """See Processor.customer. A customer made twice within a day is one; the first is kept by the caller."""
        wanted = hashlib.sha256(f"{user_id}\n{email}\n{name}".encode()).hexdigest()[:24]
        with _translated(refused=True):
            made = self._client.v1.customers.create(
                {"email": email, "name": name, "metadata": {"user_id": str(user_id)}},
                {"idempotency_key": f"customer:{user_id}:{wanted}"},
            )
        return made.id

    def begin_setup(self, *, customer: str, key: str) -> Setup:
        """See Processor.begin_setup: a SetupIntent for charges while the driver is not there."""
        if not self._publishable_key:
            raise ProcessorMisconfigured(f"Stripe's publishable key is missing: enter it in {WHERE}.")
        params: Any = {"customer": customer, "usage": "off_session", "payment_method_types": ["card"]}
        with _translated(refused=True):
            made = self._client.v1.setup_intents.create(params, {"idempotency_key": key})
        return self._setup(made)

    def resume_setup(self, reference: str) -> Setup | None:
        """See Processor.resume_setup."""
        with _translated(refused=True):
            found = self._client.v1.setup_intents.retrieve(reference)
        return None if found.status in ("succeeded", "canceled") else self._setup(found)

    def _setup(self, found: stripe.SetupIntent) -> Setup:
        return Setup(reference=found.id, client_secret=found.client_secret or "", publishable_key=self._publishable_key)

    def finish_setup(self, reference: str) -> Card | None:
        """See Processor.finish_setup."""
        with _translated(refused=True):
            found = plain(self._client.v1.setup_intents.retrieve(reference, {"expand": ["payment_method"]}))
        method = found.get("payment_method")
        if found["status"] != "succeeded" or not isinstance(method, dict):
            return None
        card = method.get("card") or {}
        return Card(
            token=method["id"],
            brand=card.get("brand") or method.get("type") or "",
            last4=card.get("last4"),
            exp_month=card.get("exp_month"),
            exp_year=card.get("exp_year"),
        )

    def remove(self, token: str) -> None:
        """See Processor.remove."""
        try:
            with _translated():
                self._client.v1.payment_methods.detach(token)
        except stripe.InvalidRequestError:
            return  # it is not there, or of no customer, any more

    def read_news(self, body: bytes, headers: Mapping[str, str]) -> News:
        """See Processor.read_news: signed with the webhook's secret, not older than five minutes."""
        if not self._webhook_secret:
            raise ProcessorMisconfigured(f"Stripe's webhook signing secret is missing: enter it in {WHERE}.")
        try:
            text = body.decode()
            stripe.WebhookSignature.verify_header(
                text, headers.get("Stripe-Signature", ""), self._webhook_secret, stripe.Webhook.DEFAULT_TOLERANCE
            )
            return stripe_events.read_event(text)
        except stripe.SignatureVerificationError:
            raise InvalidNews("the signature is wrong or too old") from None
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise InvalidNews("this is no event of Stripe's") from None

    def check(self) -> str:
        """See Processor.check: asks for the account's balance, which every key may that may charge."""
        try:
            with _translated():
                found = plain(self._client.v1.balance.retrieve())
        except stripe.StripeError as error:
            raise ProcessorMisconfigured(f"Stripe refuses: {_said(error)}") from None
        kind = "live account" if found.get("livemode") else "test mode, no money moves"
        missing = [
            name
            for name, value in (
                ("the publishable key", self._publishable_key),
                ("the webhook signing secret", self._webhook_secret),
            )
            if not value
        ]
        tail = f" Still missing: {' and '.join(missing)}." if missing else ""
        return f"Stripe answers and accepts the secret key ({kind}).{tail}"


def checked_api_base(address: str) -> str:
    """Stripe's address without a slash at its end; plain http only to this machine. Raises InvalidSetting."""
    address = address.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise InvalidSetting("an address like https://api.stripe.com is expected") from None
    if not host or parts.scheme not in ("https", "http") or parts.query or parts.fragment or parts.username:
        raise InvalidSetting("an address like https://api.stripe.com is expected")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise InvalidSetting("it must begin with https://, as the secret key travels there")
    return address


def plain(found: Any) -> dict[str, Any]:
    """An object of the SDK as plain dictionaries, whatever its version knows of it."""
    return dict(found.to_dict())


@contextmanager
def _translated(*, refused: bool = False) -> Iterator[None]:
    """Errors in which nothing was decided as the interface's; with ``refused`` also refusals of a request."""
    try:
        yield
    except stripe.IdempotencyError:
        raise ProcessorMisconfigured(
            "Stripe has had another request under the same key: two systems use one Stripe account. Each needs its own."
        ) from None
    except stripe.AuthenticationError:
        raise ProcessorMisconfigured(f"Stripe does not accept the secret key: check it in {WHERE}.") from None
    except stripe.PermissionError as error:
        raise ProcessorMisconfigured(f"Stripe's secret key may not do this: {_said(error)}") from None
    except _UNANSWERED as error:
        raise ProcessorUnreachable(f"Stripe could not be asked: {_said(error)}") from None
    except stripe.InvalidRequestError as error:
        if refused:
            raise ProcessorMisconfigured(f"Stripe refuses: {_said(error)}") from None
        raise


def _said(error: stripe.StripeError) -> str:
    """An error's first line: those of the network carry a page of advice for developers."""
    lines = [line.strip() for line in (error.user_message or str(error)).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _declined(error: stripe.StripeError) -> Answer:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    details = body.get("error") or {}
    answer = stripe_events.refused(details, reference=(details.get("payment_intent") or {}).get("id"))
    if isinstance(error, stripe.CardError) or details.get("code"):
        return answer
    return replace(answer, message=f"Stripe refuses: {answer.message}")


def _voided(reference: str, status: str | None) -> Answer:
    if status == "canceled":
        return Answer(kind=AnswerKind.SUCCEEDED, reference=reference, detail={"status": status})
    return Answer(
        kind=AnswerKind.DECLINED, reference=reference, message="It could not be released any more.",
        detail={"status": status},
    )  # fmt: skip


def _of_hold(order: Order, hold: Mapping[str, Any]) -> Answer | None:
    """What has become of a hold's capture or void; None while the amount is still blocked."""
    status = hold.get("status")
    if status == "requires_capture":
        return None
    if order.operation is TransactionType.VOID:
        return _voided(str(hold["id"]), status)
    taken = hold.get("amount_received", hold.get("amount"))
    if status == "succeeded" and taken == minor_units(order.amount, order.currency):
        return stripe_events.answer_of_intent(hold)
    message = "Another amount was captured." if status == "succeeded" else "The blocked amount was released."
    return Answer(kind=AnswerKind.DECLINED, reference=hold.get("id"), message=message, detail={"status": status})


def _metadata(order: Order) -> dict[str, str]:
    """Ours, so that a webhook finds its transaction also when our own answer was lost."""
    return {**{k: v for k, v in order.metadata.items() if v}, "key": order.key, "description": order.description[:500]}


def _parent(order: Order) -> str:
    if not order.parent_reference:
        raise ProcessorMisconfigured("the transaction this belongs to has no reference at Stripe")
    return order.parent_reference


def _make(session: Session) -> StripeProcessor:
    try:
        secret, webhook = (settings.get_secret(session, f"stripe.{name}") for name in ("secret_key", "webhook_secret"))
    except vault.VaultLocked:
        raise ProcessorMisconfigured(
            f"Stripe's keys cannot be unlocked any more: enter them anew in {WHERE}."
        ) from None
    return StripeProcessor(
        secret_key=secret,
        publishable_key=settings.get_text(session, "stripe.publishable_key"),
        webhook_secret=webhook,
        api_base=settings.get_text(session, "stripe.api_base"),
    )


def _check_publishable(value: str) -> None:
    if value and not value.startswith("pk_"):
        raise InvalidSetting("a publishable key begins with pk_; any other would be shown to every driver")


def _check_secret(value: str) -> None:
    if value.startswith("pk_"):
        raise InvalidSetting("this is a publishable key; the secret key begins with sk_ or rk_")


def _check_api_base(value: str) -> None:
    checked_api_base(value)


settings.CHECKS["stripe.api_base"] = _check_api_base
settings.CHECKS["stripe.publishable_key"] = _check_publishable
settings.CHECKS["stripe.secret_key"] = _check_secret
register(NAME, _make)
