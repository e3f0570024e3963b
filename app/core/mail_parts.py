"""The form of a mail's words, and how they become plain text and HTML.

Words are paragraphs with a blank line between. ``{{ name }}`` is a placeholder; ``## Text`` is a heading;
``[Text]({{ link }})`` on a line of its own is a button; what follows a line ``--`` is small print. A line of which
every placeholder is empty is left out. There is nothing else: no code can be written here, and what a value holds is
never read as form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

PLACEHOLDER = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
_BUTTON = re.compile(r"\[([^\[\]\n]+)\]\(\{\{\s*([a-z_]+)\s*\}\}\)")
_BRACES = re.compile(r"\{\{[^{}]*\}\}|\{[%#{]|[%#}]\}")
SMALL_PRINT = "--"


@dataclass(frozen=True, slots=True)
class Block:
    """A value of several lines with a form of its own: a table of facts, a list."""

    text: str
    html: Markup

    def __bool__(self) -> bool:
        return bool(self.text)


Value = str | Block


class WordsInvalid(ValueError):
    """Words that cannot be sent; the message says what to change."""


def check(words: str, *, known: Mapping[str, str], blocks: frozenset[str], links: frozenset[str], where: str) -> None:
    """Refuse placeholders that do not exist and what is none. ``known``: name → what it is, for the message.

    Raises WordsInvalid.
    """
    for found in _BRACES.findall(words):
        name = PLACEHOLDER.fullmatch(found)
        if name is None:
            raise WordsInvalid(
                f"{where}: “{found}” is not a placeholder. Write {{{{ name }}}}, with one of: {', '.join(known)}."
            )
        if name.group(1) not in known:
            raise WordsInvalid(
                f"{where}: there is no placeholder {{{{ {name.group(1)} }}}}. There are: {', '.join(known)}."
            )
    for _, name_ in _BUTTON.findall(words):
        if name_ not in links:
            raise WordsInvalid(f"{where}: {{{{ {name_} }}}} is no address that a button could lead to.")
    for line in words.splitlines():
        for name_ in PLACEHOLDER.findall(line):
            if name_ in blocks and line.strip() != f"{{{{ {name_} }}}}":
                raise WordsInvalid(f"{where}: {{{{ {name_} }}}} has several lines: put it on a line of its own.")


def fill(line: str, values: Mapping[str, Value]) -> str:
    """A line as plain text."""
    line = _BUTTON.sub(lambda found: f"{{{{ {found.group(2)} }}}}", line)
    return PLACEHOLDER.sub(lambda found: _text(values[found.group(1)]), line)


def _text(value: Value) -> str:
    return value.text if isinstance(value, Block) else value


def _left_out(line: str, values: Mapping[str, Value]) -> bool:
    names = PLACEHOLDER.findall(line)
    return bool(names) and not any(values[name] for name in names)


def _paragraphs(words: str, values: Mapping[str, Value]) -> list[list[str]]:
    result: list[list[str]] = [[]]
    for line in words.splitlines():
        if not line.strip():
            result.append([])
        elif not _left_out(line, values):
            result[-1].append(line.strip())
    return [paragraph for paragraph in result if paragraph]


def _split(words: str) -> tuple[str, str]:
    """The words and their small print."""
    lines = words.replace("\r\n", "\n").splitlines()
    for number, line in enumerate(lines):
        if line.strip() == SMALL_PRINT:
            return "\n".join(lines[:number]), "\n".join(lines[number + 1 :])
    return words, ""


def as_text(words: str, values: Mapping[str, Value]) -> str:
    """The whole as plain text."""
    main, small = _split(words)
    parts = []
    for part in (main, small):
        paragraphs = _paragraphs(part, values)
        parts.append(
            "\n\n".join("\n".join(_heading(line) or fill(line, values) for line in lines) for lines in paragraphs)
        )
    return parts[0] + (f"\n\n{SMALL_PRINT}\n{parts[1]}" if parts[1] else "") + "\n"


def _heading(line: str) -> str:
    return f"{line[3:].strip().rstrip(':')}:" if line.startswith("## ") else ""


def as_html(words: str, values: Mapping[str, Value]) -> tuple[Markup, Markup]:
    """The words and their small print as HTML."""
    main, small = _split(words)
    return (
        Markup("\n").join(_paragraph(lines, values) for lines in _paragraphs(main, values)),
        Markup("<br>").join(_line(line, values) for lines in _paragraphs(small, values) for line in lines),
    )


def _paragraph(lines: Sequence[str], values: Mapping[str, Value]) -> Markup:
    result = Markup()
    running: list[Markup] = []

    def end() -> Markup:
        shown = Markup("<p>{}</p>").format(Markup("<br>").join(running)) if running else Markup()
        running.clear()
        return shown

    for line in lines:
        button, alone = _BUTTON.fullmatch(line), PLACEHOLDER.fullmatch(line)
        value = values[alone.group(1)] if alone else ""
        if line.startswith("## "):
            result += end() + Markup('<h2 style="margin:16px 0 8px;font-size:16px">{}</h2>').format(
                _line(line[3:].strip().rstrip(":"), values)
            )
        elif button:
            result += end() + _button(button.group(1), _text(values[button.group(2)]))
        elif isinstance(value, Block):
            result += end() + value.html
        else:
            running.append(_line(line, values))
    return result + end()


def _button(label: str, address: str) -> Markup:
    return Markup(
        '<p style="margin:16px 0"><a href="{}" style="display:inline-block;padding:8px 16px;background:#0054a6;'
        'color:#fff;border-radius:4px;text-decoration:none">{}</a></p>'
    ).format(address, label)


def _line(line: str, values: Mapping[str, Value]) -> Markup:
    """Words and values escaped; a button amid other words is a link."""
    result, at = Markup(), 0
    for found in re.finditer(f"{_BUTTON.pattern}|{PLACEHOLDER.pattern}", line):
        result += escape(line[at : found.start()])
        label, address, name = found.groups()
        if label:
            result += Markup('<a href="{}">{}</a>').format(_text(values[address]), label)
        else:
            result += escape(_text(values[name]))
        at = found.end()
    return result + escape(line[at:])


# --- values of several lines


def facts(rows: Sequence[tuple[str, str]]) -> Block:
    """Names and values below each other."""
    width = max((len(name) for name, _ in rows), default=0) + 1
    text = "\n".join(f"{name + ':':<{width}}  {value}" for name, value in rows)
    row = Markup(
        '<tr><th style="padding:2px 16px 2px 0;text-align:left;vertical-align:top;font-weight:normal;'
        'color:#5c6577">{}</th><td style="padding:2px 0;vertical-align:top">{}</td></tr>'
    )
    html = Markup('<table style="border-collapse:collapse;margin:0 0 16px">{}</table>').format(
        Markup().join(row.format(name, value) for name, value in rows)
    )
    return Block(text, html)


def bullets(lines: Sequence[tuple[str, str, str]], *, numbered: bool = False) -> Block:
    """Lines of a list, each of an address (or none), what it leads by, and what follows."""
    shown = []
    for address, lead, rest in lines:
        head = Markup('<a href="{}">{}</a>').format(address, lead) if address else escape(lead)
        shown.append(Markup("<li>{}{}</li>").format(head, rest))
    tag = Markup("ol") if numbered else Markup("ul")
    html = Markup('<{0} style="padding-left:20px">{1}</{0}>').format(tag, Markup().join(shown))
    return Block("\n".join(f"  {lead}{rest}" for _, lead, rest in lines), html)
