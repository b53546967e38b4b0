"""Functions called as tasks: values, exceptions, and everything that cannot be sent."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import flow_core as flow
from flow_core.errors import CapabilityError, ConfigError, RemoteError, StateError, TaskFailed

TRAIN = "src/train.py"


def power(base: int, exponent: int) -> int:
    return int(base**exponent)


def invoke(name: str, *args: object, **fields: object) -> object:
    return flow.invoke(TRAIN, name, args=args, stream=False, **fields)  # type: ignore[call-overload]


def test_a_function_of_an_unchanged_file_is_called() -> None:
    assert flow.invoke(TRAIN, "train", args=[0.5], kwargs={"steps": 4}, stream=False) == {"loss": 2.0}


def test_what_it_prints_is_shown(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    flow.invoke(TRAIN, "train", args=[0.5])
    assert capfdbinary.readouterr().out == b"training\n"


def test_it_runs_in_the_folder_it_is_called_in(place: Path) -> None:
    assert invoke("where") == str(place)


def test_a_module_with_relative_imports_is_imported_as_part_of_its_package() -> None:
    assert flow.invoke("src/pkg/mod.py", "times", args=[7], stream=False) == 42


@pytest.mark.parametrize(
    "value", [(1, 2), {1: "a"}, b"\xff", {"a": {"b": [1.5, None, True]}}, "\ud800", 2**5000, {1, 2}]
)
def test_a_value_comes_back_as_it_is(value: object) -> None:
    same = flow.invoke(eval, args=["x", {"x": value}], stream=False)
    assert same == value
    assert type(same) is type(value)


def test_one_list_twice_in_a_value_stays_one_list() -> None:
    same = flow.invoke(lambda: [one := [1], one], stream=False)
    assert same[0] is same[1]


def test_an_instance_of_the_files_own_class_comes_back() -> None:
    model = invoke("model", 3)
    assert (type(model).__name__, type(model).__module__, model.weight) == ("Model", "train", 3)  # type: ignore[attr-defined]


def test_an_exception_comes_back_as_its_type_with_the_traceback_as_its_cause() -> None:
    with pytest.raises(ValueError, match="too bad") as caught:
        invoke("fail", "too bad")
    assert "train.py" in str(caught.value.__cause__)
    assert "flow_on_node" not in str(caught.value.__cause__)


def test_an_exception_of_the_files_own_type_comes_back_as_that() -> None:
    with pytest.raises(Exception, match="mine") as caught:
        invoke("fail_own")
    assert type(caught.value).__qualname__ == "Own"


def test_an_exception_that_cannot_be_made_again_is_named() -> None:
    with pytest.raises(RemoteError, match=r"fail_odd raised train\.Odd: one") as caught:
        invoke("fail_odd")
    assert caught.value.type_name == "train.Odd"


def test_an_exception_class_of_the_callers_own_is_caught_by_the_caller() -> None:
    class LocalError(Exception):
        pass

    def fail() -> None:
        raise LocalError("here")

    with pytest.raises(LocalError, match="here"):
        flow.invoke(fail, stream=False)


def test_lambdas_closures_partials_and_bound_methods_travel_themselves() -> None:
    offset = 3
    assert flow.invoke(lambda x: x + offset, args=[4], stream=False) == 7
    assert flow.invoke(partial(pow, 2), args=[5], stream=False) == 32
    assert flow.invoke("a-b".split, args=["-"], stream=False) == ["a", "b"]


def test_a_name_that_the_file_has_not_is_refused_before_anything_is_submitted() -> None:
    with pytest.raises(ConfigError, match="has no function trian; did you mean train"):
        invoke("trian")
    assert flow.tasks() == []


def test_what_a_file_offers_instead_are_its_own_functions_not_methods() -> None:
    Path("mine.py").write_text("class A:\n    def inner(self): ...\ndef outer(): ...\n")
    with pytest.raises(ConfigError, match=r"it has: A, outer$"):
        flow.invoke("mine.py", "zzz")


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no file src/none\.py"):
        flow.invoke("src/none.py", "train")


def test_a_file_outside_the_code_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("def f(): pass\n")
    with pytest.raises(ConfigError, match="outside the code folder"):
        flow.invoke(tmp_path / "other.py", "f")


def test_an_argument_that_cannot_be_pickled_is_named_before_anything_is_submitted() -> None:
    with pytest.raises(ConfigError, match="argument 2 of train cannot be sent: TypeError"):
        invoke("train", 1.0, threading.Lock())
    assert flow.tasks() == []


def test_a_closure_that_cannot_be_pickled_is_refused() -> None:
    lock = threading.Lock()
    with pytest.raises(ConfigError, match="cannot be sent"):
        flow.invoke(lambda: lock)


def test_a_result_that_cannot_be_pickled_says_so() -> None:
    with pytest.raises(TaskFailed, match="unpicklable returned a lock that cannot be sent back"):
        invoke("unpicklable")


def test_a_result_that_is_nested_too_deeply_says_so() -> None:
    with pytest.raises(TaskFailed, match=r"recursion|nested too deeply"):
        invoke("deep", 200_000)


def test_generators_are_refused() -> None:
    def numbers() -> object:
        yield 1

    with pytest.raises(ConfigError, match="is a generator function"):
        flow.invoke(numbers)
    with pytest.raises(TaskFailed, match="count returned a generator, which cannot leave its process"):
        invoke("count")


@pytest.mark.parametrize("code", [0, 3])
def test_sys_exit_is_no_value(code: int) -> None:
    with pytest.raises(TaskFailed, match=rf"ended its process with sys\.exit\({code}\)"):
        invoke("leave", code)
    assert flow.tasks()[0].exit_code == code


def test_a_killed_process_is_told_with_its_signal() -> None:
    with pytest.raises(TaskFailed, match=r"(?i)failed: .*(SIGKILL|signal 9)") as caught:
        invoke("die", 9)
    assert caught.value.task_exit_code == 137


def test_a_function_that_closes_stdout_has_its_value() -> None:
    assert invoke("close_stdout") == "closed"


def test_a_missing_module_is_named_with_the_python_that_has_it_not(place: Path) -> None:
    (place / "src" / "needs.py").write_text("import no_such_module_anywhere\n\ndef f():\n    pass\n")
    with pytest.raises(TaskFailed, match=r"src/needs\.py cannot be imported on the node: No module named 'no_such"):
        flow.invoke("src/needs.py", "f", stream=False)


def test_retries_repeat_a_function_that_failed(place: Path) -> None:
    (place / "src" / "twice.py").write_text(
        "import os\n\ndef f():\n    open('tries', 'a').write('x')\n    if os.path.getsize('tries') < 2: raise ValueError\n    return 'ok'\n"
    )
    assert flow.invoke("src/twice.py", "f", retries=1, stream=False) == "ok"
    assert (place / "tries").read_text() == "xx"


def test_a_result_is_had_by_another_process_too() -> None:
    task = flow.function(power).submit(2, 6)
    assert task.result(timeout=20) == 64
    assert flow.task(task.id).result() == 64


def test_what_runs_a_command_has_no_result() -> None:
    with pytest.raises(ConfigError, match="runs a command"):
        flow.submit("true").result()


def _result_file() -> Path:
    """Where it stays: the folder of an ended task moves once."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for found in Path(os.environ["FLOW_HOME"]).glob("state/local/done/*/*/result"):
            return found
        time.sleep(0.01)
    raise AssertionError("there is no result")


