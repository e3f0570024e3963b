"""Sessions become money once: debited under every race, free, anonymous, owed and settled, priced again alike."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.billing import ledger
from app.billing.models import LedgerEntryType, TransactionStatus
from app.charging import bill, clockwork, stops
from app.charging.endings import finish_by_rule
from app.charging.lifecycle import PaymentStatus, SessionEvent, SessionStatus
from app.charging.models import ChargingSession
from app.charging.stops import Stop
from app.core import events
from app.core.money import Money
from app.crm.models import User
from app.tariffs.models import Tariff, TariffType
from tests.support.charging import NOW, at_once, start, stop, tag_of
from tests.support.gateway import Cast, people, station_of

__all__ = ["people"]  # a fixture

#: 0.50 connection + 40 min × 0.02 + 7.4 kWh × 0.40
PRICE = Decimal("4.26")


def charged(people: Cast, user: User, charge_point: ChargePoint | None = None) -> int:
    """A charge of 7.4 kWh in 40 minutes, finished and billed."""
    charge_point = charge_point or people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    stop(people, charge_point, session_id=number)
    return number


def top_up(people: Cast, user: User, amount: str, reference: str) -> None:
    """Money for a driver, committed."""
    ledger.credit(
        people.session,
        user_id=user.id,
        amount=Decimal(amount),
        currency="EUR",
        type=LedgerEntryType.TOP_UP,
        reference=reference,
        now=NOW,
    )
    people.session.commit()


# ---------------------------------------------------------------------- once


def test_net_vat_and_gross_agree_in_session_ledger_and_transaction(people: Cast) -> None:
    user = people.driver(balance="50.00")
    number = charged(people, user)
    row = people.charge(number)
    assert (row.total_gross, row.total_net, row.total_vat) == (PRICE, Decimal("3.55"), Decimal("0.71"))
    assert row.payment_status is PaymentStatus.PAID
    ((entry,), (transaction,)) = people.bills(number)
    assert (entry.debit, entry.balance_after) == (PRICE, Decimal("45.74"))
    assert (transaction.amount, transaction.status) == (PRICE, TransactionStatus.SUCCEEDED)
    assert transaction.processor_reference == f"ledger:{entry.id}"
    assert sum(Decimal(line["amount"]) for line in row.price_lines or ()) == PRICE


def test_stops_at_once_debit_once(app: Flask, people: Cast) -> None:
    user, charge_point = people.driver(), people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    station, later = station_of(charge_point), NOW + timedelta(minutes=40)

    def work(session: Session) -> bool:
        told = Stop(session_id=number, meter_stop_wh=Decimal(8400), reported_at=later)
        return stops.stop_session(session, station=station, stop=told, now=later).changed

    outcomes = at_once(app, *[work] * 6)
    assert sorted(map(repr, outcomes)) == ["False"] * 5 + ["True"]
    assert people.charge(number).total_gross == PRICE
    entries, transactions = people.bills(number)
    assert (len(entries), len(transactions)) == (1, 1)
    assert people.balance(user) == Decimal(50) - PRICE


def test_a_stop_a_rule_and_the_clockwork_at_once_debit_once(app: Flask, people: Cast) -> None:
    user, charge_point = people.driver(), people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    station, later = station_of(charge_point), NOW + timedelta(minutes=40)

    def by_station(session: Session) -> None:
        told = Stop(session_id=number, meter_stop_wh=Decimal(8400), reported_at=later)
        stops.stop_session(session, station=station, stop=told, now=later)

    def by_rule(session: Session) -> None:
        row = session.get_one(ChargingSession, number, with_for_update=True)
        if row.status is SessionStatus.ACTIVE:
            finish_by_rule(session, row, event=SessionEvent.INACTIVITY_ELAPSED, flag="no_stop_message", now=later)

    def by_clockwork(session: Session) -> None:
        clockwork.bill(session, session_id=number, now=later)

    assert at_once(app, by_station, by_rule, by_clockwork, by_station, by_rule, by_clockwork) == [None] * 6
    entries, transactions = people.bills(number)
    row = people.charge(number)
    assert row.status is SessionStatus.FINISHED
    assert [entry.debit for entry in entries] == [row.total_gross]
    assert [transaction.amount for transaction in transactions] == [row.total_gross]


def test_two_sessions_of_one_driver_at_once_do_not_lose_each_other(app: Flask, people: Cast) -> None:
    user = people.driver(balance="10.00")
    places = [people.station() for _ in range(4)]
    numbers = [start(people, place, tag_of(user)).session_id for place in places]
    later = NOW + timedelta(minutes=40)

    def stopping(place: ChargePoint, number: int) -> Any:
        station = station_of(place)
        told = Stop(session_id=number, meter_stop_wh=Decimal(8400), reported_at=later)
        return lambda session: stops.stop_session(session, station=station, stop=told, now=later).changed

    assert at_once(app, *map(stopping, places, numbers)) == [True] * 4
    assert people.balance(user) == Decimal(10) - 4 * PRICE
    paid = [people.charge(number).payment_status for number in numbers]
    assert sorted(paid) == [PaymentStatus.OUTSTANDING] * 2 + [PaymentStatus.PAID] * 2


# ---------------------------------------------------------------------- nobody or nothing to bill


def test_a_free_tariff_moves_no_money(people: Cast) -> None:
    user = people.driver(balance="1.00")
    number = charged(people, user, people.station(group=people.tariff_group(type=TariffType.FREE)))
    row = people.charge(number)
    assert (row.payment_status, row.total_gross, row.total_net, row.total_vat) == (PaymentStatus.FREE, 0, 0, 0)
    assert people.bills(number) == ([], [])
    assert people.balance(user) == 1


def test_nobody_to_bill_is_said_and_not_priced(people: Cast) -> None:
    charge_point = people.station(plug_and_charge=True)
    number = start(people, charge_point, None).session_id
    stop(people, charge_point, session_id=number)
    row = people.charge(number)
    assert (row.payment_status, row.total_gross, row.currency) == (PaymentStatus.NOT_BILLED, None, None)
    assert row.energy_wh == 7400
    assert people.bills(number) == ([], [])


# ---------------------------------------------------------------------- owed


def test_what_is_owed_is_settled_by_the_credit_that_brings_the_balance_back(people: Cast) -> None:
    user = people.driver(balance="1.00")
    number = charged(people, user)
    assert people.charge(number).payment_status is PaymentStatus.OUTSTANDING
    assert people.bills(number)[1][0].status is TransactionStatus.OUTSTANDING
    assert people.balance(user) == Decimal("-3.26")
    refused = start(people, people.station(), tag_of(user), reported_at=NOW + timedelta(hours=1), now=NOW)
    assert refused.reason == "outstanding_amount"
    top_up(people, user, "3.25", "a")
    assert people.charge(number).payment_status is PaymentStatus.OUTSTANDING, "a cent is missing"
    top_up(people, user, "0.01", "b")
    assert people.charge(number).payment_status is PaymentStatus.PAID
    (transaction,) = people.bills(number)[1]
    assert (transaction.status, transaction.amount) == (TransactionStatus.SUCCEEDED, PRICE)
    assert len(people.bills(number)[0]) == 1, "settling books nothing: the debit was booked at the stop"


def test_a_crash_between_credit_and_settling_is_made_good_by_the_clockwork(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, other = people.driver(balance="1.00"), people.driver(balance="1.00")
    number, still_owed = charged(people, user), charged(people, other)
    monkeypatch.setitem(events._listeners, "balance.settled", lambda event: None)
    top_up(people, user, "20.00", "a")
    assert people.charge(number).payment_status is PaymentStatus.OUTSTANDING
    assert clockwork.settle(people.session, now=NOW) == 1
    people.session.commit()
    assert clockwork.settle(people.session, now=NOW) == 0
    assert people.charge(number).payment_status is PaymentStatus.PAID
    assert people.charge(still_owed).payment_status is PaymentStatus.OUTSTANDING


def test_a_balance_that_is_used_up_to_the_cent_is_enough(people: Cast) -> None:
    user = people.driver(balance=str(PRICE))
    assert people.charge(charged(people, user)).payment_status is PaymentStatus.PAID
    assert people.balance(user) == 0


# ---------------------------------------------------------------------- what cannot be priced


def _break_price(people: Cast, number: int) -> dict[str, Any]:
    row = people.charge(number)
    whole = dict(row.tariff_snapshot or {})
    row.tariff_snapshot = {"type": "flat", **{k: v for k, v in whole.items() if k != "type"}, "price_per_session": None}
    people.session.commit()
    return whole


def test_a_price_that_cannot_be_calculated_waits_and_is_never_zero(people: Cast) -> None:
    user, charge_point = people.driver(), people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    whole = _break_price(people, number)
    assert stop(people, charge_point, session_id=number).changed, "the stop is confirmed all the same"
    row = people.charge(number)
    assert (row.status, row.payment_status, row.total_gross) == (SessionStatus.FINISHED, PaymentStatus.PENDING, None)
    assert row.flags == ["price_problem"]
    assert people.bills(number) == ([], [])
    later = NOW + timedelta(hours=2)
    assert clockwork.unbilled(people.session, now=later) == [number]
    clockwork.bill(people.session, session_id=number, now=later)
    people.session.commit()
    assert people.charge(number).payment_status is PaymentStatus.PENDING
    row = people.charge(number)
    row.tariff_snapshot = whole
    people.session.commit()
    for _ in range(2):
        clockwork.bill(people.session, session_id=number, now=later)
        people.session.commit()
    row = people.charge(number)
    assert (row.payment_status, row.total_gross, row.flags) == (PaymentStatus.PAID, PRICE, [])
    assert len(people.bills(number)[0]) == 1
    assert clockwork.unbilled(people.session, now=later) == []


def test_those_that_cannot_be_priced_do_not_keep_the_others_waiting(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clockwork, "BATCH", 2)
    user = people.driver(balance="90.00")
    broken = []
    for _ in range(2):
        charge_point = people.station()
        number = start(people, charge_point, tag_of(user)).session_id
        _break_price(people, number)
        stop(people, charge_point, session_id=number)
        broken.append(number)
    waiting = charged(people, user)
    people.session.execute(
        update(ChargingSession).where(ChargingSession.id == waiting).values(payment_status=PaymentStatus.PENDING)
    )
    people.session.commit()
    assert clockwork.unbilled(people.session, now=NOW + timedelta(hours=2)) == [waiting, broken[0]]


# ---------------------------------------------------------------------- priced again


def test_the_snapshot_prices_the_session_again_whatever_became_of_the_tariff(app: Flask, people: Cast) -> None:
    user, charge_point = people.driver(), people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    people.session.execute(update(Tariff).values(price_per_kwh=Decimal(9), connection_fee=Decimal(9)))
    stop(people, charge_point, session_id=number)
    assert people.charge(number).total_gross == PRICE
    check = bill.check_price(people.session, session_id=number)
    assert check.agrees
    assert check.priced.total.gross == Money(PRICE, check.priced.total.gross.currency)
    result = app.test_cli_runner().invoke(args=["price", str(number)])
    assert result.exit_code == 0, result.output
    assert "Equals what was billed: 4.26 EUR" in result.output


def test_a_bill_that_does_not_agree_says_so(app: Flask, people: Cast) -> None:
    number = charged(people, people.driver())
    people.session.execute(
        update(ChargingSession)
        .where(ChargingSession.id == number)
        .values(total_gross=Decimal("4.27"), total_vat=Decimal("0.72"))
    )
    people.session.commit()
    result = app.test_cli_runner().invoke(args=["price", str(number)])
    assert result.exit_code == 1
    assert "DIFFERS from what was billed: 4.27 EUR" in result.output


def test_pricing_an_unknown_or_unpriced_session_says_why(app: Flask, people: Cast) -> None:
    runner = app.test_cli_runner()
    unknown = runner.invoke(args=["price", "987654321"])
    assert (unknown.exit_code, unknown.stderr.strip()) == (1, "price: there is no session 987654321")
    charge_point = people.station(plug_and_charge=True)
    number = start(people, charge_point, None).session_id
    unpriced = runner.invoke(args=["price", str(number)])
    assert unpriced.exit_code == 1
    assert unpriced.stderr.strip() == f"price: session {number} has no tariff"
    huge = runner.invoke(args=["price", "9" * 30])
    assert (huge.exit_code, huge.stderr.strip()) == (1, f"price: there is no session {'9' * 30}")
