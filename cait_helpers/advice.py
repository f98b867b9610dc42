"""What the data say to the entries of a run: channels, proposals, and words for what fails.

`evaluate` writes the case file of the entries, reads it, normalises the profile, proposes what was
left empty, and says in a `Note` what is wrong, beside the entry that can mend it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtr

from .cases import Case, CaseError, element, read_case
from .entries import IONS, QUANTITIES, Note, Table, case_text, read_entries
from .exports import Recording
from .profile_checks import Check
from .sims import Profile

# --- what is guessed from the data ----------------------------------------------------------

_MOBILE = ("H", "Li", "Na", "K", "Rb", "Cs", "Ag", "Cu", "Tl")


def guess_channels(recording: Recording) -> dict[str, str]:
    """Native, foreign and matrix channel as the shape of their signals suggests, if it does.

    The matrix is the steadiest channel of one element that does not move in glass; against it the
    native ion is the mobile one that rises most with depth, the foreign ion the one that falls.
    """
    shallow, deep = {}, {}
    for ion in recording.channels:
        signal = np.nan_to_num(recording.intensity[ion], posinf=0.0)
        quarter = max(signal.size // 4, 1)
        shallow[ion] = float(signal[quarter // 2 : quarter // 2 + quarter].mean())
        deep[ion] = float(signal[-quarter:].mean())
    named = {ion: element(ion) for ion in recording.channels}
    steady = {
        ion: abs(np.log(deep[ion] / shallow[ion])) + 3 / np.sqrt(min(deep[ion], shallow[ion]))
        for ion, name in named.items()
        if name not in _MOBILE and re.fullmatch("[A-Z][a-z]?", name)
        and min(deep[ion], shallow[ion]) > 0
    }  # fmt: skip
    found = {}
    if steady:
        found["ions.matrix"] = matrix = min(steady, key=steady.get)
        shallow = {ion: value / shallow[matrix] for ion, value in shallow.items()}
        deep = {ion: value / deep[matrix] for ion, value in deep.items()}
    rise = {ion: deep[ion] - shallow[ion] for ion, name in named.items() if name in _MOBILE}
    if rise and max(rise.values()) > 0:
        found["ions.native"] = native = max(rise, key=rise.get)
        others = {ion: r for ion, r in rise.items() if named[ion] != named[native]}
        if others and min(others.values()) < 0:
            found["ions.foreign"] = min(others, key=others.get)
    return found


def front_slope(profile: Profile) -> float:
    """Standard deviation (m) of the step that the native ion makes at the front, slices taken off.

    The front itself is thinner than a nanometre, so that this is the resolution of the
    instrument with whatever else smears a flat front. nan if there is no front.
    """
    depth, y = profile.depth, profile.fraction[profile.native]
    below = np.flatnonzero((y < 0.5) & profile.used)
    if below.size < 5 or below[-1] > y.size - 5:
        return float("nan")
    slice_width = float(np.median(np.diff(profile.edges)))
    middle, width = depth[below[-1]], 2 * slice_width
    for _ in range(4):  # the window follows the width that is found in it
        here = np.abs(depth - middle) < 5 * max(width, slice_width)
        x, seen = depth[here], y[here]

        def miss(p, x=x, seen=seen):
            return p[0] + (p[1] - p[0]) * ndtr((x - p[2]) / p[3]) - seen

        start = [seen.min(), seen.max(), middle, width]
        found = least_squares(miss, start, x_scale=[0.1, 0.1, width, width])
        middle, width = float(found.x[2]), abs(float(found.x[3]))
    return float(np.sqrt(max(width**2 - slice_width**2 / 12, (slice_width / 10) ** 2)))


# --- from the entries to a profile, or to words ---------------------------------------------


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the entries of one run come to.

    Attributes
    ----------
    notes : tuple of Note
    proposed : dict of str to float
        Values (SI) of the entries that were left empty.
    case : Case or None
        As its file tells it; None if an entry is missing or wrong.
    profile : Profile or None
    """

    notes: tuple[Note, ...]
    proposed: dict[str, float] = field(default_factory=dict)
    case: Case | None = None
    profile: Profile | None = None

    @property
    def ready(self) -> bool:
        """Whether the run can be fitted."""
        return self.profile is not None and all(
            note.kind not in ("missing", "wrong") for note in self.notes
        )


