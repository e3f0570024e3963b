"""Trying a draft on sessions that were charged: the same cents as a bill, whoever runs it and however often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from flask import Flask
from rq import Queue, SimpleWorker
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import Evse
from app.charging import bill
from app.charging.flags import DEMO
from app.charging.models import ChargingSession, MeterReading
from app.charging.trials import asking, results, running
from app.charging.trials.asking import Period
from app.charging.trials.results import Order, Which
from app.core.clock import utcnow
from app.core.db import transaction
from app.tariffs.groups import attach_tariff
from app.tariffs.models import Tariff, TariffTrial, TariffTrialSession, TariffType, TrialStatus
from app.tariffs.pricing import price_session, snapshot_from_json, snapshot_to_json
from app.tariffs.trials import Draft, draft_of
from jobs import tasks
from tests.support import factories_crm as make
from tests.support.charging import at_once
from tests.support.factories_crm import CountedQueries, Visitor
from tests.support.factories_dashboard import make_session, make_station, make_zone

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DRAFTS: dict[str, dict[str, Any]] = {
    "free": {"type": TariffType.FREE},
    "flat": {"type": TariffType.FLAT, "price_per_session": Decimal("2.50"), "idle_fee_per_minute": Decimal("0.05")},
    "energy": {"type": TariffType.DURATION_ENERGY, "price_per_kwh": Decimal("0.3875")},
    "levels": {
        "type": TariffType.POWER_LEVELS,
        "levels": [
            {"max_power_w": 7400, "price_per_minute": Decimal("0.10")},
            {"max_power_w": 22000, "price_per_minute": Decimal("0.15")},
        ],
    },
    "tod": {
        "type": TariffType.DURATION_ENERGY_TOD,
        "price_per_minute": Decimal("0.011"),
        "price_per_kwh": Decimal("0.4321"),
        "night_price_per_kwh": Decimal("0.1234"),
        "day_starts": time(3, 30),
        "night_starts": time(22),
    },
}


class House:
    """A tariff in use at one EVSE, and sessions that it has priced."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tariff = make.tariff(session, "Public", price_per_minute=None, type=TariffType.DURATION_ENERGY)
        self.group = make.tariff_group(session, "AC", self.tariff)
        self.station = make_station(session, make_zone(session))
        self.evse: Evse = self.station.evses[0]
        self.evse.tariff_group_id = self.group.id
        self.driver = make.user(session)
        session.commit()

    def charge(self, started_at: datetime | None = None, *, tariff: Tariff | None = None, **fields: Any) -> Any:
        """A billed session of this tariff (or another), last month unless told otherwise."""
        used = tariff or self.tariff
        snapshot = snapshot_to_json(draft_of(self.session, tariff=used).snapshot)
        given = {"user_id": self.driver.id, "tariff_id": used.id, "tariff_name": used.name, **fields}
        began = started_at or datetime(2026, 10, 5, 16, 0, tzinfo=UTC)
        return make_session(self.session, self.evse, started_at=began, tariff_snapshot=snapshot, **given)

    def ask(self, values: dict[str, Any] | None = None, *, period: Period = Period.LAST_MONTH) -> int:
        """A trial of these values, waiting."""
        draft = draft_of(self.session, tariff=self.tariff, values=values)
        trial = asking.ask_for_trial(self.session, tariff=self.tariff, draft=draft, period=period, actor=None, now=NOW)
        self.session.commit()
        return trial.id

    def run(self, trial_id: int, batch: int = 3) -> TariffTrial:
        """Run it to its end and give it back."""
        running.run_trial(self.transact, trial_id=trial_id, clock=lambda: NOW, batch=batch)
        return self.trial(trial_id)

    def trial(self, trial_id: int) -> TariffTrial:
        """As it is stored."""
        self.session.rollback()
        self.session.expire_all()
        return self.session.get_one(TariffTrial, trial_id)

    def rows(self, trial_id: int) -> dict[int, TariffTrialSession]:
        """What was stored for each session."""
        query = select(TariffTrialSession).where(TariffTrialSession.trial_id == trial_id)
        return {row.session_id: row for row in self.session.scalars(query)}

    @contextmanager
    def transact(self) -> Iterator[Session]:
        """A transaction on the test's own session."""
        try:
            yield self.session
            self.session.commit()
        except BaseException:
            self.session.rollback()
            raise


