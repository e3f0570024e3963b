"""What time alone does: sessions that never began, fell silent or were forgotten; months; and one tick, not two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import redis
from flask import Flask
from rq import Queue, SimpleWorker
from sqlalchemy import select, text, update

from app.assets.models import ChargePoint
from app.billing import ledger
from app.billing.models import LedgerEntryType
from app.charging import bill, clockwork
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import AuthorizationSource, ChargingSession, MeterReading
from app.core import events, partitions
from app.core.db import plain_url
from app.core.partitions import Partition
from app.crm.models import User
from jobs import schedule, tasks
from tests.support.charging import NOW, start, stop, tag_of
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture


def after(**since: float) -> datetime:
    """A moment after the start."""
    return NOW + timedelta(**since)


@pytest.fixture
def running(people: Cast) -> Callable[..., ChargingSession]:
    """A session that began at NOW, with a reading of 2 kWh ten minutes later."""

    def begin(charge_point: ChargePoint | None = None, user: User | None = None) -> ChargingSession:
        place = charge_point or people.station()
        number = start(people, place, tag_of(user or people.driver())).session_id
        row = people.charge(number)
        row.energy_wh, row.last_raw_wh = Decimal(2000), Decimal(3000)
        row.last_reading_at = row.last_activity_at = after(minutes=10)
        people.session.commit()
        return row

    return begin


def pending(people: Cast) -> ChargingSession:
    """A session that an operator has started and no station yet."""
    charge_point = people.station()
    row = ChargingSession(
        partner_id=1,
        charge_point_id=charge_point.id,
        evse_id=charge_point.evses[0].id,
        user_id=people.driver().id,
        source=AuthorizationSource.OPERATOR,
        status=SessionStatus.PENDING,
        created_at=NOW,
        flags=[],
    )
    people.session.add(row)
    people.session.commit()
    return row


def tick(people: Cast, rule: Callable[..., int], now: datetime) -> int:
    """One tick of a rule, committed."""
    changed = rule(people.session, now=now)
    people.session.commit()
    return changed


# ---------------------------------------------------------------------- the manual's three


def test_fail_starting_after(people: Cast) -> None:
    row = pending(people)
    assert [tick(people, clockwork.fail_unstarted, after(seconds=s)) for s in (59, 60, 61, 62)] == [0, 0, 1, 0]
    row = people.charge(row.id)
    assert (row.status, row.payment_status, row.total_gross) == (SessionStatus.FAILED, PaymentStatus.NOT_BILLED, None)
    people.set("session.fail_starting_after_seconds", 300)
    other = pending(people)
    assert tick(people, clockwork.fail_unstarted, after(seconds=299)) == 0
    assert people.charge(other.id).status is SessionStatus.PENDING


def test_reset_stopping_after(people: Cast, running: Any) -> None:
    row = running()
    row.status, row.stopping_at = SessionStatus.STOPPING, after(minutes=20)
    people.session.commit()
    ticks = [tick(people, clockwork.reset_stopping, after(minutes=20, seconds=s)) for s in (60, 61, 62)]
    assert ticks == [0, 1, 0]
    row = people.charge(row.id)
    assert (row.status, row.stopping_at) == (SessionStatus.ACTIVE, None)


@pytest.mark.parametrize("status", [SessionStatus.ACTIVE, SessionStatus.STOPPING])
def test_finish_after_inactivity_at_the_last_reading(people: Cast, running: Any, status: SessionStatus) -> None:
    user = people.driver()
    row = running(user=user)
    row.status = status
    people.session.commit()
    ticks = [tick(people, clockwork.finish_inactive, after(minutes=10 + m)) for m in (120, 121, 122)]
    assert ticks == [0, 1, 0]
    row = people.charge(row.id)
    assert (row.status, row.stopped_at, row.energy_wh) == (SessionStatus.FINISHED, after(minutes=10), 2000)
    assert (row.flags, row.stop_reason) == (["no_stop_message"], "inactivity_elapsed")
    assert row.total_gross == Decimal("0.50") + Decimal("0.20") + Decimal("0.80")
    assert row.stop_received_at is None
    assert people.balance(user) == Decimal(50) - row.total_gross


def test_a_session_that_cannot_be_ended_does_not_keep_the_others_from_it(
    people: Cast, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, other = running(), running()
    really = bill.bill_session

    def fail(session: Any, row: ChargingSession, *, now: datetime) -> None:
        if row.id == poison.id:
            raise ledger.LedgerConflict("booked as something else")
        really(session, row, now=now)

    monkeypatch.setattr(bill, "bill_session", fail)
    number = poison.id
    assert tick(people, clockwork.finish_inactive, after(hours=3)) == 1
    assert people.charge(other.id).status is SessionStatus.FINISHED
    row = people.charge(number)
    assert (row.status, row.stopped_at, row.flags) == (SessionStatus.ACTIVE, None, []), "nothing half-written"
    monkeypatch.undo()
    assert tick(people, clockwork.finish_inactive, after(hours=3)) == 1


# ---------------------------------------------------------------------- ghosts


def report_available(people: Cast, row: ChargingSession, *at: datetime) -> None:
    """The station has reported the session's EVSE Available then, again and again."""
    people.session.execute(
        text(
            "UPDATE evse_state SET status = 'available', status_at = :at, status_received_at = :at WHERE evse_id = :e"
        ),
        {"at": at[-1], "e": row.evse_id},
    )
    people.session.execute(
        text(
            "INSERT INTO hardware_status_log (at, partner_id, charge_point_id, evse_id, network_id, status) "
            "VALUES (:at, 1, :c, :e, 1, 'available')"
        ),
        {"at": at[0], "c": row.charge_point_id, "e": row.evse_id},
    )
    people.session.commit()


