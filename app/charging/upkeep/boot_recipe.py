"""The defaults of Settings, "Charge point configuration defaults", brought to every charge point once.

A try begins some seconds after a boot (some firmware hangs on configuration sent right after it), or when the defaults
have changed: the configuration is read if it never was, then each default whose reported value differs is sent, one
after the other. What is done next follows from the database alone: the job begins tries and takes up those whose next
step was lost, outcomes take the others further. "Once" is by the digest of the defaults: what an operator changes at a
single station afterwards stays. A try that comes to nothing is repeated after the next boot, three times at most: a
station that reboots because of what it was sent must not be sent it for ever. stations.md, line 20.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import orjson
from sqlalchemy import ColumnElement, Exists, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, StationModel, SystemStatus
from app.charging.commands import CommandName, NotManaged, Outcome
from app.charging.models import ConfigurationKey, ConfigurationStatus
from app.charging.upkeep import configuration
from app.charging.upkeep.configuration_keys import InvalidChange, check_key, check_value, same_value, standard_key
from app.core import settings
from app.core.models import Action, ActionStatus
from app.core.settings import InvalidSetting

REASON = "Charge point configuration defaults"
REREAD_REASON = "To see what has changed with the reboot"
MAX_TRIES = 3
MAX_READS = 2
#: tries begun at one tick of the job, and running at once: ten thousand boots are worked off in minutes, not at once
BEGUN_AT_ONCE = 50
RUNNING_AT_ONCE = 200
DEFAULTS = "charge_point.configuration_defaults"
HEARTBEAT_KEY, SAMPLE_KEY = "HeartbeatInterval", "MeterValueSampleInterval"

_ANSWERED = (ActionStatus.ACCEPTED, ActionStatus.ANSWERED)
_STATE = ChargePointState


def parse_lines(text: str) -> dict[str, str]:
    """The keys and values of a text of ``key=value`` lines, checked when it was saved (``app.core.setting_kinds``)."""
    pairs = (line.partition("=") for line in text.splitlines() if line.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}


def check_lines(text: str) -> None:
    """Raise InvalidSetting, naming the line, for a default that no station can take."""
    for number, line in enumerate(text.splitlines(), start=1):
        for key, value in parse_lines(line).items():
            known = standard_key(key)
            if known is not None and known.read_only:
                raise InvalidSetting(f"line {number}: {known.name} can only be read, never changed")
            try:
                check_value(check_key(key), value)
            except InvalidChange as mistake:
                raise InvalidSetting(f"line {number}: {mistake}".rstrip(".")) from None


settings.CHECKS[DEFAULTS] = check_lines


def defaults(session: Session) -> dict[str, str]:
    """What every station shall have, by key."""
    return {
        HEARTBEAT_KEY: str(settings.get_int(session, "charge_point.heartbeat_interval_seconds")),
        SAMPLE_KEY: str(settings.get_int(session, "charge_point.meter_value_sample_interval_seconds")),
        **parse_lines(settings.get_text(session, DEFAULTS)),
    }


def digest(wanted: dict[str, str]) -> str:
    """What the defaults are told from former ones by; their order does not matter."""
    return hashlib.sha256(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)).hexdigest()


# --- the job


def due(session: Session, *, now: datetime) -> list[int]:
    """The charge points that ``tend`` has something to do for, those whose next step was lost first.

    None while the setting "Configure after boot" is off.
    """
    if not settings.get(session, "charge_point.configure_after_boot"):
        return []
    token = digest(defaults(session))
    lost = list(session.scalars(_left_lying().limit(RUNNING_AT_ONCE)))
    running = session.scalar(select(func.count()).where(_STATE.recipe_begun_at.is_not(None), _STATE.connected)) or 0
    room = min(BEGUN_AT_ONCE, RUNNING_AT_ONCE - running)
    if room <= 0:
        return lost
    begun = _to_begin(session, token=token, now=now).order_by(
        _STATE.booted_at.asc().nulls_last(), _STATE.charge_point_id
    )
    return lost + list(session.scalars(begun.limit(room)))


def tend(session: Session, *, charge_point_id: int, now: datetime) -> bool:
    """Begin a try at a charge point, or take up the one that was left lying; whether it was sent something.

    Nothing when it is not due any more, or another worker has it. Flushes. One station a transaction: its gateway
    writes the row that is locked here with many others.
    """
    wanted = defaults(session)
    token = digest(wanted)
    for query in (_left_lying(), _to_begin(session, token=token, now=now)):
        one = query.where(_STATE.charge_point_id == charge_point_id).with_only_columns(_STATE)
        locked = one.with_for_update(of=_STATE, key_share=True, skip_locked=True)
        state = session.scalars(locked.execution_options(populate_existing=True)).one_or_none()
        if state is not None:
            run = _step if state.recipe_begun_at else _begin
            return run(session, state, wanted, token, now)
    return False


def standing(session: Session, charge_point: ChargePoint, *, now: datetime) -> str:
    """How it stands with the defaults at a charge point, in a sentence for its page."""
    state = charge_point.state
    if not settings.get(session, "charge_point.configure_after_boot"):
        return "The configuration defaults are not sent: “Configure after boot” is off in Settings."
    if session.scalar(select(_model_is_off()).where(_STATE.charge_point_id == charge_point.id)):
        return f"The configuration defaults are not sent to {state.vendor} {state.model}: off in the Quirk Book."
    if state.recipe_begun_at is not None:
        return "The configuration defaults are being sent."
    if state.defaults_digest != digest(defaults(session)):
        delay_s = settings.get_int(session, "charge_point.configure_delay_seconds")
        return f"The configuration defaults will be sent while it is connected, {delay_s} seconds after a boot."
    if state.recipe_tries >= MAX_TRIES:
        return f"The configuration defaults could not be sent in {MAX_TRIES} tries; no more until they are changed."
    if state.recipe_tries:
        return "The configuration defaults could not all be sent; it is tried again after the next boot."
    return "The configuration defaults were sent; what was changed since stays as it is."


def _model_is_off() -> Exists:
    """Whether a station's model is switched off in the quirk book."""
    return exists().where(
        func.lower(StationModel.vendor) == func.lower(_STATE.vendor),
        func.lower(StationModel.model) == func.lower(_STATE.model),
        StationModel.configure_after_boot.is_(False),
    )


