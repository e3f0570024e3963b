"""Roll-ups under concurrent writers, a killed worker, another time zone, damage: they end equal to the sessions."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.analytics import generations, marks, recompute, reconcile, upkeep
from app.analytics.cli import rollups_command
from app.analytics.models import ADDITIVE, Generation, GenerationStatus
from app.analytics.totals import WallSpan, generation_in_use, session_sums
from app.assets.models import Evse
from app.charging.models import ChargingSession
from app.core import principal, settings
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.principal import Principal
from tests.support.factories_dashboard import make_partner, make_session, make_station, make_zone
from tests.support.rollups import kept_up, rolled, straight

AT = datetime(2026, 11, 10, 21, 30, tzinfo=UTC)
NOVEMBER = [WallSpan("november", datetime(2026, 11, 1), datetime(2026, 12, 1))]


def filled(session: Session, *, evses: int = 3, each: int = 8) -> list[Evse]:
    """EVSEs with sessions over three weeks, rolled up in Sofia's days."""
    settings.change_setting(session, key="system.timezone", value="Europe/Sofia", actor=None)
    found = make_station(session, make_zone(session), evses=evses).evses
    for number in range(evses * each):
        at = AT - timedelta(hours=number * 7)
        make_session(session, found[number % evses], started_at=at, energy_wh=number * 100 + 1)
    session.commit()
    kept_up()
    return list(found)


def equal(session: Session, zone: str = "Europe/Sofia") -> None:
    """Whatever waits is worked off; then every row is what the sessions say."""
    session.rollback()
    kept_up()
    assert upkeep.waiting(session) == 0
    assert rolled(session) == rolled(session, fresh_in=zone)


# --- concurrent writers


def test_no_mark_is_lost_between_writers_and_workers(session: Session, clean: Flask) -> None:
    """Writers and two workers at once, round after round; each round ends equal, without a look at all sessions."""
    evses = [evse.id for evse in filled(session)]
    rows = list(session.scalars(text("SELECT id FROM charging_session")))
    session.commit()
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        dice = random.Random(seed)
        with clean.app_context():
            for _ in range(6):
                with separate_transaction() as own:
                    for number in sorted(dice.sample(rows, 2)):
                        own.execute(
                            text(
                                "UPDATE charging_session SET evse_id = :evse, energy_wh = :wh, "
                                "stopped_at = stopped_at + :by, started_at = started_at + :by WHERE id = :id"
                            ),
                            {
                                "id": number,
                                "evse": dice.choice(evses),
                                "wh": dice.randrange(10**5),
                                "by": timedelta(hours=dice.randrange(-30, 30)),
                            },
                        )

    def work(_seed: int) -> None:
        with clean.app_context():
            for _ in range(8):
                with separate_transaction() as own:
                    marks.work_off(own, batch=3)

    def guarded(what, seed: int) -> None:
        try:
            what(seed)
        except BaseException as error:
            failures.append(error)

    for turn in range(5):
        doing = [(write, turn * 10 + number) for number in range(3)] + [(work, number) for number in range(2)]
        threads = [threading.Thread(target=guarded, args=each) for each in doing]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        equal(session)


def test_a_mark_that_is_not_visible_yet_survives(session: Session) -> None:
    filled(session)
    with Session(db.engine) as writer:
        writer.execute(text("UPDATE charging_session SET energy_wh = energy_wh + 1000"))
        kept_up()  # sees neither the change nor its marks
        writer.commit()
    assert upkeep.waiting(session) > 0
    equal(session)


def test_marks_are_worked_off_in_read_committed_only(session: Session) -> None:
    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    with pytest.raises(RuntimeError, match="READ COMMITTED"):
        marks.work_off(session)


