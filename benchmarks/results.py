"""Load, tabulate and draw what ``make bench`` measured.

Layout of ``results.json``: ``versions`` (processor, cores, Python, packages);
``rows``, one for each code, problem (i, ii, iii) and class (continuum, today; ours at its default
and at its loosest tolerance once, beside both), with ``budget`` (s), ``seconds`` (median of
``repeats``), ``cpu_seconds``, ``ratio`` and ``cpu_ratio`` (over ours), ``loosest_ratio`` and
``loosest_cpu_ratio`` (over ours at its loosest), ``cells``, ``settings``, ``errors`` (front,
plateau, profile), ``in_class``, ``first_call`` (s, fresh process), ``peak_memory`` (MB), for ours
``estimate`` and ``resolved``, for peers ``tighter`` (``errors`` and ``in_class`` with tolerances
ten times tighter); or with ``failed``, the reason, in place of all of these.
``own`` holds our solver's other figures, each under the name of the function of ``run.py`` that
measures it: ``ladder``, ``scaling``, ``ensemble``, ``double_cait``, ``cold_start``.
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

CODES = (
    "ours", "ours, loosest", "SUNDIALS IDA", "SciPy LSODA", "SciPy BDF", "SciPy Radau",
    "PyBaMM IDAKLU", "FiPy",
)  # fmt: skip
COLUMNS = (
    "class", "problem", "code", "cells", "time / ms", "CPU / ms", "runs", "ratio", "CPU ratio",
    "ratio to loosest", "front", "plateau", "profile", "in class", "tighter too",
    "first call / s", "memory / MB", "settings",
)  # fmt: skip


def load(path: str | Path = Path(__file__).parent / "results.json") -> dict:
    """The stored results; their layout is told above."""
    return json.loads(Path(path).read_text())


def lines(found: dict) -> list[tuple[str, ...]]:
    """The rows as text, in the order of ``COLUMNS``."""
    out = []
    for row in found["rows"]:
        head = (row["class"], row["problem"], row["code"])
        if "failed" in row:
            out.append((*head, *[""] * (len(COLUMNS) - 4), row["failed"]))
            continue
        errors = (f"{row['errors'][key]:.1e}" for key in ("front", "plateau", "profile"))
        out.append(
            (
                *head, str(row["cells"]), f"{row['seconds'] * 1e3:.3g}",
                f"{row['cpu_seconds'] * 1e3:.3g}", str(row["repeats"]),
                f"{row['ratio']:.3g}" if "ratio" in row else "",
                f"{row['cpu_ratio']:.3g}" if "cpu_ratio" in row else "",
                f"{row['loosest_ratio']:.3g}" if "loosest_ratio" in row else "", *errors,
                "yes" if row["in_class"] else "no",
                {True: "yes", False: "no", None: ""}[row.get("tighter", {}).get("in_class")],
                f"{row['first_call']:.2g}" if "first_call" in row else "",
                f"{row['peak_memory']:.0f}" if row.get("peak_memory") else "", row["settings"],
            )
        )  # fmt: skip
    return out


def missing(found: dict, codes: tuple[str, ...] = CODES) -> list[tuple[str, str, str]]:
    """Class, problem and code of what an interrupted run has not come to."""
    done = {(row["class"], row["problem"], row["code"]) for row in found["rows"]}
    wanted = product(("continuum", "today"), ("i", "ii", "iii"), codes)
    once = ("today", "ours"), ("today", "ours, loosest")
    return [key for key in wanted if key not in done and key[::2] not in once]


def table(found: dict) -> str:
    """A Markdown table; what has not been measured is in it too."""
    head = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    blank = [""] * (len(COLUMNS) - 4)
    rest = [(*key, *blank, "not measured yet (--resume)") for key in missing(found)]
    return "\n".join(head + [f"| {' | '.join(line)} |" for line in sorted(lines(found)) + rest])


def figure(found: dict):
    """Time of the processor against the plateau's error, one panel a problem.

    Filled: in the class continuum. Errors above one are drawn at one.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    names = sorted({row["problem"] for row in found["rows"]}, key=len)
    fig, axes = plt.subplots(
        1, len(names), figsize=(3.2 * len(names), 3.6), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, name in zip(axes[0], names, strict=True):
        for code, marker, colour in zip(CODES, "o.^sDvPX", plt.cm.tab10.colors, strict=False):
            rows = [r for r in found["rows"] if r["problem"] == name and r["code"] == code]
            for row in rows:
                if "failed" in row or not row["errors"]["plateau"] >= 0:
                    continue
                ax.plot(
                    min(row["errors"]["plateau"], 1.0), row["cpu_seconds"], marker, color=colour,
                    markerfacecolor=colour if row["in_class"] else "none", label=code,
                )  # fmt: skip
        ax.axvline(0.01, color="0.6", lw=0.8)
        ax.set(
            xscale="log", yscale="log", title=f"problem ({name})",
            xlabel="relative error of the plateau",
        )  # fmt: skip
    axes[0, 0].set_ylabel("processor time of a run / s")
    handles = {}
    for ax in axes[0]:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            if handle.get_markerfacecolor() != "none":
                handles.setdefault(label, handle)
            elif label not in handles:
                handles[label] = handle
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8)
    return fig
