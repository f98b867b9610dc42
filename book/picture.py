"""The landing page: the picture of README.md, and the explorer that stands below it on the page.

python book/picture.py                       writes book/assets/result.png
python book/picture.py elsewhere.png
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy.constants import e
from slim import ROOT

import cait_helpers as cait
from cait_helpers.figures import landscape_figure, plot_profile, plot_sed
from cait_helpers.teaching import Sweep, explorer_page, given

PICTURE = ROOT / "book" / "assets" / "result.png"


def landing_explorer() -> str:
    """Return the HTML of the explorer on the landing page: find the landscape by hand.

    The rubidium run, with the diffusion coefficient of lithium in the bulk from its conductivity.
    """
    case = cait.read_case(ROOT / "data" / "rb_on_lbo.toml")
    profile = case.profile()
    charge = cait.Charge(case.charge)
    D_bulk = case.conductivity * case.glass.thermal_voltage / (e * case.glass.ion_density)

    def draw(width: float, rubidium: float) -> str:  # how much slower it is than lithium
        sed = cait.gaussian_sed(width)
        law = cait.activated_diffusivity(sed, D_bulk, case.glass.temperature, 0.9)
        ions = {"Li": law, "Rb": D_bulk / rubidium}
        run = cait.simulate(case.glass, ions, "Li", "Rb", case.drive, charge, mesh=150)
        squares = {"model": 0.0, "noise": 0.0}
        _, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3), width_ratios=(3, 2))
        plot_profile(left, profile, depth=140e-9)
        for ion, counts in cait.fit.expected_counts(run, case, profile).items():
            expected = (counts - profile.background[ion]) / profile.scale[ion]
            left.plot(profile.depth * 1e9, expected, "k-", lw=1.2)
            off, noise = profile.fraction[ion] - expected, profile.sigma[ion]
            squares["model"] += np.mean(off[profile.used] ** 2) / 2
            squares["noise"] += np.mean(noise[profile.used] ** 2) / 2
        left.set_title("profiles in")
        left.legend(loc="center left")
        plot_sed(right, sed, 0.9, run.plateau)
        right.set(title="landscape out", xlabel="energy / meV", xlim=(-600, 400), ylim=(0, 6.6))
        missed, noise = (100 * float(square) ** 0.5 for square in squares.values())
        verdict = "misses the points" if missed > 1.3 * noise else "runs through the points"
        stays = 100 * run.plateau
        return (
            f"With a landscape {width * 1e3:.0f} meV wide, {stays:.1f} % of the lithium stays "
            f"behind the front. The model {verdict}: they lie {missed:.1f} % of the bulk "
            f"from it on average, and their noise is {noise:.1f} %."
        )

    law = cait.activated_diffusivity(cait.gaussian_sed(0.25), D_bulk, case.glass.temperature, 0.9)
    run = given.run_settings(case.glass, law, 0.25)
    numbers = given.measured_run(case, profile) | {
        "run": run | {"voltage": case.drive.value, "charge": case.charge},
        "law": given.law_settings(case.glass, law, 0.25),
        "foreign": "rubidium",
    }
    with plt.style.context(cait.style):
        return explorer_page(
            draw,
            "find",
            numbers,
            width=Sweep((150, 350), "meV", 1e-3, start=230),
            rubidium=Sweep((2_500, 160_000), "times slower", start=10_000),
        )


def main(target: Path) -> None:
    plt.switch_backend("agg")
    plt.style.use(cait.style)
    fit = cait.fit_landscape(
        [cait.read_case(ROOT / "data" / f"{ion}_on_lbo.toml") for ion in ("k", "rb", "cs")]
    )
    drawn = io.BytesIO()
    landscape_figure(fit).savefig(drawn, format="png", dpi=150)
    # 64 colours do for a line drawing, at a third of the size.
    Image.open(drawn).convert("RGB").quantize(64).save(target, format="png", optimize=True)
    print(f"{target}: {target.stat().st_size / 1e3:.0f} kB\n{fit.report()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
