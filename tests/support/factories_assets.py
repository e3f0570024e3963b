"""Rows for the screens of stations and their activity: sites, stations, drivers, sessions with readings."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargingZone,
    ConnectionStatus,
    Connector,
    ConnectorType,
    Evse,
    EvseType,
    Location,
    ReportedStatus,
)
from app.charging import authorizations, bill
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import AuthorizationSource, ChargingSession, MeterReading
from app.charging.station import Station, load_station
from app.core.models import CurrencyRow
from app.crm.models import RfidTag, User
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff, TariffType
from app.tariffs.pricing import snapshot_to_json
from app.tariffs.snapshots import snapshot_of

_REAL = datetime.now(UTC).replace(microsecond=0)
#: the present, but never the first hours of a month: the tests' databases have no partition of the month before
NOW = max(_REAL, _REAL.replace(day=2, hour=12))
_numbers = itertools.count(1)


def make_location(session: Session, name: str = "Modera Restaurant parking", **fields: Any) -> Location:
    """A location in Sofia."""
    values: dict[str, Any] = {
        "name": {"en": name, "bg": "Паркинг"},
        "address": {"en": "1 Vitosha blvd"},
        "latitude": Decimal("42.6977"),
        "longitude": Decimal("23.3219"),
        "city": "Sofia",
        "postcode": "1000",
        "region": "Sofia",
        "country": "BG",
        "timezone": "Europe/Sofia",
        **fields,
    }
    location = Location(**values)
    session.add(location)
    session.flush()
    return location


def make_zone(session: Session, location: Location | None = None, **fields: Any) -> ChargingZone:
    """A zone, with a location of its own unless one is given."""
    location = location or make_location(session)
    zone = ChargingZone(**{"name": f"{location} Zone", "location": location, **fields})
    session.add(zone)
    session.flush()
    return zone


def make_tariff_group(session: Session, name: str = "AC public") -> TariffGroup:
    """A group with its base tariff: connection fee 0.50, 0.02 a minute, 0.40 a kWh."""
    tariff = Tariff(
        name=f"{name}: Base tariff",
        type=TariffType.DURATION_ENERGY,
        price_per_minute=Decimal("0.02"),
        price_per_kwh=Decimal("0.40"),
        connection_fee=Decimal("0.50"),
        is_base=True,
    )
    group = TariffGroup(name=name)
    session.add_all([tariff, group])
    session.flush()
    session.add(TariffGroupTariff(tariff_group_id=group.id, tariff_id=tariff.id, position=0, is_base=True))
    session.flush()
    return group


def make_station(
    session: Session,
    zone: ChargingZone | None = None,
    *,
    evses: int = 1,
    group: TariffGroup | None = None,
    connection: ConnectionStatus = ConnectionStatus.AVAILABLE,
    reported: ReportedStatus = ReportedStatus.AVAILABLE,
    **fields: Any,
) -> ChargePoint:
    """A charge point with EVSEs, connected and available unless told otherwise."""
    number = next(_numbers)
    values = {
        "name": f"Vestel 22 kW {number}",
        "identifier": f"CP-{number}",
        "zone": zone or make_zone(session),
        "partner_id": 1,
        **fields,
    }
    station = ChargePoint(**values)
    for index in range(evses):
        station.evses.append(
            Evse(
                network_id=index + 1,
                code=f"{1000 + 10 * number + index}",
                type=EvseType.AC,
                max_power_w=22000,
                tariff_group_id=group.id if group else None,
                connectors=[Connector(type=ConnectorType.TYPE_2)],
            )
        )
    session.add(station)
    session.flush()
    session.refresh(station, ["state"])
    state = station.state
    state.connection = connection
    if connection is not ConnectionStatus.NEVER_CONNECTED:
        state.connected = connection is ConnectionStatus.AVAILABLE
        state.connection_changed_at = state.last_seen_at = NOW - timedelta(minutes=5)
    state.vendor, state.model, state.serial_number, state.firmware_version = "Vestel", "EVC04", f"SN{number}", "1.2"
    for evse in station.evses:
        session.refresh(evse, ["state"])
        evse.state.status = reported
        evse.state.status_at = NOW - timedelta(minutes=5)
    session.flush()
    return station


def gateway_station(session: Session, station: ChargePoint) -> Station:
    """The charge point as the gateway knows it."""
    found = load_station(session, station.identifier)
    assert found is not None
    return found


def make_user(session: Session, tag_id: str | None = None, **fields: Any) -> User:
    """A driver, with an RFID tag when one is named."""
    number = next(_numbers)
    values = {"email": f"driver{number}@example.com", "first_name": "Alex", "last_name": f"Petkov {number}", **fields}
    user = User(**values)
    if tag_id:
        user.rfid_tags.append(RfidTag(tag_id=tag_id))
    session.add(user)
    session.flush()
    return user


def tap(session: Session, station: ChargePoint, tag_id: str, now: datetime = NOW) -> authorizations.Answer:
    """Somebody taps a card."""
    return authorizations.authorize(
        session,
        station=gateway_station(session, station),
        id_tag=tag_id,
        source=AuthorizationSource.RFID_TAG,
        now=now,
    )


def make_session(
    session: Session,
    evse: Evse,
    user: User | None = None,
    *,
    status: SessionStatus = SessionStatus.FINISHED,
    started_at: datetime = NOW - timedelta(hours=1),
    minutes: int = 40,
    energy_wh: Decimal = Decimal(7400),
    readings: int = 4,
    **fields: Any,
) -> ChargingSession:
    """A session with evenly spread readings, priced by its tariff group's base tariff and billed when finished."""
    over = status is SessionStatus.FINISHED
    row = ChargingSession(
        partner_id=evse.partner_id,
        charge_point_id=evse.charge_point_id,
        evse_id=evse.id,
        user_id=user.id if user else None,
        source=AuthorizationSource.RFID_TAG,
        status=status,
        payment_status=PaymentStatus.NOT_BILLED if status is SessionStatus.FAILED else PaymentStatus.PENDING,
        created_at=started_at,
        started_at=None if status in (SessionStatus.PENDING, SessionStatus.FAILED) else started_at,
        stopped_at=started_at + timedelta(minutes=minutes) if over else None,
        meter_start_wh=Decimal(100_000),
        energy_wh=energy_wh if status not in (SessionStatus.PENDING, SessionStatus.FAILED) else Decimal(0),
        last_reading_at=started_at + timedelta(minutes=minutes),
        last_activity_at=started_at + timedelta(minutes=minutes),
        power_w=None if over else Decimal(11000),
        **{"flags": [], "id_tag": "04A2B3C4", **fields},
    )
    _give_tariff(session, row, evse)
    session.add(row)
    session.flush()
    if row.started_at is not None and readings:
        _add_readings(session, row, minutes, energy_wh, readings)
    if over:
        bill.bill_session(session, row, now=started_at + timedelta(minutes=minutes))
    return row


