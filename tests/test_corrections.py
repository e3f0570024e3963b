"""Corrections of a session's price: who pays what afterwards, once, under every race, with books that agree."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit_money import run
from app.audit_money.checks import Period
from app.billing.models import Receipt, Transaction, TransactionStatus, TransactionType
from app.billing.payments import orders, refunds
from app.charging import bill, clockwork, price_versions, stops
from app.charging.corrections import corrections
from app.charging.corrections.corrections import AssignUser, ChangedMeanwhile, ChangeTariff, Corrected, Credit, Order
from app.charging.corrections.plan import NotEnoughLeft
from app.charging.corrections.prepare import NoSuchTariff, NothingChanges, prepare
from app.charging.corrections.rules import CorrectionRefused, NoPriceYet, PaymentUnderWay
from app.charging.lifecycle import PaymentStatus
from app.charging.models import ChargingSession, SessionPriceVersion
from app.charging.receipts import issuing
from app.core.actions import ReasonRequired
from app.core.db import separate_transaction
from app.core.models import Action, ActionStatus, AuditEntry
from app.crm.models import User
from app.tariffs.models import Tariff, TariffType
from tests.support.charging import NOW, at_once, start, stop, tag_of
from tests.support.gateway import Cast, people, station_of
from tests.support.strategies import ask_due, back_to_usual, begin, by_strategy, card

__all__ = ["people"]  # a fixture

LATER = NOW + timedelta(hours=2)
#: 0.50 connection + 40 min × 0.02 + 7.4 kWh × 0.40
PRICE = Decimal("4.26")
_keys = itertools.count(1)


@pytest.fixture(autouse=True)
def books(people: Cast) -> Iterator[None]:
    """After every test the books agree, whatever was corrected."""
    yield
    people.session.rollback()
    period = Period(now=LATER + timedelta(hours=1))
    found = [
        f"{check.title}: {words}"
        for check, words in run.differences_here(people.session, period)
        if check.title != "Each credit of a voucher or top-up has its voucher"  # the drivers' first money has none
    ]
    people.session.rollback()
    back_to_usual(people)
    assert found == []


def tariff(people: Cast, name: str, **prices: Any) -> Tariff:
    """A tariff that is attached to no group."""
    terms = {"type": TariffType.DURATION_ENERGY, **prices}
    row = Tariff(name=f"{name} {next(_keys)}", **terms)
    people.session.add(row)
    people.session.commit()
    return row


def charged(people: Cast, user: User | None, **fields: Any) -> ChargingSession:
    """A charge of 7.4 kWh in 40 minutes, finished, billed and paid as far as it can be."""
    place = people.station(**fields)
    number = start(people, place, tag_of(user) if user else None).session_id
    stop(people, place, session_id=number)
    ask_due(people, NOW + timedelta(minutes=41))
    return people.charge(number)


def correct(people: Cast, row: ChargingSession, order: Order, *, ask: bool = True, **more: Any) -> Corrected:
    """A correction, committed, and the processor's turn."""
    given: dict[str, Any] = {
        "reason": "The driver called",
        "actor": None,
        "key": f"test-{next(_keys)}",
        "seen": corrections.seen_of(row),
        "now": LATER,
        **more,
    }
    done = corrections.correct(people.session, charging_session=row, order=order, **given)
    people.session.commit()
    if ask:
        ask_due(people, LATER)
    return done


def moved(people: Cast, row: ChargingSession) -> list[tuple[str, Decimal, str]]:
    """The session's transactions: what, how much, where it stands."""
    rows = people.again().scalars(select(Transaction).where(Transaction.session_id == row.id).order_by(Transaction.id))
    return [(each.type.value, each.amount, each.status.value) for each in rows]


def versions(people: Cast, row: ChargingSession) -> list[tuple[int, str, Decimal]]:
    """The versions of the session's price, oldest first."""
    found = people.again().scalars(
        select(SessionPriceVersion).where(SessionPriceVersion.session_id == row.id).order_by(SessionPriceVersion.number)
    )
    return [(each.number, each.cause.value, each.total_gross) for each in found]


