"""An import of charge points: what a file would create and change, and doing it, all or nothing.

The preview and the import run the same code. The preview is rolled back by whoever asked for it; the import compares
what it is about to do with what was previewed, and refuses when the two differ. EVSEs the file does not name stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.assets import verbs
from app.assets.import_columns import COLUMNS, READ_ONLY, STATION
from app.assets.import_stations import Known, StationLines, change_station, facts_of, gather
from app.assets.models import ChargePoint, ChargePointNotice, ChargingZone, Evse, Tag
from app.core.audit import record_change
from app.core.import_file import read_sheet
from app.core.import_plan import Difference, ImportChanged, InvalidImport, Outcome, Plan, Planned
from app.core.models import Admin
from app.partners.models import Partner

_CHUNK = 2000
_LABELS = {column.attribute: column.label for column in STATION}


@dataclass
class _Row:
    """A charge point in the session, with what it was."""

    station: ChargePoint
    lines: StationLines
    before: dict[str, Any]
    is_new: bool


def preview_import(session: Session, *, data: bytes, tariff_groups: Mapping[str, int], secret_key: str) -> Plan:
    """What the file would do. The session is left with it undone only by a rollback, which is the caller's.

    ``tariff_groups`` are numbers by name. Raises UnreadableFile.
    """
    plan, _, _ = _prepare(session, data, tariff_groups, secret_key, lock=False)
    return plan


def apply_import(
    session: Session,
    *,
    data: bytes,
    previewed: str,
    tariff_groups: Mapping[str, int],
    secret_key: str,
    draw_codes: Callable[[int, set[str]], list[str]],
    actor: Admin | None,
) -> Plan:
    """Create and change what the file says, with an audit entry for each charge point. Flushes.

    ``previewed`` is the digest of the plan that was shown; ``draw_codes(n, taken)`` gives n EVSE IDs that are free.
    Raises UnreadableFile, InvalidImport, ImportChanged.
    """
    verbs.allow_renumbering(session)
    plan, rows, known = _prepare(session, data, tariff_groups, secret_key, lock=True)
    if plan.mistakes:
        raise InvalidImport(plan)
    if plan.digest != previewed:
        raise ImportChanged("What the file would do has changed since the preview.")
    with session.no_autoflush:
        nameless = [evse for row in rows for evse in row.station.evses if not evse.code]
        for evse, code in zip(nameless, draw_codes(len(nameless), known.given_codes), strict=True):
            evse.code = code
        session.add_all(row.station for row in rows)
        for row in rows:
            if not row.is_new:
                # also when only its EVSEs changed: whoever has the form open is told
                verbs.mark_changed(row.station)
    session.flush()
    for row in rows:
        _record(session, row, known, actor)
    session.flush()
    return plan


def _record(session: Session, row: _Row, known: Known, actor: Admin | None) -> None:
    station = row.station
    record_change(
        session,
        actor=actor,
        event="create" if row.is_new else "change",
        object_type=ChargePoint.__tablename__,
        object_id=station.id,
        label=station.name,
        before=row.before,
        after={name: value for name, value in facts_of(station, known).items() if not row.is_new or value},
    )
    verbs.announce_changed(session, station)


def _prepare(
    session: Session, data: bytes, tariff_groups: Mapping[str, int], secret_key: str, *, lock: bool
) -> tuple[Plan, list[_Row], Known]:
    sheet = read_sheet(data, known=COLUMNS, read_only=READ_ONLY, of="charge points")
    plan = Plan(len(sheet.lines), sheet.ignored, list(sheet.mistakes))
    groups = gather(sheet, plan.mistakes)
    with session.no_autoflush:
        known = _known(session, groups, tariff_groups, secret_key)
        stored = _stations(session, [group.key for group in groups], lock=lock)
        rows = [row for group in groups if (row := _plan(plan, group, stored.get(group.key), known)) is not None]
    plan.mistakes.sort(key=lambda mistake: mistake.line)
    return plan, rows, known


def _plan(plan: Plan, group: StationLines, stored: ChargePoint | None, known: Known) -> _Row | None:
    """One charge point: None when it stays as it is, or cannot become what the file says."""
    before = facts_of(stored, known) if stored is not None else {}
    seen = len(plan.mistakes)
    station = change_station(group, stored, known, plan.mistakes)
    if len(plan.mistakes) > seen:
        return None
    after = facts_of(station, known)
    differences = tuple(
        _difference(name, before.get(name), after.get(name))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )
    if stored is not None and not differences:
        plan.unchanged += 1
        return None
    places = {id(evse): place for place, evse in enumerate(station.evses)}
    for mistake in verbs.mistakes_of(station, [(places[id(evse)], evse) for evse in station.evses if evse.code]):
        plan.mistakes.append(group.mistake_at(mistake, station.evses))
    outcome = Outcome.CREATED if stored is None else Outcome.CHANGED
    shown = tuple(d for d in differences if stored is not None or d.after not in (None, False, ""))
    plan.planned.append(Planned(station.identifier, station.name, group.numbers, outcome, shown))
    return _Row(station, group, before, stored is None)


def _difference(name: str, before: Any, after: Any) -> Difference:
    """In the words of the screen; of a password only whether there is one."""
    if name == "password_hash":
        return Difference("Network Password", "set" if before else None, "a new one" if after else None)
    return Difference(_LABELS.get(name, name), before, after)


def _stations(session: Session, keys: Sequence[str], *, lock: bool) -> dict[str, ChargePoint]:
    """The stored charge points of these identifiers (lower case) with all that the columns say of them."""
    found = {}
    for start in range(0, len(keys), _CHUNK):
        query = (
            select(ChargePoint)
            .where(func.lower(ChargePoint.identifier).in_(keys[start : start + _CHUNK]))
            .order_by(ChargePoint.id)
            .options(
                joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
                joinedload(ChargePoint.notice),
                selectinload(ChargePoint.evses).options(selectinload(Evse.connectors), selectinload(Evse.tags)),
            )
            .execution_options(populate_existing=True)
        )
        if lock:
            query = query.with_for_update(of=ChargePoint, key_share=True)
        found.update({station.identifier.lower(): station for station in session.scalars(query)})
    return found


def _known(
    session: Session, groups: Sequence[StationLines], tariff_groups: Mapping[str, int], secret_key: str
) -> Known:
    """Everything the file can name, read once: no query per line."""
    given = {code for group in groups for code in group.codes()}
    holders: dict[str, tuple[int, str]] = {}
    codes = sorted(given)
    for start in range(0, len(codes), _CHUNK):
        rows = session.execute(
            select(Evse.id, func.upper(Evse.code), ChargePoint.identifier)
            .join(ChargePoint, ChargePoint.id == Evse.charge_point_id)
            .where(func.upper(Evse.code).in_(codes[start : start + _CHUNK]))
        )
        holders.update({code: (number, identifier) for number, code, identifier in rows})
    return Known(
        zones=list(session.scalars(select(ChargingZone).options(joinedload(ChargingZone.location)))),
        partners={row.id: row.name for row in session.scalars(select(Partner))},
        notices=list(session.scalars(select(ChargePointNotice))),
        tariff_groups=dict(tariff_groups),
        tags={tag.name.casefold(): tag for tag in session.scalars(select(Tag))},
        holders=holders,
        given_codes=given,
        secret_key=secret_key,
    )
