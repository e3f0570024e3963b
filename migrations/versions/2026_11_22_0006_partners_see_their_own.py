"""partners see their own rows only

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

from app.core import confinement

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: rows that say whose they are
OWN = (
    "action",
    "admin",
    "audit_entry",
    "authorization",
    "charge_point",
    "charge_point_state",
    "charging_session",
    "communication_log",
    "composite_schedule",
    "configuration_key",
    "connector",
    "diagnostics_request",
    "evse",
    "evse_state",
    "firmware_update",
    "hardware_status_log",
    "local_list",
    "meter_reading",
    "network_status_log",
    "outage",
    "recovery",
    "reservation",
    "security_event",
    "station_certificate",
    "stored_file",
    "stray_message",
    "transaction",
    "transaction_event",
)
_MINE = "(SELECT {} FROM {} WHERE partner_id = current_partner())"
#: rows that hang from what is theirs
NARROW = {
    "charging_zone": f"id IN {_MINE.format('zone_id', 'charge_point')}",
    "location": f"id IN (SELECT location_id FROM charging_zone WHERE id IN {_MINE.format('zone_id', 'charge_point')})",
    "location_photo": "location_id IN (SELECT location_id FROM charging_zone WHERE id IN "
    f"{_MINE.format('zone_id', 'charge_point')})",
    "evse_tag": f"evse_id IN {_MINE.format('id', 'evse')}",
    "tariff_group": f"id IN {_MINE.format('tariff_group_id', 'evse')}",
    "tariff_group_tariff": f"tariff_group_id IN {_MINE.format('tariff_group_id', 'evse')}",
    "tariff": "id IN (SELECT tariff_id FROM tariff_group_tariff WHERE tariff_group_id IN "
    f"{_MINE.format('tariff_group_id', 'evse')})",
    "recovery_attempt": f"recovery_id IN {_MINE.format('id', 'recovery')}",
}
#: what pages that are shared with staff join, and partners find nothing of
CLOSED = (
    "balance_account",
    "charge_point_template",
    "firmware_file",
    "ledger_entry",
    "local_list_user",
    "payment_method",
    "receipt",
    "receipt_line",
    "rfid_tag",
    "tariff_partner",
    "tariff_power_level",
    "tariff_user_group",
    "user_account",
    "user_group",
    "user_group_member",
    "voucher",
)
#: nobody's: the names of things
OPEN = ("charge_point_notice", "currency", "location_image", "role", "station_model", "tag", "vat_rate")


def upgrade() -> None:
    op.add_column(
        "audit_entry",
        sa.Column(
            "partner_id", sa.BigInteger(), server_default=sa.text("coalesce(current_partner(), 1)"), nullable=False
        ),
    )
    op.create_index(op.f("ix_audit_entry_partner_id"), "audit_entry", ["partner_id"], unique=False)
    for table in OWN:
        confinement.confine(op, table)
    confinement.confine(op, "partner", column="id")
    for table, visible in NARROW.items():
        confinement.narrow(op, table, visible)
    confinement.close(op, *CLOSED)
    confinement.open_to_all(op, *OPEN)
    op.execute("GRANT UPDATE (preferences) ON admin TO sync_partner")


def downgrade() -> None:
    confinement.release(op, (*OWN, "partner", *NARROW, *CLOSED, *OPEN))
    op.execute("REVOKE UPDATE (preferences) ON admin FROM sync_partner")
    op.drop_index(op.f("ix_audit_entry_partner_id"), table_name="audit_entry")
    op.drop_column("audit_entry", "partner_id")
