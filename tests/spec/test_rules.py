"""What a task may say, rule by rule; each refusal names its place, its kind and the mend."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType

import attrs
import pytest

from flow_core.errors import ConfigError
from flow_core.spec import check, locate, read_mapping
from flow_core.types import FunctionCall, Mount, PortSpec, Problem, Resources, SecretRef, TaskConfig, VolumeSpec


def read(**words: object) -> TaskConfig:
    return read_mapping({"command": "true", **words}, providers=("toy",))


def problems_of(words: dict[str, object]) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        read_mapping(words, providers=("toy",))
    return caught.value.problems


REFUSED = [
    # word, value, path of the problem, its code, a part of message or hint
    ("command", 3, "command", "WRONG_TYPE", "text or a list"),
    ("command", True, "command", "WRONG_TYPE", "text or a list"),
    ("command", " \n", "command", "NO_COMMAND", "blank"),
    ("command", [], "command", "NO_COMMAND", "no program"),
    ("command", ["", "x"], "command", "NO_COMMAND", "no program"),
    ("command", ["a", 1], "command", "WRONG_TYPE", 'quote it: "1"'),
    ("command", "a\0b", "command", "NUL", "NUL"),
    ("command", ["a", "\0"], "command", "NUL", "argument 1"),
    ("command", "\ud800", "command", "NOT_UTF8", "Unicode"),
    ("function", {"module": "m", "name": "f"}, "function", "BAD_VALUE", "write command"),
    ("name", "Train it", "name", "BAD_VALUE", "write `train-it`"),
    ("name", "a" * 49, "name", "BAD_VALUE", "at most 48"),
    ("name", "-a", "name", "BAD_VALUE", "write"),
    ("name", 1, "name", "WRONG_TYPE", 'quote it: "1"'),
    ("instance_type", "0xh100", "instance_type", "BAD_VALUE", "0 of h100"),
    ("instance_type", " ", "instance_type", "BAD_VALUE", "blank"),
    ("instance_type", "8 h100", "instance_type", "BAD_VALUE", "8xh100"),
    ("gpu", 8, "gpu", "WRONG_TYPE", "8xh100"),
    ("num_instances", 0, "num_instances", "OUT_OF_RANGE", "1 to 1024"),
    ("num_instances", 1025, "num_instances", "OUT_OF_RANGE", "1 to 1024"),
    ("num_instances", "4", "num_instances", "WRONG_TYPE", "write 4 without quotes"),
    ("num_instances", "1_0", "num_instances", "WRONG_TYPE", "write 10"),
    ("num_instances", 2.7, "num_instances", "WRONG_TYPE", "the number 2.7"),
    ("num_instances", 2.0, "num_instances", "WRONG_TYPE", "write 2"),
    ("num_instances", True, "num_instances", "WRONG_TYPE", "not true"),
    ("num_instances", None, "num_instances", "WRONG_TYPE", "no value"),
    ("processes_per_node", 0, "processes_per_node", "OUT_OF_RANGE", "at least 1"),
    ("resources", {"cpus": 0}, "resources.cpus", "OUT_OF_RANGE", "above 0"),
    ("resources", {"memory": "16G"}, "resources.memory", "BAD_VALUE", "16GiB"),
    ("resources", {"memory": True}, "resources.memory", "WRONG_TYPE", "a size"),
    ("resources", {"memory": 1.5}, "resources.memory", "WRONG_TYPE", "with its unit"),
    ("resources", {"disk": "9" * 31 + "B"}, "resources.disk", "OUT_OF_RANGE", "8 EiB"),
    ("resources", {"gpu_count": -1}, "resources.gpu_count", "OUT_OF_RANGE", "at least 0"),
    ("resources", {"memry": 1}, "resources.memry", "UNKNOWN_KEY", "did you mean `memory`?"),
    ("resources", "big", "resources", "WRONG_TYPE", "a mapping"),
    ("cpus", float("nan"), "cpus", "OUT_OF_RANGE", "nan"),
    ("cpus", float("inf"), "cpus", "OUT_OF_RANGE", "inf"),
    ("cpus", 10**400, "cpus", "OUT_OF_RANGE", "digits"),
    ("memory", 0, "memory", "OUT_OF_RANGE", "above 0"),
    ("image", "", "image", "BAD_VALUE", "blank"),
    ("env", {"A": 1.5}, "env.A", "WRONG_TYPE", 'quote it: "1.5"'),
    ("env", {"A": True}, "env.A", "WRONG_TYPE", 'quote it: "true"'),
    ("env", {"A": None}, "env.A", "WRONG_TYPE", "no value"),
    ("env", {"1A": "x"}, "env.1A", "BAD_VALUE", "variable"),
    ("env", {"A": "x\0"}, "env.A", "NUL", "NUL"),
    ("env", {1: "x"}, "env.1", "WRONG_TYPE", "quote it"),
    ("env", ["A=1"], "env", "WRONG_TYPE", "a mapping of names"),
    ("secrets", ["A", "A"], "secrets[1].env", "DUPLICATE", "secrets[0]"),
    ("secrets", ["hf-token"], "secrets[0]", "BAD_VALUE", "hf-token=HF_TOKEN"),
    ("secrets", ["=A"], "secrets[0].name", "BAD_VALUE", "blank"),
    ("secrets", ["A=1B"], "secrets[0].env", "BAD_VALUE", "variable"),
    ("secrets", [{"name": "A", "env": None}], "secrets[0]", "MISSING", "goes nowhere"),
    ("secrets", [{"name": "A", "file": "../x"}], "secrets[0].file", "BAD_VALUE", ".."),
    ("secrets", [{"env": "A"}], "secrets[0]", "MISSING", "`name` is missing"),
    ("secrets", "A", "secrets", "WRONG_TYPE", "write [NAME]"),
    ("working_dir", 3, "working_dir", "WRONG_TYPE", "text"),
    ("code", "snapshoot", "code.mode", "UNKNOWN_WORD", "write snapshot"),
    ("code", {"include": ["a", 1]}, "code.include[1]", "WRONG_TYPE", "text"),
    ("mounts", ["data"], "mounts[0]", "BAD_VALUE", "SRC:DST"),
    ("mounts", ["s3://bucket"], "mounts[0]", "BAD_VALUE", "SRC:DST"),
    ("mounts", ["a:b"], "mounts[0].target", "BAD_VALUE", "not absolute"),
    ("mounts", ["a:/b/../c"], "mounts[0].target", "BAD_VALUE", ".."),
    ("mounts", ["a:/."], "mounts[0].target", "BAD_VALUE", "root"),
    ("mounts", ["volume::/d"], "mounts[0].source", "BAD_VALUE", "no volume"),
    ("mounts", ["a:/d", "b:/d/"], "mounts[1].target", "DUPLICATE", "mounts[0]"),
    ("mounts", ["a:/d", "b:/d/./x"], "mounts[1].target", "CONFLICT", "inside /d"),
    ("mounts", [{"target": "/d"}], "mounts[0]", "MISSING", "`source`"),
    ("mounts", [3], "mounts[0]", "WRONG_TYPE", "text or a mapping"),
    ("volumes", ["d:/d:100"], "volumes[0]", "BAD_VALUE", "write 100GB"),
    ("volumes", ["d:/d:16GiB"], "volumes[0]", "BAD_VALUE", "write 18GB"),
    ("volumes", ["d:/d:1GB:x"], "volumes[0]", "BAD_VALUE", "NAME[:DST[:SIZE]]"),
    ("volumes", ["../d"], "volumes[0].name", "BAD_VALUE", "volume's name"),
    ("volumes", [{"name": "d", "size_gb": "100"}], "volumes[0].size_gb", "WRONG_TYPE", "write 100 without quotes"),
    ("volumes", [{"name": "d", "size": 1}], "volumes[0].size", "UNKNOWN_KEY", "`size_gb`"),
    ("outputs", ["/abs/*"], "outputs[0]", "BAD_VALUE", "relative"),
    ("outputs", ["a/../b"], "outputs[0]", "BAD_VALUE", ".."),
    ("ports", [80, 81], "ports[1].name", "DUPLICATE", "main2=81"),
    ("ports", ["a-b=80", "A_B=81"], "ports[1].name", "DUPLICATE", "ports[0]"),
    ("ports", [65536], "ports[0].port", "OUT_OF_RANGE", "0 to 65535"),
    ("ports", ["x"], "ports[0]", "BAD_VALUE", "web=8080"),
    ("ports", [True], "ports[0]", "WRONG_TYPE", "not true"),
    ("ports", 8080, "ports", "WRONG_TYPE", "a list"),
    ("health", {}, "health", "MISSING", "exactly one"),
    ("health", {"command": "x", "tcp": "main"}, "health", "CONFLICT", "exactly one"),
    ("health", {"tcp": "main"}, "health.tcp", "NO_PORT", "no port has the name"),
    ("health", {"tcp": 8080}, "health.tcp", "WRONG_TYPE", "name"),
    ("health", {"http": "/"}, "health.http", "NO_PORT", "no port"),
    ("health", {"http": "x"}, "health.http", "BAD_VALUE", "begin it with /"),
    ("health", {"command": "x", "interval": 0}, "health.interval", "OUT_OF_RANGE", "above 0"),
    ("health", {"command": "x", "failures": 0}, "health.failures", "OUT_OF_RANGE", "at least 1"),
    ("restart", "alway", "restart", "UNKNOWN_WORD", "write always"),
    ("restart", False, "restart", "WRONG_TYPE", 'write "no"'),
    ("time_limit", "1:30", "time_limit", "BAD_VALUE", "1h30m"),
    ("time_limit", 0, "time_limit", "OUT_OF_RANGE", "above 0"),
    ("time_limit", "0s", "time_limit", "OUT_OF_RANGE", "above 0"),
    ("time_limit", "9" * 400, "time_limit", "BAD_VALUE", "not a duration"),
    ("time_limit", True, "time_limit", "WRONG_TYPE", "a duration"),
    ("grace", -1, "grace", "OUT_OF_RANGE", "at least 0"),
    ("keep", "soon", "keep", "BAD_VALUE", "90s"),
    ("stop_signal", "term", "stop_signal", "UNKNOWN_WORD", "write TERM"),
    ("stop_signal", 15, "stop_signal", "WRONG_TYPE", "TERM"),
    ("preempt_signal", "NONE", "preempt_signal", "UNKNOWN_WORD", "USR1"),
    ("retries", 101, "retries", "OUT_OF_RANGE", "0 to 100"),
    ("retries", -1, "retries", "OUT_OF_RANGE", "0 to 100"),
    ("max_preemptions", -1, "max_preemptions", "OUT_OF_RANGE", "at least 0"),
    ("depends_on", ["after:t1"], "depends_on[0]", "BAD_VALUE", "any:TASK"),
    ("depends_on", ["any:"], "depends_on[0]", "BAD_VALUE", "any:TASK"),
    ("depends_on", "t1", "depends_on", "WRONG_TYPE", "a list"),
    ("priority", 101, "priority", "OUT_OF_RANGE", "-100 to 100"),
    ("spot", "yes", "spot", "WRONG_TYPE", "write true"),
    ("spot", "no", "spot", "WRONG_TYPE", "write false"),
    ("spot", 1, "spot", "WRONG_TYPE", "true or false"),
    ("max_price_per_hour", 0, "max_price_per_hour", "OUT_OF_RANGE", "above 0"),
    ("max_price_per_hour", -1, "max_price_per_hour", "BAD_VALUE", "above 0"),
    ("max_price_per_hour", "$2", "max_price_per_hour", "BAD_VALUE", "2.50"),
    ("max_price_per_hour", float("nan"), "max_price_per_hour", "BAD_VALUE", "2.50"),
    ("max_price_per_hour", Decimal("Infinity"), "max_price_per_hour", "BAD_VALUE", "2.50"),
    ("max_price_per_hour", True, "max_price_per_hour", "WRONG_TYPE", "USD"),
    ("labels", {"A": "x"}, "labels.A", "BAD_VALUE", "label"),
    ("labels", {"a" * 64: "x"}, f"labels.{'a' * 64}", "BAD_VALUE", "63"),
    ("labels", {f"l{n}": "" for n in range(33)}, "labels", "OUT_OF_RANGE", "at most 32"),
    ("labels", {"a": 1}, "labels.a", "WRONG_TYPE", "quote it"),
    ("idempotency_key", "-x", "idempotency_key", "BAD_VALUE", "128"),
    ("idempotency_key", "x" * 129, "idempotency_key", "BAD_VALUE", "128"),
    ("provider", "", "provider", "BAD_VALUE", "blank"),
    ("toy", "x", "toy", "WRONG_TYPE", "a mapping of options"),
    ("toy", {"a": [1, {"b": float("nan")}]}, "toy.a[1].b", "OUT_OF_RANGE", "JSON"),
    ("toy", {1: "x"}, "toy.1", "WRONG_TYPE", "the name"),
    ("toy", {"a": object()}, "toy.a", "WRONG_TYPE", "plain data"),
    ("toy", {"a": "\0"}, "toy.a", "NUL", "NUL"),
    ("options", {"tyo": {"a": 1}}, "options.tyo", "NO_PLUGIN", "did you mean `toy`?"),
    ("options", ["toy"], "options", "WRONG_TYPE", "providers"),
    ("num-instances", 2, "num-instances", "UNKNOWN_KEY", "did you mean `num_instances`?"),
    ("numInstances", 2, "numInstances", "UNKNOWN_KEY", "did you mean `num_instances`?"),
    ("gpus", 2, "gpus", "UNKNOWN_KEY", "did you mean `gpu`?"),
    ("timeout", 2, "timeout", "UNKNOWN_KEY", "did you mean `time_limit`?"),
    ("cloud", {"a": 1}, "cloud", "UNKNOWN_KEY", "no plugin of that name is installed"),
    ("tpy", {"a": 1}, "tpy", "UNKNOWN_KEY", "did you mean `toy`?"),
]


@pytest.mark.parametrize(("word", "value", "path", "code", "said"), REFUSED)
def test_it_is_refused_with_its_place_and_mend(word: str, value: object, path: str, code: str, said: str) -> None:
    (problem,) = problems_of({"command": "true", word: value})
    assert (problem.path, problem.code) == (path, code)
    assert said in f"{problem.message} | {problem.hint}"


def test_all_problems_come_at_once() -> None:
    found = problems_of({"nme": "x", "retries": 2.7, "env": {"A": 1, "B": 2}, "mounts": ["x", "a:/d", "b:/d"]})
    assert {problem.path for problem in found} == {
        "nme",
        "retries",
        "env.A",
        "env.B",
        "mounts[0]",
        "mounts[2].target",
        "command",
    }


def test_the_message_counts_the_problems() -> None:
    with pytest.raises(ConfigError, match=r"^2 problems in the task\n"):
        read_mapping({"nme": 1})
    with pytest.raises(ConfigError, match=r"^1 problem in the task\n"):
        read_mapping({})


def test_no_command_says_how_to_write_one() -> None:
    (problem,) = problems_of({"env": None})
    assert (problem.path, problem.code) == ("command", "NO_COMMAND")
    assert "command: python train.py" in problem.hint


def test_a_wrong_command_is_not_also_a_missing_one() -> None:
    (problem,) = problems_of({"command": 3})
    assert problem.code == "WRONG_TYPE"


def test_command_and_function_exclude_each_other() -> None:
    call = FunctionCall("m", "f")
    assert read_mapping({"function": call}) == TaskConfig(function=call)
    (problem,) = problems_of({"command": "x", "function": call})
    assert problem.code == "CONFLICT"


def test_gpu_and_instance_type_together_are_refused() -> None:
    (problem,) = problems_of({"command": "x", "gpu": "a100", "instance_type": "h100"})
    assert (problem.path, problem.code) == ("gpu", "CONFLICT")


def test_a_short_word_and_its_place_in_resources_together_are_refused() -> None:
    (problem,) = problems_of({"command": "x", "cpus": 2, "resources": {"cpus": 2}})
    assert (problem.path, problem.code) == ("cpus", "CONFLICT")


def test_a_volume_below_a_mount_is_refused_whichever_comes_first() -> None:
    (problem,) = problems_of({"command": "x", "mounts": ["a:/volumes/d/x"], "volumes": ["d"]})
    assert (problem.path, problem.code) == ("mounts[0].target", "CONFLICT")
    assert "the target of volumes[0]" in problem.message


def test_folders_with_a_common_beginning_are_not_inside_each_other() -> None:
    assert len(read(mounts=["a:/data", "b:/database"]).mounts) == 2


def test_a_secret_and_a_variable_of_one_name_are_refused() -> None:
    (problem,) = problems_of({"command": "x", "env": {"A": "1"}, "secrets": ["B=A"]})
    assert (problem.path, problem.code) == ("secrets[0].env", "DUPLICATE")


def test_two_secrets_in_one_file_are_refused() -> None:
    (problem,) = problems_of({"command": "x", "secrets": [{"name": n, "file": "/s"} for n in "ab"]})
    assert (problem.path, problem.code) == ("secrets[1].file", "DUPLICATE")


def test_options_under_both_names_are_joined_and_the_same_key_twice_is_refused() -> None:
    assert read(toy={"a": 1}, options={"toy": {"b": 2}}).options == {"toy": {"a": 1, "b": 2}}
    (problem,) = problems_of({"command": "x", "toy": {"a": 1}, "options": {"toy": {"a": 2}}})
    assert problem.code == "DUPLICATE"


def test_something_other_than_a_mapping_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        read_mapping(["x"])  # type: ignore[arg-type]
    assert caught.value.problems[0].code == "WRONG_TYPE"


ACCEPTED = [
    ("command", ("python", "x.py"), {"command": ("python", "x.py")}),
    ("command", ["python"], {"command": ("python",)}),
    ("gpu", "8xh100", {"instance_type": "8xh100"}),
    ("cpus", 2, {"resources": Resources(cpus=2.0)}),
    ("memory", "16GiB", {"resources": Resources(memory=16 << 30)}),
    ("disk", 1000, {"resources": Resources(disk=1000)}),
    ("resources", Resources(gpu="a100", gpu_count=2), {"resources": Resources(gpu="a100", gpu_count=2)}),
    ("env", MappingProxyType({"A": ""}), {"env": {"A": ""}}),
    ("secrets", ["A", "b=B"], {"secrets": (SecretRef("A"), SecretRef("b", "B"))}),
    ("secrets", [{"name": "a-b", "file": "~/.netrc"}], {"secrets": (SecretRef("a-b", None, "~/.netrc"),)}),
    ("secrets", [SecretRef("A", None, "/x")], {"secrets": (SecretRef("A", None, "/x"),)}),
    ("mounts", ["s3://b/x:/data:ro"], {"mounts": (Mount("s3://b/x", "/data", True),)}),
    ("mounts", ["volume:v:/data"], {"mounts": (Mount("volume:v", "/data"),)}),
    ("mounts", [Mount(".", "/d")], {"mounts": (Mount(".", "/d"),)}),
    ("volumes", ["d"], {"volumes": (VolumeSpec("d"),)}),
    ("volumes", ["d:/d"], {"volumes": (VolumeSpec("d", "/d"),)}),
    ("volumes", ["d:/d:2TB"], {"volumes": (VolumeSpec("d", "/d", 2000, create=True),)}),
    ("ports", [0, "web=80", {"port": 1, "name": "x"}], {"ports": (PortSpec(0), PortSpec(80, "web"), PortSpec(1, "x"))}),
    ("code", "none", {"code": attrs.evolve(TaskConfig().code, mode="none")}),
    ("time_limit", "1h30m", {"time_limit": 5400.0}),
    ("time_limit", "2-12:00:00", {"time_limit": 216000.0}),
    ("grace", 0, {"grace": 0.0}),
    ("stop_signal", "SIGINT", {"stop_signal": "INT"}),
    ("restart", "no", {"restart": "no"}),
    ("depends_on", ["t1", "any:t2"], {"depends_on": ("t1", "any:t2")}),
    ("max_price_per_hour", 2.5, {"max_price_per_hour": Decimal("2.5")}),
    ("max_price_per_hour", "2.50", {"max_price_per_hour": Decimal("2.5")}),
    ("toy", {"a": {"b": [1, None]}}, {"options": {"toy": {"a": {"b": (1, None)}}}}),
    ("toy", None, {}),
    ("env", None, {}),
    ("mounts", None, {}),
    ("spot", None, {}),
    ("gpu", None, {}),
    ("health", {"command": "x", "start_period": "1m"}, {"health": {"command": "x", "start_period": 60.0}}),
]


@pytest.mark.parametrize(("word", "value", "fields"), ACCEPTED)
def test_it_is_read_as(word: str, value: object, fields: dict[str, object]) -> None:
    config = read(**{word: value})
    expected = attrs.asdict(TaskConfig(**{"command": "true", **fields}), recurse=False)  # type: ignore[arg-type]
    if word == "health":
        assert config.health is not None
        assert (config.health.command, config.health.start_period) == ("x", 60.0)
    else:
        assert attrs.asdict(config, recurse=False) == expected


def test_options_cannot_be_changed_afterwards() -> None:
    given = {"a": {"b": [1]}}
    config = read(toy=given)
    given["a"]["b"].append(2)
    assert config.options["toy"] == {"a": {"b": (1,)}}
    with pytest.raises(TypeError):
        config.options["toy"]["a"] = 1  # type: ignore[index]


def test_check_finds_what_a_change_by_hand_broke() -> None:
    config = attrs.evolve(read(mounts=["a:/d"]), retries=500, mounts=(Mount("a", "d"),))
    assert {problem.path for problem in check(config)} == {"retries", "mounts[0].target"}


def test_check_passes_whatever_was_read() -> None:
    assert check(read(gpu="a100", secrets=["A"], health={"tcp": "main"}, ports=[80], toy={"x": [1]})) == ()
    assert check(TaskConfig(function=FunctionCall("m", "f"))) == ()


def test_a_problem_of_a_flag_names_the_flag() -> None:
    with pytest.raises(ConfigError) as caught:
        read_mapping(
            {"command": "x", "time_limit": "soon", "env": {"1": "x"}, "mounts": ["a:b"]},
            flags={"time_limit": "--time-limit", "env.1": "--env", "mounts": "--mount"},
            file="flow.yaml",
            positions={"mounts[0]": (7, 3), "": (1, 1)},
        )
    assert str(caught.value.problems[0]).startswith("flow.yaml:7:3: mounts[0].target: ")
    assert {problem.path for problem in caught.value.problems} == {"mounts[0].target", "--time-limit", "--env"}


def test_locate_finds_the_users_word_for_a_record_path() -> None:
    given = [
        Problem("instance_type", "NO_GPU", "none"),
        Problem("options.toy.a.b", "X", "x"),
        Problem("resources.cpus", "X", "x"),
    ]
    places = {"gpu": (2, 1), "toy.a": (5, 3), "": (1, 1)}
    found = locate(given, positions=places, file="f.yaml", flags={"cpus": "--cpus"})
    assert [(p.file, p.line, p.column) for p in found] == [("f.yaml", 2, 1), ("f.yaml", 5, 3), (None, None, None)]
    assert found[2].path == "--cpus"


def test_a_problem_never_carries_control_characters_to_the_terminal() -> None:
    found = problems_of({"command": "x", "\x1b[2J\ud800": 1, "name": "\x1b[31m", "n" * 10_000: 1})
    assert all(str(problem).isprintable() and len(str(problem)) < 1000 for problem in found)


def test_a_thousand_mistakes_are_told_and_no_more() -> None:
    assert len(problems_of({"command": "x", **{f"w{n}": n for n in range(5000)}})) == 1000
