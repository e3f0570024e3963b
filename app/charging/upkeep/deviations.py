"""The quirk book: what the firmware of a make does against the protocol, and by which rule it is put right.

Gateways count deviations in memory and hand them over every few seconds. product.md, "Beyond the manual", 4;
stations.md, "Tolerant in, strict out".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.assets.models import ChargePoint, ChargePointState
from app.charging.models import Deviation

UNKNOWN = "Unknown"
#: what one make and firmware may fill of the book, and how many models there may be: a fuzzer is no model
MAX_ROWS_OF_MAKE = 500
MAX_MODELS = 5_000
#: messages that carry configuration: their values are not copied into the book, one may be a password
_WITHOUT_EXAMPLE = frozenset({"GetConfiguration", "ChangeConfiguration"})

RULES: Mapping[str, tuple[str, str]] = {
    "nul_in_string": ("NUL in a text", "Texts contain zero bytes, as of a buffer sent to its end. They are removed."),
    "json_not_strict": ("Careless JSON", "The message is not strict JSON (a byte order mark, NaN, raw control "
                        "characters). It is read by a lenient reader."),
    "message_id_too_long": ("Message number too long", "Message numbers are longer than 36 characters. Accepted."),
    "payload_null": ("No payload", "The payload is null or missing where an empty object belongs. Read as empty."),
    "frame_too_long": ("Frame too long", "The frame has more elements than the protocol knows. The rest is ignored."),
    "error_code_missing": ("Error without a code", "An error comes without its code. Read as a generic error."),
    "answer_unusable": ("Unusable answer", "An answer to a command lacks what gives it a meaning. It is kept as it "
                        "came, for a person to read."),
    "list_for_object": ("List instead of an object", "An object comes wrapped in a list. It is unwrapped."),
    "object_for_list": ("Object instead of a list", "A single object stands where a list belongs. Read as a list of "
                        "one."),
    "null_removed": ("Null for an optional field", "An optional field is sent as null. Read as if it was left out."),
    "field_misspelt": ("Misspelt field", "A field is spelt differently, mostly in upper and lower case. Read under its "
                       "right name."),
    "extra_field": ("Unknown field", "A field the protocol does not know. Ignored."),
    "required_missing": ("Required field missing", "A required field is missing. A value that does no harm stands in "
                         "for it: the arrival time for a time, else what is told at the field."),
    "item_dropped": ("Unusable entry", "An entry of a list cannot be used, e.g. a measurement without a value. The "
                     "others are."),
    "too_few_items": ("Empty list", "A list that must have entries has none. The field is left out."),
    "too_many_items": ("List too long", "A list has more entries than the protocol allows. All are used."),
    "boolean_for_string": ("True or false instead of a text", "Read as the word."),
    "number_for_string": ("Number instead of a text", "A number is sent without quotes where a text belongs. Read as "
                          "text."),
    "json_for_string": ("Object instead of a text", "JSON stands where a text belongs. Kept as its text."),
    "string_too_long": ("Text too long", "A text is longer than allowed. It is cut."),
    "string_too_long_kept": ("Identifying text too long", "A text that identifies or proves something is longer than "
                             "allowed. It is kept whole: half of it would be another."),
    "enum_misspelt": ("Misspelt word", "A word of a fixed list is spelt differently. Read as the word of the list."),
    "enum_alias": ("Word of another version", "A word of another version of the protocol, or a unit under another "
                   "name. Translated."),
    "empty_removed": ("Empty text", "An empty text where a word of a fixed list belongs. Read as if it was left out."),
    "unknown_enum_kept": ("Unknown unit or measurand", "A unit, measurand or phase nobody knows. Kept as it came, and "
                          "not counted as energy."),
    "unknown_enum": ("Unknown word", "A word that is not of the list. Read as “other”, or left out; a status that "
                     "cannot be read changes nothing and is kept in the hardware log."),
    "timestamp_unreadable": ("Unreadable time", "A time that cannot be read. The arrival time is used."),
    "timestamp_format": ("Unusual time format", "A time that is not written as demanded. It is understood."),
    "timestamp_without_zone": ("Time without time zone", "A time without its zone. Read as UTC: if the station means "
                               "its local time, it is hours off."),
    "string_for_number": ("Text instead of a number", "A number is sent in quotes. Read as a number."),
    "fraction_for_integer": ("Fraction instead of a whole number", "Rounded to the nearest whole number."),
    "float_for_integer": ("Whole number with a decimal point", "A whole number is written like 12.0. Read as 12."),
    "number_out_of_range": ("Number out of range", "A number is outside of what the protocol allows. Kept as it is."),
    "boolean_misspelt": ("Misspelt true or false", "True or false is sent as a text or number. Understood."),
    "type_unusable": ("Wrong type", "A value of a type that cannot be understood there. Left out, or replaced."),
}  # fmt: skip
"""What a rule is called on the screen, and what it means, by its stable name."""

_SCHEMA = "schema_"
_OTHER = ("Not as specified", "The message breaks the specification in a way no rule covers. It is used as it came.")


def words_of(rule: str) -> tuple[str, str]:
    """A rule's name and meaning. What only the schema found ("schema_multipleOf") is called by what it violates."""
    if rule.startswith(_SCHEMA):
        return (f"{_OTHER[0]} ({rule.removeprefix(_SCHEMA)})", _OTHER[1])
    return RULES.get(rule, (rule.replace("_", " ").capitalize(), _OTHER[1]))


