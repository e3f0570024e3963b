"""The product as one running server per worker, and a small house of stations and drivers on it.

The server is a process of its own (``ROLE=all``) on the worker's own database and Redis, started once; every test gets
stations with identifiers nobody had before, so that nothing the server remembers is anybody else's. What the clockwork
does is called in the test's process with ``now=``; nobody sleeps.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar, cast

import psycopg
import pytest
import redis
from flask import Flask
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargingZone,
    Connector,
    ConnectorType,
    Evse,
    EvseType,
    Location,
)
from app.billing import ledger
from app.billing.models import LedgerEntry, LedgerEntryType, Transaction
from app.charging import gateways
from app.charging.models import ChargingSession, MeterReading, StrayMessage
from app.charging.station import EvseRef, Station
from app.core import settings
from app.core.config import Config
from app.core.db import db
from app.core.models import Admin, Role
from app.core.passwords import hash_station_password
from app.crm.models import RfidTag, User
from app.tariffs.models import Tariff, TariffGroup, TariffGroupTariff, TariffType
from tests.conftest import empty_tables
from tests.support.product import Product, free_port, product
from tests.support.scripted_station import ScriptedStation, connect
from tests.support.tls import TlsFiles, make_files

T = TypeVar("T")
_numbers = itertools.count(1)

#: 0.50 € + 0.02 €/min + 0.40 €/kWh, as the example file's "Standard AC"
PRICES = {"price_per_minute": "0.02", "price_per_kwh": "0.40", "connection_fee": "0.50"}


def eventually(what: Callable[[], T], *, timeout_s: float = 5.0, why: str = "it did not happen") -> T:
    """The first true value of ``what``, asked every 20 ms. Raises AssertionError when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{why}: {value!r}")
        time.sleep(0.02)


def station_of(charge_point: ChargePoint) -> Station:
    """A charge point as the gateway knows it, for verbs that are called in the test's process."""
    return Station(
        id=charge_point.id,
        partner_id=charge_point.partner_id,
        identifier=charge_point.identifier,
        protocol=charge_point.protocol,
        managed=charge_point.managed_by_operator,
        disabled=False,
        plug_and_charge=charge_point.plug_and_charge,
        password_hash=charge_point.password_hash,
        evses={evse.network_id: EvseRef(evse.id, evse.network_id, evse.max_power_w) for evse in charge_point.evses},
    )


class Cast:
    """Makes sites, stations, prices and drivers in a database, each with a name nobody had before."""

    def __init__(self, session: Session, secret_key: str) -> None:
        self.session = session
        self._secret_key = secret_key
        self._zone: ChargingZone | None = None
        self._group: TariffGroup | None = None

    @property
    def zone(self) -> ChargingZone:
        """The one site's zone; its clock is Sofia's."""
        if self._zone is None:
            location = Location(
                name={"en": "Modera Restaurant parking"},
                latitude=Decimal("42.6977"),
                longitude=Decimal("23.3219"),
                country="BG",
                timezone="Europe/Sofia",
            )
            self._zone = ChargingZone(location=location, name="Modera Zone")
            self.session.add(self._zone)
            self.session.flush()
        return self._zone

    def tariff_group(self, **prices: Any) -> TariffGroup:
        """A tariff group with a base tariff of these prices."""
        number = next(_numbers)
        terms: dict[str, Any] = {"type": TariffType.DURATION_ENERGY, **(prices or PRICES)}
        base = Tariff(name=f"Base {number}", is_base=True, **terms)
        group = TariffGroup(name=f"Group {number}")
        self.session.add_all([base, group])
        self.session.flush()
        self.session.add(TariffGroupTariff(tariff_group_id=group.id, tariff_id=base.id, position=0, is_base=True))
        self.session.flush()
        return group

    def station(
        self,
        *,
        evses: int = 1,
        max_power_w: int | None = 22_000,
        group: TariffGroup | None = None,
        priced: bool = True,
        password: str | None = None,
        **fields: Any,
    ) -> ChargePoint:
        """A charge point with EVSEs 1, 2 …, committed."""
        if group is None and priced:
            self._group = group = self._group or self.tariff_group()
        number = next(_numbers)
        charge_point = ChargePoint(
            zone_id=self.zone.id,
            partner_id=1,
            name=f"Station {number}",
            password_hash=hash_station_password(password.encode(), self._secret_key) if password else None,
            **{"identifier": f"CP-{number:05d}", **fields},
        )
        for network_id in range(1, evses + 1):
            charge_point.evses.append(
                Evse(
                    partner_id=1,
                    network_id=network_id,
                    code=f"E{number:05d}-{network_id}",
                    type=EvseType.AC,
                    max_power_w=max_power_w,
                    tariff_group_id=group.id if group else None,
                    connectors=[Connector(partner_id=1, type=ConnectorType.TYPE_2)],
                )
            )
        self.session.add(charge_point)
        self.session.commit()
        return charge_point

    def driver(self, *, balance: str = "50.00", tag: str | None = None, **fields: Any) -> User:
        """A driver with a balance in EUR and one RFID tag, committed."""
        number = next(_numbers)
        user = User(**{"email": f"driver{number}@example.com", "first_name": "Dora", "last_name": "Driver", **fields})
        user.rfid_tags.append(RfidTag(tag_id=tag or f"04A2B3C4{number:06X}"))
        self.session.add(user)
        self.session.flush()
        if Decimal(balance):
            ledger.credit(
                self.session,
                user_id=user.id,
                amount=Decimal(balance),
                currency="EUR",
                type=LedgerEntryType.TOP_UP,
                reference=f"test:{user.id}",
                now=datetime.now(UTC),
            )
        self.session.commit()
        return user

    def operator(self) -> Admin:
        """A Super User."""
        role = self.session.scalars(select(Role).where(Role.name == "Super User")).one()
        admin = Admin(email=f"op{next(_numbers)}@example.com", name="Olga", role=role)
        self.session.add(admin)
        self.session.commit()
        return admin

    # ------------------------------------------------------------------ what became of it

    def again(self) -> Session:
        """The session, seeing what others have committed since."""
        self.session.rollback()
        self.session.expire_all()
        return self.session

    def charge(self, session_id: int) -> ChargingSession:
        """A charging session as it is now."""
        return self.again().get_one(ChargingSession, session_id)

    def charges(self, charge_point: ChargePoint) -> list[ChargingSession]:
        """A station's sessions, oldest first."""
        return list(
            self.again().scalars(
                select(ChargingSession)
                .where(ChargingSession.charge_point_id == charge_point.id)
                .order_by(ChargingSession.id)
            )
        )

    def readings(self, session_id: int) -> list[MeterReading]:
        """A session's readings in the order in which they were measured."""
        return list(
            self.again().scalars(
                select(MeterReading)
                .where(MeterReading.session_id == session_id)
                .order_by(MeterReading.measured_at, MeterReading.id)
            )
        )

    def strays(self, charge_point: ChargePoint) -> list[StrayMessage]:
        """What a station said that fits no session."""
        query = select(StrayMessage).where(StrayMessage.charge_point_id == charge_point.id).order_by(StrayMessage.id)
        return list(self.again().scalars(query))

    def bills(self, session_id: int) -> tuple[list[LedgerEntry], list[Transaction]]:
        """Every movement of money for a session."""
        session = self.again()
        entries = session.scalars(select(LedgerEntry).where(LedgerEntry.session_id == session_id)).all()
        return list(entries), list(session.scalars(select(Transaction).where(Transaction.session_id == session_id)))

    def balance(self, user: User) -> Decimal:
        """What a driver has now."""
        return ledger.balance(self.again(), user_id=user.id, currency="EUR")

    def state(self, charge_point: ChargePoint) -> Any:
        """What the station's socket says and what it reports, as stored."""
        return (
            self.again()
            .execute(text("SELECT * FROM charge_point_state WHERE charge_point_id = :id"), {"id": charge_point.id})
            .one()
        )

    def set(self, key: str, value: Any) -> None:
        """Change a setting, committed."""
        settings.change_setting(self.session, key=key, value=value, actor=None)
        self.session.commit()


