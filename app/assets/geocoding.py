"""Coordinates of an address, and the address of coordinates. Off unless Settings > Addresses names a geocoder.

Asked by screens only, never by what speaks to stations: an answer may take seconds. Manual, "Filling in an address".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from geopy.adapters import URLLibAdapter
from geopy.exc import (
    ConfigurationError,
    GeocoderAuthenticationFailure,
    GeocoderInsufficientPrivileges,
    GeocoderQuotaExceeded,
    GeocoderRateLimited,
    GeocoderTimedOut,
    GeopyError,
)
from geopy.geocoders import Nominatim
from sqlalchemy.orm import Session

from app.core import settings

TIMEOUT_S = 5
MAX_FOUND = 6
MAX_QUERY_LENGTH = 200
#: who asks, as Nominatim's usage policy wants to know
USER_AGENT = "SYNC-EV.CHARGE back office"

_CITY = ("city", "town", "village", "hamlet", "municipality", "suburb")
_STREET = ("road", "pedestrian", "footway", "square", "neighbourhood", "hamlet")
_REGION = ("state", "region", "state_district", "county", "province")


class GeocodingFailed(Exception):
    """No answer could be had; the message says why, for an admin."""


@dataclass(frozen=True)
class Place:
    """A place found: degrees, its whole address as one line, and the fields of a location's address."""

    latitude: float
    longitude: float
    label: str
    address: str = ""
    city: str = ""
    postcode: str = ""
    region: str = ""
    country: str = ""


class Geocoder(Protocol):
    """What finds places. Both raise GeocodingFailed; ``language`` is a code of ours."""

    def search(self, text: str, *, language: str) -> list[Place]:
        """Places of that name or address, best first."""
        ...

    def reverse(self, latitude: float, longitude: float, *, language: str) -> Place | None:
        """What stands at these coordinates."""
        ...


class NominatimGeocoder:
    """OpenStreetMap's geocoder, the public server or one's own. ``pace`` is called before each request."""

    def __init__(self, server: str, *, pace: Callable[[], None] = lambda: None, timeout_s: float = TIMEOUT_S) -> None:
        scheme, domain = _server(server)
        self._pace = pace
        try:
            self._client = Nominatim(
                domain=domain,
                scheme=scheme,
                user_agent=USER_AGENT,
                timeout=timeout_s,
                adapter_factory=URLLibAdapter,  # the other one asks three times before it gives up
            )
        except ConfigurationError:
            raise GeocodingFailed(f"“{server}” is not a Nominatim server. {_WHERE}") from None

    def search(self, text: str, *, language: str) -> list[Place]:
        """As Geocoder.search."""
        found = self._ask(
            lambda: self._client.geocode(
                text, exactly_one=False, limit=MAX_FOUND, addressdetails=True, language=_language(language)
            )
        )
        return [_place(each.raw) for each in found or ()]

    def reverse(self, latitude: float, longitude: float, *, language: str) -> Place | None:
        """As Geocoder.reverse."""
        found = self._ask(
            lambda: self._client.reverse((latitude, longitude), addressdetails=True, language=_language(language))
        )
        return None if found is None else _place(found.raw)

    def _ask(self, question: Callable[[], Any]) -> Any:
        self._pace()
        try:
            return question()
        except (GeocoderQuotaExceeded, GeocoderRateLimited):
            raise GeocodingFailed("The geocoder has been asked too often. Wait a minute, then try again.") from None
        except GeocoderTimedOut:
            raise GeocodingFailed(f"The geocoder did not answer within {TIMEOUT_S} seconds.") from None
        except (GeocoderAuthenticationFailure, GeocoderInsufficientPrivileges):
            raise GeocodingFailed(f"The geocoder refuses us. {_WHERE}") from None
        except (GeopyError, KeyError, TypeError, ValueError):
            # not reached, or it answered something that is no answer of Nominatim's
            raise GeocodingFailed(f"The geocoder cannot be reached. {_WHERE}") from None


_WHERE = "Check CONFIGURATION > Settings > Addresses, or fill in the address by hand."


def geocoder(session: Session, *, pace: Callable[[], None] = lambda: None) -> Geocoder | None:
    """The geocoder of the settings; None when there is none. Raises GeocodingFailed for a server that is none."""
    if settings.get_text(session, "geocoding.provider") != "nominatim":
        return None
    return NominatimGeocoder(settings.get_text(session, "geocoding.nominatim_url"), pace=pace)


def has_geocoder(session: Session) -> bool:
    """Whether addresses can be looked up."""
    return settings.get_text(session, "geocoding.provider") != "none"


def _server(text: str) -> tuple[str, str]:
    """Scheme and host (with path) of "nominatim.example.org" or "http://10.0.0.5:8080/nominatim"."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise GeocodingFailed(f"“{text}” is not the address of a Nominatim server. {_WHERE}")
    return parts.scheme, (parts.netloc + parts.path).rstrip("/")


def _language(code: str) -> str:
    return "en" if code == "en" else f"{code},en"


def _place(raw: Mapping[str, Any]) -> Place:
    details: Mapping[str, Any] = raw.get("address") or {}
    street, number = _first(details, _STREET), str(details.get("house_number") or "")
    country = str(details.get("country_code") or "").upper()
    return Place(
        latitude=round(float(raw["lat"]), 6),
        longitude=round(float(raw["lon"]), 6),
        label=str(raw.get("display_name") or "").strip(),
        # the number before the street where that is the custom
        address=" ".join(p for p in ((number, street) if country in _NUMBER_FIRST else (street, number)) if p)[:500],
        city=_first(details, _CITY)[:120],
        postcode=str(details.get("postcode") or "")[:20],
        region=_first(details, _REGION)[:120],
        country=country if len(country) == 2 else "",
    )


_NUMBER_FIRST = frozenset({"GB", "IE", "US", "CA", "AU", "NZ", "FR", "IN", "ZA", "SG", "HK", "MY"})


def _first(details: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(details[name]) for name in names if details.get(name)), "")
