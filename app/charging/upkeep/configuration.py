"""The configuration of charge points: read, kept as they report it, and changed key by key.

What a station reports and what was asked of it are kept apart: ``value`` is the station's word, ``wanted_value`` ours,
``status`` how the last change ended. The station's password is a key too; its value is never kept here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState
from app.charging import commands
from app.charging.commands import CommandName, FollowUp, NotManaged, Outcome, follow_up
from app.charging.models import ConfigurationKey, ConfigurationStatus
from app.charging.upkeep.configuration_keys import (
    check_key,
    check_value,
    is_authorization_key,
    same_value,
    standard_key,
)
from app.core.models import Action, ActionStatus, Admin

_MAX_KEYS = 2_000
_LONGEST_STORED_KEY = 255
_LONGEST_STORED_VALUE = 10_000


_BASES = {"all": "All keys", "configuration": "All that can be set", "summary": "Summary"}
ACTUAL = "actual"


# --- verbs


def read_configuration(
    session: Session,
    *,
    charge_point: ChargePoint,
    reason: str,
    actor: Admin | None,
    now: datetime,
    keys: Sequence[str] = (),
    base: str = "all",
    recipe: str | None = None,
) -> Action:
    """Ask the station for its keys, all of them unless some are named. Raises NotManaged and ReasonRequired.

    ``base``, of a station with a device model: all, configuration (what can be set) or summary (problems).
    ``recipe`` marks the request as a step of the boot recipe (``app.charging.upkeep.boot_recipe``).
    """
    return commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.GET_CONFIGURATION,
        request={
            "keys": list(keys),
            **({"base": base} if base != "all" else {}),
            **({"recipe": recipe} if recipe else {}),
        },
        info=", ".join(keys) or _BASES[base],
        reason=reason,
        actor=actor,
        now=now,
    )


def change_configuration(
    session: Session,
    *,
    charge_point: ChargePoint,
    key: str,
    value: str,
    reason: str,
    actor: Admin | None,
    now: datetime,
    attribute: str = ACTUAL,
    recipe: str | None = None,
) -> Action:
    """Ask the station to change a key; its row is pending until the outcome is known. Flushes.

    ``attribute``, of a station with a device model: actual, target, minimum or maximum. ``recipe`` as in
    ``read_configuration``. Raises InvalidChange (BadKey, BadValue, AuthorizationKeyRefused), NotManaged and
    ReasonRequired.
    """
    key = check_key(key)
    value = check_value(key, value)
    key = _spelt_by_station(session, charge_point.id, key)
    action = commands.request_command(
        session,
        charge_point=charge_point,
        name=CommandName.CHANGE_CONFIGURATION,
        request={
            "key": key,
            "value": value,
            **({"attribute": attribute} if attribute != ACTUAL else {}),
            **({"recipe": recipe} if recipe else {}),
        },
        info=f"{key} = {value}" if attribute == ACTUAL else f"{key}, {attribute} = {value}",
        reason=reason,
        actor=actor,
        now=now,
    )
    if attribute != ACTUAL:
        return action
    wanted = {
        "wanted_value": value,
        "status": ConfigurationStatus.PENDING,
        "changed_at": now,
        "action_id": action.id,
    }
    row = insert(ConfigurationKey).values(
        charge_point_id=charge_point.id, partner_id=charge_point.partner_id, key=key, **wanted
    )
    session.execute(row.on_conflict_do_update(index_elements=["charge_point_id", "key"], set_=wanted))
    return action


def _spelt_by_station(session: Session, charge_point_id: int, key: str) -> str:
    """The key as the station spells it, if it has reported it."""
    known = session.scalar(
        select(ConfigurationKey.key).where(
            ConfigurationKey.charge_point_id == charge_point_id,
            func.lower(ConfigurationKey.key) == key.lower(),
        )
    )
    return known or key


# --- what the station answers

_BY_RESULT = {
    "accepted": ConfigurationStatus.ACCEPTED,
    "reboot_required": ConfigurationStatus.REBOOT_REQUIRED,
    "not_supported": ConfigurationStatus.NOT_SUPPORTED,
    "rejected": ConfigurationStatus.REJECTED,
}


_NEXT_STEPS: list[FollowUp] = []


def next_step(function: FollowUp) -> FollowUp:
    """Have a function called after each outcome of a read or a change has been kept here (the boot recipe)."""
    _NEXT_STEPS.append(function)
    return function


def _go_on(session: Session, outcome: Outcome) -> None:
    session.flush()
    for function in _NEXT_STEPS:
        function(session, outcome)


def result_of(outcome: Outcome) -> ConfigurationStatus:
    """How a change ended, told apart as the table shows it."""
    answer = outcome.answer
    result = answer.facts.get("result")
    if result in _BY_RESULT:
        return _BY_RESULT[result]
    if answer.facts.get("not_supported"):
        return ConfigurationStatus.NOT_SUPPORTED
    return ConfigurationStatus.REJECTED if answer.status is ActionStatus.REJECTED else ConfigurationStatus.UNANSWERED


@follow_up(CommandName.CHANGE_CONFIGURATION)
def _follow_change(session: Session, outcome: Outcome) -> None:
    key = str(outcome.request.get("key", ""))
    status = result_of(outcome)
    changes: dict[str, Any] = {"status": status}
    if status is ConfigurationStatus.ACCEPTED:
        changes |= {"value": ConfigurationKey.wanted_value, "wanted_value": None}
    reported_at = session.execute(
        update(ConfigurationKey)
        .where(
            ConfigurationKey.charge_point_id == outcome.charge_point_id,
            ConfigurationKey.key == key,
            ConfigurationKey.action_id == outcome.action_id,
        )
        .values(changes)
        .returning(ConfigurationKey.reported_at)
    ).one_or_none()
    action = session.get_one(Action, outcome.action_id)
    if status is ConfigurationStatus.REBOOT_REQUIRED:
        action.info = f"{action.info}: {status.label.lower()}"
    by_hand = action.admin_id is not None
    if by_hand and status is ConfigurationStatus.ACCEPTED and reported_at is not None:
        _read_again(session, outcome, key)
    _go_on(session, outcome)


def _read_again(session: Session, outcome: Outcome, key: str) -> None:
    """After a change by hand the station is asked what it made of it: some round, some accept and do nothing."""
    charge_point = session.get_one(ChargePoint, outcome.charge_point_id)
    try:
        read_configuration(
            session,
            charge_point=charge_point,
            keys=[key],
            reason=f"To see what it made of the change of {key}",
            actor=None,
            now=outcome.now,
        )
    except NotManaged:
        return  # it was, when the change was asked for


@follow_up(CommandName.GET_CONFIGURATION)
def _follow_read(session: Session, outcome: Outcome) -> None:
    facts = outcome.answer.facts
    if "keys" in facts:
        report = Report(facts["keys"], facts["unknown"], whole=not outcome.request.get("keys"))
        keep_report(session, outcome.charge_point_id, outcome.partner_id, report, now=outcome.now)
    _go_on(session, outcome)


@dataclass(frozen=True, slots=True)
class Report:
    """What a station says of its configuration: ``keys`` as {key, value, readonly}, the names it does not know.

    ``whole``: these are all its keys.
    """

    keys: Sequence[Mapping[str, Any]]
    unknown: Sequence[str] = ()
    whole: bool = False


def status_after_report(status: ConfigurationStatus, *, as_wanted: bool, rebooted: bool) -> ConfigurationStatus:
    """What becomes of a key's status when the station reports it.

    A change that still waits for its answer, or for a reboot that has not come, goes on waiting; one that was refused
    stays refused until the value is what was wanted.
    """
    if status is ConfigurationStatus.PENDING or (status is ConfigurationStatus.REBOOT_REQUIRED and not rebooted):
        return status
    refused = (ConfigurationStatus.REJECTED, ConfigurationStatus.NOT_SUPPORTED, ConfigurationStatus.UNANSWERED)
    if status in refused and not as_wanted:
        return status
    return ConfigurationStatus.REPORTED


def keep_report(session: Session, charge_point_id: int, partner_id: int, report: Report, *, now: datetime) -> None:
    """Make the rows what the station reports. In a report of all keys, keys that are missing have gone. Flushes."""
    of_station = ConfigurationKey.charge_point_id == charge_point_id
    booted_at = session.scalar(
        select(ChargePointState.booted_at)
        .where(ChargePointState.charge_point_id == charge_point_id)
        .with_for_update(key_share=True)  # two answers of a station are kept one after the other
    )
    stored = {row.key.lower(): row for row in session.scalars(select(ConfigurationKey).where(of_station))}
    reported: set[str] = set()
    for entry in report.keys[:_MAX_KEYS]:
        name = str(entry["key"]).strip()[:_LONGEST_STORED_KEY]
        if not name or name.lower() in reported:
            continue
        reported.add(name.lower())
        row = _row(session, stored, charge_point_id, partner_id, name)
        value = entry.get("value")
        row.value = None if value is None or is_authorization_key(name) else str(value)[:_LONGEST_STORED_VALUE]
        row.readonly, row.reported_at = bool(entry.get("readonly")), now
        row.status = status_after_report(
            row.status,
            as_wanted=same_value(row.value, row.wanted_value),
            rebooted=bool(booted_at and row.changed_at and booted_at > row.changed_at),
        )
        if row.status is ConfigurationStatus.REPORTED and same_value(row.value, row.wanted_value):
            row.wanted_value = None
    for unknown in report.unknown[:_MAX_KEYS]:
        name = str(unknown).strip()[:_LONGEST_STORED_KEY]
        if name and name.lower() not in reported:
            row = _row(session, stored, charge_point_id, partner_id, name)
            row.value, row.reported_at, row.status = None, now, ConfigurationStatus.NOT_SUPPORTED
            reported.add(name.lower())
    session.flush()
    if report.whole:
        session.execute(
            delete(ConfigurationKey).where(
                of_station,
                func.lower(ConfigurationKey.key).not_in(reported),
                ConfigurationKey.reported_at.is_not(None),
                ConfigurationKey.status != ConfigurationStatus.PENDING,
            )
        )


def _row(
    session: Session, stored: dict[str, ConfigurationKey], charge_point_id: int, partner_id: int, name: str
) -> ConfigurationKey:
    row = stored.get(name.lower())
    if row is None:
        row = stored[name.lower()] = ConfigurationKey(
            charge_point_id=charge_point_id,
            partner_id=partner_id,
            key=name,
            status=ConfigurationStatus.REPORTED,
        )
        session.add(row)
    return row


# --- what is shown


@dataclass(frozen=True, slots=True)
class ConfigurationLine:
    """A key as the charge point's page shows it. ``help`` is empty for a station's own keys."""

    row: ConfigurationKey
    group: str
    help: str
    secret: bool

    @property
    def changeable(self) -> bool:
        """Whether a change is worth offering."""
        return not (self.row.readonly or self.secret)

    @property
    def asked(self) -> str | None:
        """The value that was asked for and is not the station's (yet)."""
        row = self.row
        return None if same_value(row.value, row.wanted_value) else row.wanted_value