def _damaged(task: flow.Task[int]) -> bool:
    try:
        task.result()
    except StateError as error:
        return "is damaged" in str(error)
    return False


def test_a_flipped_bit_in_a_result_is_never_a_value() -> None:
    task = flow.function(power).submit(2, 6)
    task.wait()
    path = _result_file()
    whole = path.read_bytes()
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 4
        path.write_bytes(broken)
        assert _damaged(task) or task.result() == 64  # padding means nothing


def test_a_result_that_is_cut_off_is_never_a_value() -> None:
    task = flow.function(power).submit(2, 6)
    task.wait()
    path = _result_file()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StateError, match="is damaged"):
            task.result()


def test_untrusted_results_are_plain_data_or_refused() -> None:
    assert invoke("train", 1.0, trusted=False) == {"loss": 3.0}
    with pytest.raises(TaskFailed, match="no plain data"):
        invoke("model", 1, trusted=False)
    with pytest.raises(RemoteError, match=r"train\.Own"):
        invoke("fail_own", trusted=False)


def test_a_pickle_that_is_there_all_the_same_is_not_read_when_untrusted() -> None:
    task = flow.function(lambda: {1, 2}).submit()
    task.wait()
    with pytest.raises(CapabilityError, match="it is a pickle"):
        task.result(trusted=False)


def test_a_function_task_is_repeated_with_its_arguments() -> None:
    task = flow.function(power).submit(2, 6)
    assert flow.Flow().retry(task.id).result(timeout=20) == 64


MAIN = """
import flow_core as flow
from dataclasses import dataclass

@dataclass
class Point:
    x: int

class OwnError(Exception):
    pass

@flow.function(cpus=1)
def factorial(n: int) -> int:
    return 1 if n < 2 else n * factorial(n - 1)

@flow.function
def move(point: Point) -> Point:
    if point.x < 0:
        raise OwnError("negative")
    return Point(point.x + 1)

if __name__ == "__main__":
    assert factorial.remote(5) == 120
    assert move.remote(Point(1)) == Point(2)
    assert list(move.map([Point(1), Point(2)])) == [Point(2), Point(3)]
    try:
        move.remote(Point(-1))
    except OwnError as error:
        print("caught", error)
"""


@pytest.mark.parametrize("words", [["main.py"], ["-c", MAIN]], ids=["a script", "no file"])
def test_functions_and_classes_of_the_main_program_travel_themselves(place: Path, words: list[str]) -> None:
    (place / "main.py").write_text(MAIN)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "caught negative\n"), done.stderr


def test_arguments_of_any_size_arrive() -> None:
    data = os.urandom(5_000_000)
    assert flow.invoke(len, args=[data], stream=False) == len(data)


def test_recursion_without_end_is_an_error_of_the_function(place: Path) -> None:
    (place / "src" / "deep.py").write_text("def f(n):\n    return f(n + 1)\n")
    with pytest.raises(RecursionError):
        flow.invoke("src/deep.py", "f", args=[0], stream=False)


def test_of_several_nodes_rank_0_has_the_value(place: Path) -> None:
    (place / "src" / "rank.py").write_text("import os\n\ndef f():\n    return int(os.environ['RANK'])\n")
    assert flow.invoke("src/rank.py", "f", num_instances=2, stream=False) == 0


def test_a_policy_and_a_profiles_defaults_leave_the_function_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    text = "default: here\nprofiles:\n  here: {provider: local, defaults: {env: {WORD: given}}}\n"
    (home / "config.yaml").write_text(text)
    assert flow.invoke(os.getenv, args=["WORD"], stream=False) == "given"


def test_large_arrays_come_back_as_parts_of_their_own() -> None:
    numpy = pytest.importorskip("numpy")
    found = flow.invoke(numpy.arange, args=[500_000], stream=False)
    assert found.sum() == 499_999 * 250_000
    found[0] = 7  # its own copy
    assert found[0] == 7
