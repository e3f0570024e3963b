"""The real gateway transport in a process of its own, without a database; tests steer it over HTTP.

Prints its port and serves until its standard input closes. Stations whose id begins with "echo" get their
messages back, all others talk OCPP to a handful of handlers. `/control/...` on the same port is the WSGI side.
"""

from __future__ import annotations

import json
import sys

OPTIONS = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
if OPTIONS.get("patched"):
    from gevent import monkey

    monkey.patch_all()

# ruff: noqa: E402  # patching comes before every other import
import gc
import os
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import gevent
from gevent.fileobject import FileObject

from ocpp_ws import codec
from ocpp_ws.codec import HardFault
from ocpp_ws.connection import (
    CallTimedOut,
    InvalidPayload,
    NotConnected,
    StationCallError,
    StationConnection,
    StationHooks,
)
from ocpp_ws.handshake import Admission, Refusal, UpgradeRequest
from ocpp_ws.pinger import Pinger
from ocpp_ws.server import build_server
from ocpp_ws.websocket import SocketLimits, StationSocket

SOCKETS: dict[str, StationSocket] = {}
CONNECTIONS: dict[str, StationConnection] = {}
SEEN: dict[str, Any] = {"requests": [], "ended": {}, "late": [], "deviations": [], "frames": [], "calls": {}}
PINGER = Pinger(interval_s=OPTIONS.get("ping_interval_s", 60.0), pong_timeout_s=OPTIONS.get("pong_timeout_s", 20.0))


def admit(request: UpgradeRequest) -> Admission | Refusal:
    """Decide by the station's id, and remember what was asked."""
    name = request.station_id
    SEEN["requests"].append(
        {
            "station_id": name,
            "offered": request.offered,
            "protocol": request.protocol,
            "username": request.credentials.username if request.credentials else None,
            "user_agent": request.user_agent,
        }
    )
    if name.startswith("unknown"):
        return Refusal(404, "This charge point is not known here")
    if name.startswith("blocked"):
        return Refusal(403, "This charge point is switched off")
    if name.startswith("broken"):
        raise RuntimeError("database away: secret detail")
    if name.startswith("secret") and not (
        request.credentials
        and request.credentials.username_matches
        and b"736563726574" in request.credentials.candidates
    ):
        return Refusal(401, "Wrong or missing password")
    if name.startswith("pinned"):
        return Admission(protocol="ocpp1.6")
    return Admission(station={"name": name})


def on_connect(socket: StationSocket, admission: Admission) -> None:
    """Echo, or an OCPP conversation."""
    station_id = socket.station_id
    SOCKETS[station_id] = socket
    PINGER.add(socket)
    try:
        if station_id.startswith("echo"):
            while (message := socket.receive()) is not None:
                socket.send(message)
        elif station_id.startswith("crash"):
            raise RuntimeError("secret detail")
        else:
            connection = StationConnection(socket, HOOKS)
            CONNECTIONS[station_id] = connection
            connection.run()
            CONNECTIONS.pop(station_id, None)
    finally:
        PINGER.discard(socket)
        SOCKETS.pop(station_id, None)
        SEEN["ended"][station_id] = [socket.closed_by, socket.close_code, socket.close_reason, time.time()]


def _count(connection: StationConnection, action: str) -> int:
    key = f"{connection.station_id}/{action}"
    SEEN["calls"][key] = SEEN["calls"].get(key, 0) + 1
    return int(SEEN["calls"][key])


