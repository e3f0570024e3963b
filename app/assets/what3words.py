"""The what3words address of coordinates, by the official client when a key is set. Manual, "Filling in an address", 4.

Without a key only the form of an address is checked (``verbs.clean_what3words``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

import what3words
from sqlalchemy.orm import Session

from app.assets import verbs
from app.core import settings
from app.core.vault import VaultLocked

KEY = "geocoding.what3words_key"
TIMEOUT_S = 5.0

#: the service's codes → what an admin can do
_ERRORS = {
    "InvalidKey": "what3words refuses the API key. Check CONFIGURATION > Settings > Addresses.",
    "SuspendedKey": "what3words has suspended the API key.",
    "QuotaExceeded": "The what3words plan is used up for now.",
    "BadCoordinates": "Enter latitude and longitude first.",
}


class What3wordsFailed(Exception):
    """No words could be had; the message says why, for an admin."""


def has_key(session: Session) -> bool:
    """Whether the service can be asked."""
    try:
        return bool(settings.get_secret(session, KEY))
    except VaultLocked:
        return False


def words_of(session: Session, *, latitude: float, longitude: float, endpoint: str | None = None) -> str:
    """word1.word2.word3 of the square in which these coordinates lie. Raises What3wordsFailed."""
    try:
        key = settings.get_secret(session, KEY)
    except VaultLocked:
        key = ""
    if not key:
        raise What3wordsFailed("No what3words API key is set in CONFIGURATION > Settings > Addresses.")
    return words_by(key, latitude=latitude, longitude=longitude, endpoint=endpoint)


def words_by(key: str, *, latitude: float, longitude: float, endpoint: str | None = None) -> str:
    """The same by a key at hand, for who keeps no transaction open meanwhile. Raises What3wordsFailed."""
    client = what3words.Geocoder(key, **({"end_point": endpoint} if endpoint else {}))
    answer = _asked(client, what3words.Coordinates(latitude, longitude))
    error = answer.get("error")
    if error:
        code = str(error.get("code") if isinstance(error, dict) else error)
        raise What3wordsFailed(_ERRORS.get(code, "what3words has no answer for these coordinates."))
    try:
        words = verbs.clean_what3words(str(answer.get("words") or ""))
    except verbs.InvalidWhat3words:
        words = None
    if words is None:
        raise What3wordsFailed("what3words gave no usable answer. Try again later.")
    return words


def _asked(client: Any, coordinates: Any) -> dict[str, Any]:
    """The service's answer. The client itself would wait for ever, and names the key in its errors."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        answer = pool.submit(client.convert_to_3wa, coordinates).result(timeout=TIMEOUT_S)
    except TookTooLong:
        raise What3wordsFailed(f"what3words did not answer within {TIMEOUT_S:g} seconds.") from None
    except (OSError, ValueError):
        raise What3wordsFailed("what3words cannot be reached. Try again later, or enter the words by hand.") from None
    finally:
        pool.shutdown(wait=False)
    return answer if isinstance(answer, dict) else {}
