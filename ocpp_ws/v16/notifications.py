"""Messages that need no more than an answer: the communication log keeps what they say.

OCPP 1.6, 4.4 and 4.5; its security white paper, 4.4 to 4.6 and 5. Stations send them by themselves, and when they are
asked to by TriggerMessage; without an answer some repeat them.
"""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection


def confirm(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Confirm a status of firmware, diagnostics or log, or a security event."""
    return {}


def refuse_certificate(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Say that no certificates are signed here."""
    return {"status": "Rejected"}
