"""Pages of the menu section."""

from __future__ import annotations

from typing import Any


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return []
