"""Figures as text."""


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}" if value >= 0.01 or value <= 0 else f"{value:.4f}"


def lines_of(heads, rows):
    """Columns as wide as they need; the first to the left."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    return ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in [heads, *rows]]


def print_table(heads, rows):
    print("\n".join(lines_of(heads, rows)))
    print(flush=True)
