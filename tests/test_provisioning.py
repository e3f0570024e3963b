"""Provisioning: what a file names is there afterwards, once; a wrong file changes nothing and says where."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.assets.models import (
    AccessType,
    ChargePoint,
    Connector,
    ConnectorFormat,
    ConnectorType,
    Evse,
    EvseStatus,
    Location,
    NetworkProtocol,
    SystemStatus,
    ZoneStatus,
)
from app.billing import ledger
from app.billing.models import LedgerEntry, LedgerEntryType
from app.core import events, settings
from app.core.config import Config
from app.core.models import Action, AuditEntry, CurrencyRow, VatRate
from app.core.passwords import verify_station_password
from app.crm.models import RfidTag, RfidTagStatus, User, UserGroup, UserStatus
from app.partners.models import Partner
from app.provisioning import Provisioned, ProvisioningError, provision
from app.provisioning.evse_codes import ALPHABET
from app.tariffs.models import Tariff, TariffGroup, TariffType
from app.tariffs.snapshots import price_in_words

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
EXAMPLE = (Path(__file__).parent / "support" / "provision.example.yaml").read_text()

Apply = Callable[[str], Provisioned]


@pytest.fixture
def apply(session: Session, config: Config) -> Apply:
    """Apply a file and commit it, as the command does."""

    def run(source: str) -> Provisioned:
        try:
            result = provision(session, text=source, secret_key=config.secret_key, actor=None, now=NOW)
        except ProvisioningError:
            session.rollback()
            raise
        session.commit()
        return result

    return run


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of charge points announced as changed by commits from now on."""
    ids: list[int] = []

    def hear(told: list[dict[str, Any]]) -> None:
        ids.extend(event["charge_point_id"] for event in told if event["name"] == "charge_point.changed")

    monkeypatch.setattr(events, "publish", hear)
    return ids


def _outcomes(result: Provisioned) -> dict[str, dict[str, int]]:
    return {kind: {str(k): n for k, n in counted.items() if n} for kind, counted in result.counts.items()}


def _rows(session: Session) -> dict[str, str]:
    """Everything that is stored, by table."""
    tables = session.scalars(
        text(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        )
    ).all()
    return {table: str(session.scalars(text(f'SELECT t::text FROM "{table}" t ORDER BY 1')).all()) for table in tables}


# --- the example


def test_the_example_is_there_afterwards(session: Session, apply: Apply, config: Config) -> None:
    apply(EXAMPLE)
    assert settings.get(session, "system.currency") == "EUR"
    assert settings.get(session, "system.timezone") == "Europe/Sofia"
    assert settings.get(session, "billing.strategy") == "balance_or_payment_method"
    assert settings.get(session, "billing.minimum_balance_to_start") == 5
    charge_point = session.scalars(select(ChargePoint)).one()
    assert (charge_point.identifier, charge_point.name) == ("MODERA-1", "Vestel 22 kW")
    assert charge_point.protocol is NetworkProtocol.OCPP16
    assert (charge_point.password_hash, charge_point.access_type) == (None, AccessType.PUBLIC)
    assert charge_point.status is SystemStatus.ACTIVE
    location = charge_point.zone.location
    assert location.name == {"en": "Modera Restaurant parking", "bg": "Паркинг Модера"}
    assert (location.latitude, location.longitude) == (Decimal("42.6977"), Decimal("23.3219"))
    assert (location.postcode, location.country) == ("1000", "BG")
    evse = charge_point.evses[0]
    assert (evse.code, evse.network_id, evse.max_power_w) == ("1112", 1, 22000)
    assert [(c.type, c.format) for c in evse.connectors] == [(ConnectorType.TYPE_2, ConnectorFormat.SOCKET)]
    group = session.scalars(select(TariffGroup)).one()
    assert evse.tariff_group_id == group.id
    assert [t.name for t in group.tariffs] == ["AC public: Base tariff", "Standard AC", "Staff"]
    euro = settings.get_text(session, "system.currency")
    currency = session.get_one(CurrencyRow, euro)
    words = {t.name: price_in_words(t, currency) for t in session.scalars(select(Tariff))}
    assert words == {
        "AC public: Base tariff": "€0.02/min, €0.40/kWh",
        "Standard AC": "€0.50 connection fee, €0.02/min, €0.40/kWh",
        "Night": "€0.02/min + €0.45/kWh by day, €0.25/kWh by night",
        "By power": "€0.10–0.15/min by power",
        "Staff": "Free",
    }
    staff = session.scalars(select(Tariff).where(Tariff.name == "Staff")).one()
    assert [g.name for g in staff.user_groups] == ["Staff"]
    user = session.scalars(select(User)).one()
    assert (user.email, user.rfid_tags[0].tag_id, user.rfid_tags[0].card_no) == (
        "a@a.com",
        "04A2B3C4D5E680",
        "0001",
    )
    assert ledger.balance(session, user_id=user.id, currency="EUR") == 50
    entry = session.scalars(select(LedgerEntry)).one()
    assert (entry.type, entry.description) == (LedgerEntryType.OPERATOR_TOP_UP, "Provisioning file")


