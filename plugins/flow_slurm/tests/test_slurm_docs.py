"""The examples of the guide do what they show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, blocks
from tests.docs.test_examples import Reader

from .cluster import Cluster

PAGE = ROOT / "docs" / "slurm.md"


@pytest.fixture
def reader(tmp_path: Path, cluster: Cluster) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    reader.environ.update(cluster.environment)
    yield reader
    reader.stop()


@pytest.mark.timeout(300)
def test_every_example_of_the_guide_does_what_it_shows(reader: Reader) -> None:
    for block in blocks(PAGE):
        try:
            _follow(reader, block)
        except Exception as error:
            raise AssertionError(f"docs/slurm.md:{block.line}: {error}") from error


def _follow(reader: Reader, block: Block) -> None:
    if block.language != "yaml" or block.name:  # a part of the settings is no task
        reader.follow(block)
