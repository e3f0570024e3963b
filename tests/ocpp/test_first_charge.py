"""The whole story once, from a file to a bill: every place that tells it tells the same, to the cent."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import select

from app.assets.models import ChargePoint
from app.billing.models import TransactionStatus
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import Authorization
from app.crm.models import User
from tests.support.gateway import House, ago
from tests.support.scripted_station import sample

EXAMPLE = Path(__file__).parents[1] / "data" / "provision.example.yaml"
CARD = "04A2B3C4D5E680"
GROSS, NET, VAT = Decimal("4.26"), Decimal("3.55"), Decimal("0.71")
COLUMNS = (
    "id,user_email,id_tag,charge_point_id,evse_network_id,evse_id,started_at,stopped_at,status,payment_status,"
    "energy_kwh,currency,total_gross,total_net,total_vat,tariff"
)


def test_provision_boot_tap_charge_stop_bill_export_and_price_agree(house: House) -> None:
    provisioned = house.server.product.flask("provision", str(EXAMPLE))
    assert provisioned.returncode == 0, provisioned.stderr
    charge_point = house.again().scalars(select(ChargePoint)).one()
    began = ago(minutes=45)
    ended = began + timedelta(minutes=40)

    # 7.4 kWh in 40 minutes, by the station's own clock
    with house.connect(charge_point) as station:
        assert station.boot(vendor="Vestel", model="EVC04")["status"] == "Accepted"
        station.status(1, "Available")
        assert station.authorize(CARD.lower()) == "Accepted"
        station.status(1, "Preparing")
        started = station.start(1, CARD.lower(), meter_start_wh=123_000, at=began)
        assert started["idTagInfo"]["status"] == "Accepted"
        number = started["transactionId"]
        station.status(1, "Charging")
        for minute in (10, 20, 30):
            power = sample(11_100, "Power.Active.Import", "W")
            station.meter(1, number, 123_000 + 185 * minute, at=began + timedelta(minutes=minute), samples=[power])
        running = house.charge(number)
        assert (running.status, running.energy_wh, running.power_w) == (SessionStatus.ACTIVE, 5550, 11_100)
        station.stop(number, meter_stop_wh=130_400, at=ended, reason="Local", id_tag=CARD)
        station.status(1, "Finishing")
        station.status(1, "Available")

    # the session
    row = house.charge(number)
    assert (row.status, row.payment_status, row.flags) == (SessionStatus.FINISHED, PaymentStatus.PAID, [])
    assert (row.started_at, row.stopped_at, row.energy_wh) == (began, ended, 7400)
    assert (row.tariff_name, row.currency) == ("Standard AC", "EUR")
    assert (row.total_gross, row.total_net, row.total_vat) == (GROSS, NET, VAT)
    assert [Decimal(line["amount"]) for line in row.price_lines or ()] == [
        Decimal("0.50"),
        Decimal("0.80"),
        Decimal("2.96"),
    ]

    # the card, the ledger, the transaction
    (record,) = house.again().scalars(select(Authorization))
    assert (record.user_id, record.id, record.evse_id) == (row.user_id, row.authorization_id, row.evse_id)
    ((entry,), (transaction,)) = house.bills(number)
    assert (entry.debit, entry.balance_after) == (GROSS, Decimal("45.74"))
    assert (transaction.amount, transaction.status) == (GROSS, TransactionStatus.SUCCEEDED)
    assert house.balance(house.session.scalars(select(User)).one()) == Decimal("45.74")

    # the spreadsheet
    exported = house.server.product.flask("export", "sessions")
    assert exported.returncode == 0, exported.stderr
    text = exported.stdout.removeprefix("\ufeff")
    assert text.splitlines()[0].startswith(COLUMNS)
    (told,) = csv.DictReader(io.StringIO(text))
    assert (told["id"], told["user_email"], told["charge_point_id"]) == (str(number), "a@a.com", "MODERA-1")
    assert (told["id_tag"].upper(), told["evse_network_id"], told["evse_id"]) == (CARD, "1", "1112")
    amounts = [Decimal(told[name]) for name in ("energy_kwh", "total_gross", "total_net", "total_vat")]
    assert amounts == [Decimal("7.4"), GROSS, NET, VAT]
    assert (told["currency"], told["tariff"]) == ("EUR", "Standard AC")
    assert (told["status"].lower(), told["payment_status"].lower()) == ("finished", "paid")
    assert abs(datetime.fromisoformat(told["started_at"]) - began) < timedelta(seconds=1)
    assert abs(datetime.fromisoformat(told["stopped_at"]) - ended) < timedelta(seconds=1)
    assert told["started_at"].endswith(("+02:00", "+03:00")), "the system's time zone is Sofia's"

    # and the price, once more, from the snapshot
    priced = house.server.product.flask("price", str(number))
    assert priced.returncode == 0, priced.stderr
    for words in ("4.26", "3.55", "0.71", "Equals what was billed: 4.26 EUR"):
        assert words in priced.stdout