def _give_tariff(session: Session, row: ChargingSession, evse: Evse) -> None:
    if evse.tariff_group_id is None:
        return
    tariff = session.scalars(
        select(Tariff).join(TariffGroupTariff).where(TariffGroupTariff.tariff_group_id == evse.tariff_group_id)
    ).first()
    currency = session.get(CurrencyRow, "EUR")
    assert tariff is not None and currency is not None
    snapshot = snapshot_of(tariff, currency=currency, vat_percent=Decimal(20), timezone="Europe/Sofia")
    row.tariff_id, row.tariff_name, row.currency = tariff.id, tariff.name, "EUR"
    row.tariff_snapshot = snapshot_to_json(snapshot)
    row.tariff_explanation = [
        {
            "tariff_id": tariff.id,
            "name": tariff.name,
            "position": 0,
            "is_base": True,
            "matched": True,
            "matched_by": ["base"],
            "reason": "The base tariff applies to everybody",
            "chosen": True,
        }
    ]


def _add_readings(session: Session, row: ChargingSession, minutes: int, energy_wh: Decimal, count: int) -> None:
    assert row.started_at is not None
    rows = []
    for index in range(1, count + 1):
        at = row.started_at + timedelta(minutes=minutes) * index / (count + 1)
        energy = (energy_wh * index / (count + 1)).quantize(Decimal("0.001"))
        rows.append(
            {
                "received_at": at,
                "partner_id": row.partner_id,
                "charge_point_id": row.charge_point_id,
                "evse_id": row.evse_id,
                "session_id": row.id,
                "measured_at": at,
                "context": "Sample.Periodic",
                "register_wh": energy,
                "raw_register_wh": energy + Decimal(100_000),
                "power_w": Decimal(11000),
                "current_l1_a": Decimal(16),
                "voltage_v": Decimal(230),
            }
        )
    session.execute(insert(MeterReading), rows)
