"""Damage exports, currents and case files at random: each is read or refused, soon, and in words.

    python benchmarks/mutations.py 100000
    python benchmarks/mutations.py 2000 7     another seed

Anything but a SimsError or a CaseError is a fault of the readers, as is a file that takes more
than five seconds of the processor. The peak of the memory is printed.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

import cait_helpers as cait
from cait_helpers.cases import CaseError, read_case
from cait_helpers.exports import read_sims
from cait_helpers.tables import SimsError, read_current

LIMIT = 5  # s of the processor, for one file
CYCLES, IONS = 40, ("total", "Li+", "B+", "K+")
CASE = """title = "K+"
profile = "k.txt"
current = "current.csv"
[ions]
native = "Li+"
foreign = "K+"
matrix = "B+"
[glass]
thickness = 0.5e-3
ion_density = 1.38e28
permittivity = 8.0
temperature = 323.15
area = 2e-5
conductivity = 1e-7
[run]
voltage = 20
[sims]
crater_depth = 80e-9
resolution = {sigma = 2e-9, decay_up = 1e-9}
background = {"K+" = 1.5}
leave_out = [3, 4]
pulses = 1e6
"""
CURRENT = "time / s, current / A\n0, 1e-8\n1e5, 0.9e-8\n2e5, 0.8e-8\n3e5, 0.7e-8\n"


def originals() -> dict[str, bytes]:
    """Sound files of every layout; a profile with a front in the middle."""
    rng = np.random.default_rng(1)
    share = 1 / (1 + np.exp(-(np.arange(CYCLES) - 18.5)))
    means = np.column_stack([3e4 + 0 * share, 8e3 * share + 1, 2e4 + 0 * share, 6e3 * (1 - share)])
    counts = rng.poisson(means)
    rows = [(2.0 * i, row) for i, row in enumerate(counts)]
    plain = ["# K+ on a glass", "time / s, " + ", ".join(IONS)]
    plain += [f"{t}, " + ", ".join(map(str, row)) for t, row in rows]
    german = ["Zeit / s;" + ";".join(IONS)]
    german += [f"{t};".replace(".", ",") + ";".join(map(str, row)) for t, row in rows]
    three = ["\t" + "\t".join(IONS), "\t\t7.016\t11.009\t38.964"]
    three += ["Sputter Time (s)" + "\tIntensity (Raw)" * 4]
    three += [f"{t}\t" + "\t".join(map(str, row)) for t, row in rows]
    four = ["# Profile Smoothing is Disabled", "#\t\t" + "\t".join(IONS) + "\tK+ / B+\t"]
    four += ["#\t\tN/A\t7.016\t11.009\t38.964\tN/A\t"]
    four += ["#Data Point #\tSputter Time (s)" + "\tIntensity" * 5 + "\t"]
    four += [f"{i}\t{t}\t" + "\t".join(map(str, r * 1.0002)) + "\tinf\t"
             for i, (t, r) in enumerate(rows, 1)]  # fmt: skip
    four += [f"{CYCLES + 1}\t{2 * CYCLES}\t0\t0\t0\t0\tinf\t"]
    sector = ["*** DATA FILES ***", "", "*** DATA START ***", "", "glass.dp"]
    sector += [";;;".join(IONS) + ";;;", ";".join(["Time[s];Depth[nm];I[c/s]"] * 4)]
    sector += [";".join(f"{t + k / 4:.5E};;{max(c, 1e-3):.5E}" for k, c in enumerate(row))
               for t, row in rows]  # fmt: skip
    sector += ["", "*** DATA END ***", "", "Total sputtering time (s);80", ""]
    sector += ["*** MEASUREMENT CONDITIONS, glass.dp ***:", "Species;Mass;Detector;WT(s);CT(s)"]
    sector += [f"{ion};7.0;EM;0.1;1.0" for ion in IONS]
    text = {"plain": plain, "german": german, "three": three, "four": four, "sector": sector}
    found = {name: ("\n".join(lines) + "\n").encode() for name, lines in text.items()}
    return found | {
        "utf-16": found["plain"].decode().encode("utf-16"),
        "current": CURRENT.encode(),
        "case": CASE.encode(),
    }


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four random changes of a file."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        size = len(data)
        if not size:
            return data
        a, b = sorted((rng.randrange(size), min(size, rng.randrange(size) + rng.randrange(40))))
        lines = data.split(b"\n")
        line = rng.randrange(len(lines))
        what = rng.randrange(24)
        if what == 0:
            data = data[:a] + bytes([rng.randrange(256)]) + data[a + 1 :]
        elif what == 1:
            data = data[:a] + rng.randbytes(rng.randint(1, 8)) + data[a:]
        elif what == 2:
            data = data[:a] + data[b:]
        elif what == 3:
            data = data[:b] + data[a:]
        elif what == 4:
            data = data[:a]
        elif what == 5:
            lines[line], lines[-1 - line] = lines[-1 - line], lines[line]
            data = b"\n".join(lines)
        elif what == 6:
            del lines[line]
            data = b"\n".join(lines)
        elif what == 7:
            word = rng.choice([b"1e400", b"-1", b"nan", b"inf", b"1.234", b"1,234", b"", b"9" * 400,
                               b'"', b"\x00", b"*** DATA END ***", b"(", b"[A]", b" / ", b"1e-999",
                               b"Time (s)", b"Intensity", b"\xff\xfe", b"0", b"K+"])  # fmt: skip
            data = data[:a] + word + data[a + rng.randint(0, 6) :]
        elif what == 8:
            one, two = rng.sample([b",", b";", b"\t", b".", b" ", b"\n", b"\r\n"], 2)
            data = data.replace(one, two, rng.choice([1, -1]))
        elif what == 9:
            data = data[:a] + other[rng.randrange(len(other)) :]
        elif what == 10:
            data = data[:a] + data[a : a + 30] * rng.randint(2, 200) + data[a:]
        elif what == 11:
            lines[line] = b"\t".join([b"K+"] * rng.randint(1, 300))
            data = b"\n".join(lines)
        else:  # another number
            digits = [i for i in range(a, min(a + 200, size)) if 48 <= data[i] < 58]
            if digits:
                i = rng.choice(digits)
                data = data[:i] + rng.choice([b"0", b"7", b"42", b"3.5", b"9e9"]) + data[i + 1 :]
    return data


def read(kind: str, path: Path, rng: random.Random) -> str:
    """Read a file as a user would; ``"read"`` or ``"refused"``."""
    try:
        if kind == "case":
            read_case(path).profile()
        elif kind == "current":
            record = read_current(path)
            assert np.all(np.isfinite(record.current)) and np.all(np.diff(record.time) > 0)
        else:
            recording = read_sims(path)
            for ion in recording.channels:
                assert np.all(recording.intensity[ion] >= 0)
                assert recording.time[ion].shape == recording.intensity[ion].shape
            if len(recording.channels) > 2:
                usual = set(IONS) <= {*recording.channels} and rng.random() < 0.8
                ions = ("Li+", "K+", "B+") if usual else rng.sample(recording.channels, 3)
                cait.normalise(recording, *ions, 80e-9, pulses=rng.choice([None, np.inf, 1e6]))
    except (SimsError, CaseError):
        return "refused"
    except ValueError as error:
        if kind != "case" and "pulses" in str(error):  # more counts than pulses, as was stated
            return "refused"
        raise
    return "read"


def main(number: int, seed: int = 1) -> Counter:
    """Read that many damaged files; returns what became of them, and prints the faults."""
    rng, found = random.Random(seed), Counter()
    files = originals()
    longest = 0.0

    def late(*_: object) -> None:
        raise TimeoutError(f"more than {LIMIT} s")

    signal.signal(signal.SIGVTALRM, late)
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
        place = Path(folder)
        (place / "k.txt").write_bytes(files["three"])
        (place / "current.csv").write_bytes(files["current"])
        for _ in range(number):
            kind = rng.choice(sorted(files))
            data = mutated(files[kind], files[rng.choice(sorted(files))], rng)
            path = place / "mutant"
            path.write_bytes(data)
            start = time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
            try:
                found[read(kind, path, rng)] += 1
            except Exception:
                found["faults"] += 1
                if found["faults"] <= 5:
                    print(kind, repr(data[:300]))
                    traceback.print_exc()
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            longest = max(longest, time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{number} files, {found['faults']} faults; {dict(found)}; longest {longest:.2f} s,"
        f" peak of the memory {peak:.0f} MB"
    )
    return found


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])).get("faults", 0) > 0)
