"""prowler: its checks of access keys, one account after the other, as its documentation loops.

It judges by the credential report, and asks for a good deal else of each user besides.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path

from bench.contenders.told import account_ids, role_arn

_CHECKS = ("iam_user_accesskey_unused", "iam_rotate_access_key_90_days")
_FOUND = 3
"""Its exit code where some check failed."""


def main(tool: str, folder: Path) -> None:
    users = set()
    accounts = account_ids()
    for each in accounts:
        out = folder / each
        command = [tool, "aws", "--role", role_arn(each), "--checks", *_CHECKS]
        options = [
            "--output-formats",
            "csv",
            "--output-directory",
            str(out),
            "--region",
            "us-east-1",
        ]
        ran = subprocess.run(  # noqa: S603 -- the peer, as its documentation shows it
            [*command, *options, "--no-banner"], check=False, capture_output=True
        )
        if ran.returncode not in {0, _FOUND}:
            raise RuntimeError(ran.stderr.decode()[-500:])
        [file] = out.glob("*.csv")
        with file.open(newline="") as text:
            for row in csv.DictReader(text, delimiter=";"):
                if ":user/" in row["RESOURCE_UID"]:
                    users.add(row["RESOURCE_UID"].partition("/AccessKey")[0])
    print(json.dumps({"accounts": len(accounts), "users": len(users)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