@pytest.fixture
def house(session: Session) -> House:
    return House(session)


def read(house: House, charge: ChargingSession, *readings: tuple[timedelta, int | str]) -> None:
    """Readings of a session: so long after its start, so many Wh."""
    for since, register_wh in readings:
        house.session.add(
            MeterReading(
                received_at=utcnow(),
                partner_id=1,
                charge_point_id=charge.charge_point_id,
                evse_id=charge.evse_id,
                session_id=charge.id,
                measured_at=charge.started_at + since,
                register_wh=None if register_wh == "" else Decimal(register_wh),
            )
        )
    house.session.flush()


def many_charges(house: House) -> list[ChargingSession]:
    """Sessions of all lengths around boundaries and the night of the 25th of October, with readings of all kinds."""
    dice = random.Random(7)
    made = []
    for number in range(24):
        start = datetime(2026, 10, 24, 12, tzinfo=UTC) + timedelta(seconds=dice.randrange(160_000))
        minutes = dice.choice([0, 1, 45, 200, 900, 3000])
        energy = 0 if number % 8 == 0 else dice.randrange(1, 40_000)
        end = start + timedelta(minutes=minutes)
        charge = house.charge(start, minutes=minutes, energy_wh=energy, charging_ended_at=end - (end - start) / 3)
        zone = dice.choice(["Europe/Sofia", "America/New_York", "UTC"])
        charge.tariff_snapshot = {**charge.tariff_snapshot, "timezone": zone}
        whole_us = int((end - start) / timedelta(microseconds=1))
        for _ in range(dice.choice([0, 1, 5, 40])):
            # before the start, after the stop, falling, above the total and twice at a time: what stations do
            at = timedelta(microseconds=dice.randrange(-1000, whole_us + 2000))
            read(house, charge, (at, dice.randrange(0, energy + 500)))
            if dice.random() < 0.2:
                read(house, charge, (at, dice.randrange(0, energy + 500)), (at, ""))
        made.append(charge)
    return made


def test_every_session_costs_what_a_bill_by_the_draft_would_say(house: House) -> None:
    """Would catch a reading left out that the price needs, and any second way to price."""
    charges = many_charges(house)
    for name, values in DRAFTS.items():
        trial_id = house.ask(values)
        trial = house.run(trial_id, batch=5)
        draft = Draft.from_json(trial.draft).snapshot
        stored = house.rows(trial_id)
        assert set(stored) == {charge.id for charge in charges}
        for charge in charges:
            zone = snapshot_from_json(charge.tariff_snapshot).timezone
            priced = price_session(
                replace(draft, timezone=zone),
                started_at=charge.started_at,
                stopped_at=charge.stopped_at,
                readings=bill.session_readings(house.session, charge),
                charging_ended_at=charge.charging_ended_at,
            )
            assert stored[charge.id].draft_gross == priced.total.gross.amount, (name, charge.id)
        assert (trial.status, trial.done, trial.total, trial.skipped) == (TrialStatus.DONE, 24, 24, 0)
        assert trial.draft_gross == sum(row.draft_gross or 0 for row in stored.values())
        assert trial.billed_gross == sum(row.billed_gross for row in stored.values())


def test_simple_types_read_no_meter_and_none_asks_for_each_session(house: House) -> None:
    for _ in range(6):
        charge = house.charge(datetime(2026, 10, 5, 21, 30, tzinfo=UTC), minutes=90)
        read(house, charge, (timedelta(minutes=10), 1000))
    for name, values in DRAFTS.items():
        trial_id = house.ask(values)
        assert running.advance_trial(house.session, trial_id=trial_id, now=NOW)
        house.session.commit()
        with CountedQueries() as counted:
            running.advance_trial(house.session, trial_id=trial_id, now=NOW)
            house.session.commit()
        meter = [statement for statement in counted.statements if "meter_reading" in statement]
        assert len(meter) == (1 if name == "tod" else 0)
        assert counted.count <= 7
        assert len(house.rows(trial_id)) == 6


