"""Pricing: every type of tariff of the manual, exact to the cent, and the laws that hold for all of them."""

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.money import Currency, CurrencyMismatch, Money, Price
from app.tariffs.models import TariffType as StoredTariffType
from app.tariffs.pricing import (
    DurationEnergyTariff,
    FallingRegister,
    FlatTariff,
    FreeTariff,
    InvalidTariffSnapshot,
    LineKind,
    MissingPrice,
    NegativeDuration,
    PeriodPrices,
    PowerLevel,
    PowerLevelsTariff,
    PricedSession,
    PriceLine,
    Reading,
    TariffSnapshot,
    TariffType,
    TimeOfDayTariff,
    Unit,
    UnorderedReadings,
    price_session,
    snapshot_from_json,
    snapshot_to_json,
    total_of,
)

EUR = Currency("EUR", 2, "€")
JPY = Currency("JPY", 0, "¥")
KWD = Currency("KWD", 3, "KD")
COMMON = {
    "tariff_id": 7,
    "version": 3,
    "name": "Standard AC",
    "currency": EUR,
    "vat_percent": D("20"),
    "timezone": "Europe/Sofia",
}
STANDARD = DurationEnergyTariff(**COMMON, price_per_minute=D("0.02"), price_per_kwh=D("0.40"), connection_fee=D("0.50"))
MANUAL_LEVELS = PowerLevelsTariff(
    **COMMON,
    levels=(
        PowerLevel(7400, D("0.10")),
        PowerLevel(11000, D("0.12")),
        PowerLevel(22000, D("0.15")),
    ),
)
NIGHT = TimeOfDayTariff(
    **COMMON,
    day_starts=time(7),
    night_starts=time(23),
    day=PeriodPrices(price_per_minute=D("0.02"), price_per_kwh=D("0.45")),
    night=PeriodPrices(price_per_minute=D("0.00"), price_per_kwh=D("0.25")),
)
START = datetime(2026, 6, 10, 9, 0, tzinfo=UTC)


def price(snapshot, *, minutes=60, kwh="0", **kwargs):
    """A charge of so many minutes and kWh, read at its start and stop."""
    stopped_at = START + timedelta(minutes=minutes)
    readings = [Reading(START, D(1000)), Reading(stopped_at, D(1000) + D(kwh) * 1000)]
    return price_session(snapshot, started_at=START, stopped_at=stopped_at, readings=readings, **kwargs)


def gross(priced):
    return priced.total.gross.amount


def kinds(priced):
    return [line.kind for line in priced.lines]


# The examples ------------------------------------------------------------------------------------------


def test_the_story_of_7_4_kwh_in_40_minutes():
    priced = price(STANDARD, minutes=40, kwh="7.4")
    assert priced.lines == (
        PriceLine(LineKind.CONNECTION_FEE, "Connection fee", D(1), Unit.SESSION, D("0.50"), D("0.50")),
        PriceLine(LineKind.TIME, "Time", D(40), Unit.MINUTE, D("0.02"), D("0.80")),
        PriceLine(LineKind.ENERGY, "Energy", D("7.4"), Unit.KWH, D("0.40"), D("2.96")),
    )
    assert gross(priced) == D("4.26")
    assert priced.total == Price(Money(D("4.26"), EUR), Money(D("3.55"), EUR), Money(D("0.71"), EUR), D("20"))
    assert (priced.energy_wh, priced.duration_s) == (D(7400), D(2400))


@pytest.mark.parametrize(
    ("kwh", "hour_costs"),
    [
        ("0", "6.00"),
        ("3.7", "6.00"),
        ("7.4", "6.00"),
        ("7.4001", "7.20"),
        ("11", "7.20"),
        ("11.0001", "9.00"),
        ("12", "9.00"),
        ("22", "9.00"),
        ("22.0001", "9.00"),
        ("50", "9.00"),
    ],
)
def test_the_manuals_example_of_power_levels(kwh, hour_costs):
    assert gross(price(MANUAL_LEVELS, minutes=60, kwh=kwh)) == D(hour_costs)


