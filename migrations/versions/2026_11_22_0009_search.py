"""one search document per record, and one row per term of it

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op

from app.core import confinement
from app.search import ddl
from app.search.ddl import KindSource

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TAGS_OF = (
    "(SELECT string_agg(concat_ws(' ', search_code(t.tag_id), search_code(t.card_no)), ' ' ORDER BY t.id)"
    " FROM rfid_tag t WHERE t.user_id = r.id)"
)
_DRIVER = "(SELECT search_terms(u.first_name, u.last_name, u.email) FROM user_account u WHERE u.id = r.user_id)"
_DRIVER_OF = "SELECT u.id FROM user_account u WHERE u.id IN (SELECT t.user_id FROM {} t WHERE t.id = ANY (ids))"

KINDS = (
    KindSource(
        1,
        "location",
        "location",
        title="search_terms(search_texts(r.name))",
        other="search_terms(r.city, r.postcode, replace(r.postcode, ' ', ''), r.region, search_texts(r.address),"
        " r.what3words)",
        owners="SELECT c.partner_id FROM charge_point c JOIN charging_zone z ON z.id = c.zone_id"
        " WHERE z.location_id = r.id AND c.partner_id <> 1",
    ),
    KindSource(
        2,
        "charging_zone",
        "charging_zone",
        title="search_terms(r.name, search_texts(r.title))",
        other="(SELECT search_terms(search_texts(l.name), l.city, l.postcode) FROM location l"
        " WHERE l.id = r.location_id)",
        owners="SELECT c.partner_id FROM charge_point c WHERE c.zone_id = r.id AND c.partner_id <> 1",
        parents=(
            "SELECT l.id FROM location l WHERE l.id IN"
            " (SELECT z.location_id FROM charging_zone z WHERE z.id = ANY (ids))",
        ),
    ),
    KindSource(
        3,
        "charge_point",
        "charge_point",
        title="search_terms(r.name, r.identifier)",
        other="(SELECT concat_ws(' ', search_terms(z.name, search_texts(l.name), l.city,"
        " CASE WHEN p.is_house THEN '' ELSE p.name END, s.vendor, s.model, s.serial_number, s.meter_serial_number,"
        " s.iccid, s.imsi, e.codes), search_end(r.identifier), search_end(s.serial_number),"
        " search_end(s.meter_serial_number), search_end(s.iccid),"
        " e.ends) FROM charging_zone z JOIN location l ON l.id = z.location_id JOIN partner p ON p.id = r.partner_id"
        " LEFT JOIN charge_point_state s ON s.charge_point_id = r.id CROSS JOIN LATERAL ("
        "SELECT string_agg(v.code, ' ' ORDER BY v.id) AS codes, string_agg(search_end(v.code), ' ' ORDER BY v.id)"
        " AS ends FROM evse v WHERE v.charge_point_id = r.id) e WHERE z.id = r.zone_id)",
        owners="SELECT r.partner_id WHERE r.partner_id <> 1",
        parents=(
            "SELECT l.id FROM location l WHERE l.id IN (SELECT z.location_id FROM charging_zone z WHERE z.id IN"
            " (SELECT c.zone_id FROM charge_point c WHERE c.id = ANY (ids)))",
            "SELECT z.id FROM charging_zone z WHERE z.id IN"
            " (SELECT c.zone_id FROM charge_point c WHERE c.id = ANY (ids))",
            "SELECT p.id FROM partner p WHERE NOT p.is_house AND p.id IN"
            " (SELECT c.partner_id FROM charge_point c WHERE c.id = ANY (ids))",
        ),
    ),
    KindSource(
        4,
        "evse",
        "evse",
        title="search_terms(r.code)",
        other="(SELECT concat_ws(' ', search_terms(c.name, c.identifier), search_end(r.code)) FROM charge_point c"
        " WHERE c.id = r.charge_point_id)",
        owners="SELECT r.partner_id WHERE r.partner_id <> 1",
        parents=(
            "SELECT c.id FROM charge_point c WHERE c.id IN"
            " (SELECT v.charge_point_id FROM evse v WHERE v.id = ANY (ids))",
        ),
    ),
    KindSource(
        5,
        "user",
        "user_account",
        title="search_terms(r.first_name, r.last_name, r.email)",
        other="concat_ws(' ', search_code(r.phone), search_end(r.phone), search_terms(r.phone, r.company, r.vat_no),"
        f" {_TAGS_OF})",
    ),
    KindSource(
        6,
        "rfid_tag",
        "rfid_tag",
        title="concat_ws(' ', search_code(r.tag_id), search_terms(r.card_no))",
        other=f"concat_ws(' ', search_end(r.tag_id), search_end(r.card_no), {_DRIVER})",
        parents=(_DRIVER_OF.format("rfid_tag"),),
    ),
    KindSource(
        7,
        "voucher",
        "voucher",
        title="search_code(r.code)",
        other=f"concat_ws(' ', search_end(r.code), search_terms(left(r.description, 200)), {_DRIVER})",
        parents=(_DRIVER_OF.format("voucher"),),
    ),
    KindSource(8, "tariff", "tariff", title="search_terms(r.name)"),
    KindSource(9, "tariff_group", "tariff_group", title="search_terms(r.name)"),
    KindSource(10, "user_group", "user_group", title="search_terms(r.name)"),
    KindSource(
        11,
        "receipt",
        "receipt",
        title="search_terms(r.full_number)",
        other=f"concat_ws(' ', search_end(r.full_number), search_terms(r.recipient), {_DRIVER})",
        parents=(_DRIVER_OF.format("receipt"),),
    ),
    KindSource(
        12,
        "partner",
        "partner",
        title="search_terms(r.name, r.company_name)",
        other="concat_ws(' ', search_terms(r.registration_no, r.vat_no, r.contact_email, r.contact_phone),"
        " search_end(r.registration_no), search_end(r.vat_no), search_end(r.contact_phone))",
        where="NOT r.is_house",
    ),
)

_ITSELF = "SELECT r.id"
WATCHED = {
    "location": (
        ("name", "city", "postcode", "region", "address", "what3words"),
        {
            "location": _ITSELF,
            "charging_zone": "SELECT z.id FROM charging_zone z WHERE z.location_id = r.id",
            "charge_point": "SELECT c.id FROM charge_point c JOIN charging_zone z ON z.id = c.zone_id"
            " WHERE z.location_id = r.id",
        },
    ),
    "charging_zone": (
        ("name", "title", "location_id"),
        {
            "location": "SELECT r.location_id",
            "charging_zone": _ITSELF,
            "charge_point": "SELECT c.id FROM charge_point c WHERE c.zone_id = r.id",
        },
    ),
    "charge_point": (
        ("name", "identifier", "zone_id", "partner_id"),
        {
            "location": "SELECT z.location_id FROM charging_zone z WHERE z.id = r.zone_id",
            "charging_zone": "SELECT r.zone_id",
            "charge_point": _ITSELF,
            "evse": "SELECT v.id FROM evse v WHERE v.charge_point_id = r.id",
        },
    ),
    "evse": (
        ("code", "charge_point_id", "partner_id"),
        {"charge_point": "SELECT r.charge_point_id", "evse": _ITSELF},
    ),
    "user_account": (
        ("first_name", "last_name", "email", "phone", "company", "vat_no"),
        {
            "user": _ITSELF,
            "rfid_tag": "SELECT t.id FROM rfid_tag t WHERE t.user_id = r.id",
            "voucher": "SELECT v.id FROM voucher v WHERE v.user_id = r.id",
            "receipt": "SELECT p.id FROM receipt p WHERE p.user_id = r.id",
        },
    ),
    "rfid_tag": (("tag_id", "card_no", "user_id"), {"user": "SELECT r.user_id", "rfid_tag": _ITSELF}),
    "voucher": (("code", "description", "user_id"), {"voucher": _ITSELF}),
    "tariff": (("name",), {"tariff": _ITSELF}),
    "tariff_group": (("name",), {"tariff_group": _ITSELF}),
    "user_group": (("name",), {"user_group": _ITSELF}),
    "receipt": (("full_number", "recipient", "user_id"), {"receipt": _ITSELF}),
    "partner": (
        ("name", "company_name", "registration_no", "vat_no", "contact_email", "contact_phone"),
        {"partner": _ITSELF, "charge_point": "SELECT c.id FROM charge_point c WHERE c.partner_id = r.id"},
    ),
}
#: what stations say of themselves when they boot
SAID_AT_BOOT = ("vendor", "model", "serial_number", "meter_serial_number", "iccid", "imsi")


def upgrade() -> None:
    op.create_table(
        "search_document",
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("partner_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "record_id", "partner_id", name="pk_search_document"),
    )
    op.create_table(
        "search_term",
        sa.Column("partner_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("rank", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("term", sa.Text(collation="C"), nullable=False),
        sa.Column("record_id", sa.BigInteger(), autoincrement=False, nullable=False),
    )
    op.create_index("ix_search_term", "search_term", ["partner_id", "kind", "rank", "term", "record_id"])
    # not confine: staff that acts on behalf of a partner changes what staff finds, too
    for table in ("search_document", "search_term"):
        confinement.narrow(op, table, "partner_id = current_partner()")
    ddl.add_functions(op)
    for kind in KINDS:
        ddl.add_kind(op, kind)
    for table, (columns, touches) in WATCHED.items():
        ddl.watch(op, table, columns, touches)
    ddl.watch_often_updated(op, "charge_point_state", SAID_AT_BOOT, "charge_point", "charge_point_id")


def downgrade() -> None:
    op.execute("DROP TRIGGER search_update ON charge_point_state")
    op.execute("DROP FUNCTION search_watch_charge_point_state()")
    for table in WATCHED:
        ddl.unwatch(op, table)
    for kind in KINDS:
        ddl.drop_kind(op, kind.name)
    ddl.drop_functions(op)
    op.drop_table("search_term")
    op.drop_table("search_document")