def test_a_worker_that_dies_loses_its_batch_and_nothing_else(house: House) -> None:
    charges = [house.charge(minutes=10 + number) for number in range(8)]
    trial_id = house.ask(DRAFTS["energy"])
    for _ in range(3):
        running.advance_trial(house.session, trial_id=trial_id, now=NOW, batch=3)
        house.session.commit()
    running.advance_trial(house.session, trial_id=trial_id, now=NOW, batch=3)
    house.session.rollback()  # killed before its commit
    half_way = house.trial(trial_id)
    assert (half_way.status, half_way.done) == (TrialStatus.RUNNING, 6)
    assert trial_id in asking.unfinished(house.session, limit=5)
    done = house.run(trial_id)
    assert (done.status, done.done) == (TrialStatus.DONE, 8)
    assert set(house.rows(trial_id)) == {charge.id for charge in charges}
    assert not running.advance_trial(house.session, trial_id=trial_id, now=NOW)


def test_two_workers_at_the_same_trial_price_each_session_once(house: House, clean: Flask) -> None:
    """Sessions of one instant too, which the place that was reached must tell apart."""
    for _ in range(12):
        house.charge()
    trial_id = house.ask(DRAFTS["flat"])

    def work(session: Session) -> None:
        @contextmanager
        def transact() -> Iterator[Session]:
            yield session
            session.commit()

        running.run_trial(transact, trial_id=trial_id, clock=lambda: NOW, batch=1)

    assert at_once(clean, work, work) == [None, None]
    trial = house.trial(trial_id)
    assert (trial.status, trial.done, len(house.rows(trial_id))) == (TrialStatus.DONE, 12, 12)


def test_a_cancelled_trial_keeps_what_it_has_and_goes_no_further(house: House) -> None:
    for _ in range(5):
        house.charge()
    trial_id = house.ask(DRAFTS["flat"])
    for _ in range(2):
        running.advance_trial(house.session, trial_id=trial_id, now=NOW, batch=2)
    assert asking.cancel_trial(house.session, trial_id=trial_id, now=NOW)
    house.session.commit()
    trial = house.run(trial_id)
    assert (trial.status, trial.done, trial.finished_at) == (TrialStatus.CANCELLED, 2, NOW)
    assert len(house.rows(trial_id)) == 2
    assert not asking.cancel_trial(house.session, trial_id=trial_id, now=NOW)


def test_asking_again_cancels_the_one_before(house: House) -> None:
    first, second = house.ask(DRAFTS["flat"]), house.ask(DRAFTS["free"])
    assert house.trial(first).status is TrialStatus.WAITING or house.trial(first).status is TrialStatus.CANCELLED
    assert asking.unfinished(house.session, limit=5)[-1] == second


def test_only_billed_sessions_of_the_period_and_the_tariff_are_taken(house: House) -> None:
    """The month is that of the system's clock: Sofia's, which is ahead of UTC by two or three hours."""
    other = make.tariff(house.session, "Other")
    taken = [
        house.charge(datetime(2026, 9, 30, 20, 50, tzinfo=UTC), minutes=10),  # ends as October begins in Sofia
        house.charge(datetime(2026, 10, 31, 21, 0, tzinfo=UTC), minutes=59),
    ]
    house.charge(datetime(2026, 9, 30, 20, 49, tzinfo=UTC), minutes=10)
    house.charge(datetime(2026, 10, 31, 21, 0, tzinfo=UTC), minutes=60)
    house.charge(flags=[DEMO])
    house.charge(gross=None)
    house.charge(tariff=other)
    from app.core import settings

    settings.change_setting(house.session, key="system.timezone", value="Europe/Sofia", actor=None)
    trial_id = house.ask(DRAFTS["flat"])
    trial = house.run(trial_id)
    assert set(house.rows(trial_id)) == {row.id for row in taken}
    assert (trial.basis, trial.total) == ("priced", 2)


@pytest.mark.parametrize(
    ("now", "timezone", "since", "until"),
    [
        ("2026-11-22T12:00", "Europe/Sofia", "2026-09-30T21:00", "2026-10-31T22:00"),  # 31 days and an hour
        ("2026-04-30T22:00", "Europe/Sofia", "2026-03-31T21:00", "2026-04-30T21:00"),  # May already, in Sofia
        ("2026-01-01T00:00", "UTC", "2025-12-01T00:00", "2026-01-01T00:00"),
        ("2026-03-31T12:00", "America/New_York", "2026-02-01T05:00", "2026-03-01T05:00"),
    ],
)
def test_last_month_is_the_calendars(now: str, timezone: str, since: str, until: str) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert asking.bounds(Period.LAST_MONTH, now=at(now), timezone=timezone) == (at(since), at(until))


