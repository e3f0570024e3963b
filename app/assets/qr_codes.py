"""QR codes for the stickers at EVSEs, as PNG and SVG. Manual, "EVSEs", ID (QR Code)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

import segno

#: width on paper in mm, the quiet zone of four modules around it included
SIZES_MM = {"small": 25, "medium": 40, "large": 80}
DPI = 300
_MM_PER_INCH = 25.4


def _code(url: str) -> segno.QRCode:
    # level Q: a quarter of the sticker may be scratched or dirty
    return segno.make_qr(url, error="q", boost_error=False)


def svg(url: str, *, size: str = "medium") -> bytes:
    """A code of that printed size (a key of SIZES_MM), exact on paper."""
    code, out = _code(url), io.BytesIO()
    code.save(out, kind="svg", scale=SIZES_MM[size] / code.symbol_size()[0], unit="mm", light="#fff", xmldecl=True)
    return out.getvalue()


def svg_inline(url: str, *, size: str = "medium") -> str:
    """The same for a page of ours, without declaration."""
    code = _code(url)
    return code.svg_inline(scale=SIZES_MM[size] / code.symbol_size()[0], unit="mm", light="#fff")


def png(url: str, *, size: str = "medium") -> bytes:
    """A code of about that printed size at 300 dpi; whole pixels for each module, so that it stays sharp."""
    code, out = _code(url), io.BytesIO()
    scale = max(1, round(SIZES_MM[size] / _MM_PER_INCH * DPI / code.symbol_size()[0]))
    code.save(out, kind="png", scale=scale, dpi=DPI)
    return out.getvalue()


def archive(urls: Sequence[tuple[str, str]], *, size: str = "medium") -> bytes:
    """A ZIP with PNG and SVG of each EVSE; ``urls`` are (EVSE ID, URL)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for code, url in urls:
            packed.writestr(f"{file_stem(code)}.png", png(url, size=size))
            packed.writestr(f"{file_stem(code)}.svg", svg(url, size=size))
    return out.getvalue()


def file_stem(code: str) -> str:
    """What a file of an EVSE ID is called; an ID may have a * that file systems do not take."""
    return f"qr-{code.replace('*', '-')}"
