"""Systems by name: they run, say where their numbers come from, and the borate is the book's."""

import pytest

import cait_helpers as cait
from cait_helpers.teaching.presets import preset, systems


def law(system):
    sed = cait.gaussian_sed(system.fwhm)
    T = system.glass.temperature
    return cait.activated_diffusivity(sed, system.D_bulk, T, system.occupancy)


@pytest.mark.parametrize("name", systems())
def test_every_system_runs_with_each_of_its_ions_and_leaves_a_plateau(name):
    """A glass that other glasses' chapters can be pointed at: a shock, a resolved run at it."""
    system = preset(name)
    for exact in (cait.front(law(system), D) for D in system.D_foreign.values()):
        assert exact.kind == "shock" and 0.002 < exact.plateau < 0.5
    ion, D = list(system.D_foreign.items())[-1]
    run = cait.simulate(
        system.glass,
        {system.native: law(system), ion: D},
        system.native,
        ion,
        cait.Voltage(100.0),
        cait.Charge(50e-9 * 1.602e-19 * system.glass.ion_density),
    )
    depth = exact.depth(run.charge[-1], system.glass.ion_density)
    assert run.resolved and run.front_depth == pytest.approx(depth, rel=0.01)


@pytest.mark.parametrize("name", systems())
def test_every_number_has_an_origin(name):
    """Stated, with a DOI, or chosen; the width is always stated."""
    system = preset(name)
    assert "doi 10." in system.origin["fwhm"]
    assert all(text.startswith(("chosen", "doi 10.")) for text in system.origin.values())
    numbers = {"fwhm", "occupancy", "D_bulk", "D_foreign"}
    glass = {"thickness", "ion_density", "permittivity", "temperature"}
    assert set(system.origin) == numbers | glass


@pytest.mark.parametrize(("ion", "plateau"), [("K", 0.15), ("Rb", 0.07), ("Cs", 0.03)])
def test_the_borate_has_the_plateaus_of_the_paper_and_the_glass_of_the_data(ion, plateau):
    """15, 7 and 3 %; thickness, density, permittivity and temperature of the case files."""
    system = preset("LBO")
    assert cait.front(law(system), system.D_foreign[ion]).plateau == pytest.approx(
        plateau, abs=5e-4
    )
    case = cait.read_case(f"data/{ion.lower()}_on_lbo.toml")
    assert case.glass == system.glass


def test_an_unknown_name_is_refused():
    """The message lists the names."""
    with pytest.raises(ValueError, match="name = 'BSG' is not one of LBO, NCP"):
        preset("BSG")
