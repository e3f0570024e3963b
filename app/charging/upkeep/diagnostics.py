"""Diagnostics and logs asked of stations, and the files they bring.

Manual, "Get Diagnostics" and "Diagnostic Requests"; OCPP 1.6, 6.9 and 4.4; its security whitepaper, N01. A request for
diagnostics carries no number: what a station reports belongs to its newest one. A request for a log has its number
in every report. The file is the proof: whatever is reported, a request whose file is here is uploaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.models import DiagnosticsKind, DiagnosticsRequest, FileTicket, TransferStatus
from app.charging.upkeep import file_exchange
from app.core import events, settings
from app.core.files import StoredFile, delete_file, store_file
from app.core.models import Action, ActionStatus, Admin

log = structlog.get_logger(__name__)

CHANGED = "charge_point.diagnostics"
#: without news for this long a request has failed, and its address is good for as long
NEWS_WITHIN = timedelta(hours=24)
MEGABYTE = 1024 * 1024
BATCH = 200
CONTENT_TYPE = "application/octet-stream"

OPEN = (TransferStatus.REQUESTED, TransferStatus.UPLOADING)
LOGS = (DiagnosticsKind.DIAGNOSTICS_LOG, DiagnosticsKind.SECURITY_LOG)


class InvalidRequest(ValueError):
    """The request makes no sense; the message says what to change."""


@dataclass(frozen=True)
class DiagnosticsOrder:
    """What an operator asks for. Times UTC, ``retry_interval_s`` seconds; no times: as much as the station has."""

    kind: DiagnosticsKind
    logs_from: datetime | None = None
    logs_to: datetime | None = None
    retries: int | None = None
    retry_interval_s: int | None = None


@dataclass(frozen=True)
class TransferReport:
    """What a station says of an upload. ``status`` None changes nothing; ``words`` are shown."""

    charge_point_id: int
    status: TransferStatus | None
    words: str
    #: whether it speaks of a log, which has numbers, or of diagnostics, which have none
    of_log: bool = False
    request_id: int | None = None


def request_diagnostics(
    session: Session,
    *,
    charge_point: ChargePoint,
    order: DiagnosticsOrder,
    base_url: str,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Ask a station to bring its diagnostics or a log; ``base_url`` is where it reaches us. Flushes.

    Raises InvalidRequest, commands.NotManaged, ReasonRequired.
    """
    if order.logs_from is not None and order.logs_to is not None and order.logs_from >= order.logs_to:
        raise InvalidRequest("The start time has to be before the stop time.")
    row = DiagnosticsRequest(
        partner_id=charge_point.partner_id,
        charge_point_id=charge_point.id,
        kind=order.kind,
        status=TransferStatus.REQUESTED,
        requested_at=now,
        logs_from=order.logs_from,
        logs_to=order.logs_to,
    )
    session.add(row)
    session.flush()
    token = file_exchange.open_ticket(
        session,
        charge_point=charge_point,
        expires_at=now + NEWS_WITHIN,
        now=now,
        diagnostics_id=row.id,
        max_bytes=settings.get_int(session, "file.diagnostics_max_mb") * MEGABYTE,
    )
    location = file_exchange.address(base_url, token, directory_name(row), directory=True)
    is_log = order.kind in LOGS
    request: dict[str, Any] = {
        "diagnostics_id": row.id,
        "location": location,
        "logs_from": _stamp(order.logs_from),
        "logs_to": _stamp(order.logs_to),
        "retries": order.retries,
        "retry_interval_s": order.retry_interval_s,
    }
    if is_log:
        request["log"] = "security" if order.kind is DiagnosticsKind.SECURITY_LOG else "diagnostics"
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.GET_LOG if is_log else CommandName.GET_DIAGNOSTICS,
        request=request,
        reason=reason,
        actor=actor,
        now=now,
        info=order.kind.label,
    )
    row.action_id = action.id
    session.flush()
    return action


def directory_name(row: DiagnosticsRequest) -> str:
    """The folder a station is told to bring its file to."""
    return f"diagnostics-{row.id}"


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# ---------------------------------------------------------------------- what becomes of it


@follow_up(CommandName.GET_DIAGNOSTICS, CommandName.GET_LOG)
def follow_answer(session: Session, outcome: Outcome) -> None:
    """The station names its file, has nothing to bring, refuses, or never got the request."""
    file_exchange.hide_address(session, action_id=outcome.action_id)
    row = session.get(DiagnosticsRequest, int(outcome.request["diagnostics_id"]), with_for_update=True)
    if row is None:
        return
    answer = outcome.answer
    name = answer.facts.get("file_name")
    if name:
        row.announced_name = str(name)[:255]
    if row.received_at is not None:
        session.flush()
        return
    undecided = row.status in OPEN or (outcome.late and row.status is TransferStatus.FAILED)
    if not undecided:
        return
    status, detail = _meaning(outcome, bool(name))
    if status is None:
        status = TransferStatus.REQUESTED if row.status is TransferStatus.FAILED else row.status
    _move(session, row, status, outcome.now, detail)
    if status not in OPEN and answer.status is not ActionStatus.TIMED_OUT:
        file_exchange.use_up(session, now=outcome.now, diagnostics_id=row.id)


def _meaning(outcome: Outcome, named: bool) -> tuple[TransferStatus | None, str | None]:
    answer = outcome.answer
    if answer.status is ActionStatus.ANSWERED:  # GetDiagnostics without a file's name: there is none (OCPP 1.6, 6.9)
        return TransferStatus.NOTHING, None
    if answer.status is ActionStatus.ACCEPTED:
        return None, None
    said = answer.error or (answer.response or {}).get("status")
    return TransferStatus.FAILED, f"{answer.status.label}: {said}" if said else answer.status.label


