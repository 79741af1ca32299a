"""Making a key Active again."""

from auditor.model.access_key import AccessKey, AccessKeyId, KeyStatus
from auditor.ports import IamWriter
from auditor.remediation.actions.change import Change


async def _call(writer: IamWriter, user_name: str, key_id: AccessKeyId) -> str:
    return await writer.set_status(user_name, key_id, KeyStatus.ACTIVE)


def _done(key: AccessKey | None) -> bool:
    return key is not None and key.active


ACTIVATE = Change(call=_call, done=_done)
