"""Importing charge points from a CSV: what the file may say, and how it is read back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from admin_views.widgets import file_import
from app.assets import import_rows, imports
from app.assets.import_columns import EVSE, READ_ONLY, STATION
from app.assets.models import ChargePoint, ChargingZone, Evse
from app.core.db import allow_minutes
from app.core.import_plan import Plan
from app.partners.models import Partner
from app.provisioning.evse_codes import draw_evse_codes
from app.tariffs.models import TariffGroup


class ImportPages(file_import.ImportPages):
    """Joined into the charge points' view."""

    file_import = file_import.FileImport(
        permission="assets.charge_point.import",
        one="charge point",
        notes=(
            "One line is one EVSE. The charge point's own columns stand in its first line and may be repeated in the "
            "others. Columns may be left out and come in any order.",
            "EVSEs that the file does not name stay as they are. Nothing is ever deleted.",
        ),
        columns=(("Charge Point", STATION), ("EVSE", EVSE)),
        read_only=READ_ONLY,
        example=import_rows.examples,
        template_name="charge-points-template.csv",
    )

    def plan_import(self: Any, data: bytes) -> Plan:
        """What the file would do."""
        session = self.db_session()
        return imports.preview_import(
            session, data=data, tariff_groups=_groups(session), secret_key=str(current_app.secret_key)
        )

    def do_import(self: Any, data: bytes, *, digest: str, reason: str) -> Plan:
        """Do what was previewed."""
        session = self.db_session()
        return imports.apply_import(
            session,
            data=data,
            previewed=digest,
            tariff_groups=_groups(session),
            secret_key=str(current_app.secret_key),
            draw_codes=lambda count, taken: draw_evse_codes(session, count, taken),
            actor=file_import.signed_in_admin(),
        )

    def import_rows(self: Any) -> Iterator[list[Any]]:
        """Every charge point, a line for each EVSE."""
        session = self.db_session
        partners, groups = _partners(session), {number: name for name, number in _groups(session).items()}
        query = (
            self.get_query()
            .order_by(ChargePoint.id)
            .options(
                joinedload(ChargePoint.zone).joinedload(ChargingZone.location),
                joinedload(ChargePoint.notice),
                selectinload(ChargePoint.evses).options(selectinload(Evse.connectors), selectinload(Evse.tags)),
            )
        )

        def rows() -> Iterator[list[Any]]:
            try:
                allow_minutes(session, 15)
                for station in query.yield_per(500):
                    yield from import_rows.rows_of(station, partners=partners, tariff_groups=groups)
            finally:
                session.close()

        return rows()


def _groups(session: Any) -> dict[str, int]:
    return {row[0]: row[1] for row in session.execute(select(TariffGroup.name, TariffGroup.id))}


def _partners(session: Any) -> dict[int, str]:
    return {row[0]: row[1] for row in session.execute(select(Partner.id, Partner.name))}
