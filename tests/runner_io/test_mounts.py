"""A task sees its mounts at their targets; the machine sees nothing of them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flow_core.runner import mounts

NOBODY = 65534

# Becomes another user as a login does; prctl does what an exec would: the process owns its /proc files again.
TASK = """
import ctypes, json, os, sys
sys.path.insert(0, sys.argv[1])
from runner import mounts
uid = int(sys.argv[2])
if uid != os.geteuid():
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
if sys.argv[3] == "possible":
    print(mounts.possible())
    sys.exit(0)
try:
    mounts.enter(json.loads(sys.argv[3]))
except mounts.MountError as error:
    print(error, file=sys.stderr)
    sys.exit(99)
os.execv("/bin/sh", ["sh", "-c", sys.argv[4]])
"""


class Machine:
    """Runs shell commands as a task of one user does, with mounts."""

    def __init__(self, uid, place):
        self.uid, self.place = uid, place
        (place / "alone").mkdir()
        shutil.copytree(Path(mounts.__file__).parent, place / "alone" / "runner")

    def source(self, **files):
        folder = Path(tempfile.mkdtemp(dir=self.place))
        for name, text in files.items():
            (folder / name).write_text(text)
            os.chown(folder / name, self.uid, self.uid)
        os.chown(folder, self.uid, self.uid)
        return folder

    def start(self, what, command=""):
        argv = [sys.executable, "-c", TASK, str(self.place / "alone"), str(self.uid), what, command]
        env = {**os.environ, "HOME": str(self.place), "TMPDIR": str(self.place)}
        return subprocess.run(argv, capture_output=True, text=True, cwd=self.place, env=env, timeout=20)

    def run(self, command, *listed):
        asked = [dict(zip(("source", "target", "read_only"), map(str, mount), strict=False)) for mount in listed]
        for mount in asked:
            mount["read_only"] = mount.get("read_only") == "True"
        return self.start(json.dumps(asked), command)

    def output(self, command, *listed):
        done = self.run(command, *listed)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(params=["root", "user"])
def machine(request):
    uid = os.geteuid()
    if request.param == "root" and uid != 0:
        pytest.skip("this test needs root")
    if request.param == "user" and uid == 0:
        uid = NOBODY
    place = Path(tempfile.mkdtemp(prefix="mounts-", dir="/tmp"))
    place.chmod(0o755)
    os.chown(place, uid, uid)
    machine = Machine(uid, place)
    reason = machine.start("possible").stdout.strip()
    try:
        if reason != "None":
            pytest.skip(reason)
        yield machine
    finally:
        shutil.rmtree(place)


@pytest.fixture(autouse=True)
def untouched():
    """Nothing is made in the host's own folders, and no mount is seen there."""
    folders = ("/", "/usr/share", "/etc", "/dev", "/home")
    before = {folder: sorted(os.listdir(folder)) for folder in folders}
    yield
    assert {folder: sorted(os.listdir(folder)) for folder in folders} == before
    # By name: other programs mount and unmount while this runs.
    names = ("flow-data", "flow-x", "flow-file", "/mounts-")
    seen = Path("/proc/self/mountinfo").read_text().splitlines()
    assert [line for line in seen if any(name in line.split()[4] for name in names)] == []


TARGETS = [
    "/flow-data",
    "/flow-data/deep/er",
    "/usr/share/flow-x",
    "/usr/share/flow-x/y",
    "/home/flow-x",
    "/mnt",
    "/tmp/flow-x",
]


@pytest.mark.parametrize("target", TARGETS)
def test_a_folder_is_at_its_target(machine, target):
    source = machine.source(f="hello")
    assert machine.output("cat %s/f" % target, (source, target)) == "hello"


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_written_to_a_target_is_in_its_source(machine, target):
    source = machine.source()
    machine.output("echo made > %s/new" % target, (source, target))
    assert (source / "new").read_text() == "made\n"
    assert (source / "new").stat().st_uid == machine.uid


@pytest.mark.parametrize("target", ["/flow-file", "/usr/share/flow-x/file", "/etc/hostname"])
def test_a_file_is_at_its_target(machine, target):
    source = machine.source(f="hello")
    assert machine.output("cat %s" % target, (source / "f", target)) == "hello"


@pytest.mark.parametrize("target", TARGETS)
def test_a_read_only_target_cannot_be_written(machine, target):
    source = machine.source(f="hello")
    done = machine.run("cat %s/f; echo x > %s/f" % (target, target), (source, target, True))
    assert done.stdout == "hello"
    assert "Read-only file system" in done.stderr
    assert (source / "f").read_text() == "hello"


