"""From what the user wrote to a :class:`TaskConfig`, or to every problem that it has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from flow_core.errors import ConfigError
from flow_core.spec._compound import is_optional
from flow_core.spec._fields import FIELDS, RESOURCES, SECTION, SHORT_WORDS
from flow_core.spec._report import INVALID, Positions, Report, join
from flow_core.spec._rules import check_rules
from flow_core.spec._scalar import wrong_type
from flow_core.types import Problem, TaskConfig

_OTHERS_WORDS: Mapping[str, str] = {
    "accelerators": "gpu",
    "args": "command",
    "cmd": "command",
    "container": "image",
    "cwd": "working_dir",
    "dependencies": "depends_on",
    "docker_image": "image",
    "entrypoint": "command",
    "environment": "env",
    "envs": "env",
    "gpus": "gpu",
    "max_price": "max_price_per_hour",
    "max_retries": "retries",
    "max_run_time": "time_limit",
    "mem": "memory",
    "node_count": "num_instances",
    "nodes": "num_instances",
    "num_nodes": "num_instances",
    "run": "command",
    "script": "command",
    "storage": "volumes",
    "tags": "labels",
    "timeout": "time_limit",
    "walltime": "time_limit",
    "workdir": "working_dir",
}
"""Words for the same things elsewhere, which no likeness of letters would find."""


def read_mapping(
    data: Mapping[str, object],
    *,
    positions: Positions | None = None,
    file: str | None = None,
    providers: Collection[str] = (),
    flags: Mapping[str, str] | None = None,
    problems: Iterable[Problem] = (),
) -> TaskConfig:
    """Return the task that ``data`` (user form: full words, short words, short texts) asks for.

    ``positions`` maps paths to (line, column) in ``file``; ``flags`` maps the paths that the command line set to their
    flags; ``providers`` are the words that begin a provider's section; ``problems`` were found before, as by
    :func:`load_mapping`. Raises :class:`ConfigError` with all problems at once.
    """
    report = Report(file, positions, flags, problems)
    values = _Reading(report, providers).read(data)
    check_rules(values, report)
    report.fail_on_problems()
    return TaskConfig(**values)


def check(config: TaskConfig, *, providers: Collection[str] = ()) -> tuple[Problem, ...]:
    """Return what is wrong with a config that was changed or built by hand, by the rules of :func:`read_mapping`."""
    data: dict[str, object] = {field.name: getattr(config, field.name) for field in attrs.fields(TaskConfig)}
    try:
        read_mapping(data, providers=providers)
    except ConfigError as error:
        return error.problems
    return ()


class _Reading:
    """One pass over one user-form mapping."""

    def __init__(self, report: Report, providers: Collection[str]) -> None:
        self._report = report
        self._providers = providers
        self._values: dict[str, Any] = {}
        self._options: dict[str, Any] = {}

    def read(self, data: Mapping[str, object]) -> dict[str, Any]:
        """Return the fields that were given; INVALID where one could not be read."""
        if not isinstance(data, Mapping):
            self._report.wrong("", wrong_type("a mapping of words to values", data))
            return {"command": INVALID}
        for word, value in data.items():
            self._word(word, value)
        self._short_words(data)
        return self._values | ({"options": self._options} if self._options else {})

    def _word(self, word: object, value: object) -> None:
        if isinstance(word, str) and word in FIELDS:
            if value is not None or not is_optional(TaskConfig, word):
                self._values[word] = FIELDS[word].read(self._report, word, value)
        elif word == "options":
            self._all_options(value)
        elif word in self._providers:
            self._section(str(word), str(word), value)
        elif word not in SHORT_WORDS:
            self._unknown(word, value)

    def _all_options(self, value: object) -> None:
        if value is not None and not isinstance(value, Mapping):
            self._report.wrong("options", wrong_type("a mapping of providers to their options", value))
            return
        for name, section in (value or {}).items():
            if not isinstance(name, str) or (self._providers and name not in self._providers):
                near = self._report.suggest(name, self._providers)
                self._report.add(join("options", name), "NO_PLUGIN", f"no plugin named {name} is installed", near)
            else:
                self._section(name, join("options", name), section)

    def _section(self, name: str, path: str, value: object) -> None:
        section = {} if value is None else SECTION.read(self._report, path, value)
        both = self._options.get(name)
        if both and section and section is not INVALID:
            for key in set(both) & set(section):
                message = f"is given twice, under {name} and under options.{name}"
                self._report.add(join(path, key), "DUPLICATE", message, "leave one out")
            section = {**both, **section}
        if section:
            self._options[name] = section

    def _unknown(self, word: object, value: object) -> None:
        meant = _OTHERS_WORDS.get(str(word).lower().replace("-", "_"), "")
        known = {*FIELDS, *SHORT_WORDS, *self._providers} - {"function"}
        hint = f"did you mean `{meant}`?" if meant else self._report.suggest(word, known)
        section = ", and no plugin of that name is installed" if isinstance(value, Mapping) else ""
        self._report.add(str(word), "UNKNOWN_KEY", f"unknown word `{word}`{section}", hint)

    def _short_words(self, data: Mapping[str, object]) -> None:
        given = {word: data[word] for word in SHORT_WORDS if data.get(word) is not None}
        found = {word: SHORT_WORDS[word].read(self._report, word, value) for word, value in given.items()}
        if "gpu" in found:
            self._gpu(found.pop("gpu"), self._values.get("instance_type"))
        if found:
            self._resources(found)

    def _gpu(self, gpu: Any, instance_type: Any) -> None:
        if instance_type is not None:
            self._report.add(
                "gpu",
                "CONFLICT",
                "instance_type is given too, and gpu is short for it",
                "leave one of them out",
            )
        self._values["instance_type"] = gpu

    def _resources(self, found: dict[str, Any]) -> None:
        resources = self._values.get("resources", RESOURCES.build())
        for word in found:
            if getattr(resources, word, None) is not None:
                message = f"resources.{word} is given too, and {word} is short for it"
                self._report.add(word, "CONFLICT", message, "leave one of them out")
        usable = INVALID not in found.values() and resources is not INVALID
        self._values["resources"] = attrs.evolve(resources, **found) if usable else INVALID