def _start(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    return {"transactionId": _count(connection, "StartTransaction"), "idTagInfo": {"status": "Accepted"}}


def _data_transfer(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    vendor = payload["vendorId"]
    if vendor == "crash":
        raise RuntimeError("secret detail")
    if vendor == "refuse":
        raise HardFault(codec.SECURITY_ERROR, "not for you")
    if vendor == "slow":
        gevent.sleep(float(payload["data"]))
    if vendor == "call":
        connection.call("ClearCache", {})
    if vendor == "invalid-answer":
        return {"status": "Perhaps"}
    return {"status": "Accepted", "data": vendor}


def _meter_values(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    _count(connection, "MeterValues")
    return {}


def _heartbeat(connection: StationConnection, payload: dict[str, Any]) -> dict[str, Any]:
    return {"currentTime": connection.arrived_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _log_frame(connection: StationConnection, *frame: Any) -> None:
    if frame[1] == "break-the-log":
        raise RuntimeError("the log is broken")
    SEEN["frames"].append([connection.station_id, *frame])


HOOKS = StationHooks(
    version="1.6",
    handlers={
        "StartTransaction": _start,
        "DataTransfer": _data_transfer,
        "MeterValues": _meter_values,
        "Heartbeat": _heartbeat,
    },
    on_late_reply=lambda connection, *late: SEEN["late"].append([connection.station_id, late[0], late[1]]),
    on_deviation=lambda connection, action, found: SEEN["deviations"].extend(
        [connection.station_id, action, one.rule, one.path, one.detail] for one in found
    ),
    strict_out=bool(OPTIONS.get("strict_out", False)),
    **({} if OPTIONS.get("quiet") else {"log_frame": _log_frame}),
)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The screens' side of the port, and the tests' remote control."""
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return _events()
    body = environ["wsgi.input"].read()
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    answer: Any
    if path == "/control/call":
        answer = _call(query, json.loads(body or b"{}"))
    elif path == "/control/kick":
        SOCKETS[query["id"]].kick(int(query["code"]), query["reason"])
        answer = "kicked"
    elif path == "/control/send":
        answer = _send_many(query["id"], int(query["count"]), int(query["bytes"]))
    elif path == "/control/seen":
        gc.collect()
        answer = {**SEEN, "open": sorted(SOCKETS), "watched": len(PINGER), "rss": _rss(), "cpu": time.process_time()}
    else:
        answer = {"path": path, "method": environ["REQUEST_METHOD"], "length": len(body)}
    data = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def _call(query: dict[str, str], payload: dict[str, Any]) -> dict[str, Any]:
    if query["id"] not in CONNECTIONS:
        return {"error": "NotConnected"}
    try:
        return {"result": CONNECTIONS[query["id"]].call(query["action"], payload, float(query.get("timeout", 5)))}
    except CallTimedOut as late:
        return {"error": "CallTimedOut", "sent": late.sent}
    except StationCallError as refused:
        return {"error": "StationCallError", "code": refused.code, "description": refused.description}
    except (NotConnected, InvalidPayload) as failed:
        return {"error": type(failed).__name__, "text": str(failed)}


def _send_many(station_id: str, count: int, size: int) -> list[str]:
    """Send from `count` greenlets at once; what each came to."""
    socket = SOCKETS[station_id]

    def one(number: int) -> str:
        try:
            socket.send(str(number % 10) * size)
        except OSError as failed:
            return str(failed)
        return "sent"

    jobs = [gevent.spawn(one, number) for number in range(count)]
    gevent.joinall(jobs)
    return [str(job.value) for job in jobs]


def _events() -> Iterable[bytes]:
    for number in range(3):
        yield f"data: {number}\n\n".encode()
        gevent.sleep(0.2)


def _rss() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Serve until standard input ends."""
    codec.compile_schemas("1.6")
    server = build_server(
        ("127.0.0.1", 0),
        application,
        admit=admit,
        on_connect=on_connect,
        limits=SocketLimits(**OPTIONS.get("limits", {})),
        head_timeout_s=OPTIONS.get("head_timeout_s", 10.0),
        pool_size=OPTIONS.get("pool_size", 20_000),
        protocols=tuple(OPTIONS.get("protocols", ("ocpp2.0.1", "ocpp1.6"))),
    )
    server.start()
    PINGER.start()
    gc.collect()
    gc.freeze()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    FileObject(sys.stdin.buffer, "rb").read()
    PINGER.kick_all(1012, "service restart")
    server.stop(timeout=1)


if __name__ == "__main__":
    main()
