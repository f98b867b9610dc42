"""Two replacements in a row, Nernst-Planck-Poisson in full: conservation and the exact theory."""

from functools import cache

import numpy as np
import pytest
from scipy.constants import e, epsilon_0

import cait_helpers as cait

T, N = 323.15, 1.38e28
LAW = cait.activated_diffusivity(cait.gaussian_sed(0.250), 1e-18, T, 0.9)
RB, CS = 1e-18 * 10**-4.19, 1e-18 * 10**-4.89


@cache
def runs():
    """Rubidium at 10 V for about 100 nm, then caesium at 50 V for about 50 nm."""
    glass = cait.Glass(0.5e-3, N, 8.0, T)
    ions = {"Li": LAW, "Rb": RB}
    first = cait.simulate(glass, ions, "Li", "Rb", cait.Voltage(10.0), cait.Charge(215.0))
    ions["Cs"] = CS
    second = cait.simulate(
        glass, ions, "Li", "Cs", cait.Voltage(50.0), cait.Charge(110.0), start=first
    )
    return first, second


def test_a_double_replacement_conserves_all_three_ions():
    """Rb stays, Cs comes with the charge, Li leaves for it; to 1e-10 of what was exchanged.

    Of the charge the plate keeps what its field asks for: eps E at the back, by Gauss's law.
    """
    first, second = runs()
    charge = second.charge[-1] / e
    gained = {i: second.amount(i) - second.initial_amount[i] for i in ("Li", "Rb", "Cs")}
    assert second.resolved
    assert abs(gained["Rb"]) < 1e-10 * charge
    assert abs(gained["Cs"] / charge - 1) < 1e-10
    glass = second.glass
    field = second.potential[-1] / (0.5 * (second.nodes[-1] - second.nodes[-2]))
    kept = epsilon_0 * glass.permittivity * field / e
    kept -= sum(second.initial_amount.values()) - N * glass.thickness
    assert abs((gained["Li"] - kept) / charge + 1) < 1e-10
    assert abs(kept) < 1e-7 * charge
    # and nothing is lost between the runs
    assert second.initial_amount["Rb"] == pytest.approx(
        first.fraction["Rb"] @ np.diff(first.nodes) * N, rel=1e-10
    )


def test_the_second_front_is_the_exact_one_within_one_per_cent():
    """Depth, lithium behind and the bank of lithium ahead, from the theory of two ions."""
    _, second = runs()
    front, x = cait.front(LAW, CS), second.x
    li, rb = second.fraction["Li"], second.fraction["Rb"]
    behind = x < 80e-9
    place = float(np.interp(0.5, rb[behind], x[behind]))
    depth = float(front.depth(second.charge[-1], N))
    # lithium ahead: y (1 - D/D_foreign) is the same on both sides of the jump, upper branch
    passed = front.plateau * (1 - front.ratio)
    y = np.linspace(cait.front(LAW, RB).plateau, 1, 100_000)
    bank = float(y[np.argmin(np.abs(y * (1 - LAW(y) / RB) - passed))])
    found = np.interp(0.95 * depth, x, li)
    assert place == pytest.approx(depth, rel=0.01)
    assert found == pytest.approx(float(front.fan(0.95 * front.speed)), rel=0.01)
    assert np.interp(1.05 * depth, x, li) == pytest.approx(bank, rel=0.01)