def test_the_power_level_is_named_on_its_line():
    (line,) = price(MANUAL_LEVELS, minutes=60, kwh="5").lines
    assert (line.kind, line.label) == (LineKind.TIME_LEVEL, "Time at a power level up to 7.4 kW")
    (line,) = price(MANUAL_LEVELS, minutes=60, kwh="15").lines
    assert line.label == "Time at a power level up to 22 kW"


def test_the_order_of_power_levels_does_not_matter():
    reversed_levels = replace(MANUAL_LEVELS, levels=MANUAL_LEVELS.levels[::-1])
    for kwh in ("5", "10", "20", "40"):
        assert gross(price(reversed_levels, kwh=kwh)) == gross(price(MANUAL_LEVELS, kwh=kwh))


@pytest.mark.parametrize(("kwh", "level_kw"), [("0", "7.4"), ("1", "22")])
def test_a_session_of_no_time_has_a_power_level(kwh, level_kw):
    priced = price(MANUAL_LEVELS, minutes=0, kwh=kwh)
    assert gross(priced) == 0
    assert f"{level_kw} kW" in priced.lines[0].label


def test_a_flat_rate_is_per_session():
    flat = FlatTariff(**COMMON, price_per_session=D("4.90"))
    assert [gross(price(flat, minutes=m, kwh=k)) for m, k in ((0, "0"), (600, "80"))] == [D("4.90")] * 2
    assert kinds(price(flat)) == [LineKind.SESSION]


def test_a_free_session_has_one_line_of_nothing():
    priced = price(FreeTariff(**COMMON), minutes=40, kwh="7.4")
    assert [(line.kind, line.amount) for line in priced.lines] == [(LineKind.SESSION, D("0.00"))]
    assert gross(priced) == 0
    assert priced.energy_wh == 7400


def test_free_chosen_by_an_operator_belongs_to_no_tariff():
    free = FreeTariff(**{**COMMON, "tariff_id": None, "name": "Free"})
    assert gross(price(free, kwh="7.4")) == 0
    assert snapshot_from_json(snapshot_to_json(free)) == free


# Blank and zero prices ---------------------------------------------------------------------------------


def test_an_empty_field_of_duration_and_energy_is_nothing_and_has_no_line():
    only_energy = DurationEnergyTariff(**COMMON, price_per_kwh=D("0.40"))
    priced = price(only_energy, minutes=40, kwh="7.4")
    assert kinds(priced) == [LineKind.ENERGY]
    assert gross(priced) == D("2.96")


def test_a_price_of_zero_is_shown():
    zero = DurationEnergyTariff(**COMMON, price_per_minute=D("0"), price_per_kwh=D("0.40"))
    assert kinds(price(zero, kwh="1")) == [LineKind.TIME, LineKind.ENERGY]


def test_a_tariff_with_every_field_empty_still_has_a_line():
    priced = price(DurationEnergyTariff(**COMMON), kwh="7.4")
    assert [(line.kind, line.label, line.amount) for line in priced.lines] == [
        (LineKind.SESSION, "Nothing to pay", D("0.00"))
    ]


@pytest.mark.parametrize(
    "snapshot",
    [
        FlatTariff(**COMMON, price_per_session=None),
        PowerLevelsTariff(**COMMON, levels=()),
        PowerLevelsTariff(**COMMON, levels=(PowerLevel(7400, None), PowerLevel(22000, D("0.15")))),
    ],
    ids=["flat", "no levels", "blank level"],
)
def test_a_missing_price_raises_and_is_never_nothing(snapshot):
    with pytest.raises(MissingPrice):
        price(snapshot, kwh="5")


# Time, rounding, currencies ------------------------------------------------------------------------------


def test_time_is_charged_by_the_second_and_less():
    tariff = DurationEnergyTariff(**COMMON, price_per_minute=D("6"))
    for seconds, cost in (("0.049", "0.00"), ("0.05", "0.01"), ("1", "0.10"), ("61.5", "6.15")):
        stopped_at = START + timedelta(microseconds=int(D(seconds) * 1_000_000))
        priced = price_session(tariff, started_at=START, stopped_at=stopped_at, readings=[])
        assert gross(priced) == D(cost), seconds
        assert priced.duration_s == D(seconds)


