"""What a simulated station makes of charging profiles and local lists: the server's tests lean on it being right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ocpp_ws.simulator.planning import LIST_MAX_LENGTH, SEND_MAX_LENGTH, LocalList, Plans

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def profile(number: int = 1, purpose: str = "TxDefaultProfile", *, level: int = 0, **schedule: Any) -> dict[str, Any]:
    """An absolute profile from NOW on, 10 A over three phases unless said otherwise."""
    return {
        "charging_profile_id": number,
        "stack_level": level,
        "charging_profile_purpose": purpose,
        "charging_profile_kind": "Absolute",
        "charging_schedule": {
            "start_schedule": "2026-05-01T12:00:00Z",
            "charging_rate_unit": "A",
            "charging_schedule_period": [{"start_period": 0, "limit": Decimal("10")}],
            **schedule,
        },
    }


def limit(
    plans: Plans, connector_id: int = 1, *, transaction_id: int | None = None, minutes: float = 0
) -> float | None:
    found = plans.limit_at(connector_id, transaction_id, NOW + timedelta(minutes=minutes))
    return None if found is None else found[0]


def test_the_lowest_of_all_purposes_counts_and_the_highest_level_of_each() -> None:
    plans = Plans()
    assert limit(plans) is None
    assert plans.set_profile(0, profile(1), transaction_id=None, now=NOW) == "Accepted"
    assert limit(plans) == 6900
    watts = {"charging_rate_unit": "W", "charging_schedule_period": [{"start_period": 0, "limit": 4000}]}
    plans.set_profile(0, profile(2, "ChargePointMaxProfile", **watts), transaction_id=None, now=NOW)
    assert limit(plans) == 4000
    plans.set_profile(
        1,
        profile(3, "TxProfile", **{**watts, "charging_schedule_period": [{"start_period": 0, "limit": 2000}]}),
        transaction_id=7,
        now=NOW,
    )
    assert (limit(plans, transaction_id=7), limit(plans, transaction_id=8)) == (2000, 4000)
    assert plans.clear(2, None, None, None) == "Accepted"
    plans.set_profile(
        0,
        profile(4, level=1, charging_schedule_period=[{"start_period": 0, "limit": 16}]),
        transaction_id=None,
        now=NOW,
    )
    assert limit(plans) == 16 * 690


@pytest.mark.parametrize(
    ("connector_id", "purpose", "running"),
    [(1, "ChargePointMaxProfile", None), (1, "TxProfile", None), (0, "TxProfile", 7)],
)
def test_what_fits_nowhere_is_rejected(connector_id: int, purpose: str, running: int | None) -> None:
    assert Plans().set_profile(connector_id, profile(1, purpose), transaction_id=running, now=NOW) == "Rejected"


def test_one_of_the_same_kind_replaces_and_clearing_nothing_is_unknown() -> None:
    plans = Plans()
    plans.set_profile(1, profile(1), transaction_id=None, now=NOW)
    plans.set_profile(1, profile(2), transaction_id=None, now=NOW)
    assert list(plans.profiles) == [2]
    assert plans.clear(None, 2, None, None) == "Unknown"
    assert plans.clear(None, None, "TxDefaultProfile", None) == "Accepted"
    assert plans.profiles == {}


def test_a_composite_schedule_has_a_period_wherever_the_limit_changes() -> None:
    plans = Plans()
    steps = [{"start_period": 0, "limit": 10}, {"start_period": 600, "limit": 6, "number_phases": 1}]
    plans.set_profile(1, profile(1, duration=1200, charging_schedule_period=steps), transaction_id=None, now=NOW)
    found = plans.composite(1, None, duration_s=3600, unit="A", most_w=22_080, now=NOW + timedelta(minutes=5))
    assert found["charging_schedule_period"] == [
        {"start_period": 0, "limit": 10.0},
        {"start_period": 300, "limit": 6.0, "number_phases": 1},
        {"start_period": 900, "limit": 32.0},
    ]


def test_a_local_list_is_taken_whole_or_not_at_all() -> None:
    kept = LocalList()
    good: dict[str, Any] = {"id_tag": "aa", "id_tag_info": {"status": "Accepted"}}
    short = {"id_tag": "BB", "id_tag_info": {"status": "Accepted", "expiry_date": "2026-05-01T12:00:00Z"}}
    assert kept.update(3, "Full", [good, short]) == "Accepted"
    assert (kept.allows("AA", NOW), kept.allows("BB", NOW), kept.allows("CC", NOW)) == (True, False, None)
    assert kept.update(3, "Differential", [{"id_tag": "AA"}]) == "VersionMismatch"
    assert kept.update(4, "Full", [good] * (SEND_MAX_LENGTH + 1)) == "Failed"
    assert (kept.version, len(kept.entries)) == (3, 2)
    assert kept.update(4, "Differential", [{"id_tag": "AA"}]) == "Accepted"
    assert kept.allows("aa", NOW) is None
    for start in range(0, LIST_MAX_LENGTH, SEND_MAX_LENGTH):
        tags = [{**good, "id_tag": f"T{number}"} for number in range(start, start + SEND_MAX_LENGTH)]
        answer = kept.update(kept.version + 1, "Differential", tags)
    assert answer == "Failed"
    assert kept.update(99, "Full", []) == "Accepted"
    assert kept.entries == {}
