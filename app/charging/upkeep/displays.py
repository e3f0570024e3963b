"""Messages on a station's display (OCPP 2.0.1 part 2, block O): set, listed as the station tells, and cleared.

A message of ours is a row first (Pending), with the number by which both sides call it. A station's own report of its
messages says which there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.lifecycle import RUNNING
from app.charging.models import ChargingSession, DisplayMessage, DisplayStatus
from app.core import events
from app.core.models import Action, ActionStatus, Admin

CHANGED = "charge_point.displays_changed"

PRIORITIES = {
    "normal_cycle": "In turn with others",
    "in_front": "Before those in turn",
    "always_front": "Always in front",
}
STATES = {"charging": "While charging", "faulted": "While faulted", "idle": "While idle", "unavailable": "Out of use"}
FORMATS = {"plain": "Text", "ascii": "Text in plain letters (ASCII)", "html": "HTML", "uri": "Web address"}

LONGEST_TEXT = 512
LONGEST_LANGUAGE = 8
MOST_MESSAGES = 500
#: of those that are on no display any more, the newest
MOST_OVER = 50
_OVER = (DisplayStatus.REJECTED, DisplayStatus.UNANSWERED, DisplayStatus.CLEARED)


class InvalidMessage(ValueError):
    """The message cannot be shown, or cleared; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a display shall show, and when. ``state`` None: always; ``session_id``: only during that session."""

    content: str
    text_format: str = "plain"
    priority: str = "normal_cycle"
    state: str | None = None
    language: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    session_id: int | None = None


@dataclass(frozen=True, slots=True)
class ReportedMessage:
    """A message as its station reports it."""

    number: int
    message: Message
    session_reference: str | None = None


def set_message(
    session: Session, *, charge_point: ChargePoint, message: Message, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask a station to show a message. Flushes. Raises InvalidMessage, NotManaged, ReasonRequired."""
    _check(message, now)
    reference = _reference(session, charge_point, message.session_id)
    commands.check_reachable(charge_point)
    number = _free_number(session, charge_point.id)
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.SET_DISPLAY_MESSAGE,
        request={
            "number": number,
            "content": message.content,
            "format": message.text_format,
            "priority": message.priority,
            "state": message.state,
            "language": message.language,
            "starts_at": message.starts_at.isoformat() if message.starts_at else None,
            "ends_at": message.ends_at.isoformat() if message.ends_at else None,
            "reference": reference,
        },
        info=f"{number}: {message.content}"[:200],
        reason=reason,
        actor=actor,
        now=now,
    )
    row = DisplayMessage(
        partner_id=charge_point.partner_id, charge_point_id=charge_point.id, number=number, action_id=action.id
    )
    _fill(row, message)
    session.add(row)
    _tell(session, charge_point.id, charge_point.partner_id)
    return action


def _check(message: Message, now: datetime) -> None:
    if not message.content.strip():
        raise InvalidMessage("Enter the text that shall be shown.")
    if len(message.content) > LONGEST_TEXT:
        raise InvalidMessage(f"The text is longer than {LONGEST_TEXT} characters.")
    if message.text_format == "ascii" and not message.content.isascii():
        raise InvalidMessage("The text has letters that are not plain (ASCII). Choose the format Text.")
    if len(message.language or "") > LONGEST_LANGUAGE:
        raise InvalidMessage("Name the language as in “en” or “de-AT”.")
    if message.ends_at and message.ends_at <= max(now, message.starts_at or now):
        raise InvalidMessage("The message would end before it is shown.")


def _reference(session: Session, charge_point: ChargePoint, session_id: int | None) -> str | None:
    """How the station calls the session."""
    if session_id is None:
        return None
    found = session.get(ChargingSession, session_id)
    if found is None or found.charge_point_id != charge_point.id or found.status not in RUNNING:
        raise InvalidMessage(f"Session {session_id} does not run at {charge_point.name}.")
    if not found.station_reference:
        raise InvalidMessage("The charge point has not told how it calls this session.")
    return found.station_reference


def _free_number(session: Session, charge_point_id: int) -> int:
    """The smallest that no message known of the charge point has; drawn by one at a time."""
    session.execute(select(ChargePoint.id).filter_by(id=charge_point_id).with_for_update(key_share=True))
    beyond = (
        select(DisplayMessage.id)
        .where(_of(charge_point_id), DisplayMessage.status.in_(_OVER))
        .order_by(DisplayMessage.id.desc())
        .offset(MOST_OVER)
    )
    session.execute(delete(DisplayMessage).where(DisplayMessage.id.in_(beyond)))
    taken = set(session.scalars(select(DisplayMessage.number).where(_of(charge_point_id))))
    if len(taken) >= MOST_MESSAGES:
        raise InvalidMessage("The charge point has too many messages. Clear some of them first.")
    return next(number for number in count(1) if number not in taken)


def _fill(row: DisplayMessage, message: Message) -> None:
    row.content, row.text_format, row.language = message.content, message.text_format, message.language
    row.priority, row.state = message.priority, message.state
    row.starts_at, row.ends_at, row.session_id = message.starts_at, message.ends_at, message.session_id


def _of(charge_point_id: int) -> ColumnElement[bool]:
    return DisplayMessage.charge_point_id == charge_point_id


