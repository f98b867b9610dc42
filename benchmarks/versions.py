"""Run the tests and every chapter's stored outputs on the oldest and the newest packages.

    python benchmarks/versions.py                        # all settings, about 20 minutes each
    python benchmarks/versions.py oldest-3.11            # one of them
    python benchmarks/versions.py newest-3.13 -k front   # what follows goes to pytest

Each setting is a Python and the way uv resolves ``pyproject.toml``: the lowest versions that it
allows, or the highest there are. The environments live in ``.venv-versions``. The tests that need
the built book or a browser are left out: they are not about versions.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = {
    # the pyparsing of its time: to a newer one the oldest matplotlib is deprecated, which fails
    "oldest-3.11": ("3.11", "lowest-direct", "pyparsing<3.3"),
    "newest-3.12": ("3.12", "highest"),
    "newest-3.13": ("3.13", "highest"),
}
SHOWN = ("numpy", "scipy", "numba", "matplotlib", "ipywidgets")
BUILT = re.compile(r"_build|open_browser")


def environment(name: str) -> Path:
    """The interpreter of a setting, with the package and its tests' needs installed."""
    version, resolution, *more = SETTINGS[name]
    folder = ROOT / ".venv-versions" / name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "--quiet", "--python", version, folder], check=True)
    subprocess.run(
        ["uv", "pip", "install", "--quiet", "--python", python, "--resolution", resolution,
         "--editable", f"{ROOT}[test]", *more],
        check=True,
    )  # fmt: skip
    return python


def versions(python: Path) -> str:
    """The versions that matter, as one line."""
    asked = f"import importlib.metadata as m; print(*(f'{{n}} {{m.version(n)}}' for n in {SHOWN}))"
    return subprocess.check_output([python, "-c", asked], text=True).strip()


def run(name: str, more: list[str]) -> bool:
    """Run one setting and print its line; whether all passed."""
    python = environment(name)
    print(f"{name}: {versions(python)}", flush=True)
    tests = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if not BUILT.search(path.read_text(encoding="utf-8"))
    ]
    cache = ROOT / ".venv-versions" / f"{name}-numba"
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    done = subprocess.run(
        [python, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-q", "-p", "no:cacheprovider",
         *tests, "--nbval", "chapters", *more],
        cwd=ROOT, env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PATH": path},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    print(*failed, f"{name}: {lines[-1] if lines else 'nothing printed'}", sep="\n", flush=True)
    (ROOT / ".venv-versions" / f"{name}.log").write_text(done.stdout, encoding="utf-8")
    return done.returncode == 0


if __name__ == "__main__":
    chosen = [given for given in sys.argv[1:] if given in SETTINGS]
    rest = [given for given in sys.argv[1:] if given not in SETTINGS]
    passed = [run(name, rest) for name in chosen or SETTINGS]
    sys.exit(0 if all(passed) else 1)
