"""CSV of the lists: the promised columns, times of the system's zone, plain decimals, no formulas, all rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.assets.models import (
    ChargePoint,
    ChargePointState,
    ChargingZone,
    Evse,
    EvseType,
    Location,
    ReportedStatus,
)
from app.billing import ledger
from app.billing.models import LedgerEntryType, Transaction, TransactionStatus, TransactionType
from app.charging.lifecycle import PaymentStatus, SessionStatus
from app.charging.models import (
    Authorization,
    AuthorizationResult,
    AuthorizationSource,
    ChargingSession,
)
from app.core import settings
from app.core.actions import open_action
from app.core.models import ActionStatus
from app.crm.models import RfidTag, User, UserGroup
from app.exports import LISTS, NoTime, UnknownColumn, UnknownList, parse_moment, stream_csv
from app.tariffs import groups
from app.tariffs.models import Tariff, TariffPowerLevel, TariffType

SOFIA = ZoneInfo("Europe/Sofia")
#: the night on which Sofia's clocks go back: 03:30 comes twice
AUTUMN = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

SESSIONS = (
    "id,user_email,id_tag,charge_point_id,evse_network_id,evse_id,started_at,stopped_at,status,payment_status,"
    "energy_kwh,currency,total_gross,total_net,total_vat,tariff"
)
AUTHORIZATIONS = "id,happened_at,source,id_tag,result,reason,user_email,charge_point_id,evse_id"
TRANSACTIONS = "id,created_at,type,status,amount,currency,user_email,session_id,processor,processor_reference"


@pytest.fixture
def evse(session: Session) -> Evse:
    settings.change_setting(session, key="system.timezone", value="Europe/Sofia", actor=None)
    location = Location(
        name={"en": "Modera"}, latitude=Decimal("42.6977"), longitude=Decimal("23.3"), country="BG", city="Sofia"
    )
    zone = ChargingZone(name="Zone", location=location)
    station = ChargePoint(name="Vestel 22 kW", identifier="MODERA-1", zone=zone)
    evse = Evse(network_id=2, code="1112", type=EvseType.AC, max_power_w=22000)
    station.evses.append(evse)
    session.add_all([location, station])
    session.commit()
    return evse


@pytest.fixture
def driver(session: Session) -> User:
    user = User(email="a@a.com", created_at=AUTUMN)
    session.add(user)
    session.commit()
    return user


def _charge(evse: Evse, user: User | None, **fields: Any) -> ChargingSession:
    values: dict[str, Any] = {
        "charge_point_id": evse.charge_point_id,
        "partner_id": evse.partner_id,
        "evse_id": evse.id,
        "user": user,
        "id_tag": "04A2B3C4D5E680",
        "source": AuthorizationSource.RFID_TAG,
        "status": SessionStatus.FINISHED,
        "payment_status": PaymentStatus.PAID,
        "created_at": AUTUMN - timedelta(seconds=20),
        "started_at": AUTUMN,
        "stopped_at": AUTUMN + timedelta(minutes=40),
        "energy_wh": Decimal("7400"),
        "max_power_w": Decimal("11100.0"),
        "tariff_name": "Standard AC",
        "currency": "EUR",
        "total_gross": Decimal("4.26"),
        "total_net": Decimal("3.55"),
        "total_vat": Decimal("0.71"),
    }
    return ChargingSession(**{**values, **fields})


def _rows(session: Session, name: str, **options: Any) -> list[dict[str, str]]:
    content = b"".join(stream_csv(session, name, **options)).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content)))


def _header(session: Session, name: str) -> str:
    return b"".join(stream_csv(session, name)).decode().split("\n")[0]


# --- the contract


@pytest.mark.parametrize(
    ("name", "begins"),
    [("sessions", SESSIONS), ("authorizations", AUTHORIZATIONS), ("transactions", TRANSACTIONS)],
)
def test_the_promised_columns_come_first(session: Session, name: str, begins: str) -> None:
    assert f"{_header(session, name)},".startswith(f"{begins},")


#: what every system has from the first day
HOUSE_HAS = {"tariffs", "tariff-groups", "partners", "roles", "vat", "currencies"}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_has_a_header_even_when_empty(session: Session, name: str) -> None:
    columns = _header(session, name).split(",")
    assert columns == list(LISTS[name].headers)
    assert len(columns) == len(set(columns))
    assert all(column == column.lower() and column.replace("_", "").isalnum() for column in columns)
    if name not in HOUSE_HAS:
        assert _rows(session, name) == []


def test_a_session(session: Session, evse: Evse, driver: User) -> None:
    session.add(_charge(evse, driver, flags=["late_start", "clock"], stop_reason="Local"))
    session.commit()
    [row] = _rows(session, "sessions")
    assert row == {
        "id": row["id"],
        "user_email": "a@a.com",
        "id_tag": "04A2B3C4D5E680",
        "charge_point_id": "MODERA-1",
        "evse_network_id": "2",
        "evse_id": "1112",
        "started_at": "2026-10-25T03:30:00+03:00",
        "stopped_at": "2026-10-25T03:10:00+02:00",
        "status": "finished",
        "payment_status": "paid",
        "energy_kwh": "7.400",
        "currency": "EUR",
        "total_gross": "4.26",
        "total_net": "3.55",
        "total_vat": "0.71",
        "tariff": "Standard AC",
        "duration_s": "2400",
        "max_power_kw": "11.1",
        "source": "rfid_tag",
        "location": "Modera",
        "charging_zone": "Zone",
        "partner": "Operator",
        "stop_reason": "Local",
        "failure_reason": "",
        "flags": "late_start, clock",
        "created_at": "2026-10-25T03:29:40+03:00",
        "charge_point": "Vestel 22 kW",
    }
    started, stopped = (datetime.fromisoformat(row[name]) for name in ("started_at", "stopped_at"))
    assert stopped - started == timedelta(minutes=40)


def test_a_failed_session_and_other_currencies(session: Session, evse: Evse) -> None:
    session.add_all(
        [
            _charge(
                evse,
                None,
                status=SessionStatus.FAILED,
                started_at=None,
                stopped_at=None,
                energy_wh=Decimal(0),
                currency=None,
                total_gross=None,
                total_net=None,
                total_vat=None,
            ),
            _charge(
                evse,
                None,
                energy_wh=Decimal("7400.125"),
                currency="TWD",
                total_gross=Decimal("120.0000"),
                total_net=Decimal("100"),
                total_vat=Decimal("20"),
            ),
        ]
    )
    session.commit()
    failed, foreign = _rows(session, "sessions")
    for name in ("user_email", "started_at", "stopped_at", "currency", "total_gross", "duration_s"):
        assert failed[name] == ""
    assert failed["energy_kwh"] == "0.000"
    assert (foreign["total_gross"], foreign["energy_kwh"]) == ("120", "7.400125")


def test_authorizations_and_transactions(session: Session, evse: Evse, driver: User) -> None:
    charge = _charge(evse, driver)
    session.add(charge)
    session.flush()
    session.add_all(
        [
            Authorization(
                partner_id=1,
                happened_at=AUTUMN,
                source=AuthorizationSource.RFID_TAG,
                id_tag="UNKNOWN",
                result=AuthorizationResult.REJECTED,
                reason="unknown_tag",
                charge_point_id=evse.charge_point_id,
            ),
            Transaction(
                partner_id=1,
                created_at=AUTUMN,
                updated_at=AUTUMN,
                type=TransactionType.CHARGE,
                status=TransactionStatus.SUCCEEDED,
                amount=Decimal("4.26"),
                currency="EUR",
                user=driver,
                session_id=charge.id,
                processor="balance",
                processor_reference="ledger:1",
                idempotency_key="k",
            ),
        ]
    )
    session.commit()
    [authorization] = _rows(session, "authorizations")
    assert list(authorization.values())[1:9] == [
        "2026-10-25T03:30:00+03:00", "rfid_tag", "UNKNOWN", "rejected", "unknown_tag", "", "MODERA-1", "",
    ]  # fmt: skip
    [transaction] = _rows(session, "transactions")
    assert list(transaction.values())[1:10] == [
        "2026-10-25T03:30:00+03:00", "charge", "succeeded", "4.26", "EUR", "a@a.com", str(charge.id), "balance",
        "ledger:1",
    ]  # fmt: skip


def test_users_cards_and_the_ledger(session: Session, evse: Evse, driver: User) -> None:
    driver.groups = [UserGroup(name="Staff"), UserGroup(name="Fleet, north")]
    driver.rfid_tags = [RfidTag(tag_id="B2", expires_on=date(2027, 1, 31)), RfidTag(tag_id="A1")]
    session.add(User(email="poor@a.com"))
    session.flush()
    ledger.credit(
        session,
        user_id=driver.id,
        amount=Decimal("50"),
        currency="EUR",
        type=LedgerEntryType.OPERATOR_TOP_UP,
        reference="top",
        now=AUTUMN,
    )
    ledger.credit(
        session,
        user_id=driver.id,
        amount=Decimal("7"),
        currency="GBP",
        type=LedgerEntryType.VOUCHER,
        reference="pounds",
        now=AUTUMN,
    )
    session.commit()
    rich, poor = _rows(session, "users")
    assert (rich["groups"], rich["balance"], rich["currency"]) == ("Fleet, north, Staff", "50.00", "EUR")
    assert (rich["rfid_tags"], rich["registered_at"]) == ("B2, A1", "2026-10-25T03:30:00+03:00")
    assert (poor["groups"], poor["balance"], poor["currency"]) == ("", "0.00", "EUR")
    assert [(t["tag_id"], t["user_email"], t["expires_on"]) for t in _rows(session, "rfid-tags")] == [
        ("B2", "a@a.com", "2027-01-31"),
        ("A1", "a@a.com", ""),
    ]
    entries = _rows(session, "ledger")
    assert [(e["type"], e["currency"], e["credit"], e["debit"], e["balance_after"]) for e in entries] == [
        ("operator_top_up", "EUR", "50.00", "0.00", "50.00"),
        ("voucher", "GBP", "7.00", "0.00", "7.00"),
    ]


def test_stations_locations_tariffs_and_actions(session: Session, evse: Evse) -> None:
    state = session.get_one(ChargePointState, evse.charge_point_id)
    state.status, state.vendor, state.last_seen_at = ReportedStatus.FAULTED, "Vestel", AUTUMN
    group = groups.create_group(session, name="AC", actor=None)
    tariff = Tariff(
        name="Levels",
        type=TariffType.POWER_LEVELS,
        levels=[TariffPowerLevel(max_power_w=p, price_per_minute=Decimal("0.1")) for p in (22000, 7400)],
    )
    session.add(tariff)
    groups.attach_tariff(session, group=group, tariff=tariff, actor=None)
    open_action(
        session,
        name="Reset",
        target_type="charge_point",
        target_id=evse.charge_point_id,
        target_label="MODERA-1",
        reason="Stuck, badly",
        actor=None,
        status=ActionStatus.FINISHED,
        charge_point_id=evse.charge_point_id,
        now=AUTUMN,
    )
    session.commit()
    [station] = _rows(session, "charge-points")
    assert (station["charge_point_id"], station["evses"], station["evse_ids"]) == ("MODERA-1", "1", "1112")
    assert (station["system_status"], station["connection"], station["hardware_status"]) == (
        "active",
        "never_connected",
        "faulted",
    )
    assert (station["location"], station["country"], station["vendor"]) == ("Modera", "BG", "Vestel")
    assert station["managed_by_operator"] == "true"
    [location] = _rows(session, "locations")
    assert (location["latitude"], location["longitude"], location["charge_points"]) == ("42.6977", "23.3", "1")
    levels = {row["name"]: row for row in _rows(session, "tariffs")}["Levels"]
    assert (levels["power_levels"], levels["tariff_groups"]) == ("7.4 kW: 0.1, 22 kW: 0.1", "AC")
    [action] = _rows(session, "actions")
    assert (action["reason"], action["charge_point_id"], action["status"], action["initiated_by"]) == (
        "Stuck, badly",
        "MODERA-1",
        "finished",
        "System",
    )


# --- hostile text


@pytest.mark.parametrize(
    "text_",
    ["=1+1", "+49 151", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =HYPERLINK(1)", "＝1", "＠x", "\x1f@x"],
)
def test_no_cell_is_a_formula(session: Session, driver: User, text_: str) -> None:
    driver.first_name = text_
    session.commit()
    assert _rows(session, "users")[0]["first_name"] == f"'{text_}"


@given(words=st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back_as_one_harmless_cell(session: Session, driver: User, words: str) -> None:
    driver.last_name = words
    session.commit()
    content = b"".join(stream_csv(session, "users")).decode()
    session.commit()
    [row] = csv.DictReader(io.StringIO(content, newline=""))
    assert row["last_name"].removeprefix("'") == words.removeprefix("'")
    assert row["last_name"].lstrip()[:1] not in set("=+-@")
    assert row["email"] == "a@a.com"


def test_percent_signs_and_backslashes_are_only_text(session: Session, driver: User) -> None:
    driver.first_name = r"100%s \n %%"
    session.commit()
    assert _rows(session, "users")[0]["first_name"] == r"100%s \n %%"


# --- which rows


def test_from_is_inclusive_and_to_is_not(session: Session, evse: Evse) -> None:
    session.add_all([_charge(evse, None, started_at=AUTUMN + timedelta(minutes=m)) for m in (0, 10, 20)])
    session.add(_charge(evse, None, started_at=None, created_at=AUTUMN + timedelta(minutes=10)))
    session.commit()
    found = _rows(session, "sessions", start=AUTUMN + timedelta(minutes=10), end=AUTUMN + timedelta(minutes=20))
    assert [row["started_at"] for row in found] == ["2026-10-25T03:40:00+03:00", ""]
    assert len(_rows(session, "sessions", end=AUTUMN + timedelta(seconds=1))) == 1
    assert len(_rows(session, "sessions")) == 4


def test_chosen_columns_keep_the_lists_order(session: Session, evse: Evse, driver: User) -> None:
    session.add(_charge(evse, driver))
    session.commit()
    [row] = _rows(session, "sessions", columns=["currency", "user_email", "id"])
    assert list(row) == ["id", "user_email", "currency"]
    with pytest.raises(UnknownColumn, match="there is no column 'nonsense'; columns are id,"):
        _rows(session, "sessions", columns=["nonsense"])


def test_things_without_a_time_are_not_chosen_by_it(session: Session) -> None:
    with pytest.raises(NoTime, match="the list 'tags' has no time"):
        _rows(session, "tags", start=AUTUMN)


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("2026-10-25", datetime(2026, 10, 24, 21, 0, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 10, 31, 22, 0, tzinfo=UTC)),
        ("2026-11-01T08:30", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
        ("2026-11-01T08:30:00Z", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T08:30:00+05:00", datetime(2026, 11, 1, 3, 30, tzinfo=UTC)),
    ],
)
def test_moments(raw: str, moment: datetime) -> None:
    assert parse_moment(raw, SOFIA) == moment


def test_no_moment() -> None:
    for raw in ("yesterday", "2026-13-01", "01.11.2026", ""):
        with pytest.raises(ValueError, match="a date or time such as"):
            parse_moment(raw, SOFIA)


# --- streaming


def test_a_long_list_comes_in_pieces(session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO user_account (email, first_name) "
            "SELECT 'u' || n || '@example.com', repeat('x', 80) FROM generate_series(1, 3000) n"
        )
    )
    pieces = list(stream_csv(session, "users", bom=True))
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 200_000
    assert pieces[0].startswith(b"\xef\xbb\xbfid,")
    assert b"".join(pieces).count(b"\n") == 3001


def test_the_connection_is_as_before(session: Session, evse: Evse) -> None:
    def state() -> tuple[str, str]:
        return (
            session.execute(text("SELECT current_setting('TimeZone'), current_setting('statement_timeout')"))
            .one()
            ._tuple()
        )

    before = state()
    assert before[0] == "UTC"
    list(stream_csv(session, "sessions"))
    assert state() == before


def test_a_reader_who_leaves_half_way_does_no_harm(session: Session) -> None:
    session.execute(
        text(
            "INSERT INTO user_account (email, first_name) "
            "SELECT 'u' || n || '@example.com', repeat('x', 80) FROM generate_series(1, 3000) n"
        )
    )
    session.commit()
    stream: Iterator[bytes] = stream_csv(session, "users")
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    session.rollback()
    assert session.execute(text("SELECT current_setting('TimeZone')")).scalar() == "UTC"
    assert len(_rows(session, "users")) == 3000


def test_an_unknown_list(session: Session) -> None:
    with pytest.raises(UnknownList, match="there is no list 'session'; lists are actions, admins"):
        stream_csv(session, "session")


# --- the command


def test_the_command(clean: Flask, session: Session, evse: Evse, driver: User) -> None:
    session.add(_charge(evse, driver))
    session.commit()
    runner = clean.test_cli_runner()
    result = runner.invoke(args=["export", "sessions", "--from", "2026-10-25", "--to", "2026-10-26"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{SESSIONS},")
    assert len(result.stdout.splitlines()) == 2
    other_day = runner.invoke(args=["export", "sessions", "--from", "2026-10-26"])
    assert len(other_day.stdout.splitlines()) == 1
    with_bom = runner.invoke(args=["export", "users", "--bom"])
    assert with_bom.stdout_bytes.startswith(b"\xef\xbb\xbfid,status,email")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["session"],
            f"export: there is no list 'session'; lists are {', '.join(sorted(LISTS))}\n",
        ),
        (
            [],
            f"export: name a list; lists are {', '.join(sorted(LISTS))}\n",
        ),
        (
            ["sessions", "--from", "soon"],
            "export: a date or time such as 2026-11-01 or 2026-11-01T08:00 is expected, not 'soon'\n",
        ),
    ],
)
def test_the_commands_mistakes_are_one_plain_line(clean: Flask, args: list[str], line: str) -> None:
    result = clean.test_cli_runner().invoke(args=["export", *args])
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", line)