def _may_be_sent() -> ColumnElement[bool]:
    """Connected, ours, real, and of a model that bears it."""
    return and_(
        _STATE.connected,
        ChargePoint.managed_by_operator,
        ChargePoint.status != SystemStatus.DEMO,
        ~_model_is_off(),
    )


def _waits_for_reboot() -> ColumnElement[bool]:
    return exists().where(
        ConfigurationKey.charge_point_id == _STATE.charge_point_id,
        ConfigurationKey.status == ConfigurationStatus.REBOOT_REQUIRED,
        ConfigurationKey.changed_at < _STATE.booted_at,
    )


def _to_begin(session: Session, *, token: str, now: datetime) -> Select[tuple[int]]:
    """Stations with former defaults or none; with a try that failed before their last boot; with keys to read again."""
    settled_before = now - timedelta(seconds=settings.get_int(session, "charge_point.configure_delay_seconds"))
    booted_since = _STATE.booted_at.is_distinct_from(_STATE.tended_boot_at)
    why = or_(
        _STATE.defaults_digest.is_distinct_from(token),
        and_(booted_since, _STATE.recipe_tries.between(1, MAX_TRIES - 1)),
        and_(booted_since, _waits_for_reboot()),
    )
    return (
        select(_STATE.charge_point_id)
        .join(ChargePoint, ChargePoint.id == _STATE.charge_point_id)
        .where(
            _may_be_sent(),
            _STATE.recipe_begun_at.is_(None),
            func.coalesce(_STATE.booted_at <= settled_before, True),
            why,
        )
    )


def _left_lying() -> Select[tuple[int]]:
    """Running tries of connected stations that wait for nothing: the process that had the next step is gone."""
    waiting = exists().where(
        Action.charge_point_id == _STATE.charge_point_id,
        Action.status == ActionStatus.PENDING,
        Action.request.has_key("recipe"),
    )
    return (
        select(_STATE.charge_point_id)
        .join(ChargePoint, ChargePoint.id == _STATE.charge_point_id)
        .where(_may_be_sent(), _STATE.recipe_begun_at.is_not(None), ~waiting)
    )


