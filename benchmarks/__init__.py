"""Speed of energy_at, each figure a ratio to a plain reference measured in the same run: ``python -m benchmarks``."""
