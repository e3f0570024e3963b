"""One PostgreSQL and one Redis per run, a database per worker copied from a migrated template.

The servers are the product's own embedded ones; nothing here is a stand-in.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy.orm import Session

from app.core import bootstrap, embedded, schema, settings
from app.core.config import Config, load
from app.core.db import db
from tests.browser.chromium import ARGUMENTS, deselect_without, executable

#: a busy machine is no defect of ours
hypothesis_settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("suite")

TEMPLATE = "sync_template"
#: rows every system has, by table: kept between tests
KEEP = {
    "certificate_authority": "true",
    "partner": "id = 1",
    "currency": "true",
    "vat_rate": "name = 'Standard'",
    "role": "built_in",
}


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def worker(request: pytest.FixtureRequest) -> str:
    """gw0, gw1 … or main."""
    return getattr(request.config, "workerinput", {}).get("workerid", "main")


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory, worker: str) -> Config:
    """The configuration of this run: a data directory shared by all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker == "main" else base.parent
    return load({"SYNC_DATA_DIR": str(shared / "servers"), "SYNC_DEMO": "0", "PORT": "8000"})


@pytest.fixture(scope="session")
def servers(config: Config) -> Iterator[embedded.Servers]:
    """The embedded servers, shared by the run's workers, with the migrated template database."""
    running = embedded.start(config)
    with _only_one(config.data_dir / "template.lock"):
        bootstrap.prepare(running.admin_database_url, config)
        with psycopg.connect(running.admin_database_url, autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TEMPLATE,)).fetchone():
                admin.execute("ALTER SYSTEM SET fsync = off")
                admin.execute("ALTER SYSTEM SET synchronous_commit = off")
                admin.execute("SELECT pg_reload_conf()")
                url = bootstrap.migration_url(running.admin_database_url, config)
                schema.upgrade(url)
                admin.execute(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE {bootstrap.DATABASE} OWNER sync_owner')
    yield running
    running.release()


@pytest.fixture(scope="session")
def admin_url(servers: embedded.Servers, worker: str) -> str:
    """A superuser's URL of this worker's own database."""
    name = f"sync_test_{worker}"
    with psycopg.connect(servers.admin_database_url, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}" OWNER sync_owner')
        admin.execute(f'GRANT CONNECT ON DATABASE "{name}" TO sync_app, sync_partner_login')
    return bootstrap.with_database(servers.admin_database_url, name)


@pytest.fixture(scope="session")
def database_url(admin_url: str, config: Config) -> str:
    """The URL the application connects with."""
    return bootstrap.with_login(admin_url, "sync_app", embedded.derived_password(config.secret_key, "sync_app"))


@pytest.fixture(scope="session")
def redis_url(servers: embedded.Servers, worker: str) -> str:
    """A Redis database of this worker's own."""
    number = 1 + int(worker.removeprefix("gw")) if worker.startswith("gw") else 0
    return f"{servers.redis_url}?db={number}"


@pytest.fixture(scope="session")
def app(config: Config, database_url: str, admin_url: str, redis_url: str) -> Iterator[Flask]:
    """The whole application, as wsgi.py composes it."""
    from app.factory import build
    from wsgi import compose

    flask_app = build(
        config,
        database_url=database_url,
        migration_url=admin_url,
        redis_url=redis_url,
        TESTING=True,
        WTF_CSRF_ENABLED=False,
        SERVER_NAME=None,
    )
    compose(flask_app)
    with flask_app.app_context(), db.session() as session:
        schema.seed_roles(session)
        session.commit()
    yield flask_app
    with flask_app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="session")
def cleaner(admin_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection that empties tables without asking triggers."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def empty_tables(connection: psycopg.Connection[Any]) -> None:
    """Delete what a test left, keeping what every system has."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
        "AND NOT relispartition AND relname <> 'alembic_version'"
    ).fetchall()
    for (table,) in tables:
        connection.execute(f'DELETE FROM "{table}" WHERE NOT ({KEEP.get(table, "false")})')


@pytest.fixture
def clean(app: Flask, cleaner: psycopg.Connection[Any]) -> Iterator[Flask]:
    """An empty system; whatever the test writes is gone after it."""
    settings.forget()
    yield app
    with app.app_context():
        db.session.remove()
    empty_tables(cleaner)
    app.extensions["sync_redis"].flushdb()
    settings.forget()


@pytest.fixture
def session(clean: Flask) -> Iterator[Session]:
    """A database session in an application context. The test commits what others shall see."""
    with clean.app_context():
        yield db.session()
        db.session.rollback()


@pytest.fixture
def client(clean: Flask) -> FlaskClient:
    """An HTTP client that is not signed in."""
    return clean.test_client()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's Chromium. Per module, because its event loop would be in the way of tests that run their own."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        yield started
        started.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a Chromium the rest of the tests still runs. Slow ones are not measured: coverage doubles their time,
    and shows nothing that quicker tests do not."""
    deselect_without(config, items)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the environment of whoever runs the tests out of them."""
    for name in ("DATABASE_URL", "REDIS_URL", "ROLE", "PORT", "SYNC_DATA_DIR", "SYNC_DEMO", "SECRET_KEY"):
        os.environ.pop(name, None)
