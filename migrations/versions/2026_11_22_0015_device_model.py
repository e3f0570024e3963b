"""device models of charge points

Revision: 0015, after 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import confinement

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("device_variable", "device_monitor", "device_event")


def upgrade() -> None:
    op.alter_column("configuration_key", "key", type_=sa.String(255), existing_nullable=False)
    op.create_table(
        "device_event",
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("event_number", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("trigger", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("cleared", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=True),
        sa.Column("monitor_id", sa.Integer(), nullable=True),
        sa.Column("cause", sa.BigInteger(), nullable=True),
        sa.Column("session_reference", sa.String(length=80), nullable=True),
        sa.Column("technical_code", sa.String(length=255), nullable=True),
        sa.Column("technical_info", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_point.id"], name="fk_device_event_charge_point", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("at", "id", name=op.f("pk_device_event")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_device_event_charge_point_id_at", "device_event", ["charge_point_id", "at"], unique=False)
    op.create_table(
        "device_variable",
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("component", sa.String(length=50), nullable=False),
        sa.Column("component_instance", sa.String(length=50), nullable=True),
        sa.Column("network_id", sa.Integer(), nullable=True),
        sa.Column("connector_number", sa.Integer(), nullable=True),
        sa.Column("variable", sa.String(length=50), nullable=False),
        sa.Column("variable_instance", sa.String(length=50), nullable=True),
        sa.Column("data_type", sa.String(length=40), nullable=True),
        sa.Column("unit", sa.String(length=16), nullable=True),
        sa.Column("minimum", sa.Numeric(), nullable=True),
        sa.Column("maximum", sa.Numeric(), nullable=True),
        sa.Column("allowed_values", sa.Text(), nullable=True),
        sa.Column("supports_monitoring", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column(
            "attributes",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id", "partner_id"],
            ["charge_point.id", "charge_point.partner_id"],
            name="fk_device_variable_charge_point",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("charge_point_id", "key", name=op.f("pk_device_variable")),
    )
    op.create_index(
        "ix_device_variable_component", "device_variable", ["charge_point_id", "component", "network_id"], unique=False
    )
    op.create_table(
        "device_monitor",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("monitor_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "upper",
                "lower",
                "delta",
                "periodic",
                "periodic_clock",
                name="monitor_kind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("in_session_only", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("ours", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "reported",
                "pending",
                "rejected",
                "unanswered",
                name="monitor_status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("action_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("severity BETWEEN 0 AND 9", name=op.f("ck_device_monitor_severity_range")),
        sa.ForeignKeyConstraint(
            ["action_id"], ["action.id"], name=op.f("fk_device_monitor_action_id_action"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["charge_point_id", "partner_id"],
            ["charge_point.id", "charge_point.partner_id"],
            name="fk_device_monitor_charge_point",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_monitor")),
    )
    op.create_index("uq_device_monitor_monitor_id", "device_monitor", ["charge_point_id", "monitor_id"], unique=True)
    for table in TABLES:
        confinement.confine(op, table)


def downgrade() -> None:
    confinement.release(op, TABLES)
    for table in reversed(TABLES):
        op.drop_table(table)
    op.execute("DELETE FROM configuration_key WHERE length(key) > 120")
    op.alter_column("configuration_key", "key", type_=sa.String(120), existing_nullable=False)
