"""A reading that reaches a limit stops its session at once, over the wire; the clockwork is not running here.

Manual, "Stop Session"; the way of a reading: architecture.md.
"""

from __future__ import annotations

from decimal import Decimal

from app.charging.lifecycle import SessionStatus
from app.core.models import Action, ActionStatus
from tests.support.gateway import House, ago, eventually


def test_the_reading_that_reaches_the_limit_brings_the_stop(house: House) -> None:
    group = house.tariff_group(price_per_kwh="0.40", max_energy_kwh=Decimal(5))
    charge_point = house.station(group=group)
    station = house.connect(charge_point)
    tag = house.driver().rfid_tags[0].tag_id
    number = int(station.start(1, tag, meter_start_wh=1000, at=ago(minutes=20))["transactionId"])
    station.meter(1, number, 5999, at=ago(minutes=10))
    assert house.charge(number).stop_rules is not None
    station.meter(1, number, 6000, at=ago(minutes=9))
    call = station.expect_call("RemoteStopTransaction")
    assert call.payload == {"transactionId": number}
    call.answer({"status": "Accepted"})

    def accepted() -> Action | None:
        row = house.again().query(Action).filter(Action.charge_point_id == charge_point.id).one()
        return row if row.status is ActionStatus.ACCEPTED else None

    action = eventually(accepted)
    assert action is not None
    assert (action.reason, action.initiated_by) == ("Stopped by rule: energy above 5 kWh", "System")
    assert house.charge(number).status is SessionStatus.STOPPING
    station.meter(1, number, 6100, at=ago(minutes=8))
    station.stop(number, meter_stop_wh=6150, at=ago(minutes=7), reason="Remote")
    row = house.charge(number)
    assert (row.status, row.stop_rule, row.stop_rule_attempts) == (SessionStatus.FINISHED, "max_energy", 1)
    assert row.total_gross == Decimal("2.06")