def test_a_read_only_file_cannot_be_written(machine):
    source = machine.source(f="hello")
    done = machine.run("echo x > /flow-file", (source / "f", "/flow-file", True))
    assert "Read-only file system" in done.stderr


def test_what_is_mounted_below_a_read_only_source_is_read_only_too(machine):
    done = machine.run("touch /flow-dev/shm/flow-x", ("/dev", "/flow-dev", True))
    assert "Read-only file system" in done.stderr
    assert not Path("/dev/shm/flow-x").exists()


def test_a_source_without_devices_or_programs_is_not_given_them_by_read_only(machine):
    if os.geteuid() != 0:
        pytest.skip("a file system with such flags must be mounted first: needs root")
    source = machine.source(f="#!/bin/sh\n")
    (source / "f").chmod(0o755)
    script = 'mount -t tmpfs -o nosuid,nodev,noexec,noatime none "$1" && shift && exec "$@"'
    argv = [sys.executable, "-c", TASK, str(machine.place / "alone"), str(machine.uid)]
    asked = json.dumps([{"source": str(source), "target": "/flow-data", "read_only": True}])
    words = [
        "unshare",
        "-m",
        "sh",
        "-c",
        script,
        "sh",
        str(source),
        *argv,
        asked,
        "grep /flow-data /proc/self/mountinfo",
    ]
    done = subprocess.run(words, capture_output=True, text=True, cwd=machine.place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[5].split(",") == ["ro", "nosuid", "nodev", "noexec", "noatime"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_task_keeps_its_user_its_folder_and_the_system(machine, target):
    command = (
        "id -u; pwd; ls -di .; echo x > /dev/null && test -d /proc/$$ && ls /proc/self/exe;"
        "echo t > $TMPDIR/t; ls -d /bin/sh /sys/kernel"
    )
    plain = machine.output(command)
    assert machine.output(command, (machine.source(), target)) == plain
    assert plain.split()[:2] == [str(machine.uid), str(machine.place)]
    assert (machine.place / "t").read_text() == "t\n"


@pytest.mark.parametrize("folder", ["/", "/usr/share"])
def test_a_covered_folder_has_its_own_entries(machine, folder):
    command = "stat -Lc '%%n %%d %%i %%a' %s/* /etc/passwd /usr/bin /proc /dev/null 2> /dev/null; true" % folder
    plain = machine.output(command).splitlines()
    covered = machine.output(command, (machine.source(), os.path.join(folder, "flow-x"))).splitlines()
    mine = [line for line in covered if "flow-x" in line]
    assert len(mine) == 1
    assert [line for line in covered if line not in mine] == plain


def test_a_covered_folder_has_its_mode(machine):
    command = "stat -c %a / /tmp"
    assert machine.output(command, (machine.source(), "/flow-x"), (machine.source(), "/tmp/flow-x")) == machine.output(
        command
    )


def test_a_new_file_in_a_covered_folder_is_refused_and_not_lost(machine):
    done = machine.run("touch home/new", (machine.source(), machine.place / "home" / "data"))
    assert "Read-only" in done.stderr or "No such" in done.stderr
    folder = machine.source(kept="1")
    done = machine.run("cd %s && echo 2 > kept && touch new" % folder, (machine.source(), folder / "missing"))
    assert "Read-only file system" in done.stderr
    assert (folder / "kept").read_text() == "2\n"
    assert os.listdir(folder) == ["kept"]


def test_a_covered_folder_for_temporary_files_can_be_written(machine):
    assert machine.output("echo x > /tmp/flow-y && cat /tmp/flow-y", (machine.source(), "/tmp/flow-x")) == "x\n"
    assert not Path("/tmp/flow-y").exists()


def test_several_targets_below_one_missing_folder(machine):
    one, two = machine.source(f="1"), machine.source(f="2")
    listed = (
        (one, "/flow-x/one"),
        (two, "/flow-x/two/deep"),
        (one, "/usr/share/flow-x"),
        (two / "f", "/usr/share/flow-f"),
    )
    assert machine.output("cat /flow-x/*/f /flow-x/two/deep/f /usr/share/flow-x/f /usr/share/flow-f", *listed) == "1212"


def test_a_target_inside_another_is_made_in_its_source(machine):
    outer, inner = machine.source(f="outer"), machine.source(f="inner")
    command = "cat /flow-x/f /flow-x/a/b/f; echo new > /flow-x/new"
    assert machine.output(command, (inner, "/flow-x/a/b"), (outer, "/flow-x")) == "outerinner"
    assert (outer / "new").read_text() == "new\n"


def test_a_target_inside_a_read_only_one_leaves_its_source_alone(machine):
    outer, inner = machine.source(f="outer"), machine.source(f="inner")
    assert machine.output("cat /flow-x/f /flow-x/a/f", (outer, "/flow-x", True), (inner, "/flow-x/a")) == "outerinner"
    assert os.listdir(outer) == ["f"]


def test_a_source_that_another_target_hides_is_still_found(machine):
    one, two = machine.source(f="1"), machine.source(f="2")
    assert machine.output("cat %s/f /flow-x/f" % one, (two, one), (one, "/flow-x")) == "21"


def test_a_target_behind_a_symlink_is_found(machine):
    folder = machine.source()
    (folder / "link").symlink_to("/usr/share")
    assert machine.output("cat /usr/share/flow-x/f", (machine.source(f="1"), folder / "link" / "flow-x")) == "1"


def test_the_working_directory_can_be_a_target(machine):
    assert machine.output("pwd; cat f", (machine.source(f="1"), machine.place)) == "%s\n1" % machine.place


def test_a_target_below_the_working_directory(machine):
    assert machine.output("pwd; cat data/f", (machine.source(f="1"), machine.place / "data")) == "%s\n1" % machine.place
    assert not (machine.place / "data").exists()


def test_a_path_with_blanks_and_letters_of_any_language(machine):
    source = machine.source(f="1")
    target = "/flow x/dätä\\040"
    done = machine.run("cat '%s/f'; echo > '%s/f'" % (target, target), (source, target, True))
    assert done.stdout == "1"
    assert "Read-only file system" in done.stderr


def test_without_mounts_nothing_changes(machine):
    assert machine.output("readlink /proc/self/ns/mnt").strip() == os.readlink("/proc/self/ns/mnt")


def test_with_mounts_the_process_has_a_namespace_of_its_own(machine):
    assert machine.output("readlink /proc/self/ns/mnt", (machine.source(), "/mnt")).strip() != os.readlink(
        "/proc/self/ns/mnt"
    )


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ("/none/of/it", "/mnt", "source /none/of/it for /mnt cannot be opened"),
        ("relative", "/mnt", "absolute"),
        ("/usr", "mnt", "absolute"),
        ("/usr", "/mnt/../etc", "absolute"),
        ("/usr", "/", "would hide the system"),
        ("/usr", "/proc/flow", "would hide the system"),
        ("/usr", "/etc/hostname", "the source is a folder, the target a file"),
        ("/etc/hostname", "/usr", "the source is a file, the target a folder"),
        ("/usr", "/etc/hostname/x", "a part of the target's path is a file"),
        ("/usr", "/tmp", "working directory"),
    ],
)
def test_a_mount_that_cannot_be_says_why(machine, source, target, says):
    done = machine.run("echo ran", (source, target))
    assert (done.returncode, done.stdout) == (99, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_the_user_may_not_enter_is_no_place_for_a_target(machine):
    closed = machine.place / "closed"
    closed.mkdir(mode=0o700)
    if os.geteuid() != 0:
        closed.chmod(0)
    done = machine.run("echo ran", (machine.source(), closed / "data"))
    if machine.uid == 0:  # whom no folder is closed to
        assert (done.returncode, done.stdout) == (0, "ran\n")
        return
    assert (done.returncode, done.stdout) == (99, "")
    assert "Permission denied" in done.stderr


def test_possible_leaves_the_asking_process_as_it_is():
    before = os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/user")
    assert mounts.possible() is None or "ask" in mounts.possible() or "allow" in mounts.possible()
    assert (os.readlink("/proc/self/ns/mnt"), os.readlink("/proc/self/ns/user")) == before


def test_where_user_namespaces_are_off_the_reason_names_the_setting(machine):
    off = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin "$@"'
    argv = [sys.executable, "-c", TASK, str(machine.place / "alone"), "0", "possible"]
    done = subprocess.run(["unshare", "-Ur", "sh", "-c", off, "sh", *argv], capture_output=True, text=True)
    assert "user.max_user_namespaces is 0; ask for sysctl -w user.max_user_namespaces=" in done.stdout, done.stderr
