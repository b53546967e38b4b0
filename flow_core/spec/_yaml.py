"""YAML with positions: the words of YAML 1.2, where ``yes`` and ``1:30`` are text and only ``true`` is true.

PyYAML composes the nodes, which carry their places; the values are made here, from plain tags only.
"""

from __future__ import annotations

import re
from typing import Any, cast

import yaml

from flow_core.spec._document import MOST_VALUES, Document, Unreadable
from flow_core.spec._report import Wrong, join

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_AMBIGUOUS = re.compile(r"[-+]?0[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = ("", "~", "null", "Null", "NULL")
_LONGEST_INTEGER = 300
_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}


class _Loader(yaml.SafeLoader):
    """Composes nodes; of the implicit tags none is left but text, so that plain words are resolved here."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as PyYAML declares it
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next node, unless there are too many already for anything to be made of them."""
        self.nodes += 1
        if self.nodes > 2 * MOST_VALUES:
            raise Unreadable(self.get_mark().index, "TOO_LARGE", "holds too many values", "is this a task?")
        return super().compose_node(parent, index)


def read(document: Document) -> object:
    """Return the data of ``document``, with a position for every key and item."""
    try:
        root = yaml.compose(document.text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(document, error) from error
    except RecursionError as error:
        raise Unreadable(0, "TOO_DEEP", "is nested too deep") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # as for a \U beyond Unicode, which has no mark
        raise Unreadable(0, "SYNTAX", "is not YAML: an escape or a directive names what does not exist") from error
    if root is None:
        raise Unreadable(0, "EMPTY", "holds comments only", "write at least `command: …`")
    document.positions[""] = document.place(root.start_mark.index)
    return _Values(document).value(root, "", 0)


def _syntax_error(document: Document, error: yaml.MarkedYAMLError) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    index = mark.index if mark else 0
    problem = error.problem or "is not YAML"
    at = document.text[index : index + 1]
    if at == "\t":
        return Unreadable(index, "SYNTAX", "has a tab where YAML allows only spaces", "indent by spaces")
    if "expected a single document" in (error.context or ""):
        return Unreadable(index, "SYNTAX", "holds a second document", "one task to a file")
    if problem == "mapping values are not allowed here":
        return Unreadable(index, "SYNTAX", "is not YAML: a colon where no word can begin", "quote text that holds `: `")
    context = f" ({error.context})" if error.context else ""
    return Unreadable(index, "SYNTAX", f"is not YAML: {problem}{context}")


class _Values:
    """Makes data of nodes; what is wrong with one value is noted and does not stop the others."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        """Return the data that ``node`` stands for."""
        self._document.enter(node.start_mark.index, depth)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path, depth)
        return self._scalar(cast("yaml.ScalarNode", node), path)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, object]:
        self._expect_tag(node, path, "map")
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            here = None if key is None else self._document.entry(found, path, key, key_node.start_mark.index)
            value = self.value(value_node, here or path, depth + 1)
            if key is not None and here is not None:
                found[key] = value
        return found

    def _key(self, node: yaml.Node, path: str) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, path, Wrong("a name must be a single word", "did you forget quotes around { } or [ ]?"))
            return None
        if node.value == "<<" and node.style is None:
            self._wrong(node, path, Wrong("merge keys (<<) are not part of YAML 1.2", "write the words out"))
            return None
        key = self._scalar(node, join(path, node.value))
        if not isinstance(key, str):
            error = Wrong(f"the name {node.value} is not text", f'quote it: "{node.value}"', "WRONG_TYPE")
            self._wrong(node, join(path, node.value), error)
            return None
        return key

    def _sequence(self, node: yaml.SequenceNode, path: str, depth: int) -> list[object]:
        self._expect_tag(node, path, "seq")
        found = []
        for index, item in enumerate(node.value):
            here = f"{path}[{index}]"
            self._document.positions[here] = self._document.place(item.start_mark.index)
            found.append(self.value(item, here, depth + 1))
        return found

    def _scalar(self, node: yaml.ScalarNode, path: str) -> object:
        try:
            return _resolve(node)
        except Wrong as error:
            self._wrong(node, path, error)
            return node.value

    def _expect_tag(self, node: yaml.Node, path: str, kind: str) -> None:
        if node.tag != _TAG + kind:
            self._wrong(node, path, _no_such_tag(node))

    def _wrong(self, node: yaml.Node, path: str, error: Wrong) -> None:
        self._document.add(path, node.start_mark.index, error)


def _resolve(node: yaml.ScalarNode) -> object:
    kind = node.tag.removeprefix(_TAG)
    plain = _plain(node.value) if node.style is None or kind != "str" else node.value
    if kind == "str":
        return plain
    expected = _TYPES.get(kind)
    if expected is None:
        raise _no_such_tag(node)
    if not isinstance(plain, expected) or (kind != "bool" and isinstance(plain, bool)):
        raise Wrong(f"{node.value!r} is not what its tag !!{kind} says", "leave the tag out", "WRONG_TYPE")
    return plain


def _no_such_tag(node: yaml.Node) -> Wrong:
    tag = node.tag.replace(_TAG, "!!")
    return Wrong(f"the tag {tag} means nothing here", "leave it out, and quote text that begins with !", "UNKNOWN_WORD")


def _plain(word: str) -> object:
    if word in _NULLS:
        return None
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if _INTEGER.fullmatch(word):
        return int(word) if len(word) <= _LONGEST_INTEGER else float("inf")
    if _AMBIGUOUS.fullmatch(word):
        hint = f'write {int(word[:300])}, or "{word}" for text'
        raise Wrong(f"{word} is read as octal by some and as decimal by others", hint, "AMBIGUOUS")
    if _FLOAT.fullmatch(word):
        return float(word.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return word
