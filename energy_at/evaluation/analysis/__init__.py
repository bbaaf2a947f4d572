"""The energy picture of a net: measured once, drawn in many figures, collected in a report."""
