"""The JSON Schema of a task, made from the table that the reader reads by."""

from __future__ import annotations

import attrs

from flow_core.spec._compound import is_optional, or_null
from flow_core.spec._fields import FIELDS, SECTION, SHORT_WORDS
from flow_core.types import Resources, TaskConfig


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of a task as users write it: full words, short words, short texts, sections.

    Rules between words (mounts that lie inside each other, two ports of one name) are the reader's alone; so is the
    name of a section, which must be an installed provider's. Anything under an unknown word must be a mapping.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow task",
        "type": "object",
        "properties": {**_words(), **_short_words(), "options": _options()},
        "additionalProperties": or_null(SECTION, True),
        "required": ["command"],
        "not": {"required": ["gpu", "instance_type"]},
    }


def _words() -> dict[str, object]:
    fields = attrs.fields_dict(TaskConfig)
    return {
        word: {"description": fields[word].metadata["help"], **_optional(word)} for word in FIELDS if word != "function"
    } | {"function": False}


def _optional(word: str) -> dict[str, object]:
    return or_null(FIELDS[word], word != "command" and is_optional(TaskConfig, word))


def _short_words() -> dict[str, object]:
    helps = {field.name: field.metadata["help"] for field in attrs.fields(Resources)}
    helps["gpu"] = "Short for instance_type."
    return {word: {"description": helps[word], **or_null(kind, True)} for word, kind in SHORT_WORDS.items()}


def _options() -> dict[str, object]:
    shape = {"type": "object", "additionalProperties": or_null(SECTION, True)}
    return {"description": "Providers' own options, by provider.", "anyOf": [shape, {"type": "null"}]}
