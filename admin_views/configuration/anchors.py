"""Where a group of settings stands on CONFIGURATION > Settings."""

from __future__ import annotations


def group_anchor(group: str) -> str:
    """The id of a group's card: "E-mail (SMTP)" → "group-e-mail--smtp-"."""
    return "group-" + "".join(char if char.isalnum() else "-" for char in group.lower())