def test_each_line_is_rounded_once_and_the_total_not_again():
    tariff = DurationEnergyTariff(
        **COMMON, price_per_minute=D("0.005"), price_per_kwh=D("0.005"), connection_fee=D("0.005")
    )
    priced = price(tariff, minutes=1, kwh="1")
    assert [line.amount for line in priced.lines] == [D("0.01")] * 3
    assert gross(priced) == D("0.03")


@pytest.mark.parametrize(
    ("currency", "amounts", "total"),
    [
        (EUR, ["0.50", "0.80", "2.97"], "4.27"),
        (JPY, ["1", "1", "3"], "5"),
        (KWD, ["0.500", "0.800", "2.969"], "4.269"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
def test_lines_are_rounded_to_the_currencys_minor_unit(currency, amounts, total):
    tariff = DurationEnergyTariff(
        **{**COMMON, "currency": currency},
        price_per_minute=D("0.02"),
        price_per_kwh=D("0.40125"),
        connection_fee=D("0.50"),
    )
    priced = price(tariff, minutes=40, kwh="7.4")
    assert [str(line.amount) for line in priced.lines] == amounts
    assert str(gross(priced)) == total


def test_energy_is_the_last_register_minus_the_first():
    readings = [Reading(START + timedelta(minutes=m), D(wh)) for m, wh in ((0, "100.5"), (5, "100.5"), (9, 900))]
    priced = price_session(STANDARD, started_at=START, stopped_at=START + timedelta(minutes=10), readings=readings)
    assert priced.energy_wh == D("799.5")


@pytest.mark.parametrize("readings", [[], [Reading(START, D(123456))]], ids=["none", "one"])
def test_without_two_readings_there_is_no_energy(readings):
    priced = price_session(STANDARD, started_at=START, stopped_at=START + timedelta(minutes=40), readings=readings)
    assert priced.energy_wh == 0
    assert gross(priced) == D("1.30")


# Idle fee ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ended_after_minutes", "idle_minutes"),
    [(None, None), (120, None), (60, None), (50, None), (49.5, "0.5"), (30, "20"), (0, "50"), (-5, "50")],
)
def test_idle_time_costs_after_the_grace(ended_after_minutes, idle_minutes):
    tariff = replace(STANDARD, idle_fee_per_minute=D("0.10"), idle_grace_minutes=10)
    ended_at = None if ended_after_minutes is None else START + timedelta(minutes=ended_after_minutes)
    priced = price(tariff, minutes=60, kwh="7.4", charging_ended_at=ended_at)
    idle = [line for line in priced.lines if line.kind is LineKind.IDLE]
    if idle_minutes is None:
        assert idle == []
        assert priced == price(STANDARD, minutes=60, kwh="7.4")
    else:
        assert [(line.quantity, line.unit_price) for line in idle] == [(D(idle_minutes), D("0.10"))]
        assert gross(priced) == gross(price(STANDARD, minutes=60, kwh="7.4")) + D(idle_minutes) / 10


def test_without_an_idle_fee_waiting_is_not_charged():
    assert kinds(price(STANDARD, charging_ended_at=START)) == kinds(price(STANDARD))


@pytest.mark.parametrize(
    "tariff",
    [FreeTariff(**COMMON), FlatTariff(**COMMON, price_per_session=D("1")), STANDARD, NIGHT, MANUAL_LEVELS],
    ids=lambda tariff: tariff.type.value,
)
def test_any_type_of_tariff_may_have_an_idle_fee(tariff):
    with_fee = replace(tariff, idle_fee_per_minute=D("0.30"))
    waited = price(with_fee, minutes=60, kwh="5", charging_ended_at=START + timedelta(minutes=30))
    assert waited.lines[-1].kind is LineKind.IDLE
    assert gross(waited) == gross(price(tariff, minutes=60, kwh="5")) + D("9.00")


# What is refused -----------------------------------------------------------------------------------------


def test_a_falling_register_is_refused():
    readings = [Reading(START, D(100)), Reading(START + timedelta(minutes=1), D("99.9"))]
    with pytest.raises(FallingRegister):
        price_session(STANDARD, started_at=START, stopped_at=START, readings=readings)


def test_readings_out_of_order_are_refused():
    readings = [Reading(START, D(100)), Reading(START - timedelta(minutes=1), D(100))]
    with pytest.raises(UnorderedReadings):
        price_session(STANDARD, started_at=START, stopped_at=START, readings=readings)


def test_a_stop_before_the_start_is_refused():
    with pytest.raises(NegativeDuration):
        price_session(STANDARD, started_at=START, stopped_at=START - timedelta(seconds=1), readings=[])


@pytest.mark.parametrize(
    "not_utc", [datetime(2026, 6, 10, 9), datetime(2026, 6, 10, 9, tzinfo=timezone(timedelta(hours=3)))]
)
def test_times_are_utc(not_utc):
    with pytest.raises(ValueError, match="UTC"):
        Reading(not_utc, D(0))
    with pytest.raises(ValueError, match="UTC"):
        price_session(STANDARD, started_at=not_utc, stopped_at=START, readings=[])
    with pytest.raises(ValueError, match="UTC"):
        price_session(STANDARD, started_at=START, stopped_at=not_utc, readings=[])
    with pytest.raises(ValueError, match="UTC"):
        price(replace(STANDARD, idle_fee_per_minute=D(1)), charging_ended_at=not_utc)


def test_registers_are_decimal():
    with pytest.raises(TypeError):
        Reading(START, 1000.0)


def test_a_bill_that_does_not_add_up_cannot_exist():
    priced = price(STANDARD, kwh="1")
    with pytest.raises(ValueError, match="add up"):
        PricedSession(priced.lines[1:], priced.total, priced.energy_wh, priced.duration_s)
    with pytest.raises(ValueError, match="add up"):
        PricedSession((), priced.total, priced.energy_wh, priced.duration_s)


def test_a_snapshot_without_a_type_cannot_be_made():
    with pytest.raises(InvalidTariffSnapshot, match="type"):
        TariffSnapshot(**COMMON)


def test_a_type_nobody_knows_is_neither_priced_nor_stored():
    class PerMile(TariffSnapshot):
        type = "per_mile"

    with pytest.raises(InvalidTariffSnapshot, match="PerMile"):
        price(PerMile(**COMMON))
    with pytest.raises(InvalidTariffSnapshot, match="PerMile"):
        snapshot_to_json(PerMile(**COMMON))


# The laws ------------------------------------------------------------------------------------------------

prices = st.none() | st.decimals(min_value=0, max_value=5, places=4)
priced_at = st.decimals(min_value=0, max_value=5, places=4)
periods = st.builds(PeriodPrices, price_per_minute=prices, price_per_kwh=prices)
clock = st.times().map(lambda t: t.replace(microsecond=0))
common = st.fixed_dictionaries(
    {
        "tariff_id": st.none() | st.integers(min_value=1, max_value=10**9),
        "version": st.integers(min_value=1, max_value=999),
        "name": st.text(min_size=1, max_size=20),
        "currency": st.sampled_from([EUR, JPY, KWD]),
        "vat_percent": st.decimals(min_value=0, max_value=30, places=1),
        "timezone": st.sampled_from(["Europe/Sofia", "UTC", "America/New_York", "Australia/Lord_Howe"]),
        "idle_fee_per_minute": prices,
        "idle_grace_minutes": st.integers(min_value=0, max_value=120),
    }
)
levels = st.lists(
    st.builds(PowerLevel, st.integers(min_value=1, max_value=400_000), priced_at),
    min_size=1,
    max_size=5,
    unique_by=lambda level: level.max_power_w,
).map(tuple)


@st.composite
def snapshots(draw, types=tuple(TariffType)):
    fields = draw(common)
    match draw(st.sampled_from(types)):
        case TariffType.FREE:
            return FreeTariff(**fields)
        case TariffType.FLAT:
            return FlatTariff(**fields, price_per_session=draw(priced_at))
        case TariffType.DURATION_ENERGY:
            return DurationEnergyTariff(
                **fields,
                price_per_minute=draw(prices),
                price_per_kwh=draw(prices),
                connection_fee=draw(prices),
            )
        case TariffType.DURATION_ENERGY_TOD:
            day_starts, night_starts = draw(st.lists(clock, min_size=2, max_size=2, unique=True))
            return TimeOfDayTariff(
                **fields,
                day_starts=day_starts,
                night_starts=night_starts,
                day=draw(periods),
                night=draw(periods),
                connection_fee=draw(prices),
            )
    return PowerLevelsTariff(**fields, levels=draw(levels))


@st.composite
def charges(draw):
    """Start, stop and rising readings; some readings lie a little before the start or after the stop."""
    start = draw(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 12, 1)))
    start = start.replace(tzinfo=UTC)
    stop = start + timedelta(microseconds=draw(st.integers(min_value=0, max_value=40 * 3_600_000_000)))
    inside = st.datetimes(
        min_value=(start - timedelta(minutes=5)).replace(tzinfo=None),
        max_value=(stop + timedelta(minutes=5)).replace(tzinfo=None),
    )
    times = sorted(draw(st.lists(inside, max_size=8)))
    register, readings = draw(st.decimals(min_value=0, max_value=10**7, places=1)), []
    for at in times:
        readings.append(Reading(at.replace(tzinfo=UTC), register))
        register += draw(st.decimals(min_value=0, max_value=20000, places=1))
    return start, stop, readings


