"""The figures that several chapters share. Each function draws on given axes and returns them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .cases import SYMBOLS, Case, element
from .checks import Array
from .landscape import fermi_level, sed_from_diffusivity
from .npp import front_depth
from .sims import charge_found, dead_time_correct, steady_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .exports import Recording
    from .fit import LandscapeFit
    from .npp import Run
    from .sims import Profile
    from .uncertainty import Posterior

#: The look of the book: ``plt.style.use(cait.style)``.
style = Path(__file__).with_name("book.mplstyle")

_COLOUR = {"Li": "C0", "K": "C1", "Rb": "C2", "Cs": "C4", "Na": "C5"}
_LINE = {"Li": "-", "K": "--", "Rb": "-.", "Cs": ":"}


def ion_style(ion: str) -> dict[str, Any]:
    """Colour and line style of an ion, the same in every figure; ``ion`` as element or channel."""
    name = element(ion)
    return {"color": _COLOUR.get(name, "C6"), "ls": _LINE.get(name, "-")}


def _plain(text: str) -> str:
    """The text of an instrument, which is no formula and no hidden label."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _ion_text(channel: str) -> str:
    """What a channel is called in a figure: its element, or its own text."""
    name = element(channel)
    return f"{name}$^+$" if name != channel or name in SYMBOLS else _plain(channel)


def plot_run(ax: Axes, run: Run, depth: float = 160e-9, **line: Any) -> Axes:
    """Fractions of a run against depth, down to ``depth`` (m)."""
    for ion, fraction in run.fraction.items():
        ax.plot(run.x * 1e9, fraction, **(ion_style(ion) | {"label": f"{ion}$^+$"} | line))
    return _depth_axes(ax, depth)


def plot_profile(ax: Axes, profile: Profile, depth: float = 160e-9) -> Axes:
    """Measured fractions with their counting errors against depth, down to ``depth`` (m)."""
    for ion, marker in ((profile.native, "o"), (profile.foreign, "s")):
        ax.errorbar(
            (profile.depth + profile.lag[ion]) * 1e9,
            profile.fraction[ion],
            profile.sigma[ion],
            fmt=marker,
            ms=2.5,
            mfc="none",
            mew=0.6,
            elinewidth=0.5,
            color=ion_style(ion)["color"],
            label=_ion_text(ion),
        )
    skipped = profile.edges[np.argmax(profile.used)] * 1e9
    if skipped > 0:
        ax.axvspan(0, skipped, color="0.9", lw=0)
    return _depth_axes(ax, depth)


def plot_fit(ax: Axes, fit: LandscapeFit, number: int, depth: float = 160e-9) -> Axes:
    """One measured profile of a fit, and the simulation as the instrument would see it."""
    profile = fit.experiments[number].profile
    plot_profile(ax, profile, depth)
    for ion, expected in fit.experiments[number].expected.items():
        seen = (expected - profile.background[ion]) / profile.scale[ion]
        ax.plot((profile.depth + profile.lag[ion]) * 1e9, seen, "k-", lw=1.2)
    return ax


def plot_diffusivities(
    ax: Axes, native: Callable, foreign: Mapping[str, float], name: str = "Li"
) -> Axes:
    """D of the native ion against its fraction, with the constants of the foreign ions."""
    fraction = np.concatenate([np.geomspace(1e-3, 0.1, 60), np.linspace(0.1, 1, 200)[1:]])
    ax.semilogy(fraction, native(fraction), label=f"{name}$^+$", **ion_style(name))
    for ion, D in foreign.items():
        ax.axhline(D, label=f"{ion}$^+$", **ion_style(ion))
    ax.set(
        xlabel=f"{name} fraction $n_\\mathrm{{{name}}}/N$", ylabel="$D$ / m$^2$ s$^{-1}$",
        xlim=(0, 1),
    )  # fmt: skip
    ax.legend()
    return ax


