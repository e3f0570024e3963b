"""The database before its first table: roles, the database itself, and who may do what.

Roles as in docs/adr/0003-database-roles.md. Idempotent; run by `flask db-upgrade` and at every start.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from app.core.config import Config, ConfigurationError
from app.core.embedded import derived_password

DATABASE = "sync_ev"
#: one bootstrap at a time in a cluster
_LOCK = 0x5359_4E43

ROLES = """
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sync_owner') THEN CREATE ROLE sync_owner NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sync_staff') THEN CREATE ROLE sync_staff NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sync_partner') THEN CREATE ROLE sync_partner NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sync_app') THEN
    CREATE ROLE sync_app LOGIN NOINHERIT; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sync_partner_login') THEN
    CREATE ROLE sync_partner_login LOGIN INHERIT; END IF;
END $$;
GRANT sync_staff TO sync_app;
GRANT sync_partner TO sync_partner_login WITH INHERIT TRUE, SET FALSE;
"""


def prepare(admin_url: str, config: Config) -> str:
    """Create roles and database where we may, and return the URL the application connects with.

    ``admin_url`` may be a superuser's: then it is used for this and for migrations only, and the application
    gets the login ``sync_app``. Any other login must already be a member of ``sync_staff``.
    Raises ConfigurationError when the database cannot be reached or its login lacks a role.
    """
    embedded = config.database_url is None
    target = migration_url(admin_url, config)
    ours = with_login(target, "sync_app", derived_password(config.secret_key, "sync_app"))
    try:
        if _works(ours):
            return ours
        with psycopg.connect(admin_url, autocommit=True, connect_timeout=10) as connection:
            if not _is_superuser(connection):
                _check_membership(connection)
                return admin_url
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            connection.execute(ROLES)
            for login in ("sync_app", "sync_partner_login"):
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                        sql.Identifier(login), sql.Literal(derived_password(config.secret_key, login))
                    )
                )
            if embedded:
                _create_database(connection)
        with psycopg.connect(target, autocommit=True, connect_timeout=10) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            _grant(connection)
    except psycopg.OperationalError as error:
        raise ConfigurationError(f"the database does not answer: {str(error).strip().splitlines()[-1]}") from None
    return ours


def partner_url(app_url: str, config: Config) -> str:
    """With which login partners' admins read: PARTNER_DATABASE_URL, or the one that ``prepare`` made."""
    login = "sync_partner_login"
    return config.partner_database_url or with_login(app_url, login, derived_password(config.secret_key, login))


def _works(url: str) -> bool:
    """Whether an earlier start has done all this already."""
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            connection.execute("SET ROLE sync_staff")
            return True
    except psycopg.Error:
        return False


def migration_url(admin_url: str, config: Config) -> str:
    """The URL of our database for the login that may become ``sync_owner``."""
    return with_database(admin_url, DATABASE) if config.database_url is None else admin_url


def with_database(url: str, name: str) -> str:
    """The same URL with another database."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def with_login(url: str, user: str, password: str) -> str:
    """The same URL with another user and password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password)}@{host}"))


def _is_superuser(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    return bool(row and row[0])


def _check_membership(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(
        "SELECT bool_or(pg_has_role(current_user, rolname, 'SET')) FROM pg_roles WHERE rolname = 'sync_staff'"
    ).fetchone()
    if not row or not row[0]:
        raise ConfigurationError(
            "this database login may not act as sync_staff: start once with a superuser's DATABASE_URL, "
            "or let an administrator run docs/operations/roles.sql"
        )


def _create_database(connection: psycopg.Connection[Any]) -> None:
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER sync_owner ENCODING 'UTF8' TEMPLATE template0").format(
                sql.Identifier(DATABASE)
            )
        )


def _grant(connection: psycopg.Connection[Any]) -> None:
    """Rights in this database: staff on all of the owner's tables; what partners may read, migrations say."""
    name = connection.info.dbname
    connection.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO sync_app, sync_partner_login").format(sql.Identifier(name))
    )
    connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    connection.execute("GRANT ALL ON SCHEMA public TO sync_owner")
    connection.execute("GRANT USAGE ON SCHEMA public TO sync_staff, sync_partner")
    for what, rights in (
        ("TABLES", "SELECT, INSERT, UPDATE, DELETE"),
        ("SEQUENCES", "USAGE, SELECT"),
        ("FUNCTIONS", "EXECUTE"),
    ):
        connection.execute(
            f"ALTER DEFAULT PRIVILEGES FOR ROLE sync_owner IN SCHEMA public GRANT {rights} ON {what} TO sync_staff"
        )
    connection.execute("ALTER DEFAULT PRIVILEGES FOR ROLE sync_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
