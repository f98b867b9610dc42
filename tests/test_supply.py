"""What leaves the repository: the wheel, and what is said about its versions and licences."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import downloads
import licences
import pytest
import yaml
from slim import ROOT
from sphinx.errors import ExtensionError

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


def test_every_work_on_the_pages_is_listed_with_its_licence_in_full():
    """As the build wrote it below the pages: packages, what is in their files, and the texts."""
    text = (ROOT / "_build" / "html" / "downloads" / downloads.LICENCES).read_text("utf-8")
    head, *texts = text.split("-" * 72)
    for name in licences.PACKAGES:
        assert re.search(rf"^{name} \d+\.\d+.*: .+, [1-9]\d* files?$", head, re.MULTILINE), name
    for name in licences.EMBEDDED:
        assert re.search(rf"^{re.escape(name)} \d+\.\d+\.\d+: ", head, re.MULTILINE), name
    assert len(texts) >= len(licences.PACKAGES)
    assert all(re.search("permission|license|copyright", text, re.IGNORECASE) for text in texts)
    assert text.count("Apache License\n") >= 1


@pytest.fixture
def static(tmp_path):
    """What the pages hold of others, in a folder that may be changed."""
    built = ROOT / "_build" / "html" / "_static"
    return shutil.copytree(built, tmp_path / "_static", ignore=shutil.ignore_patterns("fonts"))


OURS = downloads.SCRIPTS | {path.name for path in (ROOT / "book" / "assets").iterdir()}


def test_a_file_of_unknown_origin_stops_the_build(static):
    """Be it one that no package brings, or one that has been changed by a byte."""
    assert licences.listed(static, OURS)
    with (static / "design-tabs.js").open("a") as file:
        file.write("\n")
    with pytest.raises(ExtensionError, match=r"design-tabs\.js: neither ours nor of Sphinx, "):
        licences.listed(static, OURS)
    (static / "design-tabs.js").unlink()
    (static / "analytics.js").write_text("track()")
    with pytest.raises(ExtensionError, match=r"_static/analytics\.js: neither ours"):
        licences.listed(static, OURS)


def test_a_work_inside_a_file_must_say_its_version(static, monkeypatch):
    """A file of ours in its place, or one of another major version, is no answer."""
    monkeypatch.setattr(licences, "EMBEDDED", {"D3": ("design-tabs.js", r"D3 v(\d+)", "ISC")})
    with pytest.raises(ExtensionError, match=r"design-tabs\.js does not say its version"):
        licences.listed(static, OURS)
