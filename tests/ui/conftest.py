"""The sample back office on a real PostgreSQL, and clients signed in as its admins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event, text

from app.core import bootstrap, embedded
from app.core.db import Base, sqlalchemy_url
from tests.ui import sample_app
from tests.ui.checked_client import CheckedClient


@pytest.fixture(scope="session")
def ui_database_url(servers: embedded.Servers, worker: str) -> str:
    """An empty database of this folder's own, on the run's PostgreSQL."""
    name = f"sync_ui_{worker}"
    with psycopg.connect(servers.admin_database_url, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
    return sqlalchemy_url(bootstrap.with_database(servers.admin_database_url, name))


@pytest.fixture(scope="session")
def sample(ui_database_url: str) -> Flask:
    """The sample application, its tables made."""
    app = sample_app.make_app(ui_database_url)
    app.test_client_class = CheckedClient
    with app.app_context():
        Base.metadata.create_all(sample_app.db.engine, tables=sample_app.PRODUCT_TABLES)
        sample_app.db.create_all()
    return app


@pytest.fixture(scope="session")
def written(sample: Flask) -> list[str]:
    """The statements that changed rows since they were seeded; a mark of its own while nothing is seeded."""
    found = ["not seeded"]

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            found.append(statement)

    with sample.app_context():
        event.listen(sample_app.db.engine, "before_cursor_execute", note)
    return found


@pytest.fixture
def screens(sample: Flask, written: list[str]) -> Iterator[Flask]:
    """The sample with its rows as seeded, whatever the test before did."""
    tables = [*sample_app.PRODUCT_TABLES, *sample_app.Own.metadata.sorted_tables]
    names = ", ".join(f'"{table.name}"' for table in tables)
    with sample.app_context():
        if written:
            sample_app.db.session.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
            sample_app.seed()
            written.clear()
        sample_app.db.session.remove()
    yield sample
    with sample.app_context():
        sample_app.db.session.remove()


def signed_in(app: Flask, email: str) -> CheckedClient:
    client = app.test_client()
    assert isinstance(client, CheckedClient)
    client.sign_in(email)
    return client


@pytest.fixture
def olga(screens: Flask) -> CheckedClient:
    """A Super User of the operator."""
    return signed_in(screens, "olga@example.com")


@pytest.fixture
def victor(screens: Flask) -> CheckedClient:
    """May look at everything and change nothing."""
    return signed_in(screens, "victor@example.com")


@pytest.fixture
def nora(screens: Flask) -> CheckedClient:
    """May see the dashboard only."""
    return signed_in(screens, "nora@example.com")


@pytest.fixture
def petra(screens: Flask) -> CheckedClient:
    """A Super User whose pages are narrowed to the rows of owner 2."""
    return signed_in(screens, "petra@example.com")


@pytest.fixture
def stranger(screens: Flask) -> CheckedClient:
    """Nobody signed in."""
    client = screens.test_client()
    assert isinstance(client, CheckedClient)
    return client
