"""Lost connections: one row and one mail for each, one mail for many, one when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, SystemStatus
from app.charging import connectivity
from app.charging.models import Outage
from app.charging.recovery import outages
from app.core.models import Mail
from tests.support.charging import NOW, at_once
from tests.support.gateway import Cast, people

__all__ = ["people"]  # a fixture


@dataclass
class Clock:
    """The clockwork's ticks, at times of the test's own."""

    session: Session
    now: datetime = NOW

    def tick(self, **later: float) -> None:
        """Let time pass, and do what the jobs do."""
        self.now += timedelta(**later)
        connectivity.climb_ladder(self.session, now=self.now)
        outages.watch_outages(self.session, now=self.now)
        self.session.commit()

    def connect(self, stations: Sequence[ChargePoint]) -> None:
        """Their sockets open."""
        self._state(stations, connected=True, last_seen_at=self.now, connection_changed_at=self.now)
        self._state(stations, connection="available")

    def hang_up(self, stations: Sequence[ChargePoint]) -> None:
        """Their sockets close; this was their last sign of life."""
        self._state(stations, connected=False, last_seen_at=self.now)

    def hear(self, stations: Sequence[ChargePoint]) -> None:
        """A sign of life."""
        self._state(stations, last_seen_at=self.now)

    def _state(self, stations: Sequence[ChargePoint], **values: object) -> None:
        ids = [station.id for station in stations]
        self.session.execute(update(ChargePointState).where(ChargePointState.charge_point_id.in_(ids)).values(**values))
        self.session.commit()


@pytest.fixture
def clock(people: Cast) -> Clock:
    """Noon; somebody reads the mails."""
    people.set("notification.fault_emails", ["ops@operator.example"])
    return Clock(people.session)


def lost(people: Cast, clock: Clock, count: int = 1, **fields: object) -> list[ChargePoint]:
    """Stations that were connected and fell silent five minutes ago."""
    stations = [people.station(**fields) for _ in range(count)]
    clock.connect(stations)
    clock.hang_up(stations)
    clock.tick(seconds=300)
    return stations


def rows(session: Session) -> list[Outage]:
    """All outages, oldest first."""
    session.rollback()
    session.expire_all()
    return list(session.scalars(select(Outage).order_by(Outage.id)))


def mails(session: Session) -> list[Mail]:
    """The outbox."""
    session.rollback()
    return list(session.scalars(select(Mail).order_by(Mail.id)))


def test_a_lost_connection_is_one_outage_and_one_mail(people: Cast, clock: Clock) -> None:
    [station] = lost(people, clock)
    [outage] = rows(clock.session)
    assert (outage.began_at, outage.ended_at) == (NOW, None)
    assert mails(clock.session) == [], "in the first minute it may still be all of them"
    for _ in range(5):
        clock.tick(seconds=60)
    [mail] = mails(clock.session)
    assert mail.subject == f"Connection lost: {station.name}"
    for words in (
        station.identifier,
        "no sign of life for 6 min",
        "2026-11-22 12:00:00 UTC",
        "Modera Restaurant parking, Modera Zone",
        f"/assets/charge-points/details/?id={station.id}",
    ):
        assert words in mail.body, words
        assert words in (mail.html or ""), words
    assert rows(clock.session)[0].mail_key == mail.key


def test_back_again_is_said_once_in_the_same_thread(people: Cast, clock: Clock) -> None:
    [station] = lost(people, clock)
    clock.tick(seconds=60)
    clock.connect([station])
    clock.tick(seconds=30)
    assert rows(clock.session)[0].ended_at is None, "it may go again at once"
    for _ in range(3):
        clock.hear([station])
        clock.tick(seconds=30)
    [outage] = rows(clock.session)
    assert outage.ended_at == NOW + timedelta(minutes=6)
    first, back = mails(clock.session)
    assert (back.subject, back.answers) == (f"Connected again: {station.name}", first.key)
    assert "connected again, after 6 min" in back.body
    assert outage.back_mailed_at is not None


def test_one_that_comes_and_goes_is_told_of_once(people: Cast, clock: Clock) -> None:
    [station] = lost(people, clock)
    clock.tick(seconds=60)
    for _ in range(3):
        clock.connect([station])
        clock.tick(seconds=10)
        clock.hang_up([station])
        clock.tick(seconds=310)
    assert len(rows(clock.session)) == 1
    assert len(mails(clock.session)) == 1


def test_back_within_the_minute_is_no_news(people: Cast, clock: Clock) -> None:
    [station] = lost(people, clock)
    clock.tick(seconds=30)
    clock.connect([station])
    for _ in range(4):
        clock.hear([station])
        clock.tick(seconds=40)
    assert rows(clock.session)[0].ended_at is not None
    assert mails(clock.session) == []


def test_a_second_outage_is_a_second_mail(people: Cast, clock: Clock) -> None:
    [station] = lost(people, clock)
    clock.tick(seconds=60)
    clock.connect([station])
    clock.tick(seconds=60)
    clock.hang_up([station])
    clock.tick(seconds=300)
    clock.tick(seconds=60)
    assert [mail.subject.partition(":")[0] for mail in mails(clock.session)] == [
        "Connection lost",
        "Connected again",
        "Connection lost",
    ]


@pytest.mark.parametrize(
    "fields, told",
    [
        ({"status": SystemStatus.ACTIVE}, 1),
        ({"status": SystemStatus.OUT_OF_ORDER}, 1),
        ({"status": SystemStatus.DISABLED}, 0),
        ({"status": SystemStatus.DEMO}, 0),
        ({"managed_by_operator": False}, 0),
    ],
)
def test_only_active_and_out_of_order_stations_are_watched(
    people: Cast, clock: Clock, fields: dict[str, object], told: int
) -> None:
    lost(people, clock, **fields)
    clock.tick(seconds=60)
    assert (len(rows(clock.session)), len(mails(clock.session))) == (told, told)


def test_one_that_never_connected_is_not_lost(people: Cast, clock: Clock) -> None:
    people.station()
    clock.tick(hours=1)
    assert rows(clock.session) == []


def test_many_at_once_are_one_mail(people: Cast, clock: Clock) -> None:
    stations = lost(people, clock, outages.MANY + 1)
    clock.tick(seconds=30)
    late = lost(people, clock, 2)  # these fall silent meanwhile, and are noticed within ten minutes
    clock.tick(seconds=60)
    first, second = mails(clock.session)
    assert first.subject == f"Connection lost: {outages.MANY + 1} charge points at once"
    assert all(station.identifier in first.body for station in stations)
    assert "/dashboard/faults/" in first.body
    assert second.subject == "Connection lost: 2 charge points at once"
    assert all(station.identifier in second.body for station in late)


def test_twenty_in_a_minute_are_twenty_mails(people: Cast, clock: Clock) -> None:
    lost(people, clock, outages.MANY)
    clock.tick(seconds=60)
    assert len(mails(clock.session)) == outages.MANY


def test_a_mail_about_very_many_names_some_and_counts_the_rest(people: Cast, clock: Clock) -> None:
    lost(people, clock, 53)
    clock.tick(seconds=60)
    [mail] = mails(clock.session)
    assert "and 3 more" in mail.body
    assert mail.body.count("last sign of life") == 50


def test_many_that_are_back_are_one_mail_when_all_are(people: Cast, clock: Clock) -> None:
    stations = lost(people, clock, outages.MANY + 1)
    clock.tick(seconds=60)
    clock.connect(stations[1:])
    clock.tick(seconds=60)
    assert len(mails(clock.session)) == 1
    clock.hear(stations[1:])
    clock.connect(stations[:1])
    clock.tick(seconds=60)
    first, back = mails(clock.session)
    assert back.subject == f"Connected again: {outages.MANY + 1} of {outages.MANY + 1} charge points"
    assert back.answers == first.key
    assert "Still away" not in back.body


def test_who_is_missing_after_an_hour_is_named(people: Cast, clock: Clock) -> None:
    stations = lost(people, clock, outages.MANY + 1)
    clock.tick(seconds=60)
    clock.connect(stations[1:])
    clock.tick(seconds=60)
    clock.tick(hours=1)
    clock.tick(hours=1)
    _, back = mails(clock.session)
    assert back.subject == f"Connected again: {outages.MANY} of {outages.MANY + 1} charge points"
    assert f"{stations[0].name} ({stations[0].identifier})" in back.body


def test_switched_off_it_is_kept_but_not_mailed_and_never_later(people: Cast, clock: Clock) -> None:
    people.set("notification.outages", False)
    lost(people, clock)
    clock.tick(hours=2)
    people.set("notification.outages", True)
    clock.tick(seconds=60)
    assert len(rows(clock.session)) == 1
    assert mails(clock.session) == []


def test_two_schedulers_open_one_outage_and_write_one_mail(app: Flask, people: Cast, clock: Clock) -> None:
    lost(people, clock)
    later = clock.now + timedelta(seconds=60)
    at_once(app, *[lambda session: outages.watch_outages(session, now=later)] * 4)
    assert len(rows(clock.session)) == 1
    assert len(mails(clock.session)) == 1


def test_the_clockwork_was_away_for_a_night(people: Cast, clock: Clock) -> None:
    """It begins with the last sign of life, however late that was noticed."""
    station = people.station()
    clock.connect([station])
    clock.hang_up([station])
    clock.tick(hours=9)
    clock.tick(seconds=60)
    [outage] = rows(clock.session)
    assert outage.began_at == NOW
    assert "no sign of life for 9 h 01 min" in mails(clock.session)[0].body


def test_a_deleted_station_takes_its_outages_along(people: Cast, clock: Clock) -> None:
    [station] = lost(people, clock)
    clock.session.execute(text("DELETE FROM charge_point WHERE id = :id"), {"id": station.id})
    clock.session.commit()
    clock.tick(seconds=60)
    assert rows(clock.session) == []
