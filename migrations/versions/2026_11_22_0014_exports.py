"""exports in the background

Revision: 0014, after 0013
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.core import confinement

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "export_job",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("partner_id", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("page", sa.String(length=60), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("narrowed", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("columns", sa.ARRAY(sa.String(length=120)), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("bom", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.String(length=40), server_default="waiting", nullable=False),
        sa.Column("rows_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_total", sa.BigInteger(), nullable=True),
        sa.Column("file_id", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'running', 'finished', 'failed', 'cancelled', 'expired')",
            name="ck_export_job_export_status",
        ),
        sa.CheckConstraint("(status = 'finished') = (file_id IS NOT NULL)", name="ck_export_job_file_when_finished"),
        sa.CheckConstraint(
            "status NOT IN ('finished', 'expired') OR expires_at IS NOT NULL", name="ck_export_job_finished_expires"
        ),
        sa.CheckConstraint("rows_done >= 0 AND attempts >= 0", name="ck_export_job_counts_not_negative"),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("fk_export_job_admin_id_admin"),
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_export_job_file_id_stored_file")),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name=op.f("fk_export_job_partner_id_partner")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_job")),
    )  # fmt: skip
    op.create_index("ix_export_job_admin_id_id", "export_job", ["admin_id", "id"], unique=False)
    op.create_index(op.f("ix_export_job_file_id"), "export_job", ["file_id"], unique=False)
    op.create_index(op.f("ix_export_job_partner_id"), "export_job", ["partner_id"], unique=False)
    op.create_index(
        "ix_export_job_unfinished",
        "export_job",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status IN ('waiting', 'running')"),
    )
    confinement.confine(op, "export_job")


def downgrade() -> None:
    op.drop_table("export_job")
