"""Any call that a station's protocol knows, as a program or an operator words it. product.md, "commands to stations".

What a protocol knows is no business of this floor: whoever speaks it registers a ``Dictionary`` (wsgi.compose).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from flask import current_app
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from app.assets.models import ChargePoint
from app.charging import commands
from app.charging.commands import CommandName
from app.charging.security import passwords as station_security
from app.charging.security.sealing import seal
from app.core.models import Action, Admin

EXTENSION = "sync_dictionary"
LONGEST_REASON = 400
TIMEOUTS_S = range(1, 301)
ACTION_NAME = commands.TITLES[CommandName.RAW]


@dataclass(frozen=True)
class Mistake:
    """What is wrong with a call, and where: ``payload.csChargingProfiles.stackLevel``."""

    message: str
    path: str


class InvalidCall(ValueError):
    """The call cannot be sent like this; ``mistake`` says why."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake
        super().__init__(f"{mistake.path}: {mistake.message}" if mistake.path else mistake.message)


class Dictionary(Protocol):
    """What the protocols know that we may say to a station."""

    def actions(self, protocol: str) -> Sequence[str]:
        """The calls a central system may send, by name."""

    def skeleton(self, protocol: str, action: str) -> dict[str, Any]:
        """A payload with the fields that must be there, to begin with."""

    def mistake(self, protocol: str, action: str, payload: object) -> Mistake | None:
        """The first thing wrong with a call, its path beginning with ``action`` or ``payload``; None when right."""

    def secret_path(self, action: str, payload: dict[str, Any]) -> tuple[str | int, ...] | None:
        """Where in the payload a password stands, if one does."""


def dictionary() -> Dictionary:
    """The application's."""
    return cast(Dictionary, current_app.extensions[EXTENSION])


def find_station(session: Session, identifier: str, *, admin: Admin | None) -> ChargePoint | None:
    """The charge point of an identifier, regardless of case, within the rows of whoever asks (None: a shell, all)."""
    if "\x00" in identifier:
        return None
    query = (
        select(ChargePoint)
        .where(func.lower(ChargePoint.identifier) == identifier.lower())
        .options(joinedload(ChargePoint.state))
    )
    if admin is not None and admin.partner_id is not None:
        query = query.where(ChargePoint.partner_id == admin.partner_id)
    return session.scalars(query).one_or_none()


def protocol_of(charge_point: ChargePoint) -> str:
    """What the station speaks now; while it is away, what it is set to."""
    state = charge_point.state
    return (state.protocol if state.connected else None) or charge_point.protocol.value


def check_call(charge_point: ChargePoint, *, action: str, payload: object) -> None:
    """Raise InvalidCall unless this may be sent to the station. Whether it is connected does not matter."""
    found = dictionary().mistake(protocol_of(charge_point), action, payload)
    if found is not None:
        raise InvalidCall(found)


def request_call(
    session: Session,
    *,
    charge_point: ChargePoint,
    action: str,
    payload: dict[str, Any],
    reason: str,
    actor: Admin | None,
    secret_key: str,
    now: datetime,
    timeout_s: int | None = None,
    via: str | None = None,
) -> Action:
    """Write a call as a pending command; it is sent at the commit. Flushes. ``via`` says how it came, for the log.

    Raises InvalidCall, ReasonRequired; NotManaged with a sentence, also for a Demo charge point.
    """
    commands.check_reachable(charge_point)
    check_call(charge_point, action=action, payload=payload)
    request: dict[str, Any] = {"action": action, "payload": payload}
    secret = dictionary().secret_path(action, payload)
    if secret is not None:
        _expect(session, charge_point, payload, secret, secret_key)
        request = seal(request, "payload", *secret, secret_key=secret_key)
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.RAW,
        request=request,
        info=f"{action}, {via}" if via else action,
        reason=reason,
        actor=actor,
        now=now,
        timeout_s=timeout_s,
    )


def _expect(
    session: Session, charge_point: ChargePoint, payload: dict[str, Any], path: tuple[str | int, ...], secret_key: str
) -> None:
    """The station must not be locked out with the password it is about to be given."""
    commands.check_reachable(charge_point)
    value: Any = payload
    for step in path:
        value = value[step]
    try:
        station_security.expect_password(session, charge_point=charge_point, text=str(value), secret_key=secret_key)
    except station_security.ChangeUnderWay as error:
        raise InvalidCall(Mistake(str(error), ".".join(("payload", *map(str, path))))) from None


def transfer_data(
    session: Session,
    *,
    charge_point: ChargePoint,
    vendor: str,
    message: str | None,
    data: str | None,
    reason: str,
    actor: Admin | None,
    now: datetime,
) -> Action:
    """Send what a vendor has defined beyond the protocol (OCPP 1.6, 5.6 "Data Transfer"). Flushes.

    Raises NotManaged, ReasonRequired.
    """
    request = {"vendor": vendor, "message": message or None, "data": data or None}
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.DATA_TRANSFER,
        request=request,
        info=f"{vendor}: {message}" if message else vendor,
        reason=reason,
        actor=actor,
        now=now,
    )
