"""terms, FAQ, contacts, SMS, mail templates, tests of integrations

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _id() -> sa.Column:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False)


def _time(name: str, *, nullable: bool = False, now: bool = True) -> sa.Column:
    default = sa.text("now()") if now and not nullable else None
    return sa.Column(name, sa.TIMESTAMP(timezone=True), server_default=default, nullable=nullable)


def _texts(name: str, *, empty: bool = False) -> sa.Column:
    default = sa.text("'{}'::jsonb") if empty else None
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default=default, nullable=False)


def _version() -> sa.Column:
    return sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "sms_message",
        _id(),
        _time("created_at"),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("recipient", sa.String(length=255), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("confidential", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("status", sa.String(length=40), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _time("next_attempt_at"),
        _time("sent_at", nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("processor", sa.String(length=40), nullable=True),
        sa.Column("reference", sa.String(length=120), nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'sent', 'failed', 'cancelled')", name=op.f("ck_sms_message_sms_status")
        ),
        sa.CheckConstraint(r"recipient ~ '^\+[1-9][0-9]{6,14}$'", name=op.f("ck_sms_message_recipient_e164")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sms_message")),
        sa.UniqueConstraint("key", "recipient", name="uq_sms_message_key_recipient"),
    )
    op.create_index(op.f("ix_sms_message_created_at"), "sms_message", ["created_at"])
    op.create_index(
        "ix_sms_message_waiting", "sms_message", ["next_attempt_at"], postgresql_where=sa.text("status = 'waiting'")
    )
    op.create_table(
        "mail_template",
        _id(),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        _time("updated_at"),
        _version(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail_template")),
        sa.UniqueConstraint("name", "language", name="uq_mail_template_name_language"),
    )
    op.create_table(
        "integration_test",
        sa.Column("name", sa.String(length=40), nullable=False),
        _time("tested_at", now=False),
        sa.Column("tested_by", sa.String(length=255), nullable=False),
        sa.Column("works", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_integration_test")),
    )
    op.create_table(
        "terms_document",
        _id(),
        sa.Column("kind", sa.String(length=60), nullable=False),
        _texts("name"),
        _texts("draft", empty=True),
        _time("created_at"),
        _version(),
        sa.CheckConstraint("kind ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_terms_document_kind_form")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terms_document")),
        sa.UniqueConstraint("kind", name=op.f("uq_terms_document_kind")),
    )
    op.create_table(
        "terms_version",
        _id(),
        sa.Column("document_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        _texts("name"),
        _texts("texts"),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _time("published_at", now=False),
        sa.Column("published_by", sa.String(length=255), nullable=False),
        sa.CheckConstraint("number >= 1", name=op.f("ck_terms_version_number_positive")),
        sa.CheckConstraint("length(btrim(reason)) > 0", name=op.f("ck_terms_version_reason_given")),
        sa.ForeignKeyConstraint(
            ["document_id"], ["terms_document.id"], name=op.f("fk_terms_version_document_id_terms_document")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terms_version")),
        sa.UniqueConstraint("document_id", "number", name="uq_terms_version_document_id_number"),
    )
    op.create_table(
        "faq_category",
        _id(),
        _texts("name"),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _version(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faq_category")),
    )
    op.create_table(
        "faq_entry",
        _id(),
        sa.Column("category_id", sa.BigInteger(), nullable=True),
        _texts("question"),
        _texts("answer"),
        sa.Column("published", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _time("created_at"),
        _version(),
        sa.ForeignKeyConstraint(
            ["category_id"],
            ["faq_category.id"],
            name=op.f("fk_faq_entry_category_id_faq_category"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faq_entry")),
    )
    op.create_index(op.f("ix_faq_entry_category_id"), "faq_entry", ["category_id"])
    op.create_index(op.f("ix_faq_entry_position"), "faq_entry", ["position"])
    op.create_table(
        "contact_details",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("email", sa.String(length=255), server_default=sa.text("''"), nullable=False),
        sa.Column("phone", sa.String(length=40), server_default=sa.text("''"), nullable=False),
        _texts("hours", empty=True),
        _texts("address", empty=True),
        _version(),
        sa.CheckConstraint("id = 1", name=op.f("ck_contact_details_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_details")),
    )
    op.add_column("mail", sa.Column("confidential", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    # a version that drivers may have agreed to is never changed
    op.execute("REVOKE UPDATE, DELETE ON terms_version FROM sync_staff")


def downgrade() -> None:
    op.drop_column("mail", "confidential")
    for table in (
        "contact_details",
        "faq_entry",
        "faq_category",
        "terms_version",
        "terms_document",
        "integration_test",
        "mail_template",
        "sms_message",
    ):
        op.drop_table(table)
