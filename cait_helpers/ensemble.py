"""Many simulations at once: ensembles, scans and fits, on threads, processes or a cluster."""

from __future__ import annotations

import inspect
import pickle
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass
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
    kept: MutableMapping[int, tuple[dict[str, Any], Run]] | None = None,
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
    kept : dict, optional
        Takes the arguments and the result of each run under its number as soon as it is there. What
        it holds is not simulated again: after an interrupt, or a failed run that was mended, call
        again with it. It may be pickled, for another session; own laws then need ``__eq__``.

    Returns
    -------
    list of Run
        In the order of ``runs``; with ``errors="return"`` also the errors of the runs that failed.

    Raises
    ------
    ValueError
        If ``runs`` or ``errors`` is not as above, or ``kept`` holds the result of other arguments,
        before anything runs; or a run refused its arguments.
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
            return simulate_many(runs, threads, progress, errors, kept)
    kept = {} if kept is None else require_kind("kept", kept, MutableMapping)
    _require_same(runs, kept)
    open_ = [number for number in range(len(runs)) if number not in kept]
    size = min(_LONGEST_CHUNK, -(-len(open_) // _TASKS))
    failed: dict[int, Exception] = {}
    tasks = {}
    with _bar(len(open_), progress) as bar:
        try:
            for first in range(0, len(open_), max(size, 1)):
                numbers = open_[first : first + size]
                chunk = [runs[number] for number in numbers]
                tasks[_submit(executor, chunk, errors == "raise")] = numbers
            for task in as_completed(tasks):
                done = dict(zip(tasks[task], _outcome(task, len(tasks[task])), strict=False))
                for number, result in done.items():
                    if isinstance(result, Exception):
                        failed[number] = result
                    else:
                        kept[number] = runs[number], result
                if errors == "raise" and failed:
                    number = min(failed)
                    _fail(number, runs[number], failed[number])
                bar.update(len(done))
        finally:
            for task in tasks:
                task.cancel()
    return [failed[number] if number in failed else kept[number][1] for number in range(len(runs))]


def _require_same(runs: list[dict[str, Any]], kept: Mapping[int, Any]) -> None:
    """ValueError unless what is kept under the number of a run came of its arguments."""
    for number, (arguments, _) in kept.items():
        if number not in range(len(runs)):
            raise ValueError(f"kept holds a run {told(number)}; there are {len(runs)} runs")
        for name in arguments | runs[number]:
            old, new = (one.get(name) for one in (arguments, runs[number]))
            if not _same(old, new):
                raise ValueError(
                    f"kept[{number}] is the result of {name} = {told(old)}, not of {told(new)}"
                )


def _same(one: Any, other: Any) -> bool:
    """Whether two arguments are equal in all that they hold, arrays too."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if is_dataclass(one):
        return all(_same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return np.shape(one) == np.shape(other) and bool(np.all(one == other))


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
        # mappings are copied: the caller may go on changing its own
        found.append({k: dict(v) if isinstance(v, Mapping) else v for k, v in run.items()})
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
