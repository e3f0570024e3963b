"""Firmware updates under way: followed by what the station reports, ended by its word, its boot, or silence.

Manual, "Update Firmware"; OCPP 1.6, 6.19 and 4.5; its security whitepaper, L01 and 4.5. A plain update carries no
number: what a station reports of it belongs to its newest update. A signed one has its number in every report.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, joinedload

from app.assets.models import ChargePointState, FirmwareFile
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.models import FirmwareStatus, FirmwareUpdate
from app.charging.upkeep import file_exchange
from app.core import events
from app.core.models import ActionStatus

log = structlog.get_logger(__name__)

CHANGED = "charge_point.firmware"
#: without news for this long an update has failed, and its address is good for as long
NEWS_WITHIN = timedelta(hours=24)
#: a report of "installed" this long before the time of the download is about an earlier update
EARLY = timedelta(minutes=5)
#: a failed update is taken up again by the station's retry within this time
RETRIED_WITHIN = timedelta(hours=24)
BATCH = 200
#: lines of an update's history: a station that fails and retries for a day writes no more
HISTORY_KEPT = 199
SENT_WHOLE = "the file was sent whole"

FINAL = frozenset({FirmwareStatus.INSTALLED, FirmwareStatus.REFUSED})
CLOSED = FINAL | {FirmwareStatus.FAILED}
OPEN = tuple(status for status in FirmwareStatus if status not in CLOSED)
_NOT_BEGUN = (FirmwareStatus.REQUESTED, FirmwareStatus.SCHEDULED)
#: the file is there: the address has done its work
_FETCHED = frozenset(
    {
        FirmwareStatus.DOWNLOADED,
        FirmwareStatus.INSTALLING,
        FirmwareStatus.REBOOTING,
        FirmwareStatus.INSTALLED,
        FirmwareStatus.REFUSED,
    }
)


class FirmwareInUse(Exception):
    """Updates are under way that need the file."""


@dataclass(frozen=True)
class FirmwareReport:
    """What a station says of an update. ``status`` None changes nothing; ``words`` are shown."""

    charge_point_id: int
    status: FirmwareStatus | None
    words: str
    update_id: int | None = None
    signed: bool = False


# ---------------------------------------------------------------------- what becomes of it


def next_status(current: FirmwareStatus, reported: FirmwareStatus | None) -> FirmwareStatus:
    """Where a report takes an update. The station's word counts, also backwards: it retries.

    What is installed or refused stays so; what failed is taken up again by anything but another failure.
    """
    if reported is None or current in FINAL:
        return current
    return reported


def record_report(session: Session, *, report: FirmwareReport, now: datetime) -> FirmwareUpdate | None:
    """Note what a station says of its update; None when it belongs to none, which is logged. Flushes."""
    row = _update_of(session, report, now)
    if row is None:
        log.info("firmware.report_of_no_update", charge_point_id=report.charge_point_id, words=report.words)
        return None
    # a station that is asked for its status may tell of the update before this one
    too_early = report.update_id is None and row.status in _NOT_BEGUN and now < row.retrieve_at - EARLY
    status = row.status if too_early else next_status(row.status, report.status)
    if status is row.status and row.reported == report.words:
        row.changed_at = now  # said again: no line of the history, but a sign of life
        return row
    row.reported = report.words[:60]
    note = "about an earlier update" if too_early else None
    move(session, row, status, now, words=report.words, note=note)
    return row


def _update_of(session: Session, report: FirmwareReport, now: datetime) -> FirmwareUpdate | None:
    """The update a report is about: by number, else the station's newest, unless that is over for good."""
    query = select(FirmwareUpdate).where(FirmwareUpdate.charge_point_id == report.charge_point_id)
    if report.update_id is not None:
        numbered = query.where(FirmwareUpdate.id == report.update_id, FirmwareUpdate.signed)
        return session.scalars(numbered.with_for_update()).one_or_none()
    newest = session.scalars(
        query.where(FirmwareUpdate.signed == report.signed).order_by(FirmwareUpdate.id.desc()).limit(1)
        .with_for_update()
    ).one_or_none()  # fmt: skip
    if newest is None or newest.status in FINAL:
        return None
    if newest.status is FirmwareStatus.FAILED and (newest.changed_at or newest.requested_at) < now - RETRIED_WITHIN:
        return None
    return newest


def move(
    session: Session,
    row: FirmwareUpdate,
    status: FirmwareStatus,
    now: datetime,
    *,
    words: str | None = None,
    note: str | None = None,
) -> None:
    """Take a locked update to a status and write it into its history. Flushes, and tells the screens."""
    row.status, row.changed_at = status, now
    enter(row, status, now, words=words, note=note)
    if status in _FETCHED:
        file_exchange.use_up(session, now=now, firmware_update_id=row.id)
    session.flush()
    events.announce(session, CHANGED, partner_id=row.partner_id, charge_point_id=row.charge_point_id)


def enter(
    row: FirmwareUpdate, status: FirmwareStatus, now: datetime, *, words: str | None = None, note: str | None = None
) -> None:
    """Write a line of an update's history: when, what it was then, the station's word for it, what else is known."""
    row.history = [
        *row.history[-HISTORY_KEPT:],
        {"at": now.isoformat(), "status": status.value, "reported": words, "note": note},
    ]


