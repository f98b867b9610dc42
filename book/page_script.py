"""Put the script of the pages together: the compiled kernels, their Worker, `window.cait`.

    python book/page_script.py          writes _build/page/cait.js

One classic script, because a page that is opened from a disk may load neither modules nor data.
"""

from __future__ import annotations

import base64
import json

import wasm
from scipy.constants import e, epsilon_0, k

from cait_helpers import checks, laws, npp
from cait_helpers.landscape import BOLTZMANN, SIGMA_PER_FWHM

SOURCES = wasm.ROOT / "book" / "page"
TARGET = wasm.ROOT / "_build" / "page" / "cait.js"

#: What the Worker reads: constants as the package has them, and the meshes that it tries in turn.
CONSTANTS = {
    "e": e,
    "e_squared": e**2,
    "k": k,
    "epsilon_0": epsilon_0,
    "boltzmann": BOLTZMANN,
    "sigma_per_fwhm": float(SIGMA_PER_FWHM),
    "stack": wasm.STACK,
    "PIECES": laws.PIECES,
    "FLOOR": laws.SMALLEST,
    "strongest_field": npp.STRONGEST_FIELD,
    "ladder": [150, 250, 400, 600],
    "ranges": {
        "thickness": checks.THICKNESS,
        "ion_density": checks.ION_DENSITY,
        "permittivity": checks.PERMITTIVITY,
        "temperature": checks.TEMPERATURE,
        "fwhm": (1e-3, 2.0, "eV"),
        "occupancy": checks.OCCUPANCY,
        "D_bulk": (1e-40, 1e-5, "m^2/s"),
        "D_foreign": (1e-40, 1e-5, "m^2/s"),
        "voltage": (1e-30, 1e30, "V"),
        "current_density": (1e-30, 1e30, "A/m^2"),
        "charge": checks.CHARGE,
        "duration": (1e-9, 1e12, "s"),
        "cells": (20, 600, "cells"),
    },
}


def worker() -> str:
    """The source of the Worker."""
    source = (SOURCES / "solver.js").read_text(encoding="utf-8")
    return f"const CONSTANTS = {json.dumps(CONSTANTS)};\n{source}"


def script(module: bytes) -> str:
    """The script that every page loads, around a compiled module."""
    parts = [
        f"const MODULE = {json.dumps(base64.b64encode(module).decode())};",
        f"const WORKER = {json.dumps(worker())};",
        *(path.read_text(encoding="utf-8") for path in PARTS),
    ]
    return '"use strict";\n{\n' + "\n".join(parts) + "}\n"


PARTS = [
    SOURCES / name for name in ("client.js", "plot.js", "scenes.js", "explorers.js", "answers.js")
]


def write() -> None:
    """Compile the kernels, if they have changed, and write the script."""
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(script(wasm.built()), encoding="utf-8")


if __name__ == "__main__":
    write()
