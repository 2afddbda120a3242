from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from components import live
from components.live_table import TABLES
from models import Customer, Partner, RfiState


@pytest.fixture(autouse=True)
def _nothing_of_other_tests() -> Iterator[None]:
    """Module-level state of a process that starts once; a test brings its own tables and its own database."""
    import pages.customers  # noqa: F401 – the portal's own tables come once a process, and have to stay

    before = dict(TABLES)
    live._shared.clear()
    yield
    live._shared.clear()
    TABLES.clear()
    TABLES.update(before)
    for table in TABLES.values():
        table._shared.clear()


@pytest.fixture
def add() -> Callable[..., Awaitable[Customer]]:
    """Add a customer whose RFI is not applicable, so that it is listed, unless told otherwise."""

    async def add(partner: Partner, name: str, **facts: Any) -> Customer:
        code = f'C{await Customer.all().count() + 1:05}'
        return await Customer.add(partner, name=name, **{'account_code': code, 'rfi': RfiState.NOT_APPLICABLE, **facts})

    return add
