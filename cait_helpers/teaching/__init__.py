"""What only the chapters use: explorers, exercises with their answers, glasses by name."""

from .exercises import check
from .explorers import Sweep, explore, explorer_page
from .presets import Preset, preset

__all__ = ["Preset", "Sweep", "check", "explore", "explorer_page", "preset"]
