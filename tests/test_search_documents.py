"""Search documents are what the records say, whatever changes them and whoever changes them at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app
from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState, ChargingZone, Evse, Location
from app.billing import codes
from app.billing.models import Voucher
from app.core.db import db
from app.crm.models import RfidTag, User, UserGroup
from app.partners.models import Partner
from app.search.find import MAX_LENGTH, find, matching, words_of
from app.search.kinds import MODELS, Kind
from app.search.models import SearchDocument, search_term
from app.search.upkeep import differences, rebuild
from tests.support.factories_dashboard import make_partner, make_station, make_user, make_zone
from tests.support.partners import acting_as, make_host

TEXTS = (
    "Terra",
    "Дом за гости",
    "台北 車站 B2",
    "O'Neill & Söhne",
    "a-b-c 007",
    "…",
    "x y z",
    "Терра terra Terra",
    "İı",
)


def ids(session: Session, typed: str, kind: Kind) -> list[int]:
    """The records of a kind that are found, at most five."""
    found = find(session, words_of(session, typed), [kind], limit=5)
    return found[kind].ids if kind in found else []


def all_true(session: Session) -> bool:
    """Whether every document and every term is what the records say now."""
    session.flush()
    return {kind.name: n for kind in Kind if (n := differences(session, kind))} == {}


# --- kept true


def _world(session: Session) -> dict[str, Any]:
    zones = [make_zone(session, name=name) for name in ("Ring Mall", "Дом")]
    partners = [make_partner(session, name) for name in ("LIDL", "Kaufland")]
    stations = [make_station(session, zones[n % 2], partner_id=1 if n == 0 else partners[n - 1].id) for n in range(3)]
    users = [make_user(session, email=f"driver{n}@example.com") for n in range(2)]
    tags = [RfidTag(tag_id=f"04A1B{n}", user_id=users[n].id) for n in range(2)]
    session.add_all([*tags, UserGroup(name="Friends")])
    session.flush()
    codes.issue_many(session, 3, amount=5, currency="EUR", description="Christmas")
    world: dict[str, Any] = {"zones": zones, "partners": partners, "stations": stations, "users": users, "tags": tags}
    return {name: [row.id for row in rows] for name, rows in world.items()} | {"count": 0, "places": zones}


def _ids(rows: list[int], pick: int) -> int:
    return rows[pick % len(rows)]


CHANGES: tuple[Callable[[Session, dict[str, Any], int, str], Any], ...] = (
    lambda s, w, n, t: s.execute(
        update(Location).where(Location.id == w["places"][n % 2].location_id).values(name={"en": t, "zh": "車站" + t})
    ),
    lambda s, w, n, t: s.execute(update(Location).values(city=t[:100], postcode="MK9 3XL")),
    lambda s, w, n, t: s.execute(update(ChargingZone).where(ChargingZone.id == _ids(w["zones"], n)).values(name=t)),
    lambda s, w, n, t: s.execute(
        update(ChargePoint).where(ChargePoint.id == _ids(w["stations"], n)).values(zone_id=_ids(w["zones"], n // 3))
    ),
    lambda s, w, n, t: s.execute(
        update(ChargePoint)
        .where(ChargePoint.id == _ids(w["stations"], n))
        .values(partner_id=(1, _ids(w["partners"], 0), _ids(w["partners"], 1))[n // 3 % 3], name=t)
    ),
    lambda s, w, n, t: s.execute(
        update(ChargePointState)
        .where(ChargePointState.charge_point_id == _ids(w["stations"], n))
        .values(serial_number=t, vendor="ABB", last_seen_at=func.now())
    ),
    lambda s, w, n, t: s.execute(
        update(Evse).where(Evse.charge_point_id == _ids(w["stations"], n)).values(code=f"NEW*E{n}*{w['count']}")
    ),
    lambda s, w, n, t: s.execute(delete(Evse).where(Evse.charge_point_id == _ids(w["stations"], n))),
    lambda s, w, n, t: s.execute(
        update(User).where(User.id == _ids(w["users"], n)).values(last_name=t, phone=f"+359 88 {n}")
    ),
    lambda s, w, n, t: s.execute(
        update(RfidTag).where(RfidTag.id == _ids(w["tags"], n)).values(user_id=_ids(w["users"], n // 2), card_no=t)
    ),
    lambda s, w, n, t: s.execute(delete(RfidTag).where(RfidTag.id == _ids(w["tags"], n))),
    lambda s, w, n, t: s.execute(update(Voucher).values(user_id=_ids(w["users"], n), redeemed_at=func.now())),
    lambda s, w, n, t: s.execute(delete(Voucher).where(Voucher.user_id.is_(None))),
    lambda s, w, n, t: s.execute(update(Partner).where(Partner.id == _ids(w["partners"], n)).values(name=f"{t} {n}")),
    lambda s, w, n, t: make_station(s, w["places"][n % 2], name=t, partner_id=_ids(w["partners"], n // 2)),
    lambda s, w, n, t: s.execute(update(UserGroup).values(name=t)),
    lambda s, w, n, t: s.execute(
        insert(User), [{"email": f"many{n}-{w['count']}-{k}@example.com", "first_name": t} for k in range(3)]
    ),
)


@pytest.mark.parametrize("seed", range(4))
def test_documents_follow_every_change(session: Session, seed: int) -> None:
    """Catches a column, a parent or a child whose change is not watched, and a term that is left behind."""
    drawn = random.Random(seed)
    world = _world(session)
    assert all_true(session)
    for count in range(25):
        world["count"] = count
        change, pick, words = drawn.randrange(len(CHANGES)), drawn.randrange(100), drawn.choice(TEXTS)
        CHANGES[change](session, world, pick, words)
        assert all_true(session), (count, change, pick, words)


def test_what_is_gone_is_found_no_more(session: Session) -> None:
    user = make_user(session, email="gone@example.com")
    session.add(RfidTag(tag_id="FFEE01", user_id=user.id))
    session.flush()
    assert ids(session, "gone", Kind.USER) == [user.id]
    session.execute(delete(User).where(User.id == user.id))
    assert ids(session, "gone", Kind.USER) == []
    assert ids(session, "ffee01", Kind.RFID_TAG) == []
    assert session.execute(select(func.count()).select_from(search_term)).scalar_one() == 0


def test_what_is_rolled_back_was_never_found(session: Session) -> None:
    user = make_user(session, email="kept@example.com")
    session.commit()
    user.email = "other@example.com"
    session.flush()
    assert ids(session, "other", Kind.USER) == [user.id]
    session.rollback()
    assert ids(session, "other", Kind.USER) == []
    assert ids(session, "kept", Kind.USER) == [user.id]


def test_a_rebuild_writes_what_triggers_had_written(session: Session) -> None:
    _world(session)
    documents = select(SearchDocument.kind, SearchDocument.record_id, SearchDocument.partner_id, SearchDocument.title)
    before = sorted(session.execute(documents).tuples())
    terms = select(search_term.c.term, search_term.c.kind, search_term.c.record_id)
    terms_before = sorted(session.execute(terms).tuples())
    session.execute(delete(search_term).where(search_term.c.kind == int(Kind.USER)))
    session.execute(update(SearchDocument).where(SearchDocument.kind == int(Kind.EVSE)).values(title="wrong"))
    assert not all_true(session)
    for kind in Kind:
        rebuild(session, kind)
    assert all_true(session)
    assert sorted(session.execute(documents).tuples()) == before
    assert sorted(session.execute(terms).tuples()) == terms_before


def test_the_command_says_what_differs_and_mends_it(session: Session) -> None:
    make_user(session, email="dora@example.com")
    session.execute(delete(SearchDocument))
    session.commit()
    cli = current_app.test_cli_runner()
    checked = cli.invoke(args=["search", "--check"])
    assert checked.exit_code == 1
    assert "rfid tag: 0 differences" in checked.output
    assert cli.invoke(args=["search", "--rebuild"]).exit_code == 0
    assert cli.invoke(args=["search", "--check"]).exit_code == 0
    assert ids(session, "dora", Kind.USER)


# --- at once


def _in_thread(app: Flask, work: Callable[[Session], Any]) -> threading.Thread:
    def run() -> None:
        with app.app_context(), Session(db.engine) as own:
            work(own)
            own.commit()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("renamed_first", [True, False])
def test_a_location_renamed_while_a_charge_point_is_put_there(
    session: Session, clean: Flask, renamed_first: bool
) -> None:
    """Neither transaction sees the other's change: whoever is second has to wait and look again."""
    zone = make_zone(session)
    zone.location.name = {"en": "Old Name"}
    session.flush()
    zone_id, location_id = zone.id, zone.location_id
    session.commit()

    def rename(own: Session) -> None:
        own.execute(update(Location).where(Location.id == location_id).values(name={"en": "Fresh Name"}))

    def put(own: Session) -> None:
        own.execute(insert(ChargePoint).values(zone_id=zone_id, name="Terra", identifier="T-54"))

    first, second = (rename, put) if renamed_first else (put, rename)
    first(session)
    thread = _in_thread(clean, second)
    thread.join(0.5)
    session.commit()
    thread.join(20)
    assert not thread.is_alive()
    assert len(ids(session, "fresh terra", Kind.CHARGE_POINT)) == 1
    assert ids(session, "old", Kind.CHARGE_POINT) == []
    assert all_true(session)


