"""Print the continuum limits of the problems from two codes that share nothing but the physics.

Ours: many cells that follow the front. IDA: cells of one size, halved, with tight tolerances, the
central fluxes extrapolated by Richardson (second order). ``problems.FRONTS`` and ``PLATEAUS`` hold
the figures on which both agree.
"""

from __future__ import annotations

import peers
from problems import FRONTS, PLATEAUS, PROBLEMS, reference, uniform_mesh

SIZES = {"i": (0.125, 0.0625), "ii": (0.1, 0.05), "iii": (0.1, 0.05)}


def main() -> None:
    for name, problem in PROBLEMS.items():
        ours = reference(name)
        found = []
        for size in SIZES[name]:
            mesh = uniform_mesh(problem, size, 1.01 * FRONTS[name], 1.2)
            tight = (1e-5, 1e-5, 1e-6) if problem.voltage is None else (1e-6, 1e-4, 1e-4)
            found.append(peers.ida(problem, mesh, *tight)()[0])
        for what, stored in (("front", FRONTS), ("plateau", PLATEAUS)):
            coarse, fine = (getattr(profile, what) for profile in found)
            limit = fine + (fine - coarse) / 3
            own = getattr(ours, what)
            print(
                f"({name}) {what:8} ours {own:.6g}  IDA {coarse:.6g} {fine:.6g} -> {limit:.6g}"
                f"  difference {own / limit - 1:+.1e}  stored {stored[name]:.6g}",
                flush=True,
            )


if __name__ == "__main__":
    main()
