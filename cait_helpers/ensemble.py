"""Many simulations at once: ensembles, scans and fits, on threads, processes or a cluster."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import AbstractContextManager, nullcontext
from textwrap import shorten
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numba import config

from .checks import require_kind, require_name, told
from .npp import Run, SimulationError, simulate

_LONGEST_CHUNK = 16  # runs in one task: some 50 ms, against about one for a task of a cluster
_TASKS = 64  # or more, so that every worker has something to do and the bar moves


def simulate_many(
    runs: Iterable[Mapping[str, Any]],
    executor: Executor | None = None,
    progress: bool = False,
    errors: Literal["raise", "return"] = "raise",
) -> list[Run | Exception]:
    """Simulate many runs at once.

    Parameters
    ----------
    runs : iterable of mappings
        The keyword arguments of :func:`simulate` for each run.
    executor : concurrent.futures.Executor, optional
        Where to run: a ``ProcessPoolExecutor``, ``Client.get_executor()`` of Dask, ... It stays
        open. The default is a pool of threads, one for each core that this process may use
        (``NUMBA_NUM_THREADS`` sets another number): the kernels release the interpreter.
    progress : bool
        Show a progress bar (on stderr, or as a widget in a notebook).
    errors : {"raise", "return"}
        What happens when a run fails. By default the rest is cancelled and its error raised, with
        the number and the arguments of the run; "return" puts the error in the place of the result:
        of a law that raises, of a worker that is killed, of whatever happens to one run.

    Returns
    -------
    list of Run
        In the order of ``runs``; with ``errors="return"`` also the errors of the runs that failed.

    Raises
    ------
    ValueError
        If ``runs`` or ``errors`` is not as above, before anything runs; or a run refused its
        arguments.
    SimulationError
        If a run did not reach its end or its accuracy, or its worker was lost.
    """
    require_name("errors", errors, ("raise", "return"))
    require_kind("progress", progress, bool, np.bool_)
    runs = _checked(runs, pickled=isinstance(executor, ProcessPoolExecutor))
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ValueError(f"executor = {told(executor)} has no method submit")
    if executor is None:
        with ThreadPoolExecutor(config.NUMBA_NUM_THREADS) as threads:
            return simulate_many(runs, threads, progress, errors)
    size = min(_LONGEST_CHUNK, -(-len(runs) // _TASKS))
    results: list[Any] = [None] * len(runs)
    tasks = {}
    with _bar(len(runs), progress) as bar:
        try:
            for first in range(0, len(runs), max(size, 1)):
                chunk = runs[first : first + size]
                tasks[_submit(executor, chunk, errors == "raise")] = first
            for task in as_completed(tasks):
                first = tasks[task]
                done = _outcome(task, len(runs[first : first + size]))
                if errors == "raise" and isinstance(done[-1], Exception):
                    number = first + next(i for i, x in enumerate(done) if isinstance(x, Exception))
                    _fail(number, runs[number], done[number - first])
                results[first : first + len(done)] = done
                bar.update(len(done))
        finally:
            for task in tasks:
                task.cancel()
    return results


def _submit(executor: Executor, chunk: list[dict[str, Any]], stop: bool) -> Future:
    """The task of a chunk; one that has failed already where the executor takes no more."""
    try:
        return executor.submit(_simulate_chunk, chunk, stop)
    except BrokenExecutor as error:
        task: Future = Future()
        task.set_exception(error)
        return task


def _outcome(task: Future, count: int) -> list[Run | Exception]:
    """Results of a task; if its worker was lost, an error that says so for each of its runs."""
    try:
        return task.result()
    except Exception as error:
        text = f"the worker that simulated it was lost: {type(error).__name__}: {error}"
        return [SimulationError(text) for _ in range(count)]


def _checked(runs: Iterable[Mapping[str, Any]], pickled: bool) -> list[dict[str, Any]]:
    """The runs as a list, each with arguments that :func:`simulate` takes."""
    if isinstance(runs, Mapping) or not isinstance(runs, Iterable):
        raise ValueError(f"runs = {told(runs)} is not a sequence of keyword arguments")
    signature, found, sendable = inspect.signature(simulate), [], set()
    for number, run in enumerate(runs):
        if not isinstance(run, Mapping):
            raise ValueError(f"runs[{number}] = {told(run)} is not a mapping of keyword arguments")
        try:
            signature.bind(**run)
        except TypeError as error:
            raise ValueError(f"runs[{number}]: simulate: {error}") from None
        found.append(dict(run))
        ions = run["ions"] if pickled and isinstance(run["ions"], Mapping) else {}
        for name, D in ions.items():
            if callable(D) and id(D) not in sendable:
                try:
                    pickle.dumps(D)
                except (pickle.PicklingError, AttributeError, TypeError) as error:
                    raise ValueError(
                        f"runs[{number}]: ions[{name!r}] = {D!r} cannot be sent to another process"
                        f" ({error}): take activated_diffusivity, tabulated_diffusivity, or a"
                        " function of a module"
                    ) from None
                sendable.add(id(D))
    return found


def _simulate_chunk(runs: list[dict[str, Any]], stop: bool) -> list[Run | Exception]:
    """Results of some runs, or their errors; with ``stop`` up to the first error."""
    results: list[Run | Exception] = []
    for run in runs:
        try:
            results.append(simulate(**run))
        except Exception as error:  # of this run, whatever it is: the others shall go on
            results.append(error)
            if stop:
                break
    return results


def _fail(number: int, run: dict[str, Any], error: Exception) -> None:
    """Raise the error of a run again, with its number and arguments."""
    kind = ValueError if isinstance(error, ValueError) else SimulationError
    arguments = "\n".join(
        shorten(f"  {name} = {value!r}", 300, initial_indent="  ", placeholder=" ...")
        for name, value in run.items()
    )
    raise kind(f"runs[{number}]: {error}\nIts arguments:\n{arguments}") from error


def _bar(total: int, progress: bool) -> AbstractContextManager[Any]:
    """A progress bar; none where it is not asked for, or where there is nothing to write it on."""
    if not progress or sys.stderr is None or sys.stderr.closed:
        return nullcontext(SimpleNamespace(update=lambda count: None))
    from tqdm.auto import tqdm

    return tqdm(total=total, unit="run")
