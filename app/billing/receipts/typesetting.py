"""A receipt's texts as a PDF, by Typst.

Texts go in as data and never as markup, so that nothing a driver is called can be a command; the template may read
no other file than itself, and uses no other fonts than ours.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import typst

TEMPLATES = Path(__file__).resolve().parents[3] / "templates" / "receipts"
FONTS = Path(__file__).resolve().parent / "fonts"


@cache
def fonts() -> typst.Fonts:
    """Ours only, whatever the machine has."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(FONTS)])


def typeset(document: dict[str, Any]) -> bytes:
    """The PDF (A4, PDF/A-2b) of `document_of`; the same texts give the same bytes. Takes some 50 ms."""
    issued = datetime.fromisoformat("-".join(document["issued_on"])).replace(tzinfo=UTC)
    found = _compiler(document).compile(format="pdf", pdf_standards="a-2b", timestamp=issued)
    assert isinstance(found, bytes), "no path was given to write to, so that the bytes come back"
    return found


def pictures(document: dict[str, Any], *, ppi: float = 80) -> list[bytes]:
    """Its pages as PNG: what somebody would see."""
    found = _compiler(document).compile(format="png", ppi=ppi)
    pages = found if isinstance(found, list) else [found]
    return [page for page in pages if page is not None]


def _compiler(document: dict[str, Any]) -> typst.Compiler:
    return typst.Compiler(
        input=str(TEMPLATES / "receipt.typ"),
        root=str(TEMPLATES),
        font_paths=fonts(),
        ignore_system_fonts=True,
        sys_inputs={"document": json.dumps(document, ensure_ascii=False)},
    )
