"""The life of a charging session, as data: states, events, and what each event does in each state.

Pending → Active → (Stopping) → Finished, or Pending → Failed (product, "Charging session life"; manual,
"Session Timeout" and "Charging Sessions"). Finished and Failed are final. Stations repeat what they are not
sure was heard, so a repeated start or stop changes nothing and is no error; a late reading never revives a
session.
"""

from enum import StrEnum


class SessionStatus(StrEnum):
    """Where a charging session is in its life."""

    PENDING = "pending"
    ACTIVE = "active"
    STOPPING = "stopping"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def label(self) -> str:
        """As written on screen."""
        return self.value.capitalize()


class PaymentStatus(StrEnum):
    """Whether a charging session has been paid.

    Pending: not billed yet. Processing: billed, and the payment processor has not answered. Free: its tariff is free.
    Not billed: there was nobody or nothing to bill, as with plug-and-charge without authorization (manual, "OCPP") and
    with failed sessions. Outstanding: billed, but the money was not had. Refunded: all of it was given back.
    """

    PENDING = "pending"
    PROCESSING = "processing"
    PAID = "paid"
    OUTSTANDING = "outstanding"
    REFUNDED = "refunded"
    FREE = "free"
    NOT_BILLED = "not_billed"

    @property
    def label(self) -> str:
        """As written on screen."""
        return self.value.replace("_", " ").capitalize()


class SessionEvent(StrEnum):
    """What can happen to a charging session."""

    STARTED = "started"
    START_REFUSED = "start_refused"
    START_TIMED_OUT = "start_timed_out"
    READING_RECEIVED = "reading_received"
    STOP_REQUESTED = "stop_requested"
    STOP_REFUSED = "stop_refused"
    STOP_TIMED_OUT = "stop_timed_out"
    STOPPED = "stopped"
    INACTIVITY_ELAPSED = "inactivity_elapsed"
    GHOST_CLOSED = "ghost_closed"

    @property
    def label(self) -> str:
        """What happened, in words for the session's timeline."""
        return _EVENT_LABELS[self]


_EVENT_LABELS = {
    SessionEvent.STARTED: "The station started charging",
    SessionEvent.START_REFUSED: "The station refused to start",
    SessionEvent.START_TIMED_OUT: "No car was plugged in within the time limit",
    SessionEvent.READING_RECEIVED: "The station sent a meter reading",
    SessionEvent.STOP_REQUESTED: "A stop was requested",
    SessionEvent.STOP_REFUSED: "The station refused to stop",
    SessionEvent.STOP_TIMED_OUT: "The station did not answer the stop request",
    SessionEvent.STOPPED: "The station stopped charging",
    SessionEvent.INACTIVITY_ELAPSED: "Finished, because the station sent no more readings",
    SessionEvent.GHOST_CLOSED: "Finished, because the station no longer knew it after a restart",
}


#: failure reasons that say only that nothing was heard in time: the station may have started it all the same
START_UNANSWERED = "The station did not answer the start in time"
OVERDUE = frozenset({SessionEvent.START_TIMED_OUT.label, START_UNANSWERED})


class LifecycleError(Exception):
    """An event that cannot happen to a session in this state. `status` and `event` say which."""

    def __init__(self, status: SessionStatus, event: SessionEvent) -> None:
        super().__init__(f"{self.__doc__} State: {status.label}, event: {event.label}")
        self.status = status
        self.event = event


class SessionNotStarted(LifecycleError):
    """The session has not started yet."""


class SessionAlreadyStarted(LifecycleError):
    """The session has started already."""


class SessionAlreadyFinished(LifecycleError):
    """The session is finished."""


class SessionAlreadyFailed(LifecycleError):
    """The session failed before it started."""


PENDING, ACTIVE, STOPPING, FINISHED, FAILED = SessionStatus
FINAL = frozenset({FINISHED, FAILED})
RUNNING = frozenset({PENDING, ACTIVE, STOPPING})

