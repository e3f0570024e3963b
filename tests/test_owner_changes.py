"""A charge point changes hands: what it is goes along, what happened there stays with the partner of the day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.billing.models import Transaction
from app.charging import meter, sessions
from app.charging.lifecycle import SessionStatus
from app.charging.models import Authorization, ChargingSession, MeterReading
from app.charging.models.ownership import OF_THE_DAY
from app.core.db import connect_raw
from app.core.group_commit import GroupCommit
from app.partners.models import Partner
from tests.support.charging import NOW, start, stop, tag_of
from tests.support.factories_dashboard import make_partner
from tests.support.gateway import Cast, people, station_of
from tests.support.one_of_each import make_one_of_each
from tests.support.partners import acting_as

__all__ = ["people"]  # a fixture

#: what a charge point is: it goes to the next owner
PARTS = {
    "charge_point",
    "charge_point_state",
    "composite_schedule",
    "configuration_key",
    "connector",
    "device_monitor",
    "device_variable",
    "display_message",
    "evse",
    "evse_state",
    "file_ticket",
    "local_list",
    "station_certificate",
    "station_profile",
}
#: what happened at it, and what was written down about that
HAPPENED = {
    "action",
    "communication_log",
    "device_event",
    "hardware_status_log",
    "meter_reading",
    "network_status_log",
    "transaction",
    *OF_THE_DAY,
}


def sell(session: Session, station: ChargePoint, to: Partner) -> None:
    station.partner_id = to.id
    session.commit()
    session.expire_all()


@pytest.fixture
def seller(session: Session) -> Partner:
    return make_partner(session, "Seller")


@pytest.fixture
def buyer(session: Session) -> Partner:
    return make_partner(session, "Buyer")


def test_a_running_session_stays_with_whom_it_started_under(
    app: Flask, people: Cast, seller: Partner, buyer: Partner
) -> None:
    session, station, tag = people.session, people.station(), tag_of(people.driver())
    sell(session, station, seller)
    started = start(people, station, tag)
    remembered = station_of(station)
    sell(session, station, buyer)
    counted = meter.load_meter(session, station=station_of(station), session_id=started.session_id)
    assert counted is not None
    at = NOW + timedelta(minutes=5)
    sample = meter.Sample(measured_at=at, register_wh=Decimal(3000))
    delivery = meter.prepare(station=station_of(station), meter=counted, evse_id=None, samples=[sample], now=at)
    assert {row.partner_id for row in delivery.rows} == {seller.id}
    stop(people, station, session_id=started.session_id)
    later = NOW + timedelta(hours=1)
    evse = remembered.evse(1)
    assert evse is not None
    # by a gateway that has not heard of the sale yet
    fresh = sessions.start_session(
        session, station=remembered, evse=evse, id_tag=tag, meter_start_wh=Decimal(9), reported_at=later, now=later
    )
    session.commit()
    session.expire_all()
    old, new = session.get_one(ChargingSession, started.session_id), session.get_one(ChargingSession, fresh.session_id)
    assert (old.status, old.partner_id, new.partner_id) == (SessionStatus.FINISHED, seller.id, buyer.id)
    assert set(session.scalars(select(Transaction.partner_id).where(Transaction.session_id == old.id))) <= {seller.id}
    numbers = {seller.id: old.id, buyer.id: new.id}
    stations = {seller.id: [], buyer.id: [station.id]}
    asked = {old.id: old.authorization_id, new.id: new.authorization_id}
    for partner_id, number in numbers.items():
        with acting_as(app, partner_id) as theirs:
            assert theirs.scalars(select(ChargingSession.id)).all() == [number]
            assert asked[number] in theirs.scalars(select(Authorization.id)).all()
            assert asked[sum(numbers.values()) - number] not in theirs.scalars(select(Authorization.id)).all()
            assert theirs.scalars(select(ChargePoint.id)).all() == stations[partner_id]


def test_readings_after_the_sale_are_on_disk_with_their_session(
    app: Flask, people: Cast, seller: Partner, buyer: Partner, database_url: str
) -> None:
    session, station, tag = people.session, people.station(), tag_of(people.driver())
    sell(session, station, seller)
    started = start(people, station, tag)
    sell(session, station, buyer)
    counted = meter.load_meter(session, station=station_of(station), session_id=started.session_id)
    session.commit()
    owners = (seller.id, buyer.id)
    writer = GroupCommit("test", lambda: connect_raw(database_url)).start()
    try:
        sample = meter.Sample(measured_at=NOW + timedelta(minutes=5), register_wh=Decimal(3000))
        meter.record(
            writer,
            station=station_of(station),
            meter=counted,
            evse_id=None,
            samples=[sample],
            now=NOW + timedelta(minutes=5),
        )
    finally:
        writer.stop()
    seen = []
    for partner_id in owners:
        with acting_as(app, partner_id) as theirs:
            seen.append(theirs.scalars(select(MeterReading.session_id)).all())
    assert seen == [[started.session_id], []]


def test_each_table_of_a_charge_point_is_a_part_of_it_or_something_that_happened(session: Session) -> None:
    """A new table with a key to charge points must be decided about: say here what becomes of its rows."""
    keyed = session.scalars(
        text(
            "SELECT DISTINCT k.conrelid::regclass::text FROM pg_constraint k JOIN pg_attribute a "
            "ON a.attrelid = k.conrelid AND a.attname = 'partner_id' JOIN pg_class c ON c.oid = k.conrelid "
            "WHERE k.contype = 'f' AND k.confrelid IN ('charge_point'::regclass, 'evse'::regclass) "
            "AND NOT c.relispartition"
        )
    )
    undecided = {name.strip('"') for name in keyed} - PARTS - HAPPENED
    assert undecided == set()


def test_a_sale_takes_the_parts_along_and_leaves_what_happened(session: Session, buyer: Partner) -> None:
    make_one_of_each(session)
    station = session.scalars(select(ChargePoint)).one()
    owners = {table: sorted(set(_owners(session, table))) for table in PARTS | HAPPENED}
    sell(session, station, buyer)
    after = {table: sorted(set(_owners(session, table))) for table in PARTS | HAPPENED}
    filled = {table for table, found in owners.items() if found}
    assert filled >= (PARTS | HAPPENED) - {"file_ticket"}
    assert {table for table in PARTS & filled if after[table] != [buyer.id]} == set()
    assert {table for table in HAPPENED & filled if after[table] != owners[table]} == set()


def _owners(session: Session, table: str) -> list[int]:
    return list(session.scalars(text(f'SELECT partner_id FROM "{table}"')))


def test_nobody_becomes_owner_who_does_not_exist(session: Session, people: Cast) -> None:
    station = people.station()
    station.partner_id = 987_654
    with pytest.raises(IntegrityError, match="fk_charge_point_partner_id_partner"):
        session.flush()
