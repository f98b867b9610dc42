"""How functions are compiled, and kept on disk between sessions wherever that is possible."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pickle import UnpicklingError
from typing import Any

import numba
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):
    """Numba's files of a function; a damaged one or a full disk costs a compilation, not a call."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # what a damaged file raises depends on where it is damaged
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, EOFError, UnpicklingError):
            super().save_overload(sig, data)


def jit(function: Callable) -> Callable:
    """Compile a function when it is first called; it lets go of the interpreter's lock.

    Numba itself stops at the import where no folder can be written: neither the one beside the
    source, nor that of the user, nor ``NUMBA_CACHE_DIR``. Here every session then compiles anew.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    if compiled is not function:  # as it is without numba's compiler
        with suppress(RuntimeError):
            compiled._cache = _Cache(function)
    return compiled
