"""The page of a session that has stop rules: what will stop it, what asked for its stop, what stopped it."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.charging.lifecycle import SessionStatus
from app.charging.stop_rules import Ceiling, StopRules, rules_to_json
from app.core.clock import utcnow
from tests.support import factories_crm as make
from tests.support.factories_assets import make_session, make_station, make_tariff_group, make_user, make_zone
from tests.support.factories_crm import Visitor

RULES = rules_to_json(
    StopRules(max_minutes=60, max_energy_wh=Decimal(20_000), balance_floor=Decimal(1), ceiling=Ceiling(Decimal(1)))
)


@pytest.fixture
def olga(clean: Flask, session: Session) -> Visitor:
    """A Super User, signed in."""
    somebody = make.admin(session)
    session.commit()
    return make.signed_in(clean, somebody)


@pytest.mark.parametrize(
    "status, fields, told",
    [
        (SessionStatus.ACTIVE, {}, {"Will stop": "at 20 kWh or 60 min or as soon as it costs anything"}),
        (SessionStatus.ACTIVE, {"stop_rules": None}, {}),
        (SessionStatus.ACTIVE, {"paid_from": "payment_method"}, {"Will stop": "at 20 kWh or 60 min"}),
        (
            SessionStatus.ACTIVE,
            {"paid_from": "corporate", "stop_rule": "max_energy", "stop_rule_attempts": 3},
            {"Will stop": "at 20 kWh or 60 min", "Asked to stop by rule": "energy above 20 kWh asked 3 times last"},
        ),
        (
            SessionStatus.FINISHED,
            {"stop_rule": "max_minutes", "stop_rule_attempts": 1},
            {"Stopped by rule": "longer than 60 min"},
        ),
        (SessionStatus.FINISHED, {}, {}),
    ],
)
def test_the_page_says_what_ends_the_session(
    olga: Visitor, session: Session, status: SessionStatus, fields: dict[str, Any], told: dict[str, str]
) -> None:
    station = make_station(session, make_zone(session))
    station.evses[0].tariff_group_id = make_tariff_group(session).id
    asked_at = utcnow() - timedelta(minutes=1) if "stop_rule" in fields else None
    given = {"stop_rules": RULES, "stop_rule_at": asked_at, **fields}
    row = make_session(session, station.evses[0], make_user(session), status=status, **given)
    session.commit()
    page = olga.get(f"/activity/charging-sessions/details/?id={row.id}").get_data(as_text=True)
    rows = dict(re.findall(r"<div><dt>([^<]+)</dt><dd>(.*?)</dd></div>", page, re.S))
    shown = {name: re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).strip() for name, text in rows.items()}
    for name in ("Will stop", "Asked to stop by rule", "Stopped by rule"):
        if name in told:
            assert shown[name].startswith(told[name]), shown[name]
        else:
            assert name not in shown
