"""Form layout: tabs of fields, with headings and notes inside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flask_admin.form import rules
from wtforms import Form
from wtforms.fields import FieldList, FormField


class Section(rules.NestedRule):
    """A heading over some fields of a tab: ``Section("Load management", "phases", "max_current_a")``."""

    def __init__(self, title: str, *fields: str | rules.BaseRule, help: str = "") -> None:
        super().__init__(rules=list(fields))
        self.title = title
        self.help = help


class Tab(rules.NestedRule):
    """One tab: ``Tab("General", "name", "zone", Section(...), help="…")``."""

    def __init__(self, title: str, *fields: str | rules.BaseRule, help: str = "") -> None:
        super().__init__(rules=list(fields))
        self.title = title
        self.help = help


class Tabs(rules.NestedRule):
    """The tabs of a form: ``form_rules = [Tabs(Tab(…), Tab(…))]``."""

    def __init__(self, *tabs: Tab) -> None:
        super().__init__(rules=list(tabs))


@dataclass
class Block:
    """Fields that stand together under an optional heading."""

    title: str = ""
    help: str = ""
    fields: list[Any] = field(default_factory=list)


@dataclass
class Pane:
    """A tab as the template draws it."""

    id: str
    title: str
    help: str
    blocks: list[Block]
    errors: int
    active: bool = False


def is_hidden(bound: Any) -> bool:
    """Whether a field is drawn without label and tab."""
    return getattr(bound.widget, "input_type", None) == "hidden"


def panes(form: Form, rule_set: Any) -> list[Pane]:
    """The tabs of a form; the first with an error is open, else the first. One tab when none are declared."""
    found = [_pane(form, tab) for tab in _tabs(rule_set)]
    if not found:
        shown = [bound for bound in form if not is_hidden(bound)]
        found = [Pane("tab-general", "General", "", [Block(fields=shown)], _errors(shown))]
    _activate(found)
    return found


def _activate(found: list[Pane]) -> None:
    failing = next((pane for pane in found if pane.errors), found[0])
    failing.active = True


def _tabs(rule_set: Any) -> Iterator[Tab]:
    for rule in rule_set.rules if rule_set else ():
        if isinstance(rule, Tabs):
            yield from rule.rules
        elif isinstance(rule, Tab):
            yield rule


def _pane(form: Form, tab: Tab) -> Pane:
    blocks: list[Block] = []
    for rule in tab.rules:
        if isinstance(rule, Section):
            blocks.append(Block(rule.title, rule.help, [form[name] for name in rule.visible_fields if name in form]))
            continue
        if not blocks or blocks[-1].title:
            blocks.append(Block())
        blocks[-1].fields += [form[name] for name in rule.visible_fields if name in form]
    # fields may be taken off a form; a heading over none of them is none
    blocks = [block for block in blocks if block.fields or not block.title]
    slug = re.sub(r"[^a-z0-9]+", "-", tab.title.lower()).strip("-")
    shown = [bound for block in blocks for bound in block.fields]
    return Pane(f"tab-{slug}", tab.title, tab.help, blocks, _errors(shown))


def _errors(fields: Iterable[Any]) -> int:
    return sum(isinstance(error, str) for bound in walk(fields) for error in own_errors(bound))


def own_errors(bound: Any) -> list[str]:
    """A field's own messages, without those of the forms inside it."""
    if isinstance(bound, FormField):
        return []
    return [error for error in bound.errors if isinstance(error, str)]


def walk(fields: Iterable[Any]) -> Iterator[Any]:
    """Every field of a form, those of nested forms included, except rows that are being deleted."""
    for bound in fields:
        yield bound
        if isinstance(bound, FieldList):
            kept = [entry for entry in bound.entries if not getattr(entry, "_should_delete", False)]
            yield from walk(kept)
        elif isinstance(bound, FormField):
            yield from walk(bound.form)