# ---------------------------------------------------------------------- tariff


def test_a_cheaper_tariff_gives_the_difference_back_to_the_balance(people: Cast) -> None:
    user = people.driver(balance="50.00")
    row = charged(people, user)
    cheap = tariff(people, "Cheap", price_per_kwh="0.30")
    done = correct(people, row, ChangeTariff(cheap.id))
    row = people.charge(row.id)
    assert (row.total_gross, row.tariff_name, row.price_version) == (Decimal("2.22"), cheap.name, 2)
    assert row.payment_status is PaymentStatus.PAID
    assert versions(people, row) == [(1, "billed", PRICE), (2, "tariff_changed", Decimal("2.22"))]
    assert moved(people, row) == [("charge", PRICE, "succeeded"), ("refund", Decimal("2.04"), "succeeded")]
    assert people.balance(user) == Decimal(50) - Decimal("2.22")
    action = people.session.get_one(Action, done.action.id)
    assert (action.name, action.status, action.target_id) == ("Change tariff", ActionStatus.FINISHED, row.id)
    assert action.info == f"Tariff {cheap.name}, 4.26 → 2.22 EUR, 2.04 given back"
    entry = people.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (entry.before["total_gross"], entry.after["total_gross"]) == ("4.26", "2.22")


def test_a_dearer_tariff_is_charged_or_waived(people: Cast) -> None:
    user = people.driver(balance="50.00")
    dear = tariff(people, "Dear", price_per_kwh="1.00")
    asked, waived = charged(people, user), charged(people, user)
    correct(people, asked, ChangeTariff(dear.id))
    correct(people, waived, ChangeTariff(dear.id, waive=True))
    assert moved(people, asked) == [("charge", PRICE, "succeeded"), ("charge", Decimal("3.14"), "succeeded")]
    assert moved(people, waived) == [("charge", PRICE, "succeeded"), ("charge", Decimal("3.14"), "cancelled")]
    for row in (asked, waived):
        fresh = people.charge(row.id)
        assert (fresh.total_gross, fresh.payment_status) == (Decimal("7.40"), PaymentStatus.PAID)
    assert people.balance(user) == Decimal(50) - PRICE - Decimal("7.40")


def test_a_free_tariff_gives_everything_back(people: Cast) -> None:
    user = people.driver(balance="10.00")
    row = charged(people, user)
    correct(people, row, ChangeTariff(tariff(people, "Free", type=TariffType.FREE).id))
    assert people.charge(row.id).payment_status is PaymentStatus.REFUNDED
    assert people.balance(user) == Decimal(10)


def test_what_is_the_same_is_refused(people: Cast) -> None:
    row = charged(people, people.driver())
    assert row.tariff_id is not None and row.user_id is not None
    with pytest.raises(NothingChanges):
        correct(people, row, ChangeTariff(row.tariff_id))
    with pytest.raises(NothingChanges):
        correct(people, row, AssignUser(row.user_id))
    with pytest.raises(NoSuchTariff):
        correct(people, row, ChangeTariff(10**9))
    with pytest.raises(ReasonRequired):
        correct(people, row, Credit(), reason="   ")
    assert versions(people, row) == [(1, "billed", PRICE)]


def test_a_card_gets_its_money_back_by_the_processor(people: Cast) -> None:
    by_strategy(people, "after_session")
    user = people.driver(balance="0")
    card(people, user)
    row = charged(people, user)
    done = correct(people, row, ChangeTariff(tariff(people, "Cheap", price_per_kwh="0.30").id), ask=False)
    assert people.session.get_one(Action, done.action.id).status is ActionStatus.PENDING
    assert moved(people, row)[1:] == [("refund", Decimal("2.04"), "pending")]
    ask_due(people, LATER)
    assert moved(people, row)[1:] == [("refund", Decimal("2.04"), "succeeded")]
    assert people.session.get_one(Action, done.action.id).status is ActionStatus.FINISHED


