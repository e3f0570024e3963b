"""Importing charge points from a CSV: every mistake told, every change shown first, all or nothing, and back again."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets import import_columns
from app.assets.import_columns import COLUMNS, READ_ONLY
from app.assets.models import (
    AccessType,
    ChargePoint,
    ChargePointNotice,
    ConnectorFormat,
    ConnectorType,
    Evse,
    EvseStatus,
    EvseType,
    NetworkType,
    Tag,
)
from app.core import events, import_file
from app.core.import_file import UnreadableFile, read_sheet
from app.core.models import AuditEntry
from app.core.passwords import verify_station_password
from app.partners.models import Partner
from tests.support.factories_assets import make_location, make_station, make_tariff_group, make_zone
from tests.support.factories_dashboard import Visitor, make_admin, signed_in

BASE = "/assets/charge-points/"


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    return signed_in(clean, make_admin(session))


def upload(client: Visitor, text: str | bytes) -> Any:
    """Upload a file."""
    page = client.get(f"{BASE}import/").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]*)"', page)
    data = text.encode() if isinstance(text, str) else text
    form = {"csrf_token": token[1] if token else "", "file": (io.BytesIO(data), "stations.csv")}
    return client.post(f"{BASE}import/", data=form, content_type="multipart/form-data")


def preview(client: Visitor, text: str | bytes) -> tuple[str, str]:
    """The address of a file's preview and its page."""
    answer = upload(client, text)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return answer.location, client.get(answer.location).get_data(as_text=True)


def confirm(client: Visitor, page: str) -> Any:
    """Press Import."""
    action = re.search(r'action="([^"]*/import/confirm/[^"]*)"', page)
    assert action is not None, page
    digest = re.search(r'name="digest" value="([^"]*)"', page)
    return client.send(action[1], {"digest": digest[1] if digest else ""})


def words(html: str) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition('id="content"')[2]))


def mistakes(page: str) -> list[tuple[int, str]]:
    """Line and column of each mistake on a page."""
    return [(int(line), name) for line, name in re.findall(r"<tr><td>(\d+)</td><td>(?:<code>)?(\w*)", page)]


# --- the whole way


def test_a_file_creates_and_changes_as_previewed(session: Session, olga: Visitor, clean: Flask) -> None:
    zone = make_zone(session, name="North")
    make_tariff_group(session, "AC public")
    old = make_station(session, zone, identifier="OLD-1", name="Old one", auto_recovery=True)
    session.commit()
    text = (
        "charge_point_id;name;charging_zone;integration_date;network_type;access_type;network_password;auto_recovery;"
        "evse_network_id;evse_id;evse_type;evse_max_power_kw;evse_tariff_group;evse_tags;connectors\r\n"
        "NEW-1;New one;north;22.11.2026;4g;Private;s3cret-s3cret;ja;1;N1A;ac;22,5;ac PUBLIC;roof, north;Type 2\r\n"
        'NEW-1;;;;;;;;2;;DC;50;;;"CCS2 (cable), CHAdeMO (cable, out of order)"\r\n'
        "old-1;Old, renamed;;;;;;no;1;;;-;;;\r\n"
    )
    _, page = preview(olga, text)
    told = words(page)
    assert "1 will be created, 1 changed; 0 stay as they are" in told
    assert re.search(r"<del>Old one</del>.*?<ins>Old, renamed</ins>", page, re.S)
    assert "s3cret" not in page and "a new one" in told
    session.rollback()
    assert session.scalar(select(func.count()).select_from(ChargePoint)) == 1  # nothing yet
    answer = confirm(olga, page)
    assert answer.location.endswith(BASE)
    assert "1 created, 1 changed, 0 unchanged" in olga.get(BASE).get_data(as_text=True)
    session.expire_all()
    new = session.scalars(select(ChargePoint).where(ChargePoint.identifier == "NEW-1")).one()
    assert (new.name, new.zone_id, new.access_type, new.network_type, new.auto_recovery, new.integration_date) == (
        "New one", zone.id, AccessType.PRIVATE, NetworkType.MOBILE_4G, True, date(2026, 11, 22),
    )  # fmt: skip
    assert verify_station_password(new.password_hash or "", [b"s3cret-s3cret"], str(clean.secret_key))
    assert new.state is not None
    first, second = new.evses
    assert (first.code, first.type, first.max_power_w, [tag.name for tag in first.tags]) == (
        "N1A", EvseType.AC, 22_500, ["north", "roof"],
    )  # fmt: skip
    assert first.tariff_group_id is not None and second.tariff_group_id is None
    assert re.fullmatch(r"[34679ACDEFGHJKMNPQRTUVWXY]{6}", second.code)
    assert [(p.type, p.format, p.status) for p in second.connectors] == [
        (ConnectorType.CCS2, ConnectorFormat.CABLE, EvseStatus.ACTIVE),
        (ConnectorType.CHADEMO, ConnectorFormat.CABLE, EvseStatus.OUT_OF_ORDER),
    ]
    session.refresh(old)
    assert (old.identifier, old.name, old.auto_recovery, old.evses[0].max_power_w) == (
        "OLD-1", "Old, renamed", False, None,
    )  # fmt: skip
    audit = {
        row.event: row for row in session.scalars(select(AuditEntry).where(AuditEntry.object_type == "charge_point"))
    }
    assert audit["create"].object_label == "New one" and "s3cret" not in str(audit["create"].after)
    assert audit["change"].before == {
        "name": "Old one", "auto_recovery": True, "EVSE 1 Display Max Power": "22 kW",
    }  # fmt: skip
    assert audit["change"].admin_label.startswith("Olga")


