"""The same organization, read by both transports, is the same report."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditor.aws.session import Transport
from auditor.demo.emulator import Drop, Emulator, Request, Response
from auditor.demo.organization import DemoOrganization
from auditor.engine.in_process import InProcess
from auditor.engine.scan import Scan
from auditor.engine.tally import Tally
from auditor.formats import json as report_json
from auditor.store.runs import SqliteRunStore
from auditor.wiring.clock import SystemClock
from auditor.wiring.policies import load_policies, stamps
from auditor.wiring.report import replay
from tests.aws.connect import an_aws
from tests.builders import a_run

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def report_by(transport: Transport, emulator: Emulator, folder: Path) -> dict[str, Any]:
    """Scan the organization, judge it, and return the report without what is of this run alone."""
    tally, clock, policies = Tally(), SystemClock(), load_policies(("baseline",))
    aws = an_aws(emulator, transport=transport, progress=tally)
    file = folder / "iamaudit.db"
    store = SqliteRunStore(file)
    async with aws.connect() as caller:
        accounts = [account async for account in aws.organizations.accounts(None)]
        run = replace(
            a_run(),
            now=NOW,
            caller_arn=caller.arn,
            policies=tuple(policy.stamp for policy in policies),
            sources=tuple(policy.source for policy in policies),
            rules=stamps(policies),
        )
        store.begin(run, accounts)
        auditing = InProcess(aws, concurrency=8, tally=tally, clock=clock)
        scan = Scan(auditing, store=store, run_id=run.id, tally=tally)
        await scan.read(accounts)
    # The emulator has more pages of an organization at times, as AWS does.
    calls = {name: count for name, count in tally.calls.items() if name.startswith("iam:List")}
    store.finish(replace(run, finished_at=NOW, api_calls=calls, throttled=tally.throttles))
    store.close()
    text = io.StringIO()
    with replay(file, run.id) as replayed:
        report_json.write(replayed.document, text)
    report: dict[str, Any] = json.loads(text.getvalue())
    return report


def refuse_some(request: Request) -> Response | Drop | None:
    """Fail what is asked of some users and keys, in every way that a scan rides out or reports."""
    asked = str(request.params.get("UserName") or request.params.get("AccessKeyId") or "")
    outcomes: dict[int, Response | Drop] = {
        3: Response(status=403, code="AccessDenied", message="not authorized\nto do that"),
        5: Response(status=404, code="NoSuchEntity", message="gone"),
        7: Response(status=400, code="Strange", message="é <b> & \x7f"),
    }
    if request.service != "iam" or not asked:
        return None
    return outcomes.get(sum(map(ord, asked)) % 31)


def nothing(_: Request) -> Response | None:
    return None


@pytest.mark.parametrize("hook", [nothing, refuse_some])
async def test_the_same_scan_by_both_gives_the_same_report(
    emulator: Emulator,
    organization: DemoOrganization,
    tmp_path: Path,
    hook: Callable[[Request], Response | Drop | None],
) -> None:
    folders = [tmp_path / name for name in ("first", "fast", "sdk")]
    for folder in folders:
        folder.mkdir()
    emulator.hooks.append(hook)
    await report_by("fast", emulator, folders[0])  # so that each finds a credential report

    fast = await report_by("fast", emulator, folders[1])
    sdk = await report_by("sdk", emulator, folders[2])

    assert len(fast["keys"]) > 150
    assert {account["outcome"] for account in fast["accounts"]} >= {"audited", "unreachable"}
    if hook is refuse_some:
        # How often keys are listed again, to see if one is gone, depends on what was in flight.
        for report in (fast, sdk):
            assert report["run"]["api_calls"].pop("iam:ListAccessKeys") >= len(fast["keys"]) // 2
    assert fast == sdk
