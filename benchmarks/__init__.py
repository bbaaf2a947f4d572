"""Speed of energy_at, each figure a ratio to a plain reference measured in the same run: ``python -m benchmarks``."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command itself runs, before torch is loaded
