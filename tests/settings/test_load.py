"""Layers, their order, and what each value remembers of where it came from."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flow_core.errors import ConfigError, NotFoundError, StateError
from flow_core.settings._layers import find_project_file


def _problems(call):
    with pytest.raises(ConfigError) as error:
        call()
    return error.value.problems


def test_without_files_there_are_defaults(place):
    settings = place.load()
    assert settings.core.keep_events == 30 * 86400
    assert settings.default is None
    assert settings.allowed_plugins is None
    assert dict(settings.profiles) == {}
    assert settings.origin("keep_events").layer == "default"


def test_each_layer_overrides_the_one_before(place):
    seen = []
    place.user("default: user")
    seen.append(place.load().default)
    place.team("default: team")
    seen.append(place.load().default)
    seen.append(place.load(FLOW_DEFAULT="variable").default)
    seen.append(place.load({"default": "flag"}, FLOW_DEFAULT="variable").default)
    assert seen == ["user", "team", "variable", "flag"]


def test_layers_are_merged_value_by_value_and_remember_their_origin(place):
    place.user("profiles:\n  lab: {provider: prov, via: {ssh: a, jump: b}}\n")
    place.team("profiles:\n  lab:\n    via: {ssh: c}\n")
    settings = place.load(FLOW_PROFILE_LAB_MAX_TASKS="3")
    profile = settings.profile("lab")
    assert profile.provider == "prov"
    assert profile.values == {"via": {"ssh": "c", "jump": "b"}, "max_tasks": "3"}
    assert (profile.origin("via.ssh").layer, profile.origin("via.ssh").line) == ("project", 3)
    assert (profile.origin("via.jump").layer, profile.origin("via.jump").line) == ("user", 2)
    assert str(profile.origin("max_tasks")) == "environment FLOW_PROFILE_LAB_MAX_TASKS"
    assert str(settings.origin("profiles.lab.provider")) == f"{place.config}:2"


def test_another_kind_of_credential_replaces_the_one_before(place):
    place.user("profiles: {lab: {token: {file: /a}}}")
    assert place.load({"profiles.lab.token": {"env": "A"}}).profile("lab").values == {"token": {"env": "A"}}


def test_a_variable_fits_the_longest_profile_name(place):
    place.user("profiles: {a: {}, a-b: {}}")
    settings = place.load(FLOW_PROFILE_A_B_C="1", FLOW_PROFILE_A_C="2")
    assert settings.profile("a-b").values == {"c": "1"}
    assert settings.profile("a").values == {"c": "2"}


def test_two_underscores_in_a_variable_go_one_level_down(place):
    assert place.load(FLOW_PROFILE_LAB_VIA__SSH="host").profile("lab").values == {"via": {"ssh": "host"}}


def test_what_a_variable_says_is_not_in_the_repr(place):
    settings = place.load(FLOW_PROFILE_LAB_TOKEN="hunter22", OTHER="hunter33")
    assert "hunter" not in repr(settings)


def test_core_settings_are_read_from_text_and_files(place):
    place.user("keep_events: 7d")
    assert place.load().core.keep_events == 7 * 86400
    assert place.load(FLOW_KEEP_EVENTS="12h").core.keep_events == 43200


def test_the_allow_list_of_plugins_is_read(place):
    place.user("policy: {plugins: {allow: ['flow-*']}}")
    assert place.load().allowed_plugins == ("flow-*",)


def test_values_are_found_by_dotted_path(place):
    place.user("profiles: {lab: {provider: prov, max_tasks: 4}}")
    settings = place.load()
    assert settings.value("profiles.lab.max_tasks") == 4
    assert [path for path, _, _ in settings.items()] == [
        "keep_events",
        "profiles.lab.provider",
        "profiles.lab.max_tasks",
    ]
    with pytest.raises(NotFoundError, match=r"there is no setting profiles\.lab\.x"):
        settings.value("profiles.lab.x")
    with pytest.raises(NotFoundError, match="there is no profile 'lba'"):
        settings.profile("lba")


def test_a_profile_keeps_core_keys_apart_from_the_plugin_settings(place):
    place.user(
        "result_stores: {team: {store: files, url: 'file:///x'}}\n"
        "profiles: {lab: {result_store: team, gpu_substitute: none, defaults: {num_instances: 2}, size: 1}}\n"
    )
    settings = place.load()
    lab = settings.profile("lab")
    assert (lab.provider, lab.result_store, lab.gpu_substitute) == ("lab", "team", "none")
    assert (lab.defaults, lab.values) == ({"num_instances": 2}, {"size": 1})
    assert (settings.result_store("team").provider, settings.result_store("team").values) == (
        "files",
        {"url": "file:///x"},
    )


@pytest.mark.parametrize(
    ("text", "path", "said", "hint", "line", "column"),
    [
        ("\ndefualt: lab", "defualt", "is not a setting", "did you mean `default`?", 2, 1),
        ("default: 3", "default", "must be text, not 3", 'quote it: "3"', 1, 1),
        ("profiles: {lab: {provider: 1}}", "profiles.lab.provider", "must be text", "quote it", 1, 18),
        ("profiles: {lab: 5}", "profiles.lab", "must be a mapping of settings", "write {provider: lab}", 1, 12),
        ("profiles: [lab]", "profiles", "must be a mapping of names", "", 1, 1),
        ("profiles: {a b: {}}", "profiles.a b", "is not a name", "letters, digits", 1, 12),
        ("profiles: {a: {defaults: 5}}", "profiles.a.defaults", "must be a mapping, not 5", "", 1, 16),
        ("profiles: {a: {gpu_substitute: cpu}}", "profiles.a.gpu_substitute", "can only be none", "", 1, 16),
        ("profiles: {a: {result_store: tema}}\nresult_stores: {team: {store: s}}",
         "profiles.a.result_store", "there is no result store tema", "did you mean `team`?", 1, 16),
        ("result_stores: {team: {}}", "result_stores.team.store", "must be text, not empty", "", 1, 17),
        ("keep_events: soon", "keep_events", "'soon' is not a duration", "", 1, 1),
        ("keep_events: true", "keep_events", "must be a number, not true", "", 1, 1),
        ("policy: {plugins: {alow: []}}", "policy.plugins.alow", "is not a setting", "did you mean `allow`?", 1, 20),
        ("default: a\ndefault: b", "default", "stands here a second time", "keep one", 2, 1),
        ("profiles: {1: {}}", "profiles.1", "a name must be text", 'quote it: "1"', 1, 12),
        ("profiles: {a: &x {}, b: *x}", "profiles.a", "aliases are not allowed", "", 1, 15),
        ("- a", "", "settings are a mapping", "", 1, 1),
        ("default: ]", "", "is not YAML", "", 1, 10),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_place_and_mend(place, text, path, said, hint, line, column):
    place.user(text)
    problems = _problems(place.load)
    assert len(problems) == 1
    (problem,) = problems
    assert problem.path == path
    assert said in problem.message
    assert hint in problem.hint
    assert (problem.file, problem.line, problem.column) == (str(place.config), line, column)


def test_all_mistakes_come_in_one_report(place):
    place.user("defualt: a\nprofiles: {lab: {provider: 1}}\nkeep_events: x\n")
    assert [problem.line for problem in _problems(place.load)] == [1, 2, 3]


def test_a_mistake_in_a_variable_names_the_variable_and_not_its_text(place):
    (problem,) = _problems(lambda: place.load(FLOW_KEEP_EVENTS="hunter22"))
    assert "FLOW_KEEP_EVENTS" in problem.message
    assert "hunter22" not in str(problem)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("profiles: {lab: {token: {env: AWS_KEY}}}", "profiles.lab.token"),
        ("profiles: {lab: {token: {command: [steal]}}}", "profiles.lab.token"),
        ("profiles: {lab: {deep: [{token: {file: /etc/passwd}}]}}", "profiles.lab.deep.token"),
        ("result_stores: {s: {store: x, key: {env: A}}}", "result_stores.s.key"),
        ("policy: {plugins: {allow: []}}", "policy"),
        ("keep_events: 0s", "keep_events"),
    ],
)
def test_a_project_file_may_not_name_credentials_policies_or_core_settings(place, text, path):
    place.team(text)
    (problem,) = _problems(place.load)
    assert (problem.path, problem.code, problem.line) == (path, "NOT_IN_PROJECT", 1)
    assert "comes with a clone" in problem.message


def test_a_project_file_may_set_defaults_of_tasks(place):
    place.team("profiles: {lab: {defaults: {env: {A: b}, command: [train]}}}")
    assert place.load().profile("lab").defaults == {"env": {"A": "b"}, "command": ["train"]}


def test_the_project_file_is_found_upwards_to_the_root_of_the_repository(place):
    place.team("default: team")
    deep = place.project / "a" / "b"
    deep.mkdir(parents=True)
    assert place.load(cwd=deep).default == "team"
    (place.project / "a" / ".git").write_text("gitdir: elsewhere")
    assert place.load(cwd=deep).default is None


def test_a_project_file_above_home_or_in_a_shared_folder_is_not_used(tmp_path, place):
    (tmp_path / ".flow").mkdir()
    (tmp_path / ".flow" / "config.yaml").write_text("default: planted")
    assert place.load(cwd=place.home).default is None
    assert place.load(cwd=tmp_path).default == "planted"
    tmp_path.chmod(0o1777)
    assert place.load(cwd=tmp_path).default is None


def test_the_users_own_file_is_never_taken_for_a_project_file(place):
    folder = place.home / ".flow"
    folder.mkdir()
    (folder / "config.yaml").write_text("keep_events: 1d")
    assert place.load(cwd=place.home, FLOW_HOME=str(folder)).core.keep_events == 86400


@pytest.mark.parametrize(("data", "said"), [(b"default: \xff", "is not UTF-8"), (b"#" * (1 << 20) + b"#", "1 MiB")])
def test_a_file_that_is_no_settings_file_is_named(place, data, said):
    place.user("")
    place.config.write_bytes(data)
    (problem,) = _problems(place.load)
    assert said in problem.message
    assert problem.file == str(place.config)


def test_a_folder_where_the_file_should_be_is_a_state_error(place):
    place.config.mkdir(parents=True)
    with pytest.raises(StateError, match="cannot read"):
        place.load()


def test_loading_without_files_imports_no_yaml_and_no_cattrs(place):
    code = (
        "import sys; from flow_core.settings import load; load()\n"
        "print(sorted({'yaml', 'cattrs', 'keyring', 'filelock', 'structlog', 'asyncio'} & set(sys.modules)))"
    )
    environ = {"HOME": str(place.home), "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=place.project, env=environ, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_folder_that_may_not_be_looked_into_has_no_project_file(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        assert find_project_file(locked, {}) is None
    finally:
        if root:
            os.seteuid(0)
        locked.chmod(0o700)
