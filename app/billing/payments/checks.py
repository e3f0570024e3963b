"""Whether a payment processor's settings work, asked of the processor itself."""

from __future__ import annotations

from dataclasses import dataclass

from app.billing.payments import processors
from app.billing.payments.perform import Transact
from app.billing.payments.processors import ProcessorMisconfigured, ProcessorUnreachable, UnknownProcessor
from app.core import settings


@dataclass(frozen=True)
class Check:
    """What came of asking, in words."""

    works: bool
    words: str


def check_processor(transact: Transact, *, name: str | None = None) -> Check:
    """Ask a processor, the selected one unless named. Never raises for what the settings can cure."""
    with transact() as session:
        name = name or settings.get_text(session, "payment.processor")
        try:
            adapter = None if name == "none" else processors.processor(session, name)
        except ProcessorMisconfigured as error:
            return Check(False, str(error))
        except UnknownProcessor:
            adapter = None
    if adapter is None:
        return Check(False, "No payment processor is selected: choose one under Payments and save.")
    try:
        return Check(True, adapter.check())
    except (ProcessorMisconfigured, ProcessorUnreachable) as error:
        return Check(False, str(error))
