"""Without login: the page of a one-time address on which a driver enters a card, and the webhooks of processors.

The card goes from the driver's browser to the processor's own frame; nothing of it comes here but what may be shown.
"""

from __future__ import annotations

from typing import Any

import structlog
from flask import Blueprint, Flask, Response, make_response, render_template, request, url_for
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import RequestEntityTooLarge

from admin_views.assets.ocpp_address import web_base
from admin_views.card_entry_words import language_of, words
from admin_views.public import language
from admin_views.widgets.chrome import allow_source
from app.billing.payments import card_entry, news
from app.billing.payments.card_entry import Entry
from app.billing.payments.processors import (
    InvalidNews,
    ProcessorMisconfigured,
    ProcessorUnreachable,
    UnknownProcessor,
    title,
)
from app.core import settings
from app.core.clock import utcnow
from app.core.db import db, separate_transaction
from app.factory import csrf

log = structlog.get_logger(__name__)

#: per client address
LIMIT = "60 per minute"
#: the largest event of a processor is some ten kilobytes
MAX_NEWS_BYTES = 512 * 1024
SCRIPT = "https://js.stripe.com/v3/"
#: what Stripe says its script needs; on this page only
SOURCES = (
    ("script-src", "https://js.stripe.com"),
    ("frame-src", "https://js.stripe.com"),
    ("frame-src", "https://hooks.stripe.com"),
    ("connect-src", "https://api.stripe.com"),
    ("img-src", "https://*.stripe.com"),
)
#: our languages as Stripe names them; its own choice for others
STRIPE_LOCALES = {"en": "en", "bg": "bg", "el": "el", "pt": "pt", "zh-Hant": "zh-TW"}
RETURNED = "returned"
_STATUS = {Entry.UNKNOWN: 404, Entry.USED: 410, Entry.EXPIRED: 410, Entry.UNREACHABLE: 503}


def address(token: str) -> str:
    """The one-time address of a token, as sent to the driver."""
    return f"{web_base()}{url_for('card_entry.page', token=token)}"


def page(token: str) -> Response:
    """The page of an address; with ``?returned=1`` what became of the card that was entered on it."""
    returning = RETURNED in request.args
    found = card_entry.open_page(separate_transaction, token=token, returning=returning, clock=utcnow)
    spoken = language_of(found.locale) if found.locale else language()
    if found.entry is Entry.OPEN:
        for directive, source in SOURCES:
            allow_source(directive, source)
    html = render_template(
        "public/card_entry.html",
        language=spoken,
        words=words(spoken),
        page=found,
        processor=title("stripe"),
        stripe_script=SCRIPT,
        stripe_locale=STRIPE_LOCALES.get(spoken, "auto"),
        return_url=url_for("card_entry.page", token=token, **{RETURNED: 1}),
        company=settings.get_text(db.session(), "system.company_name"),
    )
    return _private(make_response(html, _STATUS.get(found.entry, 200)))


def too_many(_error: Any) -> Response:
    """Somebody tries many addresses."""
    spoken = language()
    html = render_template("public/missing.html", too_many=True, language=spoken, words=words(spoken))
    response = _private(make_response(html, 429))
    response.headers["Retry-After"] = "60"
    return response


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    # the address is a secret: nobody else learns it from a link or a script
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


# --- webhooks


def receive(processor: str) -> Response:
    """A processor's news. 200 once it is kept, 400 for what is not the processor's, 503 for what should come again."""
    request.max_content_length = MAX_NEWS_BYTES
    try:
        body = request.get_data(cache=False)
        outcome = news.receive(
            separate_transaction, processor=processor, body=body, headers=request.headers, clock=utcnow
        )
    except RequestEntityTooLarge:
        return _plain(413, f"no more than {MAX_NEWS_BYTES} bytes are read")
    except UnknownProcessor:
        return _plain(404, "there is no such payment processor")
    except InvalidNews as error:
        log.warning("webhook.refused", processor=processor, reason=str(error), remote=request.remote_addr)
        return _plain(400, str(error))
    except (ProcessorMisconfigured, ProcessorUnreachable) as error:
        log.warning("webhook.not_taken", processor=processor, reason=str(error))
        return _plain(503, "not now; please send it again")
    return _plain(200, outcome)


def _plain(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")


def init_app(app: Flask) -> None:
    """Serve both; after the throttle (``login.init_app``)."""
    limiter = app.extensions["sync_limiter"]
    entry = Blueprint("card_entry", __name__, url_prefix="/public/payment-method")
    entry.add_url_rule("/<token>", "page", limiter.limit(LIMIT)(page))
    entry.register_error_handler(RateLimitExceeded, too_many)
    app.register_blueprint(entry)
    webhooks = Blueprint("webhooks", __name__, url_prefix="/webhooks")
    webhooks.add_url_rule("/<processor>", "receive", receive, methods=["POST"])
    csrf.exempt(webhooks)
    app.register_blueprint(webhooks)
