"""`/healthz` the process lives, `/readyz` database and Redis answer, `/metrics` Prometheus text."""

from __future__ import annotations

import redis as redis_library
from flask import Blueprint, Flask, Response, jsonify
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core import redis as redis_clients
from app.core.db import db

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """200 while the process lives."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def readyz() -> ResponseReturnValue:
    """200 when database and Redis answer, else 503 naming the one that does not."""
    checks = {"database": _database(), "redis": _redis()}
    ready = all(checks.values())
    body = {
        "status": "ready" if ready else "not ready",
        **{k: "ok" if v else "down" for k, v in checks.items()},
    }
    return jsonify(body), 200 if ready else 503


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """This process's metrics."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)


def _database() -> bool:
    try:
        db.session.execute(text("SELECT 1"))
        return True
    except SQLAlchemyError:
        return False
    finally:
        db.session.rollback()


def _redis() -> bool:
    try:
        return bool(redis_clients.client().ping())
    except redis_library.exceptions.RedisError:
        return False


def init_app(app: Flask) -> None:
    """Serve the three."""
    app.register_blueprint(blueprint)
