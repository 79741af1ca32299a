"""Credentials of an assumed role, renewed before they expire."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiobotocore.credentials import AioRefreshableCredentials

_LONGEST_ADVANCE = 15 * 60

AssumeRole = Callable[[], Awaitable[Mapping[str, Any]]]


class RoleCredentials(AioRefreshableCredentials):  # type: ignore[misc]  # the SDK is untyped
    """Refreshes in the last quarter of the lifetime, and insists on it in the last eighth.

    The SDK's own windows of 15 and 10 minutes would assume the role anew on every call where
    the session itself lasts no longer than that.
    """

    @classmethod
    async def assume(cls, assume_role: AssumeRole) -> "RoleCredentials":
        """Assume the role once, now; raise AwsFailure as `assume_role` does."""

        async def fetch() -> dict[str, Any]:
            return _metadata(await assume_role())

        credentials: RoleCredentials = cls.create_from_metadata(
            await fetch(), refresh_using=fetch, method="assume-role"
        )
        credentials._fit_windows()
        return credentials

    def _set_from_data(self, data: Mapping[str, Any]) -> None:
        super()._set_from_data(data)
        self._fit_windows()

    def _fit_windows(self) -> None:
        lifetime = max(0, self._seconds_remaining())
        advance = min(_LONGEST_ADVANCE, lifetime / 4)
        self._advisory_refresh_timeout = advance
        self._mandatory_refresh_timeout = advance / 2


def _metadata(credentials: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
    }


class Renewal:
    """Renews credentials that AWS calls expired: once for all calls that were refused with them."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def mark(self) -> object:
        """Return what tells the credentials in use now from those after a renewal."""
        return getattr(self._credentials, "_frozen_credentials", None)

    async def renew(self, mark: object) -> bool:
        """Whether there are credentials newer than those of `mark`, made now if need be.

        Raises AwsFailure, or what the SDK raises, where they can't be had.
        """
        credentials = self._credentials
        if not isinstance(credentials, AioRefreshableCredentials):
            return False
        async with credentials._refresh_lock:
            if self.mark() is mark:
                await credentials._protected_refresh(is_mandatory=True)
        return True
