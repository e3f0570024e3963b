"""What stations and drivers left behind: authorizations, states, and the logs of connection and hardware."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, ConnectionStatus, EvseState, ReportedStatus, SystemStatus
from app.charging.authorize import RejectReason
from app.charging.models import AuthorizationResult, AuthorizationSource
from app.demo.bulk import copy_rows, reserve_ids
from app.demo.catalogue import specials
from app.demo.fleet import Site
from app.demo.history import Outlet, Visit
from app.demo.people import People

LOG_DAYS = 30
#: the rejected ones among all authorizations
REJECTED_SHARE = 0.035

_FAULTS = (
    ("GroundFailure", "RCD-6mA", "DC residual current above 6 mA"),
    ("ConnectorLockFailure", "LOCK_JAM", "plug lock did not close"),
    ("HighTemperature", "E17", "contactor 96 °C"),
    ("PowerMeterFailure", "0x31", "meter does not answer"),
)
#: when, how, by which token, with what result and reason, whose, where, and the visit it led to
_Asked = tuple[datetime, AuthorizationSource, str, AuthorizationResult, str | None, int | None, Outlet, Visit | None]


def write_authorizations(
    session: Session, rng: Random, *, visits: Sequence[Visit], outlets: Sequence[Outlet], people: People
) -> None:
    """One accepted authorization per visit, which then knows it, and some that were turned away."""
    asked: list[_Asked] = [
        (visit.at, visit.source, visit.id_tag, AuthorizationResult.ACCEPTED, None, visit.driver.id, visit.outlet, visit)
        for visit in visits
    ]
    asked += [
        _turned_away(rng, rng.choice(visits).at, rng.choice(outlets), people)
        for _ in range(round(len(visits) * REJECTED_SHARE))
    ]
    asked.sort(key=lambda each: each[0])
    rows = []
    for number, (at, source, tag, result, reason, user_id, outlet, visit) in zip(
        reserve_ids(session, "authorization", len(asked)), asked, strict=True
    ):
        evse_id = None
        if visit is not None:
            visit.authorization_id, evse_id = number, outlet.evse.id
        station = outlet.station
        rows.append((number, station.partner_id, at, source, tag, result, reason, user_id, station.id, evse_id))
    columns = (
        "id", "partner_id", "happened_at", "source", "id_tag", "result", "reason", "user_id", "charge_point_id",
        "evse_id",
    )  # fmt: skip
    copy_rows(session, "authorization", columns, rows)


def _turned_away(rng: Random, at: datetime, outlet: Outlet, people: People) -> _Asked:
    """Mostly a card nobody knows, else one that is disabled, expired, or of a disabled user."""
    at += timedelta(minutes=rng.randint(-50, 50))
    tag, reason, user_id = f"04{rng.getrandbits(48):012X}", str(RejectReason.TAG_UNKNOWN), None
    if rng.random() < 0.4:
        card, reason = rng.choice(people.refused_tags)
        tag, user_id = card.tag_id, card.user_id
    source = AuthorizationSource.RFID_TAG
    return at, source, tag, AuthorizationResult.REJECTED, reason, user_id, outlet, None


def write_states(session: Session, rng: Random, *, sites: Sequence[Site], now: datetime) -> None:
    """What each station said of itself when it was last heard, just before the product was started."""
    for site in sites:
        for planned, station in zip(site.place.stations, site.stations, strict=True):
            model, _ = specials(planned)
            state = session.get_one(ChargePointState, station.id)
            seen_at = now - timedelta(minutes=rng.randint(6, 20))
            if station.status is not SystemStatus.ACTIVE:
                seen_at = now - timedelta(days=rng.randint(3, 9), minutes=rng.randint(0, 600))
            state.connection = ConnectionStatus.LONG_TERM_UNAVAILABLE
            state.connection_changed_at, state.last_seen_at = seen_at + timedelta(minutes=5), seen_at
            state.protocol = station.protocol.value
            state.vendor, state.model, state.firmware_version = model.vendor, model.name, model.firmware
            state.serial_number = f"{model.name[:2].upper()}{station.id:04d}{rng.randint(1000, 9999)}"
            state.booted_at = seen_at - timedelta(days=rng.randint(1, 40), seconds=rng.randint(0, 86_000))
            state.status, state.status_at, state.status_received_at = ReportedStatus.AVAILABLE, seen_at, seen_at
            for evse in station.evses:
                shown = session.get_one(EvseState, evse.id)
                shown.status, shown.status_at, shown.status_received_at = ReportedStatus.AVAILABLE, seen_at, seen_at
    session.flush()


def write_logs(session: Session, rng: Random, *, sites: Sequence[Site], visits: Sequence[Visit], now: datetime) -> None:
    """A month of lost connections and of what the hardware reported."""
    since = now - timedelta(days=LOG_DAYS)
    stations = [station for site in sites for station in site.stations]
    copy_rows(
        session,
        "network_status_log",
        ("at", "partner_id", "charge_point_id", "status", "detail"),
        sorted((row for station in stations for row in _outages(rng, station, since, now)), key=lambda row: row[0]),
    )
    recent = [visit for visit in visits if visit.curve is not None and visit.started_at >= since]
    reports = [row for visit in recent for row in _course(visit)]
    reports += [row for station in rng.sample(stations, len(stations) // 4) for row in _fault(rng, station, since, now)]
    columns = (
        "at", "partner_id", "charge_point_id", "evse_id", "network_id", "status", "error_code", "info",
        "vendor_error_code", "reported_at",
    )  # fmt: skip
    copy_rows(session, "hardware_status_log", columns, sorted(reports, key=lambda row: row[0]))


def _outages(rng: Random, station: ChargePoint, since: datetime, now: datetime) -> Iterator[tuple[Any, ...]]:
    """Now and then a station is silent: first temporarily unavailable, then long-term, then back."""
    at = since + timedelta(hours=rng.uniform(0, 300))
    while at < now - timedelta(hours=8):
        lasts = timedelta(seconds=rng.expovariate(1 / 900) + 130)
        of = (station.partner_id, station.id)
        yield at, *of, ConnectionStatus.TEMPORARILY_UNAVAILABLE, "no sign of life for 120 s"
        if lasts > timedelta(seconds=300):
            yield (
                at + timedelta(seconds=180), *of, ConnectionStatus.LONG_TERM_UNAVAILABLE, "no sign of life for 300 s",
            )  # fmt: skip
        yield at + lasts, *of, ConnectionStatus.AVAILABLE, "connected"
        at += lasts + timedelta(hours=rng.uniform(20, 260))


def _course(visit: Visit) -> Iterator[tuple[Any, ...]]:
    """Preparing, Charging, perhaps full, Finishing, Available."""
    steps = [(visit.at, ReportedStatus.PREPARING), (visit.started_at, ReportedStatus.CHARGING)]
    if visit.charging_ended_at is not None:
        steps.append((visit.charging_ended_at, ReportedStatus.SUSPENDED_EV))
    steps.append((visit.stopped_at, ReportedStatus.FINISHING))
    steps.append((visit.stopped_at + timedelta(seconds=40), ReportedStatus.AVAILABLE))
    for at, status in steps:
        yield _report(visit.outlet.station, visit.outlet.evse.id, visit.outlet.evse.network_id, at, status)


def _fault(rng: Random, station: ChargePoint, since: datetime, now: datetime) -> Iterator[tuple[Any, ...]]:
    """One fault and its end."""
    at = since + (now - timedelta(hours=6) - since) * rng.random()
    evse = rng.choice(station.evses)
    error_code, vendor_code, info = rng.choice(_FAULTS)
    yield _report(station, evse.id, evse.network_id, at, ReportedStatus.FAULTED, (error_code, info, vendor_code))
    over_at = at + timedelta(minutes=rng.randint(3, 240))
    yield _report(station, evse.id, evse.network_id, over_at, ReportedStatus.AVAILABLE)


def _report(
    station: ChargePoint,
    evse_id: int,
    network_id: int,
    at: datetime,
    status: ReportedStatus,
    error: tuple[str, str, str] | tuple[None, None, None] = (None, None, None),
) -> tuple[Any, ...]:
    return at, station.partner_id, station.id, evse_id, network_id, status, *error, at
