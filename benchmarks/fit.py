"""What a fit costs: the joint fit of the three shipped profiles, its intervals and its posterior.

Prints seconds by the clock and of the processor (the clock also counts what else a machine does),
the simulations, and the evaluations of the polynomials between them.
"""

import time
from pathlib import Path

import cait_helpers as cait

DATA = Path(__file__).resolve().parent.parent / "data"
REPEATS = 3


def timed(task):
    """Fastest of a few runs, by the clock and of the processor (s), and the last result."""
    best = []
    for _ in range(REPEATS):
        clock, processor = time.perf_counter(), time.process_time()
        result = task()
        best.append((time.perf_counter() - clock, time.process_time() - processor))
    return (*map(min, zip(*best, strict=True)), result)


def main():
    cases = [cait.read_case(DATA / f"{ion}_on_lbo.toml") for ion in ("k", "rb", "cs")]
    cait.fit_landscape(cases)  # compiles
    print(f"{'task':46}{'clock / s':>10}{'processor / s':>15}")
    clock, processor, fit = timed(lambda: cait.fit_landscape(cases))
    point = clock, processor
    print(f"{f'joint estimate, {fit.evaluations} simulations':46}{clock:10.2f}{processor:15.2f}")
    names = [n for n in fit.free if n == "fwhm" or n.startswith("log10_")]

    def profiles():
        return [cait.likelihood_profile(fit, name) for name in names]

    clock, processor, _ = timed(profiles)
    text = f"... with {len(names)} profile-likelihood intervals"
    print(f"{text:46}{clock + point[0]:10.2f}{processor + point[1]:15.2f}")
    clock, processor = time.perf_counter(), time.process_time()
    posterior = cait.sample_posterior(fit, 20_000)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    text = f"posterior, 20,000 samples, {posterior.effective.min():.0f} effective"
    print(f"{text:46}{clock:10.2f}{processor:15.2f}")


if __name__ == "__main__":
    main()
