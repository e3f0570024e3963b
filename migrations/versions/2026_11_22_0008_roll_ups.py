"""roll-ups for the dashboard and the reports

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import confinement

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MEASURES = (
    "sessions", "failed", "energy_wh", "duration_s", "charging_s", "idle_s", "billed", "gross", "net", "vat",
    "refunded_gross", "refunds", "peak_w",
)  # fmt: skip
#: what a partner's dashboard and reports read: rows of its own sessions
CONFINED = ("an_evse_day", "an_evse_month", "an_tot_day", "an_dirty")
#: nobody's: which days there are
OPEN = ("an_generation", "an_day")
MARKED = ("inserted", "updated", "deleted")

#: a session belongs to the moment it ended, a failed one to that of its beginning
_AT = "CASE {0}.status WHEN 'finished' THEN {0}.stopped_at ELSE {0}.created_at END"
_COUNTED = "{0}.status IN ('finished', 'failed')"
#: everything the measures are made of; readings of a running session change none of it
_MADE_OF = (
    "{0}.status, {0}.partner_id, {0}.evse_id, {0}.currency, {0}.created_at, {0}.started_at, {0}.stopped_at, "
    "{0}.charging_ended_at, {0}.energy_wh, {0}.max_power_w, {0}.payment_status, {0}.total_gross, {0}.total_net, "
    "{0}.total_vat, 'demo' = ANY({0}.flags)"
)
_ONE_SIDE = f"""
  INSERT INTO an_dirty (partner_id, evse_id, at)
  SELECT DISTINCT c.partner_id, c.evse_id, {_AT.format("c")} FROM changed c WHERE {_COUNTED.format("c")};
"""
_BOTH_SIDES = f"""
  INSERT INTO an_dirty (partner_id, evse_id, at)
  SELECT DISTINCT k.partner_id, k.evse_id, k.at FROM before o JOIN after n ON n.id = o.id
  CROSS JOIN LATERAL (VALUES
    (o.partner_id, o.evse_id, {_AT.format("o")}, {_COUNTED.format("o")}),
    (n.partner_id, n.evse_id, {_AT.format("n")}, {_COUNTED.format("n")})
  ) AS k(partner_id, evse_id, at, counted)
  WHERE k.counted AND ({_MADE_OF.format("o")}) IS DISTINCT FROM ({_MADE_OF.format("n")});
"""
#: by the session's number too: when the mark is worked off, the session may be another day's
_OF_TRANSACTIONS = f"""
  INSERT INTO an_dirty (partner_id, evse_id, at, session_id)
  SELECT DISTINCT s.partner_id, s.evse_id, coalesce({_AT.format("s")}, s.created_at), s.id
  FROM {{rows}} JOIN charging_session s ON s.id = t.session_id WHERE {{which}};
