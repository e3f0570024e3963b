"""The schema's version: bring it to the newest, and fill what every system has."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.clock import utcnow
from app.core.db import OWNER_ROLE, plain_url
from app.core.models import Admin, Role
from app.core.partitions import create_partitions
from app.core.passwords import hash_password
from app.core.permissions import BUILT_IN_ROLES, PARTNER_ROLES

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_LOCK = 0x5359_4D47


def _alembic(url: str) -> AlembicConfig:
    config = AlembicConfig(str(MIGRATIONS / "alembic.ini"))
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def head() -> str | None:
    """The newest revision that the code knows."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def current(url: str) -> str | None:
    """The database's revision; None when it is empty."""
    with psycopg.connect(plain_url(url), autocommit=True, connect_timeout=10) as connection:
        found = connection.execute("SELECT to_regclass('public.alembic_version')").fetchone()
        if not found or found[0] is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def upgrade(url: str) -> bool:
    """Bring the schema to the newest revision; one process at a time. True when there was something to do.

    ``url`` must be a login that may become ``sync_owner``.
    """
    with psycopg.connect(plain_url(url), autocommit=True, connect_timeout=10) as lock:
        lock.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        behind = current(url) != head()
        if behind:
            command.upgrade(_alembic(url), "head")
        lock.execute(f"SET ROLE {OWNER_ROLE}")
        create_partitions(lock, now=utcnow())
        return behind


def seed_roles(session: Session) -> None:
    """Make the built-in roles and give them what today's code says they have."""
    stored = {role.name: role for role in session.scalars(select(Role))}
    for name, permissions in BUILT_IN_ROLES.items():
        names = sorted(permission.value for permission in permissions)
        role = stored.get(name)
        if role is None:
            session.add(Role(name=name, built_in=True, for_partner=name in PARTNER_ROLES, permission_names=names))
        elif role.permission_names != names:
            role.permission_names = names
    session.flush()


def seed_first_admin(session: Session, *, email: str, password: str) -> bool:
    """Make the first admin, a Super User, unless there is any admin. True when made. Raises WeakPassword."""
    if session.scalar(select(Admin.id).limit(1)) is not None:
        return False
    role = session.scalars(select(Role).where(Role.name == "Super User")).one()
    session.add(Admin(email=email, name="Master Admin", password_hash=hash_password(password), role=role))
    session.flush()
    return True
