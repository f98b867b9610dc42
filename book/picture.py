"""Draw the picture of README.md: three profiles, and the landscape that describes them all.

    python book/picture.py                       writes book/assets/result.png
    python book/picture.py elsewhere.png
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

import cait_helpers as cait
from cait_helpers.figures import landscape_figure

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "book" / "assets" / "result.png"


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
