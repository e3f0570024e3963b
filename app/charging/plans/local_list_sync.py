"""Keeping the stations' local authorisation lists in step. Manual, "Enable Local Auth List"; OCPP 1.6, 5.10 and 5.15.

What a station should have is derived from its users' tags (``local_lists``); what it has is what it last confirmed. A
job compares the two and sends the difference; the whole list goes at first and whenever it is unclear what is there.
One message is under way at a time; a long list goes in pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from app.assets.models import ChargePoint, ChargePointState
from app.charging import commands
from app.charging.commands import CommandName, NotManaged, Outcome, follow_up
from app.charging.models import LocalList, LocalListStatus
from app.charging.plans.local_lists import Entries, Wanted, wanted_entries
from app.core.models import Action, ActionStatus, Admin

RETRY_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 360))
#: a message whose outcome never came, which the commands' own expiry should make impossible
STUCK_AFTER = timedelta(minutes=15)
STATIONS_A_LOOK = 200
#: in one transaction; the next look finds the others
MOST_SENT_A_LOOK = 200
_REASON = "Keeps the local auth list in step"


def keep_in_step(session: Session, *, now: datetime) -> int:
    """Send what is missing to the connected stations whose list differs from what it should be. Returns how many.

    Also empties the list of stations where it is not enabled any more, and asks stations that have booted which version
    they still have.
    """
    sent, after = 0, 0
    while True:
        stations = _candidates(session, after=after)
        if not stations or sent >= MOST_SENT_A_LOOK:
            return sent
        after = stations[-1].id
        wanted = wanted_entries(session, stations, now=now)
        rows = {row.charge_point_id: row for row in _rows(session, [each.id for each in stations])}
        for charge_point in stations:
            row = rows.get(charge_point.id)
            if row is not None and not charge_point.local_auth_list and row.status is LocalListStatus.NOT_SUPPORTED:
                session.delete(row)  # enabled again, it is asked again
            elif _due(charge_point, row, wanted[charge_point.id], now):
                sent += _work_on(session, charge_point, wanted[charge_point.id], now)


def _candidates(session: Session, *, after: int) -> Sequence[ChargePoint]:
    """Connected stations that have a list, or should have one."""
    has_row = select(LocalList.charge_point_id).where(LocalList.charge_point_id == ChargePoint.id).exists()
    return session.scalars(
        select(ChargePoint)
        .join(ChargePointState)
        .where(
            ChargePoint.id > after,
            ChargePoint.managed_by_operator,
            ChargePointState.connected,
            or_(ChargePoint.local_auth_list, has_row),
        )
        .options(joinedload(ChargePoint.state))
        .order_by(ChargePoint.id)
        .limit(STATIONS_A_LOOK)
    ).all()


def _rows(session: Session, charge_point_ids: Sequence[int]) -> Sequence[LocalList]:
    return session.scalars(select(LocalList).where(LocalList.charge_point_id.in_(charge_point_ids))).all()


def _due(charge_point: ChargePoint, row: LocalList | None, wanted: Wanted, now: datetime) -> bool:
    if row is None:
        return charge_point.local_auth_list
    if row.status is LocalListStatus.SENDING:
        return row.sent_at is None or row.sent_at < now - STUCK_AFTER
    if row.status is LocalListStatus.NOT_SUPPORTED:
        return False
    if row.next_attempt_at is not None and row.next_attempt_at > now:
        return False
    if row.status is LocalListStatus.FAILED:
        return True
    if not charge_point.local_auth_list:
        return bool(row.entries) or row.status is LocalListStatus.IN_STEP
    if row.status is LocalListStatus.UNKNOWN:
        return True
    return row.entries != wanted.entries or _booted_since(charge_point.state, row)


def _booted_since(state: ChargePointState, row: LocalList) -> bool:
    return state.booted_at is not None and row.confirmed_at is not None and state.booted_at > row.confirmed_at


def _work_on(session: Session, charge_point: ChargePoint, wanted: Wanted, now: datetime) -> bool:
    row = _locked(session, charge_point, skip_locked=True)
    if row is None or not _due(charge_point, row, wanted, now):
        return False  # somebody else is at it
    try:
        if (
            row.status is LocalListStatus.IN_STEP
            and charge_point.local_auth_list
            and _booted_since(charge_point.state, row)
        ):
            _ask_version(session, charge_point, row, now)
        else:
            _send(session, charge_point, row, wanted, now=now)
    except NotManaged:
        return False
    return True


def _locked(session: Session, charge_point: ChargePoint, *, skip_locked: bool = False) -> LocalList | None:
    """The station's row, made if there is none, locked; None when another process has it."""
    session.execute(
        insert(LocalList)
        .values(charge_point_id=charge_point.id, partner_id=charge_point.partner_id)
        .on_conflict_do_nothing()
    )
    return session.scalars(
        select(LocalList)
        .where(LocalList.charge_point_id == charge_point.id)
        .with_for_update(skip_locked=skip_locked)
        .execution_options(populate_existing=True)
    ).one_or_none()


def sync_now(session: Session, *, charge_point: ChargePoint, reason: str, actor: Admin, now: datetime) -> Action:
    """Send the whole list at once, whatever the station is thought to have. Raises NotManaged, ReasonRequired."""
    row = _locked(session, charge_point)
    assert row is not None
    row.status, row.attempts, row.sending = LocalListStatus.UNKNOWN, 0, None
    wanted = wanted_entries(session, [charge_point], now=now)[charge_point.id]
    return _send(session, charge_point, row, wanted, now=now, actor=actor, reason=reason)