def test_the_last_30_days_end_now() -> None:
    assert asking.bounds(Period.LAST_30_DAYS, now=NOW, timezone="UTC") == (NOW - timedelta(days=30), NOW)


def test_a_tariff_that_priced_nothing_is_tried_on_those_who_would_get_it(house: House) -> None:
    """By the restrictions of the draft, not by those that are stored."""
    base = house.group.tariffs[0]
    fleet_driver = make.user(house.session, "fleet@example.com")
    fleet = make.user_group(house.session, "Fleet", fleet_driver)
    new = make.tariff(house.session, "Fleet", type=TariffType.FREE)
    attach_tariff(house.session, group=house.group, tariff=new, actor=None)
    of_fleet = house.charge(tariff=base, user_id=fleet_driver.id)
    of_others = house.charge(tariff=base)
    elsewhere = make_station(house.session, house.station.zone).evses[0]
    house.session.flush()
    make_session(house.session, elsewhere, started_at=NOW - timedelta(days=30), user_id=fleet_driver.id)
    house.tariff = new
    for groups, expected in (([fleet], {of_fleet.id}), ([], {of_fleet.id, of_others.id})):
        trial_id = house.ask({**DRAFTS["flat"], "user_groups": groups})
        trial = house.run(trial_id)
        assert trial.basis == "selected"
        assert set(house.rows(trial_id)) == expected
        assert (trial.total, trial.done) == (2, 2)


def test_what_cannot_be_priced_is_left_out_of_the_totals_and_says_why(house: House) -> None:
    house.charge(gross="3.00")
    odd = house.charge(gross="9.00", currency="BGN")
    trial_id = house.ask(DRAFTS["flat"])
    trial = house.run(trial_id)
    assert (trial.skipped, trial.billed_gross, trial.draft_gross) == (1, Decimal(3), Decimal("2.50"))
    assert house.rows(trial_id)[odd.id].note == "It was billed in BGN"
    totals = results.totals_of(house.session, trial)
    assert totals.counts[Which.NOT_PRICEABLE] == 1
    assert (totals.before, totals.after, totals.difference) == (Decimal(3), Decimal("2.5"), Decimal("-0.5"))


def test_a_draft_that_cannot_be_read_fails_with_words(house: House) -> None:
    house.charge()
    trial_id = house.ask(DRAFTS["flat"])
    house.trial(trial_id).draft = {"snapshot": {}, "restrictions": {}}
    house.session.commit()
    trial = house.run(trial_id)
    assert trial.status is TrialStatus.FAILED
    assert trial.error
    assert asking.unfinished(house.session, limit=5) == []


def test_the_list_is_sorted_by_difference_and_filtered(house: House) -> None:
    dearer, equal, cheaper = (house.charge(gross=gross) for gross in ("1.00", "2.50", "4.00"))
    trial = house.run(house.ask(DRAFTS["flat"]))

    def listed(which: Which, order: Order) -> list[int]:
        rows = results.compared(house.session, trial, which=which, order=order, page=0)
        return [row.session_id for row in rows]

    assert listed(Which.ALL, Order.DEARER_FIRST) == [dearer.id, equal.id, cheaper.id]
    assert listed(Which.ALL, Order.CHEAPER_FIRST) == [cheaper.id, equal.id, dearer.id]
    assert listed(Which.DEARER, Order.BY_TIME) == [dearer.id]
    assert listed(Which.EQUAL, Order.BY_TIME) == [equal.id]
    rows = list(results.all_compared(house.session, trial_id=trial.id, which=Which.ALL, batch=2))
    assert [row.difference for row in rows] == [Decimal("1.5"), Decimal(0), Decimal("-1.5")]


def test_trials_are_forgotten_after_a_week(house: House) -> None:
    house.charge()
    old, fresh = house.ask(DRAFTS["flat"]), None
    house.run(old)
    house.trial(old).created_at = NOW - timedelta(days=7, seconds=1)
    fresh = house.ask(DRAFTS["flat"])
    assert running.forget_trials(house.session, now=NOW) == 1
    assert running.forget_trials(house.session, now=NOW) == 0
    house.session.commit()
    assert list(house.session.scalars(select(TariffTrial.id))) == [fresh]
    assert house.session.scalar(select(func.count()).select_from(TariffTrialSession)) == 0


