"""The life of a reservation, as data: what each event does in each state.

Pending → Active → Used, Expired, Cancelled or Ended by fault; Pending → Refused. Whatever comes to a reservation that
is over changes nothing, with two exceptions: cancelling it is an error, so that the operator is told; and a start
that the station made in time, but could only report after the expiry, still uses it up. Cancel and start may race:
the one whose transaction comes first has it, and the start is then judged like any other.
"""

from __future__ import annotations

from enum import StrEnum

from app.charging.models import ReservationStatus


class ReservationEvent(StrEnum):
    """What can happen to a reservation."""

    ACCEPTED = "accepted"  # by the station, also late
    REFUSED = "refused"  # by the station, or it could not be asked
    STARTED = "started"  # the user began to charge within the time
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAULTED = "faulted"  # the EVSE or its station reports Faulted or Unavailable (OCPP 1.6, 5.13)


class ReservationOver(Exception):
    """The reservation is over already. ``status`` says how."""

    def __init__(self, status: ReservationStatus) -> None:
        super().__init__(f"The reservation is over already: {status.label}")
        self.status = status


PENDING, ACTIVE, USED, CANCELLED, EXPIRED, ENDED, REFUSED = ReservationStatus
OPEN = frozenset({PENDING, ACTIVE})

Outcome = ReservationStatus | type[ReservationOver]

#: Every event in every state. The state itself: nothing changes, and that is no error.
TRANSITIONS: dict[ReservationEvent, dict[ReservationStatus, Outcome]] = {
    ReservationEvent.ACCEPTED: {
        PENDING: ACTIVE,
        ACTIVE: ACTIVE,
        USED: USED,
        CANCELLED: CANCELLED,
        EXPIRED: EXPIRED,
        ENDED: ENDED,
        # the answer came too late: the station is told to let it go
        REFUSED: REFUSED,
    },
    ReservationEvent.REFUSED: {
        PENDING: REFUSED,
        ACTIVE: ACTIVE,
        USED: USED,
        CANCELLED: CANCELLED,
        EXPIRED: EXPIRED,
        ENDED: ENDED,
        REFUSED: REFUSED,
    },
    ReservationEvent.STARTED: {
        # the start overtook the station's answer
        PENDING: USED,
        ACTIVE: USED,
        USED: USED,
        CANCELLED: CANCELLED,
        # the start was in time, its message was not
        EXPIRED: USED,
        ENDED: ENDED,
        REFUSED: REFUSED,
    },
    ReservationEvent.CANCELLED: {
        PENDING: CANCELLED,
        ACTIVE: CANCELLED,
        USED: ReservationOver,
        CANCELLED: ReservationOver,
        EXPIRED: ReservationOver,
        ENDED: ReservationOver,
        REFUSED: ReservationOver,
    },
    ReservationEvent.EXPIRED: {
        PENDING: EXPIRED,
        ACTIVE: EXPIRED,
        USED: USED,
        CANCELLED: CANCELLED,
        EXPIRED: EXPIRED,
        ENDED: ENDED,
        REFUSED: REFUSED,
    },
    ReservationEvent.FAULTED: {
        PENDING: ENDED,
        ACTIVE: ENDED,
        USED: USED,
        CANCELLED: CANCELLED,
        EXPIRED: EXPIRED,
        ENDED: ENDED,
        REFUSED: REFUSED,
    },
}


def next_status(status: ReservationStatus, event: ReservationEvent) -> ReservationStatus:
    """The state after the event; the same state when it changes nothing. Raises ReservationOver."""
    outcome = TRANSITIONS[event][status]
    if isinstance(outcome, ReservationStatus):
        return outcome
    raise outcome(status)