def test_an_owed_charge_is_withdrawn_and_asked_anew(people: Cast) -> None:
    by_strategy(people, "after_session")
    user = people.driver(balance="0")
    card(people, user, "decline")
    row = charged(people, user)
    assert row.payment_status is PaymentStatus.OUTSTANDING
    correct(people, row, ChangeTariff(tariff(people, "Cheap", price_per_kwh="0.30").id))
    assert moved(people, row) == [("charge", PRICE, "cancelled"), ("charge", Decimal("2.22"), "outstanding")]
    row = people.charge(row.id)
    assert row.payment_status is PaymentStatus.OUTSTANDING
    correct(people, row, Credit())
    assert people.charge(row.id).payment_status is PaymentStatus.NOT_BILLED


def test_a_balance_below_zero_owes_only_the_new_price(people: Cast) -> None:
    user = people.driver(balance="1.00")
    row = charged(people, user)
    assert row.payment_status is PaymentStatus.OUTSTANDING
    correct(people, row, ChangeTariff(tariff(people, "Cheap", price_per_kwh="0.30").id))
    assert people.balance(user) == Decimal("1.00") - Decimal("2.22")
    row = people.charge(row.id)
    assert row.payment_status is PaymentStatus.OUTSTANDING
    correct(people, row, Credit(Decimal("2.00")))
    assert people.balance(user) == Decimal("0.78")
    assert people.charge(row.id).payment_status is PaymentStatus.PAID


# ---------------------------------------------------------------------- credit


def test_a_credit_is_a_line_and_a_refund_and_can_be_given_again(people: Cast) -> None:
    user = people.driver(balance="50.00")
    row = charged(people, user)
    correct(people, row, Credit(Decimal("1.00")))
    row = people.charge(row.id)
    assert (row.total_gross, row.total_net, row.total_vat) == (Decimal("3.26"), Decimal("2.72"), Decimal("0.54"))
    assert [line["amount"] for line in row.price_lines or ()][-1] == "-1.00"
    check = bill.check_price(people.session, session_id=row.id)
    assert check.agrees and check.credits == (Decimal("1.00"),)
    correct(people, row, Credit())
    row = people.charge(row.id)
    assert (row.total_gross, row.payment_status) == (Decimal(0), PaymentStatus.REFUNDED)
    assert people.balance(user) == Decimal(50)
    assert bill.check_price(people.session, session_id=row.id).agrees


def test_a_credit_stays_when_the_tariff_changes_and_goes_with_the_driver(people: Cast) -> None:
    user, other = people.driver(), people.driver()
    row = charged(people, user)
    correct(people, row, Credit(Decimal("1.00")))
    correct(people, people.charge(row.id), ChangeTariff(tariff(people, "Cheap", price_per_kwh="0.30").id))
    assert people.charge(row.id).total_gross == Decimal("1.22")
    correct(people, people.charge(row.id), AssignUser(other.id, keep_price=True))
    assert people.charge(row.id).total_gross == Decimal("2.22")
    assert (people.balance(user), people.balance(other)) == (Decimal(50), Decimal(50) - Decimal("2.22"))


@pytest.mark.parametrize("amount", ["0", "-1", "4.27", "0.001"])
def test_no_more_than_the_price_is_credited(people: Cast, amount: str) -> None:
    row = charged(people, people.driver())
    with pytest.raises(orders.InvalidAmount):
        correct(people, row, Credit(Decimal(amount)))


def test_what_was_refunded_before_is_not_given_back_again(people: Cast) -> None:
    user = people.driver(balance="50.00")
    row = charged(people, user)
    (charge,) = people.bills(row.id)[1]
    refunds.refund(people.session, transaction=charge, amount=Decimal("3.00"), reason="Blocked", actor=None, now=LATER)
    people.session.commit()
    with pytest.raises(NotEnoughLeft, match=r"2\.74"):
        correct(people, people.charge(row.id), Credit(Decimal("4.00")))
    correct(people, people.charge(row.id), Credit(Decimal("1.26")))
    assert people.balance(user) == Decimal(50)


# ---------------------------------------------------------------------- user


