"""What guards the conversation with a station: its password, changed without losing it, and the events it reports.

OCPP 1.6 security whitepaper, edition 2: 2.2 and A01 (password), A04 (security events). Certificates have a module of
their own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import psycopg
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint
from app.assets.verbs import announce_changed
from app.charging import commands
from app.charging.commands import CommandName, Outcome, follow_up
from app.charging.security.sealing import opened, seal
from app.charging.station import CHANGED
from app.core import events, vault
from app.core.audit import record_change
from app.core.group_commit import GroupCommit, Kind
from app.core.models import Action, ActionStatus, Admin
from app.core.passwords import hash_station_password

#: a key is 16 to 20 bytes, written as hexadecimal digits (whitepaper, AuthorizationKey)
MIN_KEY_DIGITS, MAX_KEY_DIGITS = 32, 40
_KEY = re.compile(r"(?:[0-9A-Fa-f]{2})+")

#: how a password may be sent: by us, or by a program that words the call itself
_COMMANDS = (CommandName.CHANGE_PASSWORD.value, CommandName.RAW.value)

EVENT_REPORTED = "charge_point.security_event"


class InvalidKey(ValueError):
    """A new network password is 32 to 40 hexadecimal digits."""


class ChangeUnderWay(ValueError):
    """A change of the password has not come to its end; the message says what to do."""


# ---------------------------------------------------------------------- the network password


def check_key(typed: str) -> str:
    """A typed key without the blanks around it. Raises InvalidKey."""
    key = typed.strip()
    if not _KEY.fullmatch(key) or not MIN_KEY_DIGITS <= len(key) <= MAX_KEY_DIGITS:
        raise InvalidKey(
            f"Enter {MIN_KEY_DIGITS} to {MAX_KEY_DIGITS} hexadecimal digits (0-9, a-f), an even number of them."
        )
    return key


def change_network_password(
    session: Session,
    *,
    charge_point: ChargePoint,
    key: str | None,
    reason: str,
    actor: Admin,
    secret_key: str,
    now: datetime,
) -> Action:
    """Give the station a new password. Flushes.

    ``key`` None: one is drawn. Until the station has come with the new one, it is let in with either. A change that
    nobody knows the outcome of is tried again with the same password: three could not be told apart any more.
    Raises InvalidKey, ChangeUnderWay, NotManaged, ReasonRequired.
    """
    row = session.get_one(ChargePoint, charge_point.id, with_for_update={"key_share": True}, populate_existing=True)
    if _changes(session, row.id, ActionStatus.PENDING):
        raise ChangeUnderWay("The station is being sent a new password; wait for its answer.")
    again = None
    if row.next_password_hash is not None:
        again = _unsettled_key(session, row, secret_key)
    else:  # settled by hand, in the form
        _forget_keys(session, row.id)
    if again is not None and key is not None:
        raise ChangeUnderWay(
            "The station has not shown yet whether it took the last new password. Leave the field empty to send that "
            "one again, or enter the password it has in its form."
        )
    new = again or (check_key(key) if key is not None else secrets.token_hex(MAX_KEY_DIGITS // 2))
    action = commands.request_command(
        session,
        charge_point=row,
        name=CommandName.CHANGE_PASSWORD,
        request=seal({"value": new}, "value", secret_key=secret_key),
        info="The last new password, again" if again else None,
        reason=reason,
        actor=actor,
        now=now,
    )
    if again is None:
        _set_next(session, row.id, hash_station_password(bytes.fromhex(new), secret_key))
        session.expire(row, ["next_password_hash"])
    announce_changed(session, row)
    return action


def expect_password(session: Session, *, charge_point: ChargePoint, text: str, secret_key: str) -> None:
    """A program is about to send the station a password of its own choice: it is let in with that one too. Flushes.

    Raises ChangeUnderWay while it is not known which of two the station has.
    """
    row = session.get_one(ChargePoint, charge_point.id, with_for_update={"key_share": True}, populate_existing=True)
    if row.next_password_hash is not None:
        raise ChangeUnderWay("Another new password is on its way to the station; it has not connected with it yet.")
    _forget_keys(session, row.id)
    password = bytes.fromhex(text) if _KEY.fullmatch(text) else text.encode()
    _set_next(session, row.id, hash_station_password(password, secret_key))
    session.expire(row, ["next_password_hash"])
    announce_changed(session, row)


def confirm_new_password(session: Session, *, charge_point_id: int, password_hash: str, now: datetime) -> bool:
    """The station has come with its new password: from now on that is the password, and the old one is forgotten.

    False when it was settled meanwhile.
    """
    row = session.execute(
        update(ChargePoint.__table__)  # type: ignore[arg-type]
        .where(
            ChargePoint.__table__.c.id == charge_point_id, ChargePoint.__table__.c.next_password_hash == password_hash
        )
        .values(password_hash=password_hash, next_password_hash=None, password_changed_at=now)
        .returning(ChargePoint.__table__.c.partner_id, ChargePoint.__table__.c.name)
    ).one_or_none()
    if row is None:
        return False
    _forget_keys(session, charge_point_id)
    record_change(
        session,
        actor=None,
        event="change",
        object_type=ChargePoint.__tablename__,
        object_id=charge_point_id,
        label=row.name,
        before={"password_hash": "the old one"},
        after={"password_hash": "the new one, which the station has come with"},
    )
    events.announce(session, CHANGED, partner_id=row.partner_id, charge_point_id=charge_point_id)
    return True


@follow_up(CommandName.CHANGE_PASSWORD, CommandName.RAW)
def _follow_change(session: Session, outcome: Outcome) -> None:
    """A no, or one who was never asked, keeps the old password. Whoever may have the new one is let in with either."""
    if "sealed" not in outcome.request:
        return  # a raw call without a password
    status = outcome.answer.status
    perhaps = status in (ActionStatus.ACCEPTED, ActionStatus.TIMED_OUT) or outcome.answer.facts.get("perhaps_received")
    if perhaps:
        return
    if _changes(session, outcome.charge_point_id, but=outcome.action_id):
        _forget_keys(session, outcome.charge_point_id, action_id=outcome.action_id)
        return  # an earlier attempt with this password may have reached it
    _forget_keys(session, outcome.charge_point_id)
    _set_next(session, outcome.charge_point_id, None)
    events.announce(session, CHANGED, partner_id=outcome.partner_id, charge_point_id=outcome.charge_point_id)


def last_change(session: Session, *, charge_point_id: int) -> Action | None:
    """The last change of the password that was asked for."""
    query = select(Action).where(
        Action.charge_point_id == charge_point_id, Action.command == CommandName.CHANGE_PASSWORD.value
    )
    return session.scalars(query.order_by(Action.id.desc()).limit(1)).one_or_none()


def _changes(
    session: Session, charge_point_id: int, status: ActionStatus | None = None, *, but: int | None = None
) -> list[Action]:
    """Attempts whose key is still kept, because it is not known whether the station has it; the newest first."""
    query = select(Action).where(
        Action.charge_point_id == charge_point_id,
        Action.command.in_(_COMMANDS),
        Action.request["sealed"].is_not(None),
    )
    if status is not None:
        query = query.where(Action.status == status)
    if but is not None:
        query = query.where(Action.id != but)
    return list(session.scalars(query.order_by(Action.id.desc())))


def _unsettled_key(session: Session, row: ChargePoint, secret_key: str) -> str | None:
    """The password on its way; None when it can be known no more, and a new one has to do."""
    attempts = _changes(session, row.id)
    if not attempts:
        return None
    try:
        request = opened(attempts[0].request or {}, secret_key=secret_key)
        return str(request.get("payload", request)["value"])
    except vault.VaultLocked:
        return None


def _set_next(session: Session, charge_point_id: int, password_hash: str | None) -> None:
    # past the ORM: this is no change that an open form of this charge point could overwrite
    table = ChargePoint.__table__
    session.execute(
        update(table).where(table.c.id == charge_point_id).values(next_password_hash=password_hash)  # type: ignore[arg-type]
    )


def _forget_keys(session: Session, charge_point_id: int, *, action_id: int | None = None) -> None:
    """Nobody needs the locked keys of these attempts any more."""
    session.execute(
        text(
            "UPDATE action SET request = request - 'sealed' WHERE charge_point_id = :charge_point_id "
            "AND command = ANY(:commands) AND jsonb_exists(request, 'sealed') "
            "AND id = coalesce(:action_id, id)"
        ),
        {"charge_point_id": charge_point_id, "commands": list(_COMMANDS), "action_id": action_id},
    )


# ---------------------------------------------------------------------- security events

#: what each type of the whitepaper's list means, in words
EVENT_WORDS = {
    "FirmwareUpdated": "Firmware updated",
    "FailedToAuthenticateAtCentralSystem": "The station was refused at sign-in",
    "CentralSystemFailedToAuthenticate": "The station could not verify the server",
    "SettingSystemTime": "Clock set",
    "StartupOfTheDevice": "Station started",
    "ResetOrReboot": "Reset or reboot",
    "SecurityLogWasCleared": "Security log cleared",
    "ReconfigurationOfSecurityParameters": "Security parameters changed",
    "MemoryExhaustion": "Memory exhausted",
    "InvalidMessages": "Invalid messages received",
    "AttemptedReplayAttacks": "Attempted replay attack",
    "TamperDetectionActivated": "Tamper detection activated",
    "InvalidFirmwareSignature": "Invalid firmware signature",
    "InvalidFirmwareSigningCertificate": "Invalid firmware signing certificate",
    "InvalidCentralSystemCertificate": "Invalid server certificate",
    "InvalidChargePointCertificate": "Invalid charge point certificate",
    "InvalidTLSVersion": "TLS version too old",
    "InvalidTLSCipherSuite": "TLS cipher suite not allowed",
}
#: ordinary life of a station. All others of the list hint at an attack or a defect and want somebody's eyes. (The
#: whitepaper's own column "critical" says something else: which events have to be sent at all.)
ORDINARY = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "ReconfigurationOfSecurityParameters",
    }
)
CRITICAL = frozenset(EVENT_WORDS) - ORDINARY


@dataclass(frozen=True, slots=True)
class SecurityReport:
    """An event as a station reports it."""

    charge_point_id: int
    partner_id: int
    received_at: datetime
    happened_at: datetime
    type: str
    info: str | None


_EVENTS = """
INSERT INTO security_event (received_at, partner_id, charge_point_id, happened_at, type, info)
SELECT received_at, partner_id, charge_point_id, happened_at, type, info FROM json_to_recordset(%s::json) AS
  g(received_at timestamptz, partner_id bigint, charge_point_id bigint, happened_at timestamptz, type text, info text)
"""


def _write_events(cursor: psycopg.Cursor[Any], items: Sequence[SecurityReport]) -> None:
    cursor.execute(_EVENTS, (orjson.dumps(items).decode(),))


EVENTS: Kind[SecurityReport] = Kind("security_event", _write_events, pipelined=True)


def record_event(writer: GroupCommit, report: SecurityReport) -> None:
    """Keep a security event. Returns when it is on disk."""
    writer.write(EVENTS, report)
    news = {"name": EVENT_REPORTED, "partner_id": report.partner_id, "charge_point_id": report.charge_point_id}
    events.publish_soon(news)
