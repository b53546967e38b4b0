"""Nodes without a shared folder tell each other what they wrote."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .machine import DEADLINE, until

NODE = """
import sys, time, types
from flow_core.runner.peers import Peers
folder, rank, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
peers = Peers(folder, types.SimpleNamespace(peers={"address": "127.0.0.1", "port": port, "token": "the-token"}), [rank])
peers.look()
peers.start()
while True:
    peers.look()
    time.sleep(0.02)
"""
Node = Callable[[int], "subprocess.Popen[bytes]"]


@pytest.fixture
def port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@pytest.fixture
def node(tmp_path: Path, port: int) -> Iterator[Node]:
    """Starts the node of a rank, a process with a folder of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(rank: int) -> subprocess.Popen[bytes]:
        (tmp_path / str(rank)).mkdir(exist_ok=True)
        words = [sys.executable, "-c", NODE, str(tmp_path / str(rank)), str(rank), str(port)]
        started.append(subprocess.Popen(words))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(DEADLINE)


def write(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    new = folder / path.replace("/", "-")
    new.write_text(text)
    new.rename(folder / path)


def arrives(folder: Path, path: str, text: str) -> None:
    until(f"{path} in {folder.name}", lambda: (folder / path).is_file() and (folder / path).read_text() == text)


def test_what_one_rank_writes_reaches_all(node: Node, tmp_path: Path) -> None:
    for rank in (0, 1, 2):
        node(rank)
    write(tmp_path / "1", "attempts/1/1/exit", "x 3\n")

    arrives(tmp_path / "0", "attempts/1/1/exit", "x 3\n")
    arrives(tmp_path / "2", "attempts/1/1/exit", "x 3\n")


def test_a_cut_line_is_made_again_and_everything_said_again(node: Node, tmp_path: Path) -> None:
    first = node(0)
    node(1)
    write(tmp_path / "1", "attempts/1/1/exit", "w 1\n")
    arrives(tmp_path / "0", "attempts/1/1/exit", "w 1\n")
    first.kill()
    first.wait(DEADLINE)
    write(tmp_path / "1", "attempts/1/1/exit", "w 1\nx 0\n")
    node(0)

    arrives(tmp_path / "0", "attempts/1/1/exit", "w 1\nx 0\n")


def test_whoever_lacks_the_token_is_told_nothing_and_believed_nothing(node: Node, tmp_path: Path, port: int) -> None:
    write(tmp_path / "0", "attempts/1/0/exit", "x 0\n")
    node(0)

    def line() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        except OSError:
            return None

    with until("it listens", line) as stranger:
        frame = json.dumps({"path": "control/cancel", "data": "now"})
        stranger.sendall(f'{{"token": "a-guess"}}\n{frame}\n'.encode())
        with suppress(ConnectionResetError):
            assert stranger.recv(100) == b""
    assert not (tmp_path / "0" / "control").exists()


def test_a_frame_cannot_write_elsewhere_nor_a_ranks_own_end(node: Node, tmp_path: Path, port: int) -> None:
    write(tmp_path / "0", "attempts/1/0/exit", "x 0\n")
    node(0)

    def line() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        except OSError:
            return None

    with until("it listens", line) as peer:
        peer.sendall(b'{"token": "the-token"}\n')
        for path in ("../elsewhere", "bundle.json", "attempts/1/0/exit", "attempts/1/1/exit"):
            peer.sendall(json.dumps({"path": path, "data": "x 9\n"}).encode() + b"\n")
        arrives(tmp_path / "0", "attempts/1/1/exit", "x 9\n")

    assert (tmp_path / "0" / "attempts/1/0/exit").read_text() == "x 0\n"
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "0" / "bundle.json").exists()
