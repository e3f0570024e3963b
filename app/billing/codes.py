"""The codes of vouchers, and the rows that carry them. product.md, "Vouchers, top-ups"."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import ARRAY, String, func, literal, select
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.orm import Session

from app.billing.models import Voucher

#: capital letters and digits without those that are taken for one another: 0 and O, 1 and I
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 6
_CHUNK = 5_000


def draw_code() -> str:
    """Six characters nobody can guess."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def normalised(code: str) -> str:
    """A code as it was typed, as it is stored: in capitals, without blanks and hyphens."""
    return "".join(code.split()).replace("-", "").upper()


def issue(session: Session, **values: Any) -> Voucher:
    """Write one voucher under a code that no other has. Flushes."""
    while True:
        made = session.scalars(
            insert_or_not(Voucher)
            .values(code=draw_code(), **values)
            .on_conflict_do_nothing(index_elements=["code"])
            .returning(Voucher)
        ).one_or_none()
        if made is not None:
            return made


def issue_many(session: Session, quantity: int, **values: Any) -> list[int]:
    """Write many vouchers that differ in their codes only; returns their ids, ascending. Flushes.

    A code that is taken already costs another round for what is missing.
    """
    ids: list[int] = []
    columns = {name: getattr(Voucher, name).expression for name in values}
    while len(ids) < quantity:
        codes: set[str] = set()
        while len(codes) < min(quantity - len(ids), _CHUNK):
            codes.add(draw_code())
        rows = select(
            func.unnest(literal(sorted(codes), ARRAY(String))),
            *(literal(value, columns[name].type) for name, value in values.items()),
        )
        statement = insert_or_not(Voucher).from_select(["code", *values], rows, include_defaults=False)
        ids += session.scalars(statement.on_conflict_do_nothing(index_elements=["code"]).returning(Voucher.id))
    return sorted(ids)
