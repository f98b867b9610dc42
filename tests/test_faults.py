"""A full disk, damaged files, no folder to write to, odd surroundings: nothing half-written."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numba
import pytest
from slim import ROOT

SOURCE = "from cait_helpers.compiled import jit\n\n\n@jit\ndef third(v):\n    return v / 3.0\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A file with one compiled function, in a folder with blanks and letters of all kinds."""
    folder = tmp_path / "Gläser – Prüfung β, 玻璃"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")  # the files stand beside the source
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    (folder / "thirds.py").write_text(SOURCE, encoding="utf-8")
    return folder / "thirds.py"


def compiled(source: Path) -> bool:
    """Whether a new session has to compile; its result is right either way.

    Numba imports the module by its name when it reads a file of its own: it has to be known.
    """
    sys.modules.pop(source.stem, None)
    importlib.invalidate_caches()
    try:
        third = importlib.import_module(source.stem).third
        assert third(1.5) == 0.5
    finally:
        sys.modules.pop(source.stem, None)
    return not third.stats.cache_hits


@contextmanager
def full_disk():
    """No file grows beyond a block: the system's own answer to a disk without room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kept", [0, 10, 200])
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_file_of_the_compiler_is_made_anew(source, kind, kept):
    assert compiled(source)
    assert not compiled(source)
    (file,) = source.parent.glob(f"__pycache__/thirds.third-*.{kind}")
    file.write_bytes(file.read_bytes()[:kept])
    assert compiled(source)
    assert not compiled(source)


def test_a_full_disk_costs_a_compilation_and_leaves_no_part_of_a_file(source):
    with full_disk():
        assert compiled(source)
    assert not [path for path in source.parent.rglob("*.nb*") if "tmp" in path.name]
    assert compiled(source)
    assert not compiled(source)


def test_where_no_folder_can_be_written_every_session_compiles(source, tmp_path, monkeypatch):
    """Numba alone stops the import there. A file stands where each folder would be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(source))
    (source.parent / "__pycache__").write_text("no folder")
    assert compiled(source)
    assert compiled(source)


def test_sessions_that_compile_at_once_do_not_disturb_each_other(source):
    script = (
        "import sys, thirds\n"
        "print(flush=True)\nsys.stdin.readline()\nassert thirds.third(1.5) == 0.5"
    )
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": source.parent}
    sessions = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for one in sessions:
        one.stdout.readline()
    for one in sessions:
        one.communicate(b"\n", timeout=100)
        assert one.returncode == 0
    assert not compiled(source)


SURROUNDINGS = """
import sys
sys.stderr = None
import cait_helpers as cait
from cait_helpers import figures
from matplotlib import pyplot as plt
case = cait.read_case(sys.argv[1])
profile = case.profile()
assert profile.ok
call = dict(glass=case.glass, ions={"Li": 1e-18, "Rb": 1e-20}, native="Li", beam="Rb",
            drive=cait.Voltage(10.0), until=cait.Charge(20.0), rtol=1e-2)
(run,) = cait.simulate_many([call], progress=True)
figures.plot_run(plt.gca(), run)
plt.show()
plt.savefig(sys.argv[2])
print(ascii(case.title), profile.report().isascii(), str(run.doubts).isascii())
"""


def test_no_display_no_home_no_stderr_and_no_language(source):
    """What a service or a bare container gives: run from a folder with odd letters."""
    folder = source.parent
    for name in ("rb_on_lbo.toml", "rb_on_lbo.txt", "rb_on_lbo_current.csv"):
        shutil.copy(ROOT / "data" / name, folder)
    nowhere = {"HOME": str(source), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    outcome = subprocess.run(
        [sys.executable, "-c", SURROUNDINGS, "rb_on_lbo.toml", "Bild β.png"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | nowhere,
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert (folder / "Bild β.png").stat().st_size > 1000