def test_twice_changes_nothing_the_second_time(session: Session, apply: Apply, changed: list[int]) -> None:
    apply(EXAMPLE)
    first, told = _rows(session), list(changed)
    assert len(told) == 1
    result = apply(EXAMPLE)
    assert _rows(session) == first
    assert changed == told
    for kind, counted in _outcomes(result).items():
        assert set(counted) == {"unchanged"}, kind


def test_what_happened_is_counted_by_kind(apply: Apply) -> None:
    assert apply(EXAMPLE).lines() == [
        "settings: 0 created, 3 updated, 3 unchanged",
        "VAT rates: 0 created, 0 updated, 1 unchanged",
        "user groups: 1 created, 0 updated, 0 unchanged",
        "tariffs: 4 created, 0 updated, 0 unchanged",
        "tariff groups: 1 created, 0 updated, 0 unchanged",
        "locations: 1 created, 0 updated, 0 unchanged",
        "charging zones: 1 created, 0 updated, 0 unchanged",
        "charge points: 1 created, 0 updated, 0 unchanged",
        "EVSEs: 1 created, 0 updated, 0 unchanged",
        "users: 1 created, 0 updated, 0 unchanged",
        "RFID tags: 1 created, 0 updated, 0 unchanged",
        "balances: 0 created, 1 updated, 0 unchanged",
    ]


# --- updates

STATION = """
locations:
  - name: Modera Restaurant parking
    zones:
      - name: Modera Zone
        charge_points:
          - id: modera-1
"""


def _station(session: Session) -> ChargePoint:
    session.expire_all()
    return session.scalars(select(ChargePoint)).one()


