"""Ninety days of the past: who came, what it cost by the real pricing, and how it was paid, to the cent.

Each row is what the live product would have stored: snapshot, explanation, lines, authorization, ledger entry and
transaction of one session agree, and `flask price` finds the same again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse, EvseType, SystemStatus
from app.charging.lifecycle import PaymentStatus
from app.charging.models import AuthorizationSource
from app.charging.remote_tokens import remote_token
from app.core.models import CurrencyRow
from app.demo.bulk import json_text
from app.demo.fleet import Site
from app.demo.people import Driver
from app.demo.traffic import USES, Curve, ac_charge, arrivals, dc_charge
from app.tariffs import queries
from app.tariffs.pricing import PricedSession, Reading, TariffSnapshot, price_session, snapshot_to_json
from app.tariffs.selection import AttachedTariff, DriverFacts, explanation_to_json, select_tariff
from app.tariffs.snapshots import snapshot_of

DAYS = 90
#: only these have their readings stored; older ones are priced by start and end, as they will be again
READING_DAYS = 14
FAILED_SHARE = 0.04
_ABROAD_SHARE = 0.06
_REMOTE_SHARE = 0.17
_INTERVAL_S = {EvseType.AC: 300, EvseType.DC: 60}
RECEIVED_AFTER = timedelta(seconds=1)
_PAUSE = timedelta(minutes=6)
_DRIVERS_PAUSE = timedelta(minutes=50)


@dataclass(frozen=True)
class Outlet:
    """An EVSE with what its sessions need to know of its station."""

    station: ChargePoint
    evse: Evse
    use: str
    country: str
    timezone: str
    attached: Sequence[AttachedTariff]


@dataclass
class Visit:
    """One charge of the past; ``curve`` is None when the car was never plugged in."""

    outlet: Outlet
    driver: Driver
    at: datetime
    source: AuthorizationSource
    curve: Curve | None
    id: int = 0
    authorization_id: int = 0
    meter_start_wh: int = 0
    readings: list[tuple[datetime, int]] = field(default_factory=list)
    priced: PricedSession | None = None
    snapshot: TariffSnapshot | None = None
    explanation: str = ""
    #: what became of its payment, where that is not the usual
    declined: bool = False
    refunded: Decimal = Decimal(0)

    @property
    def pays_by_card(self) -> bool:
        """Whether the driver's card is charged for it, not the balance."""
        return self.driver.card is not None and self.driver.card.pays_sessions

    @property
    def started_at(self) -> datetime:
        """When energy could flow: some seconds after the card."""
        return self.at + timedelta(seconds=14 + self.at.second % 17)

    @property
    def stopped_at(self) -> datetime:
        """When the driver left; of a failed one when it was given up."""
        return self.started_at + timedelta(seconds=self.curve.stay_s if self.curve else 60)

    @property
    def charging_ended_at(self) -> datetime | None:
        """When the car was full, if it stayed on."""
        if self.curve is None or self.curve.stay_s - self.curve.charging_s < 60:
            return None
        return self.started_at + timedelta(seconds=self.curve.charging_s)

    @property
    def id_tag(self) -> str:
        """The token the station was told: the card's, or the product's own for a remote start."""
        return self.driver.tag_id if self.source is AuthorizationSource.RFID_TAG else remote_token(self.id)

    @property
    def gross(self) -> Decimal:
        """What it cost."""
        return self.priced.total.gross.amount if self.priced else Decimal(0)

    @property
    def payment_status(self) -> PaymentStatus:
        """Nearly everybody could pay."""
        if self.curve is None:
            return PaymentStatus.NOT_BILLED
        if not self.gross:
            return PaymentStatus.FREE
        if self.declined:
            return PaymentStatus.OUTSTANDING
        return PaymentStatus.REFUNDED if self.refunded == self.gross else PaymentStatus.PAID

    @property
    def received_at(self) -> datetime:
        """When its stop reached us, and it was priced and paid."""
        return self.stopped_at + RECEIVED_AFTER


def outlets_of(session: Session, sites: Sequence[Site], *, system_timezone: str) -> list[Outlet]:
    """Every EVSE that has a past: those whose station is in service."""
    attached: dict[int, list[AttachedTariff]] = {}
    found = []
    for site in sites:
        for station in site.stations:
            if station.status is not SystemStatus.ACTIVE:
                continue
            for evse in station.evses:
                group_id = evse.tariff_group_id
                assert group_id is not None, "every EVSE of the demo has a tariff group"
                if group_id not in attached:
                    attached[group_id] = queries.attached_tariffs(session, tariff_group_id=group_id)
                timezone = site.location.timezone or system_timezone
                found.append(Outlet(station, evse, site.place.use, site.place.country, timezone, attached[group_id]))
    return found


def make_visits(rng: Random, outlets: Sequence[Outlet], drivers: Sequence[Driver], *, now: datetime) -> list[Visit]:
    """Who charged where, in the order of time; nobody at two places at once, no EVSE with two cars."""
    days = [(now - timedelta(days=back)).date() for back in range(DAYS, -1, -1)]
    coming = sorted(
        (
            (at.astimezone(UTC), number)
            for number, outlet in enumerate(outlets)
            for at in arrivals(
                rng, USES[outlet.use, outlet.evse.type.value], days=days, in_zone=ZoneInfo(outlet.timezone)
            )
        ),
    )
    choosers = {country: _Chooser(rng, drivers, country) for country in {outlet.country for outlet in outlets}}
    free_at: dict[int, datetime] = {}
    visits = []
    for at, number in coming:
        outlet = outlets[number]
        if at < free_at.get(number, outlet.station.created_at):
            continue
        driver = choosers[outlet.country].choose(at)
        if driver is None:
            continue
        visit = _visit(rng, outlet, driver, at)
        if visit.stopped_at > now - timedelta(minutes=10):
            continue
        free_at[number] = visit.stopped_at + _PAUSE
        driver.free_at = visit.stopped_at + _DRIVERS_PAUSE
        visits.append(visit)
    return visits