def test_another_driver_pays_and_the_first_gets_it_back(people: Cast) -> None:
    wrong, right = people.driver(balance="20.00"), people.driver(balance="30.00")
    row = charged(people, wrong)
    correct(people, row, AssignUser(right.id))
    row = people.charge(row.id)
    assert (row.user_id, row.payment_status, row.price_version) == (right.id, PaymentStatus.PAID, 2)
    assert (people.balance(wrong), people.balance(right)) == (Decimal(20), Decimal(30) - PRICE)
    chain = price_versions.chain(people.session, session_id=row.id)
    assert chain[0].user_changed and not chain[0].tariff_changed and chain[0].difference == 0


def test_another_driver_is_asked_by_card_and_an_earlier_refund_is_part_of_it(people: Cast) -> None:
    by_strategy(people, "after_session")
    wrong, right = people.driver(balance="0"), people.driver(balance="0")
    card(people, wrong)
    card(people, right)
    row = charged(people, wrong)
    (charge,) = people.bills(row.id)[1]
    refunds.refund(people.session, transaction=charge, amount=Decimal("1.00"), reason="Slow", actor=None, now=LATER)
    people.session.commit()
    ask_due(people, LATER)
    correct(people, people.charge(row.id), AssignUser(right.id))
    assert [(type_, amount) for type_, amount, _ in moved(people, row)] == [
        ("charge", PRICE),
        ("refund", Decimal("1.00")),
        ("refund", Decimal("3.26")),
        ("charge", PRICE),
    ]
    assert people.charge(row.id).payment_status is PaymentStatus.PAID


def test_a_session_without_driver_gets_one_and_is_billed(people: Cast) -> None:
    user = people.driver(balance="20.00")
    row = charged(people, None, plug_and_charge=True)
    assert (row.user_id, row.payment_status) == (None, PaymentStatus.NOT_BILLED)
    with pytest.raises(NoSuchTariff):
        correct(people, row, AssignUser(user.id, keep_price=True))
    correct(people, row, AssignUser(user.id))
    row = people.charge(row.id)
    assert (row.total_gross, row.payment_status) == (PRICE, PaymentStatus.PAID)
    assert versions(people, row) == [(1, "user_assigned", PRICE)]
    assert people.balance(user) == Decimal(20) - PRICE


def test_while_it_runs_driver_and_tariff_count_at_the_end(people: Cast) -> None:
    by_strategy(people, "preauthorize", preauthorize_amount="20")
    wrong, right = people.driver(balance="0"), people.driver(balance="0")
    card(people, wrong)
    card(people, right)
    place = people.station()
    number = begin(people, place, wrong).session_id
    row = people.charge(number)
    cheap = tariff(people, "Cheap", price_per_kwh="0.30")
    correct(people, row, AssignUser(right.id), now=NOW)
    correct(people, people.charge(number), ChangeTariff(cheap.id), now=NOW)
    with pytest.raises(NoPriceYet):
        correct(people, people.charge(number), Credit(), now=NOW)
    stop(people, place, session_id=number)
    ask_due(people, NOW + timedelta(minutes=41))
    row = people.charge(number)
    assert (row.user_id, row.total_gross, row.payment_status) == (right.id, Decimal("2.22"), PaymentStatus.PAID)
    assert versions(people, row) == [(1, "billed", Decimal("2.22"))]
    by_user = {(each.user_id, each.type, each.status) for each in people.bills(number)[1]}
    assert (wrong.id, TransactionType.VOID, TransactionStatus.SUCCEEDED) in by_user
    assert (right.id, TransactionType.CHARGE, TransactionStatus.SUCCEEDED) in by_user
    assert not any(user == wrong.id and kind is TransactionType.CAPTURE for user, kind, _ in by_user)


