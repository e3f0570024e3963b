"""What was done about a fault or a lost connection, as cells of lists: the recovery, what it tried, its mails."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from admin_views import formats
from admin_views.widgets.cells import pill
from app.charging.models import Recovery
from app.charging.recovery import texts as fault_texts
from app.charging.recovery import words as fault_words


def tried_text(recovery: Recovery | None) -> str:
    """What was tried, on one line, for spreadsheets."""
    lines = fault_texts.tried(recovery) if recovery is not None else []
    return "; ".join(f"{formats.export_value(line.at)} {line.what}: {line.outcome}" for line in lines)


def tried(recovery: Recovery) -> Any:
    """What was tried, folded out on demand."""
    lines = fault_texts.tried(recovery)
    if not lines:
        return formats.NOTHING
    items = Markup("").join(
        Markup("<li>{} <strong>{}</strong>: {}</li>").format(formats.when(line.at), line.what, line.outcome)
        for line in lines
    )
    last = lines[-1].what
    count = "1 attempt" if len(lines) == 1 else f"{len(lines)} attempts"
    return Markup('<details><summary>{}, last: {}</summary><ol class="mb-0 ps-3">{}</ol></details>').format(
        count, last, items
    )


def standing(recovery: Recovery | None, *, enabled: bool) -> Any:
    """How auto-recovery stands: off, on without need so far, or the newest recovery with what it tried."""
    if recovery is None:
        return pill("info", text="On, nothing tried yet") if enabled else pill("disabled", text="Off")
    return Markup('<div class="d-flex flex-column align-items-start gap-1">{} {}</div>').format(
        pill(recovery.status, title=recovery.outcome or ""), tried(recovery)
    )


def fault(recovery: Recovery) -> str:
    """The fault that a recovery works on, in plain words with the station's own."""
    return fault_words.fault_in_words(recovery.error_code, recovery.error_info)