class _Chooser:
    """Draws drivers of a country, frequent ones more often, and now and then one from abroad."""

    def __init__(self, rng: Random, drivers: Sequence[Driver], country: str) -> None:
        self._rng = rng
        self._home = [driver for driver in drivers if driver.country == country]
        self._abroad = [driver for driver in drivers if driver.country != country]
        self._weights = list(accumulate(driver.weight for driver in self._home))

    def choose(self, at: datetime) -> Driver | None:
        """Somebody who is not charging elsewhere."""
        for _ in range(6):
            if self._rng.random() < _ABROAD_SHARE:
                driver = self._rng.choice(self._abroad)
            else:
                driver = self._rng.choices(self._home, cum_weights=self._weights)[0]
            if driver.free_at <= at:
                return driver
        return None


def _visit(rng: Random, outlet: Outlet, driver: Driver, at: datetime) -> Visit:
    remote = rng.random() < _REMOTE_SHARE
    source = AuthorizationSource.MOBILE_DEVICE if remote else AuthorizationSource.RFID_TAG
    # only who starts from afar can fail to plug in: a station with a card in hand starts when the car is there
    if remote and rng.random() < FAILED_SHARE / _REMOTE_SHARE:
        return Visit(outlet, driver, at, source, None)
    evse = outlet.evse
    evse_w = evse.max_power_w or 0
    if evse.type is EvseType.DC:
        curve = dc_charge(rng, evse_w=evse_w, car_w=driver.dc_w, battery_wh=driver.battery_wh)
    else:
        use = USES[outlet.use, "AC"]
        curve = ac_charge(rng, use, evse_w=evse_w, car_w=driver.ac_w, battery_wh=driver.battery_wh)
    return Visit(outlet, driver, at, source, curve)


class Pricer:
    """Tariffs chosen and sessions priced by the product's own functions; what repeats is worked out once."""

    def __init__(
        self,
        session: Session,
        *,
        currency: CurrencyRow,
        vat_percent: Decimal,
        user_group_ids: Mapping[str, int],
        now: datetime,
    ) -> None:
        self._session = session
        self._currency = currency
        self._vat_percent = vat_percent
        self._user_group_ids = user_group_ids
        self._readings_since = now - timedelta(days=READING_DAYS)
        self._chosen: dict[tuple[Any, ...], tuple[int, str]] = {}
        self._snapshots: dict[tuple[int, str], TariffSnapshot] = {}
        self._json: dict[tuple[int, str], str] = {}

    def price(self, visit: Visit) -> None:
        """Give a visit its tariff, its readings and, when it charged, its price."""
        tariff_id, visit.explanation = self._choose(visit)
        key = (tariff_id, visit.outlet.timezone)
        if key not in self._snapshots:
            self._snapshots[key] = snapshot_of(
                queries.get_tariff(self._session, tariff_id),
                currency=self._currency,
                vat_percent=self._vat_percent,
                timezone=visit.outlet.timezone,
            )
            self._json[key] = json_text(snapshot_to_json(self._snapshots[key]))
        visit.snapshot = self._snapshots[key]
        if visit.curve is None:
            return
        if visit.started_at >= self._readings_since:
            visit.readings = _readings(visit, visit.curve)
        between = [Reading(at, Decimal(wh)) for at, wh in visit.readings if visit.started_at < at < visit.stopped_at]
        visit.priced = price_session(
            visit.snapshot,
            started_at=visit.started_at,
            stopped_at=visit.stopped_at,
            readings=[
                Reading(visit.started_at, Decimal(0)),
                *between,
                Reading(visit.stopped_at, Decimal(visit.curve.energy_wh)),
            ],
            charging_ended_at=visit.charging_ended_at,
        )

    def snapshot_json(self, visit: Visit) -> str:
        """The visit's snapshot as stored."""
        assert visit.snapshot is not None and visit.snapshot.tariff_id is not None
        return self._json[visit.snapshot.tariff_id, visit.outlet.timezone]

    def _choose(self, visit: Visit) -> tuple[int, str]:
        outlet, driver = visit.outlet, visit.driver
        key = (outlet.evse.tariff_group_id, driver.groups, outlet.station.partner_id)
        if key not in self._chosen:
            facts = DriverFacts(
                user_id=driver.id,
                user_group_ids=frozenset(self._user_group_ids[name] for name in driver.groups),
                owner_partner_id=outlet.station.partner_id,
            )
            chosen, explanation = select_tariff(outlet.attached, facts)
            self._chosen[key] = chosen.tariff_id, json_text(explanation_to_json(explanation))
        return self._chosen[key]


def _readings(visit: Visit, curve: Curve) -> list[tuple[datetime, int]]:
    step_s = _INTERVAL_S[visit.outlet.evse.type]
    return [
        (visit.started_at + timedelta(seconds=second), curve.register_at(second))
        for second in range(step_s, curve.stay_s, step_s)
    ]
