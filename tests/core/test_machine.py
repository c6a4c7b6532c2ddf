import os

import psutil
import pytest

from tunesmith.core import machine
from tunesmith.core.machine import describe, free_cores, library_versions, memory_bytes, set_threads, usable_cores
from tunesmith.core.meter import metered


def test_free_cores_are_between_one_and_the_usable_ones():
    assert 1 <= free_cores(probe_s=0.05) <= usable_cores()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not bind processes to cores")
def test_only_what_happens_on_the_cores_of_this_process_counts_as_busy(monkeypatch):
    def free(busy, mine, quota=None):
        monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: list(busy))
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(mine))
        monkeypatch.setattr(machine, "_cgroup_quota", lambda: quota)
        return free_cores()

    assert free([0.0] * 8, range(8)) == 8
    assert free([100.0, 100.0, 40.0, 10.0], range(4)) == 2
    assert free([100.0] * 4, range(4)) == 1
    assert free([100.0] * 6 + [0.0] * 2, {6, 7}) == 2  # others are busy elsewhere
    assert free([50.0] * 8, range(8), quota=2) == 2  # half the machine is idle, and this process may use two cores


def test_the_machine_is_described_without_naming_its_owner():
    import getpass
    import socket

    words = str(describe())
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words
    assert memory_bytes()[0] >= memory_bytes()[1] > 0


def test_versions_name_what_results_depend_on():
    assert {"numpy", "torch", "scikit-learn", "transformers", "peft", "python"} == set(library_versions())


def test_threads_reach_libraries_that_are_loaded_already():
    import torch

    set_threads(1)
    assert torch.get_num_threads() == 1


def test_a_meter_sees_cpu_time_and_a_passing_memory_peak():
    import time

    import numpy as np

    with metered() as meter:
        block = np.ones(40_000_000)  # 320 MB
        until = time.process_time() + 0.2
        while time.process_time() < until:
            block[:1000].sum()
        del block
    with metered() as quiet:
        pass
    assert 0.15 < meter.cpu_s < 5
    assert meter.peak_rss_bytes - quiet.peak_rss_bytes > 200e6