def evaluate(
    path: Path,
    text: Mapping[str, str],
    unit: Mapping[str, str],
    kept: Mapping[str, object] | None = None,
) -> Evaluation:
    """Write the case file of the entries to ``path``, read it, and normalise its profile.

    The files that it names lie beside it. ``kept`` are keys of a case file without an entry.
    """
    table, notes = read_entries(text, unit)
    table |= kept or {}
    if "sims.depth_axis" in table:  # then the depths are those of the export
        notes = [note for note in notes if note.key != "sims.crater_depth"]
    if any(note.kind in ("missing", "wrong") for note in notes):
        return Evaluation(tuple(notes))
    title = f"{table['ions.foreign']} for {table['ions.native']}"
    table = {"title": title} | table

    def read() -> tuple[Case, Profile]:
        path.write_text(case_text(table), encoding="utf-8")
        case = read_case(path)
        return case, case.profile()

    proposals = {}
    try:
        case, profile = read()
        if all(check.passed for check in profile.checks if check.name == "ions not swapped"):
            proposals = propose(table, case, profile)
        if "sims.resolution" in proposals:  # the only one that the case file has to state
            table["sims.resolution"] = proposals["sims.resolution"][0]
            case, profile = read()
            now = propose(table, case, profile)
            proposals = now | {"sims.resolution": proposals["sims.resolution"]}
    except ValueError as error:  # of the case, of its files, of the normalisation
        notes.append(_placed(error, path))
        return Evaluation(tuple(notes))
    notes += [Note(key, "assumed", words) for key, (_, words) in proposals.items() if words]
    notes += map(_assumed, profile.assumptions)
    failed = [check for check in profile.checks if not check.passed]
    swapped = [check for check in failed if check.name == "ions not swapped"]
    for check in swapped or failed:  # what follows from a swap is no news
        notes += check_notes(check, case)
    values = {key: value for key, (value, _) in proposals.items()}
    return Evaluation(tuple(notes), values, case, profile)


def _rounded(value: float, digits: int = 3) -> float:
    return float(f"{value:.{digits}g}")


def propose(table: Table, case: Case, profile: Profile) -> dict[str, tuple[float, str]]:
    """Values (SI) of entries that were left empty, and where each comes from, in words.

    No words where the profile itself says what was assumed.
    """
    found = {}
    if "run.duration" not in table and "run.charge" not in table and case.record:
        end = float(case.record.time[-1])
        found["run.duration"] = end, f"{end / 3600:.4g} h, the end of the recorded current."
    value = case.first_conductivity()
    if "glass.conductivity" not in table and value is not None:
        words = f"{value:.3g} S/m, from the first current."
        found["glass.conductivity"] = _rounded(value), words
    sigma = front_slope(profile)
    if "sims.resolution" not in table and 1e-10 < sigma < 1e-7:
        value = _rounded(sigma, 2)
        words = f"{value * 1e9:g} nm, standard deviation: read off the slope of the front."
        found["sims.resolution"] = value, words
    if "sims.transient" not in table:
        found["sims.transient"] = float(profile.edges[np.argmax(profile.used)]), ""
    if "sims.background" not in table:
        found["sims.background"] = profile.background[case.foreign], ""
    return found


_ABOUT = {  # what a profile says it assumed, by a word of it: the entry that can change it
    "crater": "sims.sputter_time",
    "not used": "sims.transient",
    "transient": "sims.transient",
    "background": "sims.background",
    "dead time": "sims.pulses",
    "counting": "sims.counting_time",
    "current": "current",
}


def _assumed(line: str) -> Note:
    key = next((key for word, key in _ABOUT.items() if word in line), "profile")
    return Note(key, "assumed", f"{line.removesuffix(' (assumed)')}.")


def _placed(error: ValueError, path: Path) -> Note:
    """The words of an error beside the entry that they speak of."""
    words = str(error).removeprefix(f"{path}: ").replace(f"{path.parent}/", "")
    keys = [key for key in (*QUANTITIES, *IONS) if key in words]
    if not keys:
        plain = {key.rpartition(".")[2]: key for key in QUANTITIES}
        keys = [key for name, key in plain.items() if re.search(rf"\b{name}\b", words)]
    about_current = isinstance(error, CaseError) and "current" in words
    key = keys[0] if keys else "current" if about_current else "profile"
    for one, label in (IONS | {q.key: q.label for q in QUANTITIES.values()}).items():
        words = words.replace(one, label)
    return Note(key, "wrong", words)


