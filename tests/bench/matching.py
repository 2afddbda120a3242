"""From what was posted and what the screen showed: how long each change took to be seen."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

Shot = tuple[float, dict[str, str]]  # when, and the state by customer: one picture of the screen


@dataclass
class Delays:
    seconds: list[float] = field(default_factory=list)
    lost: int = 0  # changes of a cell that stayed on the screen and never showed them


def delays(posts: list[tuple[float, str, str]], shots: list[Shot], *, since: float, until: float) -> Delays:
    """For each post (when, customer, state) between `since` and `until`: seconds to the first picture with it.

    Only of cells that were on the screen when it was posted; one that a new order took away is left out. A picture
    that shows a later change of the same cell shows this one as well.
    """
    found, by_customer = Delays(), defaultdict(list)
    for at, customer, state in posts:
        by_customer[customer].append((at, state))
    times = [at for at, _ in shots]
    for customer, changes in by_customer.items():
        for n, (at, state) in enumerate(changes):
            first = bisect_right(times, at)
            if not since <= at <= until or first == 0:
                continue
            before = shots[first - 1][1].get(customer)
            if before is None or before == state:
                continue
            _note(found, at, customer, changes[n:], shots[first:])
    return found


def _note(found: Delays, at: float, customer: str, changes: list[tuple[float, str]], shots: list[Shot]) -> None:
    for shot_at, cells in shots:
        shown = cells.get(customer)
        if shown is None:
            return
        if any(posted <= shot_at and shown == state for posted, state in changes):
            found.seconds.append(shot_at - at)
            return
    found.lost += 1
