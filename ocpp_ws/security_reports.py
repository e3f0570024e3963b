"""SecurityEventNotification and SignCertificate, which all versions of OCPP have in common.

OCPP 1.6 security whitepaper, edition 2, A04 and A02; OCPP 2.0.1 part 2, 1.49 and 1.57.
"""

from __future__ import annotations

from typing import Any

from app.charging.security import certificates
from app.charging.security import passwords as station_security
from ocpp_ws.connection import StationConnection
from ocpp_ws.served import now_of, served
from ocpp_ws.timestamps import moment

MAX_TYPE, MAX_INFO = 60, 255


def security_event_notification(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Keep what the station reports, also of types nobody knows."""
    of, now = served(connection), now_of(connection)
    info = str(payload.get("techInfo") or "").replace("\x00", "")[:MAX_INFO]
    station_security.record_event(
        of.writer,
        station_security.SecurityReport(
            charge_point_id=of.station.id,
            partner_id=of.station.partner_id,
            received_at=now,
            happened_at=moment(payload.get("timestamp"), now),
            type=str(payload["type"]).replace("\x00", "")[:MAX_TYPE],
            info=info or None,
        ),
    )
    return {}


def sign_certificate(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Say whether the request is in order. The certificate is sent later: no handler may call the station."""
    of, now = served(connection), now_of(connection)
    csr = str(payload["csr"])
    accepted = of.transact(lambda session: certificates.record_request(session, station=of.station, csr=csr, now=now))
    return {"status": "Accepted" if accepted else "Rejected"}
