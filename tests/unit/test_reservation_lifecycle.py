"""Every event in every state of a reservation."""

from __future__ import annotations

from itertools import product

import pytest

from app.charging.models import ReservationStatus as S
from app.charging.reservations.lifecycle import OPEN, TRANSITIONS, ReservationEvent, ReservationOver, next_status
from app.charging.reservations.lifecycle import ReservationEvent as E

#: what is expected, written apart from the table: all that is not here changes nothing
CHANGES = {
    (S.PENDING, E.ACCEPTED): S.ACTIVE,
    (S.PENDING, E.REFUSED): S.REFUSED,
    (S.PENDING, E.STARTED): S.USED,
    (S.PENDING, E.CANCELLED): S.CANCELLED,
    (S.PENDING, E.EXPIRED): S.EXPIRED,
    (S.PENDING, E.FAULTED): S.ENDED,
    (S.ACTIVE, E.STARTED): S.USED,
    (S.ACTIVE, E.CANCELLED): S.CANCELLED,
    (S.ACTIVE, E.EXPIRED): S.EXPIRED,
    (S.ACTIVE, E.FAULTED): S.ENDED,
    (S.EXPIRED, E.STARTED): S.USED,
}


@pytest.mark.parametrize(("status", "event"), list(product(S, ReservationEvent)))
def test_every_event_in_every_state(status: S, event: ReservationEvent) -> None:
    if event is E.CANCELLED and status not in OPEN:
        with pytest.raises(ReservationOver, match=status.label) as over:
            next_status(status, event)
        assert over.value.status is status
    else:
        assert next_status(status, event) is CHANGES.get((status, event), status)


def test_the_table_is_complete() -> None:
    assert set(TRANSITIONS) == set(ReservationEvent)
    assert all(set(outcomes) == set(S) for outcomes in TRANSITIONS.values())


def test_nothing_opens_a_reservation_again() -> None:
    for status, event in product(set(S) - OPEN, set(ReservationEvent) - {E.CANCELLED}):
        assert next_status(status, event) not in OPEN
