"""QR codes of EVSEs: one to download, all of a charge point to print. Manual, "EVSEs", ID (QR Code)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from flask import Response, abort, request
from flask_admin import expose
from markupsafe import Markup

from admin_views.assets.ocpp_address import web_base
from app.assets import qr_codes

_CODE = re.compile(r"[A-Za-z0-9*_-]{1,40}")
TYPES = {"png": "image/png", "svg": "image/svg+xml"}


def public_url(code: str) -> str:
    """The address on the sticker."""
    return f"{public_base()}{quote(code, safe='*')}"


def public_base() -> str:
    """The address on the sticker without the EVSE ID."""
    return f"{web_base()}/public/cs/"


def _size() -> str:
    size = request.args.get("size", "medium")
    return size if size in qr_codes.SIZES_MM else abort(404)


def _download(data: bytes, content_type: str, name: str) -> Response:
    response = Response(data, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "private, no-store"
    return response


class QrMixin:
    """Joined into the charge points' view."""

    @expose("/qr/")
    def qr_view(self) -> Any:
        """The code of any EVSE ID, also of one that is not saved yet: ``?code=…&format=png|svg&size=…``."""
        code, kind = request.args.get("code", ""), request.args.get("format", "png")
        if not _CODE.fullmatch(code) or kind not in TYPES:
            abort(404)
        data = getattr(qr_codes, kind)(public_url(code), size=_size())
        return _download(data, TYPES[kind], f"{qr_codes.file_stem(code)}.{kind}")

    @expose("/qr-codes/")
    def qr_codes_view(self) -> Any:
        """The codes of all EVSEs of a charge point, on a page to print or as ZIP (``?format=zip``)."""
        obj = self.get_one(request.args.get("id"), options=self.details_options())
        size = _size()
        urls = [(evse.code, public_url(evse.code)) for evse in obj.evses]
        if request.args.get("format") == "zip":
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", obj.identifier) or "charge-point"
            return _download(qr_codes.archive(urls, size=size), "application/zip", f"qr-codes-{name}.zip")
        drawn = [
            (evse, url, Markup(qr_codes.svg_inline(url, size=size)))  # noqa: S704 (segno's own paths)
            for evse, (_, url) in zip(obj.evses, urls, strict=True)
        ]
        return self.render(
            "assets/qr_codes.html",
            model=obj,
            drawn=drawn,
            size=size,
            sizes=qr_codes.SIZES_MM,
            page_title=f"QR codes of {obj}",
        )
