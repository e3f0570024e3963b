"""Sessions stopped by rule: what was agreed at the start is what counts, one stop is sent, and sent again by rule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, SystemStatus
from app.billing import ledger
from app.billing.models import LedgerEntryType, Transaction, TransactionStatus, TransactionType
from app.charging import clockwork, commands, listeners, mock, remote, stop_watch
from app.charging.lifecycle import SessionStatus
from app.charging.models import ChargingSession
from app.charging.stop_rules import rules_from_json
from app.core import events
from app.core.clock import utcnow
from app.core.models import Action, ActionStatus
from app.crm.models import User
from app.tariffs.models import Tariff, TariffGroup
from jobs import tasks
from tests.support.charging import at_once, start, tag_of
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture

#: partitions for readings exist round the present
NOW = utcnow().replace(microsecond=0)
#: 1 € a kWh and nothing else: the price is the energy
BY_KWH = {"price_per_kwh": "1.00"}


@pytest.fixture(autouse=True)
def sent(app: Flask) -> Iterator[list[Any]]:
    """The commands that would have been sent to stations."""
    found: list[Any] = []
    events.replace_listener(commands.REQUESTED, found.append)
    yield found
    listeners.init_app(app)


def tariff_of(charge_point: ChargePoint, session: Session) -> Tariff:
    """The base tariff of a station's first EVSE."""
    group = session.get_one(TariffGroup, charge_point.evses[0].tariff_group_id)
    return group.tariffs[0]


def place(people: Cast, prices: dict[str, Any] | None = None, *, evses: int = 1, **terms: Any) -> ChargePoint:
    """A station whose tariff has these terms."""
    return people.station(group=people.tariff_group(**(prices or BY_KWH), **terms), evses=evses)


def charge(people: Cast, charge_point: ChargePoint, user: User | None = None, **fields: Any) -> ChargingSession:
    """A running session that began at NOW."""
    began = start(people, charge_point, tag_of(user or people.driver()), reported_at=NOW, now=NOW)
    assert began.accepted, began.reason
    row = people.charge(began.session_id)
    for name, value in fields.items():
        setattr(row, name, value)
    people.session.commit()
    return row


def read(people: Cast, row: ChargingSession, energy_wh: Any) -> None:
    """The register as it is after a reading."""
    row.energy_wh = Decimal(energy_wh)
    people.session.commit()


def look(people: Cast, row: ChargingSession, **after: float) -> ChargingSession:
    """The session after it was looked at, committed."""
    stop_watch.look_at(people.session, session_ids=[row.id], now=NOW + timedelta(**after))
    people.session.commit()
    return people.charge(row.id)


def tick(people: Cast, **after: float) -> list[int]:
    """What the clock would have looked at."""
    return stop_watch.possibly_over(people.session, now=NOW + timedelta(**after))


def stops(people: Cast, row: ChargingSession) -> list[Action]:
    """The stops that were asked for, oldest first."""
    query = select(Action).where(Action.command == "stop_session", Action.charge_point_id == row.charge_point_id)
    return list(people.again().scalars(query.order_by(Action.id)))


# --- what is agreed


@pytest.mark.parametrize(
    "strategy, own, general, floors",
    [
        ("none", {"stop_below_preauthorization": 1, "auto_stop_amount": 2}, (3, 4), (None, None)),
        ("after_session", {"stop_below_preauthorization": 1, "auto_stop_amount": 2}, (3, 4), (None, None)),
        ("preauthorize", {"stop_below_preauthorization": 1, "auto_stop_amount": 2}, (3, 4), (1, None)),
        ("preauthorize", {"auto_stop_amount": 2}, (3, 4), (3, None)),
        ("preauthorize", {"stop_below_preauthorization": 0}, (3, 4), (0, None)),
        ("preauthorize", {}, (None, 4), (None, None)),
        ("balance_or_payment_method", {"stop_below_preauthorization": 1, "auto_stop_amount": 2}, (3, 4), (None, 2)),
        ("balance_or_payment_method", {"stop_below_preauthorization": 1}, (3, 4), (None, 4)),
        ("balance_or_payment_method", {}, (3, None), (None, None)),
    ],
)
def test_the_strategy_says_which_amount_counts_and_the_tariffs_goes_before_the_settings(
    people: Cast,
    strategy: str,
    own: dict[str, Any],
    general: tuple[int | None, int | None],
    floors: tuple[int | None, int | None],
) -> None:
    people.set("billing.stop_below_preauthorization", general[0])
    people.set("billing.stop_below_balance", general[1])
    charge_point = place(people, max_minutes=90, **own)
    row = begun_under(people, charge_point, strategy)
    assert row.stop_rules is not None
    rules = rules_from_json(row.stop_rules)
    assert (rules.max_minutes, rules.max_energy_wh) == (90, None)
    assert (rules.preauthorization_floor, rules.balance_floor) == floors


