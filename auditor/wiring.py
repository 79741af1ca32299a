"""The composition root: puts the parts together for each command."""

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Self

import anyio

from auditor import __version__
from auditor.aws.session import Aws
from auditor.config import FORMATS, ScanOptions
from auditor.engine.judgement import RunJudge
from auditor.engine.scan import Scan
from auditor.engine.tally import Tally
from auditor.errors import AuditError, InterruptedAuditError, PolicyError
from auditor.formats.stream import ReportStream
from auditor.model.run import RuleStamp, Run
from auditor.policy.compiled import CompiledPolicy, CompiledRule
from auditor.policy.loader import load
from auditor.ports import Caller, Clock
from auditor.store.output import Output
from auditor.store.report import StoredReport
from auditor.store.runs import SqliteRunStore
from auditor.targets.literal import parse_list
from auditor.targets.resolve import resolve


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """A finished or interrupted scan; its document reads the store, so close it last."""

    document: ReportStream
    folder: Path
    """Where the reports are: the link to the latest run where there could be one."""
    interrupted: bool
    store: SqliteRunStore

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAws:
    """AWS as served by the demo."""

    url: str
    environment: Mapping[str, str] = field(repr=False)
    """Variables for a principal of the management account."""
    role_name: str


@contextmanager
def demo_aws() -> Iterator[DemoAws]:
    """Serve the demo's organization on the loopback; raise AuditError where moto is missing."""
    try:
        from auditor.demo.emulator import Emulator  # noqa: PLC0415 -- an extra, and slow to import
        from auditor.demo.organization import build  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise AuditError(
            f"the demo needs {error.name}", hint="pip install 'iamaudit[demo]'"
        ) from None
    clock = SystemClock()
    with Emulator(clock=clock.now) as emulator:
        organization = build(emulator, now=clock.now())
        yield DemoAws(
            url=emulator.url,
            environment={
                **organization.environment,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            role_name=organization.role_name,
        )


def load_policies(names: Sequence[str]) -> list[CompiledPolicy]:
    """Return the policies by pack name or file, in order; raise PolicyError."""
    policies = [load(_policy_text(name), source=name, read_pack=read_pack) for name in names]
    seen: dict[str, str] = {}
    for policy in policies:
        for rule in policy.rules:
            if rule.id in seen:
                raise PolicyError(
                    f"the policies {seen[rule.id]} and {policy.stamp.id}"
                    f" both have a rule {rule.id!r}",
                    hint="rename one of the rules, or give one policy only",
                )
            seen[rule.id] = policy.stamp.id
    return policies


def new_run_id(now: datetime) -> str:
    """Return a new run's id: its start in UTC and four random bytes."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


async def scan(options: ScanOptions, *, run_id: str, tally: Tally, clock: Clock) -> ScanResult:
    """Scan, judge and report; raise AuditError where that can't be done.

    Policies, LISTs, credentials and the output folder are tried before anything is written. On
    interruption what was read is kept and reported.
    """
    policies = load_policies(options.policies)
    include = parse_list(options.accounts, option="--accounts")
    exclude = parse_list(options.exclude, option="--exclude")
    output = Output(options.output)
    output.check()
    aws = Aws(
        options.connection,
        session_name=f"iamaudit-{run_id}",
        concurrency=options.concurrency,
        progress=tally,
        clock=clock,
    )
    async with aws.connect() as caller:
        accounts = await resolve(
            include,
            exclude,
            caller=caller,
            organizations=aws.organizations,
            facts=frozenset().union(*(policy.facts for policy in policies)),
        )
        output.prepare()
        run = _new_run(run_id, options, policies, caller, clock.now())
        store = SqliteRunStore(output.store)
        try:
            store.begin(run, accounts)
            interrupted = await Scan(
                sessions=aws,
                store=store,
                run_id=run_id,
                concurrency=options.concurrency,
                tally=tally,
                clock=clock,
            ).read(accounts)
            store.finish(
                replace(
                    run,
                    finished_at=None if interrupted else clock.now(),
                    api_calls=dict(tally.calls),
                    throttled=tally.throttles,
                )
            )
            try:
                document = _judge(store, run, policies)
                folder = _report(output, document, run_id, options.formats)
            except AuditError as error:
                if not interrupted:
                    raise
                raise InterruptedAuditError(
                    f"interrupted, and not reported: {error}",
                    hint=f"what was read is kept in {output.store}",
                ) from None
        except BaseException:
            store.close()
            raise
    return ScanResult(document=document, folder=folder, interrupted=interrupted, store=store)


def _new_run(
    run_id: str,
    options: ScanOptions,
    policies: Sequence[CompiledPolicy],
    caller: Caller,
    started_at: datetime,
) -> Run:
    return Run(
        id=run_id,
        started_at=started_at,
        finished_at=None,
        now=options.now or started_at,
        source="live",
        partition=caller.partition,
        caller_arn=caller.arn,
        policies=tuple(policy.stamp for policy in policies),
        rules=tuple(_stamp(rule) for policy in policies for rule in policy.rules),
        api_calls={},
        throttled=0,
    )


def _stamp(rule: CompiledRule) -> RuleStamp:
    return RuleStamp(
        id=rule.id,
        title=rule.title,
        severity=rule.severity,
        when=rule.when.text,
        remedy=rule.remedy,
        controls=rule.controls,
    )


def _judge(store: SqliteRunStore, run: Run, policies: Sequence[CompiledPolicy]) -> StoredReport:
    judge = RunJudge(store, run.id, policies, partition=run.partition, now=run.now)
    store.record(run.id, judge.judged(), judge.results)
    return StoredReport(store.connection, run.id, version=__version__)


def _report(output: Output, document: ReportStream, run_id: str, formats: Sequence[str]) -> Path:
    for name in formats:
        output.write(run_id, f"report.{name}", partial(FORMATS[name], document))
    return output.link_latest(run_id)


def pack_names() -> list[str]:
    """Return the names of the packs that we ship, in order."""
    return sorted(each.name.removesuffix(".yaml") for each in _packs().iterdir())


def read_pack(name: str) -> str:
    """Return the text of a pack that we ship; raise KeyError naming those there are."""
    if name not in pack_names():
        raise KeyError(f"there is no pack {name!r} (there are {', '.join(pack_names())})")
    return (_packs() / f"{name}.yaml").read_text(encoding="utf-8")


def _packs() -> Traversable:
    return resources.files("auditor.policy") / "packs"


def _policy_text(name: str) -> str:
    """Read a pack that we ship, or a file."""
    if name in pack_names():
        return read_pack(name)
    path = Path(name).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PolicyError(f"{name}: it is not UTF-8 text", hint="name a YAML file") from None
    except OSError as error:
        raise PolicyError(
            f"there is no policy {name!r}: {error.strerror}",
            hint=f"name one of our packs ({', '.join(pack_names())}) or a readable file",
        ) from None