"""
_TRANSACTIONS = {
    "inserted": _OF_TRANSACTIONS.format(rows="changed t", which="t.type = 'refund'"),
    "deleted": _OF_TRANSACTIONS.format(rows="changed t", which="t.type = 'refund'"),
    "updated": _OF_TRANSACTIONS.format(
        rows="before o JOIN after n ON n.id = o.id CROSS JOIN LATERAL (VALUES (o.session_id, o.type), "
        "(n.session_id, n.type)) AS t(session_id, type)",
        which="t.type = 'refund' AND (o.type, o.status, o.amount, o.currency, o.session_id) IS DISTINCT FROM "
        "(n.type, n.status, n.amount, n.currency, n.session_id)",
    ),
}
#: what an EVSE is counted under: its kind and its country; by whose change, which EVSEs
_MOVED = {
    "evse": "after n JOIN before o ON o.id = n.id JOIN evse e ON e.id = n.id "
    "WHERE n.type IS DISTINCT FROM o.type OR n.charge_point_id IS DISTINCT FROM o.charge_point_id",
    "charge_point": "after n JOIN before o ON o.id = n.id JOIN evse e ON e.charge_point_id = n.id "
    "WHERE n.zone_id IS DISTINCT FROM o.zone_id",
    "charging_zone": "after n JOIN before o ON o.id = n.id JOIN charge_point p ON p.zone_id = n.id "
    "JOIN evse e ON e.charge_point_id = p.id WHERE n.location_id IS DISTINCT FROM o.location_id",
    "location": "after n JOIN before o ON o.id = n.id JOIN charging_zone z ON z.location_id = n.id "
    "JOIN charge_point p ON p.zone_id = z.id JOIN evse e ON e.charge_point_id = p.id "
    "WHERE n.country IS DISTINCT FROM o.country",
}


def _function(name: str, body: str) -> str:
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$\nBEGIN"
        f"{body}  RETURN NULL;\nEND $$"
    )


_TABLES = {
    "inserted": ("INSERT", "NEW TABLE AS changed"),
    "updated": ("UPDATE", "OLD TABLE AS before NEW TABLE AS after"),
    "deleted": ("DELETE", "OLD TABLE AS changed"),
}


def _mark(table: str, name: str, how: str, body: str) -> None:
    event, tables = _TABLES[how]
    op.execute(_function(name, body))
    op.execute(
        f'CREATE TRIGGER {name} AFTER {event} ON "{table}" REFERENCING {tables} '
        f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


def _measures() -> list[sa.Column]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in MEASURES]


def _generation(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["generation"], ["an_generation.id"], name=op.f(f"fk_{table}_generation_an_generation")
    )


def _create_tables() -> None:
    op.create_table(
        "an_generation",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "building",
                "current",
                "retired",
                name="an_generation_status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("built_until", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("current_since", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retired_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_an_generation")),
    )
    op.create_index(
        "uq_an_generation_status",
        "an_generation",
        ["status"],
        unique=True,
        postgresql_where=sa.text("status IN ('building', 'current')"),
    )
    op.create_table(
        "an_day",
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("t0", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("t1", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.CheckConstraint("t0 <= t1 AND seconds >= 0", name=op.f("ck_an_day_runs_forward")),
        _generation("an_day"),
        sa.PrimaryKeyConstraint("generation", "day", name=op.f("pk_an_day")),
    )
    for table, period in (("an_evse_day", "day"), ("an_evse_month", "month")):
        op.create_table(
            table,
            sa.Column("generation", sa.BigInteger(), nullable=False),
            sa.Column(period, sa.Date(), nullable=False),
            sa.Column("evse_id", sa.BigInteger(), nullable=False),
            sa.Column("partner_id", sa.BigInteger(), nullable=False),
            sa.Column("currency", sa.String(length=3), nullable=False),
            *_measures(),
            _generation(table),
            sa.PrimaryKeyConstraint(
                "generation", period, "evse_id", "partner_id", "currency", name=op.f(f"pk_{table}")
            ),
        )
        op.create_index(f"ix_{table}_partner_id", table, ["generation", "partner_id", period])
        op.create_index(f"ix_{table}_evse_id", table, ["generation", "evse_id", period])
    op.create_table(
        "an_tot_day",
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("country", sa.String(length=2), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        *_measures(),
        _generation("an_tot_day"),
        sa.PrimaryKeyConstraint(
            "generation", "day", "partner_id", "country", "kind", "currency", name=op.f("pk_an_tot_day")
        ),
    )
    op.create_index("ix_an_tot_day_partner_id", "an_tot_day", ["generation", "partner_id", "day"])
    op.create_table(
        "an_dirty",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("evse_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("evse_id IS NOT NULL OR at IS NOT NULL", name=op.f("ck_an_dirty_says_what")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_an_dirty")),
    )
    op.create_index("ix_an_dirty_at", "an_dirty", ["at"])
    op.create_table(
        "an_check",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("days", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("differences", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "examples",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_an_check")),
    )


def upgrade() -> None:
    _create_tables()
    op.create_index("ix_charging_session_evse_id_stopped_at", "charging_session", ["evse_id", "stopped_at"])
    op.create_index("ix_charging_session_partner_id_stopped_at", "charging_session", ["partner_id", "stopped_at"])
    op.create_index(
        "ix_charging_session_failed_at",
        "charging_session",
        ["evse_id", "created_at"],
        postgresql_where=sa.text("status = 'failed'"),
    )
    for how in MARKED:
        _mark("charging_session", f"an_session_{how}", how, _BOTH_SIDES if how == "updated" else _ONE_SIDE)
        _mark("transaction", f"an_transaction_{how}", how, _TRANSACTIONS[how])
    for table, which in _MOVED.items():
        body = f"\n  INSERT INTO an_dirty (partner_id, evse_id) SELECT DISTINCT e.partner_id, e.id FROM {which};\n"
        _mark(table, f"an_{table}_moved", "updated", body)
    for table in CONFINED:
        confinement.confine(op, table)
    confinement.open_to_all(op, *OPEN)


def downgrade() -> None:
    triggers = [("charging_session", f"an_session_{how}") for how in MARKED]
    triggers += [("transaction", f"an_transaction_{how}") for how in MARKED]
    triggers += [(table, f"an_{table}_moved") for table in _MOVED]
    for table, name in triggers:
        op.execute(f'DROP TRIGGER {name} ON "{table}"')
        op.execute(f"DROP FUNCTION {name}()")
    for name in ("failed_at", "partner_id_stopped_at", "evse_id_stopped_at"):
        op.drop_index(f"ix_charging_session_{name}", table_name="charging_session")
    confinement.release(op, (*CONFINED, *OPEN))
    for table in ("an_check", "an_dirty", "an_tot_day", "an_evse_month", "an_evse_day", "an_day", "an_generation"):
        op.drop_table(table)
