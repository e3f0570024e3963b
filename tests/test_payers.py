"""Who pays, from the start to the money: by card, balance, partner; a credit pays the oldest; debts are paid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from app.billing import corporate, debts, ledger, outstanding
from app.billing.corporate import Account, CorporateCharge, Standing
from app.billing.models import LedgerEntryType, PaymentMethod, PaymentMethodStatus
from app.billing.payments import refunds
from app.charging import clockwork
from app.charging.lifecycle import PaymentStatus
from app.charging.models import ChargingSession
from app.charging.payments import paying
from app.core import events
from app.crm.models import TagPayment, User
from tests.support.charging import NOW, start, stop, tag_of
from tests.support.gateway import Cast, people
from tests.support.strategies import ask_due, back_to_usual, by_strategy, card, driver, moved

__all__ = ["people"]  # a fixture

D = Decimal
PRICE = D("4.26")
LATER = NOW + timedelta(minutes=40)


@pytest.fixture(autouse=True)
def usual_settings(people: Cast) -> Iterator[None]:
    yield
    back_to_usual(people)


def charged(people: Cast, user: User, *, accepted: bool = True) -> ChargingSession:
    """A session of 4.26, finished, and the processors asked."""
    charge_point = people.station()
    outcome = start(people, charge_point, tag_of(user))
    assert outcome.accepted is accepted, outcome.reason
    stop(people, charge_point, session_id=outcome.session_id)
    ask_due(people, LATER)
    return people.charge(outcome.session_id)


def set_tag(people: Cast, user: User, payment: TagPayment, **more: int) -> None:
    tag = user.rfid_tags[0]
    tag.payment = payment
    for name, value in more.items():
        setattr(tag, name, value)
    people.session.commit()


def top_up(people: Cast, user: User, amount: str, reference: str) -> None:
    ledger.credit(
        people.session,
        user_id=user.id,
        amount=D(amount),
        currency="EUR",
        type=LedgerEntryType.TOP_UP,
        reference=reference,
        now=NOW,
    )
    people.session.commit()


# ---------------------------------------------------------------------- by card, by balance


def test_the_last_used_card_pays_and_the_session_says_so(people: Cast) -> None:
    by_strategy(people, "after_session")
    user = driver(people, "approve", "approve", balance="50")
    row = charged(people, user)
    newest = people.session.get_one(PaymentMethod, row.payment_method_id)
    assert (row.paid_from, row.payment_status) == ("payment_method", PaymentStatus.PAID)
    assert paying.paid_by(people.session, row) == str(newest) == "TEST **** 1111"
    assert moved(people, user) == [("charge", PRICE, "succeeded")]
    assert people.balance(user) == 50


def test_the_tag_says_what_pays(people: Cast) -> None:
    user = driver(people, "approve", "decline", balance="50")
    first = people.session.query(PaymentMethod).order_by(PaymentMethod.id).first()
    assert first is not None
    set_tag(people, user, TagPayment.PAYMENT_METHOD, payment_method_id=first.id)
    assert charged(people, user).payment_method_id == first.id
    set_tag(people, user, TagPayment.BALANCE)
    row = charged(people, user)
    assert (row.paid_from, paying.paid_by(people.session, row)) == ("balance", "Balance")
    assert people.balance(user) == 50 - PRICE


def test_strategy_3_without_direct_use_is_paid_by_the_balance(people: Cast) -> None:
    by_strategy(people, "balance_or_payment_method", payment_method_not_for_sessions=True)
    user = driver(people, "approve", balance="50")
    row = charged(people, user)
    assert (row.paid_from, row.payment_method_id) == ("balance", None)
    assert people.balance(user) == 50 - PRICE


def test_a_card_that_is_removed_while_it_charges_is_replaced_by_the_next_or_by_the_balance(people: Cast) -> None:
    for left in (1, 0):
        user = driver(people, *["approve"] * (left + 1), balance="50")
        charge_point = people.station()
        number = start(people, charge_point, tag_of(user)).session_id
        gone = people.session.get_one(PaymentMethod, people.charge(number).payment_method_id)
        gone.status, gone.removed_at = PaymentMethodStatus.REMOVED, NOW
        people.session.commit()
        stop(people, charge_point, session_id=number)
        ask_due(people, LATER)
        assert people.charge(number).payment_status is PaymentStatus.PAID
        assert people.balance(user) == (50 if left else 50 - PRICE)


def test_a_declined_card_leaves_the_session_outstanding_until_it_is_paid(people: Cast) -> None:
    user = driver(people, "decline", balance="50")
    row = charged(people, user)
    assert row.payment_status is PaymentStatus.OUTSTANDING
    assert outstanding.owed(people.session, user_id=user.id, currency="EUR") == PRICE
    refused = start(people, people.station(), tag_of(user), reported_at=LATER, now=LATER)
    assert refused.reason == "outstanding_amount"
    found = debts.pay_outstanding(
        people.session, user=user, method=None, reason="Asked for it", actor=people.operator(), now=LATER
    )
    people.session.commit()
    assert (len(found.paid), found.asked, found.problems) == (1, (), ())
    assert people.charge(row.id).payment_status is PaymentStatus.PAID
    assert people.balance(user) == 50 - PRICE
    assert start(people, people.station(), tag_of(user), reported_at=LATER, now=LATER).accepted


def test_the_balance_pays_debts_oldest_first_and_not_a_newer_one_instead(people: Cast) -> None:
    user = driver(people, "decline", balance="5")
    rows = [charged(people, user), charged(people, user, accepted=False)]
    found = debts.pay_outstanding(
        people.session, user=user, method=None, reason="Asked for it", actor=people.operator(), now=LATER
    )
    people.session.commit()
    assert len(found.paid) == 1
    assert "The balance is 0.74 EUR: it does not suffice." in found.problems[0]
    assert [people.charge(row.id).payment_status for row in rows] == [PaymentStatus.PAID, PaymentStatus.OUTSTANDING]


def test_what_the_balance_owes_is_paid_by_a_top_up(people: Cast) -> None:
    user, actor = driver(people, balance="1"), people.operator()
    with pytest.raises(debts.NothingOwed, match="owes nothing"):
        debts.pay_outstanding(people.session, user=user, method=None, reason="x", actor=actor, now=LATER)
    charged(people, user)
    with pytest.raises(debts.TopUpNeeded, match=r"3\.26 EUR below zero"):
        debts.pay_outstanding(people.session, user=user, method=None, reason="x", actor=actor, now=LATER)


def test_what_was_given_back_is_refunded(people: Cast) -> None:
    user = driver(people, "approve")
    row = charged(people, user)
    (charge,) = people.bills(row.id)[1]
    for amount, expected in (("4.00", PaymentStatus.PAID), ("0.26", PaymentStatus.REFUNDED)):
        refunds.refund(
            people.session, transaction=charge, amount=D(amount), reason="Sorry", actor=people.operator(), now=LATER
        )
        ask_due(people, LATER)
        assert people.charge(row.id).payment_status is expected


# ---------------------------------------------------------------------- a credit pays the oldest


def test_a_credit_pays_as_many_of_the_oldest_as_it_covers(people: Cast) -> None:
    user = driver(people, balance="1")
    rows = [charged(people, user), *(charged(people, user, accepted=False) for _ in range(2))]
    statuses = []
    for number, amount in enumerate(("3.25", "0.01", "4.26", "4.25", "0.01")):
        top_up(people, user, amount, f"credit:{number}")
        paid = [people.charge(row.id).payment_status is PaymentStatus.PAID for row in rows]
        statuses.append(paid.index(False) if False in paid else 3)
        assert sorted(paid, reverse=True) == paid, "the oldest first"
    assert statuses == [0, 1, 2, 2, 3]
    assert people.balance(user) == 0


def test_the_clockwork_finds_what_a_lost_credit_covers_in_part(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    user, other = driver(people, balance="1"), driver(people, balance="1")
    rows = [charged(people, user), charged(people, user, accepted=False), charged(people, other)]
    monkeypatch.setitem(events._listeners, "balance.settled", lambda event: None)
    top_up(people, user, "3.26", "a")
    top_up(people, other, "3.25", "b")
    assert clockwork.settle(people.session, now=LATER) == 1
    people.session.commit()
    assert clockwork.settle(people.session, now=LATER) == 0
    found = [people.charge(row.id).payment_status for row in rows]
    assert found == [PaymentStatus.PAID, PaymentStatus.OUTSTANDING, PaymentStatus.OUTSTANDING]


# ---------------------------------------------------------------------- a partner pays


@dataclass
class OnePartner:
    """Partner 1 pays for everybody, up to its limit."""

    limit: Decimal | None = None
    allowed: bool = True
    charges: list[CorporateCharge] = field(default_factory=list)

    def accounts_of(self, session: Session, *, user_id: int) -> Sequence[Account]:
        return [Account(1, "Fleet Ltd")] if self.allowed else []

    def standing(self, session: Session, *, user_id: int, partner_id: int, currency: str) -> Standing:
        used = sum((each.amount for each in self.charges), D(0))
        return Standing(allowed=self.allowed, limit=self.limit, used=used)

    def record(self, session: Session, charge: CorporateCharge) -> None:
        self.charges.append(charge)


@pytest.fixture
def partner() -> Iterator[OnePartner]:
    one, before = OnePartner(), corporate.accounts()
    corporate.offer(one)
    yield one
    corporate.offer(before)


def test_a_partner_is_billed_until_its_limit_is_used_up(people: Cast, partner: OnePartner) -> None:
    by_strategy(people, "preauthorize")
    partner.limit = D("8.52")
    user = driver(people, "approve", balance="50")
    set_tag(people, user, TagPayment.CORPORATE, payer_partner_id=1)
    for _ in range(2):
        row = charged(people, user)
        assert (row.paid_from, row.payer_partner_id, row.payment_status) == ("corporate", 1, PaymentStatus.PAID)
    (transaction,) = people.bills(row.id)[1]
    assert (transaction.processor, transaction.payer_partner_id, transaction.amount) == ("corporate", 1, PRICE)
    assert [each.transaction_id for each in partner.charges][-1] == transaction.id
    refused = charged(people, user, accepted=False)
    assert (refused.paid_from, len(partner.charges)) == ("payment_method", 2), "energy that flows is the driver's own"
    assert people.balance(user) == 50


def test_nobody_may_bill_to_a_partner_until_somebody_offers_it(people: Cast) -> None:
    user = driver(people, balance="50")
    set_tag(people, user, TagPayment.CORPORATE, payer_partner_id=1)
    outcome = start(people, people.station(), tag_of(user))
    assert (outcome.accepted, outcome.reason) == (False, "corporate_billing_not_allowed")
    assert people.charge(outcome.session_id).paid_from == "balance"


# ---------------------------------------------------------------------- what an operator may choose


def test_the_choices_of_the_dialog_are_those_of_the_user(people: Cast, partner: OnePartner) -> None:
    user = driver(people, "approve")
    older = card(people, driver(people), "approve")
    own = people.session.query(PaymentMethod).filter_by(user_id=user.id).one()

    def keys() -> list[str]:
        return [each.key for each in paying.choices(people.session, user_id=user.id, now=NOW)]

    assert keys() == ["last_used", f"method:{own.id}", "balance", "corporate:1"]
    by_strategy(people, "preauthorize")
    assert keys() == ["last_used", f"method:{own.id}", "corporate:1"]
    by_strategy(people, "balance_or_payment_method", payment_method_not_for_sessions=True)
    assert keys() == ["last_used", "balance", "corporate:1"]
    with pytest.raises(paying.CannotPay):
        paying.wish_of_choice(people.session, key=f"method:{older.id}", user_id=user.id, now=NOW)
    assert [each.key for each in paying.choices(people.session, user_id=None, now=NOW)] == ["last_used"]
