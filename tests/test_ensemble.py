"""Many runs at once: the same numbers from threads, processes and a cluster, and no run lost."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from cait_helpers import ensemble
from cait_helpers.ensemble import simulate_many
from cait_helpers.landscape import (
    activated_diffusivity,
    gaussian_sed,
    skewed_sed,
    tabulated_diffusivity,
    two_component_sed,
)
from cait_helpers.npp import Charge, CurrentDensity, Glass, Run, SimulationError, Voltage, simulate

PLATE = Glass(0.5e-3, 1.38e28, 8.0, 323.15)
LAW = activated_diffusivity(gaussian_sed(0.250), 1e-18, 323.15, 0.9)
TABLE = tabulated_diffusivity([0.0, 0.1, 0.5, 1.0], [1e-23, 3e-22, 4e-20, 1e-18])
THERMAL = activated_diffusivity(gaussian_sed(0.250), 1e-18, 323.15, 0.9, filling="thermal")
SKEWED = activated_diffusivity(skewed_sed(0.250, 0.3), 1e-18, 323.15, 0.9, immobile=0.05)
MIXED = activated_diffusivity(
    two_component_sed(0.4, gaussian_sed(0.2), gaussian_sed(0.1, 0.1)), 1e-18, 323.15, 0.9
)


def scan(count: int, law=LAW) -> list[dict]:
    """Runs with one foreign diffusivity after the other, quick ones."""
    return [
        {
            "glass": PLATE, "ions": {"Li": law, "M": D}, "native": "Li", "beam": "M",
            "drive": Voltage(10.0), "until": Charge(22.0), "rtol": 1e-2,
        }
        for D in np.geomspace(1e-22, 1e-21, count)
    ]  # fmt: skip


def refused() -> dict:
    """A run that asks for more charge than the plate holds: a ValueError."""
    return scan(1)[0] | {"until": Charge(1e6)}


class Jagged:
    """A law that no mesh resolves: a SimulationError, after a while."""

    def __call__(self, fraction):
        return 1e-18 * (1 + 0.999 * np.sin(3e4 * np.asarray(fraction)))


def bits(run: Run) -> bytes:
    """Every number of a run."""
    return b"".join(
        np.ascontiguousarray(values).tobytes()
        for values in (run.nodes, *run.fraction.values(), run.potential, run.time, run.voltage)
    )


@pytest.fixture(scope="module")
def expected() -> list[bytes]:
    """One after the other, without an executor."""
    return [bits(simulate(**run)) for run in scan(5)]


# --- the same results everywhere, in order ---


def test_threads_return_what_single_runs_return_in_their_order(expected):
    assert [bits(run) for run in simulate_many(scan(5))] == expected


def test_a_generator_and_an_empty_sequence_are_sequences_too(expected):
    assert [bits(run) for run in simulate_many(run for run in scan(5))] == expected
    assert simulate_many([]) == []


def test_chunks_keep_the_order():
    """150 runs make chunks of three; each is told by the charge that passed."""
    charges = np.linspace(10.0, 22.0, 150)
    runs = [run | {"until": Charge(q)} for run, q in zip(scan(150), charges, strict=True)]
    found = [run.charge[-1] for run in simulate_many(runs)]
    np.testing.assert_allclose(found, charges, rtol=1e-5)


def test_the_executor_stays_open_for_its_owner(expected):
    with ThreadPoolExecutor(1) as threads:
        for _ in range(2):
            assert [bits(run) for run in simulate_many(scan(5), threads)] == expected


def test_a_process_pool_returns_the_same_bits(expected):
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as processes:
        found = simulate_many([*scan(5), refused()], processes, errors="return")
    assert [bits(run) for run in found[:5]] == expected
    assert isinstance(found[5], ValueError)


def test_a_dask_cluster_returns_the_same_bits(expected):
    """A scheduler and one worker in a process of its own, reached over a socket."""
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        found = simulate_many([*scan(5), refused()], client.get_executor(), errors="return")
    assert [bits(run) for run in found[:5]] == expected
    assert isinstance(found[5], ValueError)


# --- runs that fail ---


def test_a_failed_run_stops_the_rest_and_says_which_it_was_and_with_what():
    with pytest.raises(ValueError, match=r"runs\[3\]: until = 1e\+06 C/m\^2") as caught:
        simulate_many([*scan(3), refused(), *scan(3)])
    assert "drive = Voltage(value=10.0" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_simulation_that_does_not_converge_keeps_its_kind():
    """Raised with its number, or in the place of its result."""
    unresolved = scan(1)[0] | {"rtol": 1e-5, "ions": {"Li": Jagged(), "M": 1e-20}}
    with pytest.raises(SimulationError, match=r"runs\[1\]: simulate"):
        simulate_many([*scan(1), unresolved])
    good, bad = simulate_many([*scan(1), unresolved], errors="return")
    assert isinstance(good, Run) and isinstance(bad, SimulationError)


class Raises:
    """A law that raises what no solver expects."""

    def __call__(self, fraction):
        raise ZeroDivisionError("division by zero")


class Kills:
    """A law that ends the process which asks it, as the system does when memory is short."""

    def __call__(self, fraction):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", ["threads", "processes"])
def test_a_law_that_raises_costs_its_own_run_alone(workers):
    """The error, with its kind and the ion, stands where the result would."""
    broken = scan(1)[0] | {"ions": {"Li": Raises(), "M": 1e-21}}
    pool = ThreadPoolExecutor(2)
    if workers == "processes":
        pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with pool as executor:
        first, failed, last = simulate_many([*scan(1), broken, *scan(1)], executor, errors="return")
    assert isinstance(first, Run) and isinstance(last, Run)
    assert isinstance(failed, ValueError)
    assert "ions['Li']: the law raised ZeroDivisionError" in str(failed)
    with pytest.raises(ValueError, match=r"runs\[1\]: ions\['Li'\].*ZeroDivisionError"):
        simulate_many([*scan(1), broken])


def test_a_killed_worker_is_an_error_in_the_place_of_its_runs():
    """What had been finished is kept; the rest says that its worker was lost."""
    deadly = scan(1)[0] | {"ions": {"Li": Kills(), "M": 1e-21}}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as processes:
        found = simulate_many([*scan(2), deadly, *scan(2)], processes, errors="return")
        assert isinstance(found[0], Run)
        assert isinstance(found[2], SimulationError)
        assert "worker that simulated it was lost: BrokenProcessPool" in str(found[2])
        # the pool is gone: every run says so, and none is lost without a word
        again = simulate_many(scan(2), processes, errors="return")
        assert [type(one) for one in again] == [SimulationError] * 2
        with pytest.raises(SimulationError, match=r"runs\[[01]\]: the worker .* was lost"):
            simulate_many(scan(2), processes)


def test_without_a_stderr_there_is_no_bar_and_no_lock_is_kept(monkeypatch):
    """Under pythonw and some servers ``sys.stderr`` is None."""
    monkeypatch.setattr(sys, "stderr", None)
    assert len(simulate_many(scan(2), progress=True)) == 2
    with ThreadPoolExecutor(1) as other:
        done = other.submit(simulate_many, scan(2), None, True)
        assert len(done.result(timeout=60)) == 2


def test_one_failed_draw_does_not_lose_the_others():
    """Even in the middle of a chunk: 201 runs make chunks of four."""
    found = simulate_many([*scan(101), refused(), *scan(99)], errors="return")
    kinds = [type(result) for result in found]
    assert kinds == [Run] * 101 + [ValueError] + [Run] * 99


class Interrupts:
    """A law that the user interrupts, once."""

    def __init__(self):
        self.again = False

    def __call__(self, fraction):
        if not self.again:
            self.again = True
            raise KeyboardInterrupt
        return LAW(fraction)


def test_after_an_interrupt_only_what_is_not_finished_is_simulated(expected, monkeypatch):
    """Also in another session, where equal arguments are other objects."""
    runs, kept = scan(5), {}
    runs[3] = runs[3] | {"ions": runs[3]["ions"] | {"Li": Interrupts()}}
    with ThreadPoolExecutor(1) as threads, pytest.raises(KeyboardInterrupt):
        simulate_many(runs, threads, kept=kept)
    assert list(kept) == [0, 1, 2]
    kept, simulated = pickle.loads(pickle.dumps(kept)), []
    monkeypatch.setattr(
        ensemble, "simulate", lambda **run: simulated.append(run) or simulate(**run)
    )
    assert [bits(run) for run in simulate_many(scan(5), kept=kept)] == expected
    assert simulated == scan(5)[3:]
    assert sorted(kept) == [0, 1, 2, 3, 4]


def test_what_is_kept_of_other_arguments_is_refused():
    """Even if the caller changes the very mapping that was simulated."""
    runs, kept = scan(2), {}
    simulate_many(runs, kept=kept)
    assert all(run is kept[number][1] for number, run in enumerate(simulate_many(runs, kept=kept)))
    runs[1]["ions"]["M"] *= 2
    with pytest.raises(ValueError, match=r"kept\[1\] is the result of ions = .*, not of "):
        simulate_many(runs, kept=kept)
    recorded = Voltage([10.0, 11.0, 12.0], [0.0, 1.0, 2.0])
    assert not ensemble._same(recorded, Voltage([10.0, 11.0, 13.0], [0.0, 1.0, 2.0]))
    assert ensemble._same(recorded, Voltage([10.0, 11.0, 12.0], [0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="kept holds a run 1; there are 1 runs"):
        simulate_many(runs[:1], kept=kept)
    with pytest.raises(ValueError, match=r"kept = \[\] is not of the class MutableMapping"):
        simulate_many(runs, kept=[])


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        (scan(1)[0], "not a sequence of keyword arguments"),
        (3, "not a sequence of keyword arguments"),
        ([*scan(2), "Li"], r"runs\[2\] = 'Li' is not a mapping"),
        ([*scan(2), scan(1)[0] | {"rtoll": 1e-3}], r"runs\[2\]: .*'rtoll'"),
        ([{}], r"runs\[0\]: .*'glass'"),
    ],
)
def test_what_is_no_run_is_refused_before_anything_runs(runs, text):
    class Closed:
        """An executor that nothing may reach."""

    with pytest.raises(ValueError, match=text):
        simulate_many(runs, Closed())


def test_errors_is_one_of_two_words():
    with pytest.raises(ValueError, match="errors = 'ignore' is not one of raise, return"):
        simulate_many([], errors="ignore")


def test_a_lambda_cannot_go_to_another_process_and_is_named():
    """On threads it may; ``D`` of a cluster is cloudpickle's business."""
    runs = [*scan(1), scan(1)[0] | {"ions": {"Li": lambda y: 1e-18 + 0 * y, "M": 1e-21}}]
    with ProcessPoolExecutor(1) as processes:  # starts no process before the first task
        with pytest.raises(ValueError, match=r"runs\[1\]: ions\['Li'\] = <function .*lambda"):
            simulate_many(runs, processes)
    assert len(simulate_many(runs)) == 2


