"""YAML as written: a tree of mappings, lists, texts and nulls, in which nothing has been guessed.

YAML 1.1 reads `0112` as 74, `NO` as false, `07:00` as 420 and `0.40` as a binary fraction. Here a scalar stays
the text that stands in the file, and whoever reads a field knows what the field is.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from app.provisioning.mistakes import Mistakes, ProvisioningError, at

#: where each mapping of the tree says its own path
PATH: Final = "\0path"

_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "value", "merge")
)
_NULL = "tag:yaml.org,2002:null"
#: deeper than any file of ours; a mapping that contains itself would be endless
_MAX_DEPTH = 20


def read_tree(text: str, mistakes: Mistakes) -> dict[str, Any]:
    """The file's top mapping. Keys given twice and odd tags are noted and left out.

    Raises ProvisioningError when there is no reading on: bad syntax (with line and column), no mapping.
    """
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise ProvisioningError([_syntax(error)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ProvisioningError([f"line {line}: a character that YAML does not allow"]) from None
    if node is None:
        raise ProvisioningError(["the file is empty"])
    if not isinstance(node, yaml.MappingNode):
        raise ProvisioningError(["the file is expected to be a mapping: currency, tariffs, locations, …"])
    tree: dict[str, Any] = _value(node, "", mistakes, 0)
    return tree


def _compose(text: str) -> yaml.Node | None:
    """By libyaml where there is one, ten times faster; mistakes are told by the Python parser, in clearer words."""
    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _syntax(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    what = " ".join(str(part) for part in (error.context, error.problem) if part)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{where}not valid YAML: {what}"


def _value(node: yaml.Node, path: str, mistakes: Mistakes, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise ProvisioningError([f"{path}: nested too deep"])
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, mistakes, depth)
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, at(path, index), mistakes, depth + 1) for index, each in enumerate(node.value)]
    if node.tag not in _PLAIN_TAGS:
        mistakes.add(path, f"unknown YAML tag {node.tag}")
        return None
    return None if node.tag == _NULL else node.value


def _mapping(node: yaml.MappingNode, path: str, mistakes: Mistakes, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {PATH: path}
    for key_node, value_node in node.value:
        key = key_node.value
        if not isinstance(key, str):
            mistakes.add(path, "a key is expected to be a word")
            continue
        where = at(path, key)
        if key in found:
            mistakes.add(where, f"given twice, again in line {key_node.start_mark.line + 1}")
            continue
        found[key] = _value(value_node, where, mistakes, depth + 1)
    return found