def test_a_session_that_could_not_be_priced_is_by_another_tariff(people: Cast) -> None:
    user = people.driver()
    place = people.station()
    number = start(people, place, tag_of(user)).session_id
    row = people.charge(number)
    row.tariff_snapshot = {**(row.tariff_snapshot or {}), "type": "by the mood"}
    people.session.commit()
    stop(people, place, session_id=number)
    row = people.charge(number)
    assert row.payment_status is PaymentStatus.PENDING
    correct(people, row, ChangeTariff(tariff(people, "Cheap", price_per_kwh="0.30").id))
    row = people.charge(row.id)
    assert (row.total_gross, row.payment_status, row.flags) == (Decimal("2.22"), PaymentStatus.PAID, [])


# ---------------------------------------------------------------------- once


def test_a_form_sent_twice_is_one_correction(app: Flask, people: Cast) -> None:
    user = people.driver()
    row = charged(people, user)

    def work(session: Session) -> int:
        return corrections.correct(
            session,
            charging_session=session.get_one(ChargingSession, row.id),
            order=Credit(Decimal("1.00")),
            reason="Blocked",
            actor=None,
            key="one-form",
            seen=None,
            now=LATER,
        ).action.id

    outcomes = at_once(app, *[work] * 5)
    assert len(set(map(repr, outcomes))) == 1 and isinstance(outcomes[0], int)
    assert versions(people, row) == [(1, "billed", PRICE), (2, "credit", Decimal("3.26"))]
    assert people.balance(user) == Decimal(50) - Decimal("3.26")


def test_of_two_corrections_at_once_the_second_has_to_look_again(app: Flask, people: Cast) -> None:
    user, other = people.driver(), people.driver()
    row = charged(people, user)
    seen = corrections.seen_of(row)
    number, other_id, cheap = row.id, other.id, tariff(people, "Cheap", price_per_kwh="0.30").id

    def by(order: Order, key: str) -> Any:
        def work(session: Session) -> str:
            corrections.correct(
                session,
                charging_session=session.get_one(ChargingSession, number),
                order=order,
                reason="At once",
                actor=None,
                key=key,
                seen=seen,
                now=LATER,
            )
            return "done"

        return work

    outcomes = at_once(
        app,
        by(Credit(Decimal("1.00")), "a"),
        by(AssignUser(other_id), "b"),
        by(ChangeTariff(cheap), "c"),
        by(Credit(), "d"),
    )
    assert outcomes.count("done") == 1
    assert all(isinstance(each, ChangedMeanwhile) for each in outcomes if each != "done")
    assert len(versions(people, row)) == 2


def test_correcting_while_it_is_billed_bills_once(app: Flask, people: Cast) -> None:
    user, place = people.driver(), people.station()
    number = start(people, place, tag_of(user)).session_id
    cheap = tariff(people, "Cheap", price_per_kwh="0.30").id
    stopped = NOW + timedelta(minutes=40)

    def bill_it(session: Session) -> str:
        clockwork.bill(session, session_id=number, now=stopped)
        return "billed"

    def correct_it(session: Session) -> str:
        row = session.get_one(ChargingSession, number)
        corrections.correct(
            session,
            charging_session=row,
            order=ChangeTariff(cheap),
            reason="x",
            actor=None,
            key=f"race-{number}",
            seen=None,
            now=stopped,
        )
        return "corrected"

    def stop_it(session: Session) -> str:
        told = stops.Stop(session_id=number, meter_stop_wh=Decimal(8400), reported_at=stopped)
        stops.stop_session(session, station=station_of(place), stop=told, now=stopped)
        return "stopped"

    outcomes = at_once(app, stop_it, correct_it, bill_it, correct_it, stop_it)
    assert "corrected" in outcomes and all(isinstance(each, str | CorrectionRefused) for each in outcomes)
    row = people.charge(number)
    assert (row.total_gross, row.payment_status) == (Decimal("2.22"), PaymentStatus.PAID)
    assert people.balance(user) == Decimal(50) - Decimal("2.22")


def test_an_unanswered_charge_is_waited_for(people: Cast) -> None:
    by_strategy(people, "after_session")
    user = people.driver(balance="0")
    card(people, user)
    place = people.station()
    number = start(people, place, tag_of(user)).session_id
    stop(people, place, session_id=number)
    with pytest.raises(PaymentUnderWay):
        correct(people, people.charge(number), Credit())
    ask_due(people, NOW + timedelta(minutes=41))