def record_report(session: Session, *, report: TransferReport, now: datetime) -> DiagnosticsRequest | None:
    """Note what a station says of an upload; None when it belongs to no request, which is logged. Flushes."""
    row = _request_of(session, report)
    if row is None:
        log.info("diagnostics.report_of_no_request", charge_point_id=report.charge_point_id, words=report.words)
        return None
    if row.received_at is not None or report.status is None:
        return row
    if row.status is TransferStatus.NOTHING and report.status is TransferStatus.FAILED:
        return row
    detail = report.words if report.status is TransferStatus.FAILED else None
    if report.status is TransferStatus.UPLOADED:
        detail = "the file has not arrived here yet"
    _move(session, row, report.status, now, detail)
    return row


def _request_of(session: Session, report: TransferReport) -> DiagnosticsRequest | None:
    query = select(DiagnosticsRequest).where(DiagnosticsRequest.charge_point_id == report.charge_point_id)
    kinds = LOGS if report.of_log else (DiagnosticsKind.DIAGNOSTICS,)
    query = query.where(DiagnosticsRequest.kind.in_(kinds))
    if report.request_id is not None:
        query = query.where(DiagnosticsRequest.id == report.request_id)
    newest = query.order_by(DiagnosticsRequest.id.desc()).limit(1)
    return session.scalars(newest.with_for_update()).one_or_none()


def _move(session: Session, row: DiagnosticsRequest, status: TransferStatus, now: datetime, detail: str | None) -> None:
    row.status, row.changed_at, row.detail = status, now, detail[:255] if detail else None
    session.flush()
    _tell(session, row)


def _tell(session: Session, row: DiagnosticsRequest) -> None:
    events.announce(session, CHANGED, partner_id=row.partner_id, charge_point_id=row.charge_point_id)


def receive_file(
    session: Session, *, token: str, name: str | None, chunks: Iterable[bytes], now: datetime
) -> StoredFile:
    """Keep the file a station has brought, whole or not at all; its ticket is used up. Flushes.

    Raises file_exchange.TicketUnknown, TicketOver, core.files.FileTooLarge.
    """
    ticket: FileTicket = file_exchange.find_ticket(session, token=token, now=now, lock=True)
    if ticket.diagnostics_id is None or ticket.max_bytes is None:
        raise file_exchange.TicketUnknown("Nothing is expected here")
    row = session.get_one(DiagnosticsRequest, ticket.diagnostics_id, with_for_update=True)
    default = row.announced_name or f"{directory_name(row)}.bin"
    stored = store_file(
        session,
        name=file_exchange.safe_name(name or default, directory_name(row)),
        content_type=CONTENT_TYPE,
        chunks=chunks,
        max_bytes=ticket.max_bytes,
        now=now,
        partner_id=row.partner_id,
    )
    row.file_id, row.received_at = stored.id, now
    file_exchange.use_up(session, now=now, diagnostics_id=row.id)
    _move(session, row, TransferStatus.UPLOADED, now, None)
    return stored


def note_uploading(session: Session, *, diagnostics_id: int, now: datetime) -> None:
    """The station has begun to bring its file: news even when it reports nothing."""
    row = session.get(DiagnosticsRequest, diagnostics_id, with_for_update=True)
    if row is not None and row.received_at is None and row.status is not TransferStatus.UPLOADING:
        _move(session, row, TransferStatus.UPLOADING, now, None)


def note_too_large(session: Session, *, diagnostics_id: int, now: datetime) -> None:
    """The station's file was refused for its size; a smaller one may still come."""
    row = session.get(DiagnosticsRequest, diagnostics_id, with_for_update=True)
    if row is not None and row.received_at is None:
        limit = settings.get_int(session, "file.diagnostics_max_mb")
        _move(session, row, TransferStatus.FAILED, now, f"the file is larger than {limit} MB (Settings > Files)")


# ---------------------------------------------------------------------- what time does


def fail_silent(session: Session, *, now: datetime) -> int:
    """Give up requests of which nothing was heard, and uploads that were reported but never came."""
    last_news = func.greatest(DiagnosticsRequest.requested_at, DiagnosticsRequest.changed_at)
    rows = session.scalars(
        select(DiagnosticsRequest)
        .where(
            DiagnosticsRequest.status.not_in((TransferStatus.NOTHING, TransferStatus.FAILED)),
            DiagnosticsRequest.received_at.is_(None),
            last_news < now - NEWS_WITHIN,
        )
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        reported = row.status is TransferStatus.UPLOADED
        detail = "reported as uploaded, but no file came" if reported else "no news for 24 hours"
        _move(session, row, TransferStatus.FAILED, now, detail)
        file_exchange.use_up(session, now=now, diagnostics_id=row.id)
    return len(rows)


def forget_files(session: Session, *, now: datetime) -> int:
    """Delete diagnostics files and tickets older than Settings > Retention says. Returns how many files."""
    before = now - timedelta(days=settings.get_int(session, "retention.diagnostics_days"))
    rows = session.scalars(
        select(DiagnosticsRequest)
        .join(StoredFile, StoredFile.id == DiagnosticsRequest.file_id)
        .where(StoredFile.created_at < before)
        .limit(BATCH)
        .with_for_update(of=DiagnosticsRequest, skip_locked=True)
    ).all()
    for row in rows:
        forget_file(session, row=row, detail="the file was deleted when its time was over")
    file_exchange.forget_tickets(session, before=before)
    return len(rows)


def forget_file(session: Session, *, row: DiagnosticsRequest, detail: str) -> None:
    """Delete the file of a request; the request stays in the log and says so. Flushes."""
    file_id, row.file_id, row.detail = row.file_id, None, detail
    session.flush()
    if file_id is not None:
        delete_file(session, file_id=file_id)
