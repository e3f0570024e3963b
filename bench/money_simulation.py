"""`python -m bench.money_simulation`: ten thousand sessions and everything that can go wrong with their money.

Sessions of all five tariff types, paid from balances and by test cards that decline, ask for authentication, do not
answer or cannot be reached; starts and stops that are repeated; refunds, retries, write-offs, vouchers, top-ups and
auto top-ups by several workers at once; and processes that die before and after any commit, so that the processor has
done what we have not written down. Then nothing but the clockwork runs until it has nothing left to do, and the audit
(`flask --app wsgi audit-money`) says whether all books agree to the cent.
"""

from __future__ import annotations

import argparse
import atexit
import itertools
import logging
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from unittest.mock import patch

import structlog
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.audit_money import run as audit
from app.audit_money.checks import Period
from app.billing import ledger, top_ups, vouchers
from app.billing.models import PaymentMethod, TopUpPackage, Transaction, TransactionStatus, Voucher
from app.billing.payments import methods, orders, perform, refunds, retries
from app.billing.payments.lifecycle import OWING, PaymentLifecycleError
from app.charging import meter, sessions, stops
from app.charging.meter import Sample
from app.charging.station import Station
from app.charging.stops import Stop
from app.core import bootstrap, embedded, schema, settings
from app.core import db as databases
from app.core.clock import utcnow
from app.core.config import load
from app.core.db import connect_raw
from app.core.group_commit import GroupCommit
from app.crm.models import User
from app.factory import build
from bench import money_world
from jobs import tasks

T = TypeVar("T")
#: the days over which the sessions are spread; afterwards the clock runs on until nothing is left
DAYS = 12
WORKERS = 4
#: of database transactions, how many die before their commit, and how many after it
DIE_BEFORE, DIE_AFTER = 0.03, 0.03
#: processors are looked up for a month, auto top-ups pause for hours: after so long everything is over
QUIET_AFTER = timedelta(days=40)

#: what may be refused to an operator or driver: it is an outcome like any other
REFUSALS: tuple[type[Exception], ...] = (
    orders.InvalidAmount,
    orders.NotRefundable,
    orders.HoldNotOpen,
    retries.CannotRetry,
    retries.NotOwed,
    retries.OutcomeUnknown,
    retries.InsufficientBalance,
    vouchers.VoucherError,
    top_ups.UnusablePaymentMethod,
    PaymentLifecycleError,
)


class Died(Exception):
    """A process ended at this point; whatever it had not committed is lost."""


@dataclass(frozen=True)
class Plan:
    """How much is simulated."""

    sessions: int = 10_000
    workers: int = WORKERS
    seed: int = 1
    deaths: bool = True


@dataclass
class Report:
    """What happened, and what the audit found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether all books agree and nothing failed that should not."""
        return not self.differences and not self.errors

    def text(self) -> str:
        """For people."""
        lines = [f"{count:>9,}  {what}" for what, count in sorted(self.counts.items())]
        lines += [f"{taken:>9.1f}  s {what}" for what, taken in self.seconds.items()]
        lines += [f"UNEXPECTED: {error}" for error in self.errors[:20]]
        lines += [f"DIFFERENCE: {found}" for found in self.differences[:50]]
        lines.append(f"{len(self.differences)} differences, {len(self.errors)} unexpected errors")
        return "\n".join(lines)


class Saboteur:
    """Database transactions that die, now and then, before or after their commit."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.active = True
        self.deaths = 0

    def _dies(self, share: float) -> bool:
        with self._lock:
            dies = self.active and self._chance.random() < share
            self.deaths += dies
            return dies

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As `app.core.db.transaction`. Raises Died."""
        with databases.transaction() as session:
            yield session
            if self._dies(DIE_BEFORE):
                raise Died("before the commit")
        if self._dies(DIE_AFTER):
            raise Died("after the commit")


