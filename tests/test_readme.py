"""What README.md promises to somebody who has just cloned the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from slim import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The one fenced block of a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return found


def run(folder) -> subprocess.CompletedProcess:
    """Write the README's two files beside an export, and run the script there."""
    (folder / "my_run.toml").write_text(block("toml"), encoding="utf-8")
    (folder / "my_script.py").write_text(block("python"), encoding="utf-8")
    shutil.copy(ROOT / "data" / "rb_on_lbo.txt", folder / "my_export.txt")
    shutil.copy(ROOT / "data" / "rb_on_lbo_current.csv", folder / "my_current.csv")
    return subprocess.run(
        [sys.executable, "-W", "error", "my_script.py"],
        cwd=folder,
        env={"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )


def test_the_script_of_the_readme_finds_the_width_in_the_shipped_data(tmp_path):
    """The case file and the ten lines, word for word, on the rubidium export.

    The data were made with 250 meV; 2 meV is four times the interval of one ion.
    """
    outcome = run(tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    width = re.search(r"FWHM of the SED +([\d.]+) meV", outcome.stdout)
    assert float(width[1]) == pytest.approx(250, abs=2)
    assert "charge balance" in outcome.stdout
    assert (tmp_path / "my_report" / "landscape.png").stat().st_size > 10_000
    assert (tmp_path / "my_report" / "posterior.csv").stat().st_size > 10_000


def test_the_script_of_the_readme_has_ten_lines():
    lines = [line for line in block("python").splitlines() if line.strip()]
    assert len(lines) <= 10


def test_a_misspelt_key_of_the_case_file_is_named(tmp_path):
    """What the README says about such a key."""
    import cait_helpers as cait

    text = block("toml").replace("crater_depth", "crater_dept")
    (tmp_path / "my_run.toml").write_text(text, encoding="utf-8")
    with pytest.raises(cait.CaseError, match=r"sims\.crater_dept"):
        cait.read_case(tmp_path / "my_run.toml")


def test_the_readme_shows_the_result_with_an_alt_text_and_a_small_picture():
    """One picture, described in words; README pages are read on slow lines as well."""
    ((alt, path),) = re.findall(r"!\[(.*?)\]\((.*?)\)", README, re.DOTALL)
    assert len(alt) > 100
    assert (ROOT / path).stat().st_size < 80_000


def test_every_link_and_every_path_of_the_readme_exists():
    """On GitHub nothing else would notice."""
    links = re.findall(r"\]\((?!https?:)(.*?)\)", README)
    paths = re.findall(r"`([\w.-]+/[\w./-]*|[\w-]+\.(?:cff|lock))`", README)
    assert len(links) >= 5 and len(paths) >= 5
    missing = {path for path in (*links, *paths) if not (ROOT / path).exists()}
    assert missing <= {".venv/bin/python"}  # which make sets up


def test_binder_installs_what_the_lock_names_and_what_the_makefile_does():
    """A running copy in the cloud: the same versions, with the package beside them."""
    binder = ROOT / ".binder"
    assert (binder / "requirements.txt").read_text().split() == ["-r", "../requirements.lock"]
    assert (binder / "runtime.txt").read_text().strip() == "python-3.11"
    script = binder / "postBuild"
    assert script.stat().st_mode & 0o100, "the script is not executable"
    settings = "cp book/jupyter/labconfig/*.json"  # or the extension numbers equations again
    install = "pip install --no-deps --no-build-isolation"
    for command in (install, settings, "python book/export.py"):
        assert command in script.read_text()
    assert "--no-deps --no-build-isolation --editable ." in (ROOT / "Makefile").read_text()


def test_every_command_of_the_readme_is_a_target_of_the_makefile():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE))
    assert {"book", "test", "lab"} <= commands <= targets