def test_gateways_are_told_of_each_station(session: Session, olga: Visitor, clean: Flask) -> None:
    """Whoever is connected has its data reloaded."""
    stations = [make_station(session, identifier=f"S-{n}") for n in range(2)]
    session.commit()
    with clean.extensions["sync_redis"].pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(events.CHANNEL)
        heard.get_message(timeout=1)
        _, page = preview(olga, "charge_point_id,name\nS-0,Zero\nS-1,One\n")
        assert confirm(olga, page).status_code == 303
        told = ""
        while message := heard.get_message(timeout=1):
            told += str(message["data"])
    for station in stations:  # among what else is told in Redis meanwhile: its channels know no databases
        assert f'"name":"charge_point.changed","partner_id":1,"charge_point_id":{station.id}}}' in told


def test_a_changed_world_is_not_overwritten(session: Session, olga: Visitor) -> None:
    station = make_station(session, identifier="S-1", name="One")
    session.commit()
    address, page = preview(olga, "charge_point_id,name\nS-1,Two\n")
    station.name = "Three"
    session.commit()
    answer = confirm(olga, page)
    assert answer.location == address
    again = olga.get(address).get_data(as_text=True)
    assert "nothing was imported" in again and "Three" in again
    session.refresh(station)
    assert station.name == "Three"
    assert confirm(olga, again).status_code == 303
    session.refresh(station)
    assert station.name == "Two"


def test_an_evse_id_taken_meanwhile_imports_nothing(session: Session, olga: Visitor) -> None:
    make_zone(session, name="North")
    other = make_station(session, identifier="S-1")
    session.commit()
    _, page = preview(
        olga, "charge_point_id,name,charging_zone,evse_network_id,evse_type,evse_id\nN,New,North,1,AC,TAKEN\n"
    )
    other.evses[0].code = "taken"
    session.commit()
    assert "/preview/" in confirm(olga, page).location
    session.rollback()
    assert session.scalars(select(ChargePoint.identifier)).all() == ["S-1"]


def test_what_one_admin_uploaded_no_other_sees(session: Session, olga: Visitor, clean: Flask) -> None:
    make_station(session, identifier="S-1")
    session.commit()
    address, page = preview(olga, "charge_point_id,name\nS-1,Two\n")
    other = signed_in(clean, make_admin(session, email="otto@example.com"))
    assert other.get(address).status_code == 302
    other.get(BASE)
    assert confirm(other, page).status_code == 404
    assert olga.get(f"{BASE}import/preview/nonsense/").status_code == 302


