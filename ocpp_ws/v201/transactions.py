"""TransactionEvent (OCPP 2.0.1 part 2, blocks E and J): begins, goes on and ends a session by the station's name of it.

Events come in any order and again: whichever is first makes the session, the others find it by its name. The driver
and the EVSE may be told late. Always confirmed, or it would be sent for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog

from app.charging import sessions, stops
from app.charging.event_numbers import note_event
from app.charging.meter import Sample, SessionMeter, record
from app.charging.session_queries import session_of_reference, total_of_session
from app.charging.sessions import StartOutcome
from app.charging.station import EvseRef
from app.charging.stops import Stop
from app.charging.stray import keep_stray
from app.core.group_commit import WriteFailed
from ocpp_ws.connection import StationConnection
from ocpp_ws.holding import hold_for_start
from ocpp_ws.meters import meter_of
from ocpp_ws.sampling import samples_of
from ocpp_ws.served import Served, now_of, served
from ocpp_ws.timestamps import moment
from ocpp_ws.v201.status import hear_charging_state
from ocpp_ws.v201.values import NO_AUTHORIZATION, id_token_of, sample_sets, token_info

log = structlog.get_logger("ocpp_ws.v201")

STARTED, ENDED = "Started", "Ended"
#: transactions of which the beginning is remembered until their EVSE is told
MOST_UNPLACED = 16


@dataclass(frozen=True, slots=True)
class _Event:
    """An event in our words."""

    kind: str
    reference: str
    at: datetime
    evse: EvseRef | None
    id_tag: str | None
    nobody: bool
    sets: list[dict[str, Any]]
    reservation_id: int | None
    offline: bool


def transaction_event(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Bring the session along by what happened, and say whether the driver may charge and what it has cost."""
    of, now = served(connection), now_of(connection)
    event = _read(of, payload, now)
    if not event.offline:
        of.watch_clock(payload.get("timestamp"), now)
    outcome = _session_of(of, event, now)
    if outcome is None:
        of.transact(
            lambda session: keep_stray(
                session,
                station=of.station,
                action="TransactionEvent",
                payload=payload,
                note=f"no EVSE is named for transaction {event.reference}",
                now=now,
            )
        )
        return {"idTokenInfo": token_info(False)} if payload.get("idToken") else {}
    of.transact(
        lambda session: note_event(
            session, session_id=outcome.session_id, number=payload.get("seqNo"), offline=event.offline
        )
    )
    meter = meter_of(of, session_id=outcome.session_id)
    samples = samples_of(event.sets, meter, now)
    _record(of, meter, samples, now)
    network_id = event.evse.network_id if event.evse else _network_id(of, meter)
    if network_id and not event.offline:
        state = payload["transactionInfo"].get("chargingState")
        hear_charging_state(of, network_id, state, ended=event.kind == ENDED, at=event.at)
    answer: dict[str, Any] = {}
    if event.kind == ENDED:
        answer |= _end(of, event, payload, samples, now)
    if payload.get("idToken"):
        answer["idTokenInfo"] = token_info(outcome.accepted, outcome.reason, outcome.expires_at, outcome.parent)
    return answer


def _read(of: Served, payload: dict[str, Any], now: datetime) -> _Event:
    token = payload.get("idToken")
    return _Event(
        kind=payload["eventType"],
        reference=str(payload["transactionInfo"]["transactionId"]),
        at=moment(payload.get("timestamp"), now),
        evse=_evse(of, payload),
        id_tag=id_token_of(token),
        nobody=token is not None and token.get("type") == NO_AUTHORIZATION,
        sets=sample_sets(payload.get("meterValue") or ()),
        reservation_id=payload.get("reservationId"),
        offline=payload.get("offline") is True,
    )


def _evse(of: Served, payload: dict[str, Any]) -> EvseRef | None:
    """The EVSE that is named; the only one there is, where none is."""
    named = (payload.get("evse") or {}).get("id")
    if named:
        return of.station.evse(named)
    return next(iter(of.station.evses.values())) if len(of.station.evses) == 1 else None


# ---------------------------------------------------------------------- which session


