"""c7n-org: the access keys of all users in all accounts; it has no way to ask for last use.

Given the accounts, which it reads from a file: finding them is a step of its own there.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from bench.contenders.told import account_ids, role_arn

_KEYS = {"type": "access-key", "key": "Status", "op": "in", "value": ["Active", "Inactive"]}
_POLICY = {"policies": [{"name": "keys", "resource": "aws.iam-user", "filters": [_KEYS]}]}
_REGION = "us-east-1"
_KEY_ID = re.compile(r"\bAKIA\w{16}\b")


def main(tool: str, folder: Path) -> None:
    accounts = [
        {"account_id": each, "name": each, "regions": [_REGION], "role": role_arn(each)}
        for each in account_ids()
    ]
    configuration, policies, out = folder / "accounts.yml", folder / "policies.yml", folder / "out"
    configuration.write_text(yaml.safe_dump({"accounts": accounts}))
    policies.write_text(yaml.safe_dump(_POLICY))
    subprocess.run(  # noqa: S603 -- the peer, as its documentation shows it
        [tool, "run", "-c", configuration, "-u", policies, "-s", out, "--region", _REGION],
        check=True,
        capture_output=True,
    )
    files = list(out.glob("*/*/keys/resources.json"))
    # Not parsed: the memory that takes would be counted as the peer's. A key may be told twice.
    keys = sum(len(set(_KEY_ID.findall(file.read_text()))) for file in files)
    print(json.dumps({"accounts": len(files), "keys": keys}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
