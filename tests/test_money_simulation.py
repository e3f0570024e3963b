"""Sessions of every kind with crashes, repeats and workers at once: afterwards all books agree to the cent.

`python -m bench.money_simulation` does the same with ten thousand.
"""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from app.core.db import db
from bench.money_simulation import Plan, Simulation


@pytest.mark.slow
def test_all_books_agree_after_everything_that_can_go_wrong(clean: Flask) -> None:
    with clean.app_context():
        db.session.remove()
    report = Simulation(clean, Plan(sessions=100, seed=7)).run()
    assert report.differences == []
    assert report.errors == []
    # it was no idle walk: processes died, cards declined, money was held, taken, given back and topped up
    counts = report.counts
    for what in (
        "deaths of processes",
        "starts, repeated",
        "transactions: charge, succeeded",
        "transactions: charge, outstanding",
        "transactions: capture, succeeded",
        "transactions: refund, succeeded",
        "vouchers: operator_top_up, active",
        "receipts: receipt",
    ):
        assert counts[what] > 0, (what, counts)
    assert sum(count for what, count in counts.items() if what.startswith("tariff: ")) == counts["starts"]
    assert len([what for what in counts if what.startswith("tariff: ")]) == 5


@pytest.mark.slow
def test_the_simulation_notices_what_is_lost(clean: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that never condemns is none: a debit that is lost on the way is found."""
    simulation = Simulation(clean, Plan(sessions=12, workers=1, deaths=False))

    lost: list[int] = []

    def lose_money() -> None:
        with clean.app_context(), db.engine.begin() as connection:
            lost.append(connection.execute(text("UPDATE balance_account SET balance = balance + 1")).rowcount)

    monkeypatch.setattr(simulation, "_settle_down", lose_money)
    report = simulation.run()
    assert lost[0] > 0
    assert sum(found.startswith("Balance account") for found in report.differences) == lost[0]
