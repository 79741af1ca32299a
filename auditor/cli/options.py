"""Options that several commands share, each also an IAMAUDIT_* variable."""

from pathlib import Path
from typing import Annotated

import typer

from auditor.config import FORMATS, Source, TransportName

ACCOUNTS, CONNECTING, JUDGING, REPORTING = "Accounts", "Connection", "Policy", "Output"
STORED = "Stored run"

Accounts = Annotated[
    list[str],
    typer.Option(
        "--accounts",
        envvar="IAMAUDIT_ACCOUNTS",
        metavar="LIST",
        rich_help_panel=ACCOUNTS,
        help="12-digit ids, self, org, ou-… or r-… (a subtree), @FILE; comma-separated, repeatable",
    ),
]
Exclude = Annotated[
    list[str],
    typer.Option(
        "--exclude",
        envvar="IAMAUDIT_EXCLUDE",
        metavar="LIST",
        rich_help_panel=ACCOUNTS,
        help="accounts to leave out, written likewise; the reports list them as skipped",
    ),
]
RoleNames = Annotated[
    list[str],
    typer.Option(
        "--role-name",
        envvar="IAMAUDIT_ROLE_NAME",
        metavar="NAME",
        rich_help_panel=CONNECTING,
        help="role to assume in each account but the caller's own; repeatable, tried in order",
    ),
]
WriteRoleName = Annotated[
    str,
    typer.Option(
        "--write-role-name",
        envvar="IAMAUDIT_WRITE_ROLE_NAME",
        metavar="NAME",
        rich_help_panel=CONNECTING,
        help="role to assume for changing keys, in each account but the caller's own",
    ),
]
ExternalId = Annotated[
    str | None,
    typer.Option(
        "--external-id",
        envvar="IAMAUDIT_EXTERNAL_ID",
        metavar="ID",
        rich_help_panel=CONNECTING,
        help="external id that the roles' trust policies ask for",
    ),
]
SourceIdentity = Annotated[
    str | None,
    typer.Option(
        "--source-identity",
        envvar="IAMAUDIT_SOURCE_IDENTITY",
        metavar="NAME",
        rich_help_panel=CONNECTING,
        help="source identity to set on the assumed roles",
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="IAMAUDIT_PROFILE",
        metavar="NAME",
        rich_help_panel=CONNECTING,
        help="profile of the AWS configuration to call with",
    ),
]
Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        envvar="IAMAUDIT_REGION",
        metavar="NAME",
        rich_help_panel=CONNECTING,
        help="region whose STS endpoint to use",
    ),
]
AllowHttp = Annotated[
    bool,
    typer.Option(
        "--allow-http",
        rich_help_panel=CONNECTING,
        help="let an endpoint beyond this machine be http://: whoever is on the way reads along",
    ),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        envvar="IAMAUDIT_ENDPOINT_URL",
        metavar="URL",
        rich_help_panel=CONNECTING,
        help="one endpoint for all services (AWS_ENDPOINT_URL and its kin work as well)",
    ),
]
Policies = Annotated[
    list[str],
    typer.Option(
        "--policy",
        envvar="IAMAUDIT_POLICY",
        metavar="NAME|FILE",
        rich_help_panel=JUDGING,
        help="pack of ours or policy file to judge by; repeatable",
    ),
]
Now = Annotated[
    str | None,
    typer.Option(
        "--now",
        envvar="IAMAUDIT_NOW",
        metavar="ISO8601",
        rich_help_panel=JUDGING,
        help="instant to measure ages from, instead of the start of the scan",
        show_default=False,
    ),
]
FailOn = Annotated[
    str,
    typer.Option(
        "--fail-on",
        envvar="IAMAUDIT_FAIL_ON",
        metavar="SEVERITY|never",
        rich_help_panel=JUDGING,
        help="exit with 1 for open findings of this severity or worse",
    ),
]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        rich_help_panel=ACCOUNTS,
        help="go on with a run that was cut off, by the same options: its id, or latest",
        show_default=False,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option(
        "--baseline",
        envvar="IAMAUDIT_BASELINE",
        metavar="RUN",
        rich_help_panel=JUDGING,
        help="earlier run to tell the changes from: its id, or latest, the newest finished one",
        show_default=False,
    ),
]
OnlyNew = Annotated[
    bool,
    typer.Option(
        "--only-new",
        envvar="IAMAUDIT_ONLY_NEW",
        rich_help_panel=JUDGING,
        help="exit with 1 for findings only that are new since --baseline, and list those",
    ),
]
FromSource = Annotated[
    Source,
    typer.Option(
        "--source",
        envvar="IAMAUDIT_SOURCE",
        rich_help_panel=ACCOUNTS,
        help="ask for the last use of each key, or take it from the credential reports: faster, up"
        " to four hours old",
    ),
]
TransportOption = Annotated[
    TransportName,
    typer.Option(
        "--transport",
        envvar="IAMAUDIT_TRANSPORT",
        rich_help_panel=CONNECTING,
        help="read accounts by our own client, or by the AWS SDK's: the same, and slower",
    ),
]
Concurrency = Annotated[
    int,
    typer.Option(
        "--concurrency",
        envvar="IAMAUDIT_CONCURRENCY",
        min=1,
        max=1000,
        rich_help_panel=CONNECTING,
        help="calls in flight at the same time, over all accounts",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        envvar="IAMAUDIT_WORKERS",
        min=1,
        max=256,
        rich_help_panel=CONNECTING,
        help="processes to read with on this machine (needs the extra cluster)",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        envvar="IAMAUDIT_SCHEDULER",
        metavar="tls://HOST:PORT",
        rich_help_panel=CONNECTING,
        help="Dask scheduler whose workers are to read, each with its own AWS identity",
        show_default=False,
    ),
]
Formats = Annotated[
    list[str],
    typer.Option(
        "--format",
        envvar="IAMAUDIT_FORMAT",
        metavar="NAME",
        rich_help_panel=REPORTING,
        help=f"report to write: {', '.join(FORMATS)}; repeatable",
    ),
]
Templates = Annotated[
    list[Path],
    typer.Option(
        "--template",
        envvar="IAMAUDIT_TEMPLATE",
        metavar="FILE.j2",
        rich_help_panel=REPORTING,
        help="Jinja template of your own to write as FILE beside the reports; repeatable",
    ),
]
MaskKeys = Annotated[
    bool,
    typer.Option(
        "--mask-keys",
        envvar="IAMAUDIT_MASK_KEYS",
        rich_help_panel=REPORTING,
        help="show access key ids as AKIA************MPLE; the plan and the store keep them whole",
    ),
]
OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output",
        envvar="IAMAUDIT_OUTPUT",
        metavar="DIR",
        rich_help_panel=REPORTING,
        help="folder for the reports and the store",
    ),
]
RunName = Annotated[
    str,
    typer.Option(
        "--run",
        envvar="IAMAUDIT_RUN",
        metavar="RUN",
        rich_help_panel=STORED,
        help="id of a stored run, or latest, the newest judged one",
    ),
]
Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="IAMAUDIT_STORE",
        metavar="DB",
        rich_help_panel=STORED,
        help="the store's file; where not given, iamaudit.db in the output folder",
        show_default=False,
    ),
]
REJUDGE = typer.Option(
    "--policy",
    metavar="NAME|FILE",
    rich_help_panel=JUDGING,
    help="judge by these instead of the policies of the scan; repeatable",
    show_default=False,
)
REPORT_OUTPUT = typer.Option(
    "--output",
    envvar="IAMAUDIT_OUTPUT",
    metavar="DIR|-",
    rich_help_panel=REPORTING,
    help="folder for the reports; - for stdout",
)
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        envvar="IAMAUDIT_QUIET",
        rich_help_panel=REPORTING,
        help="no progress on stderr",
    ),
]
LogLevel = Annotated[
    str,
    typer.Option(
        "--log-level",
        envvar="IAMAUDIT_LOG_LEVEL",
        metavar="LEVEL",
        rich_help_panel=REPORTING,
        help="what to log on stderr: debug, info, warning, error",
    ),
]
