"""drivers: profile fields, verification, erasure

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: The audit is append-only for the application. Removing a person's data from it is the one exception: what happened,
#: when and by whom stays, and so do values that say nothing of the person.
ERASE_FROM_AUDIT = """
CREATE FUNCTION without_personal_data(told jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT coalesce(jsonb_object_agg(key, CASE
     WHEN value IN ('null', '""', '[]') OR key IN ('id', 'status', 'groups', 'locale', 'created_at', 'erased_at',
          'payment', 'payment_method_id', 'payer_partner_id', 'expires_on', 'user_id') THEN value
     ELSE '"erased"'::jsonb END), '{}') FROM jsonb_each(told) $$;
CREATE FUNCTION erase_from_audit(user_number bigint, tag_numbers bigint[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$ WITH done AS (
     UPDATE audit_entry SET object_label = 'Erased', before = without_personal_data(before),
            after = without_personal_data(after)
      WHERE (object_type = 'user_account' AND object_id = user_number::text)
         OR (object_type = 'rfid_tag' AND object_id = ANY (tag_numbers::text[]))
     RETURNING 1)
   SELECT count(*) FROM done $$;
"""


def upgrade() -> None:
    op.add_column("user_account", sa.Column("date_of_birth", sa.Date()))
    for name, length in (("car_make", 60), ("car_model", 60), ("licence_plate", 20)):
        op.add_column("user_account", sa.Column(name, sa.String(length), server_default="", nullable=False))
    for name in ("email_verified_at", "phone_verified_at", "erased_at"):
        op.add_column("user_account", sa.Column(name, sa.TIMESTAMP(timezone=True)))
    op.create_check_constraint(
        op.f("ck_user_account_verified_phone_there"), "user_account", "phone_verified_at IS NULL OR phone IS NOT NULL"
    )
    op.create_table(
        "user_verification",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("sent_to", sa.String(length=255), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("used_at", sa.TIMESTAMP(timezone=True)),
        sa.Column("replaced_at", sa.TIMESTAMP(timezone=True)),
        sa.CheckConstraint("kind IN ('email', 'phone')", name=op.f("ck_user_verification_verification_kind")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_user_verification_attempts_positive")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
            name=op.f("fk_user_verification_user_id_user_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_verification")),
    )
    op.create_index("ix_user_verification_user_id_id", "user_verification", ["user_id", "id"])
    op.create_index(
        "uq_user_verification_email_hash",
        "user_verification",
        ["secret_hash"],
        unique=True,
        postgresql_where=sa.text("kind = 'email'"),
    )
    op.execute(ERASE_FROM_AUDIT)
    op.execute("REVOKE EXECUTE ON FUNCTION erase_from_audit(bigint, bigint[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION erase_from_audit(bigint, bigint[]) TO sync_staff")


def downgrade() -> None:
    op.execute("DROP FUNCTION erase_from_audit(bigint, bigint[])")
    op.execute("DROP FUNCTION without_personal_data(jsonb)")
    op.drop_index("uq_user_verification_email_hash", table_name="user_verification")
    op.drop_index("ix_user_verification_user_id_id", table_name="user_verification")
    op.drop_table("user_verification")
    op.drop_constraint(op.f("ck_user_account_verified_phone_there"), "user_account", type_="check")
    for name in (
        "erased_at", "phone_verified_at", "email_verified_at", "licence_plate", "car_model", "car_make",
        "date_of_birth",
    ):  # fmt: skip
        op.drop_column("user_account", name)
