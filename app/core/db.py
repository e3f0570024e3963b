"""The database: declarative base with named constraints, the engine's roles and time-outs.

The application connects as ``sync_app`` and works as ``sync_staff``; tables belong to ``sync_owner``,
which alone may change them (see docs/adr/0003-database-roles.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData, event, text
from sqlalchemy.orm import DeclarativeBase, Session

from app.core.types import UTCDateTime

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """What every model derives from. Constraint names are derived, so that migrations can drop them."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UTCDateTime()}


db = SQLAlchemy(metadata=Base.metadata)

STAFF_ROLE = "sync_staff"
OWNER_ROLE = "sync_owner"

#: A statement that a screen waits for may take this long; jobs and exports set their own.
STATEMENT_TIMEOUT_MS = 30_000


def session() -> Session:
    """The request's (or command's) session, typed."""
    return db.session()


def init_app(app: Flask) -> None:
    """Bind the engine to the application and give each connection its role."""
    app.config.setdefault(
        "SQLALCHEMY_ENGINE_OPTIONS",
        {
            "pool_size": app.config["DB_POOL_SIZE"],
            "max_overflow": app.config["DB_POOL_SIZE"],
            "pool_timeout": 20,
            "pool_pre_ping": True,
            "pool_recycle": 1800,
            "connect_args": {"connect_timeout": 5},
        },
    )
    db.init_app(app)
    with app.app_context():
        event.listen(db.engine, "connect", _on_connect)


def _on_connect(connection: Any, _record: Any) -> None:
    prepare_connection(connection)


def prepare_connection(connection: psycopg.Connection[Any]) -> None:
    """Work as staff, with a statement time-out. Once per physical connection: it costs messages nothing."""
    autocommit = connection.autocommit
    connection.autocommit = True
    connection.execute(f"SET ROLE {STAFF_ROLE}")
    connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
    connection.execute("SET timezone = 'UTC'")
    connection.autocommit = autocommit


def connect_raw(url: str) -> psycopg.Connection[Any]:
    """A plain psycopg connection as staff, for COPY and the gateway's writer. ``url`` as in DATABASE_URL."""
    connection = psycopg.connect(plain_url(url), connect_timeout=5)
    prepare_connection(connection)
    return connection


def allow_minutes(session: Session, minutes: int) -> None:
    """Let the statements of this transaction take longer than a screen would wait: exports, imports."""
    session.execute(text(f"SET LOCAL statement_timeout = '{int(minutes)}min'"))


def plain_url(url: str) -> str:
    """The libpq form of a SQLAlchemy URL (without ``+psycopg``)."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


def sqlalchemy_url(url: str) -> str:
    """The SQLAlchemy form of any PostgreSQL URL (``postgres://`` and ``postgresql://`` alike)."""
    for prefix in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    raise ValueError("DATABASE_URL must begin with postgresql://; only PostgreSQL is supported")


@contextmanager
def transaction() -> Iterator[Session]:
    """Commit on success, roll back on any error. For transports: commands, jobs, the gateway's dispatch."""
    current = db.session()
    try:
        yield current
        current.commit()
    except BaseException:
        current.rollback()
        raise
    finally:
        db.session.remove()


@contextmanager
def separate_transaction() -> Iterator[Session]:
    """As ``transaction``, with a session and connection of its own: whatever the request has loaded stays as it is.

    For screens that commit, wait for somebody outside, and then show what came of it: ``transaction`` would end the
    request's session, and with it who is signed in. Whoever holds row locks commits first, or waits for itself.
    """
    with Session(db.engine) as own:
        yield own
        own.commit()
