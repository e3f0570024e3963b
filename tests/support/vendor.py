"""A station as somebody else builds it: the `ocpp` package's own asyncio ChargePoint, its strict schemas both ways.

Nothing of the product is imported here, nor of the scripted station: two sides that read the specification apart.
The bill is computed here too, by hand, from the rules as drivers are told them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

CENT = Decimal("0.01")


def bill(
    *, seconds: int, energy_wh: Decimal | int, fee: str = "0", per_minute: str = "0", per_kwh: str = "0", vat: int = 20
) -> tuple[Decimal, Decimal, Decimal]:
    """Gross, net and VAT of a charge: each line rounded half up to the cent, the total split once."""
    lines = (Decimal(fee), Decimal(per_minute) * seconds / 60, Decimal(per_kwh) * Decimal(energy_wh) / 1000)
    gross = sum((line.quantize(CENT, ROUND_HALF_UP) for line in lines), Decimal(0))
    net = (gross * 100 / (100 + vat)).quantize(CENT, ROUND_HALF_UP)
    return gross, net, gross - net


def iso(moment: datetime) -> str:
    """A time stamp as most firmware writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class VendorStation(ChargePoint):  # type: ignore[misc]  # the package has no types here
    """Answers every core call, and does what a driver with a car would do next."""

    def __init__(self, identifier: str, connection: Any) -> None:
        super().__init__(identifier, connection, response_timeout=20)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.stopped: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.meter_wh = 10_000
        self.listening: asyncio.Task[None] | None = None

    @on(Action.reset)
    async def on_reset(self, **payload: Any) -> Any:
        self.asked.append(("Reset", payload))
        return call_result.Reset(status="Accepted")

    @on(Action.change_availability)
    async def on_availability(self, **payload: Any) -> Any:
        self.asked.append(("ChangeAvailability", payload))
        return call_result.ChangeAvailability(status="Scheduled")

    @on(Action.unlock_connector)
    async def on_unlock(self, **payload: Any) -> Any:
        self.asked.append(("UnlockConnector", payload))
        return call_result.UnlockConnector(status="UnlockFailed")

    @on(Action.clear_cache)
    async def on_clear_cache(self) -> Any:
        self.asked.append(("ClearCache", {}))
        return call_result.ClearCache(status="Accepted")

    @on(Action.trigger_message)
    async def on_trigger(self, **payload: Any) -> Any:
        self.asked.append(("TriggerMessage", payload))
        return call_result.TriggerMessage(status="Accepted")

    @after(Action.trigger_message)
    async def triggered(self, **_: Any) -> None:
        await self.say("StatusNotification", connector_id=1, error_code="NoError", status="Finishing")

    @on(Action.remote_start_transaction)
    async def on_remote_start(self, **payload: Any) -> Any:
        self.asked.append(("RemoteStartTransaction", payload))
        return call_result.RemoteStartTransaction(status="Accepted")

    @after(Action.remote_start_transaction)
    async def plug_in(self, id_tag: str, connector_id: int = 1, **_: Any) -> None:
        authorized = await self.say("Authorize", id_tag=id_tag)
        assert authorized.id_tag_info["status"] == "Accepted"
        self.started.set_result(
            await self.say(
                "StartTransaction",
                connector_id=connector_id,
                id_tag=id_tag,
                meter_start=self.meter_wh,
                timestamp=iso(datetime.now(UTC)),
            )
        )

    @on(Action.remote_stop_transaction)
    async def on_remote_stop(self, **payload: Any) -> Any:
        self.asked.append(("RemoteStopTransaction", payload))
        return call_result.RemoteStopTransaction(status="Accepted")

    @after(Action.remote_stop_transaction)
    async def plug_out(self, transaction_id: int, **_: Any) -> None:
        self.stopped.set_result(
            await self.say(
                "StopTransaction",
                transaction_id=transaction_id,
                meter_stop=self.meter_wh + 500,
                timestamp=iso(datetime.now(UTC)),
                reason="Remote",
            )
        )

    async def say(self, action: str, **payload: Any) -> Any:
        """One call, its payload by the package's snake_case names; an answer that breaks the schema raises."""
        asking = asyncio.create_task(self.call(getattr(call, action)(**payload), suppress=False))
        waiting = {asking} if self.listening is None else {asking, self.listening}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done() and self.listening is not None:  # the connection ended: no answer will come
            asking.cancel()
            self.listening.result()
        return await asking


@contextlib.asynccontextmanager
async def vendor_station(url: str, identifier: str, **options: Any) -> AsyncIterator[VendorStation]:
    """The station, connected and listening; `options` are those of websockets' connect."""
    given = {"subprotocols": [Subprotocol("ocpp1.6")], "proxy": None, "open_timeout": 30, **options}
    async with connect(f"{url}/{identifier}", **given) as connection:
        station = VendorStation(identifier, connection)
        station.listening = asyncio.create_task(station.start())
        try:
            yield station
        finally:
            station.listening.cancel()


def story(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test told in coroutines."""

    @functools.wraps(function)
    def told(*arguments: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(function(*arguments, **named), 120))  # type: ignore[arg-type]

    return told
