"""Notice what other processes wrote: an import or a command beside the running server."""

from models import events
from models.database import commits_of_others, is_sqlite


class Others:
    """Compares SQLite's counter of foreign commits with the last one; on PostgreSQL there is nothing to do."""

    def __init__(self) -> None:
        self._seen: int | None = None

    async def look(self) -> bool:
        """Tell the open pages if others have committed since the last time; return whether they have."""
        if not is_sqlite():
            return False
        found = await commits_of_others()
        changed = self._seen is not None and found != self._seen
        self._seen = found
        if changed:
            events.MANY_CHANGED.emit(None)
        return changed
