"""The door: few names, each from one module, and nothing imported before it is used."""

import subprocess
import sys

import pytest

import cait_helpers as cait


def test_every_public_name_is_what_its_module_calls_it():
    """About thirty names; the rest is reached by its module."""
    assert 25 <= len(cait.__all__) <= 35
    for name in cait.__all__:
        assert name in dir(cait)
        assert getattr(cait, name) is getattr(getattr(cait, cait._MODULE_OF[name]), name)


def test_the_import_waits_with_what_it_needs():
    """Compilers, fits and plots take a second to import: not before somebody uses them."""
    heavy = "{'numba', 'scipy', 'matplotlib', 'lmfit', 'emcee', 'ipywidgets', 'IPython'}"
    code = f"import sys, cait_helpers; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["simulat", "_simulate", "__wrapped__"])
def test_a_name_that_is_not_there_is_named(name):
    """A misspelling is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match=f"'cait_helpers' has no attribute '{name}'"):
        getattr(cait, name)
