"""Starts and stops as stations report them, by the verbs: one place for every test that needs a charge."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import sessions, stops
from app.charging.stops import Stop
from app.core.db import db
from app.crm.models import User
from tests.support.gateway import Cast, station_of

T = TypeVar("T")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def start(people: Cast, charge_point: ChargePoint, tag: str | None, **fields: Any) -> sessions.StartOutcome:
    """A start as a station reports it, committed."""
    station = station_of(charge_point)
    evse = station.evse(1)
    assert evse is not None
    given = {"meter_start_wh": Decimal(1000), "reported_at": NOW, "now": NOW, **fields}
    outcome = sessions.start_session(people.session, station=station, evse=evse, id_tag=tag, **given)
    people.session.commit()
    return outcome


def stop(people: Cast, charge_point: ChargePoint, **fields: Any) -> stops.StopOutcome:
    """A stop as a station reports it, committed."""
    now = fields.pop("now", NOW + timedelta(minutes=40))
    given = {"meter_stop_wh": Decimal(8400), "reported_at": now, **fields}
    outcome = stops.stop_session(people.session, station=station_of(charge_point), stop=Stop(**given), now=now)
    people.session.commit()
    return outcome


def tag_of(user: User) -> str:
    """A driver's tag."""
    return user.rfid_tags[0].tag_id


def at_once(app: Flask, *works: Callable[[Session], T]) -> list[T | Exception]:
    """Do all in transactions of their own at the same time; what each returned or raised."""

    def run(work: Callable[[Session], T]) -> T | Exception:
        with app.app_context(), Session(db.engine) as session:
            try:
                result = work(session)
                session.commit()
                return result
            except Exception as error:
                session.rollback()
                return error

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(run, work) for work in works]]
