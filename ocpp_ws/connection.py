"""One station's conversation: its calls are dispatched, ours are correlated, nothing is ever in two hands.

The reader greenlet runs `StationConnection.run`: it dispatches the station's CALLs inline, in order, and hands
replies to whoever waits in `call`, which runs in any other greenlet. So a station may send a CALL of its own
before it answers ours, and no handler may call the station. What all connections of a protocol version share
(handlers, hooks) is one `StationHooks`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

import gevent
import structlog
from gevent.event import AsyncResult
from gevent.lock import Semaphore
from geventwebsocket.exceptions import WebSocketError

from ocpp_ws import codec, framing
from ocpp_ws.codec import Call, CallError, CallResult, Deviation, FrameFault, HardFault, Payload, Version
from ocpp_ws.tolerance import tolerate
from ocpp_ws.websocket import StationSocket

Handler = Callable[["StationConnection", Payload], Payload | None]
FrameKind = Literal["call", "result", "error", "invalid"]
LogFrame = Callable[["StationConnection", Literal["in", "out"], str | None, str | None, FrameKind, str], None]
LateReply = Callable[["StationConnection", str, str | None, CallResult | CallError], None]
DeviationHook = Callable[["StationConnection", str, list[Deviation]], None]

_Value = TypeVar("_Value")
_REMEMBERED_ANSWERS: Final = 4
_REMEMBERED_TIMEOUTS: Final = 8
_LONGEST_REMEMBERED_ANSWER_CHARS: Final = 1024
_MAX_INVALID_FRAMES_IN_A_ROW: Final = 50
_logger = structlog.get_logger("ocpp_ws.connection")


class NotConnected(Exception):
    """The station's connection has ended, before or while it was asked something."""


class CallTimedOut(Exception):
    """No answer in time. `sent` is False when the call still waited for an earlier one: it was never sent."""

    def __init__(self, action: str, *, sent: bool) -> None:
        super().__init__(f"{action}: no answer in time")
        self.action = action
        self.sent = sent


class StationCallError(Exception):
    """The station answered our call with a CALLERROR, or with something that is no answer."""

    def __init__(self, code: str, description: str, details: Payload | None = None) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.details = details or {}


class InvalidPayload(ValueError):
    """What we were about to send breaks the schema; nothing was sent."""

    def __init__(self, action: str, fault: codec.SchemaFault) -> None:
        super().__init__(f"{action}: {fault.path or 'payload'}: {fault.detail}")
        self.action = action
        self.fault = fault


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _ignore(*_: object) -> None:
    """A hook nobody listens to."""


@dataclass(frozen=True, slots=True)
class StationHooks:
    """What the connections of one protocol version share. Hooks must return at once: the station waits."""

    version: Version
    handlers: Mapping[str, Handler]
    """Action -> handler. It gets the connection and the normalised payload and returns the answer's payload.
    It runs in the reader, so it may wait for a commit but must not call the station. Raising `HardFault`
    answers with that CALLERROR; any other exception is logged and answered as InternalError."""
    log_frame: LogFrame = _ignore
    """(connection, "in" or "out", message id, action, kind, whole frame as text); action None where unknown."""
    on_late_reply: LateReply = _ignore
    """(connection, message id, action if remembered, reply): an answer nobody waits for any more."""
    on_deviation: DeviationHook = _ignore
    """(connection, action, deviations): what was put up with in one message, for the quirk book."""
    clock: Callable[[], datetime] = field(default=_utc_now)
    strict_out: bool = False
    """Answer InternalError where our answer breaks the schema (tests). In production it is logged and sent: a
    station bears a slip of ours better than an error that makes it repeat its message for ever."""


