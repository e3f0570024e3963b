"""Pages without login: what the QR code on an EVSE leads to, and the pictures of locations. No personal data.

Manual, "EVSEs", ID (QR Code): ``/public/cs/<EVSE ID>`` stands on stickers and never changes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import quote

from babel import Locale
from babel.dates import format_time
from babel.numbers import format_currency, format_decimal, get_currency_precision
from flask import Blueprint, Flask, Response, abort, current_app, g, make_response, render_template, request, url_for
from flask_limiter import RateLimitExceeded

from admin_views import formats, public_content
from admin_views.public_content import language
from admin_views.public_words import words
from app.assets import pictures
from app.charging.public_page import PublicEvse, PublicStatus, public_evse
from app.core import rates, settings
from app.core.clock import utcnow
from app.core.db import db
from app.core.files import StoredFile, file_bytes
from app.core.i18n import LANGUAGES, localized
from app.tariffs.models import Tariff, TariffType

#: per client address; many phones may share one
LIMIT = "300 per minute"
PICTURE_LIMIT = "900 per minute"
PAGE_SECONDS, STATUS_SECONDS = 15, 5
YEAR_SECONDS = 31_536_000
SIZES_PX = {"small": pictures.SMALL_SIDE_PX, "medium": 900}

#: status → the colour class of static/public.css
TONES = {
    PublicStatus.AVAILABLE: "free",
    PublicStatus.CHARGING: "busy",
    PublicStatus.IN_USE: "busy",
    PublicStatus.RESERVED: "busy",
    PublicStatus.TEMPORARILY_UNAVAILABLE: "wait",
    PublicStatus.UNAVAILABLE: "wait",
    PublicStatus.OUT_OF_ORDER: "down",
    PublicStatus.NOT_MANAGED: "unknown",
}


def picture_url(stored: StoredFile | None, size: str = "") -> str | None:
    """The address of a location's picture; another one as soon as it is replaced."""
    if stored is None:
        return None
    mark = stored.sha256[: pictures.MARK_LENGTH]
    return url_for("public.picture", number=stored.id, mark=mark, **({"size": size} if size else {}))


def charging_place(code: str) -> Response:
    """The page of an EVSE. 404 for one that drivers do not see."""
    found = public_evse(db.session(), code, now=utcnow()) or abort(404)
    spoken = language()
    location = found.location
    files = [photo.file for photo in location.photos]
    if location.image is not None:
        files.insert(0, location.image.file)
    response = make_response(
        render_template(
            "public/charging_place.html",
            **_frame(spoken),
            **_status(found, spoken),
            place=found,
            location_name=localized(location.name, spoken),
            short_description=localized(location.short_description, spoken),
            description=localized(location.description, spoken),
            address=_address(found, spoken),
            zone=_zone(found, spoken),
            notice=localized(found.notice, spoken),
            prices=_prices(found.tariff, spoken) if found.tariff is not None else None,
            tariff_text=localized(found.tariff.description, spoken) if found.tariff is not None else "",
            power=formats.power(found.evse.max_power_w, missing=""),
            map_url=_map_url(found, spoken),
            photos=files,
            languages=LANGUAGES,
            company=settings.get_text(db.session(), "system.company_name"),
        )
    )
    return _for_a_moment(response, PAGE_SECONDS)


def status(code: str) -> Response:
    """The status alone, which the page asks for again and again."""
    found = public_evse(db.session(), code, now=utcnow()) or abort(404)
    spoken = language()
    html = render_template("public/_status.html", words=words(spoken), **_status(found, spoken))
    return _for_a_moment(make_response(html), STATUS_SECONDS)


def picture(number: int, mark: str) -> Response:
    """A picture of a location, for ever the same at its address."""
    size = request.args.get("size", "")
    if size and size not in SIZES_PX:
        abort(404)
    stored = pictures.shown_file(db.session(), file_id=number, mark=mark) or abort(404)
    response = current_app.response_class()
    response.set_etag(f"{stored.sha256[:32]}{size}")
    response.cache_control.public = True
    response.cache_control.max_age = YEAR_SECONDS
    response.cache_control.immutable = True
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.content_type = stored.content_type
    if not request.if_none_match.contains(response.get_etag()[0] or ""):
        data = file_bytes(db.session(), file_id=stored.id)
        if size:
            try:
                small = pictures.read_picture(data, max_side_px=SIZES_PX[size])
            except pictures.InvalidPicture:  # put into the database by other hands than ours
                abort(404)
            data, response.content_type = small.data, small.content_type
        response.set_data(data)
    return response.make_conditional(request)


def _frame(spoken: str) -> dict[str, Any]:
    return {"language": spoken, "words": words(spoken), "help": public_content.help_of(spoken)}


def _status(found: PublicEvse, spoken: str) -> dict[str, Any]:
    return {"status": words(spoken)[found.status.value], "tone": TONES[found.status]}