def boot(people: Cast, row: ChargingSession, at: datetime) -> None:
    """The station has booted then."""
    people.session.execute(
        text("UPDATE charge_point_state SET booted_at = :at WHERE charge_point_id = :id"),
        {"at": at, "id": row.charge_point_id},
    )
    people.session.commit()


def test_a_ghost_is_closed_a_minute_after_the_boot(people: Cast, running: Any) -> None:
    row = running()
    boot(people, row, after(minutes=20))
    report_available(people, row, after(minutes=21), after(minutes=21, seconds=59))
    ticks = [tick(people, clockwork.close_ghosts, after(minutes=21, seconds=s)) for s in (60, 61, 62)]
    assert ticks == [0, 1, 0]
    row = people.charge(row.id)
    assert (row.status, row.stopped_at, row.stop_reason) == (
        SessionStatus.FINISHED,
        after(minutes=10),
        "ghost_closed",
    )
    assert row.flags == ["no_stop_message"]
    assert row.payment_status is PaymentStatus.PAID


def test_a_boot_from_before_the_session_is_no_reason(people: Cast, running: Any) -> None:
    row = running()
    boot(people, row, after(minutes=-5))
    report_available(people, row, after(minutes=21))
    assert tick(people, clockwork.close_ghosts, after(minutes=30)) == 0
    assert tick(people, clockwork.close_ghosts, after(minutes=31, seconds=1)) == 1, "ten minutes are"


def test_without_a_boot_a_ghost_has_ten_minutes(people: Cast, running: Any) -> None:
    row = running()
    report_available(people, row, after(minutes=20), after(minutes=29))
    ticks = [tick(people, clockwork.close_ghosts, after(minutes=30, seconds=s)) for s in (0, 1, 2)]
    assert ticks == [0, 1, 0]


def test_a_station_that_says_available_only_after_the_boot_again(people: Cast, running: Any) -> None:
    """It never said Charging, so nothing changed and nothing was logged: the repetition after the boot counts."""
    row = running()
    report_available(people, row, after(minutes=-60), after(minutes=21))
    assert tick(people, clockwork.close_ghosts, after(hours=9)) == 0
    boot(people, row, after(minutes=20))
    assert tick(people, clockwork.close_ghosts, after(minutes=22)) == 1


def test_a_reading_since_the_report_keeps_the_session(people: Cast, running: Any) -> None:
    row = running()
    boot(people, row, after(minutes=8))
    report_available(people, row, after(minutes=9))
    assert tick(people, clockwork.close_ghosts, after(hours=1)) == 0
    assert people.charge(row.id).status is SessionStatus.ACTIVE


def test_an_evse_that_charges_on_is_no_ghost(people: Cast, running: Any) -> None:
    row = running()
    boot(people, row, after(minutes=20))
    report_available(people, row, after(minutes=21))
    people.session.execute(
        text("UPDATE evse_state SET status = 'charging', status_received_at = :at WHERE evse_id = :e"),
        {"at": after(minutes=21, seconds=5), "e": row.evse_id},
    )
    people.session.commit()
    assert tick(people, clockwork.close_ghosts, after(hours=1)) == 0


