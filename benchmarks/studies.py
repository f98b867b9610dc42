"""Run the long studies of the project and store what they find, for the chapter on trust.

    python benchmarks/studies.py [study ...]       run all of them, or some
    python benchmarks/studies.py --read study "departures.py 3000 60" log
                                                   take it from what a run has printed

Each study is a command of its own, and what it prints at its end is read here, number by number.
``benchmarks/studies.json`` holds the command, the numbers, and the time when they were found;
``chapters/trust.ipynb`` shows them. A study whose last line cannot be read stores nothing.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "benchmarks" / "studies.json"
NUMBER = r"([-+]?\d[\d.]*(?:e[-+]?\d+)?)"


@dataclass(frozen=True)
class Study:
    """A command, what its last lines say, and what a line of each of its cases says.

    In ``summary`` and ``row`` a name in braces stands for a number.
    """

    command: str
    summary: str
    row: str = ""


RANGE = (
    "{runs} runs at rtol = {rtol}: {refused} refused, {failed} failed, {unjudged} unjudged,"
    " {wrong} deviations"
)
HONEST = "true error over the estimate: median {median}, above 1 in {above}%"
STUDIES = {
    "solver": Study("range_study.py --draws 300 --seed 101", RANGE + ".*" + HONEST),
    "solver, loose": Study(
        "range_study.py --draws 300 --rtol 1e-2 --seed 102", RANGE + ".*" + HONEST
    ),
    "second runs": Study("range_study.py --draws 300 --sequels --seed 103", RANGE + ".*" + HONEST),
    "any accuracy": Study(
        "range_study.py --draws 3000 --stress --seed 104",
        "{runs} runs: {returned} came back, {faults} of them with faults, {refused} refused;"
        " the slowest took {slowest} s",
    ),
    "intervals": Study(
        "intervals.py 40 5000",
        "fwhm +held in {held} of {fitted}.*refused {refused}; median error of the width {median} %",
        "{seed} +{made} +{found} +{error}% +{sigma} +(?:yes|NO)",
    ),
    "departures": Study(
        "departures.py 5000 60",
        "held {held} of {fitted}; median half-width {half} meV;"
        " scatter of the estimates {scatter} meV, {truth} about the truth",
        "{seed} +{made} +{found} +{inner_low}- *{inner_high} +{low}- *{high} +(?:yes|NO)",
    ),
    "calls": Study("hostile.py", "{calls} calls of {doors} doors, {faults} faults"),
    "files": Study(
        "mutations.py 100000 7",
        "{files} files, {faults} faults;.*longest {longest} s, peak of the memory {memory} MB",
    ),
}


def numbers(pattern: str, text: str) -> list[dict[str, float]]:
    """Return the numbers of every match of a pattern, by their names in braces."""
    names = re.findall(r"\{(\w+)\}", pattern)
    form = re.compile(re.sub(r"\{\w+\}", lambda _: NUMBER, pattern), re.DOTALL)
    return [
        dict(zip(names, map(float, found.groups()), strict=True)) for found in form.finditer(text)
    ]


def result(name: str, printed: str, command: str = "") -> dict:
    """Return what a study has printed, as it is stored; ``command`` if it was not the usual one.

    Raises
    ------
    ValueError
        If its last lines are missing: the study has not ended.
    """
    study = STUDIES[name]
    found = numbers(study.summary, printed)
    if not found:
        raise ValueError(f"{name}: what it printed does not end with its result")
    entry = {"command": f"python benchmarks/{command or study.command}", "found": found[-1]}
    if study.row:
        entry["rows"] = numbers(r"(?m)^ *" + study.row, printed)
        if len(entry["rows"]) != entry["found"]["fitted"]:
            raise ValueError(f"{name}: of its cases {len(entry['rows'])} could be read")
    return entry


def store(name: str, printed: str, command: str = "") -> None:
    """Put the result of a study in its place."""
    stored = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    when = datetime.datetime.now(datetime.UTC).date().isoformat()
    stored[name] = result(name, printed, command) | {"when": when}
    ordered = {known: stored[known] for known in STUDIES if known in stored}
    STORE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the studies that are asked for, or read the log of one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join(STUDIES))
    parser.add_argument("--read", nargs=3, metavar=("study", "command", "log"))
    options = parser.parse_args()
    chosen = [options.read[0]] if options.read else options.studies or list(STUDIES)
    if unknown := set(chosen) - set(STUDIES):
        parser.error(f"no study: {sorted(unknown)}; there are {list(STUDIES)}")
    if options.read:
        _, command, log = options.read
        store(chosen[0], Path(log).read_text(encoding="utf-8"), command)
        return
    for name in chosen:
        script, *arguments = STUDIES[name].command.split()
        command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
        print(f"{name}: {STUDIES[name].command}", flush=True)
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        print(done.stdout[-1000:], done.stderr[-1000:])
        store(name, done.stdout)


if __name__ == "__main__":
    main()
