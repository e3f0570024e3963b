"""What the transport costs: messages per second in a closed loop, and memory per idle connection.

    .venv/bin/python -m tests.ocpp.measure_transport [--reference]

The server is `echo_server` in a process of its own (its handlers store nothing); the load comes from one
epoll loop that sends prepared frames. `--reference` measures the `ocpp` package on asyncio `websockets` likewise.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time
from typing import Any

STATIONS = 100
SECONDS = 5.0
IDLE = 2000
HEARTBEAT = '[2,"{id}","Heartbeat",{{}}]'


def meter_values() -> str:
    """A MeterValues call of about 1 KB."""
    samples = [
        {"value": "1234567", "measurand": "Energy.Active.Import.Register", "unit": "Wh", "context": "Sample.Periodic"},
        {"value": "7412.4", "measurand": "Power.Active.Import", "unit": "W", "context": "Sample.Periodic"},
        *(
            {"value": "16.1", "measurand": "Current.Import", "unit": "A", "phase": phase, "location": "Outlet"}
            for phase in ("L1", "L2", "L3")
        ),
        *(
            {"value": "230.2", "measurand": "Voltage", "unit": "V", "phase": phase, "location": "Outlet"}
            for phase in ("L1-N", "L2-N", "L3-N")
        ),
        {"value": "54", "measurand": "SoC", "unit": "Percent", "location": "EV"},
        {"value": "16.0", "measurand": "Current.Offered", "unit": "A", "context": "Sample.Periodic"},
    ]
    payload = {
        "connectorId": 1,
        "transactionId": 4711,
        "meterValue": [{"timestamp": "2026-01-02T03:04:05.678Z", "sampledValue": samples}],
    }
    text = json.dumps(["MeterValues", payload], separators=(",", ":"))[1:-1]
    return '[2,"{id}",' + text.replace("{", "{{").replace("}", "}}") + "]"


def frame(text: str) -> bytes:
    """A masked text frame."""
    data, mask = text.encode(), b"\x12\x34\x56\x78"
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
    head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else b"\x81\xfe" + len(data).to_bytes(2, "big")
    return head + mask + masked


def open_socket(port: int, station_id: str) -> socket.socket:
    """A station's socket after the 101. Nothing follows the head until the station speaks."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(
        f"GET /ocpp/{station_id} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(4096)
    if b" 101 " not in head:
        raise RuntimeError(head.decode())
    return sock


def closed_loop(port: int, pid: int, template: str) -> tuple[float, float]:
    """(messages per second, server CPU microseconds per message) of STATIONS stations, one call each in flight."""
    # Eight prepared frames with different ids each, so that no answer comes from a memory of repetitions.
    prepared = [frame(template.format(id=f"id-{number:06d}")) for number in range(8)]
    socks = [open_socket(port, f"CP{number}") for number in range(STATIONS)]
    poll = select.epoll()
    by_fd = {}
    for sock in socks:
        sock.setblocking(False)
        poll.register(sock.fileno(), select.EPOLLIN)
        by_fd[sock.fileno()] = sock
        sock.send(prepared[0])
    count, cpu, start = 0, cpu_s(pid), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        for fd, _ in poll.poll():
            sock = by_fd[fd]
            sock.recv(4096)
            count += 1
            sock.send(prepared[count & 7])
    used = cpu_s(pid) - cpu
    for sock in socks:
        sock.close()
    return count / elapsed, used / count * 1e6


def say(line: object) -> None:
    """To whoever started the measurement."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(name: str, command: list[str]) -> None:
    """Run one server and print its figures."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None and server.stdin is not None
    port = int(server.stdout.readline())
    for label, template in (("Heartbeat", HEARTBEAT), ("MeterValues", meter_values())):
        rate, cpu = closed_loop(port, server.pid, template)
        say(f"{name}: {label} ({len(template)} bytes): {rate:,.0f}/s, {cpu:.1f} us CPU each")
    warm = [open_socket(port, f"W{number}") for number in range(200)]  # the first ones grow shared pools
    time.sleep(0.5)
    before = rss(server.pid)
    idle = []
    started, cpu = time.perf_counter(), cpu_s(server.pid)
    for number in range(IDLE):
        sock = open_socket(port, f"I{number}")
        sock.sendall(frame(HEARTBEAT.format(id="1")))
        sock.recv(4096)
        idle.append(sock)
    elapsed, used = time.perf_counter() - started, cpu_s(server.pid) - cpu
    say(f"{name}: {IDLE / elapsed:,.0f} connections/s one by one, {used / IDLE * 1e6:.0f} us CPU each")
    time.sleep(0.5)
    say(f"{name}: {(rss(server.pid) - before) / IDLE / 1024:.1f} KB per idle connection")
    for sock in (*warm, *idle):
        sock.close()
    server.stdin.close()
    server.wait(20)


async def serve_reference() -> None:
    """`ocpp`'s own ChargePoint on asyncio websockets, storing nothing."""
    import logging
    from datetime import UTC, datetime

    import websockets
    from ocpp.routing import on
    from ocpp.v16 import ChargePoint, call_result

    logging.disable(logging.CRITICAL)

    class Station(ChargePoint):  # type: ignore[misc]
        @on("Heartbeat")
        def heartbeat(self) -> Any:
            return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

        @on("MeterValues")
        def meter(self, **_: Any) -> Any:
            return call_result.MeterValues()

    async def handler(connection: Any) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await Station("x", connection).start()

    protocols: Any = ["ocpp1.6"]
    async with websockets.serve(handler, "127.0.0.1", 0, subprotocols=protocols, compression=None) as server:
        say(next(iter(server.sockets)).getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Measure, or serve the reference for a measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--reference", action="store_true", help="measure the reference server too")
    parser.add_argument("--serve-reference", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_reference:
        asyncio.run(serve_reference())
        return
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    measure("gateway", [sys.executable, "-m", "tests.ocpp.echo_server", '{"quiet": true}'])
    if options.reference:
        measure("reference", [sys.executable, "-m", "tests.ocpp.measure_transport", "--serve-reference"])


if __name__ == "__main__":
    main()
