import os
import subprocess
import sys
from pathlib import Path

import torch

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
CODE = """
import sys, time
{before}
from winnow.audit.numerics import numerics_class
numerics_class()
start = time.process_time()
print(sorted(numerics_class().items()), file=sys.stdout)
print(time.process_time() - start)
"""
TORCH = "import torch; torch.set_num_threads({})"


def battery(before: str = TORCH.format(1), **environment: str) -> tuple[str, float]:
    """The class of a fresh process and the CPU time that finding it out took."""
    command = [sys.executable, "-c", CODE.format(before=before)]
    run = subprocess.run(
        command, cwd=WORKFLOW, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    found, seconds = run.stdout.splitlines()
    return found, float(seconds)


def test_the_class_is_that_of_the_settings_and_cheap():
    plain, seconds = battery()
    assert "torch" in plain
    assert seconds < 0.05
    assert battery()[0] == plain
    assert battery(TORCH.format(2))[0] != plain


def test_the_class_tells_instruction_sets_apart():
    """Where the processor has more than one, whichever of them the libraries are told to use here."""
    wide = torch.cpu.get_capabilities().get("avx2", False)
    plain, widest = (battery(ATEN_CPU_CAPABILITY=name)[0] for name in ("default", "avx2" if wide else "default"))
    assert (plain != widest) == wide


def test_a_process_without_torch_does_not_import_it():
    assert "torch" not in battery("")[0]
