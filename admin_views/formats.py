"""How values look: one set of functions for the screen, one for exports.

Screen functions return text or safe markup, in the admin's own time zone; ``export_value`` returns plain text
in the system's time zone. Quantities come in as stored: Wh, W, A, seconds, Decimal amounts.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.core import get_global
from babel.numbers import format_currency, get_currency_precision
from flask import Flask, current_app, has_request_context
from flask_login import current_user
from markupsafe import Markup

NOTHING = Markup('<span class="text-secondary" aria-label="none">—</span>')
LOCALE = "en"
_ACRONYM_WORDS = "ID EVSE EVSEs OCPP OCPI RFID VAT kWh kW URL QR CPO CP FAQ CSV API IP UID SOC AC DC EUR DLM IMSI ICCID"
_ACRONYMS = {word.lower(): word for word in _ACRONYM_WORDS.split()}

# --- time zones ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def zone(name: str | None) -> ZoneInfo:
    """The time zone of that name, UTC when there is none of that name."""
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def system_zone() -> ZoneInfo:
    """The zone of exports, reports and receipts: Settings > Timezone."""
    ask: Callable[[], str] = current_app.extensions.get("system_timezone", lambda: "UTC")
    return zone(ask())


def screen_zone() -> ZoneInfo:
    """The current admin's own zone; the system's when nobody is signed in or none is chosen."""
    if has_request_context() and current_user and current_user.is_authenticated:
        own = getattr(current_user, "timezone", None)
        if own:
            return zone(str(own))
    return system_zone()


def aware(moment: datetime) -> datetime:
    """The moment with a zone: what comes without one from the database is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def local(moment: datetime) -> datetime:
    """The moment in the screen's zone."""
    return aware(moment).astimezone(screen_zone())


def day_start(day: date, in_zone: ZoneInfo) -> datetime:
    """UTC moment at which a calendar day begins in a zone; days of 23 and 25 hours come out right."""
    return datetime.combine(day, time(), tzinfo=in_zone).astimezone(UTC)


# --- screen -------------------------------------------------------------------------------------------------


def when(moment: datetime | None, *, seconds: bool = False, missing: Any = NOTHING) -> Any:
    """A ``time`` element in the admin's zone, with the zone and the seconds on hover."""
    if moment is None:
        return missing
    here = local(moment)
    text = here.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        aware(moment).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{here:%Y-%m-%d %H:%M:%S} {here.tzname()} ({zone_offset(here)}, {screen_zone().key})",
        text,
    )


def zone_offset(moment: datetime) -> str:
    """'UTC+02:00' for a moment that has a zone."""
    offset = moment.strftime("%z")
    return f"UTC{offset[:3]}:{offset[3:5]}"


def day(value: date | datetime | None, missing: Any = NOTHING) -> Any:
    """A date as YYYY-MM-DD; a moment counts as the admin's local day."""
    if value is None:
        return missing
    return (local(value).date() if isinstance(value, datetime) else value).isoformat()


def ago(moment: datetime | None, *, now: datetime | None = None, missing: Any = NOTHING) -> Any:
    """'5 min ago', with the exact time on hover."""
    if moment is None:
        return missing
    past = (now or datetime.now(UTC)) - aware(moment)
    text = "just now" if past < timedelta(minutes=1) else f"{rough_duration(past)} ago"
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S %Z}">{}</time>').format(
        aware(moment).isoformat(timespec="seconds"), local(moment), text
    )


