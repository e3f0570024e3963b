"""The Stripe adapter against localstripe, a real HTTP server with books, and against scripted answers for what
localstripe cannot do: it ignores idempotency keys, never fails with 429 or 5xx, and names no payment in an error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.billing.models import TransactionType
from app.billing.payments.processors import (
    AnswerKind,
    Order,
    ProcessorMisconfigured,
    ProcessorUnreachable,
)
from app.billing.payments.stripe_processor import StripeProcessor, checked_api_base
from app.billing.payments.stripe_words import AmountNotPayable, minor_units
from app.core.settings import InvalidSetting
from tests.support.product import free_port
from tests.support.stripe_stand_ins import (
    AUTHENTICATING,
    DECLINING,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    WEBHOOK_SECRET,
    LocalStripe,
    ScriptedStripe,
    Seen,
    local_stripe,
    scripted_stripe,
)

CHARGE, HOLD, CAPTURE, VOID, REFUND = (
    TransactionType.CHARGE,
    TransactionType.PREAUTHORIZATION,
    TransactionType.CAPTURE,
    TransactionType.VOID,
    TransactionType.REFUND,
)


@pytest.fixture(scope="module")
def books() -> Iterator[LocalStripe]:
    """localstripe, for this file."""
    with local_stripe() as running:
        yield running


@pytest.fixture
def script() -> Iterator[ScriptedStripe]:
    """A Stripe that says what the test tells it to say."""
    with scripted_stripe() as running:
        yield running


def adapter(base: str, **keys: str) -> StripeProcessor:
    given = {
        "secret_key": SECRET_KEY,
        "publishable_key": PUBLISHABLE_KEY,
        "webhook_secret": WEBHOOK_SECRET,
        **keys,
    }
    return StripeProcessor(api_base=base, **given)


def order(operation: TransactionType, amount: str = "5.32", **values: Any) -> Order:
    given = {"key": f"t:{time.monotonic_ns()}", "currency": "EUR", "exponent": 2, "description": "Session 7", **values}
    return Order(operation=operation, amount=Decimal(amount), **given)


# --- with localstripe's books


def test_a_charge_takes_the_amount_in_cents(books: LocalStripe) -> None:
    stripe = adapter(books.base)
    customer = stripe.customer(user_id=7, email="alex@example.com", name="Alex Petkov")
    answer = stripe.perform(order(CHARGE, token=books.card(), customer=customer))
    assert (answer.kind, answer.message) == (AnswerKind.SUCCEEDED, None)
    made = books.get(f"/v1/payment_intents/{answer.reference}")
    assert (made["amount"], made["currency"], made["status"], made["customer"]) == (532, "eur", "succeeded", customer)
    assert made["metadata"]["description"] == "Session 7"


def test_a_declined_card_is_an_answer_in_plain_words(books: LocalStripe) -> None:
    answer = adapter(books.base).perform(order(CHARGE, token=books.card(DECLINING)))
    assert (answer.kind, answer.message) == (AnswerKind.DECLINED, "The card was declined.")
    assert answer.detail["code"] == "card_declined"


def test_a_card_that_needs_the_driver_is_told_with_its_reference(books: LocalStripe) -> None:
    answer = adapter(books.base).perform(order(CHARGE, token=books.card(AUTHENTICATING)))
    assert answer.kind is AnswerKind.AUTHENTICATION_REQUIRED
    assert (answer.reference or "").startswith("pi_") and "authenticate" in (answer.message or "")


def test_a_hold_is_captured_in_part_once_and_the_rest_is_free(books: LocalStripe) -> None:
    stripe = adapter(books.base)
    held = stripe.perform(order(HOLD, "20", token=books.card()))
    assert held.kind is AnswerKind.SUCCEEDED
    assert books.get(f"/v1/payment_intents/{held.reference}")["status"] == "requires_capture"
    capture = order(CAPTURE, "7.50", parent_reference=held.reference)
    assert stripe.find(capture) is None
    taken = stripe.perform(capture)
    assert (taken.kind, taken.reference) == (AnswerKind.SUCCEEDED, held.reference)
    made = books.get(f"/v1/payment_intents/{held.reference}")
    charge = made["latest_charge"]
    assert (made["status"], charge["amount"] - charge["amount_refunded"]) == ("succeeded", 750)
    again = stripe.perform(order(CAPTURE, "3", parent_reference=held.reference))
    assert again.kind is AnswerKind.DECLINED


def test_a_hold_is_released_also_twice_but_not_after_its_capture(books: LocalStripe) -> None:
    stripe = adapter(books.base)
    held = stripe.perform(order(HOLD, "20", token=books.card()))
    void = order(VOID, "20", parent_reference=held.reference)
    assert stripe.perform(void).kind is AnswerKind.SUCCEEDED
    assert books.get(f"/v1/payment_intents/{held.reference}")["status"] == "canceled"
    # its answer was lost, and the key has been forgotten: localstripe refuses the second, which has been done
    assert stripe.perform(void).kind is AnswerKind.SUCCEEDED
    late = stripe.perform(order(CAPTURE, "5", parent_reference=held.reference))
    assert late.kind is AnswerKind.DECLINED
    taken = stripe.perform(order(HOLD, "20", token=books.card()))
    stripe.perform(order(CAPTURE, "20", parent_reference=taken.reference))
    assert stripe.perform(order(VOID, "20", parent_reference=taken.reference)).kind is AnswerKind.DECLINED


def test_refunds_give_back_a_part_and_then_the_rest(books: LocalStripe) -> None:
    stripe = adapter(books.base)
    paid = stripe.perform(order(CHARGE, "10", token=books.card()))
    first = order(REFUND, "4", parent_reference=paid.reference)
    assert stripe.find(first) is None
    part = stripe.perform(first)
    rest = stripe.perform(order(REFUND, "6", parent_reference=paid.reference))
    assert (part.kind, rest.kind) == (AnswerKind.SUCCEEDED, AnswerKind.SUCCEEDED)
    assert (part.reference or "").startswith("re_") and part.reference != rest.reference
    assert books.get(f"/v1/payment_intents/{paid.reference}")["latest_charge"]["refunded"] is True
    found = stripe.find(first)
    assert found is not None and (found.kind, found.reference) == (AnswerKind.SUCCEEDED, part.reference)


def test_what_became_of_a_charge_is_found_by_its_reference_or_key(books: LocalStripe) -> None:
    stripe = adapter(books.base)
    paid = order(CHARGE, token=books.card(), customer=stripe.customer(user_id=8, email="m@example.com", name="M"))
    answer = stripe.perform(paid)
    for asked in (paid, replace(paid, reference=answer.reference)):
        found = stripe.find(asked)
        assert found is not None and (found.kind, found.reference) == (AnswerKind.SUCCEEDED, answer.reference)
    assert stripe.find(order(CHARGE, token="pm_x")) is None
    assert stripe.find(replace(paid, reference="pi_gone")) is None


def test_a_card_is_entered_and_can_be_charged_later(books: LocalStripe) -> None:
    stripe = adapter(books.base)
    customer = stripe.customer(user_id=9, email="zoe@example.com", name="Zoë")
    begun = stripe.begin_setup(customer=customer, key="setup:1")
    assert begun.publishable_key == PUBLISHABLE_KEY
    assert stripe.finish_setup(begun.reference) is None
    resumed = stripe.resume_setup(begun.reference)
    assert resumed == begun
    books.enter_card(begun.client_secret)
    card = stripe.finish_setup(begun.reference)
    assert card is not None
    assert (card.brand, card.last4, card.exp_month, card.exp_year) == ("visa", "4242", 12, time.gmtime().tm_year + 3)
    assert stripe.resume_setup(begun.reference) is None
    assert stripe.perform(order(CHARGE, token=card.token)).kind is AnswerKind.SUCCEEDED
    stripe.remove(card.token)
    stripe.remove("pm_gone")


def test_a_wrong_key_is_our_mistake_and_says_where_to_mend_it(books: LocalStripe) -> None:
    wrong = adapter(books.base, secret_key="nonsense")
    for ask in (lambda: wrong.perform(order(CHARGE, token="pm_1")), wrong.check, lambda: wrong.remove("pm_1")):
        with pytest.raises(ProcessorMisconfigured, match=r"does not accept the secret key.*Settings > Stripe"):
            ask()


def test_a_server_that_is_down_is_unreachable() -> None:
    gone = adapter(f"http://127.0.0.1:{free_port()}")
    for ask in (lambda: gone.perform(order(CHARGE, token="pm_1")), gone.check, lambda: gone.find(order(CHARGE))):
        with pytest.raises(ProcessorUnreachable, match="could not be asked"):
            ask()


def test_the_check_says_what_answers_and_what_is_missing(books: LocalStripe) -> None:
    assert adapter(books.base).check() == ("Stripe answers and accepts the secret key (test mode, no money moves).")
    assert adapter(books.base, webhook_secret="").check().endswith("Still missing: the webhook signing secret.")
    with pytest.raises(ProcessorMisconfigured, match="secret key is missing"):
        adapter(books.base, secret_key="")


# --- with scripted answers


def error(status: int, type_: str = "card_error", **values: Any) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"type": type_, **values}}


def intent(status: str = "succeeded", **values: Any) -> dict[str, Any]:
    return {"id": "pi_1", "object": "payment_intent", "status": status, "amount": 532, **values}


def test_every_change_carries_its_key_and_is_asked_once(script: ScriptedStripe) -> None:
    def answer(seen: Seen) -> tuple[int, dict[str, Any]]:
        if seen.path.endswith("/cancel"):
            return 200, intent("canceled")
        if "refunds" in seen.path:
            return 200, {"id": "re_1", "object": "refund", "status": "succeeded"}
        if "setup_intents" in seen.path:
            return 200, {"id": "seti_1", "object": "setup_intent", "client_secret": "s", "status": "x"}
        return 200, {**intent(), "id": "cus_1"} if "customers" in seen.path else intent()

    script.script = answer
    stripe = adapter(script.base)
    for number, operation in enumerate((CHARGE, HOLD, CAPTURE, VOID, REFUND)):
        of_parent = {"parent_reference": "pi_1"} if number > 1 else {"token": "pm_1", "customer": "cus_1"}
        stripe.perform(order(operation, key=f"key:{number}", **of_parent))
    stripe.begin_setup(customer="cus_1", key="setup:7")
    assert script.keys() == ["key:0", "key:1", "key:2", "key:3", "key:4", "setup:7"]
    assert all("bearer sk_test" in seen.headers["authorization"].lower() for seen in script.seen)
    charge, hold, capture = (seen.form for seen in script.seen[:3])
    assert (charge["off_session"], charge["confirm"], charge["capture_method"]) == ("true", "true", "automatic")
    assert (charge["metadata[key]"], charge["amount"], charge["currency"]) == ("key:0", "532", "eur")
    assert (hold["capture_method"], capture["amount_to_capture"]) == ("manual", "532")


def test_a_customer_made_twice_has_one_key_and_another_name_another(script: ScriptedStripe) -> None:
    script.script = lambda seen: (200, {"id": "cus_1", "object": "customer"})
    stripe = adapter(script.base)
    for name in ("Alex", "Alex", "Alexander"):
        stripe.customer(user_id=7, email="a@example.com", name=name)
    first, second, third = script.keys()
    assert first == second != third and str(first).startswith("customer:7:")


@pytest.mark.parametrize(
    "answer, kind, words",
    [
        (error(402, code="card_declined", decline_code="insufficient_funds"), "declined", "not enough money"),
        (error(402, code="expired_card"), "declined", "has expired"),
        (error(402, code="card_declined", decline_code="new_one", message="No."), "declined", "The card was declined."),
        (error(402, code="new_code", message="Something new."), "declined", "Something new."),
        (error(402, code="authentication_required"), "authentication_required", "authenticate"),
        (
            error(402, code="card_declined", decline_code="authentication_required"),
            "authentication_required",
            "authenticate",
        ),
        (error(400, "invalid_request_error", code="amount_too_small"), "declined", "smaller than Stripe takes"),
        (error(404, "invalid_request_error", code="resource_missing"), "declined", "does not know"),
        (error(400, "invalid_request_error", message="Odd."), "declined", "Stripe refuses: Odd."),
    ],
)
def test_refusals_are_answers(
    script: ScriptedStripe, answer: tuple[int, dict[str, Any]], kind: str, words: str
) -> None:
    status, body = answer
    if status == 402:
        body["error"]["payment_intent"] = {"id": "pi_9", "object": "payment_intent"}
    script.script = lambda seen: (status, body)
    got = adapter(script.base).perform(order(CHARGE, token="pm_1"))
    assert (got.kind.value, got.reference) == (kind, "pi_9" if status == 402 else None)
    assert words in (got.message or "")
    assert len(script.seen) == 1


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503])
def test_no_answer_is_not_asked_again_by_the_adapter(script: ScriptedStripe, status: int) -> None:
    script.script = lambda seen: error(status, "api_error", message="later")
    with pytest.raises(ProcessorUnreachable):
        adapter(script.base).perform(order(CHARGE, token="pm_1"))
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    "answer, words",
    [
        (error(401, "invalid_request_error", message="Invalid API Key"), "does not accept the secret key"),
        (error(403, "invalid_request_error", message="The key may not.\nMore"), "may not do this: The key may not."),
        (error(400, "idempotency_error", message="Keys…"), "two systems use one Stripe account"),
    ],
)
def test_what_the_settings_can_cure_is_misconfigured(
    script: ScriptedStripe, answer: tuple[int, dict[str, Any]], words: str
) -> None:
    script.script = lambda seen: answer
    with pytest.raises(ProcessorMisconfigured, match=words):
        adapter(script.base).perform(order(CHARGE, token="pm_1"))


def test_a_capture_whose_answer_was_lost_is_found_done(script: ScriptedStripe) -> None:
    def answer(seen: Seen) -> tuple[int, dict[str, Any]]:
        if seen.method == "POST":
            return error(400, "invalid_request_error", code="payment_intent_unexpected_state")
        return 200, intent(amount=2000, amount_received=532)

    script.script = answer
    stripe = adapter(script.base)
    assert stripe.perform(order(CAPTURE, "5.32", parent_reference="pi_1")).kind is AnswerKind.SUCCEEDED
    assert stripe.perform(order(CAPTURE, "5.33", parent_reference="pi_1")).kind is AnswerKind.DECLINED


def test_what_stripe_works_on_is_looked_at_once_more(script: ScriptedStripe) -> None:
    script.script = lambda seen: (200, intent("processing" if seen.method == "POST" else "succeeded"))
    assert adapter(script.base).perform(order(CHARGE, token="pm_1")).kind is AnswerKind.SUCCEEDED
    script.script = lambda seen: (200, {"id": "re_1", "object": "refund", "status": "pending"})
    refund = adapter(script.base).perform(order(REFUND, parent_reference="pi_1"))
    assert (refund.kind, refund.reference) == (AnswerKind.PENDING, "re_1")


def test_only_the_customers_payments_are_gone_through(script: ScriptedStripe) -> None:
    def answer(seen: Seen) -> tuple[int, dict[str, Any]]:
        first = "starting_after" not in seen.path
        wanted = {"key": "other" if first else "mine"}
        rows = [intent(id="pi_2" if first else "pi_3", metadata=wanted)]
        return 200, {"object": "list", "url": "/v1/payment_intents", "has_more": first, "data": rows}

    script.script = answer
    found = adapter(script.base).find(order(CHARGE, key="mine", customer="cus_7"))
    assert found is not None and found.reference == "pi_3"
    assert len(script.seen) == 2 and all("customer=cus_7" in seen.path for seen in script.seen)


# --- amounts and addresses


@pytest.mark.parametrize(
    "amount, currency, units",
    [
        ("5.32", "EUR", 532), ("0.5", "USD", 50), ("500", "JPY", 500), ("500.00", "JPY", 500), ("1000", "KRW", 1000),
        ("5.12", "KWD", 5120), ("5.120", "BHD", 5120), ("5", "ISK", 500), ("5", "UGX", 500), ("12.5", "HUF", 1250),
    ],
)  # fmt: skip
def test_amounts_are_said_in_stripes_minor_units(amount: str, currency: str, units: int) -> None:
    assert minor_units(Decimal(amount), currency) == units


@pytest.mark.parametrize(
    "amount, currency", [("5.321", "EUR"), ("5.5", "JPY"), ("5.124", "KWD"), ("5.5", "ISK"), ("0.01", "UGX")]
)
def test_nothing_is_rounded_on_the_way(script: ScriptedStripe, amount: str, currency: str) -> None:
    with pytest.raises(AmountNotPayable, match=f"Stripe takes {currency}"):
        minor_units(Decimal(amount), currency)
    answer = adapter(script.base).perform(order(CHARGE, amount, currency=currency, token="pm_1"))
    assert answer.kind is AnswerKind.DECLINED and "CONFIGURATION > Currencies" in (answer.message or "")
    assert script.seen == []


@pytest.mark.parametrize(
    "address", ["https://api.stripe.com", "https://api.stripe.com/", "http://127.0.0.1:8420", "http://localhost:1"]
)
def test_addresses_the_key_may_travel_to(address: str) -> None:
    assert checked_api_base(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    ["http://api.stripe.com", "http://10.0.0.1", "ftp://127.0.0.1", "api.stripe.com", "", "https://", "https://u:p@x",
     "http://127.0.0.1.example.com", "https://x:99999999", "https://api.stripe.com?x=1"],
)  # fmt: skip
def test_addresses_it_may_not(address: str) -> None:
    with pytest.raises(InvalidSetting):
        checked_api_base(address)
    with pytest.raises(ProcessorMisconfigured, match="API address"):
        adapter(address)
