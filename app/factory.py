"""Builds the Flask application: configuration, database, Redis, security headers, health, commands of `app/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect
from htmx_flask import Htmx

import app.models  # noqa: F401 (mappers name one another)
from app.billing import top_up_answers  # noqa: F401 (it makes itself known)
from app.billing.payments import stripe_processor, test_processor  # noqa: F401 (they make themselves known)
from app.charging import listeners
from app.core import bootstrap, db, events, health, logs
from app.core import redis as redis_clients
from app.core.config import Config
from app.core.proxies import Forwarded, TrustedProxies

ROOT = Path(__file__).resolve().parents[1]
csrf = CSRFProtect()
htmx = Htmx()

MAX_UPLOAD_BYTES = 16 * 1024 * 1024


def build(config: Config, *, database_url: str, migration_url: str, redis_url: str, **overrides: Any) -> Flask:
    """The application without screens: `wsgi.compose` adds those."""
    flask_app = Flask("sync_ev", root_path=str(ROOT), template_folder="templates", static_folder="static")
    flask_app.config.update(
        SECRET_KEY=config.secret_key,
        SYNC=config,
        SQLALCHEMY_DATABASE_URI=db.sqlalchemy_url(database_url),
        DATABASE_URL=database_url,
        MIGRATION_DATABASE_URL=migration_url,
        PARTNER_DATABASE_URL=bootstrap.partner_url(database_url, config),
        REDIS_URL=redis_url,
        DB_POOL_SIZE=10,
        MAX_CONTENT_LENGTH=MAX_UPLOAD_BYTES,
        MAX_FORM_MEMORY_SIZE=2 * 1024 * 1024,
        SESSION_COOKIE_NAME="sync_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.secure_cookies,
        PERMANENT_SESSION_LIFETIME=12 * 3600,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
    )
    flask_app.config.update(overrides)
    logs.configure()
    db.init_app(flask_app)
    client = redis_clients.connect(redis_url)
    flask_app.extensions["sync_redis"] = client
    events.init(client)
    csrf.init_app(flask_app)
    htmx.init_app(flask_app)
    health.init_app(flask_app)
    listeners.init_app(flask_app)
    _commands(flask_app)
    flask_app.wsgi_app = Forwarded(flask_app.wsgi_app, TrustedProxies(config.trusted_proxies))  # type: ignore[method-assign]
    return flask_app


def _commands(flask_app: Flask) -> None:
    from app import commands

    commands.register(flask_app)
