"""The API for programs: commands to stations, and how stations and commands stand. docs/api.md.

Every answer is JSON, also every refusal: ``{"error": {"message": "…", "path": "payload.type"}}``. Whoever asks
brings an API token, which carries its admin's role; there is no session and so no CSRF token.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, NoReturn

import orjson
import redis
from flask import Blueprint, Flask, Response, abort, current_app, jsonify, request
from sqlalchemy.orm import selectinload

from app.assets.models import ChargePoint, Evse
from app.charging import queries, raw_commands
from app.charging.commands import NotManaged
from app.charging.raw_commands import InvalidCall
from app.charging.waiting import LOOK_S, outcome_of, wait_for_outcome
from app.core import api_tokens, languages, principal, settings
from app.core import redis as redis_clients
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import Action, ApiToken
from app.core.permissions import Permission
from app.factory import csrf

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")

LARGEST_BODY = 1024 * 1024
_FIELDS = frozenset({"action", "payload", "reason", "timeout"})
_WAITING = "sync_redis_waiting"
_MOST_WAITING = 256


def refuse(code: int, message: str, path: str | None = None, **headers: str) -> NoReturn:
    """End the request with an error that a program can read."""
    error = {"message": message} if path is None else {"message": message, "path": path}
    response = jsonify(error=error)
    response.status_code = code
    response.headers.update(headers)
    abort(response)


# --- who asks


def caller(permission: Permission) -> ApiToken:
    """The token of this request, if its admin holds the permission; 401 or 403 otherwise."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        refuse(401, "Send your API token: Authorization: Bearer sync_…", **{"WWW-Authenticate": "Bearer"})
    now = utcnow()
    token = api_tokens.holder(db.session(), key.strip(), now=now)
    if token is None:
        refuse(
            401,
            "The API token is unknown, revoked or expired, or its admin is disabled.",
            **{"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    api_tokens.note_use(db.session(), token=token, now=now)
    db.session.commit()
    partner_id = token.admin.partner_id
    if partner_id is not None:
        db.session.refresh(token)  # it is used after the session that loaded it
        principal.bind(principal.Principal(partner_id))
    if permission not in token.admin.permissions:
        refuse(403, f"The role of the token's admin does not include {permission.value}.")
    return token


def count_command(token: ApiToken) -> None:
    """429 beyond Settings > API > Commands per token and minute. Without Redis nothing can be sent, or counted."""
    allowed = settings.get_int(db.session(), "api.commands_per_minute")
    now_s = int(time.time())
    key = f"sync:api:{token.id}:{now_s // 60}"
    try:
        pipeline = redis_clients.client().pipeline(transaction=False)
        pipeline.incr(key)
        pipeline.expire(key, 120)
        used = int(pipeline.execute()[0])
    except redis.exceptions.RedisError:
        return
    if used > allowed:
        message = f"This token may send {allowed} commands a minute. Try again in a moment."
        refuse(429, message, **{"Retry-After": str(60 - now_s % 60)})


# --- what is asked


def body() -> dict[str, Any]:
    """The request's JSON object, its fields known and of the right type; 415, 413 or 400 with the path otherwise."""
    if request.mimetype != "application/json":
        refuse(415, "Send JSON: Content-Type: application/json")
    raw = request.get_data(cache=False)
    if len(raw) > LARGEST_BODY:
        refuse(413, f"A command has at most {LARGEST_BODY // 1024} KB.")
    try:
        given = orjson.loads(raw)
    except orjson.JSONDecodeError as fault:
        refuse(400, f"This is not JSON: {fault}", "")
    if not isinstance(given, dict):
        refuse(400, "A JSON object is expected.", "")
    nul = path_of_nul(given)
    if nul is not None:
        refuse(400, "NUL characters cannot be kept.", nul)
    for name in given:
        if name not in _FIELDS:
            refuse(400, "There is no such field; there are action, payload, reason, timeout.", name[:80])
    return given


def path_of_nul(value: Any, path: str = "") -> str | None:
    """Where in a JSON value a NUL stands, which PostgreSQL refuses to store; None when nowhere."""
    if isinstance(value, str):
        return path if "\x00" in value else None
    if isinstance(value, dict):
        for key, item in value.items():
            if "\x00" in key:
                return path
            found = path_of_nul(item, f"{path}.{key}" if path else key)
            if found is not None:
                return found
    if isinstance(value, list):
        for index, item in enumerate(value):
            found = path_of_nul(item, f"{path}[{index}]")
            if found is not None:
                return found
    return None


def text_field(given: dict[str, Any], name: str, longest: int) -> str:
    """A text that must be there."""
    value = given.get(name)
    if not isinstance(value, str) or not value.strip():
        refuse(400, f"{name} is required: a text.", name)
    if len(value) > longest:
        refuse(400, f"{name} has at most {longest} characters.", name)
    return value.strip()


def timeout_field(given: dict[str, Any]) -> int:
    """How long to wait for the station, in seconds."""
    value = given.get("timeout")
    if value is None:
        return settings.get_int(db.session(), "charge_point.command_timeout_seconds")
    if isinstance(value, bool) or not isinstance(value, int) or value not in raw_commands.TIMEOUTS_S:
        refuse(400, "timeout is a whole number of seconds from 1 to 300.", "timeout")
    return value


def station_of(identifier: str, token: ApiToken) -> ChargePoint:
    """The charge point, within the rows of the token's admin; 404 otherwise."""
    found = raw_commands.find_station(db.session(), identifier, admin=token.admin)
    if found is None:
        refuse(404, f"There is no charge point with the ID “{identifier[:255]}”.")
    return found


# --- the addresses


@blueprint.post("/charge-points/<identifier>/commands", strict_slashes=False)
def send_command(identifier: str) -> Response:
    """Send any call that the station's protocol knows, and wait for what comes of it."""
    token = caller(Permission.CHARGE_POINT_RAW_COMMAND)
    count_command(token)
    station_of(identifier, token)
    given = body()
    timeout_s = timeout_field(given)
    with principal.on_behalf():
        action_id = request_call(station_of(identifier, token), given, token, timeout_s=timeout_s)
    # nothing of the database is held while the station thinks
    db.session.remove()
    outcome = wait_for_outcome(current_app.extensions[_WAITING], action_id=action_id, timeout_s=timeout_s)
    return jsonify(outcome.as_json())


def request_call(station: ChargePoint, given: dict[str, Any], token: ApiToken, *, timeout_s: int) -> int:
    """Write the call down, to be sent once that is committed; the number of its action. 400 or 409 otherwise."""
    session = db.session()
    try:
        action = raw_commands.request_call(
            session,
            charge_point=station,
            action=text_field(given, "action", 60),
            payload=given.get("payload", {}),
            reason=text_field(given, "reason", raw_commands.LONGEST_REASON),
            actor=token.admin,
            secret_key=current_app.config["SECRET_KEY"],
            now=utcnow(),
            timeout_s=timeout_s,
            via=f"via API token {token.name}",
        )
    except InvalidCall as fault:
        session.rollback()
        refuse(400, fault.mistake.message, fault.mistake.path)
    except NotManaged as refusal:
        session.rollback()
        refuse(409, f"{refusal}.")
    action_id = action.id
    session.commit()
    return action_id


@blueprint.get("/charge-points/<identifier>", strict_slashes=False)
def charge_point(identifier: str) -> Response:
    """How a station and its EVSEs stand."""
    token = caller(Permission.CHARGE_POINT_VIEW)
    found = station_of(identifier, token)
    station = db.session.get_one(
        ChargePoint, found.id, options=(selectinload(ChargePoint.evses).joinedload(Evse.state),), populate_existing=True
    )
    state = station.state
    return jsonify(
        charge_point_id=station.identifier,
        name=station.name,
        system_status=station.status.value,
        managed_by_operator=station.managed_by_operator,
        connection=state.connection.value,
        connected=state.connected,
        last_seen_at=_moment(state.last_seen_at),
        protocol=raw_commands.protocol_of(station),
        hardware_status=queries.station_hardware(state.status, [evse.state.status for evse in station.evses]).value,
        vendor=state.vendor,
        model=state.model,
        serial_number=state.serial_number,
        firmware_version=state.firmware_version,
        evses=[
            {
                "evse_id": evse.code,
                "network_id": evse.network_id,
                "type": evse.type.value,
                "system_status": evse.status.value,
                "shown_status": queries.shown_evse(station, evse).status.value,
                "last_reported": evse.state.status.value,
                "error_code": evse.state.error_code,
            }
            for evse in station.evses
        ],
    )


@blueprint.get("/actions/<int:action_id>", strict_slashes=False)
def action(action_id: int) -> Response:
    """How an action stands, also one that was not sent by this API."""
    token = caller(Permission.ACTION_VIEW)
    found = db.session.get(Action, action_id) if action_id < 2**63 else None
    partner_id = token.admin.partner_id
    if found is None or (partner_id is not None and found.partner_id != partner_id):
        refuse(404, f"There is no action {action_id}.")
    return jsonify(
        outcome_of(found).as_json()
        | {
            "name": found.name,
            "info": found.info,
            "done_to": found.target_label,
            "reason": found.reason,
            "initiated_by": found.initiated_by,
            "created_at": _moment(found.created_at),
            "sent_at": _moment(found.sent_at),
            "finished_at": _moment(found.finished_at),
        }
    )


@blueprint.get("/app-settings", strict_slashes=False)
def app_settings() -> Any:
    """What the EV driver's app is set to: Settings > App Settings."""
    caller(Permission.SETTING_VIEW)
    session = db.session()
    return jsonify(
        default_language=languages.default(session),
        languages=list(languages.enabled(session)),
        map={
            "cable_only": settings.get(session, "app.cable_only"),
            "free_only": settings.get(session, "app.free_only"),
            "group_pins": settings.get(session, "app.group_pins"),
            "latitude": float(settings.get(session, "map.default_latitude")),
            "longitude": float(settings.get(session, "map.default_longitude")),
        },
    )


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def init_app(app: Flask) -> None:
    """Serve the API."""
    csrf.exempt(blueprint)
    app.extensions[_WAITING] = redis_clients.connect(
        app.config["REDIS_URL"], socket_timeout_s=LOOK_S + 5, max_connections=_MOST_WAITING
    )
    app.register_blueprint(blueprint)
