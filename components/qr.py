"""QR codes as a picture inside the page: no file, no other host, no script."""

from itertools import groupby

import segno

BORDER = 4  # modules of quiet around it, without which cameras do not find it


def svg(text: str) -> str:
    """The code of a text as SVG, as large as its box; its colour is that of the text around it."""
    rows = list(segno.make(text, error='m', micro=False).matrix_iter(border=BORDER))
    drawn = []
    for y, row in enumerate(rows):
        x = 0
        for is_dark, run in groupby(row):
            length = len(list(run))
            if is_dark:
                drawn.append(f'M{x} {y}h{length}v1h-{length}z')
            x += length
    size = len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges" '
        f'fill="currentColor"><path d="{"".join(drawn)}"/></svg>'
    )
