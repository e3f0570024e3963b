"""Frames as a station sends them, prepared so that sending one costs the load generator next to nothing.

Every variable part has a fixed width. The mask is zero, which the protocol allows: the server
unmasks as ever, and the client is spared the work.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

METER_VALUES_BYTES = 1024
_POWER_W = 7000.0
_FIRST_REGISTER_WH = 10_000_000.0


class Clock:
    """Timestamps in milliseconds, formatted once each."""

    def __init__(self) -> None:
        self._at_ms = 0
        self._text = b""

    def text(self) -> bytes:
        """Now, as 24 bytes of ISO 8601."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms != self._at_ms:
            self._at_ms = now_ms
            moment = datetime.fromtimestamp(now_ms / 1000, UTC)
            self._text = moment.strftime("%Y-%m-%dT%H:%M:%S.").encode() + b"%03dZ" % (now_ms % 1000)
        return self._text


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A masked websocket frame with a zero mask."""
    size = len(payload)
    long = size >= 126
    head = bytes((0x80 | opcode, 0xFE if long else 0x80 | size))
    return head + (size.to_bytes(2, "big") if long else b"") + b"\0\0\0\0" + payload


def call_frame(message_id: str, action: str, payload: dict[str, object]) -> bytes:
    """Any call, built the slow way; for what comes before the measurement."""
    return frame(json.dumps([2, message_id, action, payload], separators=(",", ":")).encode())


class Heartbeats:
    """A station's heartbeats."""

    action = "Heartbeat"

    def next(self, number: int) -> bytes:
        """The frame with this message number (8 digits)."""
        return frame(b'[2,"%08d","Heartbeat",{}]' % number)


class MeterValues:
    """A station's meter values of 1 KiB: register, power, currents, voltages and temperature, 7 kW flowing."""

    action = "MeterValues"

    def __init__(self, transaction_id: int, clock: Clock) -> None:
        self._clock = clock
        self._began_s = time.monotonic()
        before_time = (
            b'","MeterValues",{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"' % transaction_id
        )
        before_energy = b'","sampledValue":[{"value":"'
        rest = _after_energy()
        fixed = len(b'[2,"') + 8 + len(before_time) + 24 + len(before_energy) + 12 + len(rest)
        # White space between elements is no content: it fills the frame up to its size.
        rest = rest.replace(b"},{", b"}," + b" " * (METER_VALUES_BYTES - fixed) + b"{", 1)
        self._head = frame(b" " * METER_VALUES_BYTES)[:8] + b'[2,"'
        self._before_time, self._before_energy, self._rest = before_time, before_energy, rest

    def next(self, number: int) -> bytes:
        """The frame with this message number (8 digits), the time of now and the register of now."""
        energy_wh = _FIRST_REGISTER_WH + (time.monotonic() - self._began_s) * _POWER_W / 3600.0
        return b"".join(
            (
                self._head,
                b"%08d" % number,
                self._before_time,
                self._clock.text(),
                self._before_energy,
                b"%012.3f" % energy_wh,
                self._rest,
            )
        )


def _after_energy() -> bytes:
    samples = [
        {"value": "7000.0", "measurand": "Power.Active.Import", "unit": "W", "context": "Sample.Periodic"},
        *(
            {"value": "10.14", "measurand": "Current.Import", "unit": "A", "phase": phase, "location": "Outlet"}
            for phase in ("L1", "L2", "L3")
        ),
        *(
            {"value": "230.1", "measurand": "Voltage", "unit": "V", "phase": phase, "location": "Outlet"}
            for phase in ("L1-N", "L2-N", "L3-N")
        ),
        {"value": "31", "measurand": "Temperature", "unit": "Celsius", "location": "Body"},
        {"value": "16.00", "measurand": "Current.Offered", "unit": "A"},
    ]
    rest = json.dumps(samples, separators=(",", ":"))[1:]
    return (
        '","measurand":"Energy.Active.Import.Register","unit":"Wh","context":"Sample.Periodic"},' + rest + "}]}]"
    ).encode()