def test_two_who_change_parts_of_one_document(session: Session, clean: Flask) -> None:
    station = make_station(session, make_zone(session), name="Plain", identifier="T-54")
    key = station.id
    session.commit()
    session.execute(update(ChargePoint).where(ChargePoint.id == key).values(name="Renamed"))
    thread = _in_thread(
        clean,
        lambda own: own.execute(
            update(ChargePointState).where(ChargePointState.charge_point_id == key).values(serial_number="SN-2291")
        ),
    )
    thread.join(0.5)
    session.commit()
    thread.join(20)
    assert ids(session, "renamed sn2291", Kind.CHARGE_POINT) == [key]
    assert all_true(session)


# --- who finds what


def test_a_partner_finds_its_own_and_nothing_else(session: Session, clean: Flask) -> None:
    mine, theirs = make_host(session, "Lidl Bulgaria"), make_host(session, "Kaufland")
    make_user(session, email="dora-lidl@example.com")
    session.commit()
    own = session.scalars(select(ChargePoint.id).where(ChargePoint.partner_id == mine.partner_id)).all()
    foreign = session.scalars(select(ChargePoint.id).where(ChargePoint.partner_id == theirs.partner_id)).all()
    with acting_as(clean, mine.partner_id):
        confined = db.session()
        assert confined.execute(select(func.count()).where(search_term.c.partner_id != mine.partner_id)).scalar() == 0
        assert confined.scalars(select(SearchDocument.partner_id).distinct()).all() == [mine.partner_id]
        kinds = set(confined.scalars(select(search_term.c.kind).distinct()))
        assert kinds == {Kind.LOCATION, Kind.CHARGING_ZONE, Kind.CHARGE_POINT, Kind.EVSE}
        everything = {
            record
            for letter in "abcdefghijklmnopqrstuvwxyz0123456789"
            for record in ids(confined, letter, Kind.CHARGE_POINT)
        }
        assert everything
        assert everything <= set(own)
        assert not everything & set(foreign)
        for kind in (Kind.USER, Kind.RFID_TAG, Kind.VOUCHER, Kind.PARTNER, Kind.RECEIPT):
            assert ids(confined, "lidl", kind) == []
            assert (
                confined.execute(
                    select(func.count()).where(matching(confined, "dora", kind).condition(literal(1)))
                ).scalar()
                == 0
            )
        with pytest.raises(Exception, match="permission denied"):
            confined.execute(select(func.search_source_user([1])))
        confined.rollback()


