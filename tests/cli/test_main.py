"""From arguments to an exit status."""

from __future__ import annotations

import errno
import os
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import pytest

from flow_core import errors
from flow_core.cli import _app, _failure, _main
from flow_core.cli._invocation import Invocation, TaskStatus

if TYPE_CHECKING:
    from conftest import Answer, Program

    Here = Callable[..., Answer]


def _raising(error: BaseException) -> click.Command:
    def callback() -> NoReturn:
        raise error

    return click.Command("broken", callback=callback)


def _answering(status: int) -> click.Command:
    return click.Command("fine", callback=lambda: status)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Callable[[click.Command], None]:
    """Put another command in the place of ``flow``."""
    return lambda command: monkeypatch.setattr(_app, "app", command)


KINDS = [
    errors.ConfigError,
    errors.AuthError,
    errors.NotFoundError,
    errors.CapabilityError,
    errors.ConflictError,
    errors.UnavailableError,
    errors.ProviderError,
    errors.QuotaError,
    errors.PluginError,
    errors.StateError,
    errors.TransientError,
    errors.TaskLostError,
    errors.PolicyError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_class_of_error_has_its_exit_code_and_word(
    app: Callable[..., None], here: Here, kind: type[errors.FlowError]
) -> None:
    app(_raising(kind("what happened", "what to do")))
    answer = here()
    assert answer.status == kind.exit_code
    assert answer.err == f"  hint: what to do\nflow: error[{kind.code}]: what happened\n"
    assert errors.EXIT_CODES[answer.status] == kind.code


def test_the_last_line_is_one_line_whatever_the_message_holds(app: Callable[..., None], here: Here) -> None:
    app(_raising(errors.AuthError("one\n  two")))
    assert here().last_line == "flow: error[AUTH]: one two"


def test_an_unexpected_exception_is_a_fault_of_flow_without_a_traceback(app: Callable[..., None], here: Here) -> None:
    app(_raising(ZeroDivisionError("by nothing")))
    answer = here()
    assert answer.status == 70
    assert answer.last_line == "flow: error[INTERNAL]: ZeroDivisionError: by nothing"
    assert "report it" in answer.err
    assert "Traceback" not in answer.err


def test_flow_debug_shows_the_traceback_first(
    app: Callable[..., None], here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOW_DEBUG", "1")
    app(_raising(ZeroDivisionError("by nothing")))
    answer = here()
    assert answer.err.startswith("Traceback")
    assert answer.last_line == "flow: error[INTERNAL]: ZeroDivisionError: by nothing"


def test_a_full_disk_is_told_as_such(app: Callable[..., None], here: Here) -> None:
    app(_raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    assert here().last_line == "flow: error[STATE]: cannot write: No space left on device"


def test_ctrl_c_ends_quietly_with_130(app: Callable[..., None], here: Here) -> None:
    app(_raising(KeyboardInterrupt()))
    answer = here()
    assert (answer.status, answer.out, answer.err) == (130, "", "")


def test_a_closed_pipe_ends_silently(flow: Program) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        process = flow.start("--help", stdout=closed)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


def test_a_full_stdout_is_an_error(flow: Program) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "wb") as full:
        process = flow.start("--help", stdout=full)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 73
    assert err.decode().splitlines()[-1] == "flow: error[STATE]: cannot write: No space left on device"


@pytest.mark.parametrize(("status", "words"), [(TaskStatus(70), "task 70\n"), (70, "flow 70\n"), (0, "flow 0\n")])
def test_the_exit_file_says_whose_status_it_is(
    app: Callable[..., None], here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, words: str
) -> None:
    monkeypatch.setenv("FLOW_EXIT_FILE", str(tmp_path / "exit"))
    app(_answering(status))
    assert here().status == status
    assert (tmp_path / "exit").read_text() == words


def test_an_exit_file_that_cannot_be_written_is_a_warning(
    app: Callable[..., None], here: Here, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOW_EXIT_FILE", str(tmp_path))
    app(_answering(0))
    answer = here()
    assert answer.status == 0
    assert answer.err.startswith("flow: warning: cannot write FLOW_EXIT_FILE")


def test_a_warning_is_one_line_of_flows_own(app: Callable[..., None], here: Here) -> None:
    app(click.Command("warns", callback=lambda: warnings.warn("mind\nthis", stacklevel=1)))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert here().err == "flow: warning: mind this\n"


def test_a_plain_answer_of_a_command_is_success(app: Callable[..., None], here: Here) -> None:
    app(click.Command("odd", callback=lambda: "done"))
    assert here().status == 0


def test_text_that_the_terminal_cannot_show_does_not_fail(flow: Program) -> None:
    answer = flow("logs", "täsk", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert answer.status == 66


def test_an_error_of_a_subcommand_keeps_its_name_in_the_envelope() -> None:
    invocation = Invocation(["volume", "list", "--json"])
    invocation.json, invocation.command = True, "volume.list"
    assert invocation.wants_json
    assert _failure.understand(errors.QuotaError("no")).code == "QUOTA"
    assert _main.INTERRUPTED == 130


def test_the_module_and_the_program_are_the_same(flow: Program) -> None:
    from shutil import which

    program = which("flow", path=str(Path(os.path.dirname(os.sys.executable))))  # type: ignore[attr-defined]
    if program is None:
        pytest.skip("flow-core is not installed as a program here")
    done = subprocess.run([program, "--version"], env=dict(flow.environ), capture_output=True, check=True)
    assert done.stdout.decode() == flow("--version").out


def test_nothing_is_imported_from_the_folder_one_is_in(flow: Program) -> None:
    for name in ("click", "json", "yaml", "cattrs", "sqlite3", "importlib_metadata"):
        (flow.folder / f"{name}.py").write_text("raise SystemExit('imported')\n")
    answer = flow("run", "-q", "echo ran")
    assert (answer.status, answer.out, answer.err) == (0, "ran\n", "")
