"""A partner's admin sees and writes its own rows only, whatever SQL reaches the database. docs/adr/0017."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, Evse
from app.charging.models import ChargingSession
from app.core import principal
from app.core.db import (
    PARTNER_BIND,
    NotConfined,
    copy_connection,
    db,
    engine,
    separate_transaction,
)
from app.core.models import AuditEntry, Setting
from app.core.principal import STAFF, NoPrincipal, Principal
from app.crm.models import User
from tests.support.partners import Host, acting_as, make_host

#: tables whose every row partners may read, and why
OPEN_TABLES = {
    "an_generation": "in which time zone days are counted",
    "an_day": "which days there are, and how long each is",
    "charge_point_notice": "texts that stations show to everybody",
    "currency": "how amounts are written",
    "location_image": "pictures that drivers see",
    "role": "what an admin's own role is called and includes",
    "station_model": "what models are called and can do",
    "tag": "the words EVSEs are marked with",
    "vat_rate": "how prices are made up",
}
DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture
def hosts(session: Session) -> tuple[Host, Host]:
    """Two partners, each with everything."""
    return make_host(session, "Lidl Bulgaria"), make_host(session, "Kaufland")


@pytest.fixture
def partners_login(clean: Flask) -> Iterator[psycopg.Connection[Any]]:
    """A connection with the partners' own login, that nobody has armed."""
    with clean.app_context():
        url = db.engines[PARTNER_BIND].url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        yield connection


# --- the schema says it


