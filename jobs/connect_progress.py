"""Carry customers on through Connect as their source reports it."""

from jobs.sources import ConnectSource


async def advance_connect(source: ConnectSource) -> int:
    """Take the steps that have been taken since the last time; return how many."""
    return await source.advance()
