"""what the tables must always hold: house partner, state rows, an append-only ledger, first currencies

Revision: 0002, after 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATE_TRIGGERS = """
CREATE FUNCTION make_charge_point_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO charge_point_state (charge_point_id, partner_id) VALUES (NEW.id, NEW.partner_id);
  RETURN NULL;
END $$;
CREATE TRIGGER charge_point_has_state AFTER INSERT ON charge_point
  FOR EACH ROW EXECUTE FUNCTION make_charge_point_state();

CREATE FUNCTION make_evse_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO evse_state (evse_id, partner_id) VALUES (NEW.id, NEW.partner_id);
  RETURN NULL;
END $$;
CREATE TRIGGER evse_has_state AFTER INSERT ON evse
  FOR EACH ROW EXECUTE FUNCTION make_evse_state();
"""

CURRENT_PARTNER = """
CREATE FUNCTION current_partner() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT nullif(current_setting('app.partner_id', true), '')::bigint $$;
"""

SEEDS = """
INSERT INTO partner (id, name, is_house) OVERRIDING SYSTEM VALUE VALUES (1, 'Operator', true);
SELECT setval(pg_get_serial_sequence('partner', 'id'), 1);
INSERT INTO currency (code, name, symbol, exponent) VALUES
  ('EUR', 'Euro', '€', 2), ('GBP', 'Pound sterling', '£', 2), ('USD', 'US dollar', '$', 2),
  ('BGN', 'Bulgarian lev', 'лв.', 2), ('MKD', 'Macedonian denar', 'ден', 2), ('TWD', 'New Taiwan dollar', 'NT$', 0);
INSERT INTO vat_rate (name, percent) VALUES ('Standard', 20);
"""


def upgrade() -> None:
    op.execute(STATE_TRIGGERS)
    op.execute(CURRENT_PARTNER)
    op.execute("GRANT EXECUTE ON FUNCTION current_partner() TO sync_staff, sync_partner")
    op.execute("ALTER TABLE charge_point_state SET (fillfactor = 50)")
    op.execute("ALTER TABLE evse_state SET (fillfactor = 50)")
    op.execute("ALTER TABLE charging_session SET (fillfactor = 80)")
    # what is written in these tables stays written
    op.execute("REVOKE UPDATE, DELETE ON ledger_entry, audit_entry FROM sync_staff")
    op.execute(SEEDS)


def downgrade() -> None:
    op.execute("DROP TRIGGER charge_point_has_state ON charge_point")
    op.execute("DROP TRIGGER evse_has_state ON evse")
    for function in ("make_charge_point_state", "make_evse_state", "current_partner"):
        op.execute(f"DROP FUNCTION {function}()")
    op.execute("GRANT UPDATE, DELETE ON ledger_entry, audit_entry TO sync_staff")
    for table in ("vat_rate", "currency", "partner"):
        op.execute(f"DELETE FROM {table}")
