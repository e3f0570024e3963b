"""The server to compare with: the `ocpp` package's own ChargePoint on asyncio `websockets`, storing nothing.

Written the way the package's documentation teaches it: handlers by decorator, schemas checked, keys converted.
`python -m bench.reference_server` prints its port on a line of its own, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from datetime import UTC, datetime
from typing import Any

import ocpp.messages
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

_transaction_ids = itertools.count(1)


class ReferenceChargePoint(ChargePoint):  # type: ignore[misc]  # the package has no types
    """Answers what a charging station asks, and forgets it."""

    @on(Action.boot_notification)
    def on_boot(self, **_: Any) -> Any:
        return call_result.BootNotification(current_time=_now(), interval=3600, status="Accepted")

    @on(Action.heartbeat)
    def on_heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=_now())

    @on(Action.status_notification)
    def on_status(self, **_: Any) -> Any:
        return call_result.StatusNotification()

    @on(Action.authorize)
    def on_authorize(self, **_: Any) -> Any:
        return call_result.Authorize(id_tag_info={"status": "Accepted"})

    @on(Action.start_transaction)
    def on_start(self, **_: Any) -> Any:
        return call_result.StartTransaction(transaction_id=next(_transaction_ids), id_tag_info={"status": "Accepted"})

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> Any:
        return call_result.MeterValues()

    @on(Action.stop_transaction)
    def on_stop(self, **_: Any) -> Any:
        return call_result.StopTransaction()


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def _handle(connection: ServerConnection) -> None:
    assert connection.request is not None
    station = ReferenceChargePoint(connection.request.path.rsplit("/", 1)[1], connection)
    try:
        await station.start()
    except ConnectionClosed:
        return


async def _main() -> None:
    # Checking schemas in the event loop is a third faster here than in the package's pool of threads, which is
    # its default; the reference gets the better of the two.
    ocpp.messages.ASYNC_VALIDATION = False
    async with serve(_handle, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(_main())