def begun_under(people: Cast, charge_point: ChargePoint, strategy: str) -> ChargingSession:
    """A session that starts under a strategy, whether or not the driver may."""
    people.set("billing.strategy", strategy)
    return people.charge(start(people, charge_point, tag_of(people.driver()), reported_at=NOW, now=NOW).session_id)


def test_a_session_without_limits_is_never_looked_at(people: Cast) -> None:
    row = charge(people, place(people), energy_wh=Decimal(90_000))
    assert row.stop_rules is None
    assert tick(people, hours=48) == []


def test_what_charges_nothing_is_not_stopped_for_money(people: Cast) -> None:
    people.set("billing.stop_below_balance", 5)
    row = begun_under(people, place(people, {"type": "free"}), "balance_or_payment_method")
    assert row.stop_rules is None


# --- one stop, and again by rule


def test_a_limit_that_is_reached_stops_the_session_once_and_says_why(people: Cast, sent: list[Any]) -> None:
    row = charge(people, place(people, max_energy_kwh=Decimal(20), max_minutes=60))
    read(people, row, "19999")
    assert look(people, row, minutes=59).status is SessionStatus.ACTIVE
    read(people, row, "20000")
    assert look(people, row, minutes=59).status is SessionStatus.STOPPING
    look(people, row, minutes=59, seconds=1)
    (action,) = stops(people, row)
    assert (action.reason, action.initiated_by) == ("Stopped by rule: energy above 20 kWh", "System")
    assert len(sent) == 1
    row = people.charge(row.id)
    assert (row.stop_rule, row.stop_rule_attempts) == ("max_energy", 1)


def test_two_who_look_at_once_send_one_stop(app: Flask, people: Cast) -> None:
    """A gateway and the clock see the same session: a second command would stop the next driver's charge."""
    row = charge(people, place(people, max_energy_kwh=Decimal(20)), energy_wh=Decimal(20_000))
    number = row.id

    def work(session: Session) -> int:
        return stop_watch.look_at(session, session_ids=[number], now=NOW)

    people.session.rollback()
    assert not [each for each in at_once(app, *[work] * 5) if isinstance(each, Exception)]
    assert len(stops(people, row)) == 1
    assert people.charge(number).stop_rule_attempts == 1


def test_time_is_up_without_any_reading(people: Cast) -> None:
    row = charge(people, place(people, max_minutes=60))
    assert tick(people, minutes=59, seconds=59) == []
    assert tick(people, minutes=60) == [row.id]
    assert look(people, row, minutes=60).status is SessionStatus.STOPPING
    assert stops(people, row)[0].reason == "Stopped by rule: longer than 60 min"
    assert tick(people, minutes=61) == [], "it is asked"


def test_a_station_that_does_not_answer_is_asked_again_after_1_2_4_8_and_15_minutes(people: Cast) -> None:
    """The manual's reset lets the stop be tried again; nobody would, and the driver would pay on and on."""
    row = charge(people, place(people, max_minutes=10))
    asked_at = []
    for second in range(0, 70 * 60, 20):
        now = NOW + timedelta(minutes=10, seconds=second)
        clockwork.reset_stopping(people.session, now=now)
        before = row.stop_rule_attempts
        stop_watch.look_at(people.session, session_ids=stop_watch.possibly_over(people.session, now=now), now=now)
        people.session.commit()
        if row.stop_rule_attempts != before:
            asked_at.append(second / 60)
    pauses = [round(later - sooner) for sooner, later in pairwise(asked_at)]
    assert (asked_at[0], pauses) == (0, [1, 2, 4, 8, 15, 15, 15])
    assert len(stops(people, row)) == 8