def test_a_field_that_is_left_out_stays(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    result = apply(STATION + "            status: disabled\n")
    station = _station(session)
    assert (station.status, station.name) == (SystemStatus.DISABLED, "Vestel 22 kW")
    assert station.zone.location.city == "Sofia"
    assert station.evses[0].max_power_w == 22000
    assert _outcomes(result)["charge points"] == {"updated": 1}
    # the name is one value, and the file gave the English one only
    assert station.zone.location.name == {"en": "Modera Restaurant parking"}


def test_stations_evses_and_zones_take_every_field(session: Session, apply: Apply) -> None:
    session.add(Partner(name="Modera Ltd"))
    session.commit()
    apply(EXAMPLE)
    apply("""
locations:
  - name: Modera Restaurant parking
    short_description: {en: By the river, el: Δίπλα στο ποτάμι}
    description: Open day and night
    timezone: Europe/Athens
    zones:
      - name: Modera Zone
        status: disabled
        charge_points:
          - id: MODERA-1
            protocol: ocpp2.0.1
            access: Private
            status: out_of_order
            plug_and_charge: yes
            owner: Modera Ltd
            evses:
              - network_id: 1
                status: out_of_order
                tariff_group: null
                max_power_kw: 7.4
                connectors:
                  - {type: type2, format: cable, status: disabled}
                  - {type: CCS}
              - network_id: 2
                type: dc
""")
    station = _station(session)
    assert (station.protocol, station.access_type) == (NetworkProtocol.OCPP201, AccessType.PRIVATE)
    assert (station.status, station.plug_and_charge) == (SystemStatus.OUT_OF_ORDER, True)
    assert station.partner.name == "Modera Ltd"
    assert station.zone.status is ZoneStatus.DISABLED
    location = station.zone.location
    assert location.short_description["el"] == "Δίπλα στο ποτάμι"
    assert (location.description, location.timezone) == ({"en": "Open day and night"}, "Europe/Athens")
    one, two = station.evses
    assert {evse.partner_id for evse in (one, two)} == {station.partner_id}
    assert (one.status, one.tariff_group_id, one.max_power_w) == (EvseStatus.OUT_OF_ORDER, None, 7400)
    assert [(c.type, c.format, c.status) for c in one.connectors] == [
        (ConnectorType.TYPE_2, ConnectorFormat.CABLE, EvseStatus.DISABLED),
        (ConnectorType.CCS2, ConnectorFormat.SOCKET, EvseStatus.ACTIVE),
    ]
    assert re.fullmatch(f"[{ALPHABET}]{{6}}", two.code)
    drawn = two.code
    apply(STATION + "            owner: null\n            evses: [{network_id: 2}]\n")
    assert _station(session).partner_id == 1
    assert _station(session).evses[1].code == drawn, "an EVSE ID that was drawn stays"


def test_connectors_are_brought_to_the_files_list(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    before = session.scalars(select(Connector.id)).all()
    apply(STATION + "            evses: [{network_id: 1, connectors: [{type: Type 2}, {type: CHAdeMO}]}]\n")
    assert [c.type for c in _station(session).evses[0].connectors] == [
        ConnectorType.TYPE_2,
        ConnectorType.CHADEMO,
    ]
    assert _station(session).evses[0].connectors[0].id == before[0]
    apply(STATION + "            evses: [{network_id: 1, connectors: []}]\n")
    assert _station(session).evses[0].connectors == []


@pytest.mark.parametrize(("written", "sent"), [("correct horse ", b"correct horse "), ("hex:00ff10", b"\x00\xff\x10")])
def test_passwords(session: Session, apply: Apply, config: Config, written: str, sent: bytes) -> None:
    apply(EXAMPLE)
    apply(STATION + f"            password: {written!r}\n")
    stored = _station(session).password_hash
    assert stored is not None
    assert verify_station_password(stored, [sent], config.secret_key)
    result = apply(STATION + f"            password: {written!r}\n")
    assert _outcomes(result)["charge points"] == {"unchanged": 1}
    assert _station(session).password_hash == stored
    of_stations = select(AuditEntry).where(AuditEntry.object_type == "charge_point").order_by(AuditEntry.id)
    entries = session.scalars(of_stations).all()
    assert entries[-1].after == {"password_hash": "changed", "identifier": "modera-1"}
    assert stored not in str([(e.before, e.after) for e in entries])
    apply(STATION + "            password: null\n")
    assert _station(session).password_hash is None


def test_a_price_is_one_thing_and_its_change_another_revision(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    tariff = session.scalars(select(Tariff).where(Tariff.name == "Standard AC")).one()
    tariff.max_minutes = 90
    session.commit()
    apply("tariffs: [{name: Standard AC, type: flat, price_per_session: 5}]")
    session.refresh(tariff)
    assert (tariff.type, tariff.price_per_session, tariff.price_per_kwh) == (TariffType.FLAT, 5, None)
    assert (tariff.connection_fee, tariff.max_minutes, tariff.revision) == (None, 90, 2)
    apply("tariffs: [{name: Standard AC, type: flat, price_per_session: 5.00, max_minutes: 60}]")
    session.refresh(tariff)
    assert (tariff.max_minutes, tariff.revision) == (60, 3), "what stops a session is part of the version"


def test_power_levels_are_known_by_their_maximum(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    tariff = session.scalars(select(Tariff).where(Tariff.name == "By power")).one()
    ids = {level.max_power_w: level.id for level in tariff.levels}
    apply("""
tariffs:
  - name: By power
    type: power_levels
    levels: [{max_kw: 43, price_per_minute: 0.30}, {max_kw: 7.4, price_per_minute: 0.09}]
""")
    session.expire_all()
    levels = [(level.max_power_w, level.price_per_minute) for level in tariff.levels]
    assert levels == [(7400, Decimal("0.09")), (43000, Decimal("0.30"))]
    assert tariff.levels[0].id == ids[7400]
    assert tariff.revision == 2


def test_a_group_gets_the_order_of_the_file_and_keeps_its_base(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    result = apply("tariff_groups: [{name: AC public, tariffs: [Staff, By power, Standard AC]}]")
    session.expire_all()
    group = session.scalars(select(TariffGroup)).one()
    assert [t.name for t in group.tariffs][1:] == ["Staff", "By power", "Standard AC"]
    assert _outcomes(result) == {"tariff groups": {"updated": 1}}
    apply("tariff_groups: [{name: AC public, base: {type: free}}]")
    session.expire_all()
    assert len(group.tariffs) == 4
    assert (group.tariffs[0].type, group.tariffs[0].price_per_kwh) == (TariffType.FREE, None)


def test_restrictions(session: Session, apply: Apply) -> None:
    session.add_all([Partner(name="Host"), UserGroup(name="Old")])
    session.commit()
    apply("""
user_groups: [Staff]
tariffs:
  - name: T
    type: free
    restrictions:
      {user_groups: [Staff, Old], partners: [Host], owner_users: true, roaming_users: on, ad_hoc_users: no}
""")
    tariff = session.scalars(select(Tariff)).one()
    assert {g.name for g in tariff.user_groups} == {"Staff", "Old"}
    assert [p.name for p in tariff.partners] == ["Host"]
    assert (tariff.for_owner_users, tariff.for_roaming_users, tariff.for_ad_hoc_users) == (True, True, False)
    apply("tariffs: [{name: T, type: free}]")
    session.expire_all()
    assert tariff.for_owner_users is True, "not named, not changed"
    apply("tariffs: [{name: T, type: free, restrictions: {user_groups: [Staff]}}]")
    session.expire_all()
    assert ([g.name for g in tariff.user_groups], tariff.partners, tariff.for_owner_users) == (
        ["Staff"],
        [],
        False,
    )


def test_users_cards_and_balances(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    apply("""
users:
  - email: A@A.com
    phone: "+359 2 123"
    status: disabled
    groups: [Staff]
    balance: 12.5
    rfid_tags: [{tag_id: 04a2b3c4d5e680, status: disabled, expires: 2027-01-31}]
  - {email: b@b.com, rfid_tags: [{tag_id: NEW}]}
""")
    user = session.scalars(select(User).where(User.email == "A@A.com")).one()
    assert (user.phone, user.status, user.last_name) == ("+359 2 123", UserStatus.DISABLED, "A")
    assert [g.name for g in user.groups] == ["Staff"]
    tag = user.rfid_tags[0]
    assert (tag.status, tag.expires_on, tag.card_no) == (RfidTagStatus.DISABLED, date(2027, 1, 31), "0001")
    assert ledger.balance(session, user_id=user.id, currency="EUR") == Decimal("12.50")
    last = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id.desc())).first()
    assert last is not None
    assert (last.type, last.debit) == (LedgerEntryType.CORRECTION, Decimal("37.50"))
    actions = session.scalars(select(Action).order_by(Action.id)).all()
    assert [(a.name, a.info, a.reason, a.initiated_by) for a in actions] == [
        ("Add balance", "50.00 EUR", "Provisioning file", "System"),
        ("Correct balance", "-37.50 EUR", "Provisioning file", "System"),
    ]
    apply("users: [{email: b@b.com, groups: [], rfid_tags: [{tag_id: 04A2B3C4D5E680}]}]")
    session.expire_all()
    assert tag.user.email == "b@b.com", "a card may change hands"
    apply("users: [{email: a@a.com, groups: [], balance: 0}]")
    session.expire_all()
    assert user.groups == []
    assert ledger.balance(session, user_id=user.id, currency="EUR") == 0


def test_nothing_is_deleted(session: Session, apply: Apply) -> None:
    apply(EXAMPLE)
    apply("tariffs: [{name: Other, type: free}]\nusers: [{email: c@c.com, rfid_tags: []}]")
    for model in (ChargePoint, Evse, Location, RfidTag):
        assert session.scalar(select(func.count()).select_from(model)) == 1


def test_a_station_moves_to_the_zone_that_names_it(session: Session, apply: Apply, changed: list[int]) -> None:
    apply(EXAMPLE)
    apply("""
locations:
  - {name: Depot, latitude: 1, longitude: 2, country: BG, zones: [{name: Yard, charge_points: [{id: MODERA-1}]}]}
""")
    assert _station(session).zone.name == "Yard"
    assert changed == [_station(session).id] * 2


def test_another_vat_rate_and_a_changed_one(session: Session, apply: Apply) -> None:
    apply("vat: {name: Standard, percent: 20}")
    result = apply("vat: {name: Reduced, percent: 9.5}")
    assert _outcomes(result) == {"VAT rates": {"created": 1}, "settings": {"updated": 1}}
    assert settings.get(session, "system.vat") == "Reduced"
    apply("vat: {name: Reduced, percent: 10}")
    rate = session.scalars(select(VatRate).where(VatRate.name == "Reduced")).one()
    assert rate.percent == 10
    session.delete(rate)
    session.commit()


def test_text_stays_as_it_stands_in_the_file(session: Session, apply: Apply) -> None:
    """YAML 1.1 would read a false, a 74, a 420 and binary fractions here."""
    apply("""
locations:
  - name: Oslo
    latitude: 59.913900000
    longitude: 10.7522
    country: NO
    postcode: 0112
    zones:
      - name: 0112
        charge_points: [{id: 0x10, evses: [{network_id: 1, type: AC, id: 0112}]}]
tariffs:
  - {name: on, type: duration_energy_tod, day: {starts: 07:00, price_per_kwh: 0.1},
     night: {starts: 23:30, price_per_kwh: 0.000001}}
users: [{email: a@a.com, rfid_tags: [{tag_id: 1e3}]}]
""")
    station = _station(session)
    assert (station.identifier, station.zone.name, station.evses[0].code) == ("0x10", "0112", "0112")
    assert (station.zone.location.country, station.zone.location.postcode) == ("NO", "0112")
    tariff = session.scalars(select(Tariff)).one()
    assert (tariff.name, tariff.day_starts, tariff.night_starts) == ("on", time(7), time(23, 30))
    assert (tariff.price_per_kwh, tariff.night_price_per_kwh) == (Decimal("0.1"), Decimal("0.000001"))
    assert session.scalars(select(RfidTag.tag_id)).one() == "1e3"


# --- mistakes

SITE = "locations:\n  - {name: X, latitude: 1, longitude: 2, country: BG, zones: [%s]}\n"
EVSES = SITE % "{name: Z, charge_points: [{id: C, evses: [%s]}]}"

BAD: list[tuple[str, list[str]]] = [
    ("", ["the file is empty"]),
    ("- a\n", ["the file is expected to be a mapping: currency, tariffs, locations, …"]),
    (
        "tariffs:\n  - name: [A\n",
        [
            "line 3, column 1: not valid YAML: while parsing a flow sequence expected ',' or ']', "
            "but got '<stream end>'"
        ],
    ),
    ("a: 1\n\tb: 2\n", ["line 2, column 1: not valid YAML: while scanning for the next token "
                        "found character '\\t' that cannot start any token"]),
    ("a: 1\nb: \x07\n", ["line 2: a character that YAML does not allow"]),
    ("currency: EUR\n---\ncurrency: EUR\n",
     ["line 2, column 1: not valid YAML: expected a single document in the stream but found another document"]),
    ("currency: EUR\ncurrency: GBP\n", ["currency: given twice, again in line 2"]),
    ("currency: !!python/object:os.system EUR\n",
     ["currency: unknown YAML tag tag:yaml.org,2002:python/object:os.system"]),
    ("curency: EUR\n", ["curency: unknown key"]),
    ("currency: XTS\n", ['currency: there is no currency "XTS"']),
    ("currency: euro\n", ["currency: a currency code such as EUR is expected"]),
    ("timezone: Sofia\n", ["timezone: a time zone such as Europe/Sofia is expected, not “Sofia”"]),
    ("vat: 20\n", ["vat: a mapping (key: value) is expected"]),
    ("vat: {name: Standard}\n", ["vat.percent: is required"]),
    ("vat: {name: Standard, percent: 120}\n",
     ["vat.percent: a percentage below 100 with at most three decimals is expected"]),
    ("settings: {billing.stratgy: none}\n", ["settings.billing.stratgy: there is no such setting"]),
    ("settings: {billing.strategy: free}\n",
     ["settings.billing.strategy: one of after_session, preauthorize, balance_or_payment_method, none "
      "is expected"]),
    ("settings: {session.fail_starting_after_seconds: 5}\n",
     ["settings.session.fail_starting_after_seconds: at least 10 is expected"]),
    ("settings: {system.vat: Luxury}\n", ['settings.system.vat: there is no VAT rate "Luxury"']),
    ("tariffs: {name: A}\n", ["tariffs: a list is expected"]),
    ("tariffs: [A]\n", ["tariffs[0]: a mapping (key: value) is expected"]),
    ("tariffs: [{type: free}]\n", ["tariffs[0].name: is required"]),
    ("tariffs: [{name: A, type: gratis}]\n",
     ["tariffs[0].type: one of free, flat, duration_energy, duration_energy_tod, power_levels is expected, "
      "not “gratis”"]),
    ("tariffs: [{name: A, type: flat}]\n",
     ["tariffs[0].price_per_session: a flat rate needs a price per session"]),
    ("tariffs: [{name: A, type: flat, price_per_session: dear}]\n",
     ["tariffs[0].price_per_session: a number is expected, not “dear”"]),
    ("tariffs: [{name: A, type: flat, price_per_session: -1}]\n",
     ["tariffs[0].price_per_session: a number that is not negative is expected"]),
    ("tariffs: [{name: A, type: duration_energy, price_per_kwh: .nan}]\n",
     ["tariffs[0].price_per_kwh: a number is expected, not “.nan”"]),
    ("tariffs: [{name: A, type: duration_energy, price_per_kwh: 0.1234567}]\n",
     ["tariffs[0].price_per_kwh: at most 6 decimals are expected"]),
    ("tariffs: [{name: A, type: flat, price_per_session: 1, price_per_kwh: 1}]\n",
     ["tariffs[0].price_per_kwh: does not apply to a tariff of type flat"]),
    ("tariffs: [{name: A, type: duration_energy_tod, day: {starts: 7 am}}]\n",
     ["tariffs[0].day.starts: a time such as 07:00 is expected, not “7 am”",
      "tariffs[0].night.starts: the time at which the night tariff starts is required"]),
    ("tariffs: [{name: A, type: power_levels}]\n", ["tariffs[0].levels: at least one power level is required"]),
    ("tariffs: [{name: A, type: power_levels, levels: [{max_kw: 7}]}]\n",
     ["tariffs[0].levels: power level 1: a price per minute is required"]),
    ("tariffs: [{name: A, type: free}, {name: A, type: free}]\n",
     ["tariffs[1].name: the same as tariffs[0].name"]),
    ("tariffs: [{name: A, type: free, restrictions: {user_groups: [Staf], partners: [Nobody], all: yes}}]\n",
     ["tariffs[0].restrictions.all: unknown key",
      'tariffs[0].restrictions.user_groups[0]: there is no user group "Staf"',
      'tariffs[0].restrictions.partners[0]: there is no partner "Nobody"']),
    ("tariff_groups: [{name: G, base: {type: free, restrictions: {ad_hoc_users: yes}}, tariffs: [Nope]}]\n",
     ["tariff_groups[0].base.restrictions: unknown key",
      'tariff_groups[0].tariffs[0]: there is no tariff "Nope"']),
    ("tariffs: [{name: A, type: free}]\ntariff_groups: [{name: G, tariffs: [A, A]}]\n",
     ["tariff_groups[0].tariffs[1]: the same as tariff_groups[0].tariffs[0]"]),
    ("locations: [{name: {bg: Тук}, latitude: 1, longitude: 2, country: BG}]\n",
     ["locations[0].name: the English name (en) is required"]),
    ("locations: [{name: X, latitude: 91, country: UK}]\n",
     ["locations[0].latitude: degrees between -90 and 90 are expected",
      "locations[0].country: a country code such as BG is expected, not “UK”",
      "locations[0].longitude: is required for a new location"]),
    ("locations: [{name: X, description: {xx: hello}, latitude: 1, longitude: 2, country: BG}]\n",
     ["locations[0].description: unknown language xx; known are en, bg, el, mk, zh-Hant, pt"]),
    (SITE % "{name: Z, charge_points: [{id: C}]}, {name: Y, charge_points: [{id: c}]}",
     ["locations[0].zones[1].charge_points[0].id: the same as locations[0].zones[0].charge_points[0].id"]),
    (SITE % "{name: Z, charge_points: [{id: a/b, protocol: ocpp3, owner: Nobody}]}",
     ["locations[0].zones[0].charge_points[0].id: a Charge Point ID without / is expected, not “a/b”",
      "locations[0].zones[0].charge_points[0].protocol: one of ocpp1.6, ocpp2.0.1 is expected, not “ocpp3”"]),
    (SITE % "{name: Z, charge_points: [{id: C, owner: Nobody, password: 'hex:xy'}]}",
     ["locations[0].zones[0].charge_points[0].password: hexadecimal digits are expected after hex:",
      'locations[0].zones[0].charge_points[0].owner: there is no partner "Nobody"']),
    (EVSES % "{network_id: 1, type: AC, tariff_group: AC pubic}",
     ['locations[0].zones[0].charge_points[0].evses[0].tariff_group: there is no tariff group "AC pubic"']),
    (EVSES % "{network_id: 0, type: AC}, {network_id: 1, type: AC}, {network_id: 1, type: XC, max_power_kw: 0}",
     ["locations[0].zones[0].charge_points[0].evses[0].network_id: "
      "a whole number between 1 and 2000000000 is expected",
      "locations[0].zones[0].charge_points[0].evses[2].type: one of AC, DC is expected, not “XC”",
      "locations[0].zones[0].charge_points[0].evses[2].max_power_kw: "
      "kW above 0 and up to 10000, with at most three decimals, are expected",
      "locations[0].zones[0].charge_points[0].evses[2].network_id: "
      "the same as locations[0].zones[0].charge_points[0].evses[1].network_id"]),
    (EVSES % "{network_id: 1}", ["locations[0].zones[0].charge_points[0].evses[0].type: "
                                 "is required for a new EVSE"]),
    (EVSES % "{network_id: 1, type: AC, id: a1}, {network_id: 2, type: AC, id: A1}",
     ["locations[0].zones[0].charge_points[0].evses[1].id: "
      "the same as locations[0].zones[0].charge_points[0].evses[0].id"]),
    (EVSES % "{network_id: 1, type: AC, connectors: [{type: Type 9}]}",
     ["locations[0].zones[0].charge_points[0].evses[0].connectors[0].type: one of Type 1, Type 2, Type 3, "
      "CCS1, CCS2, CHAdeMO, GB/T AC, GB/T DC, NACS, Schuko, UK 3-pin, CEE blue, CEE red is expected, "
      "not “Type 9”"]),
    ("users: [{email: nobody}]\n", ["users[0].email: an e-mail address is expected, not “nobody”"]),
    ("users: [{email: a@a.com}, {email: A@a.com}]\n", ["users[1].email: the same as users[0].email"]),
    ("users: [{email: a@a.com, groups: [Stuff], balance: -1}]\n",
     ["users[0].balance: a number that is not negative is expected",
      'users[0].groups[0]: there is no user group "Stuff"']),
    ("users: [{email: a@a.com, balance: 1.005}]\n",
     ["users[0].balance: 1.005 has more decimals than EUR, which has 2"]),
    ("users: [{email: a@a.com, rfid_tags: [{tag_id: A, expires: soon}, {tag_id: a}]}]\n",
     ["users[0].rfid_tags[0].expires: a date such as 2027-12-31 is expected, not “soon”",
      "users[0].rfid_tags[1].tag_id: the same as users[0].rfid_tags[0].tag_id"]),
    ("user_groups: [A, A]\n", ["user_groups[1]: the same as user_groups[0]"]),
]  # fmt: skip


@pytest.mark.parametrize(("source", "mistakes"), BAD, ids=[str(mistakes[0])[:60] for _, mistakes in BAD])
def test_a_wrong_file_is_told_where_it_is_wrong(apply: Apply, source: str, mistakes: list[str]) -> None:
    with pytest.raises(ProvisioningError) as refused:
        apply(source)
    assert list(refused.value.mistakes) == mistakes


def test_mistakes_of_every_kind_are_told_at_once_and_nothing_is_changed(
    session: Session, apply: Apply, changed: list[int]
) -> None:
    before = _rows(session)
    wrong = EXAMPLE
    for right, mistake in (
        ("currency: EUR", "currency: XTS"),
        ("name: Night", "nme: Night"),
        ("max_kw: 11,", "max_kw: eleven,"),
        ("city: Sofia", "town: Sofia"),
        ("tariff_group: AC public", "tariff_group: AC pubic"),
        ("groups: []", "groups: [Stuff]"),
    ):
        wrong = wrong.replace(right, mistake)
    with pytest.raises(ProvisioningError) as refused:
        apply(wrong)
    assert sorted(refused.value.mistakes) == [
        'currency: there is no currency "XTS"',
        "locations[0].town: unknown key",
        'locations[0].zones[0].charge_points[0].evses[0].tariff_group: there is no tariff group "AC pubic"',
        "tariffs[1].name: is required",
        "tariffs[1].nme: unknown key",
        "tariffs[2].levels[1].max_kw: a number is expected, not “eleven”",
        'users[0].groups[0]: there is no user group "Stuff"',
    ]
    assert _rows(session) == before
    assert changed == []
    assert settings.get(session, "system.timezone") == "UTC"


def test_an_evse_id_of_another_station_is_refused(apply: Apply) -> None:
    apply(EXAMPLE)
    with pytest.raises(ProvisioningError) as refused:
        apply(EVSES % "{network_id: 1, type: AC, id: 1112}")
    assert refused.value.mistakes == (
        'locations[0].zones[0].charge_points[0].evses[0].id: "1112" is the EVSE ID of EVSE 1 of charge point MODERA-1',
    )


def test_two_locations_of_one_name_are_not_guessed_between(session: Session, apply: Apply) -> None:
    for _ in range(2):
        session.add(Location(name={"en": "Twin"}, latitude=Decimal(1), longitude=Decimal(1), country="BG"))
    session.commit()
    with pytest.raises(ProvisioningError, match=r"locations\[0\].name: there are several locations “Twin”"):
        apply("locations: [{name: Twin, city: Here}]")


# --- the command


def test_the_command_applies_a_file_once(clean: Flask, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(EXAMPLE)
    runner = clean.test_cli_runner()
    first = runner.invoke(args=["provision", str(file)])
    assert (first.exit_code, first.stderr, first.exception) == (0, "", None)
    assert "charge points: 1 created, 0 updated, 0 unchanged" in first.stdout.splitlines()
    again = runner.invoke(args=["provision", "-"], input=EXAMPLE)
    assert again.exit_code == 0
    assert "created, 0 updated" in again.stdout
    assert not re.search(r"[1-9]\d* (created|updated)", again.stdout)


def test_a_dry_run_tells_and_does_nothing(clean: Flask, session: Session) -> None:
    before = _rows(session)
    session.rollback()
    result = clean.test_cli_runner().invoke(args=["provision", "-", "--dry-run"], input=EXAMPLE)
    assert result.exit_code == 0
    assert "users: 1 created, 0 updated, 0 unchanged" in result.stdout
    assert result.stdout.splitlines()[-1] == "dry run: nothing was changed"
    assert _rows(session) == before
    assert settings.get(session, "system.timezone") == "UTC"


def test_the_commands_mistakes_are_plain_lines(clean: Flask, session: Session, tmp_path: Path) -> None:
    runner = clean.test_cli_runner()
    before = _rows(session)
    session.rollback()
    wrong = EXAMPLE.replace("tariff_group: AC public", "tariff_group: AC pubic")
    result = runner.invoke(args=["provision", "-"], input=wrong)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        'locations[0].zones[0].charge_points[0].evses[0].tariff_group: there is no tariff group "AC pubic"\n'
    )
    assert _rows(session) == before
    missing = runner.invoke(args=["provision", str(tmp_path / "nowhere.yaml")])
    assert missing.exit_code == 1
    assert missing.stderr == f"Error: cannot read {tmp_path / 'nowhere.yaml'}: No such file or directory\n"
    binary = runner.invoke(args=["provision", "-"], input=b"name: \xff\n")
    assert binary.stderr == "Error: - is not UTF-8 text, see byte 6\n"