def test_a_partner_finds_what_it_is_given_and_no_longer_what_it_gave(session: Session, clean: Flask) -> None:
    lidl = make_partner(session, "LIDL")
    station = make_station(session, make_zone(session, name="Retail Park"), name="Terra")
    key, partner = station.id, lidl.id
    session.commit()

    def finds() -> bool:
        with acting_as(clean, partner):
            found = ids(db.session(), "retail terra", Kind.CHARGE_POINT) == [key]
            db.session.rollback()
            return found

    assert not finds()
    session.execute(update(ChargePoint).where(ChargePoint.id == key).values(partner_id=partner))
    session.commit()
    assert finds()
    session.execute(update(ChargePoint).where(ChargePoint.id == key).values(partner_id=1))
    session.commit()
    assert not finds()


# --- what is typed

HOSTILE = [
    "", " ", "%", "_", "\\", "'", "';--", '"', "a'b\"c", "foo & | ! (bar) <-> :*", "&|!", "{}", "{a,b}", "$$", "<",
    "<<<",    ">dlo", "\x00", "a\x00b", "\u202e", "\ufeff", "\U0010ffff", "🚗", "é" * 10_000, "x" * 10_000,
    "word " * 2_000,
    "\n\t", "NULL", "--", "/* */", "９９", "ﬁ", "ẞ", "İ", "\u0301", "ا ب", "1e309", "-1", "0" * 300,
]  # fmt: skip


