"""CONFIGURATION > Integrations: what the product talks to, whether it is set up, and trying it. Manual, same name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import abort, redirect, request
from flask_admin import expose
from flask_login import current_user

from admin_views.base import PageView
from admin_views.configuration.admins import SECTION
from admin_views.configuration.anchors import group_anchor
from admin_views.configuration.integration_list import BY_NAME, INTEGRATIONS
from admin_views.widgets.access import is_htmx
from app.core import integrations, settings
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.core.integrations import Integration
from app.core.messages import IntegrationTest
from app.core.setting_kinds import Kind


@dataclass(frozen=True)
class Card:
    """An integration as the page shows it."""

    integration: Integration
    missing: str
    in_use: bool
    #: label and value of each setting; of a secret only whether it is set
    values: list[tuple[str, str]]
    group: str
    test: IntegrationTest | None

    @property
    def state(self) -> tuple[str, str]:
        """Colour and words."""
        if self.missing:
            chosen = self.integration.selected is not None and self.in_use
            return ("red", "Cannot work") if chosen else ("secondary", "Not set up")
        if self.test is not None and not self.test.works:
            return "red", "Failing"
        if self.integration.selected and not self.in_use:
            return "secondary", "Set up, not in use"
        return "green", "Set up"


class IntegrationsView(PageView):
    """One card for each."""

    resource, title, section, icon = "configuration.integration", "Integrations", SECTION, "plug-connected"

    @expose("/")
    def index(self) -> str:
        """All of them."""
        self.require("view")
        tests = integrations.last_tests(db.session())
        cards = [self._card(each, tests.get(each.name)) for each in INTEGRATIONS]
        return self.render("configuration/integrations.html", cards=cards, **self._rights())

    @expose("/test/", methods=("POST",))
    def test(self) -> Any:
        """Try one, as the settings are saved now, and show its card with what came of it."""
        self.require("edit")
        integration = BY_NAME.get(request.args.get("name", "")) or abort(404)
        admin_id = current_user.id
        db.session.rollback()  # no transaction is open while the other side is spoken to
        outcome = integrations.try_out(separate_transaction, integration=integration, admin_id=admin_id, clock=utcnow)
        if not is_htmx():
            return redirect(f"{self.get_url('.index')}#integration-{integration.name}", code=303)
        card = self._card(integration, outcome)
        return self.render("configuration/_integration.html", card=card, **self._rights())

    def _rights(self) -> dict[str, bool]:
        return {
            "may_test": self.may("configuration.integration.edit"),
            "may_see_settings": self.may("configuration.setting.view"),
        }

    @staticmethod
    def _card(integration: Integration, test: IntegrationTest | None) -> Card:
        session = db.session()
        in_use = True
        if integration.selected is not None:
            key, value = integration.selected
            in_use = settings.get(session, key) == value
        keys = integration.keys or ((integration.selected[0],) if integration.selected else ())
        return Card(
            integration,
            integration.missing(session),
            in_use,
            [(settings.BY_KEY[key].label, _shown(key)) for key in integration.keys],
            group_anchor(settings.BY_KEY[keys[0]].group) if keys else "",
            test,
        )


def _shown(key: str) -> str:
    session, definition = db.session(), settings.BY_KEY[key]
    if definition.kind is Kind.SECRET:
        return "set" if settings.has_secret(session, key) else ""
    value = settings.get(session, key)
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return dict(definition.choices).get(value, "" if value is None else str(value))