def test_who_may_not_import_may_not(session: Session, clean: Flask) -> None:
    analyst = signed_in(clean, make_admin(session, role="Analyst", email="ana@example.com"))
    for path in ("import/", "import/template/", "import/all/", "import/preview/x/"):
        assert analyst.get(BASE + path).status_code == 403, path


# --- round trips


def test_both_exports_come_back_without_a_change(session: Session, olga: Visitor) -> None:
    partner = Partner(name="LIDL Bulgaria Ltd.")
    notice = ChargePointNotice(name="Members", message={"en": "Members only"})
    session.add_all([partner, notice])
    session.flush()
    group = make_tariff_group(session, "=AC, public")
    twins = [make_zone(session, make_location(session, name), name="P1") for name in ("Mall", "Airport")]
    full = make_station(
        session,
        twins[1],
        evses=3,
        group=group,
        identifier="000123",
        name="-Süd „A“, 'x'",
        partner_id=partner.id,
        access_type=AccessType.PRIVATE,
        show_to_public_with_notice=True,
        notice=notice,
        manufacture_date=date(2024, 2, 29),
        network_type=NetworkType.WIFI,
        load_management=True,
        max_current_a=Decimal("32.5"),
        phases=1,
        connected_phase=2,
        input_voltage_v=230,
        password_hash="hmac-sha256$00$00",
    )
    full.evses[0].tags = [Tag(name="roof"), Tag(name="a b")]
    full.evses[0].max_power_w = 1_234_567
    full.evses[1].reservation_minutes = 0
    full.evses[2].status = EvseStatus.OUT_OF_ORDER
    full.evses[2].connectors = []
    make_station(session, twins[0], evses=0, identifier="NO EVSES")
    session.commit()
    for path in ("import/all/", "export/csv/", "export/csv/?bom=1"):
        answer = olga.get(BASE + path)
        assert answer.status_code == 200
        _, page = preview(olga, answer.get_data())
        assert "2 charge points unchanged" in words(page), words(page)
        assert "/import/confirm/" not in page
    assert "evse_ids" in page  # told as read and left alone


def test_the_template_can_be_imported_as_it_is(session: Session, olga: Visitor) -> None:
    make_zone(session, make_location(session, "Modera parking"), name="Modera Zone")
    session.commit()
    for query in ("", "?semicolon=1"):
        template = olga.get(f"{BASE}import/template/{query}").get_data()
        assert template.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(template.decode("utf-8-sig")), delimiter=";" if query else ","))
        assert tuple(rows[0]) == tuple(COLUMNS)
        _, page = preview(olga, template)
        assert "1 will be created" in words(page), words(page)
    assert confirm(olga, page).status_code == 303
    session.rollback()
    assert [evse.network_id for evse in session.scalars(select(Evse))] == [1, 2]


# --- mistakes