def readable_by_partners(cleaner: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Tables of which partners may do anything at all, with their kind and how they are secured."""
    return cleaner.execute(
        """
        SELECT c.relname, c.relkind, c.relispartition, c.relrowsecurity AND c.relforcerowsecurity,
          EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND 'sync_partner'::regrole = ANY (p.polroles)),
          coalesce('security_invoker=true' = ANY (c.reloptions), false)
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND (has_table_privilege('sync_partner_login', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
               OR has_any_column_privilege('sync_partner_login', c.oid, 'SELECT, INSERT, UPDATE'))
        """
    ).fetchall()


def test_every_table_that_partners_may_touch_is_secured_or_says_why(clean: Flask, cleaner: Any) -> None:
    """Catches a grant without a policy, a policy without FORCE, a view or partition that goes around them."""
    open_ones = set()
    for name, kind, partition, forced, policy, invoker in readable_by_partners(cleaner):
        assert not partition, f"{name}: a partition has no policy of its parent"
        assert kind in ("r", "p") or (kind == "v" and invoker), name
        if name in OPEN_TABLES:
            open_ones.add(name)
        else:
            assert forced, name
            assert policy, name
    assert open_ones == set(OPEN_TABLES), "the list says more than there is"


def test_partners_may_write_their_own_preferences_and_nothing_else(clean: Flask, cleaner: Any) -> None:
    """What else they change is done on their behalf."""
    written = cleaner.execute(
        """
        SELECT table_name, column_name, privilege_type FROM information_schema.column_privileges
        WHERE grantee = 'sync_partner' AND privilege_type <> 'SELECT'
        """
    ).fetchall()
    assert written == [("admin", "preferences", "UPDATE")]


def test_no_role_of_ours_is_above_the_policies(clean: Flask, cleaner: Any) -> None:
    """SUPERUSER and BYPASSRLS see everything; whoever could become staff, too."""
    above = cleaner.execute(
        r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'sync\_%' AND (rolsuper OR rolbypassrls)"
    ).fetchall()
    assert above == []
    may_become = cleaner.execute(
        r"SELECT rolname FROM pg_roles WHERE rolname LIKE 'sync\_%' AND rolname <> 'sync_partner_login' "
        "AND pg_has_role('sync_partner_login', oid, 'SET')"
    ).fetchall()
    assert may_become == []


def test_functions_partners_may_call_are_few_and_run_as_they(clean: Flask, cleaner: Any) -> None:
    """A SECURITY DEFINER function would run as the owner."""
    callable_ = cleaner.execute(
        """
        SELECT proname, prosecdef FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('sync_partner_login', oid, 'EXECUTE')
        """
    ).fetchall()
    assert not [name for name, definer in callable_ if definer]
    assert ("current_partner", False) in callable_


def test_every_policy_has_its_counterparts(clean: Flask, cleaner: Any) -> None:
    """A secured table without a policy for staff would be empty for staff, and for its owner's migrations."""
    missing = cleaner.execute(
        """
        SELECT c.relname FROM pg_class c WHERE c.relrowsecurity AND c.relnamespace = 'public'::regnamespace AND NOT (
          EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND 'sync_staff'::regrole = ANY (p.polroles)) AND
          EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND 'sync_owner'::regrole = ANY (p.polroles)))
        """
    ).fetchall()
    assert missing == []


# --- hand-written SQL


def test_nothing_is_seen_by_a_connection_that_nobody_armed(
    hosts: tuple[Host, Host], partners_login: psycopg.Connection[Any], cleaner: Any
) -> None:
    """Fails closed: no partner named, no row."""
    for name, *_ in readable_by_partners(cleaner):
        if name in OPEN_TABLES:
            continue
        try:
            with partners_login.transaction():
                found = partners_login.execute(f'SELECT count(*) FROM "{name}"').fetchone()
        except DENIED:
            continue  # single columns only
        assert found == (0,), name


OWN_COUNTS = (
    "SELECT count(*) FROM charge_point",
    "SELECT count(*) FROM charging_session",
    "SELECT count(*) FROM evse e JOIN charge_point c ON c.id = e.charge_point_id",
    "SELECT count(*) FROM location",
    "SELECT count(*) FROM charging_zone",
    "SELECT count(*) FROM partner",
    "WITH s AS (SELECT * FROM charging_session) SELECT count(*) FROM s",
    "SELECT count(*) FROM (TABLE charge_point_state) AS s",
)


@pytest.mark.parametrize("statement", OWN_COUNTS)
def test_sql_as_text_counts_own_rows(hosts: tuple[Host, Host], clean: Flask, statement: str) -> None:
    """text() goes past the ORM and every loader criterion."""
    for host in hosts:
        with acting_as(clean, host.partner_id) as session:
            assert session.scalar(text(statement)) == 1
    with acting_as(clean, None) as session:
        assert session.scalar(text(statement)) >= 2


def test_every_way_of_loading_finds_own_rows_only(hosts: tuple[Host, Host], clean: Flask) -> None:
    """session.get, Core, refresh, lazy loads, bulk update and delete: each leaked in a study of loader criteria."""
    mine, others = hosts
    with acting_as(clean, mine.partner_id) as session:
        assert session.get(ChargePoint, others.charge_point_id) is None
        assert session.scalars(select(ChargingSession.id)).all() == [mine.session_id]
        assert session.execute(select(Evse.__table__.c.id)).scalars().all() == [mine.evse_id]
        station = session.get_one(ChargePoint, mine.charge_point_id)
        session.refresh(station)
        assert [evse.id for evse in station.evses] == [mine.evse_id]
        assert session.scalar(select(func.count()).select_from(User)) == 0, "drivers are not partners' business"
        assert session.get_one(ChargingSession, mine.session_id).user is None


@pytest.mark.parametrize(
    "statement",
    [
        update(ChargePoint).values(name="Mine now"),
        update(ChargingSession).values(total_gross=0),
        delete(ChargingSession),
        insert(Setting).values(key="system.company_name", value="Mine"),
        text("UPDATE charge_point SET partner_id = 1"),
        text("UPDATE admin SET role_id = 1"),
        text("UPDATE admin SET partner_id = NULL"),
        text("SELECT value FROM setting"),
        text("SELECT * FROM certificate_authority"),
        text("SET ROLE sync_staff"),
        text("SET ROLE sync_owner"),
        text("TRUNCATE charge_point CASCADE"),
        text("COPY (SELECT 1) TO PROGRAM 'true'"),
        text("CREATE TABLE mine (id int)"),
        text("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ],
    ids=lambda statement: str(statement)[:40],
)
def test_what_partners_may_not_do_is_refused(hosts: tuple[Host, Host], clean: Flask, statement: Any) -> None:
    """By the database, whatever a page allows."""
    with acting_as(clean, hosts[0].partner_id) as session, pytest.raises(DBAPIError) as refused:
        session.execute(statement)
    assert isinstance(refused.value.orig, DENIED)


def test_naming_another_partner_takes_a_statement_of_our_own(hosts: tuple[Host, Host], clean: Flask) -> None:
    """The partner is set for one transaction: the next one is armed anew, whatever was left on the connection."""
    mine, others = hosts
    with acting_as(clean, mine.partner_id) as session:
        session.execute(text("SELECT set_config('app.partner_id', :other, false)"), {"other": str(others.partner_id)})
        session.rollback()
        assert session.scalars(select(ChargePoint.id)).all() == [mine.charge_point_id]


def copied(connection: psycopg.Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    """What a COPY sends."""
    with connection.cursor().copy(statement.encode()) as copy:
        return list(copy.rows())


def test_copy_streams_own_rows(hosts: tuple[Host, Host], clean: Flask) -> None:
    """Exports pass the ORM."""
    for host in hosts:
        with acting_as(clean, host.partner_id), copy_connection() as own:
            assert copied(own, "COPY (SELECT id FROM charging_session) TO STDOUT") == [(str(host.session_id),)]


# --- on behalf


def test_on_behalf_writes_own_rows_and_no_others(hosts: tuple[Host, Host], clean: Flask) -> None:
    """Staff's rights for a partner: the database still refuses foreign rows, new ones and changed ones."""
    mine, others = hosts
    with acting_as(clean, mine.partner_id, on_behalf=True) as session:
        changed = session.execute(update(ChargePoint).values(name="Renamed").returning(ChargePoint.id)).scalars().all()
        assert changed == [mine.charge_point_id]
        assert session.execute(delete(ChargingSession).returning(ChargingSession.id)).scalars().all() == [
            mine.session_id
        ]
    with acting_as(clean, mine.partner_id, on_behalf=True) as session, pytest.raises(DBAPIError, match="row-level"):
        session.execute(text("UPDATE charge_point SET partner_id = :other"), {"other": others.partner_id})


def test_what_is_done_on_behalf_is_audited_as_the_partners(hosts: tuple[Host, Host], clean: Flask) -> None:
    """And the other partner does not see it."""
    entry = {"admin_label": "x", "event": "change", "object_type": "admin", "object_id": "1", "object_label": "x"}
    with acting_as(clean, hosts[0].partner_id, on_behalf=True) as session:
        session.add(AuditEntry(**entry, before={}, after={}))
        session.commit()
    seen = []
    for host in hosts:
        with acting_as(clean, host.partner_id) as session:
            seen.append(session.scalar(select(func.count()).select_from(AuditEntry)))
    assert seen == [1, 0]


# --- arming


def test_a_request_that_nobody_is_bound_to_asks_nothing(clean: Flask) -> None:
    """Fails closed instead of as staff."""
    with clean.test_request_context(), pytest.raises(NoPrincipal):
        db.session.execute(text("SELECT 1"))


def test_binding_another_principal_forgets_what_was_loaded(hosts: tuple[Host, Host], clean: Flask) -> None:
    """The identity map would hand out a foreign row without asking the database."""
    with clean.test_request_context():
        principal.bind(STAFF)
        assert db.session.get(ChargePoint, hosts[1].charge_point_id) is not None
        principal.bind(Principal(hosts[0].partner_id))
        assert db.session.get(ChargePoint, hosts[1].charge_point_id) is None


def test_a_connection_serves_whom_it_was_armed_for(hosts: tuple[Host, Host], clean: Flask) -> None:
    """A connection that is held while another is bound must not answer the other."""
    with clean.test_request_context():
        principal.bind(Principal(hosts[0].partner_id))
        with engine().connect() as connection:
            connection.execute(text("SELECT 1"))
            principal.bind(Principal(hosts[1].partner_id))
            with pytest.raises(NotConfined):
                connection.execute(text("SELECT count(*) FROM charge_point"))


def test_the_partners_engine_is_not_for_the_product_itself(clean: Flask) -> None:
    """Threads and jobs inherit nobody: outside a request they are the product, which has its own engine."""
    caught: list[type[BaseException]] = []

    def work() -> None:
        with clean.app_context():
            try:
                db.engines[PARTNER_BIND].connect().begin()
            except NotConfined as error:
                caught.append(type(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught == [NotConfined]


def test_separate_transactions_are_the_principals_too(hosts: tuple[Host, Host], clean: Flask) -> None:
    """Screens that commit beside the request must not be a way around."""
    with acting_as(clean, hosts[0].partner_id), separate_transaction() as own:
        assert own.scalars(select(ChargePoint.id)).all() == [hosts[0].charge_point_id]
