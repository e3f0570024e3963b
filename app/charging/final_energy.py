"""The energy of a session once the station has said its last register.

The register at the stop is the meter's own final word, and the meter is the calibrated instrument in a station; its
clock is not. So the energy is stop minus start, as every driver can check it on the display, unless that
cannot be: then the ladder of ``registers`` decides, reading by reading.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from app.charging.registers import NormalisedReading, RegisterFlag, RegisterState, normalise_reading

#: More than any car takes in one charge: beyond it a difference the EVSE cannot have delivered is a wrong register.
PLAUSIBLE_WH = Decimal(150_000)


def final_reading(
    state: RegisterState, *, raw_wh: Decimal, at: datetime, max_power_w: int | None, restarted: bool
) -> NormalisedReading:
    """What the register at the stop (Wh, UTC) makes of the session's energy.

    ``restarted``: the register began anew during the session, so that stop minus start means nothing. A difference
    beyond what the EVSE can deliver in the time is taken up to 150 kWh, and flagged: the station's clock is less
    reliable than its meter, and the power in the EVSE's settings is not enforced (manual, "EVSE", 5). Beyond that, or
    below zero, the ladder decides. docs/adr/0007-energy-at-the-stop.md.
    """
    judged = normalise_reading(state, raw_wh=raw_wh, at=max(at, state.at), max_power_w=max_power_w)
    if restarted or state.start_wh is None:
        return judged
    energy_wh = raw_wh - state.start_wh
    if not Decimal(0) <= energy_wh <= PLAUSIBLE_WH:
        return judged
    if judged.taken and judged.state.energy_wh == energy_wh:
        return judged
    after = replace(state, raw_wh=raw_wh, offset_wh=Decimal(0), at=max(at, state.at), doubted=None, before_restart=None)
    return NormalisedReading(after.register_wh, True, (*judged.flags, RegisterFlag.STOP_DECIDED), after)