def test_a_start_delivered_after_the_boot_is_not_the_boots_ghost(people: Cast, running: Any) -> None:
    """An offline queue is emptied after a boot: the station knows that session very well."""
    row = running()
    row.start_received_at = row.last_activity_at = after(minutes=22)
    people.session.commit()
    boot(people, row, after(minutes=20))
    report_available(people, row, after(minutes=21))
    assert tick(people, clockwork.close_ghosts, after(minutes=40)) == 0


# ---------------------------------------------------------------------- jobs


def test_the_jobs_commit_what_they_do(clean: Flask, people: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "utcnow", lambda: after(hours=1))
    waiting = pending(people).id
    unpaid, user = _outstanding(people)
    monkeypatch.setitem(events._listeners, "balance.settled", lambda event: None)
    ledger.credit(
        people.session,
        user_id=user.id,
        amount=Decimal("3.26"),
        currency="EUR",
        type=LedgerEntryType.TOP_UP,
        reference="a",
        now=NOW,
    )
    people.session.commit()
    assert tasks.watch_sessions() == 1
    assert tasks.expire_commands() == 0
    assert tasks.bill_finished_sessions() == 1
    assert people.charge(waiting).status is SessionStatus.FAILED
    assert people.charge(unpaid).payment_status is PaymentStatus.PAID


def _outstanding(people: Cast) -> tuple[int, User]:
    user, charge_point = people.driver(balance="1.00"), people.station()
    number = start(people, charge_point, tag_of(user)).session_id
    stop(people, charge_point, session_id=number)
    return number, user


def test_one_rule_that_fails_does_not_keep_the_others_from_their_work(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "utcnow", lambda: after(hours=1))

    def broken(session: Any, *, now: datetime) -> int:
        session.execute(text("SELECT 1 / 0"))
        return 0

    monkeypatch.setattr(clockwork, "reset_stopping", broken)
    number = pending(people).id
    ghost = start(people, people.station(), tag_of(people.driver())).session_id
    monkeypatch.setattr(tasks, "utcnow", lambda: after(hours=3))
    assert tasks.watch_sessions() == 2
    assert people.charge(number).status is SessionStatus.FAILED
    assert people.charge(ghost).status is SessionStatus.FINISHED