def test_readings_of_a_running_session_leave_no_marks(session: Session) -> None:
    evse = make_station(session, make_zone(session)).evses[0]
    row = make_session(session, evse, started_at=AT, status="active", gross=None)
    session.commit()
    row.energy_wh, row.power_w = Decimal(5), Decimal(7000)
    session.commit()
    assert upkeep.waiting(session) == 0
    row.status, row.stopped_at = "finished", AT + timedelta(hours=1)
    session.commit()
    assert upkeep.waiting(session) == 1
    row.version += 1
    session.commit()
    assert upkeep.waiting(session) == 1


# --- killed


@pytest.mark.parametrize("statement", ["_FILL_KEYS", "_FILL_MONTHS", "_FILL_TOTALS"])
def test_a_worker_killed_half_way_leaves_everything_as_it_was(
    session: Session, cleaner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    filled(session)
    session.execute(text("UPDATE charging_session SET energy_wh = energy_wh + 1000"))
    session.commit()
    before, waiting = rolled(session), upkeep.waiting(session)
    session.commit()

    class Killed:
        """Runs the statement, then loses its connection."""

        real = getattr(recompute, statement)

    def execute(own: Session, *arguments: object) -> object:
        result = Session.execute(own, *arguments)
        if arguments and arguments[0] is Killed.real:
            pid = Session.execute(own, text("SELECT pg_backend_pid()")).scalar()
            cleaner.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        return result

    with Session(db.engine) as own:
        monkeypatch.setattr(own, "execute", lambda *arguments: execute(own, *arguments))
        with pytest.raises(OperationalError):
            marks.work_off(own)
            own.commit()
    assert rolled(session) == before
    assert upkeep.waiting(session) == waiting
    equal(session)


# --- generations


def test_another_time_zone_is_another_generation_built_beside(session: Session) -> None:
    filled(session)
    sofia = generation_in_use(session, zone="Europe/Sofia")
    settings.change_setting(session, key="system.timezone", value="Pacific/Kiritimati", actor=None)
    session.commit()
    steps = 0
    while generation_in_use(session, zone="Pacific/Kiritimati") is None:
        # until the flip the old one stands whole, and what is read in the new zone is right all the same
        assert generation_in_use(session, zone="Europe/Sofia") == sofia
        asked = _november(session, "Pacific/Kiritimati")
        assert asked == straight(session, NOVEMBER, zone="Pacific/Kiritimati")
        with separate_transaction() as own:
            assert generations.advance(own, zone="Pacific/Kiritimati", now=utcnow())
        session.execute(text("UPDATE charging_session SET energy_wh = energy_wh + 1 WHERE id % 5 = :n"), {"n": steps})
        session.commit()
        steps += 1
    assert steps >= 3
    assert generation_in_use(session, zone="Europe/Sofia") is None
    assert _november(session, "Pacific/Kiritimati") == straight(session, NOVEMBER, zone="Pacific/Kiritimati")
    equal(session, "Pacific/Kiritimati")


def _november(session: Session, zone: str) -> dict:
    found: dict[tuple, list] = {}
    for row in session_sums(session, NOVEMBER, zone=zone):
        values = found.setdefault((row.name, row.bucket, row.currency), [0] * len(ADDITIVE))
        for position, name in enumerate(ADDITIVE):
            values[position] += getattr(row, name)
    return {key: tuple(values) for key, values in found.items() if any(values)}


def test_a_change_of_mind_builds_nothing_twice_and_old_generations_go(session: Session) -> None:
    filled(session)
    for zone in ("UTC", "Europe/Sofia"):
        with separate_transaction() as own:
            generations.advance(own, zone=zone, now=utcnow())
    kept_up()
    states = list(session.scalars(text("SELECT status FROM an_generation ORDER BY id")))
    assert states == ["current", "retired"]
    later = utcnow() + generations.KEEP_RETIRED * 2
    while True:
        with separate_transaction() as own:
            if not generations.advance(own, zone="Europe/Sofia", now=later):
                break
    session.rollback()
    assert list(session.scalars(text("SELECT status FROM an_generation"))) == ["current"]
    equal(session)


def test_without_sessions_a_generation_is_in_use_at_once(session: Session) -> None:
    kept_up()
    zone = settings.get_text(session, "system.timezone")
    assert generation_in_use(session, zone=zone) is not None
    assert session_sums(session, NOVEMBER, zone=zone) == []


# --- the nightly reconcile, the command


def test_differences_are_repaired_and_told(session: Session, clean: Flask) -> None:
    number = filled(session)[0].id
    agreed = reconcile.reconcile(separate_transaction, clock=utcnow)
    assert agreed is not None and (agreed.differences, agreed.days >= 30) == (0, True)
    session.execute(text("UPDATE an_evse_day SET energy_wh = energy_wh + 7 WHERE day = '2026-11-10'"))
    session.execute(text("DELETE FROM an_tot_day WHERE day = '2026-11-08'"))
    session.commit()
    result = clean.test_cli_runner().invoke(rollups_command, ["--check"])
    assert result.exit_code == 1, result.output
    assert "differences (repaired)" in result.output
    assert f"2026-11-10: EVSE {number}" in result.output
    assert "2026-11-08: totals of the day" in result.output
    equal(session)
    again = clean.test_cli_runner().invoke(rollups_command, ["--check"])
    assert (again.exit_code, " 0 differences" in again.output) == (0, True)


def test_what_waits_is_no_difference(session: Session) -> None:
    filled(session)
    session.execute(text("UPDATE charging_session SET energy_wh = energy_wh + 1000"))
    session.commit()
    found = reconcile.reconcile(separate_transaction, clock=utcnow)
    assert found is not None and found.differences == 0
    equal(session)


def test_the_command_rebuilds_and_says_how_it_stands(session: Session, clean: Flask) -> None:
    filled(session)
    before = session.query(Generation).filter_by(status=GenerationStatus.CURRENT).one().id
    session.commit()
    runner = clean.test_cli_runner()
    rebuilt = runner.invoke(rollups_command, ["--rebuild"])
    assert rebuilt.exit_code == 0, rebuilt.output
    session.expire_all()
    assert session.query(Generation).filter_by(status=GenerationStatus.CURRENT).one().id > before
    shown = runner.invoke(rollups_command).output
    assert "(Europe/Sofia): in use" in shown
    assert "0 marks wait" in shown
    equal(session)


# --- whose numbers


def test_a_row_belongs_to_the_partner_of_the_session(session: Session, clean: Flask) -> None:
    """A station changes hands: the past stays with who had it, and a partner's admin reads its own only."""
    [evse] = filled(session, evses=1)
    partner = make_partner(session)
    session.execute(text("UPDATE charge_point SET partner_id = :p"), {"p": partner.id})
    session.execute(text("UPDATE evse SET partner_id = :p"), {"p": partner.id})
    session.commit()
    session.refresh(evse)
    make_session(session, evse, started_at=AT, energy_wh=555, gross="9.00")
    session.commit()
    number = partner.id
    assert _as_partner(clean, number) == (1, 555)  # marked, computed at once
    equal(session)
    assert _as_partner(clean, number) == (1, 555)
    assert {key[2] for key in rolled(session)["an_evse_day"]} == {1, number}
    mine = session.query(ChargingSession).filter_by(partner_id=number).one()
    mine.partner_id = 1
    session.commit()
    assert _as_partner(clean, number) == (0, 0)
    equal(session)


def _as_partner(app: Flask, partner_id: int) -> tuple[int, int]:
    with app.app_context(), app.test_request_context():
        principal.bind(Principal(partner_id))
        rows = session_sums(db.session(), NOVEMBER, zone="Europe/Sofia")
        assert generation_in_use(db.session(), zone="Europe/Sofia") is not None
        found = sum(row.sessions for row in rows), sum(row.energy_wh for row in rows)
        db.session.remove()
        return found
