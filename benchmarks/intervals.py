"""Do the 95 % intervals hold the truth? A study on triples that share no code with the analysis.

``data/synthetic.py`` makes triples of experiments with widths from 80 to 350 meV, with a solver,
a landscape, a blur and errors of its own; `fit_landscape` fits each. Printed: how many intervals
of the width, and of the diffusivities, hold the truth, the errors of the width, and the runs and
seconds of a fit.

    python benchmarks/intervals.py [number of triples, 40] [first seed, 0]
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import cait_helpers as cait

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "data"))
import synthetic

PUBLISHED = (0.280, 0.320, 0.113)  # eV, of other glasses


def study(seed, fwhm=None):
    """Make and fit one triple; the truths, the fit, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        truths = synthetic.triple(folder, seed, fwhm)
        cases = [cait.read_case(Path(folder) / f"{ion}.toml") for ion in truths]
        start = time.perf_counter()
        fit = cait.fit_landscape(cases)
        return truths, fit, time.perf_counter() - start


def widths(number):
    """Evenly from 80 to 350 meV, in no order."""
    return np.random.default_rng(1).permutation(np.linspace(0.080, 0.350, number))


def holds(fit, truths):
    """Which of the intervals hold the truth, by name."""
    truth = {f"D_{ion}": t.D_foreign for ion, t in truths.items()}
    truth |= {"fwhm": truths["K"].fwhm, "D_bulk": truths["K"].D_bulk}
    return {name: fit.interval[name][0] <= t <= fit.interval[name][1] for name, t in truth.items()}


def main():
    number, first = (int(a) for a in (*sys.argv[1:], *(40, 0)[len(sys.argv) - 1 :]))
    print(f"{'seed':>5}{'made':>8}{'found':>8}{'error':>8}{'sigma':>7}{'held':>6}"
          f"{'chi2':>6}{'runs':>6}{'s':>6}")  # fmt: skip
    held, errors, errors_sigma, counts, seconds = [], [], [], [], []
    refused = 0
    for seed, fwhm in enumerate(widths(number), first):
        try:
            truths, fit, took = study(seed, fwhm)
        except (cait.FitError, cait.SimulationError) as error:
            refused += 1
            print(f"{seed:5}{1e3 * fwhm:8.1f}  refused: {error}")
            continue
        inside = holds(fit, truths)
        low, high = fit.interval["fwhm"]
        errors.append(fit.fwhm / fwhm - 1)
        errors_sigma.append((fit.fwhm - fwhm) / ((high - low) / 3.92))
        held.append(inside)
        counts.append(fit.evaluations)
        seconds.append(took)
        print(f"{seed:5}{1e3 * fwhm:8.1f}{1e3 * fit.fwhm:8.1f}{100 * errors[-1]:7.2f}%"
              f"{errors_sigma[-1]:7.2f}{'yes' if inside['fwhm'] else 'NO':>6}"
              f"{fit.reduced_chi_square:6.2f}{counts[-1]:6}{took:6.1f}", flush=True)  # fmt: skip
    for name in held[0]:
        print(f"{name:7} held in {sum(h[name] for h in held)} of {len(held)}")
    print(
        f"refused {refused}; median error of the width"
        f" {100 * np.median(np.abs(errors)):.2f} %, largest {100 * np.max(np.abs(errors)):.2f} %;"
        f" pulls: mean {np.mean(errors_sigma):.2f}, spread {np.std(errors_sigma):.2f}"
    )
    print(f"runs: median {statistics.median(counts):.0f}, largest {max(counts)};"
          f" seconds: median {statistics.median(seconds):.1f}")  # fmt: skip
    for seed, fwhm in enumerate(PUBLISHED, 1000):
        truths, fit, _ = study(seed, fwhm)
        low, high = (1e3 * v for v in fit.interval["fwhm"])
        print(f"published {1e3 * fwhm:.0f} meV: found {1e3 * fit.fwhm:.2f},"
              f" 95 % {low:.2f} to {high:.2f} meV")  # fmt: skip


if __name__ == "__main__":
    main()
