"""what stations show, tell and ask for

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import confinement

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLES = ("charging_limit", "station_profile", "customer_information", "charging_needs", "display_message")
#: what happened: it stays with whoever owned the charge point then
OF_THE_DAY = ("charging_limit", "charging_needs", "customer_information")


def upgrade() -> None:
    op.create_table(
        "charging_limit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("grid_critical", sa.Boolean(), nullable=True),
        sa.Column(
            "schedules",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("heard_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("cleared_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_point.id"], name="fk_charging_limit_charge_point", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charging_limit")),
    )
    op.create_index("ix_charging_limit_charge_point_id_id", "charging_limit", ["charge_point_id", "id"], unique=False)
    op.create_table(
        "station_profile",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("stack_level", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("valid_from", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("valid_to", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("session_reference", sa.String(length=80), nullable=True),
        sa.Column(
            "schedules",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("request_number", sa.BigInteger(), nullable=True),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["charge_point_id", "partner_id"],
            ["charge_point.id", "charge_point.partner_id"],
            name="fk_station_profile_charge_point",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_station_profile")),
    )
    op.create_index(
        "ix_station_profile_charge_point_id", "station_profile", ["charge_point_id", "network_id"], unique=False
    )
    op.create_table(
        "customer_information",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("id_tag", sa.String(length=64), nullable=True),
        sa.Column("customer", sa.String(length=80), nullable=True),
        sa.Column("report", sa.Boolean(), nullable=False),
        sa.Column("clear", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text(), server_default="", nullable=False),
        sa.Column("complete", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("answered_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("action_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["action_id"], ["action.id"], name=op.f("fk_customer_information_action_id_action"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_point.id"], name="fk_customer_information_charge_point", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_information")),
    )
    op.create_index(
        "ix_customer_information_charge_point_id_id", "customer_information", ["charge_point_id", "id"], unique=False
    )
    op.create_table(
        "charging_needs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column("heard_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("energy_transfer", sa.String(length=40), nullable=False),
        sa.Column("departs_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("energy_wh", sa.Numeric(precision=14, scale=3), nullable=True),
        sa.Column("max_power_w", sa.Numeric(precision=12, scale=1), nullable=True),
        sa.Column("max_current_a", sa.Numeric(precision=8, scale=2), nullable=True),
        sa.Column("max_voltage_v", sa.Numeric(precision=8, scale=2), nullable=True),
        sa.Column("soc_percent", sa.Numeric(precision=5, scale=1), nullable=True),
        sa.Column(
            "needs",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["charge_point_id"], ["charge_point.id"], name="fk_charging_needs_charge_point", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["charging_session.id"],
            name=op.f("fk_charging_needs_session_id_charging_session"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charging_needs")),
    )
    op.create_index("ix_charging_needs_charge_point_id_id", "charging_needs", ["charge_point_id", "id"], unique=False)
    op.create_table(
        "display_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("charge_point_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("priority", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=True),
        sa.Column("text_format", sa.String(length=20), server_default="plain", nullable=False),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("ends_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("session_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "pending",
                "shown",
                "rejected",
                "unanswered",
                "cleared",
                name="display_status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="pending",
            nullable=False,
        ),
        sa.Column("ours", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("reported_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("action_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["action_id"], ["action.id"], name=op.f("fk_display_message_action_id_action"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["charge_point_id", "partner_id"],
            ["charge_point.id", "charge_point.partner_id"],
            name="fk_display_message_charge_point",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["charging_session.id"],
            name=op.f("fk_display_message_session_id_charging_session"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_display_message")),
    )
    op.create_index("uq_display_message_number", "display_message", ["charge_point_id", "number"], unique=True)
    for table in TABLES:
        confinement.confine(op, table)
    for table in OF_THE_DAY:
        op.create_foreign_key(f"fk_{table}_partner_id_partner", table, "partner", ["partner_id"], ["id"])
        op.execute(
            f"CREATE TRIGGER owner_of_the_day BEFORE INSERT ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION take_owner_of_the_day()"
        )


def downgrade() -> None:
    confinement.release(op, TABLES)
    for table in reversed(TABLES):
        op.drop_table(table)
