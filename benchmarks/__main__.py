"""All benchmarks, one after the other, each in its own process: `python benchmarks [--quick]`."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = (
    "start.py",
    "torch_memory.py",
    "torch_peers.py",
    "torch_family.py",
    "export.py",
    "evaluate.py",
    "evaluate_table.py",
    "serve.py",
    "keras_memory.py",
    "keras_peers.py",
)
WITHOUT_DEVICE = ("start.py", "export.py", "serve.py", "keras_memory.py")

for script in SCRIPTS:
    if script in WITHOUT_DEVICE and "--device" in " ".join(sys.argv):
        continue  # it knows no device
    subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *sys.argv[1:]], check=True)
