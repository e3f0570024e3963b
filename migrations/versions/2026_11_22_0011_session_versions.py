"""a session's price in versions, its timeline

Revision: 0011, after 0010
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import confinement

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLE = "session_price_version"
#: what an operator asks the list of sessions for again and again, newest first, and is rare
RARE = {
    "ix_charging_session_failed": "status = 'failed'",
    "ix_charging_session_unpaid": "payment_status = 'outstanding'",
    "ix_charging_session_flagged": "cardinality(flags) > 0",
}


def upgrade() -> None:
    op.add_column(
        "charging_session", sa.Column("price_version", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )
    op.create_table(
        TABLE,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "cause",
            sa.Enum(
                "billed",
                "tariff_changed",
                "user_assigned",
                "credit",
                name="price_cause",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("priced_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("tariff_id", sa.BigInteger(), nullable=True),
        sa.Column("tariff_name", sa.String(length=255), nullable=True),
        sa.Column("tariff_snapshot", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("price_lines", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total_gross", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("total_net", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("total_vat", sa.Numeric(precision=16, scale=4), nullable=False),
        *(
            sa.Column(name, sa.Numeric(precision=16, scale=4), server_default=sa.text("0"), nullable=False)
            for name in ("asked", "given_back", "withdrawn", "waived")
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=255), server_default="", nullable=False),
        sa.Column("action_id", sa.BigInteger(), nullable=True),
        sa.Column("key", sa.String(length=80), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_session_price_version_number_from_one")),
        sa.CheckConstraint(
            "total_net + total_vat = total_gross", name=op.f("ck_session_price_version_net_plus_vat_is_gross")
        ),
        sa.CheckConstraint("total_gross >= 0", name=op.f("ck_session_price_version_total_not_negative")),
        sa.CheckConstraint(
            "asked >= 0 AND given_back >= 0 AND withdrawn >= 0 AND waived >= 0",
            name=op.f("ck_session_price_version_moved_not_negative"),
        ),
        sa.ForeignKeyConstraint(
            ["session_id", "partner_id"],
            ["charging_session.id", "charging_session.partner_id"],
            name="fk_session_price_version_charging_session",
            onupdate="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_session_price_version_user_id_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["tariff_id"],
            ["tariff.id"],
            name=op.f("fk_session_price_version_tariff_id_tariff"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["currency"], ["currency.code"], name=op.f("fk_session_price_version_currency_currency")
        ),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_session_price_version_action_id_action")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session_price_version")),
        sa.UniqueConstraint("session_id", "number", name="uq_session_price_version_session_id_number"),
        sa.UniqueConstraint("key", name="uq_session_price_version_key"),
    )
    op.create_index(op.f("ix_session_price_version_tariff_id"), TABLE, ["tariff_id"], unique=False)
    op.create_index(
        "ix_session_price_version_corrections", TABLE, ["session_id"], postgresql_where=sa.text("number > 1")
    )
    op.execute(
        f"""
        INSERT INTO {TABLE} (session_id, partner_id, number, cause, priced_at, user_id, tariff_id, tariff_name,
                             tariff_snapshot, price_lines, currency, total_gross, total_net, total_vat, actor)
        SELECT id, partner_id, 1, 'billed', coalesce(priced_at, stopped_at, created_at), user_id, tariff_id,
               tariff_name, coalesce(tariff_snapshot, '{{}}'), coalesce(price_lines, '[]'), currency, total_gross,
               total_net, total_vat, 'System'
        FROM charging_session
        WHERE total_gross IS NOT NULL AND total_net IS NOT NULL AND total_vat IS NOT NULL AND currency IS NOT NULL"""
    )
    op.execute(f"REVOKE UPDATE, DELETE ON {TABLE} FROM sync_staff")
    confinement.confine(op, TABLE)
    op.add_column("transaction", sa.Column("correction", sa.Integer(), nullable=True))
    op.create_index(
        "ix_transaction_corrections",
        "transaction",
        ["session_id"],
        postgresql_where=sa.text("correction IS NOT NULL"),
    )
    op.add_column("receipt_line", sa.Column("price_version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    op.drop_index("uq_receipt_line_session_once", table_name="receipt_line")
    op.create_index(
        "uq_receipt_line_session_once",
        "receipt_line",
        ["session_id", "price_version"],
        unique=True,
        postgresql_where=sa.text("kind = 'receipt'"),
    )
    for name, condition in RARE.items():
        op.create_index(name, "charging_session", ["id"], postgresql_where=sa.text(condition))
    op.create_index(
        "ix_charging_session_corrected", "charging_session", ["user_id"], postgresql_where=sa.text("price_version > 1")
    )
    op.create_index("ix_charging_session_id_tag_id", "charging_session", ["id_tag", "id"])


def downgrade() -> None:
    op.drop_index("ix_charging_session_id_tag_id", table_name="charging_session")
    op.drop_index("ix_charging_session_corrected", table_name="charging_session")
    for name in RARE:
        op.drop_index(name, table_name="charging_session")
    op.drop_index("uq_receipt_line_session_once", table_name="receipt_line")
    op.create_index(
        "uq_receipt_line_session_once",
        "receipt_line",
        ["session_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'receipt'"),
    )
    op.drop_column("receipt_line", "price_version")
    op.drop_index("ix_transaction_corrections", table_name="transaction")
    op.drop_column("transaction", "correction")
    confinement.release(op, (TABLE,))
    op.drop_table(TABLE)
    op.drop_column("charging_session", "price_version")