def _session_of(of: Served, event: _Event, now: datetime) -> StartOutcome | None:
    """The session the event belongs to, begun by it if need be, with its driver if that is told now.

    None when it cannot be begun, because no EVSE has been named for it yet.
    """
    known = of.transact(lambda s: session_of_reference(s, charge_point_id=of.station.id, reference=event.reference))
    if known is None:
        begun = _begun_at(of, event)
        return _begin(of, event, begun, now) if event.evse is not None else None
    if event.kind == STARTED:
        return _begin(of, event, event.at, now, evse=of.station.evse_of(known.evse_id))
    if event.id_tag is not None and event.kind != ENDED:
        outcome = of.transact(
            lambda session: sessions.identify_session(
                session,
                station=of.station,
                session_id=known.id,
                id_tag=str(event.id_tag),
                now=now,
                reservation_id=event.reservation_id,
            )
        )
        if outcome is not None:
            of.meters.clear()
            return hold_for_start(of, outcome, now, event.reservation_id)
    return StartOutcome(session_id=known.id, accepted=True)


def _begun_at(of: Served, event: _Event) -> datetime:
    """When a transaction began, of which nothing was kept before: by its first event on this connection."""
    unplaced: dict[str, datetime] = of.notes.setdefault("unplaced", {})
    told = [moment(each["timestamp"], event.at) for each in event.sets if each.get("timestamp")]
    first = min(event.at, unplaced.get(event.reference, event.at), *told)
    if event.evse is None:
        unplaced[event.reference] = first
        while len(unplaced) > MOST_UNPLACED:
            del unplaced[next(iter(unplaced))]
    else:
        unplaced.pop(event.reference, None)
    return first


def _begin(of: Served, event: _Event, at: datetime, now: datetime, evse: EvseRef | None = None) -> StartOutcome | None:
    where = evse or event.evse
    if where is None:
        return None
    registers = [sample.register_wh for sample in samples_of(event.sets, None, now) if sample.register_wh is not None]
    outcome = of.transact(
        lambda session: sessions.start_session(
            session,
            station=of.station,
            evse=where,
            id_tag=event.id_tag,
            meter_start_wh=registers[0] if registers and event.kind != "Updated" else None,
            reported_at=at,
            now=now,
            reference=event.reference,
            reservation_id=event.reservation_id,
            token_follows=not event.nobody,
        )
    )
    of.meters.clear()
    return hold_for_start(of, outcome, now, event.reservation_id)


# ---------------------------------------------------------------------- readings


def _network_id(of: Served, meter: SessionMeter | None) -> int | None:
    found = of.station.evse_of(meter.evse_id) if meter is not None else None
    return found.network_id if found else None


def _record(of: Served, meter: SessionMeter | None, samples: list[Sample], now: datetime) -> None:
    """Keep the readings. What cannot be stored of them must not keep the event from its answer."""
    if meter is None or not samples:
        return
    try:
        record(of.writer, station=of.station, meter=meter, evse_id=meter.evse_id, samples=samples, now=now)
    except WriteFailed as error:
        log.error("station.readings_lost", session_id=meter.session_id, error=str(error))


# ---------------------------------------------------------------------- the end


def _end(of: Served, event: _Event, payload: dict[str, Any], samples: list[Sample], now: datetime) -> dict[str, Any]:
    """Finish the session; the answer has what it costs, with VAT, once that is known (2.0.1: 0 for a free one)."""
    registers: list[Decimal] = [sample.register_wh for sample in samples if sample.register_wh is not None]
    stop = Stop(
        session_id=None,
        reference=event.reference,
        id_tag=event.id_tag,
        meter_stop_wh=registers[-1] if registers else None,
        reported_at=event.at,
        reason=payload["transactionInfo"].get("stoppedReason") or "Local",
    )
    outcome = of.transact(lambda session: stops.stop_session(session, station=of.station, stop=stop, now=now))
    of.meters.clear()
    if outcome.session_id is None:
        return {}
    number = outcome.session_id
    total = of.transact(lambda session: total_of_session(session, session_id=number))
    return {} if total is None else {"totalCost": float(total)}