def test_every_mistake_is_told_with_its_line_and_column(session: Session, olga: Visitor) -> None:
    here, there = make_location(session, "Here"), make_location(session, "There")
    make_zone(session, here, name="Twin")
    make_zone(session, there, name="Twin")
    make_station(session, identifier="S-1").evses[0].code = "TAKEN"
    make_station(session, identifier="S-2")
    session.commit()
    header = (
        "charge_point_id,name,location,charging_zone,partner,notice,system_status,phases,load_management,max_current_a,"
        "integration_date,network_password,evse_network_id,evse_id,evse_type,evse_max_power_kw,evse_tariff_group,connectors"
    )
    lines = [
        "N-1,,,,,,,,,,,,,,,,,",  # 2: no name, no zone
        "1E+05,A,,Twin,,,,,,,,,,,,,,",  # 3: a number made of the ID
        "N-2,A,,Twin,,,,,,,,,,,,,,",  # 4: which Twin?
        "N-3,A,Elsewhere,Twin,,,,,,,,,,,,,,",  # 5: no such zone there
        "S-1,-,,,Nobody,Nothing,running,2,perhaps,0,3/4/2026,hex:xyz,,,,,,",  # 6: all of it
        "S-2,,,,,,,,,,,,1,taken,XC,0,Nowhere,Type 9",  # 7
        "S-2,,,,,,,,,,,,1,,,,,",  # 8: the same EVSE again
        "S-2,,,,,,,,,,,,,X,,,,",  # 9: which EVSE?
        "S-2,,,,,,,,,,,,5,,,,,",  # 10: a new EVSE without type
        "S-2,,,,,,,,yes,,,,,,,,,",  # 11: load management without its values
        ",A,,,,,,,,,,,,,,,,",  # 12: no ID
        "S-2,,,,,,,,,,,,0,,,,,",  # 13: no EVSE 0
    ]
    _, page = preview(olga, "\n".join([header, *lines]))
    assert set(mistakes(page)) == {
        (2, "name"), (2, "charging_zone"), (3, "charge_point_id"), (4, "charging_zone"), (5, "location"),
        (6, "name"), (6, "partner"), (6, "notice"), (6, "system_status"), (6, "phases"), (6, "load_management"),
        (6, "max_current_a"), (6, "integration_date"), (6, "network_password"),
        (7, "evse_id"), (7, "evse_type"), (7, "evse_max_power_kw"), (7, "evse_tariff_group"), (7, "connectors"),
        (8, "evse_network_id"), (9, "evse_network_id"), (10, "evse_type"), (12, "charge_point_id"),
        (13, "evse_network_id"),
    }  # fmt: skip
    assert "“running” is none of: Active, Disabled, Demo, Out of order." in words(page).replace("&#34;", '"')
    assert "/import/confirm/" not in page


