"""The network password and certificates (OCPP 2.0.1 part 2, blocks A and M)."""

from __future__ import annotations

from app.charging.commands import Answer, CommandName
from app.core.models import ActionStatus
from ocpp_ws.common_calls import read_deletion
from ocpp_ws.outgoing import Outgoing, Payload
from ocpp_ws.v201.device_model import PASSWORD
from ocpp_ws.v201.outgoing.upkeep import read_set, set_variable

_USES = {
    "central_system_root": "CSMSRootCertificate",
    "manufacturer_root": "ManufacturerRootCertificate",
}


def _read_certificates(response: Payload) -> Answer:
    """NotFound is an answer too: there are none."""
    chains = response.get("certificateHashDataChain") or []
    found = [chain["certificateHashData"] for chain in chains if isinstance(chain.get("certificateHashData"), dict)]
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
        "GetInstalledCertificateIds", lambda r: {"certificateType": [_USES[r["use"]]]}, _read_certificates
    ),
    CommandName.CHANGE_PASSWORD: Outgoing("SetVariables", lambda r: set_variable(PASSWORD, r["value"]), read_set),
    CommandName.SEND_CERTIFICATE: Outgoing(
        "CertificateSigned",
        lambda r: {"certificateChain": r["chain"], "certificateType": "ChargingStationCertificate"},
    ),
}
