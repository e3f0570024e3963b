"""One-time addresses by which a station fetches a file from us or brings us one (stations.md, line 22).

A ticket is for one station and one command: a broken transfer may be tried again or resumed until the transfer is
done, then the ticket is used up. The token is in the address only; stored is its hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from urllib.parse import quote, urlsplit, urlunsplit

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.charging.models import FileTicket
from app.core.models import Action

PATH = "/files/"
TOKEN_BYTES = 32
MAX_NAME = 120
#: OCPP's security extension has no room for more
MAX_ADDRESS = 512
#: what a secret in an address is replaced by, wherever a person may read it
HIDDEN = "…"

_UNSAFE = re.compile(r"[^\w.,()+-]+")


class TicketError(Exception):
    """No file is exchanged; the message is for whoever reads the station's log."""


class TicketUnknown(TicketError):
    """Nobody was given this address."""


class TicketOver(TicketError):
    """The address was good once: it is used up, or its time is over."""


def open_ticket(
    session: Session,
    *,
    charge_point: ChargePoint,
    expires_at: datetime,
    now: datetime,
    file_id: int | None = None,
    firmware_update_id: int | None = None,
    diagnostics_id: int | None = None,
    max_bytes: int | None = None,
) -> str:
    """A ticket to fetch ``file_id``, or to bring the file of a diagnostics request; returns its token. Flushes."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    session.add(
        FileTicket(
            token_hash=hash_token(token),
            partner_id=charge_point.partner_id,
            charge_point_id=charge_point.id,
            file_id=file_id,
            firmware_update_id=firmware_update_id,
            diagnostics_id=diagnostics_id,
            max_bytes=max_bytes,
            created_at=now,
            expires_at=expires_at,
        )
    )
    session.flush()
    return token


def hash_token(token: str) -> str:
    """What is stored of a token. It is long and random: a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def address(base_url: str, token: str, name: str, *, directory: bool = False) -> str:
    """The address a station is given. A directory ends with a slash: stations append their file's name to it."""
    return f"{base_url.rstrip('/')}{PATH}{token}/{quote(safe_name(name))}{'/' if directory else ''}"


def safe_name(name: str | None, default: str = "file") -> str:
    """A file's name without folders and without characters that some system gives a meaning to."""
    last = (name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("_", last).strip("._")[-MAX_NAME:].strip("._") or default


def masked(location: str) -> str:
    """An address without its secrets: our token, or the password for somebody else's server."""
    parts = urlsplit(location)
    host = parts.netloc
    if "@" in host:
        login, _, host = host.rpartition("@")
        host = f"{login.partition(':')[0]}:{HIDDEN}@{host}" if ":" in login else f"{login}@{host}"
    path = re.sub(rf"{re.escape(PATH)}[^/]{{20,}}", f"{PATH}{HIDDEN}", parts.path)
    return urlunsplit((parts.scheme, host, path, parts.query, parts.fragment))


def find_ticket(session: Session, *, token: str, now: datetime, lock: bool = False) -> FileTicket:
    """The ticket of a token that may still be used. Raises TicketUnknown, TicketOver."""
    query = select(FileTicket).where(FileTicket.token_hash == hash_token(token))
    ticket = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if ticket is None:
        raise TicketUnknown("There is no such file")
    if ticket.used_up_at is not None:
        raise TicketOver("This address has been used up; ask for a new one")
    if ticket.expires_at <= now:
        raise TicketOver("This address has expired; ask for a new one")
    return ticket


def use_up(
    session: Session, *, now: datetime, firmware_update_id: int | None = None, diagnostics_id: int | None = None
) -> None:
    """End the tickets of an update or of a diagnostics request."""
    if firmware_update_id is not None:
        of = FileTicket.firmware_update_id == firmware_update_id
    else:
        of = FileTicket.diagnostics_id == diagnostics_id
    session.execute(update(FileTicket).where(of, FileTicket.used_up_at.is_(None)).values(used_up_at=now))


def hide_address(session: Session, *, action_id: int) -> None:
    """Take the secret out of a command's row once the command is done with."""
    action = session.get(Action, action_id)
    if action is not None and action.request and "location" in action.request:
        action.request = {**action.request, "location": masked(str(action.request["location"]))}


def forget_tickets(session: Session, *, before: datetime) -> int:
    """Delete tickets that were used up, or expired, before then. Returns how many."""
    done = delete(FileTicket).where(or_(FileTicket.used_up_at < before, FileTicket.expires_at < before))
    return int(getattr(session.execute(done), "rowcount", 0))
