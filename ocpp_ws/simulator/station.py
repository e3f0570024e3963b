"""One simulated station: what it is, what it remembers, and what the server may tell it to do.

How it holds its connection is in `link.py`, what drivers do at its plugs in `visits.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from random import Random
from typing import Any

from ocpp.exceptions import OCPPError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ocpp_ws.simulator import messages
from ocpp_ws.simulator.config import FleetConfig, StationSpec
from ocpp_ws.simulator.configuration import Configuration
from ocpp_ws.simulator.conversation import Client, ConnectionLost
from ocpp_ws.simulator.evse import Charge, Evse, Phase
from ocpp_ws.simulator.makes import MAKES
from ocpp_ws.simulator.outbox import Message, Outbox
from ocpp_ws.simulator.physics import first_register_wh
from ocpp_ws.simulator.planning import LocalList, Plans
from ocpp_ws.simulator.quirks import stamp
from ocpp_ws.simulator.reserving import let_in
from ocpp_ws.simulator.speeches import SPEECHES

log = logging.getLogger("ocpp_ws.simulator")


def utc_now() -> datetime:
    """The station's own clock."""
    return datetime.now(UTC)


class Station:
    """A station between two visits of the fitter: everything here outlives connections and reboots."""

    def __init__(self, spec: StationSpec, config: FleetConfig, cards_in_use: set[str]) -> None:
        self.spec = spec
        self.config = config
        self.identifier = spec.identifier
        self.make = MAKES[spec.make]
        self.speech = SPEECHES[spec.version]
        """The version of OCPP it speaks."""
        self.rng = Random(f"{config.seed}/{spec.identifier}")  # noqa: S311  # reproducible, not secret
        self.serial = f"{self.make.serial_prefix}{self.rng.randrange(10**6, 10**7)}"
        self.password = spec.password.encode() if spec.password is not None else None
        self.cards_in_use = cards_in_use
        """Shared by the fleet: a card is in one pocket only."""
        self.known_tags: set[str] = set()
        """Tags the server has accepted: the authorisation cache."""
        self.local_list = LocalList()
        self.plans = Plans()
        self.parents: dict[str, str] = {}
        """The group a tag belongs to (parentIdTag), by the tag in upper case."""
        self.configuration = Configuration(
            evse_count=len(spec.evse_specs),
            meter_interval_s=config.meter_interval_s,
            renamed=self.make.quirks.renamed_keys,
        )
        now = utc_now()
        self.evses = {
            evse.network_id: Evse(
                evse,
                register_wh=first_register_wh(self.rng, evse.max_power_w, now),
                rng=Random(f"{config.seed}/{spec.identifier}/{evse.network_id}"),  # noqa: S311
                time_scale=config.time_scale,
            )
            for evse in spec.evse_specs
        }
        self.operative = True
        """Of the station as a whole (connector 0)."""
        self.outbox = Outbox()
        self.connection: ClientConnection | None = None
        """The open socket; set by the link."""
        self.client: Client | None = None
        """What speaks OCPP over it, once the server has accepted the boot."""
        self.power = asyncio.Event()
        self.power.set()
        self.booted = False
        """Whether it has been accepted since it was last switched on."""
        self.boot_reason = "PowerUp"
        """Why it boots next, in the words of OCPP 2.0.1."""
        self.heartbeat_changed = asyncio.Event()
        self.away_until_s = 0.0
        """On the event loop's clock: no connecting before."""
        self._charge_over = asyncio.Event()
        self.event_count = 0
        """Of NotifyEvents (2.0.1)."""
        self.delivered_wh = 0.0
        self.was_connected = False
        self.attempts = 0
        self.last_failure = ""
        """Why the last attempt to connect failed, in words."""
        self._tasks: set[asyncio.Task[None]] = set()

    # Telling the server ---------------------------------------------------------------------------

    @property
    def is_online(self) -> bool:
        """Connected, and accepted by the server."""
        return self.client is not None

    @property
    def is_powered(self) -> bool:
        """Off while it restarts."""
        return self.power.is_set()

    def pace(self, simulated_s: float) -> float:
        """Simulated seconds as real ones."""
        return simulated_s / self.config.time_scale

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else; it ends with the station."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tell(self, payload: Any) -> None:
        """Send in turn, if the station is online: for what is worth nothing later."""
        if self.is_online:
            self.outbox.put(Message(lambda: payload))

    def report_status(self, evse: Evse | None = None) -> None:
        """Tell the status of one EVSE, or of the station itself."""
        for payload in self.speech.statuses(self, evse, utc_now()):
            self.tell(payload)

    def report_everything(self) -> None:
        """The statuses that follow an accepted boot (OCPP 1.6, 4.9)."""
        self.report_status()
        for evse in self.evses.values():
            self.report_status(evse)

    async def authorize(self, id_tag: str) -> bool:
        """Ask the server about a card; offline, judge by what it said before."""
        client = self.client
        if client is not None:
            try:
                answer = await client.ask(self.speech.authorize(self, id_tag))
                accepted, parent = self.speech.authorized(answer)
                if parent:
                    self.parents[id_tag.upper()] = parent
            except (ConnectionClosed, ConnectionLost):
                pass  # it went offline over the question
            except (OCPPError, TimeoutError, TypeError, KeyError):
                return False
            else:
                (self.known_tags.add if accepted else self.known_tags.discard)(id_tag)
                return accepted
        if self.configuration.flag("AllowOfflineTxForUnknownId"):
            return True
        if not self.configuration.flag("LocalAuthorizeOffline"):
            return False
        listed = self.local_list.allows(id_tag, utc_now()) if self.configuration.flag("LocalAuthListEnabled") else None
        return id_tag in self.known_tags if listed is None else listed

    def begin_charge(self, evse: Evse, charge: Charge) -> None:
        """Let the current flow and queue what says so."""
        evse.begin(charge)
        self.speech.begun(self, evse, charge)

    def refuse(self, evse: Evse, charge: Charge) -> None:
        """The server refuses the card of a charge that has begun."""
        self.known_tags.discard(charge.id_tag)
        if self.configuration.flag("StopTransactionOnInvalidId") and evse.charge is charge:
            evse.order_stop("DeAuthorized")

    def advance(self, evse: Evse) -> None:
        """Bring one meter up to now, under the limit that holds now."""
        limit = self.plans.limit_at(evse.network_id, evse.transaction_id, utc_now())
        evse.limit_w = None if limit is None else limit[0]
        self.delivered_wh += evse.advance(asyncio.get_running_loop().time())

    def send_meter_values(self, evse: Evse, context: str = "Sample.Periodic") -> None:
        """Queue what the meter shows now."""
        self.advance(evse)
        self.speech.measured(self, evse, context, utc_now())

    def end_charge(self, evse: Evse, reason: str) -> None:
        """Stop the current and queue what says so."""
        self.advance(evse)
        charge = evse.charge
        if charge is None:
            return
        self.speech.ended(self, evse, charge, reason, utc_now())
        evse.charge = None
        evse.stop_reason = None
        self._charge_over.set()
        if evse.wanted_operative is not None:
            evse.operative, evse.wanted_operative = evse.wanted_operative, None

    # What the server may order --------------------------------------------------------------------

    def remote_start(self, id_tag: str, connector_id: int | None, number: int | None = None) -> str:
        """RemoteStartTransaction: Accepted when an EVSE is free; a driver then plugs in. ``number``: the server's."""
        wanted = self.evses.values() if connector_id is None else [self.evses.get(connector_id)]
        for evse in wanted:
            if evse is not None and evse.is_free and self.is_powered and let_in(self, evse, id_tag):
                evse.remote_tag, evse.remote_number = id_tag, number
                evse.wake()
                return "Accepted"
        return "Rejected"

    def remote_stop(self, transaction_id: int | str) -> str:
        """RemoteStopTransaction: Accepted when this transaction runs here."""
        for evse in self.evses.values():
            if evse.charge is not None and evse.charge.transaction_id == transaction_id:
                return "Accepted" if evse.order_stop("Remote") else "Rejected"
        return "Rejected"

    def change_availability(self, connector_id: int, *, operative: bool) -> str:
        """ChangeAvailability: Scheduled while a charge runs (OCPP 1.6, 5.2)."""
        if connector_id != 0 and connector_id not in self.evses:
            return "Rejected"
        if connector_id == 0:
            self.operative = operative
            after_change = [None, *self.evses.values()]
        else:
            after_change = [self.evses[connector_id]]
        outcome = "Accepted"
        for evse in after_change:
            if evse is not None and evse.charge is not None and evse.operative != operative:
                evse.wanted_operative = operative
                outcome = "Scheduled"
                continue
            if evse is not None:
                evse.operative, evse.wanted_operative = operative, None
                if not operative:
                    evse.reservation = None
                evse.wake()
            self.report_status(evse)
        return outcome

    async def unlock(self, connector_id: int) -> str:
        """UnlockConnector: ends a running charge first (OCPP 1.6, 5.18)."""
        evse = self.evses.get(connector_id)
        if evse is None or not self.make.unlocks:
            return "NotSupported"
        evse.order_stop("UnlockCommand")
        if self.make.quirks.stops_before_unlock_answer:
            await self._charges_ended()
        return "Unlocked"

    def change_configuration(self, key: str, value: str) -> str:
        """ChangeConfiguration, and what follows from some keys at once."""
        outcome = self.configuration.change(key, value)
        if outcome in ("Accepted", "RebootRequired"):
            lowered = key.strip().lower()
            if lowered == "heartbeatinterval":
                self.heartbeat_changed.set()
            elif lowered == "authorizationkey":
                self.password = messages.key_as_password(self, value)
            for evse in self.evses.values():
                evse.wake()
        return outcome

    def set_charging_profile(self, connector_id: int, given: dict[str, Any]) -> str:
        """SetChargingProfile: the limit holds for what flows from now on."""
        evse = self.evses.get(connector_id)
        if evse is None and connector_id != 0:
            return "Rejected"
        for each in self.evses.values():
            self.advance(each)
        running = evse.transaction_id if evse is not None else None
        return self.plans.set_profile(connector_id, given, transaction_id=running, now=utc_now())

    def composite_schedule(self, connector_id: int, duration_s: int, unit: str) -> tuple[str, dict[str, Any]] | None:
        """GetCompositeSchedule: when it starts, and the schedule; None for a connector there is not."""
        evse = self.evses.get(connector_id)
        if evse is None and connector_id != 0:
            return None
        now = utc_now().replace(microsecond=0)
        schedule = self.plans.composite(
            connector_id,
            evse.transaction_id if evse is not None else None,
            duration_s=duration_s,
            unit=unit,
            most_w=evse.max_power_w if evse is not None else sum(each.max_power_w for each in self.evses.values()),
            now=now,
        )
        return stamp(now, self.make.quirks.timestamps), schedule

    def triggered(self, requested: str, connector_id: int | None) -> Callable[[], None] | None:
        """What TriggerMessage asks for, to be done after the answer; None when it cannot be."""
        if connector_id and connector_id not in self.evses:
            return None
        chosen = [self.evses[connector_id]] if connector_id else list(self.evses.values())
        simple = self.speech.triggered(self, requested)
        if simple is not None:
            return lambda: self.tell(simple())
        if requested == "StatusNotification":
            return lambda: self.report_status(self.evses[connector_id]) if connector_id else self.report_everything()
        if requested == "MeterValues":
            return lambda: self._send_triggered_values(chosen)
        return None

    def _send_triggered_values(self, evses: list[Evse]) -> None:
        for evse in evses:
            self.send_meter_values(evse, "Trigger")

    # Power, faults and absence --------------------------------------------------------------------

    def order_reset(self, *, hard: bool) -> None:
        """Reset: Soft ends charges and says goodbye properly, Hard pulls the plug; both boot again."""
        self.soon(self._reset(hard=hard))

    async def _reset(self, *, hard: bool) -> None:
        if not self.is_powered:
            return
        for evse in self.evses.values():
            evse.remote_tag = None
            evse.order_stop("HardReset" if hard else "SoftReset")
        if not hard:
            await self._charges_ended()
        self.power.clear()
        self.booted = False
        self.boot_reason = "RemoteReset"
        self.hang_up(abruptly=hard)
        await asyncio.sleep(self.pace(self.make.reboot_s * self.rng.uniform(0.7, 1.3)))
        self.power.set()

    async def reset_when_idle(self) -> None:
        """Reset once nothing charges any more (OCPP 2.0.1, B12)."""
        while any(evse.charge is not None for evse in self.evses.values()):
            self._charge_over.clear()
            await self._charge_over.wait()
        await self._reset(hard=False)

    async def _charges_ended(self) -> None:
        """Wait until ordered stops have been queued, and what is queued has been answered; 5 s at most."""
        deadline = asyncio.get_running_loop().time() + 5.0
        while any(evse.must_stop() for evse in self.evses.values()):
            await asyncio.sleep(0.01)
            if asyncio.get_running_loop().time() > deadline:
                return
        await self.outbox.drained(deadline - asyncio.get_running_loop().time())

    def hang_up(self, *, abruptly: bool) -> None:
        """End the connection, if there is one: with a close frame, or without a word."""
        if self.connection is None:
            return
        if abruptly:
            self.connection.transport.abort()
        else:
            self.soon(self.connection.close(1001))

    def break_down(self, network_id: int) -> None:
        """One EVSE reports a fault; a charge on it ends."""
        evse = self.evses[network_id]
        evse.fault = self.make.fault[0]
        evse.reservation = None
        evse.order_stop("Other")
        evse.wake()
        self.report_status(evse)

    def repair(self, network_id: int) -> None:
        """The fault is gone."""
        evse = self.evses[network_id]
        evse.fault = None
        evse.wake()
        self.report_status(evse)

    def drop_off(self, seconds: float) -> None:
        """Vanish from the network for so many real seconds; what happens at the plugs goes on."""
        self.away_until_s = asyncio.get_running_loop().time() + seconds
        self.hang_up(abruptly=True)

    def switch_off(self) -> None:
        """The simulation ends: running charges stop for loss of power."""
        for evse in self.evses.values():
            if evse.charge is not None:
                self.end_charge(evse, "PowerLoss")
                evse.phase = Phase.AVAILABLE
        for task in self._tasks:
            task.cancel()