def _for_a_moment(response: Response, seconds: int) -> Response:
    response.cache_control.public = True
    response.cache_control.max_age = seconds
    response.vary.add("Accept-Language")
    return response


def _address(found: PublicEvse, spoken: str) -> list[str]:
    location = found.location
    country = Locale.parse(spoken, sep="-").territories.get(location.country, location.country)
    lines = (
        localized(location.address, spoken),
        " ".join(part for part in (location.postcode, location.city) if part),
        ", ".join(part for part in (location.region if location.region != location.city else "", country) if part),
    )
    return [line for line in lines if line]


def _zone(found: PublicEvse, spoken: str) -> tuple[str, str] | None:
    zone = found.charge_point.zone
    if not zone.show_in_app:
        return None
    return localized(zone.title, spoken), localized(zone.description, spoken)


def _map_url(found: PublicEvse, spoken: str) -> str:
    location = found.location
    point = f"{location.latitude:f},{location.longitude:f}"
    return f"geo:{point}?q={point}({quote(localized(location.name, spoken))})"


# --- the price in words


def _prices(tariff: Tariff, spoken: str) -> list[tuple[str, str]]:
    """What the base tariff charges, line by line; empty for a free one."""
    say = words(spoken)
    code = rates.base_currency(db.session()).code
    lines: list[tuple[str, Decimal | None]] = []
    match tariff.type:
        case TariffType.FLAT:
            lines = [(say["per_session"], tariff.price_per_session)]
        case TariffType.DURATION_ENERGY:
            lines = [
                (say["connection_fee"], tariff.connection_fee),
                (say["per_minute"], tariff.price_per_minute),
                (say["per_kwh"], tariff.price_per_kwh),
            ]
        case TariffType.DURATION_ENERGY_TOD:
            day, night = (
                say[name].format(format_time(at, "short", locale=Locale.parse(spoken, sep="-")) if at else "")
                for name, at in (("day", tariff.day_starts), ("night", tariff.night_starts))
            )
            lines = [
                (say["connection_fee"], tariff.connection_fee),
                (f"{day}: {say['per_minute']}", tariff.price_per_minute),
                (f"{day}: {say['per_kwh']}", tariff.price_per_kwh),
                (f"{night}: {say['per_minute']}", tariff.night_price_per_minute),
                (f"{night}: {say['per_kwh']}", tariff.night_price_per_kwh),
            ]
        case TariffType.POWER_LEVELS:
            lines = [
                (say["up_to"].format(formats.power(level.max_power_w)), level.price_per_minute)
                for level in tariff.levels
            ]
    grace = tariff.idle_grace_minutes
    idle = say["idle_grace"].format(format_decimal(grace, locale="en")) if grace else say["idle"]
    lines.append((idle, tariff.idle_fee_per_minute))
    return [(label, _amount(price, code, spoken)) for label, price in lines if price]


def _amount(price: Decimal, code: str, spoken: str) -> str:
    """As the language writes money, with the decimals that the price has beyond the currency's."""
    locale = Locale.parse(spoken, sep="-")
    exact = price.normalize()
    digits = max(get_currency_precision(code), -int(exact.as_tuple().exponent))
    pattern = locale.currency_formats["standard"].pattern.replace("0.00", "0." + "0" * digits if digits else "0")
    return format_currency(exact, code, format=pattern, locale=locale, currency_digits=False)


# --- errors, registration


def missing(_error: Any) -> Response:
    """No such EVSE for drivers, no such picture or document."""
    frame = _frame(language())
    what = g.get("public_missing", "missing")
    response = make_response(render_template("public/missing.html", what=what, **frame), 404)
    return _for_a_moment(response, STATUS_SECONDS)


def too_many(_error: Any) -> Response:
    """Somebody tries many IDs."""
    response = make_response(render_template("public/missing.html", too_many=True, **_frame(language())), 429)
    response.headers["Retry-After"] = "60"
    return response


def init_app(app: Flask) -> None:
    """Put the public pages on the application; after the throttle (``login.init_app``)."""
    blueprint = Blueprint("public", __name__, url_prefix="/public")
    limiter = app.extensions["sync_limiter"]
    blueprint.add_url_rule("/cs/<code>", "charging_place", limiter.limit(LIMIT)(charging_place))
    blueprint.add_url_rule("/cs/<code>/status", "status", limiter.limit(LIMIT)(status))
    blueprint.add_url_rule(
        "/pictures/<int:number>/<mark>", "picture", limiter.limit(PICTURE_LIMIT)(picture), methods=["GET"]
    )
    public_content.add_pages(app, blueprint, limiter.limit(LIMIT))
    blueprint.register_error_handler(404, missing)
    blueprint.register_error_handler(RateLimitExceeded, too_many)
    app.register_blueprint(blueprint)
    app.jinja_env.globals["picture_url"] = picture_url
