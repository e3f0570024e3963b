"""Every state of a transaction × every event, for what is owed and for everything else, written out by hand."""

from __future__ import annotations

import itertools

import pytest

from app.billing.models import TransactionPurpose, TransactionStatus, TransactionType
from app.billing.payments.lifecycle import (
    OTHERS,
    OWED,
    OWING,
    PaymentEvent,
    PaymentLifecycleError,
    TransactionAlreadyEnded,
    TransactionAlreadySucceeded,
    TransactionNotAnswered,
    is_owed,
    next_status,
)

#: what becomes of each state; "!" and who refuses it: ! succeeded already, ! ended, ! not answered yet
TABLE = """
owed     event                    | pending  authentication  succeeded   outstanding     failed      cancelled
owed     succeeded                | succ     succ            succ        succ            !ended      !ended
owed     declined                 | out      out             !succeeded  out             failed      cancelled
owed     authentication_required  | auth     auth            !succeeded  auth            !ended      !ended
owed     retried                  | !waits   pending         !succeeded  pending         !ended      !ended
owed     cancelled                | !waits   cancelled       !succeeded  cancelled       failed      cancelled
owed     given_up                 | out      auth            !succeeded  out             failed      cancelled
other    succeeded                | succ     succ            succ        succ            succ        !ended
other    declined                 | failed   failed          !succeeded  failed          failed      cancelled
other    authentication_required  | auth     auth            !succeeded  auth            !ended      !ended
other    retried                  | !waits   pending         !succeeded  pending         pending     !ended
other    cancelled                | !waits   cancelled       !succeeded  cancelled       failed      cancelled
other    given_up                 | failed   failed          !succeeded  failed          failed      cancelled
"""
SHORT = {
    "pending": TransactionStatus.PENDING,
    "auth": TransactionStatus.AUTHENTICATION_REQUIRED,
    "succ": TransactionStatus.SUCCEEDED,
    "out": TransactionStatus.OUTSTANDING,
    "failed": TransactionStatus.FAILED,
    "cancelled": TransactionStatus.CANCELLED,
    "!succeeded": TransactionAlreadySucceeded,
    "!ended": TransactionAlreadyEnded,
    "!waits": TransactionNotAnswered,
}
KINDS = {
    "owed": (TransactionType.CHARGE, TransactionPurpose.SESSION),
    "other": (TransactionType.CHARGE, TransactionPurpose.TOP_UP),
}


def rows() -> list[tuple[str, PaymentEvent, TransactionStatus, str]]:
    found = []
    for line in TABLE.strip().splitlines()[1:]:
        left, right = line.split("|")
        kind, event = left.split()
        for status, outcome in zip(TransactionStatus, right.split(), strict=True):
            found.append((kind, PaymentEvent(event), status, outcome))
    return found


@pytest.mark.parametrize(("kind", "event", "status", "outcome"), rows(), ids=lambda value: str(value))
def test_every_event_in_every_state(kind: str, event: PaymentEvent, status: TransactionStatus, outcome: str) -> None:
    type_, purpose = KINDS[kind]
    expected = SHORT[outcome]
    if isinstance(expected, TransactionStatus):
        assert next_status(status, event, type_=type_, purpose=purpose) is expected
        return
    with pytest.raises(expected) as refused:
        next_status(status, event, type_=type_, purpose=purpose)
    assert (refused.value.status, refused.value.event) == (status, event)
    assert status.label in str(refused.value) and event.label in str(refused.value), "it says what was the matter"


def test_the_table_leaves_nothing_out() -> None:
    assert len(rows()) == 2 * len(PaymentEvent) * len(TransactionStatus)
    for table in (OWED, OTHERS):
        assert set(table) == set(PaymentEvent)
        assert all(set(outcomes) == set(TransactionStatus) for outcomes in table.values())


def test_only_a_charge_for_a_session_is_a_debt() -> None:
    owed = {pair for pair in itertools.product(TransactionType, TransactionPurpose) if is_owed(*pair)}
    assert owed == {(TransactionType.CHARGE, TransactionPurpose.SESSION)}


ANSWERS = {PaymentEvent.SUCCEEDED, PaymentEvent.DECLINED, PaymentEvent.AUTHENTICATION_REQUIRED, PaymentEvent.GIVEN_UP}


@pytest.mark.parametrize(
    ("kind", "event", "outcome"),
    [(kind, event, outcome) for kind, event, _, outcome in rows() if event in ANSWERS and outcome[0] != "!"],
)
def test_an_answer_that_is_repeated_changes_nothing_more(kind: str, event: PaymentEvent, outcome: str) -> None:
    """Webhooks come twice: whatever an answer did, the same answer again finds it done."""
    type_, purpose = KINDS[kind]
    after = SHORT[outcome]
    assert isinstance(after, TransactionStatus)
    assert next_status(after, event, type_=type_, purpose=purpose) is after


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_succeeded_stays_so_and_what_waits_for_an_answer_is_not_asked_anew(kind: str) -> None:
    type_, purpose = KINDS[kind]
    for event in PaymentEvent:
        try:
            after = next_status(TransactionStatus.SUCCEEDED, event, type_=type_, purpose=purpose)
        except TransactionAlreadySucceeded:
            continue
        assert after is TransactionStatus.SUCCEEDED
    for event in (PaymentEvent.RETRIED, PaymentEvent.CANCELLED):
        with pytest.raises(TransactionNotAnswered):
            next_status(TransactionStatus.PENDING, event, type_=type_, purpose=purpose)


def test_a_debt_never_fails_however_it_goes() -> None:
    """From Pending no chain of events leads a session's charge to Failed: it would be owed by nobody."""
    type_, purpose = KINDS["owed"]
    reached, new = {TransactionStatus.PENDING}, {TransactionStatus.PENDING}
    while new:
        following = set()
        for status, event in itertools.product(new, PaymentEvent):
            try:
                following.add(next_status(status, event, type_=type_, purpose=purpose))
            except PaymentLifecycleError:
                continue
        new = following - reached
        reached |= new
    assert TransactionStatus.FAILED not in reached
    assert reached >= OWING
