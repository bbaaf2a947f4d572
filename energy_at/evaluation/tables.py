"""Tables as text: for other programs, and for the screen."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV: all their keys are columns, empty where a row has no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        lines: of equally many cells; the first holds the headings.
    """
    ruled = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in ruled) + "\n"


def aligned(lines: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns for the screen.

    Args:
        lines: of equally many cells.
        left: columns that are aligned to the left; the others are to the right.
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def class_name(names: Sequence[str], k: int) -> str:
    """What a class is called, or its label where nobody says.

    Args:
        names: of the classes, or none.
        k: the label.
    """
    return str(names[k]) if k < len(names) else str(k)
