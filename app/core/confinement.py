"""Row-level security as migrations write it: which rows of a table a partner's admin may see. docs/adr/0017.

For each table that partners may read at all: ``confine`` (rows of its own), ``narrow`` (rows that hang from its own),
``close`` (the right to ask, and no row: a page shared with staff joins it and finds nothing), ``open_to_all``
(what is nobody's: currencies). A table of which nothing is said here is not readable by partners.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: nothing, or only rows of the partner on whose behalf something is done
_ON_BEHALF = "current_partner() IS NULL OR {column} = current_partner()"


def _secure(op: Any, table: str, own: str) -> None:
    op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.execute(f'CREATE POLICY partner_own ON "{table}" TO sync_partner USING ({own}) WITH CHECK ({own})')


def confine(op: Any, table: str, *, column: str = "partner_id", rights: str = "SELECT") -> None:
    """Partners see and write rows whose ``column`` is theirs; ``rights`` say which of that they have at all.

    Staff sees everything, and writes everything except while it acts on behalf of a partner: then rows of that
    partner only. The owner, who runs migrations, is bound to nothing.
    """
    _secure(op, table, f"{column} = current_partner()")
    allowed = _ON_BEHALF.format(column=column)
    op.execute(f'CREATE POLICY staff_read ON "{table}" FOR SELECT TO sync_staff USING (true)')
    op.execute(f'CREATE POLICY staff_insert ON "{table}" FOR INSERT TO sync_staff WITH CHECK ({allowed})')
    op.execute(f'CREATE POLICY staff_update ON "{table}" FOR UPDATE TO sync_staff USING ({allowed})')
    op.execute(f'CREATE POLICY staff_delete ON "{table}" FOR DELETE TO sync_staff USING ({allowed})')
    op.execute(f'CREATE POLICY owner_all ON "{table}" TO sync_owner USING ({allowed})')
    op.execute(f'GRANT {rights} ON "{table}" TO sync_partner')


def narrow(op: Any, table: str, visible: str) -> None:
    """Partners see the rows for which ``visible`` holds, and write none.

    For tables without an owner of their own: ``id IN (SELECT zone_id FROM charge_point WHERE partner_id =
    current_partner())``, asked once per statement. Direct comparison (``confine``) is quicker where there is a column.
    """
    _secure(op, table, visible)
    op.execute(f'CREATE POLICY staff_all ON "{table}" TO sync_staff USING (true)')
    op.execute(f'CREATE POLICY owner_all ON "{table}" TO sync_owner USING (true)')
    op.execute(f'GRANT SELECT ON "{table}" TO sync_partner')


def close(op: Any, *tables: str) -> None:
    """Partners may ask these tables and find nothing."""
    for table in tables:
        narrow(op, table, "false")


def open_to_all(op: Any, *tables: str) -> None:
    """Partners may read every row: for what is nobody's. Each stands on the test's allow-list with its reason."""
    for table in tables:
        op.execute(f'GRANT SELECT ON "{table}" TO sync_partner')


def release(op: Any, tables: Iterable[str]) -> None:
    """Undo any of the above, for downgrades."""
    for table in tables:
        for policy in ("partner_own", "staff_read", "staff_insert", "staff_update", "staff_delete", "staff_all",
                       "owner_all"):  # fmt: skip
            op.execute(f'DROP POLICY IF EXISTS {policy} ON "{table}"')
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
        op.execute(f'ALTER TABLE "{table}" DISABLE ROW LEVEL SECURITY')
        op.execute(f'REVOKE ALL ON "{table}" FROM sync_partner')
