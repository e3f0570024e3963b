"""Parts of a mail that only its reader may read: sealed in the outbox's row, opened while it is sent.

Whoever reads the outbox's table, or a copy of it, could otherwise use somebody else's one-time link. That screens do
not show such a mail is another matter (``Mail.confidential``).
"""

from __future__ import annotations

import re

from flask import current_app

from app.core import vault

_SEALED = re.compile(r"\[\[sealed:([A-Za-z0-9_=-]+)\]\]")


def seal(text: str) -> str:
    """The form in which a secret part stands in a mail's row."""
    return f"[[sealed:{vault.lock(text, current_app.config['SECRET_KEY'])}]]"


def opened(text: str) -> str:
    """The text as it is sent. Raises vault.VaultLocked when it was sealed under another SECRET_KEY."""
    return _SEALED.sub(lambda found: vault.unlock(found[1], current_app.config["SECRET_KEY"]), text)
