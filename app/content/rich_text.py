"""Rich text that admins write or paste: cleaned to an allow-list before it is stored, whatever the editor sent.

Allowed are headings, paragraphs, bold, italic, underlined, lists, links and tables; no attribute but those named here,
so that a text can neither run anything nor look like something else than text.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from html import unescape
from typing import Literal

import nh3

#: of one text in one language, as HTML
MAX_LENGTH = 300_000

_TAGS = frozenset(
    "p br h1 h2 h3 h4 h5 h6 strong b em i u ul ol li a blockquote hr table thead tbody tr th td".split()  # noqa: SIM905
)
_ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto", "tel"}
#: what stands in these is no text of the author's
_WITH_CONTENT = {
    "script", "style", "svg", "math", "template", "iframe", "object", "embed", "noscript", "title", "head", "xml",
    "select", "textarea", "audio", "video", "canvas", "applet", "frameset", "noembed", "noframes",
}  # fmt: skip
#: the page has its own first heading; and one name each for bold and italic
_SAME_AS = {"h1": "h2", "h5": "h4", "h6": "h4", "b": "strong", "i": "em"}
_EMPTY = re.compile(r"<(p|h2|h3|h4|strong|em|u|li|a)(?: [^>]*)?>(?:\s|&nbsp;|<br>)*</\1>")


class TextTooLong(ValueError):
    """More than MAX_LENGTH characters of HTML."""


def clean(html: str) -> str:
    """HTML reduced to what is allowed; empty when nothing visible is left. Raises TextTooLong."""
    if len(html) > MAX_LENGTH * 4:  # what is pasted is mostly wrapping, but not that much
        raise TextTooLong(f"The text is too long: at most {MAX_LENGTH:,} characters, formatting included.")
    cleaned = nh3.clean(
        html.replace("\0", ""),
        tags=set(_TAGS),
        clean_content_tags=_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
    )
    for name, wanted in _SAME_AS.items():
        cleaned = re.sub(rf"<(/?){name}>", rf"<\g<1>{wanted}>", cleaned)
    cleaned = cleaned.replace("&nbsp;", " ").replace("\u00a0", " ")
    before = None
    while before != cleaned:  # an empty element may have held empty ones only
        before, cleaned = cleaned, _EMPTY.sub("", cleaned)
    if len(cleaned) > MAX_LENGTH:
        raise TextTooLong(f"The text is too long: at most {MAX_LENGTH:,} characters, formatting included.")
    return cleaned.strip() if as_lines(cleaned) else ""


_BREAK = re.compile(r"</(?:p|h2|h3|h4|li|tr|blockquote|table|ul|ol)>|<(?:br|hr)>")
_TAG = re.compile(r"<[^>]+>")


def as_lines(html: str) -> list[str]:
    """The text without its form, a line for each paragraph, heading, point or row."""
    broken = _BREAK.sub("\n", html.replace("</td>", "\t").replace("</th>", "\t"))
    lines = (" ".join(unescape(_TAG.sub("", line)).split()) for line in broken.splitlines())
    return [line for line in lines if line]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a comparison."""

    change: Literal["same", "added", "removed"]
    text: str


def difference(before: str, after: str) -> list[Line]:
    """What changed from one text to another, line by line; lines far from any change are left out ("…")."""
    old, new = as_lines(before), as_lines(after)
    result: list[Line] = []
    for group in difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(2):
        if result or group[0][1] or group[0][3]:
            result.append(Line("same", "…"))
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                result += [Line("same", text) for text in old[i1:i2]]
                continue
            result += [Line("removed", text) for text in old[i1:i2]]
            result += [Line("added", text) for text in new[j1:j2]]
    return result