def test_a_whole_that_contradicts_the_manual_is_refused(session: Session, olga: Visitor) -> None:
    make_station(session, identifier="S-1")
    session.commit()
    _, page = preview(olga, "charge_point_id,name,load_management,phases\nS-1,A,,3\nS-1,,yes,\n")
    assert set(mistakes(page)) == {(2, "phase_rotation"), (2, "max_current_a")}
    _, page = preview(olga, "charge_point_id,name\nS-1,A\ns-1,B\n")
    assert mistakes(page) == [(3, "name")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Choose a file"),
        (b"\n\n", "empty"),
        (b"charge_point_id,name\n", "no charge points below"),
        (b"charge_point_id,name\nM\xfcnchen,x\n", "Line 2 is not UTF-8"),
        (b"PK\x03\x04\x00\x00", "no text file"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"charge_point_id\n" + b"x\n" * (import_file.MAX_LINES + 1), "more than 20,000 lines"),
        (b'charge_point_id\n"' + b"x" * 200_000 + b'"\n', "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(olga: Visitor, data: bytes, says: str) -> None:
    answer = upload(olga, data)
    assert answer.status_code == 422
    assert says in answer.get_data(as_text=True)


# --- reading, without a database


def read(text: str | bytes) -> import_file.Sheet:
    data = text.encode() if isinstance(text, str) else text
    return read_sheet(data, known=COLUMNS, read_only=READ_ONLY, of="charge points")


@pytest.mark.parametrize(
    "data",
    [
        "charge_point_id,name\nA,x y\n",
        "charge_point_id;name\r\nA;x y\r\n",
        "Charge Point ID\tName\nA\tx y",
        '\ufeff"charge-point-id","NAME"\n"A"," x y "\n',
        "charge_point_id,name\nA,x y\n".encode("utf-16"),
        "charge_point_id,name,,\nA,x y,,\n,,,\n",
        "name,charge_point_id\nx\u00a0y,A\n",
        "charge_point_id,name\n'A,x y\n".replace("'A", "A"),
    ],
)
def test_what_spreadsheets_write_is_read(data: str | bytes) -> None:
    sheet = read(data)
    assert [line.cells for line in sheet.lines] == [{"charge_point_id": "A", "name": "x y"}]
    assert sheet.lines[0].number == 2 and not sheet.mistakes


def test_lines_are_numbered_as_an_editor_numbers_them() -> None:
    sheet = read('sep=;\ncharge_point_id;name\n\nA;"two\nlines"\nB;x\n')
    assert [(line.number, line.cells["charge_point_id"]) for line in sheet.lines] == [(4, "A"), (6, "B")]


def test_a_header_that_is_not_ours_is_told() -> None:
    sheet = read("charge_point_id,nmae,name,name,model\nA,1,2,3,4\n")
    assert [(m.column, m.message) for m in sheet.mistakes] == [
        ("nmae", "There is no such column. Do you mean name?"),
        ("name", "This column is there twice."),
    ]
    assert sheet.ignored == ["model"]
    long = read("charge_point_id,name\nA,1,2\n")
    assert [(m.line, m.column) for m in long.mistakes] == [(2, "")]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("charge_point_id", "'00123", "00123"),
        ("charge_point_id", "1E5", "1E5"),
        ("name", "'t Hoekje", "'t Hoekje"),
        ("managed_by_operator", "WAHR", True),
        ("managed_by_operator", "0", False),
        ("manufacture_date", "2026-11-22 00:00:00", date(2026, 11, 22)),
        ("manufacture_date", "22/11/2026", date(2026, 11, 22)),
        ("manufacture_date", "11/22/2026", date(2026, 11, 22)),
        ("manufacture_date", "2.3.2026", date(2026, 3, 2)),
        ("max_current_a", "32,5", Decimal("32.5")),
        ("phases", "3.0", 3),
        ("phases", "single phase", 1),
        ("input_voltage_v", "220-240 V", 230),
        ("evse_max_power_kw", "7.4", 7400),
        ("evse_network_id", "1,0", 1),
        ("system_status", "out-of-ORDER", "out_of_order"),
        ("security_profile", "3", "3"),
        ("evse_tags", "a, b;a,", ["a", "b"]),
    ],
)
def test_cells_are_read_as_they_are_meant(column: str, cell: str, value: Any) -> None:
    assert COLUMNS[column].parse(cell) == value


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("charge_point_id", "1,23E+15"),
        ("evse_id", "1E+05"),
        ("manufacture_date", "3/4/2026"),
        ("manufacture_date", "46348"),
        ("manufacture_date", "2026-02-30"),
        ("manufacture_date", "22.11.26"),
        ("max_current_a", "NaN"),
        ("max_current_a", "1.000,5"),
        ("evse_max_power_kw", "0.0001"),
        ("evse_network_id", "1.5"),
        ("evse_network_id", "9" * 30),
        ("phases", "2"),
        ("connectors", "Type 2 (socket"),
        ("connectors", "(cable)"),
        ("connectors", "Type 2 (rope)"),
        ("name", "a\nb"),
        ("network_password", "hex:0"),
    ],
)
def test_cells_that_cannot_be_meant_are_refused_in_words(column: str, cell: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]{3}.*\."):
        COLUMNS[column].parse(cell)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_sheet_or_unreadable(data: bytes) -> None:
    try:
        read(data)
    except UnreadableFile as error:
        assert str(error)


@given(st.sampled_from(sorted(COLUMNS)), st.text(min_size=1, max_size=60))
def test_any_cell_is_a_value_or_a_sentence(name: str, cell: str) -> None:
    try:
        COLUMNS[name].parse(cell)
    except ValueError as error:
        assert str(error)


@given(
    st.lists(
        st.tuples(st.sampled_from(ConnectorType), st.sampled_from(ConnectorFormat), st.sampled_from(EvseStatus)),
        max_size=4,
    )
)
def test_connectors_come_back_from_their_cell(connectors: list[tuple[Any, Any, Any]]) -> None:
    plugs = [import_columns.Plug(*each) for each in connectors]
    back = import_columns.plugs(import_columns.plugs_text(plugs))
    assert [(p.type, p.format, p.status or EvseStatus.ACTIVE) for p in back] == connectors
