"""The machine's clock."""

import time
from datetime import UTC, datetime

import anyio


class SystemClock:
    """The machine's clock (port Clock)."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)