# --- what travels ---


@pytest.mark.parametrize("law", [LAW, TABLE, THERMAL, SKEWED, MIXED])
def test_a_law_survives_the_journey(law):
    """Before and after its first use, which stores what it has computed."""
    y = np.linspace(0.01, 1.0, 50)
    fresh = pickle.loads(pickle.dumps(law))
    np.testing.assert_array_equal(fresh(y), law(y))
    used = pickle.loads(pickle.dumps(law))
    assert used == law
    np.testing.assert_array_equal(used(y), law(y))


def test_a_run_survives_the_journey_and_can_be_the_start_of_another():
    run = simulate(**scan(1)[0])
    copy = pickle.loads(pickle.dumps(run))
    assert bits(copy) == bits(run) and copy.stats == run.stats and copy.glass == run.glass
    again = scan(1)[0] | {"drive": CurrentDensity(1e-3)}
    assert bits(simulate(**again, start=copy)) == bits(simulate(**again, start=run))


def test_an_error_survives_the_journey():
    error = pickle.loads(pickle.dumps(SimulationError("no end")))
    assert type(error) is SimulationError and str(error) == "no end"


# --- what is seen, and what is not loaded ---


def test_the_progress_bar_counts_runs_and_is_silent_unless_asked_for(capfd):
    simulate_many(scan(3))
    assert capfd.readouterr().err == ""
    simulate_many(scan(3), progress=True)
    assert "3/3" in capfd.readouterr().err


def test_a_simulation_loads_no_library_of_figures_and_fits():
    """They take longer to import than a thousand runs to compute."""
    script = (
        "import sys, cait_helpers as cait\n"
        "D = cait.activated_diffusivity(cait.gaussian_sed(0.25), 1e-18, 323.15, 0.9)\n"
        "glass = cait.Glass(5e-4, 1.38e28, 8.0, 323.15)\n"
        "cait.simulate(glass, {'Li': D, 'M': 1e-21}, 'Li', 'M', cait.Voltage(10.0),"
        " cait.Charge(22.0), rtol=1e-2)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), *sys.modules)"
    )
    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    heavy = {"matplotlib", "ipywidgets", "IPython", "lmfit", "PIL", "scipy.stats", "tqdm"}
    assert heavy & set(outcome.stdout.split()) == set()