Outcome = SessionStatus | type[LifecycleError]

#: Every event in every state. The state itself: nothing changes, and that is no error. An error: impossible.
TRANSITIONS: dict[SessionEvent, dict[SessionStatus, Outcome]] = {
    SessionEvent.STARTED: {
        PENDING: ACTIVE,
        ACTIVE: ACTIVE,
        STOPPING: STOPPING,
        FINISHED: FINISHED,
        # The car came too late: that is another charge, with a session of its own.
        FAILED: SessionAlreadyFailed,
    },
    SessionEvent.START_REFUSED: {
        PENDING: FAILED,
        ACTIVE: SessionAlreadyStarted,
        STOPPING: SessionAlreadyStarted,
        FINISHED: SessionAlreadyFinished,
        FAILED: FAILED,
    },
    SessionEvent.START_TIMED_OUT: {
        PENDING: FAILED,
        ACTIVE: SessionAlreadyStarted,
        STOPPING: SessionAlreadyStarted,
        FINISHED: SessionAlreadyFinished,
        FAILED: FAILED,
    },
    # Also of a closed session: it is stored, flagged and confirmed, or the station would retry forever.
    SessionEvent.READING_RECEIVED: {
        PENDING: PENDING,
        ACTIVE: ACTIVE,
        STOPPING: STOPPING,
        FINISHED: FINISHED,
        FAILED: FAILED,
    },
    SessionEvent.STOP_REQUESTED: {
        # Nothing flows yet, so there is nothing to stop: the attempt is given up and costs nothing.
        PENDING: FAILED,
        ACTIVE: STOPPING,
        STOPPING: STOPPING,
        FINISHED: SessionAlreadyFinished,
        FAILED: SessionAlreadyFailed,
    },
    # The user may try again (manual, "Reset stopping after").
    SessionEvent.STOP_REFUSED: {
        PENDING: SessionNotStarted,
        ACTIVE: ACTIVE,
        STOPPING: ACTIVE,
        FINISHED: SessionAlreadyFinished,
        FAILED: SessionAlreadyFailed,
    },
    SessionEvent.STOP_TIMED_OUT: {
        PENDING: SessionNotStarted,
        ACTIVE: ACTIVE,
        STOPPING: ACTIVE,
        FINISHED: SessionAlreadyFinished,
        FAILED: SessionAlreadyFailed,
    },
    SessionEvent.STOPPED: {
        # The stop overtook the start: what the station has stopped, it had started.
        PENDING: FINISHED,
        ACTIVE: FINISHED,
        STOPPING: FINISHED,
        FINISHED: FINISHED,
        FAILED: SessionAlreadyFailed,
    },
    SessionEvent.INACTIVITY_ELAPSED: {
        PENDING: SessionNotStarted,
        ACTIVE: FINISHED,
        STOPPING: FINISHED,
        FINISHED: FINISHED,
        FAILED: SessionAlreadyFailed,
    },
    SessionEvent.GHOST_CLOSED: {
        PENDING: SessionNotStarted,
        ACTIVE: FINISHED,
        STOPPING: FINISHED,
        FINISHED: FINISHED,
        FAILED: SessionAlreadyFailed,
    },
}


def next_status(status: SessionStatus, event: SessionEvent) -> SessionStatus:
    """The state after the event; the same state when the event repeats what is already so.

    Raises SessionNotStarted, SessionAlreadyStarted, SessionAlreadyFinished or SessionAlreadyFailed when the
    event cannot happen in this state.
    """
    outcome = TRANSITIONS[event][status]
    if isinstance(outcome, SessionStatus):
        return outcome
    raise outcome(status, event)


def changes_nothing(status: SessionStatus, event: SessionEvent) -> bool:
    """Whether the event only repeats what is so, and gets the same answer as before."""
    return TRANSITIONS[event][status] == status


def is_final(status: SessionStatus) -> bool:
    """Whether nothing can change the session any more."""
    return status in FINAL
