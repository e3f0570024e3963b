"""The four billing strategies over a real socket: who may charge, and why not. Manual, "User billing settings"."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy import select, text

from app.assets.models import ChargePoint
from app.billing.models import Transaction
from app.charging.lifecycle import PaymentStatus
from app.charging.models import Authorization
from app.core.db import db
from app.tariffs.models import TariffType
from tests.support.charging import tag_of
from tests.support.gateway import House, ago, house, server
from tests.support.strategies import ask_due, back_to_usual, by_strategy, driver, moved

__all__ = ["house", "server"]  # fixtures

D = Decimal

#: what a driver has: the cards' aliases, the balance
DRIVERS: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": ((), "0"),
    "card": (("approve",), "0"),
    "declining card": (("decline",), "0"),
    "balance below": ((), "9.99"),
    "balance at": ((), "10.00"),
    "balance above": ((), "10.01"),
}
NEITHER, NO_CARD = "payment_method_or_balance_required", "payment_method_required"

#: strategy, its settings → the reason why each driver is turned away (None: may charge)
STRATEGIES: dict[str, tuple[str, dict[str, object], dict[str, str | None]]] = {
    "1": (
        "after_session",
        {},
        {
            "nothing": NO_CARD,
            "card": None,
            "declining card": None,
            "balance below": NO_CARD,
            "balance at": NO_CARD,
            "balance above": NO_CARD,
        },
    ),
    "2": (
        "preauthorize",
        {},
        {
            "nothing": NO_CARD,
            "card": None,
            "declining card": "preauthorization_declined",
            "balance below": NO_CARD,
            "balance at": NO_CARD,
            "balance above": NO_CARD,
        },
    ),
    "3": (
        "balance_or_payment_method",
        {"minimum_balance_to_start": "10"},
        {
            "nothing": NEITHER,
            "card": None,
            "declining card": None,
            "balance below": NEITHER,
            "balance at": None,
            "balance above": None,
        },
    ),
    "3, not directly": (
        "balance_or_payment_method",
        {"minimum_balance_to_start": "10", "payment_method_not_for_sessions": True},
        {
            "nothing": "balance_below_minimum",
            "card": "balance_below_minimum",
            "declining card": "balance_below_minimum",
            "balance below": "balance_below_minimum",
            "balance at": None,
            "balance above": None,
        },
    ),
    "4": ("none", {}, dict.fromkeys(DRIVERS)),
}


@pytest.fixture(autouse=True)
def _usual_settings(house: House) -> Iterator[None]:
    yield
    back_to_usual(house)


def _reason(house: House, user_id: int) -> str | None:
    return (
        house.again()
        .scalars(select(Authorization.reason).where(Authorization.user_id == user_id).order_by(Authorization.id.desc()))
        .first()
    )


@pytest.mark.parametrize("free", [False, True], ids=["paid", "free"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_who_may_charge(house: House, name: str, free: bool) -> None:
    """The same for a free tariff: strategies 1 to 3 "will not authorize a user … unless she meets the above"."""
    strategy, more, expected = STRATEGIES[name]
    by_strategy(house, strategy, **more)
    group = house.tariff_group(type=TariffType.FREE) if free else None
    charge_point = house.station(evses=len(DRIVERS), group=group)
    found: dict[str, str | None] = {}
    with house.connect(charge_point) as station:
        for number, (who, (aliases, balance)) in enumerate(DRIVERS.items(), start=1):
            user = driver(house, *aliases, balance=balance)
            tapped = station.authorize(tag_of(user))
            found[who] = _reason(house, user.id)
            assert tapped == ("Accepted" if found[who] is None else "Blocked"), who
            started = station.start(number, tag_of(user), meter_start_wh=0, at=ago(seconds=5))
            assert started["idTagInfo"]["status"] == tapped, f"{who}: the start is answered as the card was"
            flags = house.charge(started["transactionId"]).flags
            assert ("unauthorized_start" in flags) is (tapped == "Blocked"), who
    assert found == expected


def test_the_tariffs_minimum_balance_counts_where_the_driver_gets_that_tariff(house: House) -> None:
    by_strategy(house, "balance_or_payment_method", minimum_balance_to_start="5")
    dear = house.tariff_group(type=TariffType.FLAT, price_per_session="9", minimum_balance_to_start="15")
    charge_point, user = house.station(group=dear), driver(house, balance="14.99")
    other = house.station(group=house.tariff_group(type=TariffType.FLAT, price_per_session="9"))
    with house.connect(charge_point) as station:
        assert station.authorize(tag_of(user)) == "Accepted", "for which EVSE is not known yet"
        refused = station.start(1, tag_of(user), meter_start_wh=0, at=ago(seconds=5))
    assert refused["idTagInfo"]["status"] == "Blocked"
    assert _reason(house, user.id) == NEITHER
    with house.connect(other) as station:
        assert station.start(1, tag_of(user), meter_start_wh=0, at=ago(seconds=5))["idTagInfo"]["status"] == "Accepted"


# ---------------------------------------------------------------------- strategy 2, from the card to the money


def _charge(house: House, charge_point: ChargePoint, tag: str, *, tapped: bool = True) -> int:
    with house.connect(charge_point) as station:
        if tapped:
            assert station.authorize(tag) == "Accepted"
        started = station.start(1, tag, meter_start_wh=1000, at=ago(minutes=40))
        station.stop(started["transactionId"], meter_stop_wh=8400, at=ago())
    return int(started["transactionId"])


@pytest.mark.parametrize("tapped", [True, False], ids=["card tapped", "start only"])
def test_what_was_held_is_taken_as_far_as_the_price_goes(house: House, tapped: bool) -> None:
    by_strategy(house, "preauthorize", preauthorize_amount="20")
    user = driver(house, "approve", balance="100")
    number = _charge(house, house.station(), tag_of(user), tapped=tapped)
    assert house.charge(number).payment_status is PaymentStatus.PROCESSING
    ask_due(house, ago())
    row = house.charge(number)
    assert (row.payment_status, row.paid_from, row.total_gross) == (PaymentStatus.PAID, "payment_method", D("4.26"))
    assert moved(house, user) == [("preauthorization", 20, "succeeded"), ("capture", D("4.26"), "succeeded")]
    assert house.balance(user) == 100, "the balance is not touched"


def test_a_start_out_of_an_offline_queue_is_held_for_too(house: House) -> None:
    by_strategy(house, "preauthorize")
    user, charge_point = driver(house, "approve"), house.station()
    with house.connect(charge_point) as station:
        started = station.start(1, tag_of(user), meter_start_wh=1000, at=ago(hours=9))
        assert started["idTagInfo"]["status"] == "Accepted"
        station.stop(started["transactionId"], meter_stop_wh=8400, at=ago(hours=8))
        again = station.start(1, tag_of(user), meter_start_wh=1000, at=station.sent[0][3]["timestamp"])
    assert again["transactionId"] == started["transactionId"]
    ask_due(house, ago())
    assert [each[0] for each in moved(house, user)] == ["preauthorization", "capture"]


def test_a_slow_processor_holds_up_this_station_and_nobody_else(house: House) -> None:
    by_strategy(house, "preauthorize")
    slow, quick = driver(house, "approve"), driver(house, "approve")
    first, second = house.station(), house.station()
    next_id = _next_authorization(house)
    answers: list[str] = []
    slow_tag = tag_of(slow)
    with house.connect(first) as waiting, house.connect(second) as other:
        with db.engine.connect() as processor:
            key = f"authorization:{next_id}:hold"
            processor.execute(text("SELECT pg_advisory_lock(hashtextextended(:key, 7))"), {"key": key})
            thread = threading.Thread(target=lambda: answers.append(waiting.authorize(slow_tag)))
            thread.start()
            deadline = time.monotonic() + 5
            while not moved(house, slow) and time.monotonic() < deadline:
                time.sleep(0.02)
            began = time.monotonic()
            assert other.authorize(tag_of(quick)) == "Accepted"
            assert time.monotonic() - began < 3
            assert answers == [], "the first one still waits"
            row = house.session.scalars(select(Transaction).where(Transaction.user_id == slow.id)).one()
            house.session.refresh(row, with_for_update={"nowait": True})
            house.session.rollback()
            processor.execute(text("SELECT pg_advisory_unlock(hashtextextended(:key, 7))"), {"key": key})
        thread.join(timeout=10)
    assert answers == ["Accepted"]


def _next_authorization(house: House) -> int:
    sequence = house.again().scalar(text("SELECT pg_get_serial_sequence('\"authorization\"', 'id')"))
    last, called = house.session.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()
    return int(last) + 1 if called else int(last)
