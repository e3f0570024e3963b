"""Certificates (OCPP 2.0.1 part 2, blocks A and M): the station's own, and those that we have no authority for."""

from __future__ import annotations

from typing import Any

from ocpp_ws import security_reports
from ocpp_ws.connection import StationConnection

STATION_CERTIFICATE = "ChargingStationCertificate"


def sign_certificate(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    """Take the request for the station's own certificate. Those for ISO 15118 need an authority that we are not."""
    if payload.get("certificateType", STATION_CERTIFICATE) != STATION_CERTIFICATE:
        return {"status": "Rejected", "statusInfo": {"reasonCode": "UnsupportedRequest"}}
    return security_reports.sign_certificate(connection, payload)


def get_ev_certificate(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Get15118EVCertificate: contract certificates are installed by a mobility operator, of which there is none."""
    return {"status": "Failed", "exiResponse": "", "statusInfo": {"reasonCode": "UnsupportedRequest"}}


def get_certificate_status(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """GetCertificateStatus: nobody is asked for the station whether a certificate was revoked."""
    return {"status": "Failed", "statusInfo": {"reasonCode": "UnsupportedRequest"}}
