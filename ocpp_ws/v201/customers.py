"""What stations tell about customers when asked (OCPP 2.0.1 part 2, N09)."""

from __future__ import annotations

from typing import Any, Final

from app.charging.upkeep.customer_information import keep_answer
from app.charging.upkeep.device_events import clean
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.v201.parts import gather

#: parts of a report, of 512 characters each
MOST_PARTS: Final = 1_000


def notify_customer_information(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """NotifyCustomerInformation: gather a part; keep the text when no more is to come.

    What was not asked for is nothing to be kept about anybody.
    """
    of, now = served(connection), now_of(connection)
    found = gather(of, "customers", payload, [clean(payload["data"])], most=MOST_PARTS)
    if found is None:
        return {}
    question = int(payload["requestId"])
    of.transact(
        lambda session: keep_answer(
            session,
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            question=question if 0 < question < 2**31 else 0,
            parts=found.entries,
            whole=found.whole,
            now=now,
        )
    )
    return {}
