"""What follows a commit: commands are handed to their gateway, settled balances settle sessions.

A process that dies between its commit and these loses nothing: commands expire with an outcome, and sessions are
settled by the next credit or by the clockwork.
"""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from app.charging import commands, follow_ups
from app.charging.payments import credits
from app.core import events
from app.core.clock import utcnow
from app.core.db import db
from app.core.models import ActionStatus


def init_app(app: Flask) -> None:
    """Listen in this process. Idempotent per application: the newest one is served."""
    follow_ups.load()
    events.replace_listener(commands.REQUESTED, lambda event: _hand_over(app, event))
    events.replace_listener("balance.settled", lambda event: _settle(app, event))


def _hand_over(app: Flask, event: dict[str, Any]) -> None:
    client = app.extensions["sync_redis"]
    if commands.hand_over(client, action_id=event["action_id"], charge_point_id=event["charge_point_id"]):
        return
    with app.app_context(), Session(db.engine) as session:
        answer = commands.Answer(ActionStatus.NOT_CONNECTED)
        commands.record_outcome(session, action_id=event["action_id"], answer=answer, now=utcnow())
        session.commit()


def _settle(app: Flask, event: dict[str, Any]) -> None:
    with app.app_context(), Session(db.engine) as session:
        credits.settle_outstanding(session, user_id=event["user_id"], currency=event["currency"], now=utcnow())
        session.commit()