def get_messages(
    session: Session, *, charge_point: ChargePoint, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask a station for all messages it has. They come by themselves, after its answer. Flushes.

    Raises NotManaged, ReasonRequired.
    """
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.GET_DISPLAY_MESSAGES,
        request={},
        info="All messages",
        reason=reason,
        actor=actor,
        now=now,
    )


def clear_message(
    session: Session, *, charge_point: ChargePoint, number: int, reason: str, actor: Admin | None, now: datetime
) -> Action:
    """Ask a station to show a message no more. Flushes. Raises InvalidMessage, NotManaged, ReasonRequired."""
    row = session.scalars(
        select(DisplayMessage).filter_by(charge_point_id=charge_point.id, number=number)
    ).one_or_none()
    if row is None:
        raise InvalidMessage(f"{charge_point.name} has no message {number}.")
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.CLEAR_DISPLAY_MESSAGE,
        request={"number": number},
        info=f"{number}: {row.content}"[:200],
        reason=reason,
        actor=actor,
        now=now,
    )


@follow_up(CommandName.SET_DISPLAY_MESSAGE, CommandName.GET_DISPLAY_MESSAGES, CommandName.CLEAR_DISPLAY_MESSAGE)
def follow_displays(session: Session, outcome: Outcome) -> None:
    """What a station answered becomes of the rows; a late yes counts too."""
    if outcome.name is CommandName.SET_DISPLAY_MESSAGE:
        _follow_set(session, outcome)
    elif outcome.name is CommandName.CLEAR_DISPLAY_MESSAGE:
        if outcome.answer.facts.get("result") in ("accepted", "not_found"):
            here = _of(outcome.charge_point_id), DisplayMessage.number == int(outcome.request["number"])
            session.execute(update(DisplayMessage).where(*here).values(status=DisplayStatus.CLEARED))
    elif outcome.answer.facts.get("result") == "none":
        _forget_unnamed(session, outcome.charge_point_id, set())
    _tell(session, outcome.charge_point_id, outcome.partner_id)


def _follow_set(session: Session, outcome: Outcome) -> None:
    row = session.scalars(select(DisplayMessage).filter_by(action_id=outcome.action_id).with_for_update()).one_or_none()
    if row is None or row.status is DisplayStatus.CLEARED:
        return
    if outcome.answer.status is ActionStatus.ACCEPTED:
        row.status = DisplayStatus.SHOWN
    elif outcome.answer.status in (ActionStatus.REJECTED, ActionStatus.FAILED):
        row.status = DisplayStatus.REJECTED
    elif row.status is DisplayStatus.PENDING:
        row.status = DisplayStatus.UNANSWERED


def keep_messages(
    session: Session,
    *,
    charge_point_id: int,
    partner_id: int,
    messages: Iterable[ReportedMessage],
    whole: bool,
    now: datetime,
) -> int:
    """Make the rows what the station reports. ``whole``: it has no others. Flushes. Returns how many it named.

    Whether a message is ours is known by the row that was there.
    """
    named = {each.number: each for each in messages}
    rows = {row.number: row for row in session.scalars(select(DisplayMessage).where(_of(charge_point_id)))}
    for number, each in list(named.items())[:MOST_MESSAGES]:
        row = rows.get(number) or DisplayMessage(
            charge_point_id=charge_point_id, partner_id=partner_id, number=number, ours=False
        )
        session_id = row.session_id
        _fill(row, each.message)
        row.session_id = _session_of(session, charge_point_id, each.session_reference) or session_id
        row.status, row.reported_at = DisplayStatus.SHOWN, now
        session.add(row)
    session.flush()
    if whole:
        _forget_unnamed(session, charge_point_id, set(named))
    _tell(session, charge_point_id, partner_id)
    return len(named)


def _session_of(session: Session, charge_point_id: int, reference: str | None) -> int | None:
    if not reference:
        return None
    named = select(ChargingSession.id).filter_by(charge_point_id=charge_point_id, station_reference=reference)
    return session.scalars(named.order_by(ChargingSession.id.desc()).limit(1)).one_or_none()


def _forget_unnamed(session: Session, charge_point_id: int, named: set[int]) -> None:
    """Those that are there no more: ours are kept as cleared, others leave."""
    gone = _of(charge_point_id), DisplayMessage.number.not_in(named)
    session.execute(delete(DisplayMessage).where(*gone, ~DisplayMessage.ours))
    shown = DisplayMessage.status == DisplayStatus.SHOWN
    session.execute(update(DisplayMessage).where(*gone, shown).values(status=DisplayStatus.CLEARED))


def _tell(session: Session, charge_point_id: int, partner_id: int) -> None:
    session.flush()
    events.announce(session, CHANGED, partner_id=partner_id, charge_point_id=charge_point_id)


# --- what is shown, and what there is to choose from


def messages_of(session: Session, *, charge_point_id: int) -> list[DisplayMessage]:
    """All that are known, by number."""
    query = select(DisplayMessage).where(_of(charge_point_id)).order_by(DisplayMessage.number)
    return list(session.scalars(query.limit(MOST_MESSAGES)))


def sessions_to_name(session: Session, *, charge_point_id: int) -> list[ChargingSession]:
    """The running sessions for which a message can be."""
    running = ChargingSession.status.in_(RUNNING), ChargingSession.station_reference.is_not(None)
    query = select(ChargingSession).where(ChargingSession.charge_point_id == charge_point_id, *running)
    return list(session.scalars(query.order_by(ChargingSession.id)))