# --- screens ------------------------------------------------------------------------------------------------------

PAGE = "/tariffs/tariffs/"


def signed_in(house: House, app: Flask, role: str = "Super User") -> Visitor:
    somebody = make.admin(house.session, role_name=role)
    house.session.commit()
    return make.signed_in(app, somebody)


def form(**changes: str) -> dict[str, str]:
    """The form of the tariff, with something changed."""
    plain = {"name": "Public", "type": "flat", "price_per_session": "2.50", "trial_period": "last_month"}
    return {**plain, **changes}


def latest(house: House) -> TariffTrial:
    house.session.rollback()
    return house.session.scalars(select(TariffTrial).order_by(TariffTrial.id.desc()).limit(1)).one()


def test_the_form_is_tried_and_not_saved(house: House, clean: Flask) -> None:
    charge = house.charge(gross="4.00")
    olga = signed_in(house, clean)
    asked = olga.send(f"{PAGE}try/?id={house.tariff.id}", form())
    assert asked.status_code == 303
    trial = latest(house)
    assert Draft.from_json(trial.draft).snapshot.price_per_session == Decimal("2.50")  # type: ignore[attr-defined]
    house.session.refresh(house.tariff)
    assert (house.tariff.type, house.tariff.revision) == (TariffType.DURATION_ENERGY, 1)
    # the last month of the real clock is another: the sessions are of October
    trial.period_from, trial.period_to = NOW - timedelta(days=60), NOW
    house.session.commit()
    waiting = olga.get(asked.location).get_data(as_text=True)
    assert "Waiting for a worker" in waiting
    assert "every 1s" in waiting
    house.run(trial.id)
    page = olga.get(asked.location).get_data(as_text=True)
    assert "every 1s" not in page
    for words in ("€4.00", "€2.50", "-€1.50", "-37.5%", "1 cheaper", f">{charge.id}</a>", "Flat rate"):
        assert words in page, words
    panel = olga.get(f"{PAGE}trial-panel/?id={house.tariff.id}&trial={trial.id}").get_data(as_text=True)
    assert "Session by session" in panel
    assert "<html" not in panel
    csv = olga.get(f"{PAGE}trial-export/?id={house.tariff.id}&trial={trial.id}").get_data(as_text=True)
    header, line = csv.strip().splitlines()
    assert header.startswith("session_id,started_at,stopped_at,user_email,evse_id,energy_kwh,currency,billed_gross")
    assert line.endswith("EUR,4.00,2.50,-1.50,")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"price_per_session": ""}, "A flat rate needs a price per session."),
        ({"price_per_session": "-1"}, "A number that is not negative is expected."),
        ({"type": "power_levels"}, "At least one power level is required."),
        ({"name": ""}, "Name"),
    ],
)
def test_a_bad_draft_is_told_as_on_saving_and_makes_nothing(
    house: House, clean: Flask, changes: dict[str, str], words: str
) -> None:
    olga = signed_in(house, clean)
    answer = olga.send(f"{PAGE}try/?id={house.tariff.id}", form(**changes))
    assert answer.status_code == 422
    assert words in answer.get_data(as_text=True)
    house.session.rollback()
    assert house.session.scalar(select(func.count()).select_from(TariffTrial)) == 0


def test_what_makes_no_trial_is_refused(house: House, clean: Flask) -> None:
    olga = signed_in(house, clean)
    own = f"id={house.tariff.id}"
    assert olga.send(f"{PAGE}try/?{own}", form(trial_period="for ever")).status_code == 400
    assert olga.send(f"{PAGE}try/?id=77", form()).status_code == 404
    trial_id = house.ask(DRAFTS["flat"])
    other = make.tariff(house.session, "Other")
    house.session.commit()
    assert olga.get(f"{PAGE}trial/?id={other.id}&trial={trial_id}").status_code == 404
    for number in ("", "x", "9" * 30, "٣"):
        assert olga.get(f"{PAGE}trial/?{own}&trial={number}").status_code == 404
    house.run(trial_id)
    for wrong in ("which=odd", "sort=odd", "page=-1"):
        assert olga.get(f"{PAGE}trial/?{own}&trial={trial_id}&{wrong}").status_code == 400
    assert olga.get(f"{PAGE}trial/?{own}&trial={trial_id}&page=99").status_code == 200