def lines(session: Session, *, charge_point_id: int, search: str = "") -> list[ConfigurationLine]:
    """A station's keys in alphabetical order, those whose name, value or help contains ``search``. One query."""
    rows = session.scalars(select(ConfigurationKey).where(ConfigurationKey.charge_point_id == charge_point_id))
    wanted = search.strip().lower()
    found = []
    for row in rows:
        known = standard_key(row.key)
        line = ConfigurationLine(
            row, known.group if known else "", known.help if known else "", is_authorization_key(row.key)
        )
        if wanted in f"{row.key}\n{row.value or ''}\n{line.help}".lower():
            found.append(line)
    return sorted(found, key=lambda line: line.row.key.lower())


def last_read_at(session: Session, *, charge_point_id: int) -> datetime | None:
    """When a station last reported any key; None when it never has."""
    newest = select(func.max(ConfigurationKey.reported_at))
    return session.scalar(newest.where(ConfigurationKey.charge_point_id == charge_point_id))


def current_value(session: Session, *, charge_point_id: int, key: str) -> str | None:
    """What a station reports for a key; None when it has not, and for its password."""
    if is_authorization_key(key):
        return None
    return session.scalar(
        select(ConfigurationKey.value).where(
            ConfigurationKey.charge_point_id == charge_point_id, func.lower(ConfigurationKey.key) == key.lower()
        )
    )
