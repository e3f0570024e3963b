"""What a field of the file may hold: text of the file in, typed values out, or a sentence saying what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache, partial
from typing import Annotated, Any, TypeVar
from zoneinfo import available_timezones

from babel import Locale
from pydantic import BeforeValidator

from app.assets.models import (
    AccessType,
    ConnectorFormat,
    ConnectorType,
    EvseStatus,
    EvseType,
    NetworkProtocol,
    SystemStatus,
    ZoneStatus,
)
from app.core.i18n import LANGUAGES
from app.crm.models import RfidTagStatus, UserStatus
from app.provisioning.tree import PATH
from app.tariffs.models import TariffType

E = TypeVar("E", bound=StrEnum)

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+")
_IDENTIFIER = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")
_EVSE_CODE = re.compile(r"[A-Za-z0-9*_-]{1,40}")
_ID_TAG = re.compile(r"[\x21-\x7e]{1,40}")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_DEGREES = Decimal("0.000001")


def _scalar(raw: Any, expected: str) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"{expected} is expected")
    return raw.strip()


def _text(limit: int, raw: Any) -> str:
    text = _scalar(raw, "text")
    if not text:
        raise ValueError("text is expected, not an empty one")
    return _short(limit, text)


def _text_or_empty(limit: int, raw: Any) -> str:
    return _short(limit, "" if raw is None else _scalar(raw, "text"))


def _short(limit: int, text: str) -> str:
    if len(text) > limit:
        raise ValueError(f"at most {limit} characters are expected")
    if "\0" in text:
        raise ValueError("text without NUL characters is expected")
    return text


def _texts(limit: int, raw: Any) -> dict[str, str]:
    """A text by language; a plain one is English."""
    if raw is None:
        return {}
    if isinstance(raw, str):
        return {"en": _text(limit, raw)}
    if not isinstance(raw, dict):
        raise ValueError("text, or a mapping of language to text, is expected")
    found = {}
    for language, text in raw.items():
        if language == PATH:
            continue
        if language not in LANGUAGES:
            raise ValueError(f"unknown language {language}; known are {', '.join(LANGUAGES)}")
        if not isinstance(text, str):
            raise ValueError(f"text is expected in {language}")
        found[language] = _text(limit, text)
    return found


def _name_texts(limit: int, raw: Any) -> dict[str, str]:
    found = _texts(limit, raw)
    if "en" not in found:
        raise ValueError("the English name (en) is required")
    return found


def _matching(pattern: re.Pattern[str], expected: str, raw: Any) -> str:
    text = _scalar(raw, expected)
    if not pattern.fullmatch(text):
        raise ValueError(f"{expected} is expected, not “{text}”")
    return text


def _number(raw: Any) -> Decimal:
    text = _scalar(raw, "a number")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"a number is expected, not “{text}”") from None
    if not number.is_finite():
        raise ValueError(f"a number is expected, not “{text}”")
    return number


def _amount(raw: Any) -> Decimal:
    number = _number(raw)
    if number < 0:
        raise ValueError("a number that is not negative is expected")
    if number >= 1_000_000_000:
        raise ValueError("a number below 1000000000 is expected")
    return number


def _whole(lowest: int, highest: int, raw: Any) -> int:
    number = _number(raw)
    if number != int(number) or not lowest <= number <= highest:
        raise ValueError(f"a whole number between {lowest} and {highest} is expected")
    return int(number)


def _degrees(limit: int, raw: Any) -> Decimal:
    number = _number(raw)
    if abs(number) > limit:
        raise ValueError(f"degrees between -{limit} and {limit} are expected")
    return number.quantize(_DEGREES)


def _watts_of_kw(raw: Any) -> int:
    number = _amount(raw) * 1000
    if number != int(number) or not 0 < number <= 10_000_000:
        raise ValueError("kW above 0 and up to 10000, with at most three decimals, are expected")
    return int(number)


def _yes_no(raw: Any) -> bool:
    text = _scalar(raw, "true or false").lower()
    if text in ("true", "yes", "on"):
        return True
    if text in ("false", "no", "off"):
        return False
    raise ValueError(f"true or false is expected, not “{text}”")


def _time(raw: Any) -> time:
    text = _scalar(raw, "a time such as 07:00")
    if not _TIME.fullmatch(text):
        raise ValueError(f"a time such as 07:00 is expected, not “{text}”")
    try:
        return time.fromisoformat(text.zfill(5) if len(text) < 6 else text.zfill(8))
    except ValueError:
        raise ValueError(f"a time such as 07:00 is expected, not “{text}”") from None


def _date(raw: Any) -> date:
    text = _scalar(raw, "a date such as 2027-12-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"a date such as 2027-12-31 is expected, not “{text}”") from None


def _one_of(kind: type[E], raw: Any) -> E:
    text = _scalar(raw, f"one of {', '.join(kind)}")
    for member in kind:
        if member.value.lower() == text.lower():
            return member
    raise ValueError(f"one of {', '.join(kind)} is expected, not “{text}”")


def _connector_type(raw: Any) -> ConnectorType:
    """Plug types are written in many ways: "Type 2", "type2", "CCS 2", and "CCS" for the one of Europe."""
    text = _scalar(raw, f"one of {', '.join(ConnectorType)}")
    for member in ConnectorType:
        if _squeezed(member.value) == _squeezed(text):
            return member
    if _squeezed(text) == "ccs":
        return ConnectorType.CCS2
    raise ValueError(f"one of {', '.join(ConnectorType)} is expected, not “{text}”")


def _squeezed(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).lower()


@lru_cache(1)
def _countries() -> frozenset[str]:
    return frozenset(str(code) for code in Locale("en").territories if re.fullmatch("[A-Z]{2}", str(code)))


def _country(raw: Any) -> str:
    text = _scalar(raw, "a country code such as BG")
    if text not in _countries():
        raise ValueError(f"a country code such as BG is expected, not “{text}”")
    return text


def _timezone(raw: Any) -> str:
    text = _scalar(raw, "a time zone such as Europe/Sofia")
    if text not in available_timezones():
        raise ValueError(f"a time zone such as Europe/Sofia is expected, not “{text}”")
    return text


def _password(raw: Any) -> bytes:
    """The bytes of a network password: the literal's, blanks and all, or after ``hex:`` the ones it spells."""
    _scalar(raw, "a password")
    text = str(raw)
    if text.startswith("hex:"):
        try:
            password = bytes.fromhex(text.removeprefix("hex:"))
        except ValueError:
            raise ValueError("hexadecimal digits are expected after hex:") from None
    else:
        password = text.encode()
    if not 0 < len(password) <= 255:
        raise ValueError("a password of 1 to 255 bytes is expected; null is none")
    return password


