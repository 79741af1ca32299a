"""Asking live for the last use of single keys that a run took from credential reports."""

from collections.abc import Mapping, Sequence

from auditor import fanout
from auditor.errors import AwsFailure
from auditor.model.access_key import AccessKeyId, LastUse
from auditor.model.account import Account
from auditor.model.unknown import NOT_ASKED, Unknown
from auditor.ports import IamReader, Sessions


async def last_uses(
    sessions: Sessions, keys: Mapping[Account, Sequence[AccessKeyId]], *, concurrency: int
) -> dict[AccessKeyId, LastUse]:
    """Return the last use of each key now, unknown where it can't be read."""
    found: dict[AccessKeyId, LastUse] = {}

    async def one_account(item: tuple[Account, Sequence[AccessKeyId]]) -> None:
        account, ids = item
        found.update(dict.fromkeys(ids, _NOT_READ))
        try:
            async with sessions.open(account) as opened:
                for key_id in ids:
                    found[key_id] = await _ask(opened.reader, key_id)
        except AwsFailure as failure:
            unknown = Unknown(operation=failure.operation, code=failure.code)
            found.update({each: unknown for each in ids if found[each] is _NOT_READ})

    await fanout.each(keys.items(), one_account, limit=max(1, min(concurrency, len(keys))))
    return found


_NOT_READ = Unknown(operation="iam:GetAccessKeyLastUsed", code=NOT_ASKED)


async def _ask(reader: IamReader, key_id: AccessKeyId) -> LastUse:
    try:
        return await reader.last_use(key_id)
    except AwsFailure as failure:
        return Unknown(operation=failure.operation, code=failure.code)
