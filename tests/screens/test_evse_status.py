"""An EVSE's system status from the screen: with a reason, for several at once, with an account of it."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.assets.models import EvseStatus
from app.core.models import Action, ActionStatus, AuditEntry
from tests.support.factories_assets import make_station
from tests.support.factories_dashboard import make_admin, signed_in


def test_several_evses_are_taken_out_at_once_with_an_account_of_it(session: Session, clean: Flask) -> None:
    station = make_station(session, evses=3)
    station.evses[2].status = EvseStatus.OUT_OF_ORDER
    session.commit()
    version = station.version
    olga = signed_in(clean, make_admin(session, role="Operator"))
    olga.get("/assets/evses/")
    fields = {"rowid": [str(evse.id) for evse in station.evses], "status": "out_of_order", "reason": ""}
    assert olga.send("/assets/evses/run/status/", fields).status_code == 422
    told = olga.send("/assets/evses/run/status/", {**fields, "reason": "Cable stolen"}).get_data(as_text=True)
    assert "Out of order already" in told
    session.expire_all()
    assert {evse.status for evse in station.evses} == {EvseStatus.OUT_OF_ORDER}
    assert station.version > version, "who has the charge point's form open is told"
    rows = session.scalars(select(Action).where(Action.name == "Change EVSE Status")).all()
    assert [(row.status, row.reason, row.info) for row in rows] == [
        (ActionStatus.FINISHED, "Cable stolen", "from Active to Out of order")
    ] * 2
    audited = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "charge_point")).all()
    after = {**audited[0].after, **audited[1].after}
    assert len(audited) == 2 and after == {"EVSE 1 status": "Out of order", "EVSE 2 status": "Out of order"}
