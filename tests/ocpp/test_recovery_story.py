"""Auto-recovery from the fault on the wire to the mail: a scripted station, the clockwork called by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from app.assets.models import ChargePoint
from app.charging.models import Recovery, RecoveryAttempt, RecoveryStatus
from app.charging.recovery import recovery
from app.core.models import Action, ActionStatus, Mail
from tests.support.gateway import House, eventually
from tests.support.scripted_station import ScriptedStation


@pytest.fixture
def watched(house: House) -> Iterator[tuple[ChargePoint, ScriptedStation]]:
    """A booted station with auto-recovery; somebody reads the mails; each step is judged after 5 s."""
    house.set("notification.fault_emails", ["ops@operator.example"])
    house.set("recovery.wait_seconds", 5)
    charge_point = house.station(evses=2, auto_recovery=True)
    station = house.connect(charge_point)
    station.boot()
    yield charge_point, station


class Story:
    """What the clockwork does while the station goes on in real time: its clock runs ahead by what is waited for."""

    def __init__(self, house: House, charge_point: ChargePoint) -> None:
        self.house = house
        self.charge_point = charge_point
        self.ahead = timedelta(0)

    def wait(self, **span: float) -> None:
        """Let the clockwork's time pass."""
        self.ahead += timedelta(**span)

    def tick(self) -> None:
        """What the job does."""
        session = self.house.again()
        now = datetime.now(UTC) + self.ahead
        recovery.begin_recoveries(session, now=now)
        session.commit()
        for number in recovery.due_recoveries(session, now=now):
            recovery.advance_recovery(session, recovery_id=number, now=now)
            session.commit()

    def answered(self) -> None:
        """Wait until the last command's outcome is on disk."""
        eventually(
            lambda: not self.house.again().scalar(select(Action.id).where(Action.status == ActionStatus.PENDING))
        )

    def reported(self, station: ScriptedStation, connector_id: int, status: str, error: str = "NoError") -> None:
        """The station says so, after the last step by the clockwork's time as well."""
        station.call(
            "StatusNotification",
            {"connectorId": connector_id, "status": status, "errorCode": error, "info": "RCD tripped"},
        )

    def recovery(self) -> Recovery:
        """The one there is."""
        return self.house.again().scalars(select(Recovery)).one()

    def steps(self) -> list[str]:
        """What was tried."""
        return list(self.house.again().scalars(select(RecoveryAttempt.step).order_by(RecoveryAttempt.id)))

    def mail(self) -> Mail:
        """The one there is."""
        return self.house.again().scalars(select(Mail)).one()


def test_a_soft_reset_clears_it(house: House, watched: tuple[ChargePoint, ScriptedStation]) -> None:
    charge_point, station = watched
    story = Story(house, charge_point)
    story.reported(station, 1, "Faulted", "InternalError")
    story.tick()
    assert story.steps() == []
    story.wait(seconds=31)
    story.tick()
    asked = station.expect_call("TriggerMessage")
    assert asked.payload == {"requestedMessage": "StatusNotification", "connectorId": 1}
    asked.answer(status="Accepted")
    story.answered()
    story.wait(seconds=6)
    story.reported(station, 1, "Faulted", "InternalError")
    story.tick()
    reset = station.expect_call("Reset")
    assert reset.payload == {"type": "Soft"}
    reset.answer(status="Accepted")
    story.answered()
    station.close()
    eventually(lambda: not house.state(charge_point).connected)
    story.wait(seconds=6)
    story.tick()
    assert story.steps() == ["status", "soft_reset", "wait_connection"]
    back = house.connect(charge_point)
    back.boot()
    story.reported(back, 1, "Available")
    story.wait(seconds=31)
    story.tick()
    ended = story.recovery()
    assert (ended.status, ended.outcome) == (RecoveryStatus.RECOVERED, "The fault is gone after: soft reset.")
    mail = story.mail()
    assert mail.subject.startswith(f"Recovered: {charge_point.name}")
    assert "Soft reset: Accepted" in mail.body
    logged = house.again().scalars(select(Action).order_by(Action.id)).all()
    assert [(row.name, row.initiated_by, row.status) for row in logged] == [
        ("Trigger message", "System", ActionStatus.ACCEPTED),
        ("Reset", "System", ActionStatus.ACCEPTED),
    ]
    assert all(row.reason.startswith(f"Auto-recovery {ended.id}: InternalError of EVSE ") for row in logged)


def test_nothing_helps_a_stuck_lock(house: House, watched: tuple[ChargePoint, ScriptedStation]) -> None:
    charge_point, station = watched
    story = Story(house, charge_point)
    story.reported(station, 2, "Faulted", "ConnectorLockFailure")
    story.wait(seconds=31)
    expected = [
        ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2}, "NotImplemented"),
        ("UnlockConnector", {"connectorId": 2}, "UnlockFailed"),
        ("Reset", {"type": "Soft"}, "Rejected"),
        ("Reset", {"type": "Hard"}, "Accepted"),
    ]
    for action, payload, status in expected:
        story.tick()
        asked = station.expect_call(action)
        assert asked.payload == payload
        asked.answer(status=status)
        story.answered()
        story.wait(seconds=6)
        story.reported(station, 2, "Faulted", "ConnectorLockFailure")
        # the clockwork's time is ahead of the station's; what was reported now came after the step all the same
        house.session.execute(update(RecoveryAttempt).values(at=datetime.now(UTC) - timedelta(seconds=1)))
        house.session.commit()
    story.tick()
    ended = story.recovery()
    assert ended.status is RecoveryStatus.GIVEN_UP
    body = story.mail().body
    for words in ("The lock of the connector does not open or close (ConnectorLockFailure: RCD tripped)",
                  "Unlock: Rejected", "Soft reset: Rejected", "Hard reset: Accepted"):  # fmt: skip
        assert words in body, words
    story.wait(minutes=5)
    story.tick()
    assert story.recovery().id == ended.id, "it is not worked on again within the cool-down"
    station.expect_silence(0.2)
