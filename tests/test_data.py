"""The data of the book: made by the script beside them, as the README says, and fit for use."""

from __future__ import annotations

import hashlib
import importlib.util
import re

import numpy as np
import pytest
from slim import ROOT

import cait_helpers as cait

DATA = ROOT / "data"
README = (DATA / "README.md").read_text(encoding="utf-8")
CASES = sorted(DATA.glob("*_on_lbo*.toml"))
PUBLISHED = {"K": 0.15, "Rb": 0.07, "Cs": 0.03}  # plateaus, doi 10.1039/d4cp00262h


def load_script():
    spec = importlib.util.spec_from_file_location("make_data", DATA / "make_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_data = load_script()
EXPERIMENTS = {experiment.ion: experiment for experiment in make_data.EXPERIMENTS}


def each(argument, values):
    return pytest.mark.parametrize(argument, values, ids=lambda v: getattr(v, "stem", v))


def test_the_script_makes_the_files_that_are_committed_bit_for_bit():
    """And makes all of them: every case file, and whatever the case files name."""
    made = {name: text.encode("latin-1") for name, text in make_data.files()}
    assert {name for name in made if (DATA / name).read_bytes() != made[name]} == set()
    named = {path.name for path in CASES}
    for case in map(cait.read_case, CASES):
        named |= {case.profile_path.name, case.record.source.path.name}
    assert named == set(made)


def test_the_readme_states_the_sha256_of_every_file():
    """The table neither forgets a file of the script, or its stored runs, nor invents one."""
    stated = dict(re.findall(r"^\| `(\S+)` \|.*\| `([0-9a-f]{64})` \|$", README, re.MULTILINE))
    assert set(stated) == {"truth.json", *(name for name, _ in make_data.files())}
    found = {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name in stated}
    assert stated == found


def test_the_readme_says_that_the_data_are_computed():
    assert "These data are computed" in README
    assert "CC BY 4.0" in README


@each("ion", EXPERIMENTS)
def test_a_stored_run_is_what_the_solver_finds_today(ion):
    """Plateau, depth of the front, amount and time agree within the accuracy asked for.

    Both runs carry the relative error rtol = 3e-4 at most; between two meshes that is 6e-4.
    """
    old = make_data.stored()[ion]
    new = {k: np.array(v) for k, v in make_data.simulated(EXPERIMENTS[ion]).items()}
    new["nodes"] = new["nodes"] * 1e-9

    def left(run, depths):
        """Native ions between the depths, over N (m)."""
        amount = np.cumsum(np.append(0, run["native"] * np.diff(run["nodes"])))
        return np.diff(np.interp(depths, run["nodes"], amount))

    for depths in ([20e-9, 90e-9], [0, 150e-9]):
        assert left(new, depths) == pytest.approx(left(old, depths), rel=6e-4)
    assert new["time"][-1] == pytest.approx(old["time"][-1], rel=6e-4)
    assert new["current_density"][-1] == pytest.approx(old["current_density"][-1], rel=6e-4)


@each("ion", EXPERIMENTS)
def test_the_stored_current_carries_the_charge_of_its_foreign_ions(ion):
    """Q = integral of j dt = e N times the integral of the foreign fraction, and so is the setting.

    The trapezium rule between the steps of the solver is good to some 1e-4. Up to 6e-5 of the
    charge stays on the surface, as the sheet that holds the field in the replaced zone.
    """
    run, charge = make_data.stored()[ion], EXPERIMENTS[ion].charge
    assert np.trapezoid(run["current_density"], run["time"]) == pytest.approx(charge, rel=1e-3)
    found = cait.sims.exchanged_charge(run["nodes"], run["foreign"], make_data.GLASS.ion_density)
    assert found == pytest.approx(charge, rel=1e-4)


@each("path", CASES)
def test_every_case_passes_its_checks(path):
    """The charge balance is among them: each case has a recorded current."""
    profile = cait.read_case(path).profile()
    assert profile.ok, profile.report()
    assert "charge balance" in {check.name for check in profile.checks}


@each("path", CASES)
def test_the_charge_of_the_recorded_current_closes(path):
    """The record integrates to the charge at which the experiment was stopped.

    200 readings with 0.5 % of noise give 0.04 %; the trapezium rule over a current that falls
    steeply at first adds less than 0.3 %.
    """
    case = cait.read_case(path)
    time, current_density = case.current()
    charge = EXPERIMENTS[case.foreign_element].charge
    assert np.trapezoid(current_density, time) == pytest.approx(charge, rel=5e-3)
    assert time[-1] == pytest.approx(case.until.value, abs=1.1)  # stated in whole seconds


@each("path", CASES)
def test_the_front_is_about_a_hundred_nanometres_deep_and_the_plateau_as_published(path):
    """The mean over 0.85 to 0.93 of the front's depth against 15, 7 and 3 % within a tenth.

    There the profile is in the fan, a few percent below the plateau, and out of the blur, which
    reaches three standard deviations (7.5 nm) back from the front. Counting adds 2 % (CAMECA).
    """
    case = cait.read_case(path)
    profile = case.profile()
    fraction = profile.fraction[case.native]
    depth = profile.depth[np.flatnonzero(fraction < 0.5)[-1]]
    assert depth == pytest.approx(100e-9, rel=0.05)
    near = (profile.depth > 0.85 * depth) & (profile.depth < 0.93 * depth)
    published = PUBLISHED[case.foreign_element]
    assert fraction[near].mean() == pytest.approx(published, rel=0.1)


def test_one_sample_in_two_formats_has_one_profile():
    """Rubidium from SurfaceLab text and from CAMECA ASCII: chi squared of means over 10 nm.

    Pulls are limited to 4 and chi squared to twice the number of means: the error of the matrix
    reference, a smooth curve, is shared by neighbours and is not in the bars.
    """
    edges = np.arange(20e-9, 201e-9, 10e-9)

    def means(profile, ion):
        step = np.diff(profile.edges)
        area = np.cumsum(np.append(0, profile.fraction[ion] * step))
        variance = np.cumsum(np.append(0, (profile.sigma[ion] * step) ** 2))
        known = profile.edges + profile.lag[ion]
        area, variance = (np.diff(np.interp(edges, known, a)) for a in (area, variance))
        mean = area / 10e-9
        return mean, variance / 10e-9**2 + (profile.scale_error[ion] * mean) ** 2

    one = cait.read_case(DATA / "rb_on_lbo.toml").profile()
    other = cait.read_case(DATA / "rb_on_lbo_cameca.toml").profile()
    for ions in ((one.native, other.native), (one.foreign, other.foreign)):
        (a, var_a), (b, var_b) = means(one, ions[0]), means(other, ions[1])
        pull = (a - b) / np.sqrt(var_a + var_b)
        assert np.abs(pull).max() < 4
        assert np.sum(pull**2) < 2 * pull.size