class StationConnection:
    """One connected station. `state` belongs to the floor above, to remember what it likes with the connection."""

    __slots__ = (
        "_answers",
        "_call_lock",
        "_invalid_frames",
        "_pending",
        "_reader",
        "_timed_out",
        "arrived_at",
        "connection_id",
        "hooks",
        "socket",
        "state",
    )

    def __init__(self, socket: StationSocket, hooks: StationHooks, *, state: Any = None) -> None:
        self.socket = socket
        self.hooks = hooks
        self.state = state
        self.connection_id = uuid.uuid4().hex
        self.arrived_at = hooks.clock()
        """When the message being handled arrived (UTC)."""
        self._reader: Any = None
        self._pending: tuple[str, str, AsyncResult] | None = None
        self._call_lock: Semaphore | None = None
        self._answers: dict[str, tuple[int, str]] | None = None
        self._timed_out: dict[str, str] | None = None
        self._invalid_frames = 0

    @property
    def station_id(self) -> str:
        """The identity in the path, in the case the station used."""
        return str(self.socket.station_id)

    @property
    def is_open(self) -> bool:
        """Whether the socket has not ended yet."""
        return not self.socket.closed

    def kick(self, code: int, reason: str) -> None:
        """End the connection from any greenlet: a newer socket of the same station, a stopping gateway."""
        self.socket.kick(code, reason)

    # ------------------------------------------------------------------ reading

    def run(self) -> None:
        """Read and dispatch until the connection ends. Whoever waits in `call` then gets `NotConnected`."""
        self._reader = gevent.getcurrent()
        receive = self.socket.receive
        try:
            while (message := receive()) is not None:
                self.arrived_at = self.hooks.clock()
                self._on_message(message)
        finally:
            self._reader = None
            self._answers = self._timed_out = None
            if self._pending is not None:
                self._pending[2].set_exception(NotConnected(self.station_id))

    def _on_message(self, message: str | bytes) -> None:
        if isinstance(message, bytes):  # OCPP is text (OCPP-J 1.6, 3.2), but some send it as binary frames
            try:
                message = message.decode()
            except UnicodeDecodeError:
                self.socket.close(framing.UNSUPPORTED_DATA, "text expected")
                return
        try:
            frame = codec.parse_frame(message)
        except FrameFault as fault:
            self._on_invalid_frame(fault, message)
            return
        self._invalid_frames = 0
        if type(frame) is Call:
            self._log("in", frame.message_id, frame.action, "call", message)
            self._on_call(frame, message)
        elif type(frame) is CallResult:
            self._on_reply(frame, "result", message)
        elif type(frame) is CallError:
            self._on_reply(frame, "error", message)

    def _on_invalid_frame(self, fault: FrameFault, text: str) -> None:
        """Answer what can be answered; a peer that sends nothing else is not a station."""
        self._log("in", fault.message_id, None, "invalid", text)
        self._invalid_frames += 1
        if fault.kind == "result":
            self._settle(fault.message_id or "", StationCallError(fault.code, fault.description))
        elif fault.kind == "ignored" and self.hooks.version == "1.6":
            pass  # OCPP-J 1.6, 4.1.3: the message is ignored
        else:
            self._send_error(fault.message_id, None, fault.code, fault.description)
        if self._invalid_frames >= _MAX_INVALID_FRAMES_IN_A_ROW:
            self.socket.close(framing.POLICY_VIOLATION, "no OCPP")

    # ------------------------------------------------------------------ the station's calls

    def _on_call(self, call: Call, text: str) -> None:
        """Dispatch one CALL and answer it; exactly one answer whatever happens."""
        message_id, action = call.message_id, call.action
        handler = self.hooks.handlers.get(action)
        if handler is None:
            known = action in codec.known_actions(self.hooks.version)
            code = codec.NOT_SUPPORTED if known else codec.NOT_IMPLEMENTED
            self._send_error(message_id, action, code, f"{action[:50]} is not handled here")
            return
        # A repeated id is a repetition only with the same content: firmware exists that numbers all its
        # messages alike. A heartbeat is cheaper answered again, with the right time.
        if self._answers is not None and message_id in self._answers:
            asked, answer = self._answers[message_id]
            if asked == hash(text):
                self._send(message_id, action, "result", answer)
                return
        try:
            payload = self._normalise(call)
            result = handler(self, payload)
        except HardFault as fault:
            self._send_error(message_id, action, fault.code, fault.description)
            return
        except Exception:  # a mistake of ours must not end the conversation, nor show its insides
            _logger.exception("handler failed", station_id=self.station_id, action=action, message_id=message_id)
            self._send_error(message_id, action, codec.INTERNAL_ERROR, "internal error")
            return
        self._answer(message_id, action, text, result or {})

    def _normalise(self, call: Call) -> Payload:
        """The payload as its handler may rely on it; raises HardFault."""
        version = self.hooks.version
        payload = call.payload
        deviations = list(call.deviations)
        if not codec.is_valid(version, call.action, "request", payload):
            payload, found = tolerate(version, call.action, payload, now=self.arrived_at)
            deviations += found
        if deviations:
            self._tell(self.hooks.on_deviation, call.action, deviations)
        return payload

    def _answer(self, message_id: str, action: str, text: str, result: Payload) -> None:
        fault = codec.check(self.hooks.version, action, "response", result)
        if fault is not None:
            _logger.error(
                "our answer breaks the schema",
                station_id=self.station_id,
                action=action,
                path=fault.path,
                detail=fault.detail,
            )
            if self.hooks.strict_out:
                self._send_error(message_id, action, codec.INTERNAL_ERROR, "internal error")
                return
        answer = codec.encode_result(message_id, result)
        if action != "Heartbeat" and len(answer) <= _LONGEST_REMEMBERED_ANSWER_CHARS:
            self._answers = _remember(self._answers, message_id, (hash(text), answer), _REMEMBERED_ANSWERS)
        self._send(message_id, action, "result", answer)

    # ------------------------------------------------------------------ our calls

    def call(self, action: str, payload: Payload, timeout_s: float = 30.0) -> Payload:
        """Ask the station and return the payload of its CALLRESULT, normalised where it deviates.

        Never two calls at once: a second one waits for the first, and its `timeout_s` runs from now. Call it
        from any greenlet but the reader's, that is, never from a handler.

        Raises:
            InvalidPayload: the payload breaks the schema; nothing was sent.
            NotConnected: the connection has ended, or ended while waiting.
            CallTimedOut: no answer within `timeout_s`; if one comes later, `on_late_reply` gets it.
            StationCallError: the station answered with an error.
        """
        if gevent.getcurrent() is self._reader:
            raise RuntimeError("a handler cannot call the station: the reader would wait for itself")
        fault = codec.check(self.hooks.version, action, "request", payload)
        if fault is not None:
            raise InvalidPayload(action, fault)
        deadline = time.monotonic() + timeout_s
        if self._call_lock is None:
            self._call_lock = Semaphore(1)
        if not self._call_lock.acquire(timeout=timeout_s):
            raise CallTimedOut(action, sent=False)
        try:
            return self._call_alone(action, payload, deadline)
        finally:
            self._pending = None
            self._call_lock.release()

    def _call_alone(self, action: str, payload: Payload, deadline: float) -> Payload:
        """`call`, holding the lock."""
        # Unique for ever, so that a reply to a former connection's call cannot be taken for this one's.
        message_id = str(uuid.uuid4())
        reply: AsyncResult = AsyncResult()
        self._pending = (message_id, action, reply)
        if not self._send(message_id, action, "call", codec.encode_call(message_id, action, payload)):
            raise NotConnected(self.station_id)
        try:
            answer: Payload = reply.get(timeout=max(0.0, deadline - time.monotonic()))
        except gevent.Timeout:
            self._timed_out = _remember(self._timed_out, message_id, action, _REMEMBERED_TIMEOUTS)
            raise CallTimedOut(action, sent=True) from None
        return answer

    def _on_reply(self, reply: CallResult | CallError, kind: FrameKind, text: str) -> None:
        """A CALLRESULT or CALLERROR: give it to whoever waits for it, else report it as late."""
        message_id = reply.message_id
        if message_id == codec.UNREADABLE_ID and self._pending is not None:
            message_id = self._pending[0]  # the station could not read our call; there is only one
        action = self._pending[1] if self._pending is not None and self._pending[0] == message_id else None
        self._log("in", reply.message_id, action or (self._timed_out or {}).get(message_id), kind, text)
        if action is None:
            late_action = (self._timed_out or {}).pop(message_id, None)
            self._tell(self.hooks.on_late_reply, message_id, late_action, reply)
        elif isinstance(reply, CallError):
            self._settle(message_id, StationCallError(reply.code, reply.description, reply.details))
        else:
            self._settle(message_id, self._normalise_reply(action, reply))

    def _normalise_reply(self, action: str, reply: CallResult) -> Payload:
        """The answer's payload; as it came when it cannot be put right, for a human to read."""
        version = self.hooks.version
        payload = reply.payload
        deviations = list(reply.deviations)
        if not codec.is_valid(version, action, "response", payload):
            try:
                payload, found = tolerate(version, action, payload, now=self.arrived_at, direction="response")
            except HardFault as fault:
                found = [Deviation("answer_unusable", fault.path, fault.description)]
            deviations += found
        if deviations:
            self._tell(self.hooks.on_deviation, action, deviations)
        return payload

    def _settle(self, message_id: str, outcome: Payload | StationCallError) -> None:
        if self._pending is None or self._pending[0] != message_id:
            return
        reply = self._pending[2]
        self._pending = None
        if isinstance(outcome, StationCallError):
            reply.set_exception(outcome)
        else:
            reply.set(outcome)

    # ------------------------------------------------------------------ writing

    def _send_error(self, message_id: str | None, action: str | None, code: str, description: str) -> None:
        text = codec.encode_error(message_id, code, description, version=self.hooks.version)
        self._send(message_id, action, "error", text)

    def _send(self, message_id: str | None, action: str | None, kind: FrameKind, text: str) -> bool:
        """Send a frame and log it; False when the connection has ended, which the reader notices by itself."""
        try:
            self.socket.send(text)
        except WebSocketError:
            return False
        self._log("out", message_id, action, kind, text)
        return True

    def _log(
        self,
        direction: Literal["in", "out"],
        message_id: str | None,
        action: str | None,
        kind: FrameKind,
        text: str,
    ) -> None:
        self._tell(self.hooks.log_frame, direction, message_id, action, kind, text)

    def _tell(self, hook: Callable[..., None], *args: object) -> None:
        """Call a hook; what it raises is its own trouble and not the station's."""
        try:
            hook(self, *args)
        except Exception:  # see above
            _logger.exception("hook failed", station_id=self.station_id)


def _remember(memory: dict[str, _Value] | None, key: str, value: _Value, limit: int) -> dict[str, _Value]:
    """Add to a small memory, made at its first use, that forgets its oldest entry."""
    memory = {} if memory is None else memory
    memory.pop(key, None)
    if len(memory) >= limit:
        del memory[next(iter(memory))]
    memory[key] = value
    return memory
