"""Decades by which D* of the native ions falls when foreign ions replace them, by jumping.

Two Gaussians of 250 meV, 323 K, a tenth of the sites vacant. With the 122 neighbours within three
distances on a simple cubic lattice the mean field of `cait_helpers.pair` should be met; with the
twelve nearest on fcc it should not, and D* still bends in the windows: two of them tell how much.
The fall is counted from y = 0.97, where both kinds are there to move.

    python benchmarks/pair_study.py [landscapes]
"""

import sys

import numpy as np

from cait_helpers.landscape import gaussian_sed
from cait_helpers.pair import pair_landscape
from cait_helpers.pair_walk import walk_pair

TEMPERATURE, OCCUPANCY = 323.15, 0.9
BOXES = {
    "sc, 122 neighbours": {"lattice": "sc", "size": 13, "reach": 3.0, "jumps": 16},
    "fcc, 12, window 16": {"lattice": "fcc", "size": 11, "jumps": 16},
    "fcc, 12, window 64": {"lattice": "fcc", "size": 11, "jumps": 64},
}


def study(landscapes: int) -> None:
    sed = gaussian_sed(0.250)
    print("boxes               correlation  y      measured        mean field  medium  errors off")
    for name, box in BOXES.items():
        factor = 0.781451 if box["lattice"] == "fcc" else 1.0
        for correlation in (0.0, 0.5, 1.0):
            pair = pair_landscape(sed, sed, correlation)
            rows = []
            for seed, y in enumerate((0.97, 0.1, 0.03), start=1):
                run = walk_pair(pair, y, TEMPERATURE, OCCUPANCY, seed=seed, landscapes=landscapes,
                                **box)  # fmt: skip
                exact = [
                    pair.coefficients(run.y, TEMPERATURE, OCCUPANCY, lattice_factor=f).D_native
                    for f in (1.0, factor)
                ]
                D, error = run.D_tracer[0], run.tracer_error[0] / run.D_tracer[0] / np.log(10)
                rows.append((run.y, *np.log10([D, *exact]), error))
            for y, D, mean_field, medium, error in rows[1:]:
                _, D_0, mean_field_0, medium_0, error_0 = rows[0]
                off = np.hypot(error, error_0)
                fall, expected = D_0 - D, mean_field_0 - mean_field
                print(
                    f"{name:19} {correlation:11.1f}  {y:.3f}  {fall:6.3f} +- {off:.3f}"
                    f" {expected:13.3f} {medium_0 - medium:7.3f} {(fall - expected) / off:11.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    study(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
