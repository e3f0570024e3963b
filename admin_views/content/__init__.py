"""CONTENT: what drivers read."""

from __future__ import annotations

from typing import Any

from admin_views.content.contacts import ContactsView
from admin_views.content.faq import FaqCategoryView, FaqView
from admin_views.content.terms import TermsView
from app.content.models import FaqCategory, FaqEntry, TermsDocument
from app.core.db import db


def views() -> list[Any]:
    """The section's pages in the order of the menu."""
    return [
        TermsView(TermsDocument, db, url="/content/terms-and-policies"),
        FaqView(FaqEntry, db, url="/content/faq"),
        FaqCategoryView(FaqCategory, db, endpoint="faq_category", url="/content/faq-categories"),
        ContactsView("Contacts"),
    ]
