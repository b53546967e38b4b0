"""What importing and using the package brings in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import flow_core.spec


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import flow_core.spec",
        "from flow_core.spec import flags; flags()",
        "from flow_core.spec import read_mapping; read_mapping({'command': 'x', 'gpu': 'a100', 'env': {'A': '1'}})",
        "from flow_core.spec import read_mapping, to_mapping; to_mapping(read_mapping({'command': 'x'}))",
    ],
)
def test_yaml_and_cattrs_are_left_alone_until_they_are_needed(code: str) -> None:
    assert not {"yaml", "cattrs", "difflib", "jsonschema"} & loaded_after(code)


def test_reading_json_needs_no_yaml() -> None:
    code = (
        "import pathlib, tempfile\nfrom flow_core.spec import read_file\n"
        "path = pathlib.Path(tempfile.mkdtemp(), 'task.json')\npath.write_text('{\"command\": \"x\"}')\nread_file(path)"
    )
    assert "yaml" in loaded_after("import yaml")
    assert not {"cattrs"} & loaded_after(code)


def test_every_public_name_is_there() -> None:
    assert all(callable(getattr(flow_core.spec, name)) for name in flow_core.spec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = flow_core.spec.nothing
