"""``python -m energy_at`` is ``energy-at``."""

from energy_at.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