@pytest.mark.parametrize("typed", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_typed_is_text(session: Session, typed: str) -> None:
    """No error, no wildcard, and the list's condition says the same as the search."""
    user = make_user(session, email="dora@example.com")
    words = words_of(session, typed)
    assert all(len(word.text) <= MAX_LENGTH for word in words)
    found = find(session, words, list(Kind), limit=5)
    listed = session.scalars(select(User.id).where(matching(session, typed, Kind.USER).condition(User.id))).all()
    assert listed == (found[Kind.USER].ids if Kind.USER in found else [])
    assert user.id not in listed


@pytest.mark.parametrize("broad", [1, 5_000])
@pytest.mark.parametrize(
    "typed, expected",
    [
        ("maria", ["maria.ivanova@example.com", "maria@example.org", "petya@example.com"]),
        ("maria example", ["maria.ivanova@example.com", "maria@example.org", "petya@example.com"]),
        ("ivanova maria", ["maria.ivanova@example.com"]),
        ("МАРИЯ", ["мария@example.com"]),
        ("ia", []),
    ],
)
def test_a_list_finds_all_that_fit(
    session: Session, monkeypatch: pytest.MonkeyPatch, typed: str, expected: list[str], broad: int
) -> None:
    """Asked of the terms or of the records, the answer is the same."""
    monkeypatch.setattr("app.search.find.BROAD", broad)
    for email, name in (
        ("maria.ivanova@example.com", "M"),
        ("maria@example.org", ""),
        ("petya@example.com", "Maria"),
        ("мария@example.com", "Йоана"),
    ):
        make_user(session, email=email, first_name=name, last_name="")
    condition = matching(session, typed, Kind.USER).condition(User.id)
    assert sorted(session.scalars(select(User.email).where(condition))) == expected


def test_the_whole_comes_before_what_only_begins_so(session: Session) -> None:
    stations = [
        make_station(session, make_zone(session, name=f"Site {n}"), name=name, identifier=f"X{n}")
        for n, name in enumerate(("Terranova", "Plain", "Terra", "Terra 2"))
    ]
    stations[1].zone.name = "Terra zone"
    session.flush()
    found = ids(session, "terra", Kind.CHARGE_POINT)
    assert found == [stations[2].id, stations[3].id, stations[0].id, stations[1].id]


def test_one_record_of_many_terms_does_not_hide_others(session: Session) -> None:
    crowded = " ".join(f"terra{n:03}" for n in range(40))
    first = make_station(session, make_zone(session), name=crowded[:255], identifier="A-1")
    others = [make_station(session, make_zone(session), name=f"terra9{n}", identifier=f"B-{n}") for n in range(7)]
    found = find(session, words_of(session, "terra"), [Kind.CHARGE_POINT], limit=5)[Kind.CHARGE_POINT]
    assert found.ids == [first.id, *(station.id for station in others[:4])]
    assert found.more


def test_a_batch_of_vouchers_is_one_refresh(session: Session) -> None:
    made = codes.issue_many(session, 2_000, amount=5, currency="EUR", description="Christmas campaign")
    documents = select(func.count()).where(SearchDocument.kind == int(Kind.VOUCHER))
    assert session.execute(documents).scalar() == len(made) == 2_000
    assert set(MODELS) == set(Kind)
