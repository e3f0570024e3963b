"""Who pays for a session, and whether it has been paid: the tables. product.md, "Money"."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.billing.models import TransactionStatus, TransactionType
from app.charging.authorize import BillingStrategy, PaidFrom
from app.charging.lifecycle import PaymentStatus
from app.charging.payments.credits import covered
from app.charging.payments.payer import BALANCE, LAST_USED, Payer, PayerFacts, Wish, choose_payer
from app.charging.payments.statuses import Movement, payment_status

AFTER, HOLD, EITHER, NONE = BillingStrategy
BY_BALANCE, PARTNER = Payer(PaidFrom.BALANCE), Payer(PaidFrom.CORPORATE, partner_id=9)
CARD_7, CARD_8 = (Wish(PaidFrom.PAYMENT_METHOD, payment_method_id=each) for each in (7, 8))
COMPANY = Wish(PaidFrom.CORPORATE, partner_id=9)


def by_card(number):
    return Payer(PaidFrom.PAYMENT_METHOD, payment_method_id=number)


@pytest.mark.parametrize("strategy", BillingStrategy)
@pytest.mark.parametrize(
    ("choice", "tag", "methods", "expected"),
    [
        (None, None, (8, 7), by_card(8)),
        (None, None, (), BY_BALANCE),
        (None, LAST_USED, (8, 7), by_card(8)),
        (None, CARD_7, (8, 7), by_card(7)),
        (None, CARD_7, (8,), by_card(8)),  # the tag's card has expired
        (None, CARD_7, (), BY_BALANCE),
        (CARD_8, CARD_7, (7, 8), by_card(8)),
        (LAST_USED, CARD_7, (8, 7), by_card(8)),
        (LAST_USED, BALANCE, (8, 7), by_card(8)),
        (None, COMPANY, (8, 7), PARTNER),
        (COMPANY, BALANCE, (), PARTNER),
        (CARD_8, COMPANY, (8,), by_card(8)),
    ],
)
def test_the_choice_else_the_tag_else_the_last_used_else_the_balance(strategy, choice, tag, methods, expected):
    assert choose_payer(PayerFacts(strategy=strategy, usable_methods=methods, choice=choice, tag=tag)) == expected


@pytest.mark.parametrize("strategy", BillingStrategy)
def test_the_balance_can_be_chosen_unless_the_card_is_what_is_held(strategy):
    facts = PayerFacts(strategy=strategy, usable_methods=(8,), choice=BALANCE)
    assert choose_payer(facts) == (by_card(8) if strategy is HOLD else BY_BALANCE)


@pytest.mark.parametrize("wish", [None, LAST_USED, CARD_7, BALANCE])
@pytest.mark.parametrize("strategy", BillingStrategy)
def test_no_direct_use_is_a_setting_of_strategy_3(strategy, wish):
    facts = PayerFacts(strategy=strategy, usable_methods=(7,), methods_not_for_sessions=True, choice=wish)
    own = BY_BALANCE if wish is BALANCE and strategy is not HOLD else by_card(7)
    assert choose_payer(facts) == (BY_BALANCE if strategy is EITHER else own)
    company = PayerFacts(strategy=strategy, methods_not_for_sessions=True, choice=COMPANY)
    assert choose_payer(company) == PARTNER


def test_a_wish_names_what_it_is_about():
    with pytest.raises(ValueError, match="payment method is named"):
        Wish(PaidFrom.PAYMENT_METHOD)
    with pytest.raises(ValueError, match="partner is named"):
        Wish(PaidFrom.BALANCE, partner_id=9)


CHARGE, PREAUTH, CAPTURE, VOID, REFUND = TransactionType
PENDING, AUTHENTICATION, SUCCEEDED, OUTSTANDING, FAILED, CANCELLED = TransactionStatus
S = PaymentStatus


@pytest.mark.parametrize(
    ("movements", "expected"),
    [
        ([(CHARGE, PENDING, 10)], S.PROCESSING),
        ([(CHARGE, SUCCEEDED, 10)], S.PAID),
        ([(CHARGE, OUTSTANDING, 10)], S.OUTSTANDING),
        ([(CHARGE, AUTHENTICATION, 10)], S.OUTSTANDING),
        ([(PREAUTH, SUCCEEDED, 20), (CAPTURE, PENDING, 10)], S.PROCESSING),
        ([(PREAUTH, SUCCEEDED, 20), (CAPTURE, SUCCEEDED, 10)], S.PAID),
        ([(PREAUTH, FAILED, 20), (CHARGE, SUCCEEDED, 10)], S.PAID),
        ([(PREAUTH, SUCCEEDED, 8), (CAPTURE, SUCCEEDED, 8), (CHARGE, PENDING, 2)], S.PROCESSING),
        ([(PREAUTH, SUCCEEDED, 8), (CAPTURE, SUCCEEDED, 8), (CHARGE, OUTSTANDING, 2)], S.OUTSTANDING),
        ([(PREAUTH, SUCCEEDED, 8), (CAPTURE, PENDING, 8), (CHARGE, OUTSTANDING, 2)], S.PROCESSING),
        ([(PREAUTH, SUCCEEDED, 20), (CAPTURE, FAILED, 10)], S.PROCESSING),
        ([(CAPTURE, FAILED, 10), (VOID, PENDING, 20), (CHARGE, SUCCEEDED, 10)], S.PAID),
        ([(CHARGE, SUCCEEDED, 10), (REFUND, SUCCEEDED, 4)], S.PAID),
        ([(CHARGE, SUCCEEDED, 10), (REFUND, PENDING, 10)], S.PAID),
        ([(CHARGE, SUCCEEDED, 10), (REFUND, FAILED, 10)], S.PAID),
        ([(CHARGE, SUCCEEDED, 10), (REFUND, SUCCEEDED, 4), (REFUND, SUCCEEDED, 6)], S.REFUNDED),
        ([(CHARGE, CANCELLED, 10)], S.NOT_BILLED),
        ([(CAPTURE, SUCCEEDED, 8), (CHARGE, CANCELLED, 2)], S.PAID),
        ([], S.PROCESSING),
    ],
)
def test_whether_a_session_of_10_is_paid(movements, expected):
    rows = [Movement(type_, status, D(amount)) for type_, status, amount in movements]
    assert payment_status(D(10), rows) is expected
    assert payment_status(D(10), rows[::-1]) is expected, "in whatever order they come"


amounts = st.lists(st.integers(1, 1000).map(D), max_size=8)


@given(amounts, st.integers(0, 9000).map(D))
def test_a_credit_pays_the_oldest_and_never_more_than_it_covers(owed, debt):
    paid = covered(owed, debt)
    assert sum(owed[:paid]) <= max(D(0), sum(owed) - debt)
    if paid < len(owed):
        assert sum(owed[: paid + 1]) > sum(owed) - debt, "one more would not be covered"