def test_a_refusal_is_asked_again_only_when_it_is_time(people: Cast) -> None:
    row = charge(people, place(people, max_minutes=10))
    look(people, row, minutes=10)
    (action,) = stops(people, row)
    answer = commands.Answer(ActionStatus.REJECTED)
    commands.record_outcome(people.session, action_id=action.id, answer=answer, now=NOW)
    people.session.commit()
    assert people.charge(row.id).status is SessionStatus.ACTIVE
    assert look(people, row, minutes=10, seconds=59).status is SessionStatus.ACTIVE
    assert look(people, row, minutes=11).status is SessionStatus.STOPPING
    assert len(stops(people, row)) == 2


def test_a_limit_that_holds_again_is_not_asked_again(people: Cast) -> None:
    """The driver topped up after the station had refused: the session may go on."""
    people.set("billing.strategy", "balance_or_payment_method")
    user = people.driver(balance="20.00")
    row = charge(people, place(people, auto_stop_amount=Decimal(1)), user, energy_wh=Decimal(19_000))
    assert look(people, row, minutes=5).status is SessionStatus.STOPPING
    clockwork.reset_stopping(people.session, now=NOW + timedelta(minutes=10))
    top_up(people, user, "30.00")
    assert look(people, row, minutes=10).status is SessionStatus.ACTIVE


def top_up(people: Cast, user: User, amount: str) -> None:
    """More in the balance."""
    ledger.credit(
        people.session,
        user_id=user.id,
        amount=Decimal(amount),
        currency="EUR",
        type=LedgerEntryType.TOP_UP,
        reference=f"test:more:{user.id}",
        now=NOW,
    )
    people.session.commit()


def test_a_station_nobody_manages_is_counted_and_left_alone(people: Cast, sent: list[Any]) -> None:
    charge_point = place(people, max_minutes=10)
    row = charge(people, charge_point)
    charge_point.managed_by_operator = False
    people.session.commit()
    after = look(people, row, minutes=10)
    assert (after.status, after.stop_rule_attempts, sent) == (SessionStatus.ACTIVE, 1, [])


def test_rules_that_cannot_be_read_keep_no_other_session(people: Cast) -> None:
    first = charge(people, place(people, max_minutes=10), stop_rules={"schema": 99})
    second = charge(people, place(people, max_minutes=10))
    stop_watch.look_at(people.session, session_ids=[first.id, second.id], now=NOW + timedelta(minutes=10))
    people.session.commit()
    assert people.charge(first.id).status is SessionStatus.ACTIVE
    assert people.charge(second.id).status is SessionStatus.STOPPING