def plot_sed(ax: Axes, sed: Any, occupancy: float, plateau: float | None = None) -> Axes:
    """A site energy distribution against energy from the bulk Fermi level.

    Filled sites are shaded; above the level of a ``plateau`` darker: what the paper calls mobile.
    """
    level = float(fermi_level(sed, 1.0, occupancy))
    energy = np.linspace(sed.ppf(1e-5), sed.ppf(1 - 1e-5), 400)
    density = sed.pdf(energy)
    relative = (energy - level) * 1e3
    ax.plot(relative, density, "k-")
    ax.fill_between(relative, density, where=energy <= level, color="C0", alpha=0.25, lw=0)
    if plateau is not None:
        bottom = float(fermi_level(sed, max(plateau, 1e-12), occupancy))
        mobile = (energy <= level) & (energy >= bottom)
        ax.fill_between(relative, density, where=mobile, color="C0", alpha=0.55, lw=0)
    ax.axvline(0, color="k", ls="--", lw=1)
    ax.set(
        xlabel="energy from the Fermi level of untouched glass / meV", ylabel="density / eV$^{-1}$",
        ylim=(0, None),
    )  # fmt: skip
    return ax


def landscape_figure(fit: LandscapeFit) -> Figure:
    """The result in one glance: every profile with its simulation, and the landscape."""
    count = len(fit.experiments)
    rows = (count + 2) // 2
    figure, grid = plt.subplots(rows, 2, figsize=(6.4, 2.6 * rows), layout="constrained")
    axes = grid.ravel()
    ions = [experiment.case.foreign_element for experiment in fit.experiments]
    for number, ax in enumerate(axes[:count]):
        profile = fit.experiments[number].profile
        front = front_depth(profile.depth, profile.fraction[profile.native], 0.5)
        plot_fit(ax, fit, number, depth=min(max(1.4 * front, 1e-9), profile.edges[-1]))
        again = f", run {number + 1}" if ions.count(ions[number]) > 1 else ""
        ax.set_title(f"{ions[number]}$^+${again}")
        ax.legend(loc="center left")
    sed = fit.sed
    if sed is None:  # a table of D: the distribution it implies, where the data have been
        temperature = fit.experiments[0].case.glass.temperature
        sed = sed_from_diffusivity(fit.law(), temperature, fit.occupancy)
        axes[count].plot(sed.energy * 1e3, sed.density, "k-")
        axes[count].set(ylabel="density / eV$^{-1}$", ylim=(0, None))
    else:
        plateaus = [x.run.plateau for x in fit.experiments if np.isfinite(x.run.plateau)]
        plot_sed(axes[count], sed, fit.occupancy, min(plateaus, default=None))
    width = f": {fit.fwhm * 1e3:.0f} meV" if np.isfinite(fit.fwhm) else ""
    axes[count].set(title=f"SED{width}", xlabel="energy / meV")
    for ax in axes[count + 1 :]:
        ax.remove()
    return figure


def _depth_axes(ax: Axes, depth: float) -> Axes:
    ax.set(xlabel="depth / nm", ylabel="fraction $n/N$", xlim=(0, depth * 1e9), ylim=(-0.05, 1.1))
    return ax


