"""Roll-ups equal what the sessions say: over days of 23 and 25 hours, whatever is changed, deleted or given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import generations, marks, totals, upkeep
from app.analytics.models import ADDITIVE
from app.analytics.recompute import Zoned, know_days
from app.analytics.totals import WallSpan, session_sums
from app.assets.models import Evse, EvseType
from app.billing.models import Transaction, TransactionStatus, TransactionType
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import ChargingSession
from app.core import settings
from app.core.db import db
from app.core.models import CurrencyRow
from tests.support.factories_dashboard import make_partner, make_session, make_station, make_zone
from tests.support.rollups import kept_up, rolled, straight

ZONES = ("Europe/Sofia", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "UTC")


# --- days


@pytest.mark.parametrize(
    "zone, day, hours, begins",
    [
        ("Europe/Sofia", "2026-03-29", 23, "2026-03-28T22:00"),
        ("Europe/Sofia", "2026-10-25", 25, "2026-10-24T21:00"),
        ("Europe/Sofia", "2026-06-01", 24, "2026-05-31T21:00"),
        ("Australia/Lord_Howe", "2026-04-05", 24.5, "2026-04-04T13:00"),
        ("America/Havana", "2026-11-01", 25, "2026-11-01T04:00"),  # midnight to one happens twice
        ("America/Sao_Paulo", "2018-11-04", 23, "2018-11-04T03:00"),  # has no midnight
        ("America/Sao_Paulo", "2018-02-17", 25, "2018-02-17T02:00"),  # its last hour happens twice
        ("Pacific/Apia", "2011-12-30", 0, None),  # was left out
        ("Asia/Kathmandu", "2026-01-01", 24, "2025-12-31T18:15"),
    ],
)
def test_a_day_is_what_projects_onto_it(
    session: Session, zone: str, day: str, hours: float, begins: str | None
) -> None:
    generation = _generation(session, zone)
    know_days(session, generation, [date.fromisoformat(day)])
    found = session.execute(
        text("SELECT t0, t1, seconds FROM an_day WHERE day = CAST(:day AS date)"), {"day": day}
    ).one()
    assert found.seconds == hours * 3600
    if begins is not None:
        assert found.t0 == datetime.fromisoformat(begins).replace(tzinfo=UTC)
        assert found.t1 - found.t0 == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ZONES)
def test_days_of_a_year_leave_nothing_out(session: Session, zone: str) -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    know_days(session, _generation(session, zone), days)
    rows = session.execute(text("SELECT day, t0, t1, seconds FROM an_day ORDER BY day")).all()
    assert [row.day for row in rows] == days
    assert all(before.t1 == after.t0 for before, after in pairwise(rows))
    assert all((row.t1 - row.t0).total_seconds() == row.seconds for row in rows)
    assert rows[0].t0 == datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))


def _generation(session: Session, zone: str) -> Zoned:
    made = generations.begin(session, zone=zone)
    return Zoned(made.id, made.zone)


# --- equal to the sessions, whatever happens


class World:
    """Three EVSEs of two partners in two countries; what can happen to their sessions."""

    def __init__(self, session: Session) -> None:
        self.session = session
        for code, exponent in (("JPY", 0), ("KWD", 3)):
            session.merge(CurrencyRow(code=code, name=code, symbol=code, exponent=exponent))
        session.flush()
        self.partner = make_partner(session)
        sofia, skopje = make_zone(session), make_zone(session, name="Skopje", country="MK")
        self.zones = (sofia, skopje)
        self.evses: list[Evse] = [
            *make_station(session, sofia, evses=2).evses,
            *make_station(session, skopje, type=EvseType.DC, partner_id=self.partner.id).evses,
        ]
        self.sessions: list[int] = []
        self.refunds: list[int] = []
        session.commit()

    def end(self, at: datetime, evse: int, kind: int, wh: int, cents: int) -> None:
        """A session that ends at a moment, of one kind or another."""
        more: dict[str, Any] = {"payment_status": PaymentStatus.PAID}
        currency, exponent = (("EUR", 2), ("JPY", 0), ("KWD", 3))[kind % 3]
        if kind % 7 == 4:
            more["payment_status"] = PaymentStatus.NOT_BILLED
        if kind % 7 == 5:
            more["status"] = SessionStatus.FAILED
        if kind % 7 == 6:
            more["flags"] = ["demo"]
        amount = f"{Decimal(cents).scaleb(-exponent):f}"
        minutes = 7 + kind * 13
        row = make_session(
            self.session,
            self.evses[evse % 3],
            started_at=at - timedelta(minutes=minutes),
            minutes=minutes,
            energy_wh=wh,
            gross=amount,
            currency=currency,
            max_power_w=Decimal(wh % 50000),
            charging_ended_at=at - timedelta(minutes=kind) if kind % 2 else None,
            **more,
        )
        self.sessions.append(row.id)
        self.session.commit()

    def change(self, which: int, how: int, at: datetime) -> None:
        """Something of a session changes, or it is deleted, or money is given back."""
        if not self.sessions:
            return
        number = self.sessions[which % len(self.sessions)]
        row = self.session.get_one(ChargingSession, number)
        if how == 0 and row.stopped_at is not None:
            row.started_at, row.stopped_at = at - timedelta(minutes=5), at
        elif how == 1:
            row.evse_id = self.evses[which % 3].id
            row.partner_id = self.evses[which % 3].partner_id
        elif how == 2:
            row.flags = [] if "demo" in row.flags else ["demo"]
        elif how == 3:
            row.payment_status = PaymentStatus.REFUNDED if which % 2 else PaymentStatus.OUTSTANDING
        elif how == 4:
            row.energy_wh += Decimal("12.6")
        elif how == 5 and not self.session.query(Transaction).filter_by(session_id=number).count():
            self.session.delete(row)
            self.sessions.remove(number)
        elif how in (6, 7) and row.currency is not None:
            self._give_back(row, TransactionStatus.SUCCEEDED if how == 6 else TransactionStatus.PENDING)
        elif how == 8:
            for refund in self.session.query(Transaction).filter_by(session_id=number, type=TransactionType.REFUND):
                refund.status = TransactionStatus.SUCCEEDED
        elif how == 9:
            self._move(which)
        self.session.commit()

    def _give_back(self, row: ChargingSession, status: TransactionStatus) -> None:
        key = f"refund-{row.id}-{len(self.refunds)}"
        common = {"partner_id": row.partner_id, "session_id": row.id, "processor": "test", "currency": row.currency}
        charge = Transaction(
            type=TransactionType.CHARGE,
            status=TransactionStatus.SUCCEEDED,
            amount=5,
            idempotency_key=f"c{key}",
            **common,
        )
        self.session.add(charge)
        self.session.flush()
        refund = Transaction(
            type=TransactionType.REFUND, status=status, amount=1, idempotency_key=key, parent_id=charge.id, **common
        )
        self.session.add(refund)
        self.session.flush()
        self.refunds.append(refund.id)

    def _move(self, which: int) -> None:
        """What an EVSE is counted under changes: its kind, its station's zone, its location's country."""
        evse = self.evses[which % 3]
        if which % 3 == 0:
            evse.type = EvseType.AC if evse.type is EvseType.DC else EvseType.DC
        elif which % 3 == 1:
            evse.charge_point.zone_id = self.zones[which // 3 % 2].id
        else:
            self.zones[0].location.country = "RO" if self.zones[0].location.country == "BG" else "BG"


#: around the changes of clocks in spring and autumn of the zones above, and a year's end
_MOMENTS = st.sampled_from(
    [
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2026, 4, 4, 14, 50, tzinfo=UTC),
        datetime(2025, 12, 31, 22, 0, tzinfo=UTC),
    ]
).flatmap(lambda at: st.integers(-2400, 2400).map(lambda minutes: at + timedelta(minutes=minutes)))
_ENDS = st.tuples(
    st.just("end"), _MOMENTS, st.integers(0, 2), st.integers(0, 20), st.integers(0, 99_999), st.integers(0, 9_999)
)
_CHANGES = st.tuples(st.just("change"), st.integers(0, 30), st.integers(0, 9), _MOMENTS)
_WORK = st.tuples(st.just("work"), st.integers(1, 5))
_SPANS = st.tuples(_MOMENTS, st.integers(0, 200), st.sampled_from(["day", "week", "month", None]))


@hypothesis_settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    zone=st.sampled_from(ZONES),
    begun=st.lists(_ENDS, min_size=3, max_size=10),
    steps=st.lists(st.one_of(_ENDS, _CHANGES, _CHANGES, _CHANGES, _WORK), min_size=3, max_size=15),
    spans=st.lists(_SPANS, min_size=1, max_size=3),
)
def test_roll_ups_equal_the_sessions(
    clean: Flask,
    cleaner: Any,
    zone: str,
    begun: list[tuple[Any, ...]],
    steps: list[tuple[Any, ...]],
    spans: list[tuple[datetime, int, str | None]],
) -> None:
    """At every moment what is read is exact; once all marks are worked off, so is every row."""
    with clean.app_context(), _emptied(cleaner) as session:
        settings.change_setting(session, key="system.timezone", value=zone, actor=None)
        session.commit()
        world = World(session)
        for _, *arguments in begun:
            world.end(*arguments)
        kept_up()
        asked = [WallSpan("all", datetime(2025, 12, 1), datetime(2027, 1, 1), "day")]
        asked += [
            WallSpan(f"{number}", at.replace(tzinfo=None), at.replace(tzinfo=None) + timedelta(hours=hours), grain)
            for number, (at, hours, grain) in enumerate(spans)
        ]
        for what, *arguments in steps:
            if what == "work":
                marks.work_off(session, batch=arguments[0])
                session.commit()
            else:
                getattr(world, what)(*arguments)
                session.commit()
        assert totals.generation_in_use(session, zone=zone) is not None
        assert _added(session_sums(session, asked, zone=zone)) == straight(session, asked, zone=zone)
        kept_up()
        assert upkeep.waiting(session) == 0
        assert rolled(session) == rolled(session, fresh_in=zone)
        assert _added(session_sums(session, asked, zone=zone)) == straight(session, asked, zone=zone)


@contextmanager
def _emptied(cleaner: Any) -> Iterator[Session]:
    from tests.conftest import empty_tables

    db.session.remove()
    empty_tables(cleaner)
    settings.forget()
    try:
        yield db.session()
    finally:
        db.session.rollback()
        db.session.remove()


def _added(rows: list[totals.Sum]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Parts of one bucket together; nothing where nothing was."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        values = found.setdefault((row.name, row.bucket, row.currency), [0] * len(ADDITIVE))
        for position, name in enumerate(ADDITIVE):
            values[position] += getattr(row, name)
    return {key: tuple(values) for key, values in found.items() if any(values)}


def test_what_is_marked_is_left_out_and_computed(session: Session) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    at = datetime(2026, 11, 10, 12, 0, tzinfo=UTC)
    row = make_session(session, evse, started_at=at, energy_wh=1000, gross="2.00")
    make_session(session, evse, started_at=at, energy_wh=500, gross="1.00")
    session.commit()
    kept_up()
    span = [WallSpan("x", datetime(2026, 11, 1), datetime(2026, 12, 1), "day")]
    zone = settings.get_text(session, "system.timezone")
    row.energy_wh = Decimal(7000)
    session.commit()
    assert upkeep.waiting(session) == 1
    assert _added(session_sums(session, span, zone=zone)) == straight(session, span, zone=zone)
    [found] = session_sums(session, span, zone=zone)
    assert (found.sessions, found.energy_wh, found.gross) == (2, 7500, 3)
    row.stopped_at = at + timedelta(days=40)
    session.commit()
    assert upkeep.waiting(session) == 3
    [found] = session_sums(session, span, zone=zone)
    assert (found.sessions, found.energy_wh, found.gross) == (1, 500, 1)
