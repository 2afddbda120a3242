from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from models import Monitor, MonitorKind, MonitorState


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state_of():
    async def state_of(customer_id: int, kind: MonitorKind) -> MonitorState:
        return (await Monitor.get(customer_id=customer_id, kind=kind)).state

    return state_of


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch):
    monkeypatch.setattr('models.user._hasher', PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
