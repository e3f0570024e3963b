"""The database: declarative base with named constraints, the engine's roles and time-outs.

The application connects as ``sync_app`` and works as ``sync_staff``; tables belong to ``sync_owner``,
which alone may change them (see docs/adr/0003-database-roles.md). For a partner's admin it connects as
``sync_partner_login``, whose transactions are armed with the partner they are for (docs/adr/0017-confinement.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, cast

import psycopg
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine, MetaData, event, text
from sqlalchemy.orm import DeclarativeBase, Session

from app.core import principal
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


class PrincipalSession(FlaskSession):
    """A session whose engine is that of whoever the request is bound to."""

    def get_bind(self, mapper: Any = None, clause: Any = None, bind: Any = None, **more: Any) -> Any:
        """The partners' engine for a partner's admin, ours for everybody else."""
        if bind is None and principal.current().is_confined:
            return db.engines[PARTNER_BIND]
        return super().get_bind(mapper=mapper, clause=clause, bind=bind, **more)


db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": PrincipalSession})

#: the key of the partners' engine
PARTNER_BIND = "partner"
STAFF_ROLE = "sync_staff"
OWNER_ROLE = "sync_owner"

#: A statement that a screen waits for may take this long; jobs and exports set their own.
STATEMENT_TIMEOUT_MS = 30_000


def session() -> Session:
    """The request's (or command's) session, typed."""
    return db.session()


def init_app(app: Flask) -> None:
    """Bind the engines to the application and give each connection its role."""
    pool = {
        "pool_size": app.config["DB_POOL_SIZE"],
        "max_overflow": app.config["DB_POOL_SIZE"],
        "pool_timeout": 20,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
    }
    app.config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", {**pool, "connect_args": {"connect_timeout": 5}})
    app.config.setdefault(
        "SQLALCHEMY_BINDS",
        {
            PARTNER_BIND: {
                **pool,
                "url": sqlalchemy_url(app.config["PARTNER_DATABASE_URL"]),
                "connect_args": {
                    "connect_timeout": 5,
                    # a plan that was made for a small partner takes minutes for a large one
                    "prepare_threshold": None,
                    "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
                },
            }
        },
    )
    db.init_app(app)
    principal.init_app(app)
    principal.before_change(db.session.remove)
    with app.app_context():
        event.listen(db.engine, "connect", _on_connect)
        event.listen(db.engine, "begin", _say_on_behalf)
        event.listen(db.engines[PARTNER_BIND], "begin", _arm)
        event.listen(db.engines[PARTNER_BIND], "before_cursor_execute", _check_armed)


class NotConfined(RuntimeError):
    """A partners' connection is used for somebody it was not armed for."""


_ARM = "SELECT set_config('app.partner_id', %s, true)"


def _arm(connection: Connection) -> None:
    """Tell the transaction which partner it is for; without, it sees no row."""
    who = principal.current()
    if not who.is_confined:
        raise NotConfined("the partners' engine is for requests of partners' admins only")
    connection.info["principal"] = who
    connection.exec_driver_sql(_ARM, (str(who.partner_id),))


def _check_armed(connection: Connection, *_statement: Any) -> None:
    if connection.info.get("principal") != principal.current():
        raise NotConfined("this connection was armed for somebody else")


def _say_on_behalf(connection: Connection) -> None:
    """What staff's rights are used for on behalf of a partner cannot write another one's rows."""
    who = principal.current()
    if who.on_behalf:
        connection.exec_driver_sql(_ARM, (str(who.partner_id),))


def engine() -> Engine:
    """The engine of whoever the request is bound to."""
    return db.engines[PARTNER_BIND] if principal.current().is_confined else db.engine


@contextmanager
def system_session() -> Iterator[Session]:
    """The product's own reading while it serves anybody: settings, which are nobody's rows. Never a record's."""
    with Session(db.engine) as own:
        yield own


@contextmanager
def copy_connection() -> Iterator[psycopg.Connection[Any]]:
    """A psycopg connection in a transaction of its own, as whoever the request is bound to: for COPY … TO STDOUT."""
    with engine().connect() as connection, connection.begin():
        yield cast("psycopg.Connection[Any]", connection.connection.driver_connection)


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
    with Session(engine()) as own:
        yield own
        own.commit()
