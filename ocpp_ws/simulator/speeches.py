"""The versions of OCPP the simulator speaks."""

from __future__ import annotations

from collections.abc import Mapping

from ocpp_ws.simulator.makes import Version
from ocpp_ws.simulator.speech import Speech
from ocpp_ws.simulator.v16 import Speech16
from ocpp_ws.simulator.v201 import Speech201

SPEECHES: Mapping[Version, Speech] = {"ocpp1.6": Speech16(), "ocpp2.0.1": Speech201()}