def check_notes(check: Check, case: Case) -> list[Note]:
    """What a failed check of a profile says, in words, beside the entries that can mend it."""
    keys, words = _CHECKS.get(check.name, (("profile",), ""))
    if callable(words):
        words = words(check, case)
    text = words or f"{check.message}: {check.value:.3g}, allowed {check.low:.3g} to"
    text += "" if words else f" {check.high:.3g}."
    return [Note(key, "wrong", text) for key in keys]


def _swapped(check: Check, case: Case) -> str:
    return (
        f"{case.native} is strong at the surface and {case.foreign} deep in the glass. The native"
        " ion is the one that fills the untouched glass: the two are swapped."
    )


def _unbalanced(check: Check, case: Case) -> str:
    r, crater = check.value, case.crater_depth * 1e9
    text = f"The profile holds {r:.3g} times the charge that has passed. "
    for factor, cause in (
        (100, "was an area in mm² entered as cm²"),
        (0.01, "was an area in cm² entered as mm²"),
        (1000, "was a crater in nm entered as µm, or a current in µA as nA"),
        (0.001, "was a crater in µm entered as nm, or a current in nA as µA"),
    ):
        if 0.8 < r / factor < 1.25:
            return text + f"A factor of {max(factor, 1 / factor):g}: {cause}?"
    return text + (
        f"A crater of {crater / r:.3g} nm, an exposed area of {case.area * 1e6 * r:.3g} mm² or"
        f" {case.glass.ion_density / r:.3g} mobile ions per m³ would agree. If the crater was"
        " measured after more sputtering than the export shows, the export is cropped."
    )


_CHECKS = {
    "ions not swapped": (("ions.native", "ions.foreign"), _swapped),
    "charge balance": (("sims.crater_depth", "glass.area"), _unbalanced),
    "dead time corrected": (
        ("sims.pulses",),
        "The counts may still have their dead time. Enter the primary pulses per cycle (shots"
        " times raster points), or choose “no dead time” if it is corrected already: without it"
        " the width is off.",
    ),
    "every cycle whole": (("sims.leave_out",), None),
    "ions are counted": (("profile",), None),
    "scatter of counting": (("profile",), None),
    "matrix is one ion": (("ions.matrix",), None),
    "no foreign ion in the glass": (("ions.foreign", "profile"), None),
    "counts not saturated": (
        ("sims.pulses",),
        lambda check, case: (
            f"A cycle counts {check.value:.0%} of its pulses: the detector is saturated, or the"
            " pulses are too few."
            if case.pulses
            else f"The counts scatter {check.value:.3g} times as much as a Poisson process."
        ),
    ),
    "front inside the profile": (
        ("profile",),
        lambda check, case: (
            f"The native ion falls below half at {check.value:.0%} of the depth. The profile has"
            " to begin in replaced glass and to end in untouched glass: is the export cropped?"
        ),
    ),
    "bulk level reached": (
        ("profile", "ions.native"),
        lambda check, case: (
            f"{case.native} still changes by {check.value:.1%} beyond the front: there is no level"
            " of untouched glass to divide by. Is the export cropped, or is this another channel?"
        ),
    ),
    "mass balance": (
        ("ions.foreign",),
        lambda check, case: (
            f"Native and foreign ions do not add up to one: {1 + check.value:.3g} in one eighth"
            " of the profile. A background, or a channel of another species?"
        ),
    ),
    "matrix flat": (
        ("ions.matrix",),
        lambda check, case: (
            f"{case.matrix} jumps by {check.value:.1%} where the glass is replaced: as a"
            " reference it would bend the profile. Is there a steadier channel?"
        ),
    ),
    "beam steady": (
        ("ions.matrix",),
        lambda check, case: (
            f"{case.matrix} changes by a factor of {check.value:.3g} over the profile: an"
            " unsteady beam, or not a matrix channel."
        ),
    ),
}