def _begin(session: Session, state: ChargePointState, wanted: dict[str, str], token: str, now: datetime) -> bool:
    state.tended_boot_at = state.booted_at
    if state.defaults_digest == token and state.recipe_tries not in range(1, MAX_TRIES):
        # the defaults are there; only what the reboot was required for is looked at
        return _read(session, state, reason=REREAD_REASON, recipe=None, now=now)
    if state.defaults_digest != token:
        state.defaults_digest, state.recipe_tries = token, 0
    state.recipe_begun_at = now
    state.recipe_tries += 1
    return _step(session, state, wanted, token, now)


# --- one try


@configuration.next_step
def go_on(session: Session, outcome: Outcome) -> None:
    """Take a try further when one of its requests has its outcome."""
    if "recipe" not in outcome.request or outcome.late:
        return
    state = session.get(
        ChargePointState, outcome.charge_point_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if state is None or state.recipe_begun_at is None:
        return
    if not settings.get(session, "charge_point.configure_after_boot"):
        state.recipe_begun_at, state.recipe_tries = None, 0  # switched off meanwhile
        state.defaults_digest = None
        return
    if outcome.answer.status is ActionStatus.NOT_CONNECTED:
        return  # the job takes it up when the station is back
    wanted = defaults(session)
    _step(session, state, wanted, digest(wanted), outcome.now)


def _step(session: Session, state: ChargePointState, wanted: dict[str, str], token: str, now: datetime) -> bool:
    """The next request of a running try, or its end; whether something was asked. The state's row is locked."""
    if token != state.defaults_digest or state.booted_at != state.tended_boot_at:
        state.recipe_begun_at = None  # other defaults, or a boot in the middle of it: it is begun anew
        return False
    if session.scalar(_steps(state).where(Action.status == ActionStatus.PENDING).limit(1)) is not None:
        return False
    done = session.scalars(_steps(state).order_by(Action.id)).all()
    rows = _reported(session, state.charge_point_id)
    reads = [action for action in done if action.command == CommandName.GET_CONFIGURATION]
    if not any(row.reported_at for row in rows.values()) and not any(read.status in _ANSWERED for read in reads):
        if len(reads) >= MAX_READS:
            state.recipe_begun_at = None
            return False
        return _read(session, state, reason=REASON, recipe=token, now=now)
    changes = [action for action in done if action.command == CommandName.CHANGE_CONFIGURATION]
    if changes and changes[-1].status is ActionStatus.TIMED_OUT:
        state.recipe_begun_at = None  # it may hang: no more for now
        return False
    sent = {str((action.request or {}).get("key", "")).lower() for action in changes}
    for key, value in wanted.items():
        row = rows.get(key.lower())
        if key.lower() in sent or (row is not None and (row.readonly or same_value(row.value, value))):
            continue
        if _change(session, state, key, value, token, now):
            return True
    state.recipe_begun_at = None
    if all(action.status is not ActionStatus.NOT_CONNECTED for action in changes):
        state.recipe_tries = 0
    return False


def _steps(state: ChargePointState) -> Select[tuple[Action]]:
    return select(Action).where(
        Action.charge_point_id == state.charge_point_id,
        Action.created_at >= state.recipe_begun_at,
        Action.request["recipe"].astext == state.defaults_digest,
    )


def _reported(session: Session, charge_point_id: int) -> dict[str, ConfigurationKey]:
    query = select(ConfigurationKey).where(ConfigurationKey.charge_point_id == charge_point_id)
    return {row.key.lower(): row for row in session.scalars(query.execution_options(populate_existing=True))}


def _read(session: Session, state: ChargePointState, *, reason: str, recipe: str | None, now: datetime) -> bool:
    charge_point = session.get_one(ChargePoint, state.charge_point_id)
    try:
        configuration.read_configuration(
            session, charge_point=charge_point, reason=reason, actor=None, now=now, recipe=recipe
        )
    except NotManaged:  # since a moment
        state.recipe_begun_at = None
        return False
    return True


def _change(session: Session, state: ChargePointState, key: str, value: str, token: str, now: datetime) -> bool:
    charge_point = session.get_one(ChargePoint, state.charge_point_id)
    try:
        configuration.change_configuration(
            session, charge_point=charge_point, key=key, value=value, reason=REASON, actor=None, now=now, recipe=token
        )
    except (InvalidChange, NotManaged):  # a default no station can take is refused when it is saved
        return False
    return True
