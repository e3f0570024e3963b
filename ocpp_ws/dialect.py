"""One version of OCPP as the gateway needs it: what stations say, and how our commands are said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ocpp_ws.codec import VERSION_OF_SUBPROTOCOL, Version
from ocpp_ws.connection import Handler
from ocpp_ws.outgoing import Messages


@dataclass(frozen=True)
class Dialect:
    """Everything the house knows of a version is in its package; this is what the package gives away."""

    subprotocol: str
    handlers: Mapping[str, Handler]
    messages: Messages

    @property
    def version(self) -> Version:
        """As in the schemas' names."""
        return VERSION_OF_SUBPROTOCOL[self.subprotocol]
