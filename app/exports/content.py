"""Terms and questions as rows of a CSV, in English where there is English."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from app.content.models import FaqCategory, FaqEntry, TermsDocument, TermsVersion
from app.exports.columns import ExportList, Row


def _latest(attribute: InstrumentedAttribute[Any]) -> Any:
    """Of a document's newest version; nothing before the first."""

    def source(_row: Row) -> ColumnElement[Any]:
        newest = select(attribute).where(TermsVersion.document_id == TermsDocument.id)
        newest = newest.order_by(TermsVersion.number.desc()).limit(1)
        return newest.correlate(TermsDocument).scalar_subquery()

    return source


TERMS = ExportList(
    TermsDocument,
    (
        "id",
        "kind",
        "name",
        ("version", _latest(TermsVersion.number)),
        ("valid_from", _latest(TermsVersion.valid_from)),
        "created_at",
    ),
    time="created_at",
)

FAQ = ExportList(
    FaqEntry,
    ("id", "position", ("category", "category.name"), "question", "published", "created_at"),
    time="created_at",
)

FAQ_CATEGORIES = ExportList(FaqCategory, ("id", "position", "name"))
