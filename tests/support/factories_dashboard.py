"""Rows that the tests of the door, the dashboard and the search need: a cast of admins, a site, stations, sessions."""

from __future__ import annotations

import contextvars
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargingZone,
    ConnectionStatus,
    Evse,
    EvseType,
    Location,
    ReportedStatus,
)
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import AuthorizationSource, ChargingSession
from app.core import admin_sessions
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Admin, Role
from app.core.passwords import hash_password
from app.crm.models import User
from app.partners.models import Partner
from tests.ui.checked_client import CheckedClient

PASSWORD = "correct horse battery"
_HASH = hash_password(PASSWORD)
_numbers = itertools.count(1)


def make_admin(session: Session, *, role: str = "Super User", email: str = "olga@example.com", **fields: Any) -> Admin:
    """An admin with the common password."""
    found = session.scalars(select(Role).where(Role.name == role)).one()
    fields.setdefault("name", email.split("@", maxsplit=1)[0].title())
    admin = Admin(email=email, role=found, password_hash=_HASH, **fields)
    session.add(admin)
    session.commit()
    return admin


class Visitor(CheckedClient):
    """A client whose requests know nothing of the test's own application context.

    Otherwise a request would share ``g`` (with it the admin of the request before) and the test's database session.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """As a server would run it."""
        kwargs.setdefault("buffered", True)
        return contextvars.Context().run(super().open, *args, **kwargs)


def visitor(app: Flask) -> Visitor:
    """Somebody who is not signed in."""
    return Visitor(app, app.response_class, use_cookies=True)


def sign_in_key(app: Flask, admin: Admin) -> str:
    """What the cookie of a new sign-in of that admin carries as ``_user_id``."""
    number = admin.id
    with app.app_context():
        found = db.session.get_one(Admin, number)
        _, key = admin_sessions.begin(
            db.session(), admin=found, address="127.0.0.1", agent="Mozilla/5.0 (X11; Linux) Firefox/145.0", now=utcnow()
        )
        db.session.commit()
    return key


def signed_in(app: Flask, admin: Admin) -> Visitor:
    """A client with that admin's session, as signing in would have made it."""
    client = visitor(app)
    key = sign_in_key(app, admin)
    with client.session_transaction() as cookie:
        cookie["_user_id"] = key
        cookie["_fresh"] = True
        cookie.permanent = True
    return client


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """The SQL statements that are sent meanwhile. Needs an application context."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def make_partner(session: Session, name: str = "Lidl Bulgaria") -> Partner:
    """A host that is not the operator."""
    partner = Partner(name=name)
    session.add(partner)
    session.flush()
    return partner


def make_zone(session: Session, *, name: str = "Sofia Ring Mall", city: str = "Sofia", **fields: Any) -> ChargingZone:
    """A location with one zone."""
    fields = {"latitude": Decimal("42.62"), "longitude": Decimal("23.35"), "country": "BG", **fields}
    location = Location(name={"en": name}, city=city, **fields)
    zone = ChargingZone(location=location, name=f"{name} Zone")
    session.add_all([location, zone])
    session.flush()
    return zone


def make_station(
    session: Session,
    zone: ChargingZone,
    *,
    identifier: str | None = None,
    evses: int = 1,
    type: EvseType = EvseType.AC,
    max_power_w: int | None = 22_000,
    connection: ConnectionStatus = ConnectionStatus.AVAILABLE,
    reported: ReportedStatus = ReportedStatus.AVAILABLE,
    partner_id: int = 1,
    **fields: Any,
) -> ChargePoint:
    """A station with EVSEs of one kind, connected and free unless told otherwise."""
    number = next(_numbers)
    station = ChargePoint(
        zone_id=zone.id,
        partner_id=partner_id,
        identifier=identifier or f"CP-{number:04d}",
        name=fields.pop("name", f"Station {number}"),
        **fields,
    )
    for network_id in range(1, evses + 1):
        code = f"BG*SYN*E{number:04d}*{network_id}"
        station.evses.append(
            Evse(partner_id=partner_id, network_id=network_id, code=code, type=type, max_power_w=max_power_w)
        )
    session.add(station)
    session.flush()
    # the database makes the rows of what is reported
    station.state.connection = connection
    station.state.connected = connection is ConnectionStatus.AVAILABLE
    station.state.connection_changed_at = utcnow() - timedelta(hours=3)
    for evse in station.evses:
        evse.state.status, evse.state.status_at = reported, utcnow() - timedelta(hours=1)
    session.flush()
    return station


def make_user(session: Session, *, email: str = "dora@example.com", **fields: Any) -> User:
    """A driver."""
    user = User(email=email, **{"first_name": "Dora", "last_name": "Driver", **fields})
    session.add(user)
    session.flush()
    return user


def make_session(
    session: Session,
    evse: Evse,
    *,
    started_at: datetime,
    minutes: int = 40,
    energy_wh: int = 7400,
    gross: str | None = "3.60",
    currency: str = "EUR",
    status: SessionStatus = SessionStatus.FINISHED,
    payment_status: PaymentStatus = PaymentStatus.PAID,
    **fields: Any,
) -> ChargingSession:
    """A session on an EVSE; a finished one has its stop and its price."""
    finished = status is SessionStatus.FINISHED
    total = Decimal(gross) if gross is not None and finished else None
    row = ChargingSession(
        partner_id=evse.partner_id,
        charge_point_id=evse.charge_point_id,
        evse_id=evse.id,
        source=AuthorizationSource.RFID_TAG,
        status=status,
        payment_status=payment_status,
        created_at=started_at,
        started_at=started_at,
        stopped_at=started_at + timedelta(minutes=minutes) if finished else None,
        energy_wh=Decimal(energy_wh),
        currency=currency if total is not None else None,
        total_gross=total,
        total_net=total,
        total_vat=Decimal(0) if total is not None else None,
        **fields,
    )
    session.add(row)
    session.flush()
    return row
