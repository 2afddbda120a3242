"""What pages know of each MSP without asking the database: read once, and again after a change."""

from collections import Counter
from collections.abc import Callable
from typing import Generic, TypeVar

from models import Partner, events
from models.database import reader

T = TypeVar('T')


class Known(Generic[T]):
    """What `made_of` makes of an MSP, of those whose people have opened a page."""

    def __init__(self, made_of: Callable[[Partner], T]) -> None:
        self._made_of = made_of
        self._kept: dict[int, tuple[int, T]] = {}  # with the number of changes that it is as new as
        self._changes: Counter[int] = Counter()
        events.PARTNER_CHANGED.subscribe(self._change)
        events.MANY_CHANGED.subscribe(self._change)  # another process may have changed anything

    def _change(self, partner_id: int | None) -> None:
        self._changes.update(list(self._kept) if partner_id is None else [partner_id])

    async def prepare(self, partner_id: int) -> None:
        """Read what is not known, or not any more, so that `get` knows it. Whoever asks while somebody else reads does
        not go by what was before."""
        changes = self._changes[partner_id]
        if self._is_as_new_as(partner_id, changes):
            return
        found = await Partner.filter(id=partner_id).using_db(reader()).first()
        if found is not None and not self._is_as_new_as(partner_id, changes):
            self._kept[partner_id] = changes, self._made_of(found)

    def _is_as_new_as(self, partner_id: int, changes: int) -> bool:
        return partner_id in self._kept and self._kept[partner_id][0] >= changes

    def clear(self) -> None:
        """Forget everything: there is another database."""
        self._kept.clear()

    def get(self, partner_id: int) -> T | None:
        return self._kept[partner_id][1] if partner_id in self._kept else None
