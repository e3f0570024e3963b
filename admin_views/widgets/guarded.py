"""What every page has, about a model or not: its permission, its place in the menu, its refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask_admin
from flask import abort
from flask_login import current_user

from admin_views.widgets import access
from app.core import principal


class Guarded:
    """Permission, menu and errors of any page. ``resource`` is the page's "section.resource"."""

    resource: str = ""
    section: str | None = None
    icon: str = "point"
    #: closed to admins of partners, whatever their role: nothing on it is a partner's
    staff_only: bool = False

    def may(self, permission: str) -> bool:
        """Whether the current admin holds a whole permission."""
        return access.allowed(permission)

    def require(self, verb: str) -> None:
        """Abort with 403 unless the admin holds a verb of this resource (or a whole permission)."""
        permission = verb if "." in verb else f"{self.resource}.{verb}"
        closed = verb in access.VERBS and not getattr(self, f"_allow_{verb}", True)
        if closed or self._is_closed() or not self.may(permission):
            abort(403)

    def is_accessible(self) -> bool:
        """Whether the admin may open the page at all."""
        return self.may(f"{self.resource}.view") and not self._is_closed()

    def _is_closed(self) -> bool:
        return self.staff_only and principal.current().is_partner

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:
        """Strangers go to the login page; admins without permission get 403."""
        if not current_user.is_authenticated:
            return access.refuse_anonymous()
        return abort(403)

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Flask-Admin calls a view again with other arguments when it raises TypeError, which hides mistakes
        return fn(self, *args, **kwargs)


class PageView(Guarded, flask_admin.BaseView):
    """A page that is not about one model (dashboard, settings). Declare resource, section, icon and title."""

    title: str = ""

    def __init__(self, name: str | None = None, **options: Any) -> None:
        options.setdefault("category", self.section)
        options.setdefault("menu_icon_type", "tabler")
        options.setdefault("menu_icon_value", self.icon)
        if self.resource:
            section, _, page = self.resource.partition(".")
            options.setdefault("endpoint", page)
            options.setdefault("url", f"/{section}/{page.replace('_', '-')}")
        super().__init__(name or self.title or None, **options)

    def render(self, template: str, **context: Any) -> str:
        """Render a template that extends ``layout/page.html`` (or a partial)."""
        context.setdefault("page_title", self.title or self.name)
        context.setdefault("partial", False)
        return str(super().render(template, **context))
