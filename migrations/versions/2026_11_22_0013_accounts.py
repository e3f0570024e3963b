"""admin accounts: invitations, second factor, sign-ins

Revision: 0013, after 0012
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATUS = "ck_admin_admin_status"
WORDS = (
    "to_tsvector('simple'::regconfig, object_label || ' ' || admin_label)"
    " || jsonb_to_tsvector('simple'::regconfig, before, '[\"all\"]')"
    " || jsonb_to_tsvector('simple'::regconfig, after, '[\"all\"]')"
)


def _moment(name: str, **options: object) -> sa.Column:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), **options)


def upgrade() -> None:
    op.create_table(
        "admin_session",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        _moment("created_at", server_default=sa.text("now()"), nullable=False),
        _moment("last_seen_at", server_default=sa.text("now()"), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=120), nullable=False),
        _moment("ended_at", nullable=True),
        sa.Column("ended_why", sa.String(length=255), nullable=True),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_why IS NULL)", name=op.f("ck_admin_session_why_it_ended")),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name=op.f("fk_admin_session_admin_id_admin"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_session")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_admin_session_key_hash")),
    )
    op.create_index("ix_admin_session_admin_id_id", "admin_session", ["admin_id", "id"])
    op.create_index("ix_admin_session_last_seen_at", "admin_session", ["last_seen_at"])
    op.create_table(
        "admin_link",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        _moment("created_at", server_default=sa.text("now()"), nullable=False),
        _moment("expires_at", nullable=False),
        _moment("used_at", nullable=True),
        _moment("withdrawn_at", nullable=True),
        sa.Column("asked_by", sa.String(length=255), nullable=False),
        sa.CheckConstraint("purpose IN ('invite', 'reset')", name=op.f("ck_admin_link_link_purpose")),
        sa.CheckConstraint("used_at IS NULL OR withdrawn_at IS NULL", name=op.f("ck_admin_link_used_or_withdrawn")),
        sa.CheckConstraint("expires_at > created_at", name=op.f("ck_admin_link_holds_for_a_time")),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name=op.f("fk_admin_link_admin_id_admin"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_admin_link_token_hash")),
    )
    op.create_index("ix_admin_link_admin_id_id", "admin_link", ["admin_id", "id"])
    op.create_table(
        "admin_second_factor",
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        _moment("created_at", server_default=sa.text("now()"), nullable=False),
        _moment("confirmed_at", nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column(
            "recovery_hashes", postgresql.ARRAY(sa.String(length=64)), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.CheckConstraint(
            "confirmed_at IS NOT NULL OR last_step IS NULL", name=op.f("ck_admin_second_factor_unconfirmed_unused")
        ),
        sa.ForeignKeyConstraint(
            ["admin_id"], ["admin.id"], name=op.f("fk_admin_second_factor_admin_id_admin"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("admin_id", name=op.f("pk_admin_second_factor")),
    )
    op.add_column("admin", _moment("locked_until", nullable=True))
    op.add_column("admin", sa.Column("failed_sign_ins", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("admin", _moment("failed_since", nullable=True))
    op.drop_column("admin", "session_epoch")
    op.drop_constraint(op.f(STATUS), "admin", type_="check")
    op.create_check_constraint(op.f(STATUS), "admin", "status IN ('invited', 'active', 'disabled')")
    op.add_column("audit_entry", sa.Column("words", postgresql.TSVECTOR(), sa.Computed(WORDS, persisted=True)))
    op.alter_column("audit_entry", "words", nullable=False)
    op.create_index("ix_audit_entry_words", "audit_entry", ["words"], postgresql_using="gin")
    op.create_index("ix_audit_entry_admin_id_id", "audit_entry", ["admin_id", "id"])
    op.create_index("ix_audit_entry_event_id", "audit_entry", ["event", "id"])
    op.create_index("ix_audit_entry_object_type_id", "audit_entry", ["object_type", "id"])


def downgrade() -> None:
    for name in ("object_type_id", "event_id", "admin_id_id", "words"):
        op.drop_index(f"ix_audit_entry_{name}", table_name="audit_entry")
    op.drop_column("audit_entry", "words")
    op.execute("UPDATE admin SET status = 'disabled' WHERE status = 'invited'")
    op.drop_constraint(op.f(STATUS), "admin", type_="check")
    op.create_check_constraint(op.f(STATUS), "admin", "status IN ('active', 'disabled')")
    op.add_column("admin", sa.Column("session_epoch", sa.Integer(), server_default=sa.text("1"), nullable=False))
    for name in ("failed_since", "failed_sign_ins", "locked_until"):
        op.drop_column("admin", name)
    for table in ("admin_second_factor", "admin_link", "admin_session"):
        op.drop_table(table)
