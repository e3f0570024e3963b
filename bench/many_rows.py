"""Ten thousand rows in each list, a million frames in the communication log, by INSERT … SELECT.

Written by the database's owner with triggers and foreign keys off: what the triggers would make is made here.
"""

from __future__ import annotations

import psycopg

from app.search.ddl import fill_sql
from app.search.kinds import MODELS, Kind

#: one exchange in so many is of the one loud station; the others share the rest
LOUD_SHARE = 10

_STATEMENTS = (
    "INSERT INTO location (id, name, latitude, longitude, address, city, postcode, region, country)"
    " SELECT n, jsonb_build_object('en', 'Location ' || n), 42 + n * 0.0001, 23 + n * 0.0001,"
    " jsonb_build_object('en', n || ' Vitosha blvd'), 'City ' || n % 200, '1000', 'Sofia', 'BG'"
    " FROM generate_series(1, {rows}) n",
    "INSERT INTO charging_zone (id, location_id, name) SELECT n, n, 'Zone ' || n FROM generate_series(1, {rows}) n",
    "INSERT INTO charge_point (id, partner_id, zone_id, name, identifier, status, access_type)"
    " SELECT n, 1, n, 'Station ' || n, 'BENCH-' || lpad(n::text, 6, '0'),"
    " (ARRAY['active','active','active','disabled','out_of_order'])[1 + n % 5],"
    " CASE WHEN n % 7 = 0 THEN 'private' ELSE 'public' END FROM generate_series(1, {rows}) n",
    "INSERT INTO charge_point_state (charge_point_id, partner_id, connection, connected, last_seen_at, status, vendor,"
    " model, serial_number, firmware_version)"
    " SELECT n, 1, (ARRAY['available','available','temporarily_unavailable','long_term_unavailable'])[1 + n % 4],"
    " n % 4 < 2, now() - n * interval '1 second', CASE WHEN n % 50 = 0 THEN 'faulted' ELSE 'available' END,"
    " 'Vendor ' || n % 9, 'Model ' || n % 30, 'SN' || n, '1.' || n % 12 FROM generate_series(1, {rows}) n",
    "INSERT INTO evse (id, partner_id, charge_point_id, network_id, code, type, max_power_w)"
    " SELECT n, 1, (n + 1) / 2, 2 - n % 2, 'E' || lpad(n::text, 6, '0'), CASE WHEN n % 3 = 0 THEN 'DC' ELSE 'AC' END,"
    " 22000 FROM generate_series(1, 2 * {rows}) n",
    "INSERT INTO evse_state (evse_id, partner_id, status)"
    " SELECT n, 1, (ARRAY['available','charging','preparing','faulted'])[1 + n % 4]"
    " FROM generate_series(1, 2 * {rows}) n",
    "INSERT INTO connector (partner_id, evse_id, type) SELECT 1, n, 'Type 2' FROM generate_series(1, 2 * {rows}) n",
    "INSERT INTO tag (id, name) SELECT n, 'tag ' || n FROM generate_series(1, {rows}) n",
    "INSERT INTO evse_tag (evse_id, tag_id) SELECT n, 1 + n % {rows} FROM generate_series(1, 2 * {rows}) n",
    "INSERT INTO user_account (id, email, first_name, last_name)"
    " SELECT n, 'driver' || n || '@bench.example', 'First' || n % 500, 'Last' || n FROM generate_series(1, {rows}) n",
    "INSERT INTO rfid_tag (user_id, tag_id, card_no)"
    " SELECT n, upper(lpad(to_hex(n), 8, '0')), n::text FROM generate_series(1, {rows}) n",
    "INSERT INTO user_group (id, name) SELECT n, 'Group ' || n FROM generate_series(1, {rows}) n",
    "INSERT INTO user_group_member (user_id, user_group_id) SELECT n, 1 + n % 50 FROM generate_series(1, {rows}) n",
    'INSERT INTO "authorization" (id, partner_id, happened_at, source, id_tag, result, reason, user_id,'
    " charge_point_id, evse_id)"
    " SELECT n, 1, now() - n * interval '20 seconds', 'rfid_tag', upper(lpad(to_hex(n % {rows} + 1), 8, '0')),"
    " CASE WHEN n % 10 = 0 THEN 'rejected' ELSE 'accepted' END, CASE WHEN n % 10 = 0 THEN 'unknown_id_tag' END,"
    " 1 + n % {rows}, 1 + n % {rows}, 2 * (1 + n % {rows}) FROM generate_series(1, {rows}) n",
    "INSERT INTO charging_session (id, partner_id, charge_point_id, evse_id, user_id, authorization_id, id_tag, source,"
    " status, payment_status, created_at, started_at, stopped_at, energy_wh, currency, total_gross, total_net,"
    " total_vat)"
    " SELECT n, 1, 1 + n % {rows}, 2 * (1 + n % {rows}), 1 + n % {rows}, n, 'TAG', 'rfid_tag', 'finished', 'paid',"
    " now() - n * interval '20 seconds', now() - n * interval '20 seconds' - interval '1 hour',"
    " now() - n * interval '20 seconds', n % 40000, 'EUR', 12.00, 10.00, 2.00 FROM generate_series(1, {rows}) n",
    "INSERT INTO transaction (id, partner_id, created_at, type, status, amount, currency, user_id, session_id,"
    " processor, idempotency_key) SELECT n, 1, now() - n * interval '20 seconds', 'charge', 'succeeded', 12.00, 'EUR',"
    " 1 + n % {rows}, n, 'balance', 'bench:' || n FROM generate_series(1, {rows}) n",
    "INSERT INTO action (id, partner_id, created_at, name, target_type, target_id, target_label, charge_point_id,"
    " reason, status, initiated_by, command) SELECT n, 1, now() - n * interval '20 seconds', 'Reset', 'charge_point',"
    " 1 + n % {rows}, 'Station', 1 + n % {rows}, 'It hangs', 'accepted', 'Olga', 'reset'"
    " FROM generate_series(1, {rows}) n",
    "INSERT INTO reservation (id, partner_id, charge_point_id, evse_id, user_id, id_tag, status, created_at,"
    " expires_at) SELECT n, 1, 1 + n % {rows}, 2 * (1 + n % {rows}), 1 + n % {rows}, 'TAG', 'expired',"
    " now() - n * interval '20 seconds', now() - n * interval '20 seconds' + interval '15 minutes'"
    " FROM generate_series(1, {rows}) n",
    "INSERT INTO unknown_station (identifier, reason, attempts, first_seen_at, last_seen_at)"
    " SELECT 'NEW-' || n, 'unknown charge point', n, now() - interval '1 day', now() - n * interval '1 second'"
    " FROM generate_series(1, {rows}) n",
    "INSERT INTO stray_message (at, partner_id, charge_point_id, action, payload, note)"
    " SELECT now() - n * interval '1 second', 1, 1 + n % {rows}, 'StopTransaction', '{{}}'::jsonb, 'no such session'"
    " FROM generate_series(1, {rows}) n",
    "INSERT INTO network_status_log (at, partner_id, charge_point_id, status)"
    " SELECT {since} + n * interval '1 second', 1, 1 + n % {rows}, 'available' FROM generate_series(1, 10 * {rows}) n",
    "INSERT INTO hardware_status_log (at, partner_id, charge_point_id, evse_id, network_id, status)"
    " SELECT {since} + n * interval '1 second', 1, 1 + n % {rows}, 2 * (1 + n % {rows}), 2, 'available'"
    " FROM generate_series(1, {rows}) n",
    "INSERT INTO communication_log (at, partner_id, charge_point_id, direction, kind, message_id, action, payload)"
    " SELECT {since} + n * interval '200 milliseconds', 1, CASE WHEN (n / 2) % {share} = 0 THEN 1"
    " ELSE 2 + (n / 2) % ({rows} - 1) END, CASE WHEN n % 2 = 0 THEN 'in' ELSE 'out' END,"
    " CASE WHEN n % 2 = 0 THEN 'request' WHEN n % 501 = 0 THEN 'error' ELSE 'answer' END, (n / 2)::text,"
    " (ARRAY['Heartbeat','MeterValues','StatusNotification'])[1 + (n / 2) % 3], repeat('x', 150) || n"
    " FROM generate_series(0, {frames} - 1) n",
)
_TABLES = (
    "location", "charging_zone", "charge_point", "evse", "tag", "user_account", "user_group", "authorization",
    "charging_session", "transaction", "action", "reservation",
)  # fmt: skip


def fill(url: str, *, rows: int, frames: int) -> None:
    """Fill an empty, migrated database; ``url`` is a superuser's."""
    since = "date_trunc('month', now())"
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in _STATEMENTS:
            connection.execute(statement.format(rows=rows, frames=frames, share=LOUD_SHARE, since=since))
        for table in _TABLES:
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), (SELECT max(id) FROM \"{table}\"))"
            )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        for kind in Kind:
            connection.execute(fill_sql(kind.name.lower(), MODELS[kind].__tablename__))
        connection.execute("VACUUM ANALYZE")
