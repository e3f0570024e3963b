"""The operator's screens: one package per menu section, on the hardened base view."""

from __future__ import annotations

from flask import Flask
from flask_admin import Admin

from admin_views import (
    account,
    activity,
    api,
    assets,
    card_entry,
    configuration,
    content,
    crm,
    dashboard,
    downloads,
    export_source,
    live,
    login,
    my_exports,
    one_time_links,
    payments,
    public,
    search,
    tariffs,
)
from admin_views.base import init_screens
from admin_views.crm import verification_page
from app.core import languages, settings
from app.core.db import db
from app.core.models import Action, AuditEntry

#: in the order of the menu; each has ``views()``: its pages in the order of the menu
SECTIONS = (dashboard, assets, tariffs, activity, payments, crm, content, configuration)


def register(app: Flask) -> None:
    """Put every screen on the application."""
    login.init_app(app)
    account.init_app(app)
    one_time_links.init_app(app)
    init_screens(
        app,
        system_timezone=lambda: settings.get_text(db.session(), "system.timezone"),
        action_model=Action,
        audit_model=AuditEntry,
        languages=lambda texts: languages.shown(db.session(), texts),
    )
    pages = [page for section in SECTIONS for page in section.views()]
    admin = Admin(app, name="SYNC EV.CHARGE", index_view=pages[0], url="/")
    for page in pages[1:]:
        admin.add_view(page)
    admin.add_view(my_exports.MyExportsView())
    export_source.init_app(app)
    api.init_app(app)
    live.init_app(app)
    downloads.init_app(app)
    public.init_app(app)
    card_entry.init_app(app)
    verification_page.init_app(app)
    search.init_app(app)