def test_a_session_that_cannot_be_billed_does_not_keep_the_next_from_its_bill(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (_outstanding(people)[0] for _ in range(2))
    people.session.execute(update(ChargingSession).values(payment_status=PaymentStatus.PENDING))
    people.session.commit()
    monkeypatch.setattr(tasks, "utcnow", lambda: after(hours=2))
    really = clockwork.bill

    def fail(session: Any, *, session_id: int, now: datetime) -> None:
        if session_id == first:
            raise ledger.LedgerConflict("booked as something else")
        really(session, session_id=session_id, now=now)

    monkeypatch.setattr(clockwork, "bill", fail)
    tasks.bill_finished_sessions()
    assert people.charge(first).payment_status is PaymentStatus.PENDING
    # its debit and its transaction were there before: nothing is booked twice
    assert people.charge(second).payment_status is PaymentStatus.OUTSTANDING
    assert [len(booked) for booked in people.bills(second)] == [1, 1]


# ---------------------------------------------------------------------- the scheduler


@pytest.fixture
def broker(clean: Flask) -> redis.Redis:
    """The worker's Redis, empty."""
    return clean.extensions["sync_redis"]  # type: ignore[no-any-return]


def note() -> None:
    """A job that does nothing."""


ENTRY = schedule.Entry(note, timedelta(seconds=10))


def test_of_two_schedulers_one_ticks_and_the_other_takes_over(broker: redis.Redis) -> None:
    first, second = (schedule.Scheduler(broker, [ENTRY]) for _ in range(2))
    assert [first._hold(), second._hold(), first._hold()] == [True, False, True]
    first._lock.release()
    assert [second._hold(), first._hold()] == [True, False]
    broker.delete(schedule.LOCK_KEY)  # it was away for longer than the lock lasts
    assert first._hold()
    stopping: list[int] = []

    def interrupted() -> bool:
        stopping.append(1)
        return False

    second._hold = interrupted  # type: ignore[method-assign]
    second.run(stopping)
    assert first._hold(), "whoever ends does not take another's lock away"


def test_a_moment_is_enqueued_once_however_many_tick(broker: redis.Redis) -> None:
    schedulers = [schedule.Scheduler(broker, [ENTRY]) for _ in range(2)]
    at = 1_700_000_000.0
    assert [job for one in schedulers for job in one.tick(at)] == ["note-170000000"]
    assert [job for one in schedulers for job in one.tick(at + 9.9)] == []
    assert [job for one in schedulers for job in one.tick(at + 10)] == ["note-170000001"]
    assert len(Queue("default", connection=broker)) == 2


def test_a_full_queue_is_not_filled_further(broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "__len__", lambda _self: 1001)
    assert schedule.Scheduler(broker, [ENTRY]).tick(1_700_000_000.0) == []


def test_the_whole_timetable_runs(clean: Flask, people: Cast, broker: redis.Redis) -> None:
    jobs = schedule.Scheduler(broker).tick(time.time())
    assert len(jobs) == len(schedule.TIMETABLE)
    with clean.app_context():
        queues = [Queue(name, connection=broker) for name in ("urgent", "default")]
        SimpleWorker(queues, connection=broker).work(burst=True, logging_level="WARNING")
    for queue in queues:
        assert queue.failed_job_registry.get_job_ids() == []
        assert len(queue) == 0


# ---------------------------------------------------------------------- months


@pytest.fixture
def owner(admin_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the tables' owner; the test's partitions are gone after it."""
    with psycopg.connect(plain_url(admin_url)) as connection:
        connection.execute("SET ROLE sync_owner")
        yield connection
        connection.rollback()


def test_months_are_made_ahead_and_once(owner: psycopg.Connection[Any]) -> None:
    now = datetime(2031, 11, 30, 23, 59, tzinfo=UTC)
    made = partitions.create_partitions(owner, now=now)
    assert sorted(name for name in made if name.startswith("meter_reading")) == [
        "meter_reading_2031_11",
        "meter_reading_2031_12",
        "meter_reading_2032_01",
        "meter_reading_2032_02",
    ]
    assert len(made) == 4 * len(partitions.TABLES)
    assert partitions.create_partitions(owner, now=now) == []
    assert partitions.create_partitions(owner, now=now + timedelta(minutes=1)) == [
        f"{table}_2032_03" for table in partitions.TABLES
    ]


def test_only_months_that_are_over_for_long_enough_are_dropped(owner: psycopg.Connection[Any]) -> None:
    since = datetime(2024, 1, 1, tzinfo=UTC).date()
    partitions.create_partitions(owner, now=datetime(2024, 4, 1, tzinfo=UTC), since=since)
    keep = {**dict.fromkeys(partitions.TABLES, 100_000), "communication_log": 31}

    def dropped(day: datetime) -> list[str]:
        return partitions.drop_expired(owner, now=day, keep_days=keep)

    assert dropped(datetime(2024, 3, 2, 23, 59, tzinfo=UTC)) == [], "the last day of January is kept for 31 days"
    assert dropped(datetime(2024, 3, 3, tzinfo=UTC)) == ["communication_log_2024_01"]
    assert dropped(datetime(2024, 3, 3, tzinfo=UTC)) == []
    left = [partition.name for partition in partitions.existing(owner, "communication_log")]
    assert left[0] == "communication_log_2024_02"
    assert partitions.existing(owner, "meter_reading")[0].name == "meter_reading_2024_01"


def test_a_partition_knows_its_month() -> None:
    december = Partition("meter_reading", datetime(2026, 12, 1, tzinfo=UTC).date())
    assert (december.name, december.until.isoformat()) == ("meter_reading_2026_12", "2027-01-01")


def test_a_reading_of_today_has_a_partition(people: Cast, running: Any) -> None:
    row = running()
    people.session.add(
        MeterReading(
            received_at=datetime.now(UTC),
            partner_id=1,
            charge_point_id=row.charge_point_id,
            session_id=row.id,
            measured_at=datetime(1971, 1, 1, tzinfo=UTC),
        )
    )
    people.session.commit()
    assert people.session.scalars(select(MeterReading)).one().session_id == row.id