def test_the_job_looks_at_all_of_them_batch_by_batch(people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is due for ever (nobody can ask its station) must not keep those behind it."""
    monkeypatch.setattr(stop_watch, "BATCH", 1)
    began = NOW - timedelta(hours=2)
    rows = [charge(people, place(people, max_minutes=10), started_at=began) for _ in range(3)]
    numbers = [row.id for row in rows]
    rows[0].charge_point.managed_by_operator = False
    people.session.commit()
    assert tasks.stop_by_rules() == 3
    after = [people.charge(number).status for number in numbers]
    assert after == [SessionStatus.ACTIVE, SessionStatus.STOPPING, SessionStatus.STOPPING]


# --- money


@pytest.mark.parametrize(
    "paid_from, stops_at",
    [("balance", "19000"), (None, "19000"), ("payment_method", None), ("corporate", None)],
)
def test_the_balance_stops_whom_it_pays(people: Cast, paid_from: str | None, stops_at: str | None) -> None:
    """Manual, "Stop Session", 5: 20 in the balance and 1 to be left stop at 19; a card or a company pays on."""
    people.set("billing.strategy", "balance_or_payment_method")
    user = people.driver(balance="20.00")
    row = charge(people, place(people, auto_stop_amount=Decimal(1)), user, paid_from=paid_from)
    read(people, row, "18994")
    assert look(people, row, minutes=5).status is SessionStatus.ACTIVE
    read(people, row, "19000")
    due = tick(people, minutes=5)
    after = look(people, row, minutes=5)
    if stops_at is None:
        assert (due, after.status) == ([], SessionStatus.ACTIVE)
    else:
        assert (due, after.status, after.stop_rule) == ([row.id], SessionStatus.STOPPING, "balance")
        assert stops(people, row)[0].reason == "Stopped by rule: less than 1.00 EUR left of the balance"


def test_what_the_drivers_other_sessions_cost_is_spent_too(people: Cast) -> None:
    """Two cars on one balance: each alone would be within it, both together would leave a debt."""
    people.set("billing.strategy", "balance_or_payment_method")
    user = people.driver(balance="20.00")
    one = charge(people, place(people, auto_stop_amount=Decimal(1)), user)
    other = charge(people, place(people, auto_stop_amount=Decimal(1)), user)
    read(people, one, "10000")
    read(people, other, "8990")
    assert look(people, one, minutes=5).status is SessionStatus.ACTIVE
    read(people, other, "9000")
    assert tick(people, minutes=5) == [one.id, other.id]
    for row in (one, other):
        assert look(people, row, minutes=5).status is SessionStatus.STOPPING
    paid_otherwise = charge(people, place(people, auto_stop_amount=Decimal(1)), people.driver(balance="20.00"))
    read(people, paid_otherwise, "10000")
    assert look(people, paid_otherwise, minutes=5).status is SessionStatus.ACTIVE, "somebody else's balance"


def hold(people: Cast, row: ChargingSession, amount: str, status: TransactionStatus) -> None:
    """A pre-authorization of a session."""
    people.session.add(
        Transaction(
            partner_id=row.partner_id,
            type=TransactionType.PREAUTHORIZATION,
            status=status,
            amount=Decimal(amount),
            currency="EUR",
            session_id=row.id,
            user_id=row.user_id,
            processor="test",
            idempotency_key=f"hold:{row.id}:{status}",
        )
    )
    people.session.commit()


def held_session(people: Cast, **terms: Any) -> ChargingSession:
    """A session begun while amounts are pre-authorized."""
    row = begun_under(people, place(people, **terms), "preauthorize")
    row.paid_from = "payment_method"
    people.session.commit()
    return row


def test_the_preauthorized_amount_stops_at_the_manuals_example(people: Cast) -> None:
    row = held_session(people, stop_below_preauthorization=Decimal(1))
    hold(people, row, "20.00", TransactionStatus.SUCCEEDED)
    hold(people, row, "500.00", TransactionStatus.FAILED)
    read(people, row, "18994")
    assert look(people, row, minutes=5).status is SessionStatus.ACTIVE
    read(people, row, "19000")
    assert tick(people, minutes=5) == [row.id]
    assert look(people, row, minutes=5).status is SessionStatus.STOPPING
    assert stops(people, row)[0].reason == "Stopped by rule: less than 1.00 EUR left of the pre-authorized amount"


def test_an_empty_setting_never_stops_even_above_the_amount(people: Cast) -> None:
    """Manual: "Leaving this field empty means that the session will not stop even if the amount due is above"."""
    row = held_session(people, max_minutes=600)
    hold(people, row, "20.00", TransactionStatus.SUCCEEDED)
    read(people, row, "90000")
    assert tick(people, minutes=5) == []
    assert look(people, row, minutes=5).status is SessionStatus.ACTIVE


def test_a_price_that_cannot_be_calculated_stops_nothing_and_breaks_nothing(people: Cast) -> None:
    people.set("billing.strategy", "balance_or_payment_method")
    row = charge(people, place(people, auto_stop_amount=Decimal(1)), energy_wh=Decimal(90_000))
    row.tariff_snapshot = {**(row.tariff_snapshot or {}), "type": "unheard"}
    people.session.commit()
    assert tick(people, minutes=5) == [row.id]
    assert look(people, row, minutes=5).status is SessionStatus.ACTIVE


# --- what was agreed stays


def test_a_change_in_the_middle_of_a_session_is_for_the_next_one(people: Cast) -> None:
    """Price, limits and strategy of the start count; the tariff has new ones meanwhile."""
    charge_point = place(people, max_energy_kwh=Decimal(20), evses=1)
    row = charge(people, charge_point)
    tariff = tariff_of(charge_point, people.session)
    tariff.max_energy_kwh, tariff.price_per_kwh, tariff.revision = Decimal(5), Decimal(9), 2
    people.set("billing.strategy", "balance_or_payment_method")
    people.set("billing.stop_below_balance", 49)
    read(people, row, "19999")
    assert tick(people, minutes=5) == []
    assert look(people, row, minutes=5).status is SessionStatus.ACTIVE
    read(people, row, "20000")
    assert look(people, row, minutes=5).stop_rule == "max_energy"
    later = start(people, charge_point, tag_of(people.driver()), reported_at=NOW + timedelta(minutes=9), now=NOW)
    rules = rules_from_json(people.charge(later.session_id).stop_rules or {})
    assert (rules.max_energy_wh, rules.balance_floor) == (Decimal(5000), Decimal(49))
    over = people.charge(row.id)
    assert over.status is SessionStatus.FINISHED, "the next one on its EVSE ended it"
    assert over.total_gross == Decimal("20.00"), "by the price of its start"


def test_an_operators_session_has_the_rules_of_the_tariff_it_was_given(people: Cast) -> None:
    charge_point = place(people, max_minutes=45)
    tariff = tariff_of(charge_point, people.session)
    row, _ = remote.start_session(
        people.session,
        evse=charge_point.evses[0],
        user=people.driver(),
        tariff_id=tariff.id,
        reason="The driver called",
        actor=people.operator(),
        now=NOW,
    )
    people.session.commit()
    tariff.max_minutes = 5
    begun = start(people, charge_point, row.id_tag, reported_at=NOW, now=NOW)
    assert begun.session_id == row.id
    assert rules_from_json(people.charge(row.id).stop_rules or {}).max_minutes == 45


def test_a_session_at_a_demo_station_stops_too(people: Cast, sent: list[Any]) -> None:
    charge_point = people.station(group=people.tariff_group(**BY_KWH, max_minutes=5), status=SystemStatus.DEMO)
    row, _ = remote.start_session(
        people.session,
        evse=charge_point.evses[0],
        user=people.driver(),
        tariff_id=tariff_of(charge_point, people.session).id,
        reason="To show it",
        actor=people.operator(),
        now=NOW,
    )
    people.session.commit()
    mock.advance_all(people.session, now=NOW + timedelta(minutes=6))
    people.session.commit()
    after = look(people, row, minutes=6)
    assert (after.status, after.stop_rule, sent) == (SessionStatus.FINISHED, "max_minutes", [])
    action = people.again().scalars(select(Action).where(Action.name == "Stop session")).one()
    assert action.reason == "Stopped by rule: longer than 5 min"


# --- in words


def test_the_page_says_what_will_stop_it_and_what_did(people: Cast) -> None:
    people.set("billing.strategy", "balance_or_payment_method")
    user = people.driver(balance="20.00")
    row = charge(people, place(people, max_energy_kwh=Decimal(20), max_minutes=60, auto_stop_amount=Decimal(1)), user)
    words = stop_watch.stop_words(people.session, row, now=NOW)
    assert (words.ahead, words.asked) == ("at 20 kWh or 60 min or when the price reaches 19.00 EUR", "")
    read(people, row, "20000")
    row = look(people, row, minutes=1)
    assert stop_watch.stop_words(people.session, row, now=NOW).asked == "energy above 20 kWh"