class Make(NamedTuple):
    """Whose habits they are: a firmware of a model of a vendor, speaking a protocol."""

    vendor: str
    model: str
    firmware_version: str
    protocol: str


def make_of(vendor: str | None, model: str | None, firmware_version: str | None, protocol: str | None) -> Make:
    """A make in the words of the book; what is not known is "Unknown", a firmware that is not told is empty."""
    return Make(
        ((vendor or "").strip() or UNKNOWN)[:120],
        ((model or "").strip() or UNKNOWN)[:120],
        (firmware_version or "").strip()[:120],
        (protocol or "")[:20],
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """How often a deviation was seen since the last time. ``make`` None: as the station's last boot says."""

    charge_point_id: int
    make: Make | None
    action: str
    rule: str
    path: str
    example: str
    messages: int


def record(session: Session, seen: Sequence[Seen], *, now: datetime) -> int:
    """Add to the book; returns the number of its rows that were touched. Flushes.

    A make whose page is full (``MAX_ROWS_OF_MAKE``) is only counted on where it has a line already.
    """
    makes = _makes(session, {item.charge_point_id for item in seen if item.make is None})
    rows: dict[tuple[str, ...], Seen] = {}
    for item in seen:
        make = item.make or makes.get(item.charge_point_id)
        if make is None:
            continue  # deleted meanwhile
        key = (*make, _plain(item.action, 60), _plain(item.rule, 60), _plain(item.path, 255))
        before = rows.get(key)
        rows[key] = replace(item, messages=item.messages + (before.messages if before else 0))
    kept = _within_limits(session, rows)
    stations = {item.charge_point_id for item in kept.values()}
    alive = set(session.scalars(select(ChargePoint.id).where(ChargePoint.id.in_(stations)))) if stations else set()
    values = [
        {
            **dict(zip(_KEY, key, strict=True)),
            "example": "" if item.action in _WITHOUT_EXAMPLE else _plain(item.example, 255),
            "messages": item.messages,
            "first_seen_at": now,
            "last_seen_at": now,
            "last_charge_point_id": item.charge_point_id if item.charge_point_id in alive else None,
        }
        for key, item in sorted(kept.items())  # in one order, so that two gateways never wait for each other
    ]
    if not values:
        return 0
    statement = insert(Deviation).values(values)
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            constraint="uq_deviation_what",
            set_={
                "messages": Deviation.messages + new.messages,
                "example": new.example,
                "last_seen_at": new.last_seen_at,
                "last_charge_point_id": func.coalesce(new.last_charge_point_id, Deviation.last_charge_point_id),
            },
        )
    )
    return len(values)


_KEY = ("vendor", "model", "firmware_version", "protocol", "action", "rule", "path")


def _plain(value: str, longest: int) -> str:
    return value.replace("\x00", "")[:longest]


def _makes(session: Session, charge_point_ids: set[int]) -> dict[int, Make]:
    if not charge_point_ids:
        return {}
    state = ChargePointState
    rows = session.execute(
        select(state.charge_point_id, state.vendor, state.model, state.firmware_version, state.protocol).where(
            state.charge_point_id.in_(charge_point_ids)
        )
    )
    return {row[0]: make_of(*row[1:]) for row in rows}


def _within_limits(session: Session, rows: dict[tuple[str, ...], Seen]) -> dict[tuple[str, ...], Seen]:
    """Without new lines of makes whose page is full."""
    of_make = tuple_(Deviation.vendor, Deviation.model, Deviation.firmware_version)
    counts = session.execute(
        select(Deviation.vendor, Deviation.model, Deviation.firmware_version, func.count())
        .where(of_make.in_({key[:3] for key in rows}))
        .group_by(Deviation.vendor, Deviation.model, Deviation.firmware_version)
    )
    room: dict[tuple[str, ...], int] = {(row[0], row[1], row[2]): MAX_ROWS_OF_MAKE - row[3] for row in counts}
    tight = {make for make, left in room.items() if left < len(rows)}
    columns = [getattr(Deviation, name) for name in _KEY]
    known = {tuple(row) for row in session.execute(select(*columns).where(of_make.in_(tight)))} if tight else set()
    kept: dict[tuple[str, ...], Seen] = {}
    for key, item in rows.items():
        make = key[:3]
        if key not in known:
            if room.get(make, MAX_ROWS_OF_MAKE) <= 0:
                continue
            room[make] = room.get(make, MAX_ROWS_OF_MAKE) - 1
        kept[key] = item
    return kept


_NEW_MODELS = text("""
INSERT INTO station_model (vendor, model)
SELECT g.vendor, g.model FROM unnest(CAST(:vendors AS text[]), CAST(:models AS text[])) AS g(vendor, model)
WHERE NOT EXISTS (SELECT FROM station_model m
                  WHERE lower(m.vendor) = lower(g.vendor) AND lower(m.model) = lower(g.model))
  AND (SELECT count(*) FROM station_model) < :most
ORDER BY lower(g.vendor), lower(g.model)
ON CONFLICT DO NOTHING
""")


def record_models(session: Session, models: Iterable[tuple[str, str]]) -> None:
    """Have a row for each vendor and model, compared without regard to case."""
    pairs = sorted(models)
    session.execute(
        _NEW_MODELS,
        {"vendors": [pair[0] for pair in pairs], "models": [pair[1] for pair in pairs], "most": MAX_MODELS},
    )
