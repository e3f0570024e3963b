"""EVSE IDs drawn by chance: what a QR sticker gets when nobody chose one. Manual, "Adding a Charge Point"."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.assets.models import Evse

#: no 0 O, 1 I L, 2 Z, 5 S, 8 B: read off a sticker in the rain and typed on a phone
ALPHABET = "34679ACDEFGHJKMNPQRTUVWXY"
LENGTH = 6


def draw_evse_code(session: Session, *, taken: Collection[str] = ()) -> str:
    """A code that no EVSE has; ``taken`` are further ones in upper case that must not come up."""
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        stored = session.scalar(select(Evse.id).where(func.upper(Evse.code) == code))
        if stored is None and code not in taken:
            return code


def draw_evse_codes(session: Session, count: int, taken: Collection[str] = ()) -> list[str]:
    """As many codes, each other than all stored and taken ones; one query for all of them."""
    drawn: list[str] = []
    used = set(taken)
    while len(drawn) < count:
        fresh: set[str] = set()
        while len(fresh) < count - len(drawn):
            code = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
            if code not in used:
                fresh.add(code)
        stored = set(session.scalars(select(func.upper(Evse.code)).where(func.upper(Evse.code).in_(sorted(fresh)))))
        used |= fresh
        drawn += sorted(fresh - stored, key=lambda _: secrets.randbits(32))
    return drawn