@dataclass
class Server:
    """The worker's running server."""

    product: Product
    redis: redis.Redis
    gateway: str
    tls: TlsFiles

    @property
    def wss(self) -> str:
        """Where stations connect by TLS."""
        return f"wss://127.0.0.1:{self.tls.port}/ocpp"

    @property
    def ws(self) -> str:
        """Where stations connect, without the slash and their id."""
        return self.product.ws.rstrip("/")

    def beat(self) -> None:
        """Put back what a flushed Redis has forgotten, without waiting for the gateway to do it."""
        self.redis.zadd(gateways.GATEWAYS, {self.gateway: time.time() + gateways.ALIVE_FOR_S})


@dataclass
class House(Cast):
    """The cast, on the running server."""

    session: Session
    server: Server
    secret_key: str
    stations: list[ScriptedStation] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.session, self.secret_key)

    def connect(self, charge_point: ChargePoint, **options: Any) -> ScriptedStation:
        """The station's socket; it is closed at the end of the test."""
        station = connect(self.server.ws, charge_point.identifier, **options)
        self.stations.append(station)
        return station

    def close(self) -> None:
        """Hang up, and wait until the server has noticed: nothing of this test may reach the next."""
        for station in self.stations:
            station.close()
        eventually(
            lambda: not self.again().scalar(text("SELECT count(*) FROM charge_point_state WHERE connected")),
            why="the server still thinks that somebody is connected",
        )


def environment(config: Config, admin_url: str, redis_url: str) -> dict[str, str]:
    """What a process of the product needs to work on this worker's database and Redis."""
    return {"DATABASE_URL": admin_url, "REDIS_URL": redis_url, "SECRET_KEY": config.secret_key}


def names(client: redis.Redis) -> set[str]:
    """The gateways Redis knows."""
    return {name.decode() for name in cast(list[bytes], client.zrange(gateways.GATEWAYS, 0, -1))}


@pytest.fixture(scope="session")
def server(
    config: Config, admin_url: str, redis_url: str, app: Flask, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The product's server process on this worker's database, started once."""
    client: redis.Redis = app.extensions["sync_redis"]
    folder = tmp_path_factory.mktemp("server")
    files, variables = make_files(folder / "tls", free_port())
    with product(folder, **environment(config, admin_url, redis_url), **variables) as running:
        process = running.start("all")
        gateway = eventually(
            lambda: next((name for name in names(client) if f"-{process.pid}-" in name), ""),
            why="the gateway gives no sign of life",
        )
        yield Server(running, client, gateway, files)


@pytest.fixture
def house(server: Server, app: Flask, cleaner: psycopg.Connection[Any], config: Config) -> Iterator[House]:
    """An empty house on the running server; whatever the test writes is gone after it."""
    settings.forget()
    server.beat()
    with app.app_context():
        built = House(db.session(), server, config.secret_key)
        try:
            yield built
        finally:
            built.close()
            db.session.rollback()
            db.session.remove()
    empty_tables(cleaner)
    settings.forget()


@pytest.fixture
def people(session: Session, config: Config) -> Cast:
    """The cast without a server, for verbs that are called in the test's process."""
    return Cast(session, config.secret_key)


def ago(**since: float) -> datetime:
    """A moment before now, in whole milliseconds as stations write them."""
    moment = datetime.now(UTC) - timedelta(**since)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