def sketch_experiment() -> Figure:
    """The CAIT experiment: beam, glass plate with its replaced zone, grounded electrode, meter."""
    figure, ax = plt.subplots(figsize=(6.4, 2.9))
    arrow = {"arrowstyle": "-|>", "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
    for left, right, colour, name in (
        (2.0, 3.4, "C2", "replaced zone\nM$^+$, some Li$^+$"),
        (3.4, 7.2, "C0", "untouched glass\nLi$^+$"),
        (7.2, 7.5, "k", ""),
    ):
        ax.axvspan(left, right, 0.28, 0.92, color=colour, alpha=1 if colour == "k" else 0.3, lw=0)
        ax.text((left + right) / 2, 0.78, name, ha="center", va="center", fontsize="small")
    for height in (0.38, 0.5, 0.62):
        ax.annotate("", (1.95, height), (0.75, height), arrowprops=arrow | {"color": "C2"})
        ax.annotate("", (7.1, height), (5.9, height), arrowprops=arrow | {"color": "C0"})
    ax.axvline(3.4, 0.28, 0.92, color="k", lw=1.2, ls="--")
    ax.annotate("front", (3.45, 0.5), (4.1, 0.5), va="center", arrowprops={"arrowstyle": "->"})
    ax.plot([7.5, 8.5, 8.5], [0.5, 0.5, 0.1], "k-", lw=1.2)
    ax.text(8.5, 0.5, "A", ha="center", va="center", bbox={"boxstyle": "circle", "fc": "w"})
    for width, height in ((0.3, 0.1), (0.18, 0.05), (0.07, 0.0)):
        ax.plot([8.5 - width, 8.5 + width], [height, height], "k-", lw=1.5)
    ax.text(0.7, 0.5, "ion\nbeam\nM$^+$", ha="right", va="center")
    ax.annotate("", (2.0, 0.2), (7.2, 0.2), arrowprops=arrow | {"arrowstyle": "<|-|>", "lw": 1})
    ax.text(4.6, 0.17, "0.5 mm of glass, about 100 nm of it replaced (not to scale)",
            ha="center", va="top", fontsize="small")  # fmt: skip
    ax.text(2.0, 0.98, "potential $U$", ha="center", va="bottom")
    ax.text(7.35, 0.98, "electrode, 0 V", ha="center", va="bottom")
    ax.set(xlim=(0, 9), ylim=(-0.05, 1.05))
    ax.axis("off")
    return figure


def check_figure(case: Case, name: str, profile: Profile | None = None) -> Figure:
    """Show why one check of a profile passes or fails.

    Parameters
    ----------
    case : Case
    name : str
        Of a check in ``case.profile().checks``.
    profile : Profile, optional
        If it has been made already.
    """
    profile = profile or case.profile()
    checks = {check.name: check for check in profile.checks}
    if name not in checks:
        raise ValueError(f"name = {name!r} is no check of this profile; those are {list(checks)}")
    check = checks[name]
    figure, ax = plt.subplots(figsize=(6.4, 2.9), layout="constrained")
    _DRAWN.get(name, _draw_fractions)(ax, case, profile)
    if name == "charge balance":
        ax.axhspan(check.low, check.high, color="C2", alpha=0.25, lw=0, label="allowed")
    if not ax.get_xlabel():
        ax.set(xlabel="depth / nm", xlim=(0, profile.edges[-1] * 1e9))
    ax.set_title(f"{name}: {check.value:.3g}, {'ok' if check.passed else 'FAILED'}")
    ax.legend(fontsize="small")
    return figure


def _draw_charge(ax: Axes, case: Case, profile: Profile) -> None:
    found = charge_found(profile, case.glass.ion_density) / case.charge
    ax.plot(profile.depth * 1e9, found, "k-", label="found in the profile")
    ax.set(ylabel="charge / charge passed")


def _recorded(case: Case, profile: Profile) -> dict[str, Array]:
    """Counts as recorded of the three channels."""
    return profile.recording.cycles(case.native, case.foreign, case.matrix)[1]


def _draw_scatter(ax: Axes, case: Case, profile: Profile) -> None:
    """Variance over mean in stretches of twenty cycles, where the signals are level."""
    for ion, counts in _recorded(case, profile).items():
        used = profile.used[: counts.size]
        blocks = np.array_split(counts[used], max(used.sum() // 20, 1))
        mean = np.array([b.mean() for b in blocks])
        variance = [  # about a straight line
            np.polyfit(np.arange(b.size), b, 1, full=True)[1][0] / (b.size - 2) for b in blocks
        ]
        level = (mean > 100) & (np.abs(np.gradient(mean)) < 0.1 * mean)
        ax.plot(
            mean[level], (variance / mean)[level], "o", ms=4, label=_ion_text(ion), **_marker(ion)
        )
    ax.axhline(1, color="k", ls="--", lw=1, label="Poisson")
    ax.set(xlabel="counts a cycle", ylabel="variance / mean", ylim=(0, None))


def _draw_bends(ax: Axes, case: Case, profile: Profile) -> None:
    """Second differences of the fractions over their counting errors."""
    for ion in (case.native, case.foreign):
        variance = profile.sigma[ion] ** 2
        error = np.sqrt(variance[2:] + 4 * variance[1:-1] + variance[:-2])
        bend = np.where(profile.used[1:-1], np.diff(profile.fraction[ion], 2) / error, np.nan)
        ax.plot(profile.depth[1:-1] * 1e9, bend, "o", ms=2.5, label=_ion_text(ion), **_marker(ion))
    ax.axhspan(-2, 2, color="0.9", lw=0, label="two standard deviations")
    ax.set(ylabel="second difference / error")


def _draw_signals(ax: Axes, case: Case, profile: Profile) -> None:
    """The two signals over that of the matrix."""
    recorded = _recorded(case, profile)
    for ion in (case.native, case.foreign):
        signal = profile.counts[ion] / np.maximum(recorded[case.matrix], 1)
        label = f"{_ion_text(ion)}, {'native' if ion == case.native else 'foreign'}"
        ax.plot(profile.depth * 1e9, signal / signal[profile.used].max(), label=label,
                **ion_style(ion))  # fmt: skip
    ax.set(ylabel="signal / matrix, scaled")


def _draw_cycles(ax: Axes, case: Case, profile: Profile) -> None:
    """The matrix signal against the number of the cycle, with those that are not used."""
    counts = _recorded(case, profile)[case.matrix]
    cycle = np.arange(1, counts.size + 1)
    ax.plot(cycle, counts, "k.", ms=3, label=_ion_text(case.matrix))
    out = ~profile.used
    ax.plot(cycle[out], counts[out], "rx", ms=5, label="not used")
    ax.set(xlabel="cycle", ylabel="counts", xlim=(0, counts.size + 1), ylim=(0, None))


def _draw_counts(ax: Axes, case: Case, profile: Profile) -> None:
    """All three signals as recorded, and the background that is taken off."""
    for ion, counts in _recorded(case, profile).items():
        style = ion_style(ion) | ({"color": "0.5", "ls": "-"} if ion == case.matrix else {})
        ax.semilogy(profile.depth * 1e9, np.maximum(counts, 0.5), label=_ion_text(ion), **style)
    background = profile.background[case.foreign]
    if background > 0:
        label = f"background of {_ion_text(case.foreign)}"
        ax.axhline(background, color="k", ls="--", lw=0.8, label=label)
    ax.set(ylabel="counts a cycle")


def _draw_current(ax: Axes, case: Case, profile: Profile) -> None:
    """The recorded current, and what the stated conductivity leads to at the start."""
    time, density = case.current()
    first = case.conductivity * case.drive.value / case.glass.thickness
    ax.plot(time / 3600, density, "k-", label="recorded")
    ax.plot(0, first, "C1o", mfc="none", label="from the stated conductivity", clip_on=False)
    ax.set(xlabel="time / h", ylabel="$j$ / A m$^{-2}$", ylim=(0, None), xlim=(0, None))


def _draw_fractions(ax: Axes, case: Case, profile: Profile) -> None:
    """Both fractions and their sum."""
    x = profile.depth * 1e9
    for ion in (case.native, case.foreign):
        ax.plot(x, profile.fraction[ion], label=_ion_text(ion), **ion_style(ion))
    total = profile.fraction[case.native] + profile.fraction[case.foreign]
    ax.plot(x, total, color="0.5", lw=0.8, label="sum")
    ax.axhline(1, color="k", ls="--", lw=0.8)
    top = np.nanpercentile(total[profile.used], 98) if np.isfinite(total).any() else 1.0
    ax.set(ylabel="fraction $n/N$", ylim=(-0.1, min(max(top, 0.5) * 1.3, 5)))


_DRAWN = {
    "charge balance": _draw_charge,
    "dead time corrected": _draw_scatter,
    "counts not saturated": _draw_scatter,
    "scatter of counting": _draw_bends,
    "ions are counted": _draw_scatter,
    "ions not swapped": _draw_signals,
    "every cycle whole": _draw_cycles,
    "beam steady": _draw_cycles,
    "matrix is one ion": _draw_counts,
    "no foreign ion in the glass": _draw_counts,
    "first current": _draw_current,
}


def _marker(ion: str) -> dict[str, Any]:
    return {"color": ion_style(ion)["color"], "mfc": "none"}


def corner_figure(posterior: Posterior, names: Sequence[str] | None = None) -> Figure:
    """Each parameter of a posterior on the diagonal, each pair below it.

    ``names`` are some of ``posterior.names``; all of them by default. Widths are in meV.
    """
    names = tuple(names or posterior.names)
    columns = [
        posterior.samples[:, posterior.names.index(name)] * (1e3 if name == "fwhm" else 1)
        for name in names
    ]
    size = len(names)
    figure, axes = plt.subplots(size, size, figsize=(6.4, 6.0), squeeze=False, sharex="col")
    for i, j in np.ndindex(size, size):
        ax = axes[i, j]
        if j > i:
            ax.remove()
            continue
        if i == j:
            ax.hist(columns[i], bins=25, color="C0", alpha=0.6)
            ax.set_yticks([])
        else:
            ax.hist2d(columns[j], columns[i], bins=30, cmap="Greys")
        ax.locator_params(nbins=3)
        ax.ticklabel_format(useOffset=False)
        ax.tick_params(labelsize="x-small", labelbottom=i == size - 1, labelleft=0 == j < i)
        for name, place, shown in ((names[j], "x", i == size - 1), (names[i], "y", 0 == j < i)):
            label = "FWHM / meV" if name == "fwhm" else name.replace("log10_", "log10 ")
            if shown:
                getattr(ax, f"set_{place}label")(label, fontsize="x-small")
    return figure


def steps_figure(case: Case, profile: Profile) -> Figure:
    """The steps from counts to fractions, each before (grey) and after (colour)."""
    ions = case.native, case.foreign, case.matrix
    time, raw, _ = profile.recording.cycles(*ions)
    corrected = case.pulses is not None and np.isfinite(case.pulses)
    arrived = {ion: dead_time_correct(c, case.pulses) if corrected else c for ion, c in raw.items()}
    level = profile.background.get(case.matrix, 0.0)
    reference, _ = steady_reference(arrived[case.matrix] - level, profile.used)
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 5.0), layout="constrained")
    counts, matrix, depth, fractions = axes.flat
    for ion in ions:
        if corrected:
            counts.semilogy(time[:-1], np.maximum(raw[ion], 0.5), color="0.7")
        counts.semilogy(
            time[:-1], np.maximum(arrived[ion], 0.5), label=_ion_text(ion), **ion_style(ion)
        )
    counts.set(title="dead time" if corrected else "counts", ylabel="counts")
    counts.legend(fontsize="small")
    matrix.plot(time[:-1], arrived[case.matrix], color="0.7")
    matrix.plot(time[:-1], reference, "k-")
    matrix.set(title=f"{_ion_text(case.matrix)}, the reference", ylabel="counts", ylim=(0, None))
    depth.plot(time, profile.edges * 1e9, "k-")
    depth.set(title="depth", ylabel="depth / nm")
    for ax in (counts, matrix, depth):
        ax.set(xlabel="time / s")
    plot_profile(fractions, profile, float(profile.edges[-1]))
    fractions.set(title="fractions")
    fractions.legend(fontsize="small")
    return figure


def channels_figure(recording: Recording, chosen: Sequence[str] = ()) -> Figure:
    """The signals of an export against its axis; the ``chosen`` channels in colour."""
    figure, ax = plt.subplots(figsize=(6.4, 2.9), layout="constrained")
    for ion in sorted(recording.channels, key=lambda ion: ion in chosen):
        style = ion_style(ion) | {"lw": 1.5} if ion in chosen else {"color": "0.75", "lw": 0.8}
        signal = np.where(recording.intensity[ion] > 0, recording.intensity[ion], np.nan)
        ax.semilogy(
            recording.time[ion], signal, label=_plain(ion) if ion in chosen else None, **style
        )
    ax.set(xlabel="time / s", ylabel=f"signal / {recording.unit}")
    if any(chosen):
        ax.legend(fontsize="small")
    return figure