def rough_duration(span: timedelta) -> str:
    """The largest unit of a span: '5 min', '3 h', '12 d'."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def duration(seconds: float | timedelta | None, missing: Any = NOTHING) -> Any:
    """'45 s', '12 min 30 s', '2 h 05 min', '3 d 04 h'."""
    if seconds is None:
        return missing
    total = int(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    sign, total = ("−", -total) if total < 0 else ("", total)
    if total < 60:
        return f"{sign}{total} s"
    if total < 3600:
        rest = f" {total % 60:02d} s" if total % 60 else ""
        return f"{sign}{total // 60} min{rest}"
    if total < 86400:
        return f"{sign}{total // 3600} h {total % 3600 // 60:02d} min"
    return f"{sign}{total // 86400} d {total % 86400 // 3600:02d} h"


def number(value: Any, places: int | None = None, missing: Any = NOTHING) -> Any:
    """Digits in groups of three; ``places`` rounds half up."""
    if value is None:
        return missing
    exact = Decimal(str(value))
    if places is not None:
        exact = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{exact:,f}"


def energy(energy_wh: Any, missing: Any = NOTHING) -> Any:
    """Wh as '12.48 kWh'; from a million kWh on as MWh."""
    if energy_wh is None:
        return missing
    energy_kwh = Decimal(str(energy_wh)) / 1000
    if abs(energy_kwh) >= 1_000_000:
        return f"{number(energy_kwh / 1000, 1)} MWh"
    return f"{number(energy_kwh, 2)} kWh"


def power(power_w: Any, missing: Any = NOTHING) -> Any:
    """W as '22 kW', '7.4 kW'."""
    if power_w is None:
        return missing
    text = str(number(Decimal(str(power_w)) / 1000, 2))
    return f"{text.rstrip('0').rstrip('.')} kW"


def current(current_a: Any, missing: Any = NOTHING) -> Any:
    """A as '16 A', '6.5 A'."""
    if current_a is None:
        return missing
    text = str(number(current_a, 1))
    return f"{text.removesuffix('.0')} A"


def money(amount: Any, currency: str | None = None, missing: Any = NOTHING) -> Any:
    """'€5.32', 'лв 5.32', '¥532': an amount and its ISO 4217 currency; also takes an object with both."""
    if amount is None:
        return missing
    if currency is None:
        amount, currency = amount.amount, str(getattr(amount.currency, "code", amount.currency))
    if not currency:
        raise ValueError("an amount without currency cannot be shown")
    return _spaced(format_currency(Decimal(str(amount)), currency, locale=LOCALE))


def rate(amount: Any, currency: str, unit: str, missing: Any = NOTHING) -> Any:
    """A price per unit, with the decimals it has beyond the currency's: '€0.3875 / kWh'."""
    if amount is None:
        return missing
    exact = Decimal(str(amount)).normalize()
    digits = max(get_currency_precision(currency), -int(exact.as_tuple().exponent))
    text = format_currency(exact, currency, format=f"¤#,##0.{'0' * digits}", locale=LOCALE, currency_digits=False)
    return f"{_spaced(text)} / {unit}"


def _spaced(text: str) -> str:
    # a currency without a sign of its own is written by its code, which reads badly without a space
    return re.sub(r"([A-Za-z])(?=\d)", "\\1\u00a0", text, count=1)


def percent(ratio: Any, places: int = 1, *, sign: bool = False, missing: Any = NOTHING) -> Any:
    """A ratio as '12.5%'; with ``sign`` as '+12.5%' for changes."""
    if ratio is None:
        return missing
    text = str(number(Decimal(str(ratio)) * 100, places))
    return f"{'+' if sign and not text.startswith('-') else ''}{text}%"


def vat(percentage: Any, missing: Any = NOTHING) -> Any:
    """A percentage that is stored as such: 20 is '20%', 5.50 is '5.5%'."""
    if percentage is None:
        return missing
    text = f"{Decimal(str(percentage)):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def yes_no(value: bool | None, missing: Any = NOTHING) -> Any:
    """'Yes' or 'No', each with its icon's colour."""
    if value is None:
        return missing
    return Markup('<span class="text-{}">{}</span>').format("body" if value else "secondary", "Yes" if value else "No")


