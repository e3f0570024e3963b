"""Runs migrations as sync_owner, with a lock time-out: a migration waits a moment, it never stops the house."""

from alembic import context
from sqlalchemy import create_engine, text

import app.models  # noqa: F401 (every table)
from app.core.db import OWNER_ROLE, Base, sqlalchemy_url
from app.core.partitions import TABLES
from app.core.types import UTCDateTime

PARTITIONED = tuple(f"{table}_2" for table in TABLES)


def include_object(_object, name, type_, _reflected, _compare_to):
    """Leave partitions alone: they come and go by the clock, not by migration."""
    return not (type_ == "table" and name.startswith(PARTITIONED))


def render_item(type_, item, autogen_context):
    """Write our column types by their database type, so that old migrations need no new code."""
    if type_ == "type" and isinstance(item, UTCDateTime):
        return "sa.TIMESTAMP(timezone=True)"
    return False


def configure(connection):
    """The options shared by upgrades, autogenerate and the test that compares models with the schema."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=False,
        include_object=include_object,
        render_item=render_item,
    )


def run() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        configure(given)
        with context.begin_transaction():
            context.run_migrations()
        return
    url = context.config.attributes.get("url")
    if url is None:
        from flask import current_app

        url = current_app.config["MIGRATION_DATABASE_URL"]
    engine = create_engine(sqlalchemy_url(url))
    with engine.connect() as connection:
        connection.execute(text(f"SET ROLE {OWNER_ROLE}"))
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
        configure(connection)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