def test_who_may_not_edit_tariffs_may_not_try_them(house: House, clean: Flask) -> None:
    trial_id = house.ask(DRAFTS["flat"])
    anna = signed_in(house, clean, "Analyst")
    address = f"id={house.tariff.id}&trial={trial_id}"
    assert anna.send(f"{PAGE}try/?id={house.tariff.id}", form()).status_code == 403
    assert anna.send(f"{PAGE}trial-cancel/?{address}", {}).status_code == 403
    for page in ("trial", "trial-panel", "trial-export"):
        assert anna.get(f"{PAGE}{page}/?{address}").status_code == 403
    assert "Try on sessions" not in anna.get(f"{PAGE}details/?id={house.tariff.id}").get_data(as_text=True)


def test_a_trial_is_cancelled_on_its_page(house: House, clean: Flask) -> None:
    olga = signed_in(house, clean)
    trial_id = house.ask(DRAFTS["flat"])
    assert olga.send(f"{PAGE}trial-cancel/?id={house.tariff.id}&trial={trial_id}", {}).status_code == 303
    assert house.trial(trial_id).status is TrialStatus.CANCELLED
    page = olga.get(f"{PAGE}trial/?id={house.tariff.id}&trial={trial_id}").get_data(as_text=True)
    assert "Cancelled after 0 of 0 sessions" in page


def test_the_tariffs_page_tries_it_as_it_is_stored(house: House, clean: Flask) -> None:
    olga = signed_in(house, clean)
    page = olga.get(f"{PAGE}details/?id={house.tariff.id}").get_data(as_text=True)
    assert "Try on last month" in page
    given = {"trial_of": "stored", "trial_period": "last_30_days"}
    assert olga.send(f"{PAGE}try/?id={house.tariff.id}", given).status_code == 303
    assert Draft.from_json(latest(house).draft) == draft_of(house.session, tariff=house.tariff)
    assert "Latest trials" in olga.get(f"{PAGE}details/?id={house.tariff.id}").get_data(as_text=True)


# --- the worker ---------------------------------------------------------------------------------------------------


def test_the_worker_is_asked_when_the_trial_is_on_disk(house: House, clean: Flask, redis_url: str) -> None:
    """Would catch a trial that waits for the next tick, and a job that a commit's failure leaves behind."""
    connection = redis.Redis.from_url(redis_url)
    Queue("default", connection=connection).empty()
    house.charge()
    trial_id = house.ask(DRAFTS["flat"])
    queue = Queue("default", connection=connection)
    assert queue.job_ids == [f"run_tariff_trial-{trial_id}"]
    with clean.app_context():
        SimpleWorker([queue], connection=connection).work(burst=True, logging_level="WARNING")
    wait_for(house, trial_id)


def test_what_nobody_runs_is_taken_up_by_the_timetable(house: House, clean: Flask) -> None:
    house.charge()
    trial_id = house.ask(DRAFTS["flat"])
    with clean.app_context():
        assert tasks.run_tariff_trials() == 1
    wait_for(house, trial_id)
    with clean.app_context():
        assert tasks.run_tariff_trials() == 0
        assert tasks.forget_tariff_trials() == 0


def wait_for(house: House, trial_id: int) -> None:
    """Until it is over; it runs beside."""
    import time as clock

    until = clock.monotonic() + 20
    while house.trial(trial_id).status in asking.UNFINISHED:
        assert clock.monotonic() < until
        clock.sleep(0.05)
    assert house.trial(trial_id).status is TrialStatus.DONE
    assert len(house.rows(trial_id)) == 1


def test_a_third_trial_waits_its_turn(house: House, clean: Flask) -> None:
    for number in range(3):
        house.tariff = make.tariff(house.session, f"Tariff {number}")
        last = house.ask(DRAFTS["flat"])
    with clean.app_context():
        assert tasks.run_tariff_trial(last) is False
    with transaction() as session:
        assert len(asking.unfinished(session, limit=running.AT_ONCE)) == running.AT_ONCE
