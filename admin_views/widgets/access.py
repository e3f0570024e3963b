"""Who may do what on a page: permissions are ``section.resource.verb`` of app.core.permissions."""

from __future__ import annotations

from typing import Any

from flask import current_app, has_request_context, make_response, redirect, request, url_for
from flask_login import current_user

from app.core import permissions

VERBS = ("view", "create", "edit", "delete", "export")


def is_permission(name: str) -> bool:
    """Whether a permission of that name exists at all."""
    try:
        permissions.Permission(name)
    except ValueError:
        return False
    return True


def request_cache(name: str) -> dict[Any, Any]:
    """What was found out during this request; ``g`` may live longer (as long as the application context)."""
    cache: dict[Any, Any] = request.environ.setdefault(f"sync.{name}", {})
    return cache


def allowed(permission: str) -> bool:
    """Whether the current admin holds a permission; one that does not exist is held by nobody."""
    if not has_request_context() or not current_user or not current_user.is_authenticated:
        return False
    known = request_cache("allowed")
    asked = (str(current_user.get_id()), permission)  # a page asks the same a hundred times
    if asked not in known:
        try:
            known[asked] = bool(permissions.can(permission))
        except ValueError:
            known[asked] = False
    return bool(known[asked])


def is_htmx() -> bool:
    """Whether the request was made by htmx from an open page."""
    return request.headers.get("HX-Request") == "true"


def wants_partial() -> bool:
    """Whether htmx wants only the part it swaps, not the page."""
    whole = request.headers.get("HX-Request-Type") == "full" or "HX-History-Restore-Request" in request.headers
    return is_htmx() and not whole


def login_url(target: str) -> str:
    """The sign-in page that leads back to ``target``."""
    view = getattr(getattr(current_app, "login_manager", None), "login_view", None) or "auth.login"
    return url_for(view, next=target)


def refuse_anonymous() -> Any:
    """Send somebody who is not signed in to the login page, and back afterwards."""
    if is_htmx():
        here = request.headers.get("HX-Current-URL", "")
        path = "/" + here.split("/", 3)[3] if here.count("/") >= 3 else "/"
        response = make_response("", 401)
        response.headers["HX-Redirect"] = login_url(path)
        return response
    target = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return redirect(login_url(target))
