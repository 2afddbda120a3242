"""Where readings come from: the doors to those who know how a customer is doing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models import ConnectStep, Customer, MonitorKind, MonitorState, Reading
from models.connect_checks import Outcome


@dataclass(frozen=True)
class LastReading:
    """What the portal knows of a monitor before it is read again."""

    kind: MonitorKind
    state: MonitorState
    value: float | None = None
    threshold: float | None = None
    reason: str = ''


class Source(Protocol):
    """Reads the monitors of the customers that it looks after, and only theirs."""

    async def size(self) -> int:
        """How many customers it looks after."""
        ...

    async def customers(self, after: int, most: int) -> list[int]:
        """The next of its customers in the order of their ids; none where there are no more."""
        ...

    async def news(self) -> set[int]:
        """Those of its customers that are worth reading before it is their turn."""
        ...

    async def readings(self, customer_id: int, last: Sequence[LastReading]) -> list[Reading]:
        """What it reads of this customer now; monitors that it cannot know are left out."""
        ...


class ConnectSource(Protocol):
    """Knows how the customers that it looks after get on in Connect."""

    async def advance(self) -> int:
        """Tell the portal of the steps that were taken since the last time; return how many."""
        ...


class CheckSource(Protocol):
    """Answers the automatic checks of the customers that it looks after (models/connect_checks.py)."""

    async def check(self, customer: Customer, step: ConnectStep) -> Outcome:
        """What it finds about this step of one of its customers now."""
        ...
