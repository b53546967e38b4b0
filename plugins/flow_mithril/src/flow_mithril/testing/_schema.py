"""What the API says of itself: its operations, and the shapes of what goes in and comes out.

``schema.json`` was made from the service's published descriptions (the ``openapi.json`` of flow-compute 3.28.2, the
reference at docs.mithril.ai, the bindings of mithril-client). Kubernetes clusters and grants are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import attrs
import jsonschema

from flow_mithril.testing import _clock
from flow_mithril.testing._refusal import Refusal

_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checks("date-time", ValueError)(lambda text: not isinstance(text, str) or bool(_clock.read(text)))

# What FastAPI calls each fault, by the keyword of the schema that found it.
_FAULTS = {
    "enum": ("enum", "Input should be one of the values allowed"),
    "maxLength": ("string_too_long", "String is too long"),
    "minLength": ("string_too_short", "String is too short"),
    "pattern": ("string_pattern_mismatch", "String should match the pattern"),
    "format": ("datetime_parsing", "Input should be a valid datetime with a time zone"),
    "maximum": ("less_than_equal", "Input is too large"),
    "minimum": ("greater_than_equal", "Input is too small"),
    "exclusiveMinimum": ("greater_than", "Input is too small"),
    "minItems": ("too_short", "List is too short"),
    "additionalProperties": ("extra_forbidden", "Extra inputs are not permitted"),
}


@attrs.frozen
class Operation:
    """One method of one path."""

    method: str
    path: str
    pattern: re.Pattern[str]
    said: Mapping[str, Any]


class Schema:
    """The operations of the API, and the checks of requests and answers against them."""

    def __init__(self) -> None:
        said = json.loads(files(__package__).joinpath("schema.json").read_text("utf-8"))
        self._shapes = said["$defs"]
        # A literal path wins over one with a parameter in its place.
        self.operations = sorted(
            (Operation(m, path, _pattern(path), op) for path, ops in said["paths"].items() for m, op in ops.items()),
            key=lambda operation: operation.path.count("{"),
        )

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """Return the operation that serves ``path``, and what stands at its parameters; refuse with 404 or 405."""
        found = [(each, match) for each in self.operations if (match := each.pattern.fullmatch(path))]
        for each, match in found:
            if each.method == method:
                return each, match.groupdict()
        raise Refusal(405, "Method Not Allowed") if found else Refusal(404, "Not Found")

    def query(self, operation: Operation, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the query's values in their types; refuse with 422. Names that are not declared are let through."""
        declared = operation.said.get("query", {"type": "object", "properties": {}})
        values = {name: _typed(declared["properties"].get(name, {}), text) for name, text in given.items()}
        self._refuse(declared, values, "query")
        return values

    def body(self, operation: Operation, raw: bytes) -> dict[str, Any]:
        """Return the request's body; refuse with 422."""
        shape = operation.said.get("body")
        if shape is None or (not raw and operation.said.get("body_optional")):
            return {}
        try:
            value = json.loads(raw)
        except ValueError:
            problem = {"loc": ["body", 0], "msg": "JSON decode error", "type": "json_invalid"}
            raise Refusal(422, [problem]) from None
        self._refuse(shape, value, "body")
        assert isinstance(value, dict)
        return value

    def check_answer(self, operation: Operation, status: int, body: Any) -> None:
        """Raise :class:`AssertionError` for an answer that the service would not give."""
        shape = operation.said["answers"].get(str(status)) if status < 400 else self._refusal(status)
        assert status >= 400 or str(status) in operation.said["answers"], f"{operation} does not answer {status}"
        if shape is None:
            assert body is None, f"{status} has no body"
            return
        for error in self._errors(shape, body):
            raise AssertionError(f"{operation.method} {operation.path} {status}: {error.json_path}: {error.message}")

    def _refusal(self, status: int) -> Any:
        return {"$ref": "#/$defs/HTTPValidationError" if status == 422 else "#/$defs/Error"}

    def _errors(self, shape: Any, value: Any) -> list[jsonschema.ValidationError]:
        validator = jsonschema.Draft202012Validator({**shape, "$defs": self._shapes}, format_checker=_FORMATS)
        return list(validator.iter_errors(value))

    def _refuse(self, shape: Any, value: Any, where: str) -> None:
        problems = [problem for error in self._errors(shape, value) for problem in _problems(error, where)]
        if problems:
            raise Refusal(422, problems)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def _typed(shape: Mapping[str, Any], text: str) -> Any:
    if shape.get("type") == "array":
        return text.split(",")
    if shape.get("type") == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if shape.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    return text


def _problems(error: Any, where: str) -> list[dict[str, Any]]:
    loc = [where, *error.absolute_path]
    keyword = str(error.validator)
    if keyword == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        named = [name for name in missing if error.message.startswith(repr(name))]
        return [{"loc": [*loc, name], "msg": "Field required", "type": "missing"} for name in named]
    if keyword in _FAULTS:
        kind, message = _FAULTS[keyword]
    else:
        wanted = error.validator_value if isinstance(error.validator_value, str) else "value"
        wanted = {"object": "dictionary", "array": "list"}.get(wanted, wanted)
        kind, message = f"{wanted}_type", f"Input should be a valid {wanted}"
    return [{"loc": loc, "msg": message, "type": kind}]
