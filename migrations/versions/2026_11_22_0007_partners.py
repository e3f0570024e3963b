"""partners and their admins

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: what happened at a charge point or EVSE, and how it hangs from it: the partner it names is that of the day
HISTORY = (
    ("action", "charge_point", "CASCADE"),
    ("authorization", "charge_point", None),
    ("charging_session", "evse", None),
    ("communication_log", "charge_point", "CASCADE"),
    ("diagnostics_request", "charge_point", "CASCADE"),
    ("firmware_update", "charge_point", "CASCADE"),
    ("hardware_status_log", "charge_point", "CASCADE"),
    ("meter_reading", "charge_point", "CASCADE"),
    ("network_status_log", "charge_point", "CASCADE"),
    ("outage", "charge_point", "CASCADE"),
    ("recovery", "charge_point", "CASCADE"),
    ("reservation", "evse", None),
    ("security_event", "charge_point", "CASCADE"),
    ("stray_message", "charge_point", "CASCADE"),
)
#: of these the partner was known to exist only by way of the station
NEWLY_OF_A_PARTNER = (
    "charging_session",
    "diagnostics_request",
    "firmware_update",
    "outage",
    "recovery",
    "reservation",
    "security_event",
    "stray_message",
)
#: written from what the gateway remembers of a station, or seldom: the database says whose they are
OF_THE_DAY = ("authorization", *NEWLY_OF_A_PARTNER)

OWNER_OF_THE_DAY = """
CREATE FUNCTION take_owner_of_the_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.partner_id := coalesce((SELECT partner_id FROM charge_point WHERE id = NEW.charge_point_id), NEW.partner_id);
  RETURN NEW;
END $$
"""

COMPANY = (
    ("company_name", 255),
    ("registration_no", 60),
    ("vat_no", 60),
    ("contact_email", 255),
    ("contact_phone", 40),
)


def upgrade() -> None:
    for name, length in COMPANY:
        op.add_column("partner", sa.Column(name, sa.String(length), nullable=True))
    op.add_column("partner", sa.Column("address", sa.Text(), nullable=True))
    op.create_check_constraint("ck_partner_contact_email_form", "partner", "contact_email LIKE '%_@_%'")
    op.create_check_constraint("ck_partner_address_length", "partner", "length(address) <= 400")
    _kinds_of_roles()
    for table, parent, ondelete in HISTORY:
        name = f"fk_{table}_{parent}"
        op.drop_constraint(name, table, type_="foreignkey")
        op.create_foreign_key(name, table, parent, [f"{parent}_id"], ["id"], ondelete=ondelete)
    for table in NEWLY_OF_A_PARTNER:
        op.create_foreign_key(f"fk_{table}_partner_id_partner", table, "partner", ["partner_id"], ["id"])
    op.execute(OWNER_OF_THE_DAY)
    for table in OF_THE_DAY:
        op.execute(
            f'CREATE TRIGGER owner_of_the_day BEFORE INSERT ON "{table}" '
            "FOR EACH ROW EXECUTE FUNCTION take_owner_of_the_day()"
        )


def _kinds_of_roles() -> None:
    """An admin of a partner has a partner role, and nobody else has."""
    op.add_column("role", sa.Column("for_partner", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_unique_constraint("uq_role_id_for_partner", "role", ["id", "for_partner"])
    op.add_column(
        "admin",
        sa.Column("for_partner", sa.Boolean(), sa.Computed("partner_id IS NOT NULL", persisted=True), nullable=True),
    )
    op.create_check_constraint("ck_admin_not_of_the_house", "admin", "partner_id <> 1")
    op.create_foreign_key("fk_admin_role_kind", "admin", "role", ["role_id", "for_partner"], ["id", "for_partner"])


def downgrade() -> None:
    for table in OF_THE_DAY:
        op.execute(f'DROP TRIGGER owner_of_the_day ON "{table}"')
    op.execute("DROP FUNCTION take_owner_of_the_day()")
    for table in NEWLY_OF_A_PARTNER:
        op.drop_constraint(f"fk_{table}_partner_id_partner", table, type_="foreignkey")
    # transactions follow their session again
    for table, parent, ondelete in HISTORY:
        name = f"fk_{table}_{parent}"
        op.drop_constraint(name, table, type_="foreignkey")
        op.execute(
            f'UPDATE "{table}" t SET partner_id = p.partner_id FROM {parent} p '
            f"WHERE p.id = t.{parent}_id AND p.partner_id <> t.partner_id"
        )
        op.create_foreign_key(
            name,
            table,
            parent,
            [f"{parent}_id", "partner_id"],
            ["id", "partner_id"],
            onupdate="CASCADE",
            ondelete=ondelete,
        )
    op.drop_constraint("fk_admin_role_kind", "admin", type_="foreignkey")
    op.drop_constraint("ck_admin_not_of_the_house", "admin", type_="check")
    op.drop_column("admin", "for_partner")
    op.drop_constraint("uq_role_id_for_partner", "role", type_="unique")
    op.drop_column("role", "for_partner")
    op.drop_constraint("ck_partner_contact_email_form", "partner", type_="check")
    op.drop_constraint("ck_partner_address_length", "partner", type_="check")
    op.drop_column("partner", "address")
    for name, _length in COMPANY:
        op.drop_column("partner", name)