def words(name: str) -> str:
    """A Python name as words of the screen: 'evse_network_id' is 'EVSE Network ID'."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.replace(".", " ").replace("_", " ")).split()
    return " ".join(_ACRONYMS.get(part.lower(), part[:1].upper() + part[1:]) for part in parts)


def label(value: Any) -> str:
    """What an enum member, or anything else, is called on screen; never a raw enum name."""
    if value is None:
        return ""
    named = getattr(value, "label", None)
    if named is not None and not callable(named):
        return str(named)
    if isinstance(value, enum.Enum):
        if isinstance(value.value, str):
            return sentence(value.value) if value.value.islower() else value.value
        return sentence(value.name)
    return str(value)


def sentence(text: str) -> str:
    """'out_of_order' as 'Out of order', acronyms kept."""
    parts = text.lower().replace("-", " ").replace("_", " ").split()
    cased = [_ACRONYMS.get(part, part) for part in parts]
    joined = " ".join(cased)
    return joined[:1].upper() + joined[1:] if cased and cased[0] == parts[0] else joined


def translated(value: Any, language: str = "en") -> str:
    """One text of a multilingual value: the wanted language, else English, else any."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    return str(value.get(language) or value.get("en") or next((text for text in value.values() if text), ""))


def countries() -> list[tuple[str, str]]:
    """ISO 3166 codes and English names, by name."""
    from babel import Locale

    names = {str(code): str(name) for code, name in Locale(LOCALE).territories.items()}
    found = [(code, name) for code, name in names.items() if re.fullmatch("[A-Z]{2}", code)]
    return sorted(found, key=lambda pair: pair[1])


def currencies() -> list[tuple[str, str]]:
    """ISO 4217 codes of money in use today."""
    in_use: set[str] = set()
    for rows in get_global("territory_currencies").values():
        in_use |= {row[0] for row in rows if row[2] is None and row[3]}
    return [(code, code) for code in sorted(in_use)]


# --- exports ------------------------------------------------------------------------------------------------

_FORMULA = re.compile(r"^[\s\x00]*[=+\-@＝＋－＠]")


def export_value(value: Any) -> Any:
    """A CSV cell: ISO 8601 with offset in the system's zone, plain decimals, never a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, enum.Enum):
        return safe_text(value.value if isinstance(value.value, str) else value.name.lower())
    if isinstance(value, datetime):
        return aware(value).astimezone(system_zone()).isoformat(timespec="seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int | float | UUID):
        return value
    if isinstance(value, dict):
        return safe_text(json.dumps(value, ensure_ascii=False, sort_keys=True))
    if isinstance(value, list | tuple | set):
        return safe_text(", ".join(str(export_value(item)) for item in value))
    return safe_text(str(value))


def export_amount(amount: Decimal | None, currency: str | None) -> Decimal | None:
    """An amount with as many decimals as its currency has, as ``flask export`` writes it: 4.26, not 4.2600."""
    if amount is None or not currency:
        return None
    return amount.quantize(Decimal(1).scaleb(-get_currency_precision(currency)), rounding=ROUND_HALF_UP)


def export_kwh(energy_wh: Decimal | None) -> Decimal | None:
    """Wh as kWh with three decimals, or more where the meter gave more, as ``flask export`` writes it."""
    if energy_wh is None:
        return None
    energy_kwh = (energy_wh / 1000).normalize()
    places = max(3, -int(energy_kwh.as_tuple().exponent))
    return energy_kwh.quantize(Decimal(1).scaleb(-places))


def safe_text(text: str) -> str:
    """Text that a spreadsheet takes as text: formula starts get an apostrophe (OWASP, CSV Injection)."""
    return f"'{text}" if _FORMULA.match(text) or (text[:1] in "\t\r\n" and text) else text


FILTERS: dict[str, Callable[..., Any]] = {
    "when": when,
    "day": day,
    "ago": ago,
    "duration": duration,
    "number": number,
    "energy": energy,
    "power": power,
    "current": current,
    "money": money,
    "rate": rate,
    "percent": percent,
    "vat": vat,
    "yes_no": yes_no,
    "words": words,
    "label": label,
    "translated": translated,
}


def init_formats(app: Flask, system_timezone: Callable[[], str] | None = None) -> None:
    """Make the screen functions Jinja filters; ``system_timezone`` reads Settings > Timezone."""
    app.jinja_env.filters.update(FILTERS)
    if system_timezone is not None:
        app.extensions["system_timezone"] = system_timezone