def _before(function: Callable[[Any], Any]) -> BeforeValidator:
    return BeforeValidator(function)


def _optional(function: Callable[[Any], Any]) -> BeforeValidator:
    return BeforeValidator(lambda raw: None if raw is None else function(raw))


_TEXT_120 = partial(_text, 120)

Name = Annotated[str, _before(partial(_text, 255))]
ShortName = Annotated[str, _before(_TEXT_120)]
PersonName = Annotated[str, _before(partial(_text_or_empty, 120))]
City = Annotated[str, _before(partial(_text_or_empty, 120))]
Postcode = Annotated[str, _before(partial(_text_or_empty, 20))]
Phone = Annotated[str | None, _optional(partial(_text, 40))]
CardNumber = Annotated[str | None, _optional(partial(_text, 60))]
Texts = Annotated[dict[str, str], _before(partial(_texts, 10_000))]
NameTexts = Annotated[dict[str, str], _before(partial(_name_texts, 255))]
Email = Annotated[str, _before(partial(_matching, _EMAIL, "an e-mail address"))]
Identifier = Annotated[str, _before(partial(_matching, _IDENTIFIER, "a Charge Point ID without /"))]
EvseCode = Annotated[str, _before(partial(_matching, _EVSE_CODE, "an EVSE ID of letters, digits, *, _ and -"))]
IdTag = Annotated[str, _before(partial(_matching, _ID_TAG, "a tag ID without spaces"))]
Password = Annotated[bytes | None, _optional(_password)]
Amount = Annotated[Decimal | None, _optional(_amount)]
Balance = Annotated[Decimal, _before(_amount)]
Percent = Annotated[Decimal, _before(_amount)]
Minutes = Annotated[int | None, _optional(partial(_whole, 0, 525_600))]
NetworkId = Annotated[int, _before(partial(_whole, 1, 2_000_000_000))]
Latitude = Annotated[Decimal, _before(partial(_degrees, 90))]
Longitude = Annotated[Decimal, _before(partial(_degrees, 180))]
LevelPowerW = Annotated[int, _before(_watts_of_kw)]
MaxPowerW = Annotated[int | None, _optional(_watts_of_kw)]
YesNo = Annotated[bool, _before(_yes_no)]
TimeOfDay = Annotated[time, _before(_time)]
Expiry = Annotated[date | None, _optional(_date)]
Country = Annotated[str, _before(_country)]
SystemTimezone = Annotated[str, _before(_timezone)]
LocationTimezone = Annotated[str | None, _optional(_timezone)]
Reference = Annotated[str | None, _optional(partial(_text, 255))]

TariffTypeField = Annotated[TariffType, _before(partial(_one_of, TariffType))]
AccessField = Annotated[AccessType, _before(partial(_one_of, AccessType))]
SystemStatusField = Annotated[SystemStatus, _before(partial(_one_of, SystemStatus))]
EvseStatusField = Annotated[EvseStatus, _before(partial(_one_of, EvseStatus))]
ZoneStatusField = Annotated[ZoneStatus, _before(partial(_one_of, ZoneStatus))]
ProtocolField = Annotated[NetworkProtocol, _before(partial(_one_of, NetworkProtocol))]
EvseTypeField = Annotated[EvseType, _before(partial(_one_of, EvseType))]
ConnectorTypeField = Annotated[ConnectorType, _before(_connector_type)]
ConnectorFormatField = Annotated[ConnectorFormat, _before(partial(_one_of, ConnectorFormat))]
UserStatusField = Annotated[UserStatus, _before(partial(_one_of, UserStatus))]
RfidTagStatusField = Annotated[RfidTagStatus, _before(partial(_one_of, RfidTagStatus))]
