"""Settings for every test: floating-point traps, no windows, no figures left open."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest


def pytest_collectstart(collector):
    """Let nbval pass over HTML: it holds an explorer's pictures, which are not stored."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("text/html",)


@pytest.fixture(autouse=True)
def numerical_hygiene():
    """A nan that nobody asked for is an error, and a figure belongs to one test."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with np.errstate(all="raise", under="ignore"):
        yield
    plt.close("all")
