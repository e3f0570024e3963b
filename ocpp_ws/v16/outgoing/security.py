"""The network password and certificates (OCPP 1.6 security whitepaper, 2.2 and 4.3 to 4.7)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import read_deletion
from ocpp_ws.outgoing import Outgoing, Payload

_USES = {
    "central_system_root": "CentralSystemRootCertificate",
    "manufacturer_root": "ManufacturerRootCertificate",
}


def _read_certificates(response: Payload) -> Answer:
    """NotFound is an answer too: there are none."""
    found = response.get("certificateHashData") or []
    return Answer(ActionStatus.ANSWERED, response, facts={"certificates": found})


MESSAGES: dict[CommandName, Outgoing] = {
    CommandName.INSTALL_CERTIFICATE: Outgoing(
        "InstallCertificate", lambda r: {"certificateType": _USES[r["use"]], "certificate": r["pem"]}
    ),
    CommandName.DELETE_CERTIFICATE: Outgoing(
        "DeleteCertificate",
        lambda r: {"certificateHashData": r["hash_data"]},
        read_deletion,
    ),
    CommandName.GET_CERTIFICATES: Outgoing(
        "GetInstalledCertificateIds", lambda r: {"certificateType": _USES[r["use"]]}, _read_certificates
    ),
    CommandName.CHANGE_PASSWORD: Outgoing(
        "ChangeConfiguration", lambda r: {"key": "AuthorizationKey", "value": r["value"]}
    ),
    CommandName.SEND_CERTIFICATE: Outgoing("CertificateSigned", lambda r: {"certificateChain": r["chain"]}),
}
