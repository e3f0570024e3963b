"""What the gateway remembers with each connection, and what handlers may use of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.orm import Session

from app.charging.commands import CommandName
from app.charging.meter import SessionMeter
from app.charging.station import Station
from app.core.group_commit import GroupCommit
from ocpp_ws.connection import StationConnection
from ocpp_ws.dialect import Dialect
from ocpp_ws.door import Terms
from ocpp_ws.quirks import Heard

if TYPE_CHECKING:
    from ocpp_ws.gateway import Gateway

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which command a call to the station belongs to, and in which version of OCPP it was made."""

    action_id: int
    name: CommandName
    dialect: Dialect


@dataclass(slots=True, eq=False)
class Served:
    """A connected station. ``ref`` names this connection in Redis and in the database: ``gateway:epoch``."""

    gateway: Gateway
    station: Station
    ref: str
    #: what it was let in on
    terms: Terms
    #: the version of OCPP it speaks
    dialect: Dialect
    connection: StationConnection | None = None
    #: by session id, and the one running on an EVSE by minus its id
    meters: dict[int, SessionMeter] = field(default_factory=dict)
    seen_flushed_at: float = 0.0
    #: who is asking the station something: greenlet → action, and what it has not answered: message id → action
    asking: dict[Hashable, Asked] = field(default_factory=dict)
    unanswered: dict[str, Asked] = field(default_factory=dict)
    #: what its dialect remembers with a connection
    notes: dict[Hashable, Any] = field(default_factory=dict)
    #: its habits, for the quirk book
    heard: Heard = field(default_factory=Heard)

    @property
    def writer(self) -> GroupCommit:
        """The group commit that answers wait for."""
        return self.gateway.writer

    def watch_clock(self, stamp: str | None, arrived: datetime) -> None:
        """Compare the station's clock with ours, by a time stamp that it has just written."""
        self.gateway.quirks.note_clock(self.heard, self.station.id, stamp, arrived)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Do something in a transaction of its own, again when it met a deadlock."""
        return self.gateway.transact(work)


def served(connection: StationConnection) -> Served:
    """The gateway's memory of a connection."""
    return cast(Served, connection.state)


def now_of(connection: StationConnection) -> datetime:
    """When the message being handled arrived (UTC)."""
    return connection.arrived_at
