"""What leaves the repository: the wheel, and what is said about its versions and licences."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from slim import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("cait_helpers", "data"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip(["wheel", str(source), "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)])
    (built,) = folder.glob("*.whl")
    return built


def pip(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    outcome = subprocess.run([*command, "--no-index"], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr


def test_the_wheel_alone_runs_the_ten_lines_of_the_readme(wheel, tmp_path):
    """In a folder of its own, without the repository; only its dependencies come from here.

    That the named versions of the dependencies can be installed is not part of this test.
    """
    site, folder = tmp_path / "site", tmp_path / "with a blank, ü"
    folder.mkdir()
    pip(["install", "--no-deps", "--target", str(site), str(wheel)])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, language in (("my_run.toml", "toml"), ("my_script.py", "python")):
        (text,) = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "data" / "rb_on_lbo.txt", folder / "my_export.txt")
    shutil.copy(ROOT / "data" / "rb_on_lbo_current.csv", folder / "my_current.csv")
    with (folder / "my_script.py").open("a", encoding="utf-8") as script:
        script.write("\nprint('from', cait.__file__)\n")
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "my_script.py"],
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": "", "HOME": str(tmp_path), "LC_ALL": "C"},
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert f"from {site}" in outcome.stdout
    assert re.search(r"FWHM of the SED +2[45]\d", outcome.stdout)


def test_the_wheel_holds_the_package_its_licence_and_no_more(wheel):
    """Neither tests, chapters nor measured data; the style sheet, the report and the presets."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"cait_helpers", f"cait_helpers-{PROJECT['version']}.dist-info"}
    others = {n for n in names if n.startswith("cait_helpers/") and not n.endswith(".py")}
    assert others == {
        "cait_helpers/book.mplstyle",
        "cait_helpers/report.html",
        "cait_helpers/data/glasses.toml",
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_citation_says_what_the_package_says():
    """Version, licence and the paper, whose identifier the bibliography has as well."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    bibliography = (ROOT / "references.bib").read_text(encoding="utf-8").casefold()
    for work in citation["references"]:
        assert work["doi"].casefold() in bibliography


def test_every_locked_package_is_held_by_a_hash():
    """Also those that another system takes: the lock is one for all of them."""
    for lock in ("requirements.lock", "benchmarks/requirements.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if re.match(r"[\w.-]+ *==", line)]
        assert lines
        assert all("--hash=sha256:" in line for line in lines), lock
