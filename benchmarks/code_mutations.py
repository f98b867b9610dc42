"""Change the package's code in one place, run its tests, and see whether any of them fails.

    python benchmarks/code_mutations.py onsager          # all places; tests/test_onsager.py
    python benchmarks/code_mutations.py sims --most 60   # a random sample of them
    python benchmarks/code_mutations.py npp --tests npp verification

A change that no test notices is printed with its line. Each is tried in a process of its own that
ends at the first test that fails; one that takes ten times as long as the sound code counts as
found.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot  # noqa: F401  what every child would load by itself
import numba  # noqa: F401
import pytest
import scipy.integrate
import scipy.interpolate
import scipy.optimize
import scipy.special  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.GtE, ast.LtE: ast.Lt, ast.Gt: ast.LtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
         "any": "all", "all": "any", "argmax": "argmin", "searchsorted": "digitize"}  # fmt: skip


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Where code can be changed: nodes outside messages, docstrings and annotations."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(
            node, ast.Raise | ast.JoinedStr | ast.arguments | ast.Import | ast.ImportFrom
        ):
            continue
        if isinstance(node, ast.AnnAssign) and node.value is None:
            continue
        if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in SWAPS:
            yield node, "op"
        elif isinstance(node, ast.BoolOp):
            yield node, "op"
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            yield node, "ops"
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            yield node, "value"
        elif isinstance(node, ast.UnaryOp):
            yield node, "unary"
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in NAMES:
            yield node.func, "attr"
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMES:
            yield node.func, "id"
        yield from places(node)


def change(node: ast.AST, what: str) -> str:
    """Change a node in place; returns what was done."""
    before = ast.unparse(node) if hasattr(node, "lineno") else ""
    if what == "op":
        node.op = SWAPS[type(node.op)]()
    elif what == "ops":
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif what == "value":
        value = node.value
        node.value = (
            not value if isinstance(value, bool) else value + 1 if value in (0, 1) else 2 * value
        )
    elif what == "unary":
        node.op = ast.Not() if isinstance(node.op, ast.USub) else ast.USub()
        node.operand = (
            ast.UnaryOp(ast.Not(), node.operand) if isinstance(node.op, ast.Not) else node.operand
        )
    else:
        setattr(node, what, NAMES[getattr(node, what)])
    return f"{before}  ->  {ast.unparse(ast.fix_missing_locations(node))}"


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The loader of one module with changed code."""

    def __init__(self, module: str, path: Path, tree: ast.Module) -> None:
        self.module, self.path, self.tree = module, path, tree

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        if name == self.module:
            return importlib.util.spec_from_file_location(name, self.path, loader=self)
        return None

    def get_filename(self, name: str) -> str:
        return str(self.path)

    def exec_module(self, module: object) -> None:
        exec(compile(self.tree, self.path, "exec"), module.__dict__)


class FirstFailure:
    """A plugin of pytest: a failure is enough, no time goes into its smallest example."""

    @staticmethod
    def pytest_configure() -> None:
        import hypothesis  # not before pytest has marked its modules for rewriting

        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("first failure", phases=phases)
        hypothesis.settings.load_profile("first failure")


def outcome(module: str, path: Path, tree: ast.Module, tests: list[str], most: float) -> str:
    """What the tests say of a changed module: "passed", "failed", or "late" after ``most`` s."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        sys.meta_path.insert(0, Changed(module, path, tree))
        code = 1
        try:
            options = ["-x", "-q", "-p", "no:cacheprovider"]
            code = int(pytest.main([*options, *tests], plugins=[FirstFailure()]))
        finally:
            os._exit(code)
    start = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return "passed" if os.waitstatus_to_exitcode(status) == 0 else "failed"
        if time.monotonic() - start > most:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "late"
        time.sleep(0.05)


def study(name: str, tests: list[str], most: int | None, seed: int) -> None:
    """Try the changes of one module and print which of them nothing noticed."""
    path = ROOT / "cait_helpers" / f"{name.replace('.', '/')}.py"
    module, sound = f"cait_helpers.{name}", ast.parse(path.read_text(encoding="utf-8"))
    numbers = list(range(len(list(places(sound)))))
    if most is not None and most < len(numbers):
        numbers = sorted(random.Random(seed).sample(numbers, most))
    start = time.monotonic()
    if outcome(module, path, sound, tests, 3600) != "passed":
        raise SystemExit(f"the tests of {name} fail with the sound code")
    limit, missed = 10 * (time.monotonic() - start) + 5, 0
    for number in numbers:
        tree = copy.deepcopy(sound)
        node, what = list(places(tree))[number]
        line, done = node.lineno, change(node, what)
        if outcome(module, path, tree, tests, limit) == "passed":
            missed += 1
            print(f"{name}:{line}  {done}", flush=True)
    found = len(numbers) - missed
    print(f"{name}: {found} of {len(numbers)} found, {found / len(numbers):.0%}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("module", help="of cait_helpers, such as onsager")
    parser.add_argument("--tests", nargs="+", help="names of test files without test_ and .py")
    parser.add_argument("--most", type=int, help="changes to try, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    os.chdir(ROOT)
    files = [f"tests/test_{name}.py" for name in given.tests or [given.module]]
    study(given.module, files, given.most, given.seed)
