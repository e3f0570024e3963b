"""Importing users and their cards from a CSV: what the file may say, and how it is read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import selectinload

from admin_views.widgets import file_import
from app.core.clock import utcnow
from app.core.db import allow_minutes
from app.core.import_plan import Plan
from app.crm import imports
from app.crm.import_columns import READ_ONLY, TAG, USER
from app.crm.models import User


class UserImportPages(file_import.ImportPages):
    """Joined into the users' view."""

    file_import = file_import.FileImport(
        permission="crm.user.import",
        one="user",
        notes=(
            "One line is one RFID tag. The user's own columns stand in the user's first line and may be repeated in "
            "the others; a user without a tag has one line. Columns may be left out and come in any order.",
            "A user is found by e-mail address, a tag by its Tag ID, both regardless of case. Users, tags and groups "
            "that the file does not name stay as they are. Nothing is ever deleted, and balances are not imported.",
        ),
        columns=(("User", USER), ("RFID Tag", TAG)),
        read_only=READ_ONLY,
        example=imports.examples,
        template_name="users-template.csv",
        asks_reason=True,
    )

    def plan_import(self: Any, data: bytes) -> Plan:
        """What the file would do."""
        return imports.preview_import(self.db_session(), data=data)

    def do_import(self: Any, data: bytes, *, digest: str, reason: str) -> Plan:
        """Do what was previewed."""
        plan, _ = imports.apply_import(
            self.db_session(),
            data=data,
            previewed=digest,
            reason=reason,
            actor=file_import.signed_in_admin(),
            now=utcnow(),
        )
        return plan

    def import_rows(self: Any) -> Iterator[list[Any]]:
        """Every user whose data was not erased, a line for each tag."""
        session = self.db_session
        query = (
            self.get_query()
            .filter(User.erased_at.is_(None))
            .order_by(User.id)
            .options(selectinload(User.groups), selectinload(User.rfid_tags))
        )

        def rows() -> Iterator[list[Any]]:
            try:
                allow_minutes(session, 15)
                for user in query.yield_per(500):
                    yield from imports.rows_of(user)
            finally:
                session.close()

        return rows()