def test_the_preview_changes_nothing_and_says_what_is_done(people: Cast) -> None:
    row = charged(people, people.driver())
    cheap = tariff(people, "Cheap", price_per_kwh="0.30")
    before = moved(people, row)
    found = prepare(people.session, people.charge(row.id), ChangeTariff(cheap.id), now=LATER)
    assert (found.before, found.difference, found.plan.given_back) == (PRICE, Decimal("-2.04"), Decimal("2.04"))
    people.session.commit()
    assert moved(people, row) == before
    assert versions(people, row) == [(1, "billed", PRICE)]


# ---------------------------------------------------------------------- the chain


def test_a_chain_of_corrections_moves_the_sum_of_its_differences(people: Cast) -> None:
    first, second = people.driver(balance="100"), people.driver(balance="100")
    prices = [tariff(people, f"T{n}", price_per_kwh=str(Decimal(n) / 10)) for n in (1, 9, 3, 12)]
    row = charged(people, first)
    for order in (
        ChangeTariff(prices[1].id),
        Credit(Decimal("0.50")),
        AssignUser(second.id, keep_price=True),
        ChangeTariff(prices[3].id, waive=True),
        ChangeTariff(prices[0].id),
        AssignUser(first.id),
        Credit(Decimal("0.10")),
        ChangeTariff(prices[2].id),
    ):
        correct(people, people.charge(row.id), order)
    row = people.charge(row.id)
    chain = price_versions.chain(people.session, session_id=row.id)
    assert [step.version.number for step in chain] == list(range(9, 0, -1))
    assert sum(step.difference or 0 for step in chain) == (row.total_gross or 0) - PRICE
    net = sum(
        (amount if kind == "charge" else -amount)
        for kind, amount, status in moved(people, row)
        if status == "succeeded"
    )
    assert net == row.total_gross
    assert people.balance(first) + people.balance(second) == Decimal(200) - (row.total_gross or 0)
    assert people.balance(second) == Decimal(100)


# ---------------------------------------------------------------------- receipts


def receipts(people: Cast, now: datetime) -> list[tuple[str, str, Decimal]]:
    """Kind, recipient and total of every receipt after the clockwork's turn, oldest first."""
    people.session.commit()
    issuing.tend(separate_transaction, clock=lambda: now)
    rows = people.again().scalars(select(Receipt).order_by(Receipt.id))
    return [(row.kind.value, row.recipient, row.total_gross) for row in rows]


def test_receipts_follow_the_corrections(people: Cast) -> None:
    people.set("receipt.per", issuing.PER_SESSION)
    user, other = people.driver(balance="50"), people.driver(balance="50")
    dear = tariff(people, "Dear", price_per_kwh="1.00")
    row = charged(people, user)
    expected = [("receipt", user.email, PRICE)]
    assert receipts(people, LATER) == expected
    for order, added in (
        (Credit(Decimal("1.00")), [("credit_note", user.email, Decimal("1.00"))]),
        (ChangeTariff(dear.id), [("receipt", user.email, Decimal("3.14"))]),
        (
            AssignUser(other.id, keep_price=True),
            [
                ("receipt", other.email, Decimal("7.40")),
                ("credit_note", user.email, Decimal("3.26")),
                ("credit_note", user.email, Decimal("3.14")),
            ],
        ),
        (
            AssignUser(user.id, keep_price=True),
            [("receipt", user.email, Decimal("7.40")), ("credit_note", other.email, Decimal("7.40"))],
        ),
    ):
        correct(people, people.charge(row.id), order)
        expected += added
        assert sorted(receipts(people, LATER)) == sorted(expected), order


def test_a_receipt_after_the_correction_has_the_new_price_and_no_note(people: Cast) -> None:
    people.set("receipt.per", issuing.PER_SESSION)
    user = people.driver()
    row = charged(people, user)
    correct(people, row, Credit(Decimal("1.00")))
    assert receipts(people, LATER) == [("receipt", user.email, Decimal("3.26"))]