@follow_up(CommandName.UPDATE_FIRMWARE)
def follow_answer(session: Session, outcome: Outcome) -> None:
    """The station took the order, refused it, or never got it."""
    file_exchange.hide_address(session, action_id=outcome.action_id)
    row = session.get(FirmwareUpdate, int(outcome.request["update_id"]), with_for_update=True)
    if row is None:
        return
    answer = outcome.answer
    # it may have begun, and told so, before it answered; a late answer takes back that there was none
    undecided = row.status is FirmwareStatus.REQUESTED or (outcome.late and row.status is FirmwareStatus.FAILED)
    if answer.status is ActionStatus.ACCEPTED:
        _replace_earlier(session, row, outcome.now)
        if undecided:
            move(session, row, FirmwareStatus.SCHEDULED, outcome.now, note="the charge point accepted")
        return
    if not undecided:
        return
    refused = answer.status is ActionStatus.REJECTED
    said = answer.facts.get("result") or answer.error or answer.status.label
    status = FirmwareStatus.REFUSED if refused else FirmwareStatus.FAILED
    move(session, row, status, outcome.now, note=str(said)[:200])
    if answer.status is not ActionStatus.TIMED_OUT:  # it may have taken the order all the same
        file_exchange.use_up(session, now=outcome.now, firmware_update_id=row.id)


def _replace_earlier(session: Session, row: FirmwareUpdate, now: datetime) -> None:
    """A station does one update at a time: the newer takes the place of the older."""
    earlier = session.scalars(
        select(FirmwareUpdate)
        .where(
            FirmwareUpdate.charge_point_id == row.charge_point_id,
            FirmwareUpdate.id < row.id,
            FirmwareUpdate.status.in_(OPEN),
        )
        .with_for_update()
    )
    for old in earlier.all():
        move(session, old, FirmwareStatus.FAILED, now, note=f"replaced by update #{row.id}")
        file_exchange.use_up(session, now=now, firmware_update_id=old.id)


def note_fetching(session: Session, *, update_id: int, complete: bool, now: datetime) -> None:
    """The station is fetching the file from us, or has been sent its last byte: news even when it reports nothing."""
    row = session.get(FirmwareUpdate, update_id, with_for_update=True)
    if row is None or row.status in CLOSED:
        return
    if not complete and row.status in _NOT_BEGUN:
        move(session, row, FirmwareStatus.DOWNLOADING, now, note="the charge point fetches the file")
    elif complete and all(entry.get("note") != SENT_WHOLE for entry in row.history):
        move(session, row, row.status, now, note=SENT_WHOLE)


# ---------------------------------------------------------------------- what time does


def settle_by_boot(session: Session, *, now: datetime) -> int:
    """Close updates whose station came back with another firmware, and note the version others came back with.

    Some stations never say "installed": their next boot says it.
    """
    began = func.greatest(FirmwareUpdate.requested_at, FirmwareUpdate.retrieve_at)
    rows = session.execute(
        select(FirmwareUpdate, ChargePointState.firmware_version)
        .join(ChargePointState, ChargePointState.charge_point_id == FirmwareUpdate.charge_point_id)
        .options(joinedload(FirmwareUpdate.firmware_file))
        .where(
            FirmwareUpdate.status.not_in((FirmwareStatus.FAILED, FirmwareStatus.REFUSED)),
            FirmwareUpdate.version_after.is_(None),
            ChargePointState.firmware_version.is_not(None),
            ChargePointState.booted_at >= began,
            or_(
                and_(
                    FirmwareUpdate.status == FirmwareStatus.INSTALLED,
                    ChargePointState.booted_at >= FirmwareUpdate.changed_at,
                ),
                FirmwareUpdate.version_before.is_(None),
                FirmwareUpdate.version_before != ChargePointState.firmware_version,
            ),
        )
        .limit(BATCH)
        .with_for_update(of=FirmwareUpdate, skip_locked=True)
    ).all()
    settled = 0
    for row, version in rows:
        wanted = row.firmware_file.firmware_version if row.firmware_file else None
        if row.status is not FirmwareStatus.INSTALLED and row.version_before is None and version != wanted:
            continue  # nobody knows what it had before
        row.version_after = version
        move(session, row, FirmwareStatus.INSTALLED, now, note=f"booted with firmware {version}")
        settled += 1
    return settled


def fail_silent(session: Session, *, now: datetime) -> int:
    """Give up updates of which nothing was heard since their time."""
    last_news = func.greatest(
        FirmwareUpdate.requested_at, FirmwareUpdate.retrieve_at, FirmwareUpdate.install_at, FirmwareUpdate.changed_at
    )
    rows = session.scalars(
        select(FirmwareUpdate)
        .where(
            FirmwareUpdate.status.in_(OPEN),
            FirmwareUpdate.version_after.is_(None),
            last_news < now - NEWS_WITHIN,
        )
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        move(session, row, FirmwareStatus.FAILED, now, note="no news for 24 hours")
        file_exchange.use_up(session, now=now, firmware_update_id=row.id)
    return len(rows)


# ---------------------------------------------------------------------- the files themselves


def check_unused(session: Session, *, firmware: FirmwareFile) -> None:
    """Whether a firmware file may be deleted; past updates keep their story. Raises FirmwareInUse."""
    using = session.scalar(
        select(func.count())
        .select_from(FirmwareUpdate)
        .where(FirmwareUpdate.firmware_file_id == firmware.id, FirmwareUpdate.status.in_(OPEN))
    )
    if using:
        updates = "1 update that needs it is" if using == 1 else f"{using} updates that need it are"
        raise FirmwareInUse(f"{firmware} cannot be deleted: {updates} still under way.")
