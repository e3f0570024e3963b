"""Day and night: split exactly at the boundary, by the wall clock of the location, on days of any length."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal as D
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.money import Currency
from app.tariffs.pricing import LineKind, PeriodPrices, Reading, TimeOfDayTariff, price_session
from app.tariffs.pricing.periods import stretches

EUR = Currency("EUR", 2, "€")
SOFIA = ZoneInfo("Europe/Sofia")
MINUTE = timedelta(minutes=1)


def tariff(day_starts="07:00", night_starts="23:00", timezone="Europe/Sofia", **changes):
    fields = {
        "tariff_id": 1,
        "version": 1,
        "name": "Night",
        "currency": EUR,
        "vat_percent": D("20"),
        "timezone": timezone,
        "day_starts": time.fromisoformat(day_starts),
        "night_starts": time.fromisoformat(night_starts),
        "day": PeriodPrices(price_per_minute=D("0.02"), price_per_kwh=D("0.45")),
        "night": PeriodPrices(price_per_minute=D("0.01"), price_per_kwh=D("0.25")),
    }
    return TimeOfDayTariff(**{**fields, **changes})


def sofia(text):
    """A wall-clock time in Sofia as UTC; a trailing * is the second time the clock shows it."""
    fold = int(text.endswith("*"))
    return datetime.fromisoformat(text.rstrip("*")).replace(tzinfo=SOFIA, fold=fold).astimezone(UTC)


def charge(snapshot, start, stop, *readings):
    return price_session(
        snapshot, started_at=start, stopped_at=stop, readings=[Reading(at, D(wh)) for at, wh in readings]
    )


def quantities(priced):
    return {line.kind: line.quantity for line in priced.lines}


def minutes_by_day_and_night(start, stop, **times):
    found = quantities(charge(tariff(**times), start, stop))
    return found.get(LineKind.TIME_DAY, D(0)), found.get(LineKind.TIME_NIGHT, D(0))


def test_an_evening_charge_is_split_at_the_start_of_the_night():
    start, stop = sofia("2026-06-10 22:45"), sofia("2026-06-10 23:25")
    priced = charge(tariff(), start, stop, (start, 1000), (stop, 8400))
    assert [(line.kind, line.quantity, line.amount) for line in priced.lines] == [
        (LineKind.TIME_DAY, D(15), D("0.30")),
        (LineKind.ENERGY_DAY, D("2.775"), D("1.25")),
        (LineKind.TIME_NIGHT, D(25), D("0.25")),
        (LineKind.ENERGY_NIGHT, D("4.625"), D("1.16")),
    ]
    assert priced.total.gross.amount == D("2.96")


def test_energy_is_split_on_the_line_between_the_two_readings_around_the_boundary():
    start, stop = sofia("2026-06-10 22:00"), sofia("2026-06-11 00:00")
    before, after = sofia("2026-06-10 22:50"), sofia("2026-06-10 23:20")
    priced = charge(tariff(), start, stop, (start, 0), (before, 6000), (after, 9000), (stop, 9000))
    found = quantities(priced)
    assert (found[LineKind.ENERGY_DAY], found[LineKind.ENERGY_NIGHT]) == (D(7), D(2))


def test_a_third_of_the_energy_is_split_without_losing_any():
    start, stop = sofia("2026-06-10 22:59"), sofia("2026-06-10 23:02")
    per_kwh = PeriodPrices(price_per_kwh=D("1.5"))
    priced = charge(tariff(day=per_kwh, night=per_kwh), start, stop, (start, 0), (stop, 10))
    # 10/3 Wh x 1.5 / 1000 = 0.005 exactly, which rounds up; 20/3 Wh make 0.01.
    assert [line.amount for line in priced.lines] == [D("0.01"), D("0.01")]


def test_energy_read_at_the_boundary_itself_belongs_to_the_time_before():
    start, stop, boundary = (sofia(f"2026-06-10 {t}") for t in ("22:30", "23:30", "23:00"))
    found = quantities(charge(tariff(), start, stop, (start, 0), (boundary, 100), (boundary, 500), (stop, 600)))
    assert (found[LineKind.ENERGY_DAY], found[LineKind.ENERGY_NIGHT]) == (D("0.5"), D("0.1"))


def test_before_its_first_reading_a_session_has_no_energy():
    start, first, stop = (sofia(f"2026-06-10 {t}") for t in ("22:45", "23:10", "23:25"))
    found = quantities(charge(tariff(), start, stop, (first, 1000), (stop, 1900)))
    assert found[LineKind.TIME_DAY] == 15
    assert LineKind.ENERGY_DAY not in found
    assert found[LineKind.ENERGY_NIGHT] == D("0.9")


def test_readings_outside_start_and_stop_keep_their_energy():
    start, stop = sofia("2026-06-10 22:58"), sofia("2026-06-10 22:59")
    found = quantities(charge(tariff(), start, stop, (start, 0), (sofia("2026-06-10 23:04"), 600)))
    assert found[LineKind.TIME_DAY] == 1
    assert LineKind.TIME_NIGHT not in found
    assert (found[LineKind.ENERGY_DAY], found[LineKind.ENERGY_NIGHT]) == (D("0.2"), D("0.4"))


@pytest.mark.parametrize(("at", "kind"), [("22:59:59", LineKind.ENERGY_DAY), ("23:00:00", LineKind.ENERGY_NIGHT)])
def test_energy_at_one_instant_is_judged_by_that_instant(at, kind):
    instant = sofia(f"2026-06-10 {at}")
    priced = charge(tariff(), instant, instant, (instant, 0), (instant, 500))
    assert [(line.kind, line.quantity) for line in priced.lines] == [(kind, D("0.5"))]


def test_a_session_of_no_time_and_no_energy_has_a_line():
    instant = sofia("2026-06-10 12:00")
    assert [line.kind for line in charge(tariff(), instant, instant).lines] == [LineKind.SESSION]


def test_blank_prices_have_no_lines():
    start, stop = sofia("2026-06-10 22:45"), sofia("2026-06-10 23:25")
    snapshot = tariff(
        day=PeriodPrices(price_per_kwh=D("0.45")),
        night=PeriodPrices(price_per_minute=D("0.01")),
        connection_fee=D("1"),
    )
    priced = charge(snapshot, start, stop, (start, 1000), (stop, 8400))
    assert [line.kind for line in priced.lines] == [
        LineKind.CONNECTION_FEE,
        LineKind.ENERGY_DAY,
        LineKind.TIME_NIGHT,
    ]


@pytest.mark.parametrize(
    ("start", "stop", "times", "day", "night"),
    [
        # An ordinary day, and a week.
        ("2026-06-10 00:00", "2026-06-11 00:00", ("07:00", "23:00"), 16 * 60, 8 * 60),
        ("2026-06-10 00:00", "2026-06-17 00:00", ("07:00", "23:00"), 7 * 16 * 60, 7 * 8 * 60),
        # The day over midnight, the night within the calendar day.
        ("2026-06-10 00:00", "2026-06-11 00:00", ("22:00", "06:00"), 8 * 60, 16 * 60),
        ("2026-06-10 00:00", "2026-06-11 00:00", ("00:00", "12:00"), 12 * 60, 12 * 60),
        # 29 March 2026: 03:00 becomes 04:00, the day has 23 hours; the night is an hour shorter.
        ("2026-03-29 00:00", "2026-03-30 00:00", ("07:00", "23:00"), 16 * 60, 7 * 60),
        ("2026-03-29 00:00", "2026-03-30 00:00", ("02:00", "23:00"), 20 * 60, 3 * 60),
        # A boundary in the hour that does not exist: the period starts with the jump.
        ("2026-03-29 00:00", "2026-03-30 00:00", ("03:30", "23:00"), 19 * 60, 4 * 60),
        ("2026-03-29 02:00", "2026-03-29 05:00", ("03:30", "23:00"), 60, 60),
        ("2026-03-29 02:00", "2026-03-29 05:00", ("03:00", "23:00"), 60, 60),
        ("2026-03-29 02:00", "2026-03-29 05:00", ("04:00", "23:00"), 60, 60),
        ("2026-03-29 02:00", "2026-03-29 05:00", ("03:15", "03:45"), 0, 120),
        ("2026-03-29 02:00", "2026-03-29 05:00", ("02:30", "03:30"), 30, 90),
        # 25 October 2026: 04:00 becomes 03:00, the day has 25 hours; the night is an hour longer.
        ("2026-10-25 00:00", "2026-10-26 00:00", ("07:00", "23:00"), 16 * 60, 9 * 60),
        ("2026-10-25 00:00", "2026-10-26 00:00", ("02:00", "23:00"), 22 * 60, 3 * 60),
        # A boundary in the hour that is lived twice: the clock shows night again until 03:30 comes again.
        ("2026-10-25 02:00", "2026-10-25 05:00", ("03:30", "23:00"), 120, 120),
        ("2026-10-25 03:30", "2026-10-25 03:30*", ("03:30", "23:00"), 30, 30),
        ("2026-10-25 02:00", "2026-10-25 05:00", ("03:00", "23:00"), 180, 60),
        ("2026-10-25 02:00", "2026-10-25 05:00", ("04:00", "23:00"), 60, 180),
        ("2026-10-25 02:00", "2026-10-25 05:00", ("03:15", "03:45"), 60, 180),
        ("2026-10-25 03:10*", "2026-10-25 03:50*", ("03:30", "23:00"), 20, 20),
    ],
)
def test_days_of_24_23_and_25_hours(start, stop, times, day, night):
    found = minutes_by_day_and_night(sofia(start), sofia(stop), day_starts=times[0], night_starts=times[1])
    assert found == (day, night)


def test_a_day_that_was_left_out_altogether():
    # Samoa went from 29 to 31 December 2011 at midnight: 30 December and its noon never were.
    start = datetime(2011, 12, 29, 22, 0, tzinfo=UTC)  # 12:00 on the 29th in Apia
    found = minutes_by_day_and_night(
        start, start + timedelta(hours=24), day_starts="00:00", night_starts="12:00", timezone="Pacific/Apia"
    )
    assert found == (12 * 60, 12 * 60)


def test_clocks_that_move_by_half_an_hour():
    # Lord Howe Island, 4 October 2026: 02:00 becomes 02:30.
    zone = ZoneInfo("Australia/Lord_Howe")
    start, stop = (datetime(2026, 10, 4, h, tzinfo=zone).astimezone(UTC).replace(tzinfo=UTC) for h in (1, 4))
    found = minutes_by_day_and_night(
        start, stop, day_starts="02:15", night_starts="03:00", timezone="Australia/Lord_Howe"
    )
    assert found == (30, 120)


@pytest.mark.parametrize(
    ("start", "stop", "times", "day", "night"),
    [
        # St John's, 7 November 2010: one minute after midnight it became 23:01 of the day before.
        ("2010-11-06T23:30 0", "2010-11-06T23:30 1", ("00:00", "12:00"), 1, 59),
        ("2010-11-07T00:00 0", "2010-11-07T00:00 1", ("23:30", "23:45"), 15, 45),
    ],
)
def test_clocks_set_back_over_midnight(start, stop, times, day, night):
    zone = ZoneInfo("America/St_Johns")
    start, stop = (
        datetime.fromisoformat(text[:-2]).replace(tzinfo=zone, fold=int(text[-1])).astimezone(UTC)
        for text in (start, stop)
    )
    found = minutes_by_day_and_night(
        start, stop, day_starts=times[0], night_starts=times[1], timezone="America/St_Johns"
    )
    assert found == (day, night)


def test_the_same_instant_has_another_price_elsewhere():
    start = datetime(2026, 6, 10, 21, 0, tzinfo=UTC)
    stop = start + timedelta(hours=1)
    assert minutes_by_day_and_night(start, stop, timezone="Europe/Sofia") == (0, 60)
    assert minutes_by_day_and_night(start, stop, timezone="Europe/London") == (60, 0)


def test_stretches_are_cut_to_the_microsecond():
    night = sofia("2026-06-10 23:00")
    tick = timedelta(microseconds=1)
    cut = stretches(night - tick, night + tick, day_starts=time(7), night_starts=time(23), timezone="Europe/Sofia")
    assert [(s.start, s.end, s.is_day) for s in cut] == [
        (night - tick, night, True),
        (night, night + tick, False),
    ]


def test_no_time_has_no_stretches():
    at = sofia("2026-06-10 12:00")
    assert stretches(at, at, day_starts=time(7), night_starts=time(23), timezone="Europe/Sofia") == []


# Against a slow reference that asks the wall clock every minute ------------------------------------------

ZONES = ("Europe/Sofia", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu")
CHANGES = (
    date(2026, 3, 29),
    date(2026, 10, 25),
    date(2026, 3, 8),
    date(2026, 11, 1),
    date(2026, 4, 5),
    date(2026, 2, 15),
    date(2026, 7, 1),
)
wall_times = st.builds(time, st.integers(0, 23), st.integers(0, 59))


def minute_by_minute(snapshot, start, stop, readings):
    """Minutes and Wh by day (True) and night (False): every minute is judged by the clock at its start."""
    zone = ZoneInfo(snapshot.timezone)
    minutes, energy_wh = {True: 0, False: 0}, {True: Fraction(0), False: Fraction(0)}
    at = start
    while at < stop:
        shown = at.astimezone(zone).time()
        since_day = (shown.hour * 60 + shown.minute) - (snapshot.day_starts.hour * 60 + snapshot.day_starts.minute)
        day_length = (snapshot.night_starts.hour * 60 + snapshot.night_starts.minute) - (
            snapshot.day_starts.hour * 60 + snapshot.day_starts.minute
        )
        is_day = since_day % 1440 < day_length % 1440
        minutes[is_day] += 1
        for left, right in pairwise(readings):
            if left.at <= at < right.at:
                length = (right.at - left.at) // MINUTE
                energy_wh[is_day] += Fraction(right.register_wh - left.register_wh) / length
        at += MINUTE
    return minutes, energy_wh


@settings(deadline=None)
@given(st.data())
def test_agrees_with_asking_the_clock_every_minute(data):
    zone = data.draw(st.sampled_from(ZONES))
    day_starts, night_starts = data.draw(st.lists(wall_times, min_size=2, max_size=2, unique=True))
    near = datetime.combine(data.draw(st.sampled_from(CHANGES)), time(0), tzinfo=UTC)
    start = near + data.draw(st.integers(-1200, 1200)) * MINUTE
    lengths = data.draw(st.lists(st.integers(1, 700), min_size=1, max_size=4))
    readings, register, at = [Reading(start, D(0))], D(0), start
    for length in lengths:
        at += length * MINUTE
        register += data.draw(st.integers(0, 20000))
        readings.append(Reading(at, register))
    snapshot = tariff(
        timezone=zone,
        day=PeriodPrices(price_per_minute=D(1), price_per_kwh=D(1)),
        night=PeriodPrices(price_per_minute=D(1), price_per_kwh=D(1)),
        day_starts=day_starts.isoformat(),
        night_starts=night_starts.isoformat(),
    )
    priced = price_session(snapshot, started_at=start, stopped_at=at, readings=readings)
    minutes, energy_wh = minute_by_minute(snapshot, start, at, readings)
    found = quantities(priced)
    assert found.get(LineKind.TIME_DAY, 0) == minutes[True]
    assert found.get(LineKind.TIME_NIGHT, 0) == minutes[False]
    for kind, is_day in ((LineKind.ENERGY_DAY, True), (LineKind.ENERGY_NIGHT, False)):
        assert abs(Fraction(found.get(kind, D(0))) - energy_wh[is_day] / 1000) <= Fraction(1, 10**6)
