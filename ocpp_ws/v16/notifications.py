"""Messages that need no more than an answer (OCPP 1.6, 4.4 and 4.5): the communication log keeps what they say.

Stations send them by themselves, and when they are asked to by TriggerMessage; without an answer some repeat them.
"""

from __future__ import annotations

from typing import Any

from ocpp_ws.connection import StationConnection


def confirm(_connection: StationConnection, _payload: dict[str, Any]) -> dict[str, Any]:
    """Confirm a firmware or diagnostics status."""
    return {}
