"""No rule of the gateway is without words: an operator must never read "fraction_for_integer"."""

from __future__ import annotations

import ast
from pathlib import Path

from app.charging.upkeep.deviations import RULES, words_of
from ocpp_ws import codec, connection, tolerance

#: who makes deviations, and which argument of the call is the rule
_MAKERS = {"Deviation": 0, "_note": 0, "_Unusable": 1}


def rules_in(path: str) -> set[str]:
    """The rules named in a module: as literals where a deviation is made, or given to the variable that names one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = _MAKERS.get(name)
            if place is not None and len(node.args) > place:
                found |= _texts(node.args[place])
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "rule" for target in node.targets):
            found |= _texts(node.value)
    return found


def _texts(node: ast.expr) -> set[str]:
    """The texts an expression may be; parts of longer ones are not."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.IfExp):
        return _texts(node.body) | _texts(node.orelse)
    return set()


def test_every_rule_has_words_and_every_word_a_rule() -> None:
    emitted = set().union(*(rules_in(str(module.__file__)) for module in (codec, tolerance, connection)))
    assert {
        "payload_null",
        "unknown_enum",
        "required_missing",
        "timestamp_without_zone",
        "fraction_for_integer",
    } <= emitted
    assert emitted - set(RULES) == set(), "say in app/charging/upkeep/deviations.py what these mean"
    assert set(RULES) - emitted == set(), "no gateway notes these any more"


def test_words_are_told_apart() -> None:
    titles = [title for title, _ in RULES.values()]
    assert len(set(titles)) == len(titles)
    for rule, (title, meaning) in RULES.items():
        assert "_" not in title + meaning, rule
        assert meaning.endswith("."), rule


def test_what_only_the_schema_found_has_words_too() -> None:
    title, meaning = words_of("schema_multipleOf")
    assert title == "Not as specified (multipleOf)"
    assert meaning
    assert words_of("of_a_newer_version")[0] == "Of a newer version"
