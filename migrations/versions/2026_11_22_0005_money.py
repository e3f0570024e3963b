"""money

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHECKS_AFTER = (
    (
        "transaction",
        "ck_transaction_transaction_status",
        "status IN ('pending', 'authentication_required', 'succeeded', 'outstanding', 'failed', 'cancelled')",
    ),
    (
        "transaction",
        "ck_transaction_parent_where_due",
        "(type IN ('capture', 'void', 'refund')) = (parent_id IS NOT NULL)",
    ),
    (
        "charging_session",
        "ck_charging_session_payment_status",
        "payment_status IN ('pending', 'processing', 'paid', 'outstanding', 'refunded', 'free', 'not_billed')",
    ),
    (
        "rfid_tag",
        "ck_rfid_tag_payment_method_named",
        "payment <> 'payment_method' OR payment_method_id IS NOT NULL",
    ),
    ("rfid_tag", "ck_rfid_tag_payer_named", "payment <> 'corporate' OR payer_partner_id IS NOT NULL"),
)
CHECKS_BEFORE = (
    (
        "transaction",
        "ck_transaction_transaction_status",
        "status IN ('pending', 'succeeded', 'outstanding', 'failed', 'cancelled')",
    ),
    ("transaction", "ck_transaction_parent_where_due", ""),
    (
        "charging_session",
        "ck_charging_session_payment_status",
        "payment_status IN ('pending', 'paid', 'outstanding', 'free', 'not_billed')",
    ),
    ("rfid_tag", "ck_rfid_tag_payment_method_named", ""),
    ("rfid_tag", "ck_rfid_tag_payer_named", ""),
)


def upgrade() -> None:
    op.create_table(
        "processor_news",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("received_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("processor", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=120), nullable=False),
        sa.Column("payload", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("handled_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processor_news")),
    )
    op.create_index(op.f("ix_processor_news_received_at"), "processor_news", ["received_at"], unique=False)
    op.create_index("uq_processor_news_processor_event_id", "processor_news", ["processor", "event_id"], unique=True)
    op.create_table(
        "receipt_counter",
        sa.Column("series", sa.String(length=40), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("series", "year", name=op.f("pk_receipt_counter")),
    )
    op.create_table(
        "test_processor_record",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("operation", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("parent_reference", sa.String(length=255), nullable=True),
        sa.Column("token", sa.String(length=255), nullable=True),
        sa.Column("amount", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_test_processor_record")),
        sa.UniqueConstraint("key", name=op.f("uq_test_processor_record_key")),
        sa.UniqueConstraint("reference", name=op.f("uq_test_processor_record_reference")),
    )
    op.create_index(
        op.f("ix_test_processor_record_parent_reference"), "test_processor_record", ["parent_reference"], unique=False
    )
    op.create_table(
        "payment_method",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("processor", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.Column("brand", sa.String(length=40), server_default="", nullable=False),
        sa.Column("last4", sa.String(length=4), nullable=True),
        sa.Column("exp_month", sa.SmallInteger(), nullable=True),
        sa.Column("exp_year", sa.SmallInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "expired",
                "removed",
                name="payment_method_status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("removed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("forgotten_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("last4 ~ '^[0-9]{4}$'", name=op.f("ck_payment_method_last4_form")),
        sa.CheckConstraint("exp_month BETWEEN 1 AND 12", name=op.f("ck_payment_method_month_range")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_payment_method_user_id_user_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_method")),
    )
    op.create_index(
        "ix_payment_method_to_forget",
        "payment_method",
        ["removed_at"],
        unique=False,
        postgresql_where=sa.text("removed_at IS NOT NULL AND forgotten_at IS NULL"),
    )
    op.create_index("ix_payment_method_user_id", "payment_method", ["user_id"], unique=False)
    op.create_index("uq_payment_method_processor_reference", "payment_method", ["processor", "reference"], unique=True)
    op.create_table(
        "processor_customer",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("processor", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
            name=op.f("fk_processor_customer_user_id_user_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("user_id", "processor", name=op.f("pk_processor_customer")),
        sa.UniqueConstraint("processor", "reference", name="uq_processor_customer_reference"),
    )
    op.create_table(
        "top_up_package",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("price", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("bonus", sa.Numeric(precision=16, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("price > 0 AND bonus >= 0", name=op.f("ck_top_up_package_amounts_range")),
        sa.ForeignKeyConstraint(["currency"], ["currency.code"], name=op.f("fk_top_up_package_currency_currency")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_top_up_package")),
    )
    op.create_index("ix_top_up_package_position", "top_up_package", ["position"], unique=False)
    op.create_table(
        "auto_top_up",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=False),
        sa.Column("payment_method_id", sa.BigInteger(), nullable=False),
        sa.Column("enabled_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("crossing_entry_id", sa.BigInteger(), nullable=True),
        sa.Column("paused_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("declines", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["package_id"],
            ["top_up_package.id"],
            name=op.f("fk_auto_top_up_package_id_top_up_package"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["payment_method_id"],
            ["payment_method.id"],
            name=op.f("fk_auto_top_up_payment_method_id_payment_method"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_auto_top_up_user_id_user_account"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_auto_top_up")),
    )
    op.create_index(op.f("ix_auto_top_up_package_id"), "auto_top_up", ["package_id"], unique=False)
    op.create_index(op.f("ix_auto_top_up_payment_method_id"), "auto_top_up", ["payment_method_id"], unique=False)
    op.create_table(
        "payment_method_setup",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("processor", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("finished_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("payment_method_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["payment_method_id"],
            ["payment_method.id"],
            name=op.f("fk_payment_method_setup_payment_method_id_payment_method"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
            name=op.f("fk_payment_method_setup_user_id_user_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_method_setup")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_payment_method_setup_token_hash")),
    )
    op.create_index(op.f("ix_payment_method_setup_reference"), "payment_method_setup", ["reference"], unique=False)
    op.create_index(op.f("ix_payment_method_setup_user_id"), "payment_method_setup", ["user_id"], unique=False)
    op.create_table(
        "tariff_trial",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tariff_id", sa.BigInteger(), nullable=True),
        sa.Column("admin_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "waiting",
                "running",
                "done",
                "failed",
                "cancelled",
                name="trial_status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="waiting",
            nullable=False,
        ),
        sa.Column("draft", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("period_from", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("period_to", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("basis", sa.String(length=20), nullable=True),
        sa.Column("reached_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("reached_id", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=True),
        sa.Column("billed_gross", sa.Numeric(precision=16, scale=4), nullable=True),
        sa.Column("draft_gross", sa.Numeric(precision=16, scale=4), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name=op.f("fk_tariff_trial_admin_id_admin"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["currency"], ["currency.code"], name=op.f("fk_tariff_trial_currency_currency")),
        sa.ForeignKeyConstraint(
            ["tariff_id"], ["tariff.id"], name=op.f("fk_tariff_trial_tariff_id_tariff"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tariff_trial")),
    )
    op.create_index(op.f("ix_tariff_trial_admin_id"), "tariff_trial", ["admin_id"], unique=False)
    op.create_index(op.f("ix_tariff_trial_created_at"), "tariff_trial", ["created_at"], unique=False)
    op.create_index(op.f("ix_tariff_trial_tariff_id"), "tariff_trial", ["tariff_id"], unique=False)
    op.create_table(
        "tariff_trial_session",
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("billed_gross", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("draft_gross", sa.Numeric(precision=16, scale=4), nullable=True),
        sa.Column("note", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["charging_session.id"],
            name=op.f("fk_tariff_trial_session_session_id_charging_session"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"],
            ["tariff_trial.id"],
            name=op.f("fk_tariff_trial_session_trial_id_tariff_trial"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("trial_id", "session_id", name=op.f("pk_tariff_trial_session")),
    )
    op.create_table(
        "receipt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "receipt", "credit_note", name="receipt_kind", native_enum=False, create_constraint=True, length=40
            ),
            server_default="receipt",
            nullable=False,
        ),
        sa.Column("series", sa.String(length=40), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("full_number", sa.String(length=60), nullable=False),
        sa.Column("issued_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_to", sa.Date(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.String(length=255), nullable=False),
        sa.Column("driver", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("company", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("total_gross", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("total_net", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("total_vat", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("corrects_id", sa.BigInteger(), nullable=True),
        sa.Column("refund_id", sa.BigInteger(), nullable=True),
        sa.Column("file_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sent_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "(kind = 'credit_note') = (corrects_id IS NOT NULL)", name=op.f("ck_receipt_credit_note_corrects")
        ),
        sa.CheckConstraint("period_to >= period_from", name=op.f("ck_receipt_period_order")),
        sa.CheckConstraint("total_net + total_vat = total_gross", name=op.f("ck_receipt_net_plus_vat_is_gross")),
        sa.ForeignKeyConstraint(["corrects_id"], ["receipt.id"], name=op.f("fk_receipt_corrects_id_receipt")),
        sa.ForeignKeyConstraint(["currency"], ["currency.code"], name=op.f("fk_receipt_currency_currency")),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_receipt_file_id_stored_file")),
        sa.ForeignKeyConstraint(["refund_id"], ["transaction.id"], name=op.f("fk_receipt_refund_id_transaction")),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_receipt_user_id_user_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint("full_number", name=op.f("uq_receipt_full_number")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_receipt_refund_id")),
        sa.UniqueConstraint("series", "year", "number", name="uq_receipt_series_year_number"),
    )
    op.create_index(op.f("ix_receipt_corrects_id"), "receipt", ["corrects_id"], unique=False)
    op.create_index(op.f("ix_receipt_issued_at"), "receipt", ["issued_at"], unique=False)
    op.create_index("ix_receipt_user_id_id", "receipt", ["user_id", "id"], unique=False)
    op.create_table(
        "transaction_event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("event", sa.String(length=120), nullable=False),
        sa.Column("processor", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=255), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column(
            "detail",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name=op.f("fk_transaction_event_partner_id_partner")),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["transaction.id"],
            name=op.f("fk_transaction_event_transaction_id_transaction"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transaction_event")),
    )
    op.create_index(
        "ix_transaction_event_transaction_id_id", "transaction_event", ["transaction_id", "id"], unique=False
    )
    op.create_table(
        "voucher",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.String(length=6), nullable=False),
        sa.Column(
            "type",
            sa.Enum(
                "voucher",
                "top_up",
                "operator_top_up",
                "auto_top_up",
                name="voucher_type",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="voucher",
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "active",
                "pending",
                "failed",
                "expired",
                "cancelled",
                name="voucher_status",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="active",
            nullable=False,
        ),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("amount", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("paid_amount", sa.Numeric(precision=16, scale=4), nullable=True),
        sa.Column("bonus", sa.Numeric(precision=16, scale=4), server_default=sa.text("0"), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("redeem_before", sa.Date(), nullable=True),
        sa.Column("redeemed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.String(length=255), server_default="", nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("package_id", sa.BigInteger(), nullable=True),
        sa.Column("transaction_id", sa.BigInteger(), nullable=True),
        sa.Column("action_id", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint(
            "(redeemed_at IS NULL) = (user_id IS NULL) OR type <> 'voucher'",
            name=op.f("ck_voucher_redeemed_by_somebody"),
        ),
        sa.CheckConstraint("code ~ '^[A-Z0-9]{6}$'", name=op.f("ck_voucher_code_form")),
        sa.CheckConstraint("redeemed_at IS NULL OR status = 'active'", name=op.f("ck_voucher_redeemed_is_active")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_voucher_amount_positive")),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_voucher_action_id_action")),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["admin.id"], name=op.f("fk_voucher_created_by_id_admin"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["currency"], ["currency.code"], name=op.f("fk_voucher_currency_currency")),
        sa.ForeignKeyConstraint(
            ["package_id"],
            ["top_up_package.id"],
            name=op.f("fk_voucher_package_id_top_up_package"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["transaction.id"], name=op.f("fk_voucher_transaction_id_transaction")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name=op.f("fk_voucher_user_id_user_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voucher")),
        sa.UniqueConstraint("code", name=op.f("uq_voucher_code")),
        sa.UniqueConstraint("transaction_id", name=op.f("uq_voucher_transaction_id")),
    )
    op.create_index(op.f("ix_voucher_created_at"), "voucher", ["created_at"], unique=False)
    op.create_index(
        "ix_voucher_open",
        "voucher",
        ["redeem_before"],
        unique=False,
        postgresql_where=sa.text("status = 'active' AND redeemed_at IS NULL"),
    )
    op.create_index(op.f("ix_voucher_redeemed_at"), "voucher", ["redeemed_at"], unique=False)
    op.create_index("ix_voucher_user_id_id", "voucher", ["user_id", "id"], unique=False)
    op.create_index(
        "uq_voucher_auto_top_up_in_flight",
        "voucher",
        ["user_id"],
        unique=True,
        postgresql_where=sa.text("type = 'auto_top_up' AND status = 'pending'"),
    )
    op.add_column("ledger_entry", sa.Column("voucher_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_ledger_entry_voucher_id_voucher"), "ledger_entry", "voucher", ["voucher_id"], ["id"])
    op.create_unique_constraint(op.f("uq_ledger_entry_voucher_id"), "ledger_entry", ["voucher_id"])
    op.create_table(
        "receipt_line",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("receipt_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "receipt", "credit_note", name="receipt_line_kind", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("place", sa.String(length=255), nullable=False),
        sa.Column("evse_code", sa.String(length=60), server_default="", nullable=False),
        sa.Column("energy_wh", sa.Numeric(precision=16, scale=3), nullable=False),
        sa.Column("vat_percent", sa.Numeric(precision=6, scale=3), nullable=False),
        sa.Column("gross", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("net", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("vat", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.CheckConstraint("net + vat = gross", name=op.f("ck_receipt_line_net_plus_vat_is_gross")),
        sa.ForeignKeyConstraint(["receipt_id"], ["receipt.id"], name=op.f("fk_receipt_line_receipt_id_receipt")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["charging_session.id"], name=op.f("fk_receipt_line_session_id_charging_session")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt_line")),
        sa.UniqueConstraint("receipt_id", "position", name="uq_receipt_line_receipt_id_position"),
    )
    op.create_index(
        "uq_receipt_line_session_once",
        "receipt_line",
        ["session_id"],
        unique=True,
        postgresql_where=sa.text("kind = 'receipt'"),
    )
    op.add_column("charging_session", sa.Column("paid_from", sa.String(length=40), nullable=True))
    op.add_column("charging_session", sa.Column("payment_method_id", sa.BigInteger(), nullable=True))
    op.add_column("charging_session", sa.Column("payer_partner_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "charging_session",
        sa.Column("stop_rules", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
    )
    op.add_column("charging_session", sa.Column("event_numbers", postgresql.INT4MULTIRANGE(), nullable=True))
    op.add_column("charging_session", sa.Column("stop_rule", sa.String(length=60), nullable=True))
    op.add_column("charging_session", sa.Column("stop_rule_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column(
        "charging_session", sa.Column("stop_rule_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.create_index(
        op.f("ix_charging_session_payer_partner_id"), "charging_session", ["payer_partner_id"], unique=False
    )
    op.create_index(
        op.f("ix_charging_session_payment_method_id"), "charging_session", ["payment_method_id"], unique=False
    )
    op.create_foreign_key(
        op.f("fk_charging_session_payment_method_id_payment_method"),
        "charging_session",
        "payment_method",
        ["payment_method_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_foreign_key(
        op.f("fk_charging_session_payer_partner_id_partner"),
        "charging_session",
        "partner",
        ["payer_partner_id"],
        ["id"],
    )
    op.add_column(
        "rfid_tag",
        sa.Column(
            "payment",
            sa.Enum(
                "last_used",
                "payment_method",
                "balance",
                "corporate",
                name="tag_payment",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="last_used",
            nullable=False,
        ),
    )
    op.add_column("rfid_tag", sa.Column("payment_method_id", sa.BigInteger(), nullable=True))
    op.add_column("rfid_tag", sa.Column("payer_partner_id", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_rfid_tag_payer_partner_id"), "rfid_tag", ["payer_partner_id"], unique=False)
    op.create_index(op.f("ix_rfid_tag_payment_method_id"), "rfid_tag", ["payment_method_id"], unique=False)
    op.create_foreign_key(
        op.f("fk_rfid_tag_payer_partner_id_partner"), "rfid_tag", "partner", ["payer_partner_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_rfid_tag_payment_method_id_payment_method"),
        "rfid_tag",
        "payment_method",
        ["payment_method_id"],
        ["id"],
    )
    op.add_column(
        "transaction",
        sa.Column(
            "purpose",
            sa.Enum(
                "session",
                "top_up",
                "payment_method",
                name="transaction_purpose",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            server_default="session",
            nullable=False,
        ),
    )
    op.add_column("transaction", sa.Column("authorization_id", sa.BigInteger(), nullable=True))
    op.add_column("transaction", sa.Column("parent_id", sa.BigInteger(), nullable=True))
    op.add_column("transaction", sa.Column("payment_method_id", sa.BigInteger(), nullable=True))
    op.add_column("transaction", sa.Column("payer_partner_id", sa.BigInteger(), nullable=True))
    op.add_column("transaction", sa.Column("description", sa.Text(), nullable=True))
    op.add_column("transaction", sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("transaction", sa.Column("asked_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("transaction", sa.Column("next_attempt_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("transaction", sa.Column("closed_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_index(op.f("ix_transaction_authorization_id"), "transaction", ["authorization_id"], unique=False)
    op.create_index(
        "ix_transaction_due",
        "transaction",
        ["next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_index(
        "ix_transaction_held",
        "transaction",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("type = 'preauthorization' AND closed_at IS NULL"),
    )
    op.create_index(
        "ix_transaction_owed",
        "transaction",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("status = 'outstanding'"),
    )
    op.create_index(op.f("ix_transaction_parent_id"), "transaction", ["parent_id"], unique=False)
    op.create_index(op.f("ix_transaction_payer_partner_id"), "transaction", ["payer_partner_id"], unique=False)
    op.create_index(op.f("ix_transaction_payment_method_id"), "transaction", ["payment_method_id"], unique=False)
    op.create_index(op.f("ix_transaction_processor_reference"), "transaction", ["processor_reference"], unique=False)
    op.create_foreign_key(
        op.f("fk_transaction_authorization_id_authorization"),
        "transaction",
        "authorization",
        ["authorization_id"],
        ["id"],
    )
    op.create_foreign_key(
        op.f("fk_transaction_payer_partner_id_partner"), "transaction", "partner", ["payer_partner_id"], ["id"]
    )
    op.create_foreign_key(
        op.f("fk_transaction_payment_method_id_payment_method"),
        "transaction",
        "payment_method",
        ["payment_method_id"],
        ["id"],
    )
    op.create_foreign_key(
        op.f("fk_transaction_parent_id_transaction"), "transaction", "transaction", ["parent_id"], ["id"]
    )
    op.create_index(
        "ix_transaction_refunds",
        "transaction",
        ["session_id"],
        unique=False,
        postgresql_where=sa.text("type = 'refund'"),
    )
    op.add_column("mail", sa.Column("attachment_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_mail_attachment_id_stored_file"), "mail", "stored_file", ["attachment_id"], ["id"])
    op.add_column("user_account", sa.Column("company", sa.String(length=255), server_default="", nullable=False))
    op.add_column("user_account", sa.Column("vat_no", sa.String(length=40), server_default="", nullable=False))
    op.add_column("user_account", sa.Column("address", sa.String(length=255), server_default="", nullable=False))
    op.add_column("user_account", sa.Column("post_code", sa.String(length=20), server_default="", nullable=False))
    op.add_column("user_account", sa.Column("city", sa.String(length=120), server_default="", nullable=False))
    op.add_column("user_account", sa.Column("country", sa.String(length=2), server_default="", nullable=False))

    # what autogenerate does not see: CHECKs of tables that were there already
    for table, name, condition in CHECKS_AFTER:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})")
    # what is written in these tables stays written
    op.execute("REVOKE UPDATE, DELETE ON transaction_event, receipt, receipt_line FROM sync_staff")
    op.execute("GRANT UPDATE (file_id, sent_count) ON receipt TO sync_staff")


def downgrade() -> None:
    op.execute("GRANT UPDATE, DELETE ON transaction_event, receipt, receipt_line TO sync_staff")
    for table, name, condition in CHECKS_BEFORE:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        if condition:
            op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({condition})")
    op.drop_constraint(op.f("fk_mail_attachment_id_stored_file"), "mail", type_="foreignkey")
    op.drop_column("mail", "attachment_id")
    op.drop_index("ix_transaction_refunds", table_name="transaction", postgresql_where=sa.text("type = 'refund'"))
    op.drop_column("user_account", "country")
    op.drop_column("user_account", "city")
    op.drop_column("user_account", "post_code")
    op.drop_column("user_account", "address")
    op.drop_column("user_account", "vat_no")
    op.drop_column("user_account", "company")
    op.drop_constraint(op.f("fk_transaction_parent_id_transaction"), "transaction", type_="foreignkey")
    op.drop_constraint(op.f("fk_transaction_payment_method_id_payment_method"), "transaction", type_="foreignkey")
    op.drop_constraint(op.f("fk_transaction_payer_partner_id_partner"), "transaction", type_="foreignkey")
    op.drop_constraint(op.f("fk_transaction_authorization_id_authorization"), "transaction", type_="foreignkey")
    op.drop_index(op.f("ix_transaction_processor_reference"), table_name="transaction")
    op.drop_index(op.f("ix_transaction_payment_method_id"), table_name="transaction")
    op.drop_index(op.f("ix_transaction_payer_partner_id"), table_name="transaction")
    op.drop_index(op.f("ix_transaction_parent_id"), table_name="transaction")
    op.drop_index("ix_transaction_owed", table_name="transaction", postgresql_where=sa.text("status = 'outstanding'"))
    op.drop_index(
        "ix_transaction_held",
        table_name="transaction",
        postgresql_where=sa.text("type = 'preauthorization' AND closed_at IS NULL"),
    )
    op.drop_index(
        "ix_transaction_due", table_name="transaction", postgresql_where=sa.text("next_attempt_at IS NOT NULL")
    )
    op.drop_index(op.f("ix_transaction_authorization_id"), table_name="transaction")
    op.drop_column("transaction", "closed_at")
    op.drop_column("transaction", "next_attempt_at")
    op.drop_column("transaction", "asked_at")
    op.drop_column("transaction", "attempts")
    op.drop_column("transaction", "description")
    op.drop_column("transaction", "payer_partner_id")
    op.drop_column("transaction", "payment_method_id")
    op.drop_column("transaction", "parent_id")
    op.drop_column("transaction", "authorization_id")
    op.drop_column("transaction", "purpose")
    op.drop_constraint(op.f("fk_rfid_tag_payment_method_id_payment_method"), "rfid_tag", type_="foreignkey")
    op.drop_constraint(op.f("fk_rfid_tag_payer_partner_id_partner"), "rfid_tag", type_="foreignkey")
    op.drop_index(op.f("ix_rfid_tag_payment_method_id"), table_name="rfid_tag")
    op.drop_index(op.f("ix_rfid_tag_payer_partner_id"), table_name="rfid_tag")
    op.drop_column("rfid_tag", "payer_partner_id")
    op.drop_column("rfid_tag", "payment_method_id")
    op.drop_column("rfid_tag", "payment")
    op.drop_constraint(op.f("fk_charging_session_payer_partner_id_partner"), "charging_session", type_="foreignkey")
    op.drop_constraint(
        op.f("fk_charging_session_payment_method_id_payment_method"), "charging_session", type_="foreignkey"
    )
    op.drop_index(op.f("ix_charging_session_payment_method_id"), table_name="charging_session")
    op.drop_index(op.f("ix_charging_session_payer_partner_id"), table_name="charging_session")
    op.drop_column("charging_session", "stop_rule_attempts")
    op.drop_column("charging_session", "stop_rule_at")
    op.drop_column("charging_session", "stop_rule")
    op.drop_column("charging_session", "event_numbers")
    op.drop_column("charging_session", "stop_rules")
    op.drop_column("charging_session", "payer_partner_id")
    op.drop_column("charging_session", "payment_method_id")
    op.drop_column("charging_session", "paid_from")
    op.drop_index(
        "uq_receipt_line_session_once", table_name="receipt_line", postgresql_where=sa.text("kind = 'receipt'")
    )
    op.drop_table("receipt_line")
    op.drop_constraint(op.f("uq_ledger_entry_voucher_id"), "ledger_entry", type_="unique")
    op.drop_constraint(op.f("fk_ledger_entry_voucher_id_voucher"), "ledger_entry", type_="foreignkey")
    op.drop_column("ledger_entry", "voucher_id")
    op.drop_index(
        "uq_voucher_auto_top_up_in_flight",
        table_name="voucher",
        postgresql_where=sa.text("type = 'auto_top_up' AND status = 'pending'"),
    )
    op.drop_index("ix_voucher_user_id_id", table_name="voucher")
    op.drop_index(op.f("ix_voucher_redeemed_at"), table_name="voucher")
    op.drop_index(
        "ix_voucher_open", table_name="voucher", postgresql_where=sa.text("status = 'active' AND redeemed_at IS NULL")
    )
    op.drop_index(op.f("ix_voucher_created_at"), table_name="voucher")
    op.drop_table("voucher")
    op.drop_index("ix_transaction_event_transaction_id_id", table_name="transaction_event")
    op.drop_table("transaction_event")
    op.drop_index("ix_receipt_user_id_id", table_name="receipt")
    op.drop_index(op.f("ix_receipt_issued_at"), table_name="receipt")
    op.drop_index(op.f("ix_receipt_corrects_id"), table_name="receipt")
    op.drop_table("receipt")
    op.drop_table("tariff_trial_session")
    op.drop_index(op.f("ix_tariff_trial_tariff_id"), table_name="tariff_trial")
    op.drop_index(op.f("ix_tariff_trial_created_at"), table_name="tariff_trial")
    op.drop_index(op.f("ix_tariff_trial_admin_id"), table_name="tariff_trial")
    op.drop_table("tariff_trial")
    op.drop_index(op.f("ix_payment_method_setup_user_id"), table_name="payment_method_setup")
    op.drop_index(op.f("ix_payment_method_setup_reference"), table_name="payment_method_setup")
    op.drop_table("payment_method_setup")
    op.drop_index(op.f("ix_auto_top_up_payment_method_id"), table_name="auto_top_up")
    op.drop_index(op.f("ix_auto_top_up_package_id"), table_name="auto_top_up")
    op.drop_table("auto_top_up")
    op.drop_index("ix_top_up_package_position", table_name="top_up_package")
    op.drop_table("top_up_package")
    op.drop_table("processor_customer")
    op.drop_index("uq_payment_method_processor_reference", table_name="payment_method")
    op.drop_index("ix_payment_method_user_id", table_name="payment_method")
    op.drop_index("ix_payment_method_to_forget", table_name="payment_method")
    op.drop_table("payment_method")
    op.drop_index(op.f("ix_test_processor_record_parent_reference"), table_name="test_processor_record")
    op.drop_table("test_processor_record")
    op.drop_table("receipt_counter")
    op.drop_index("uq_processor_news_processor_event_id", table_name="processor_news")
    op.drop_index(op.f("ix_processor_news_received_at"), table_name="processor_news")
    op.drop_table("processor_news")
