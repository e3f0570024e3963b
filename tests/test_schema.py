"""The migrated schema is what the models say, and holds what must always hold."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from app.core.db import Base, sqlalchemy_url
from app.core.partitions import TABLES

PARTITION = tuple(f"{table}_2" for table in TABLES)


def test_autogenerate_finds_nothing(app: Flask, admin_url: str) -> None:
    engine = create_engine(sqlalchemy_url(admin_url))

    def include(_object, name, type_, _reflected, _compare_to):
        return not (type_ == "table" and name.startswith(PARTITION))

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": include})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_application_works_as_staff_and_owns_nothing(session: Session) -> None:
    role = session.execute(text("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")).one()
    assert role == ("sync_staff", False)
    owners = session.execute(text("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")).scalars()
    assert set(owners) == {"sync_owner"}


@pytest.mark.parametrize("table", ["ledger_entry", "audit_entry"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_is_written_stays_written(session: Session, table: str, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        session.execute(text(statement.format(table)))
