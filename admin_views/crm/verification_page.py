"""Without login: the page of a link that verifies an e-mail address.

Opening it verifies nothing, because mail servers and previews open links too; the button does.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, make_response, render_template, request, url_for
from flask_limiter import RateLimitExceeded

from admin_views.assets.ocpp_address import web_base
from admin_views.crm.verification_words import language_of, words
from admin_views.public import language
from app.core import settings
from app.core.clock import utcnow
from app.core.db import db
from app.crm import verification

#: per client address
LIMIT = "60 per minute"


def address(token: str) -> str:
    """The address of a token, as sent to the driver."""
    return f"{web_base()}{url_for('verification.page', token=token)}"


def page(token: str) -> Response:
    """GET: the question. POST: verified. 404 for a link that holds no more, as for one that never was."""
    session, now = db.session(), utcnow()
    try:
        row = verification.find_link(session, token=token, now=now)
        spoken, sent_to = language_of(row.user.locale), row.sent_to
        state = "open"
        if request.method == "POST":
            verification.use_link(session, token=token, now=now)
            session.commit()
            state = "done"
    except verification.VerificationOver:
        session.rollback()
        spoken, sent_to, state = language(), "", "over"
    html = render_template(
        "public/verification.html",
        language=spoken,
        words=words(spoken),
        state=state,
        address=sent_to,
        company=settings.get_text(session, "system.company_name"),
    )
    return _private(make_response(html, 404 if state == "over" else 200))


def too_many(_error: object) -> Response:
    """Somebody tries many addresses."""
    spoken = language()
    html = render_template("public/missing.html", too_many=True, language=spoken, words=words(spoken))
    response = _private(make_response(html, 429))
    response.headers["Retry-After"] = "60"
    return response


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    # the address is a secret: nobody else learns it from a link
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def init_app(app: Flask) -> None:
    """Serve it; after the throttle (``login.init_app``)."""
    limiter = app.extensions["sync_limiter"]
    blueprint = Blueprint("verification", __name__, url_prefix="/public/verify-email")
    blueprint.add_url_rule("/<token>", "page", limiter.limit(LIMIT)(page), methods=["GET", "POST"])
    blueprint.register_error_handler(RateLimitExceeded, too_many)
    app.register_blueprint(blueprint)
