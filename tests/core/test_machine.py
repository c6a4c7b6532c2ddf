from tunesmith.core.machine import describe, free_cores, library_versions, memory_bytes, set_threads, usable_cores
from tunesmith.core.meter import metered


def test_free_cores_are_between_one_and_the_usable_ones():
    assert 1 <= free_cores(probe_s=0.05) <= usable_cores()


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
