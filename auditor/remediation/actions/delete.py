"""Deleting a key, which nothing takes back."""

from auditor.model.access_key import AccessKey, AccessKeyId
from auditor.ports import IamWriter
from auditor.remediation.actions.change import Change


async def _call(writer: IamWriter, user_name: str, key_id: AccessKeyId) -> str:
    return await writer.delete_key(user_name, key_id)


def _done(key: AccessKey | None) -> bool:
    return key is None


DELETE = Change(call=_call, done=_done, removes=True)
