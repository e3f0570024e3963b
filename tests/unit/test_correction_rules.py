"""Which correction may be made in which state, and what it does with the money: the whole table, and any amounts."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charging.corrections.plan import (
    MoneyPlan,
    NotEnoughLeft,
    Take,
    TakeState,
    asked_so_far,
    plan_money,
)
from app.charging.corrections.rules import (
    CorrectionKind,
    CorrectionRefused,
    Effect,
    NoPriceYet,
    NothingPaid,
    NothingToCorrect,
    PaymentUnderWay,
    effect_of,
    outcome_of,
)
from app.charging.lifecycle import RUNNING, PaymentStatus, SessionStatus

ASSIGN, TARIFF, CREDIT = CorrectionKind
LATER, NOW, NEW = Effect

#: of a finished session, by payment status: what each correction does
FINISHED = {
    PaymentStatus.PENDING: (NOW, NOW, NoPriceYet),
    PaymentStatus.PROCESSING: (PaymentUnderWay, PaymentUnderWay, PaymentUnderWay),
    PaymentStatus.PAID: (NEW, NEW, NEW),
    PaymentStatus.OUTSTANDING: (NEW, NEW, NEW),
    PaymentStatus.REFUNDED: (NEW, NEW, NothingPaid),
    PaymentStatus.FREE: (NEW, NEW, NothingPaid),
    PaymentStatus.NOT_BILLED: (NEW, NEW, NothingPaid),
}


@pytest.mark.parametrize("status, payment, kind", list(product(SessionStatus, PaymentStatus, CorrectionKind)))
def test_every_state_and_correction(status: SessionStatus, payment: PaymentStatus, kind: CorrectionKind) -> None:
    position = (ASSIGN, TARIFF, CREDIT).index(kind)
    if status is SessionStatus.FAILED:
        expected: object = NothingToCorrect
    elif status in RUNNING:
        expected = (LATER, LATER, NoPriceYet)[position]
    else:
        expected = FINISHED[payment][position]
    assert outcome_of(kind, status, payment) is expected
    if isinstance(expected, Effect):
        assert effect_of(kind, status, payment) is expected
    else:
        with pytest.raises(CorrectionRefused, match=r"\w"):
            effect_of(kind, status, payment)


def cents(most: int = 5000) -> st.SearchStrategy[Decimal]:
    return st.integers(0, most).map(lambda value: Decimal(value) / 100)


@st.composite
def takes(draw: st.DrawFn) -> list[Take]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        amount = draw(cents()) + Decimal("0.01")
        state = draw(st.sampled_from(TakeState))
        goodwill = min(amount, draw(cents(200))) if state is TakeState.PAID else Decimal(0)
        left = amount - goodwill if state is TakeState.PAID else Decimal(0)
        found.append(Take(transaction_id=number + 1, state=state, amount=amount, left=left, goodwill=goodwill))
    return found


def after(plan: MoneyPlan, before: list[Take]) -> Decimal:
    """What is asked for the session once the plan is carried out."""
    absorbed = sum(
        (
            take.goodwill
            for take in before
            for step in plan.refunds
            if step.absorbs and step.transaction_id == take.transaction_id
        ),
        Decimal(0),
    )
    gone = plan.given_back + absorbed + plan.withdrawn + plan.unwaived
    return asked_so_far(before) - gone + plan.asked + plan.waived


@given(price=cents(), before=takes(), payer_changes=st.booleans(), waive=st.booleans())
def test_what_is_asked_comes_to_the_price(price: Decimal, before: list[Take], payer_changes: bool, waive: bool) -> None:
    try:
        plan = plan_money(price=price, takes=before, payer_changes=payer_changes, waive=waive)
    except NotEnoughLeft:
        refundable = sum((take.left for take in before), Decimal(0))
        unpaid = sum((take.amount for take in before if take.state is not TakeState.PAID), Decimal(0))
        assert asked_so_far(before) - price > refundable + unpaid
        return
    assert after(plan, before) == price
    left = {take.transaction_id: take.left for take in before}
    assert all(0 <= step.amount <= left[step.transaction_id] for step in plan.refunds)
    assert len({step.transaction_id for step in plan.refunds}) == len(plan.refunds)
    assert plan.asked >= 0 and plan.waived >= 0
    if waive and price >= asked_so_far(before):
        assert plan.asked == 0


@given(price=cents(), before=takes())
def test_a_lower_price_asks_nobody_who_has_paid(price: Decimal, before: list[Take]) -> None:
    paid = [take for take in before if take.state is TakeState.PAID]
    if not paid or price >= asked_so_far(paid):
        return
    try:
        plan = plan_money(price=price, takes=paid)
    except NotEnoughLeft:
        return
    assert plan.asked == 0 and plan.given_back == asked_so_far(paid) - price


def test_the_order_is_waived_then_owed_then_the_latest_paid() -> None:
    def take(number: int, state: TakeState, amount: str) -> Take:
        left = Decimal(amount) if state is TakeState.PAID else Decimal(0)
        return Take(transaction_id=number, state=state, amount=Decimal(amount), left=left)

    before = [
        take(1, TakeState.PAID, "5"),
        take(2, TakeState.OWED, "3"),
        take(3, TakeState.WAIVED, "2"),
        take(4, TakeState.PAID, "4"),
    ]
    one = plan_money(price=Decimal(13), takes=before)
    assert ([w.transaction_id for w in one.withdrawals], one.waived, one.refunds) == ([3], Decimal(1), ())
    three = plan_money(price=Decimal(11), takes=before)
    assert ([w.transaction_id for w in three.withdrawals], three.asked) == ([3, 2], Decimal(2))
    eight = plan_money(price=Decimal(4), takes=before)
    assert [(r.transaction_id, r.amount) for r in eight.refunds] == [(4, Decimal(4)), (1, Decimal(1))]
