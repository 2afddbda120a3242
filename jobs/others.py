"""Notice what other processes wrote: an import or a command beside the running server."""

from models import events
from models.database import CommitsOfOthers


class Others:
    """Tells the open pages when another process has committed; they ask again for what they show."""

    def __init__(self) -> None:
        self._commits = CommitsOfOthers()

    async def look(self) -> bool:
        """Tell the open pages if others have committed since the last time; return whether they have."""
        changed = await self._commits.happened()
        if changed:
            events.MANY_CHANGED.emit(None)
        return changed

    async def stop(self) -> None:
        await self._commits.close()