def _send(
    session: Session,
    charge_point: ChargePoint,
    row: LocalList,
    wanted: Wanted,
    *,
    now: datetime,
    actor: Admin | None = None,
    reason: str = _REASON,
) -> Action:
    """Send the next piece: of the difference when the station's list is known, else of the whole."""
    full = row.status is not LocalListStatus.IN_STEP or not charge_point.local_auth_list
    before: Entries = {} if full else dict(row.entries)
    changes = _changes(before, wanted.entries)[: wanted.a_message]
    after = dict(before)
    for id_tag, info in changes:
        if info is None:
            after.pop(id_tag, None)
        else:
            after[id_tag] = info
    version = row.version + 1
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.SEND_LOCAL_LIST,
        request={
            "version": version,
            "full": full,
            "entries": [{"id_tag": id_tag, "info": info} for id_tag, info in changes],
        },
        info=f"Version {version}, {'whole list' if full else 'changes'}: {len(changes)} entr"
        f"{'y' if len(changes) == 1 else 'ies'}",
        reason=reason,
        actor=actor,
        now=now,
    )
    row.status, row.sent_at = LocalListStatus.SENDING, now
    row.sending = {"version": version, "entries": after, "action_id": action.id}
    session.flush()
    return action


def _changes(before: Entries, wanted: Entries) -> list[tuple[str, dict[str, Any] | None]]:
    """What turns one list into the other: removals first, so that the station has room for what comes."""
    removed: list[tuple[str, dict[str, Any] | None]] = [(tag, None) for tag in before if tag not in wanted]
    return removed + [(tag, info) for tag, info in wanted.items() if before.get(tag) != info]


def _ask_version(session: Session, charge_point: ChargePoint, row: LocalList, now: datetime) -> None:
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.GET_LOCAL_LIST_VERSION,
        request={},
        reason=_REASON,
        actor=None,
        now=now,
    )
    row.status, row.sending, row.sent_at = LocalListStatus.SENDING, {"action_id": action.id}, now
    session.flush()


# --- what came of it


@follow_up(CommandName.SEND_LOCAL_LIST)
def keep_answer(session: Session, outcome: Outcome) -> None:
    """Confirm the list and send the next piece, or note why not and when to try again."""
    row = session.get(LocalList, outcome.charge_point_id, with_for_update=True)
    sending = row.sending if row is not None else None
    if row is None or sending is None or sending.get("action_id") != outcome.action_id or outcome.late:
        return  # a later list is under way, and says what is true
    facts = outcome.answer.facts
    result = "not_supported" if facts.get("not_supported") else facts.get("result")
    if outcome.answer.status is ActionStatus.ACCEPTED:
        row.version, row.entries, row.sending = sending["version"], sending["entries"], None
        row.attempts, row.next_attempt_at, row.detail, row.confirmed_at = 0, None, None, outcome.now
        row.status = LocalListStatus.IN_STEP
        session.flush()
        _send_rest(session, row, outcome.now)
    elif result == "not_supported":
        row.status, row.sending, row.next_attempt_at = LocalListStatus.NOT_SUPPORTED, None, None
        row.detail = "The station says that it does not support local auth lists."
    elif result == "version_mismatch":
        _mismatch(session, row, outcome.now)
    else:
        _failed(row, _why(outcome), outcome.now)


def _send_rest(session: Session, row: LocalList, now: datetime) -> None:
    charge_point = session.get_one(ChargePoint, row.charge_point_id)
    if not charge_point.local_auth_list:
        row.status = LocalListStatus.UNKNOWN  # emptied: there is nothing to keep in step any more
        return
    wanted = wanted_entries(session, [charge_point], now=now)[charge_point.id]
    if row.entries != wanted.entries and charge_point.managed_by_operator:
        _send(session, charge_point, row, wanted, now=now)


def _mismatch(session: Session, row: LocalList, now: datetime) -> None:
    """The station has another version than we think: ask which, then send the whole list under the next number."""
    row.attempts += 1
    if row.attempts > 2:
        _failed(row, "The station refuses each version of the list.", now)
        return
    charge_point = session.get_one(ChargePoint, row.charge_point_id)
    _ask_version(session, charge_point, row, now)


@follow_up(CommandName.GET_LOCAL_LIST_VERSION)
def keep_version(session: Session, outcome: Outcome) -> None:
    """Compare the version a station has with the one it confirmed; when they differ, the whole list is due."""
    row = session.get(LocalList, outcome.charge_point_id, with_for_update=True)
    sending = row.sending if row is not None else None
    if row is None or sending is None or sending.get("action_id") != outcome.action_id or outcome.late:
        return
    version = outcome.answer.facts.get("version")
    if outcome.answer.facts.get("not_supported") or version == -1:
        row.status, row.sending = LocalListStatus.NOT_SUPPORTED, None
        row.detail = "The station says that it does not support local auth lists."
    elif not isinstance(version, int) or isinstance(version, bool):
        _failed(row, _why(outcome), outcome.now)
    elif version == row.version and not row.attempts:
        row.status, row.sending, row.confirmed_at = LocalListStatus.IN_STEP, None, outcome.now
    else:
        row.version = max(row.version, min(version, 2**31 - 2))
        row.status, row.sending = LocalListStatus.UNKNOWN, None


def _failed(row: LocalList, why: str, now: datetime) -> None:
    """Note it; the next attempt, with the whole list, waits longer each time."""
    row.status, row.sending, row.detail = LocalListStatus.FAILED, None, why[:255]
    row.next_attempt_at = now + RETRY_AFTER[min(row.attempts, len(RETRY_AFTER) - 1)]
    row.attempts += 1


def _why(outcome: Outcome) -> str:
    answer = outcome.answer
    return answer.error or {
        ActionStatus.TIMED_OUT: "The station did not answer in time.",
        ActionStatus.NOT_CONNECTED: "The station was not connected.",
    }.get(answer.status, "The station answered that it failed.")