def price_charge(snapshot, charge, **kwargs):
    start, stop, readings = charge
    return price_session(snapshot, started_at=start, stopped_at=stop, readings=readings, **kwargs)


@settings(deadline=None)
@given(snapshots(), charges())
def test_every_bill_adds_up_in_minor_units(snapshot, charge):
    priced = price_charge(snapshot, charge, charging_ended_at=charge[0])
    assert priced.lines
    assert total_of(priced.lines) == gross(priced)
    assert priced.total.net + priced.total.vat == priced.total.gross
    assert priced.total.currency == snapshot.currency
    for line in priced.lines:
        assert line.amount >= 0
        assert Money(line.amount, snapshot.currency).in_minor_units
        half_a_unit = Fraction(1, 2 * 10**snapshot.currency.exponent)
        shown = Fraction(line.quantity) * Fraction(line.unit_price)
        assert abs(shown - Fraction(line.amount)) <= half_a_unit + Fraction(line.unit_price) / 10**6


@settings(deadline=None)
@given(snapshots(), charges())
def test_time_and_energy_lines_cover_the_whole_session(snapshot, charge):
    start, stop, readings = charge
    priced = price_charge(snapshot, charge)
    minutes = sum(line.quantity for line in priced.lines if line.unit is Unit.MINUTE)
    kwh = sum(line.quantity for line in priced.lines if line.unit is Unit.KWH)
    total_minutes = D((stop - start) // timedelta(microseconds=1)) / 60_000_000
    total_kwh = (readings[-1].register_wh - readings[0].register_wh) / 1000 if readings else D(0)
    assert minutes <= total_minutes + D("0.000001")
    assert kwh <= total_kwh + D("0.000001")
    if snapshot.type is TariffType.POWER_LEVELS:
        assert abs(minutes - total_minutes) <= D("0.000001")
    if snapshot.type is TariffType.DURATION_ENERGY_TOD:
        day, night = snapshot.day, snapshot.night
        if day.price_per_minute is not None and night.price_per_minute is not None:
            assert abs(minutes - total_minutes) <= D("0.000001")
        if day.price_per_kwh is not None and night.price_per_kwh is not None:
            assert abs(kwh - total_kwh) <= D("0.000001")


@settings(deadline=None)
@given(snapshots(), charges(), st.data())
def test_splitting_a_session_at_a_reading_changes_the_energy_by_nothing(snapshot, charge, data):
    _, _, readings = charge
    cut = data.draw(st.integers(min_value=0, max_value=max(len(readings) - 1, 0)))
    whole = price_charge(snapshot, charge)
    before = price_charge(snapshot, (charge[0], charge[1], readings[: cut + 1]))
    after = price_charge(snapshot, (charge[0], charge[1], readings[cut:]))
    assert before.energy_wh + after.energy_wh == whole.energy_wh


TIME_AND_ENERGY = (TariffType.DURATION_ENERGY, TariffType.DURATION_ENERGY_TOD)


@settings(deadline=None)
@given(
    snapshots(types=TIME_AND_ENERGY),
    charges(),
    st.integers(min_value=0, max_value=10**11),
    st.decimals(min_value=0, max_value=50000, places=1),
)
def test_the_price_grows_with_time_and_with_energy(snapshot, charge, more_us, more_wh):
    start, stop, readings = charge
    base = gross(price_charge(snapshot, charge))
    later = stop + timedelta(microseconds=more_us)
    assert gross(price_charge(snapshot, (start, later, readings))) >= base
    if readings:
        last = readings[-1]
        fuller = [*readings, Reading(last.at, last.register_wh + more_wh)]
        assert gross(price_charge(snapshot, (start, stop, fuller))) >= base


@settings(deadline=None)
@given(snapshots(), charges())
def test_a_reading_on_the_line_between_two_others_changes_no_price(snapshot, charge):
    start, stop, readings = charge
    denser = []
    for reading in readings:
        if denser:
            gap = reading.at - denser[-1].at
            if gap // timedelta(microseconds=1) % 2 == 0:
                middle = (reading.register_wh + denser[-1].register_wh) / 2
                denser.append(Reading(denser[-1].at + gap / 2, middle))
        denser.append(reading)
    assert price_charge(snapshot, (start, stop, denser)) == price_charge(snapshot, charge)


# Snapshots -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(snapshots())
def test_a_snapshot_survives_json(snapshot):
    stored = json.loads(json.dumps(snapshot_to_json(snapshot)))
    again = snapshot_from_json(stored)
    assert again == snapshot
    assert type(again) is type(snapshot)
    assert snapshot_to_json(again) == stored


def test_the_stored_form_is_stable():
    assert snapshot_to_json(STANDARD) == {
        "schema": 1,
        "type": "duration_energy",
        "tariff_id": 7,
        "version": 3,
        "name": "Standard AC",
        "currency": {"code": "EUR", "exponent": 2, "symbol": "€"},
        "vat_percent": "20",
        "timezone": "Europe/Sofia",
        "idle": {"fee_per_minute": None, "grace_minutes": 0},
        "prices": {"price_per_minute": "0.02", "price_per_kwh": "0.40", "connection_fee": "0.50"},
    }
    assert snapshot_to_json(MANUAL_LEVELS)["prices"]["levels"][0] == {
        "max_power_w": 7400,
        "price_per_minute": "0.10",
    }
    assert snapshot_to_json(NIGHT)["prices"]["day_starts"] == "07:00:00"


def paths_of(value, path=()):
    """Every place in nested JSON."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from paths_of(child, (*path, key))


def changed(data, path, change):
    copy = json.loads(json.dumps(data))
    *way, last = path
    parent = copy
    for key in way:
        parent = parent[key]
    change(parent, last)
    return copy


def all_key_paths():
    return list(_key_paths())


def _key_paths():
    for snapshot in (FreeTariff(**COMMON), FlatTariff(**COMMON, price_per_session=D("1")), STANDARD, NIGHT):
        for path in paths_of(snapshot_to_json(snapshot)):
            yield snapshot, path
    for path in paths_of(snapshot_to_json(MANUAL_LEVELS)):
        if isinstance(path[-1], str):
            yield MANUAL_LEVELS, path


@pytest.mark.parametrize(("snapshot", "path"), all_key_paths())
def test_a_missing_key_is_no_snapshot(snapshot, path):
    with pytest.raises(InvalidTariffSnapshot, match=str(path[-1])):
        snapshot_from_json(changed(snapshot_to_json(snapshot), path, lambda parent, key: parent.pop(key)))


@pytest.mark.parametrize(("snapshot", "path"), all_key_paths())
def test_an_unknown_key_is_no_snapshot(snapshot, path):
    def add(parent, _key):
        parent["discount"] = "0.10"

    with pytest.raises(InvalidTariffSnapshot, match="discount"):
        snapshot_from_json(changed(snapshot_to_json(snapshot), path, add))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("schema",), "1"),
        (("type",), "per_mile"),
        (("type",), None),
        (("type",), ["free"]),
        (("tariff_id",), "7"),
        (("version",), None),
        (("version",), True),
        (("name",), ""),
        (("timezone",), None),
        (("currency",), None),
        (("currency",), "EUR"),
        (("currency", "code"), "eur"),
        (("currency", "exponent"), "2"),
        (("vat_percent",), None),
        (("vat_percent",), 20),
        (("vat_percent",), "-1"),
        (("vat_percent",), "NaN"),
        (("idle", "grace_minutes"), -1),
        (("idle", "grace_minutes"), "5"),
        (("idle", "fee_per_minute"), "free"),
        (("prices",), None),
        (("prices",), []),
        (("prices", "price_per_kwh"), 0.4),
        (("prices", "price_per_kwh"), "-0.4"),
        (("prices", "price_per_kwh"), "Infinity"),
        (("prices", "price_per_kwh"), ""),
    ],
)
def test_a_malformed_value_is_no_snapshot(path, value):
    def put(parent, key):
        parent[key] = value

    with pytest.raises(InvalidTariffSnapshot):
        snapshot_from_json(changed(snapshot_to_json(STANDARD), path, put))


@pytest.mark.parametrize(
    ("snapshot", "path", "value"),
    [
        (NIGHT, ("timezone",), "Europe/Atlantis"),
        (NIGHT, ("timezone",), "../etc/passwd"),
        (NIGHT, ("timezone",), "Europe"),
        (NIGHT, ("prices", "day_starts"), None),
        (NIGHT, ("prices", "day_starts"), "25:00"),
        (NIGHT, ("prices", "day_starts"), "07:00:00+02:00"),
        (NIGHT, ("prices", "day_starts"), "07:00:00.5"),
        (NIGHT, ("prices", "day_starts"), "23:00:00"),
        (NIGHT, ("prices", "night"), None),
        (MANUAL_LEVELS, ("prices", "levels"), None),
        (MANUAL_LEVELS, ("prices", "levels", 0), None),
        (MANUAL_LEVELS, ("prices", "levels", 0, "max_power_w"), 7.4),
        (MANUAL_LEVELS, ("prices", "levels", 0, "max_power_w"), 0),
        (MANUAL_LEVELS, ("prices", "levels", 0, "max_power_w"), 22000),
    ],
)
def test_a_malformed_price_is_no_snapshot(snapshot, path, value):
    def put(parent, key):
        parent[key] = value

    with pytest.raises(InvalidTariffSnapshot):
        snapshot_from_json(changed(snapshot_to_json(snapshot), path, put))


@pytest.mark.parametrize("data", [None, [], "free", 1])
def test_only_an_object_is_a_snapshot(data):
    with pytest.raises(InvalidTariffSnapshot):
        snapshot_from_json(data)


def test_a_snapshot_made_by_hand_is_checked_too():
    with pytest.raises(InvalidTariffSnapshot, match="price_per_kwh"):
        DurationEnergyTariff(**COMMON, price_per_kwh=0.4)
    with pytest.raises(InvalidTariffSnapshot, match="night"):
        replace(NIGHT, night=None)
    with pytest.raises(InvalidTariffSnapshot, match="levels"):
        replace(MANUAL_LEVELS, levels=[PowerLevel(7400, D(1))])
    with pytest.raises(InvalidTariffSnapshot, match="currency"):
        replace(STANDARD, currency=None)


def test_a_snapshot_never_changes():
    with pytest.raises(FrozenInstanceError):
        STANDARD.price_per_kwh = D("9")


def test_types_are_named_as_the_manual_names_them():
    assert [(t.value, t.label) for t in TariffType] == [
        ("free", "Free"),
        ("flat", "Flat rate"),
        ("duration_energy", "Duration + energy"),
        ("duration_energy_tod", "Duration + energy TOD"),
        ("power_levels", "Power levels"),
    ]


def test_the_database_knows_the_same_types():
    assert [(t.value, t.label) for t in StoredTariffType] == [(t.value, t.label) for t in TariffType]


def test_bills_of_two_currencies_cannot_be_added():
    in_yen = replace(STANDARD, currency=JPY)
    with pytest.raises(CurrencyMismatch):
        price(STANDARD).total.gross + price(in_yen).total.gross
