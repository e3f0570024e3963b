"""NotifyReport (OCPP 2.0.1 part 2, block B): the device model comes in parts, and is kept when the last has come."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from app.charging.upkeep.configuration import Report, keep_report
from app.charging.upkeep.device_model import MOST_VARIABLES, keep_descriptions
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.device_model import PASSWORD, described, reported_keys
from ocpp_ws.v201.parts import Wanted, gather, wanted_by


def notify_report(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Gather a part; keep the whole when no more is to come.

    Only a full inventory of which no part is missing says that what it does not name is not there.
    """
    of = served(connection)
    found = gather(of, "report", payload, payload.get("reportData") or (), most=MOST_VARIABLES)
    if found is None:
        return {}
    station, now = of.station, now_of(connection)
    everything = found.whole and bool(found.entries) and wanted_by(payload["requestId"]) is Wanted.FULL
    keys = [entry for entry in reported_keys(found.entries) if entry["key"] != PASSWORD]
    descriptions = described(found.entries)

    def keep(session: Session) -> None:
        keep_report(session, station.id, station.partner_id, Report(keys, whole=everything), now=now)
        keep_descriptions(
            session,
            charge_point_id=station.id,
            partner_id=station.partner_id,
            described=descriptions,
            whole=everything,
            now=now,
        )

    of.transact(keep)
    return {}
