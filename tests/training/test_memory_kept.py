"""What a step frees serves the next step: no page of it is cleared anew."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="set for glibc alone")
CODE = """
import resource, torch
from gcl.training.device import fabric

fabric(torch.device("cpu"), "32")
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    torch.ones(12 << 20)  # 48 MiB: 12,288 pages
for _ in range(20):  # glibc 2.36 asks for a little more than it returns, to align it: the first steps still grow
    step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


def pages(**variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env=environment | variables
    )
    return int(done.stdout)


def test_freed_memory_is_kept():
    assert pages() < 1000


def test_the_environment_has_the_last_word():
    assert pages(MALLOC_MMAP_THRESHOLD_="1000000") > 1000