class Simulation:
    """One run on an application with an empty database."""

    def __init__(self, app: Flask, plan: Plan) -> None:
        self.app, self.plan = app, plan
        self.report = Report()
        self.saboteur = Saboteur(plan.seed)
        self.saboteur.active = plan.deaths
        self.began_at = utcnow().replace(microsecond=0)
        self.now = self.began_at
        self._lock = threading.Lock()
        self._done = itertools.count()
        self.writer = GroupCommit("simulation", lambda: connect_raw(app.config["DATABASE_URL"]))

    # ------------------------------------------------------------------ time and transactions

    def clock(self) -> datetime:
        """The simulation's time."""
        return self.now

    def count(self, what: str, number: int = 1) -> None:
        """Keep count of what happened."""
        with self._lock:
            self.report.counts[what] += number

    def do(self, what: str, work: Callable[[Session], T], *, again: bool = True) -> T | None:
        """Do it in a transaction that may die; ``again``: until it has not, as stations and people do."""
        for attempt in range(20):
            try:
                with self.saboteur.transaction() as session:
                    result = work(session)
                self.count(what)
                return result
            except Died:
                if not again:
                    return None
            except REFUSALS as refusal:
                self.count(f"refused: {type(refusal).__name__}")
                return None
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in ("40P01", "40001") or attempt == 19:
                    raise
        return None

    def ask(self, transaction_id: int) -> None:
        """Have a transaction performed, by a process that may die over it."""
        try:
            perform.perform(self.saboteur.transaction, transaction_id=transaction_id, clock=self.clock)
        except Died:
            self.count("deaths while a processor was asked")

    # ------------------------------------------------------------------ the run

    def run(self) -> Report:
        """Everything in its order."""
        with self.app.app_context(), databases.transaction() as session:
            self.world = money_world.make(
                session, random.Random(self.plan.seed), drivers=max(20, self.plan.sessions // 40), now=self.now
            )
        self.writer.start()
        with _quiet_logs(), patch.object(tasks, "utcnow", self.clock):
            with self._timed("sessions and operators"):
                self._live()
            with self._timed("clockwork until quiet"):
                self._settle_down()
            with self._timed("audit"):
                self._audit()
        self.writer.stop()
        self.report.counts["deaths of processes"] = self.saboteur.deaths
        return self.report

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began_s = time.monotonic()
        yield
        self.report.seconds[what] = time.monotonic() - began_s

    def _live(self) -> None:
        """Workers charge while operators and the clockwork do their part."""
        ended = threading.Event()
        with ThreadPoolExecutor(self.plan.workers + 2) as pool:
            lanes = [pool.submit(self._guarded, Lane(self, number).run) for number in range(self.plan.workers)]
            beside = [pool.submit(self._guarded, lambda: self._tick(ended)) for _ in range(2)]
            for lane in lanes:
                lane.result()
            ended.set()
            for each in beside:
                each.result()

    def _guarded(self, work: Callable[[], None]) -> None:
        with self.app.app_context():
            try:
                work()
            except Exception as error:  # reported: nothing may fail but what is let to
                self.report.errors.append(f"{type(error).__name__}: {error}"[:500])
                structlog.get_logger(__name__).exception("simulation.failed")
                if self.plan.workers == 1:
                    raise

    def _tick(self, ended: threading.Event) -> None:
        """The clockwork while it all goes on; its processes die too."""
        while not ended.is_set():
            self._clockwork()
            ended.wait(2.0)

    def _clockwork(self) -> int:
        done = 0
        with patch.object(tasks, "transaction", self.saboteur.transaction):
            for job in JOBS:
                try:
                    done += int(job() or 0)
                except Died:
                    self.count("deaths of jobs")
        return done

    def _settle_down(self) -> None:
        """Nothing but time and the clockwork, with no more deaths, until there is nothing left to do."""
        self.saboteur.active = False
        with self.app.app_context():
            ends_at = self.now + QUIET_AFTER
            self.now += timedelta(minutes=20)
            while self.now < ends_at:
                while self._clockwork():
                    pass
                with databases.transaction() as session:
                    following = session.scalar(select(func.min(Transaction.next_attempt_at)))
                later = self.now + timedelta(days=1)
                self.now = min(later, max(self.now + timedelta(seconds=10), following)) if following else later
            for _ in range(100):
                if not tasks.issue_receipts():
                    break

    def _audit(self) -> None:
        with self.app.app_context():
            with Session(databases.db.engine) as session:
                period = Period(now=self.now)
                self.report.differences = [found for _, found in audit.differences(session, period)]
            with databases.transaction() as session:
                self.report.counts.update(figures(session))


#: what the clockwork does about money
JOBS: tuple[Callable[[], Any], ...] = (
    tasks.bill_finished_sessions,
    tasks.release_holds,
    tasks.top_up_balances,
    tasks.settle_payments,
    tasks.expire_vouchers,
)


class Lane:
    """One worker: some of the drivers, at stations of its own, one charge after the other."""

    def __init__(self, simulation: Simulation, number: int) -> None:
        self.it, self.number = simulation, number
        self.chance = random.Random(simulation.plan.seed * 1000 + number)
        self.drivers = simulation.world.drivers[number :: simulation.plan.workers]
        self.stations = simulation.world.stations[number :: simulation.plan.workers]
        self.meters: dict[int, Decimal] = {}

    def run(self) -> None:
        """This lane's share of the sessions."""
        plan = self.it.plan
        share = plan.sessions // plan.workers + (1 if self.number < plan.sessions % plan.workers else 0)
        for index in range(share):
            at = self.it.began_at + timedelta(days=DAYS) * index / share
            with self.it._lock:
                self.it.now = max(self.it.now, at)
            self._change_strategy(index, share)
            self._charge(at, self.chance.choice(self.drivers), self.chance.choice(self.stations))
            self._meanwhile()

    def _change_strategy(self, index: int, share: int) -> None:
        """The four billing strategies, one after the other: the first lane changes the setting."""
        each = max(1, -(-share // len(money_world.STRATEGIES)))
        if self.number == 0 and index % each == 0:
            chosen = money_world.STRATEGIES[index // each % len(money_world.STRATEGIES)]
            self.it.do(
                f"strategy {chosen}",
                lambda session: settings.change_setting(session, key="billing.strategy", value=chosen, actor=None),
            )

    # ------------------------------------------------------------------ one charge

    def _charge(self, at: datetime, driver: money_world.Driver, station: Station) -> None:
        evse = station.evses[1]
        begun_wh = self.meters.get(evse.id, Decimal(1000))
        energy_wh = Decimal(self.chance.choice((0, 400, 7400, 22_000, 41_317)))
        minutes = self.chance.choice((1, 12, 40, 95))
        stopped_at = at + timedelta(minutes=minutes)
        self.meters[evse.id] = begun_wh + energy_wh

        def start(session: Session) -> tuple[int, int | None]:
            outcome = sessions.start_session(
                session,
                station=station,
                evse=evse,
                id_tag=driver.tag,
                meter_start_wh=begun_wh,
                reported_at=at,
                now=at,
            )
            return outcome.session_id, outcome.hold_id

        begun = self.it.do("starts", start)
        if self.chance.random() < 0.3:
            begun = self.it.do("starts, repeated", start) or begun
        if begun is None:
            return
        number, hold_id = begun
        if hold_id is not None and self.chance.random() < 0.9:
            self.it.ask(hold_id)
        self._readings(station, number, begun_wh, energy_wh, at, minutes)
        with self.it._lock:
            self.it.now = max(self.it.now, stopped_at)

        def stop(session: Session) -> int | None:
            told = Stop(session_id=number, meter_stop_wh=begun_wh + energy_wh, reported_at=stopped_at)
            return stops.stop_session(session, station=station, stop=told, now=stopped_at).session_id

        self.it.do("stops", stop)
        if self.chance.random() < 0.3:
            self.it.do("stops, repeated", stop)
        if self.chance.random() < 0.7:
            self._ask_about(number)

    def _readings(
        self, station: Station, number: int, begun_wh: Decimal, energy_wh: Decimal, at: datetime, minutes: int
    ) -> None:
        count = self.chance.choice((0, 0, 2, 5))
        if not count or not energy_wh:
            return
        remembered = self.it.do("meters", lambda session: meter.load_meter(session, station=station, session_id=number))
        if remembered is None:
            return
        for step in range(1, count + 1):
            moment = at + timedelta(minutes=minutes) * step / (count + 1)
            register = begun_wh + (energy_wh * step / (count + 1)).quantize(Decimal(1))
            sample = Sample(measured_at=moment, register_wh=register)
            meter.record(
                self.it.writer,
                station=station,
                meter=remembered,
                evse_id=remembered.evse_id,
                samples=[sample],
                now=moment,
            )
            self.it.count("readings")

    def _ask_about(self, number: int) -> None:
        """What the gateway does after a stop: the processor is asked at once."""
        waiting = self.it.do(
            "looked for what is pending",
            lambda session: session.scalars(
                select(Transaction.id).where(
                    Transaction.session_id == number, Transaction.status == TransactionStatus.PENDING
                )
            ).all(),
        )
        for transaction_id in waiting or ():
            self.it.ask(transaction_id)

    # ------------------------------------------------------------------ what people do meanwhile

    def _meanwhile(self) -> None:
        for share, work in (
            (0.06, self._refund),
            (0.12, self._retry),
            (0.03, self._pay_from_balance),
            (0.01, self._write_off),
            (0.04, self._top_up),
            (0.03, self._redeem),
            (0.02, self._add_balance),
            (0.01, self._release),
        ):
            if self.chance.random() < share:
                work()

    def _any(self, session: Session, *conditions: Any) -> Transaction | None:
        """One of the last transactions that fit, of anybody: two lanes may well choose the same."""
        rows = session.scalars(select(Transaction).where(*conditions).order_by(Transaction.id.desc()).limit(30)).all()
        return self.chance.choice(rows) if rows else None

    def _refund(self) -> None:
        def work(session: Session) -> int | None:
            row = self._any(
                session, Transaction.type.in_(("charge", "capture")), Transaction.status == TransactionStatus.SUCCEEDED
            )
            if row is None:
                return None
            part = self.chance.choice((None, Decimal("0.01"), Decimal("0.50"), row.amount))
            made = refunds.refund(
                session, transaction=row, amount=part, reason="The cable was stuck", actor=None, now=self.it.now
            )
            return made.id

        self._then_ask(self.it.do("refunds ordered", work, again=False))

    def _retry(self) -> None:
        def work(session: Session) -> int | None:
            row = self._any(session, Transaction.status.in_((*OWING, TransactionStatus.FAILED)))
            if row is None:
                return None
            method = None
            if row.parent_id is None and self.chance.random() < 0.6 and row.user_id is not None:
                usable = methods.usable(session, user_id=row.user_id, today=self.it.now.date())
                method = self.chance.choice(usable) if usable else None
            retries.retry_payment(
                session, transaction=row, payment_method=method, reason="Once more", actor=None, now=self.it.now
            )
            return row.id

        self._then_ask(self.it.do("retries ordered", work, again=False))

    def _pay_from_balance(self) -> None:
        def work(session: Session) -> None:
            row = self._any(session, Transaction.status.in_(OWING))
            if row is not None:
                retries.pay_from_balance(session, transaction=row, reason="Asked by phone", actor=None, now=self.it.now)

        self.it.do("paid from the balance", work, again=False)

    def _write_off(self) -> None:
        def work(session: Session) -> None:
            row = self._any(session, Transaction.status.in_(OWING))
            if row is not None:
                retries.cancel_payment(session, transaction=row, reason="Goodwill", actor=None, now=self.it.now)

        self.it.do("written off", work, again=False)

    def _release(self) -> None:
        def work(session: Session) -> int | None:
            row = self._any(
                session,
                Transaction.type == "preauthorization",
                Transaction.status == TransactionStatus.SUCCEEDED,
                Transaction.closed_at.is_(None),
            )
            if row is None:
                return None
            return retries.release_hold(session, hold=row, reason="By phone", actor=None, now=self.it.now).id

        self._then_ask(self.it.do("holds released", work, again=False))

    def _top_up(self) -> None:
        driver = self.chance.choice(self.drivers)
        key = f"simulation:{self.number}:{self.chance.getrandbits(40)}"
        if not driver.methods:
            return

        def work(session: Session) -> int | None:
            voucher = top_ups.begin_top_up(
                session,
                user=session.get_one(User, driver.user_id),
                method=session.get_one(PaymentMethod, self.chance.choice(driver.methods)),
                package=session.get_one(TopUpPackage, self.it.world.package_id),
                reason="Asked by phone",
                actor=None,
                key=key,
                now=self.it.now,
            )
            return voucher.transaction_id

        self._then_ask(self.it.do("top-ups ordered", work))

    def _redeem(self) -> None:
        driver = self.chance.choice(self.drivers)

        def work(session: Session) -> None:
            waiting = session.scalars(
                select(Voucher.code)
                .where(Voucher.type == "voucher", Voucher.status == "active", Voucher.redeemed_at.is_(None))
                .order_by(Voucher.id)
                .limit(3)
            ).all()
            if waiting:
                vouchers.redeem(
                    session,
                    code=self.chance.choice(waiting),
                    user=session.get_one(User, driver.user_id),
                    now=self.it.now,
                )

        self.it.do("vouchers redeemed", work, again=False)

    def _add_balance(self) -> None:
        driver = self.chance.choice(self.drivers)
        self.it.do(
            "operator top-ups",
            lambda session: (
                ledger.add_balance(
                    session,
                    user=session.get_one(User, driver.user_id),
                    amount=Decimal("7.50"),
                    currency="EUR",
                    reason="Sorry",
                    actor=None,
                    now=self.it.now,
                ).id
            ),
            again=False,
        )

    def _then_ask(self, transaction_id: int | None) -> None:
        if transaction_id is not None and self.chance.random() < 0.8:
            self.it.ask(transaction_id)


def figures(session: Session) -> dict[str, int]:
    """How many there are of each, for the report."""
    found: dict[str, int] = {}
    for title, statement in (
        ("sessions", "SELECT 'payment: ' || payment_status, count(*) FROM charging_session GROUP BY 1"),
        ("tariffs", "SELECT 'tariff: ' || (tariff_snapshot ->> 'type'), count(*) FROM charging_session GROUP BY 1"),
        ("transactions", "SELECT 'transactions: ' || type || ', ' || status, count(*) FROM transaction GROUP BY 1"),
        ("vouchers", "SELECT 'vouchers: ' || type || ', ' || status, count(*) FROM voucher GROUP BY 1"),
        ("ledger", "SELECT 'ledger entries', count(*) FROM ledger_entry"),
        ("receipts", "SELECT 'receipts: ' || kind, count(*) FROM receipt GROUP BY 1"),
    ):
        for name, count in session.execute(text(statement)):
            found[name or f"{title}: none"] = count
    return found


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """What is made to fail need not be told; only what is critical."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(wrapper_class=before)


def application(folder: str) -> Flask:
    """The application without its screens, on servers of its own that end with this process."""
    config = load({"SYNC_DATA_DIR": folder, "SYNC_DEMO": "0"})
    servers = embedded.start(config)
    database_url = bootstrap.prepare(servers.admin_database_url, config)
    migration_url = bootstrap.migration_url(servers.admin_database_url, config)
    schema.upgrade(migration_url)
    return build(config, database_url=database_url, migration_url=migration_url, redis_url=servers.redis_url)


def main() -> int:
    """Run on servers of its own. Exit status 0 when all books agree."""
    parser = argparse.ArgumentParser(prog="python -m bench.money_simulation", description=__doc__)
    parser.add_argument("--sessions", type=int, default=Plan.sessions)
    parser.add_argument("--workers", type=int, default=Plan.workers)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="sync-money-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # after the servers, which register later
    report = Simulation(application(folder), Plan(options.sessions, options.workers, options.seed)).run()
    print(report.text())
    return 0 if report.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
