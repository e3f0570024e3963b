"""Two partners with a station and what happened there each, and a way to be one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from flask import Flask
from psycopg import sql
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging.models import ChargingSession
from app.core import principal
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Admin
from app.partners.models import Partner
from tests.support.factories_dashboard import make_admin, make_session, make_station, make_user, make_zone


@dataclass(frozen=True)
class Host:
    """A partner by the numbers of what it has."""

    partner_id: int
    zone_id: int
    location_id: int
    charge_point_id: int
    evse_id: int
    session_id: int


def make_host(session: Session, name: str) -> Host:
    """A partner with a location, a station and a finished session of somebody; commits."""
    partner = Partner(name=name)
    session.add(partner)
    session.flush()
    zone = make_zone(session)
    station: ChargePoint = make_station(session, zone, partner_id=partner.id)
    evse = station.evses[0]
    driver = make_user(session, email=f"driver-of-{partner.id}@example.com")
    charge: ChargingSession = make_session(session, evse, started_at=utcnow(), user_id=driver.id)
    session.commit()
    return Host(partner.id, zone.id, zone.location_id, station.id, evse.id, charge.id)


@contextmanager
def acting_as(app: Flask, partner_id: int | None, *, on_behalf: bool = False) -> Iterator[Session]:
    """A request of a partner's admin (None: of staff), as far as the database is concerned."""
    with app.test_request_context():
        principal.bind(principal.Principal(partner_id, on_behalf=on_behalf))
        try:
            yield db.session()
        finally:
            db.session.rollback()


def partner_admin(session: Session, partner_id: int, role: str = "Partner Owner", *, email: str | None = None) -> Admin:
    """An admin of a partner with a role for partners; commits."""
    address = email or f"{role.split()[-1].lower()}.{partner_id}@example.com"
    return make_admin(session, role=role, email=address, partner_id=partner_id, name=address.split("@")[0].title())


#: what says whose it is by itself, or names a partner without being its
_NOT_HANDED_OVER = ("admin", "audit_entry", "mail", "search_document", "sms_message", "tariff_partner")


def hand_over_everything(cleaner: psycopg.Connection[Any], partner_id: int, *, of: int = 1) -> None:
    """Make what belongs to one partner another's: its charge points and, unlike a sale, what happened at them.

    ``cleaner`` is the superuser's connection, which asks no triggers: some of these tables are append-only.
    """
    tables = cleaner.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'partner_id' "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    ).fetchall()
    for (table,) in tables:
        if table not in _NOT_HANDED_OVER:
            name = sql.Identifier(table)
            cleaner.execute(
                sql.SQL("UPDATE {} SET partner_id = %s WHERE partner_id = %s").format(name), (partner_id, of)
            )
