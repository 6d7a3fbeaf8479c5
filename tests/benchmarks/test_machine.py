"""What a page of results says of the machine."""

import torch

from benchmarks.machine import measured_on, processor_line
from grads.runtime.processor import instruction_set


def test_a_page_names_processor_and_instructions():
    found = measured_on()
    line = processor_line(found)
    assert line.startswith(found["machine"]["processor"])
    assert instruction_set() in line
    assert line.endswith(f"{torch.backends.cpu.get_cpu_capability()})")
