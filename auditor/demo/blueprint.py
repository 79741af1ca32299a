"""What the demo organization consists of: accounts, and users with a story."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from auditor.demo.policies import allow
from auditor.model.account import AccountState


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoKey:
    """One access key; times are counted back from the demo's now."""

    age: timedelta
    used: timedelta | None
    service: str = "s3"
    region: str = "N/A"
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoUser:
    """One IAM user; times are counted back from the demo's now."""

    name: str
    age: timedelta
    keys: tuple[DemoKey, ...] = ()
    path: str = "/"
    password: bool = False
    password_used: timedelta | None = None
    mfa: bool = False
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    groups: tuple[str, ...] = ()
    managed: tuple[str, ...] = ()
    """Names of policies: of the company, else of AWS."""
    inline: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAccount:
    """One member account."""

    name: str
    ou: str
    """Names below the root, joined by `/`."""
    crowd: int
    """How many users without a story of their own."""
    state: AccountState = AccountState.ACTIVE
    has_role: bool = True
    """Whether the role for audits was ever rolled out to it."""


MANAGEMENT_ACCOUNT_NAME = "harbour-management"
MANAGEMENT_CROWD = 4

ACCOUNTS = (
    DemoAccount(name="log-archive", ou="Security", crowd=3),
    DemoAccount(name="security-tooling", ou="Security", crowd=9),
    DemoAccount(name="network", ou="Infrastructure", crowd=8),
    DemoAccount(name="shared-services", ou="Infrastructure", crowd=27),
    DemoAccount(name="payments-prod", ou="Workloads/Prod/Payments", crowd=26),
    DemoAccount(name="ledger-prod", ou="Workloads/Prod/Payments", crowd=17),
    DemoAccount(name="storefront-prod", ou="Workloads/Prod/Storefront", crowd=34),
    DemoAccount(name="search-prod", ou="Workloads/Prod/Storefront", crowd=16),
    DemoAccount(name="data-platform-prod", ou="Workloads/Prod", crowd=38),
    DemoAccount(name="payments-staging", ou="Workloads/Staging", crowd=18),
    DemoAccount(name="storefront-staging", ou="Workloads/Staging", crowd=19),
    DemoAccount(name="sandbox-mobile", ou="Sandbox", crowd=13),
    DemoAccount(name="R&D <b>lab</b>", ou="Sandbox", crowd=12),
    DemoAccount(name="tallyho-webshop", ou="Acquired", crowd=6, has_role=False),
    DemoAccount(name="billing-legacy", ou="Retired", crowd=5, state=AccountState.SUSPENDED),
)

ROOT_KEY_ACCOUNT, OLD_ROOT_KEY_ACCOUNT = "ledger-prod", "network"
"""Where the root user has an active key, and where an inactive one."""


def _days(days: float) -> timedelta:
    return timedelta(days=days)


def _key(age: float, used: float | None, where: str = "s3/N/A", *, active: bool = True) -> DemoKey:
    service, _, region = where.partition("/")
    return DemoKey(
        age=_days(age),
        used=None if used is None else _days(used),
        service=service,
        region=region,
        active=active,
    )


STORIES: Mapping[str, tuple[DemoUser, ...]] = {
    MANAGEMENT_ACCOUNT_NAME: (
        DemoUser(
            name="olivia.brandt",
            age=_days(1490),
            password=True,
            password_used=_days(2),
            mfa=True,
            managed=("AdministratorAccess",),
            keys=(_key(611, 3, "ec2/eu-west-1"),),
            tags={"Owner": "olivia.brandt@harbour.example", "Team": "Cloud Platform"},
        ),
    ),
    "payments-prod": (
        DemoUser(
            name="svc-settlement-export",
            age=_days(820),
            managed=("AWSCompromisedKeyQuarantineV3",),
            keys=(_key(212, 1.2, "sts/us-east-1"),),
            tags={"Owner": "payments", "Service": "settlement"},
        ),
        DemoUser(
            name="svc-card-capture",
            age=_days(400),
            keys=(_key(131, 44, "kms/eu-west-1"), _key(12, 0.1, "kms/eu-west-1")),
            tags={"Owner": "payments", "Service": "card-capture", "Environment": "prod"},
        ),
        DemoUser(
            name="svc-payout-breakglass",
            age=_days(390),
            managed=("platform-breakglass",),
            keys=(_key(380, None),),
            tags={"Owner": "payments"},
        ),
    ),
    "ledger-prod": (
        DemoUser(
            name="svc-ledger-archive",
            age=_days(1203),
            keys=(_key(1203, 702, active=False), _key(61, 0.4)),
        ),
        DemoUser(
            name="svc-ledger-import-2021",
            age=_days(1500),
            keys=(_key(1500, 1102, "dynamodb/eu-west-1", active=False),),
        ),
    ),
    "storefront-prod": (
        DemoUser(
            name="svc-image-resizer", age=_days(88), keys=(_key(88, 0.02),), tags={"Owner": "web"}
        ),
        DemoUser(name="svc-checkout-hotfix", age=_days(0.3), keys=(_key(0.21, None),)),
        DemoUser(name="svc-loyalty-import", age=_days(240), keys=(_key(233, None),)),
        DemoUser(
            name="priya.nair",
            age=_days(930),
            password=True,
            password_used=_days(1),
            mfa=True,
            groups=("developers",),
            keys=(_key(47, 0.9, "ec2/eu-west-1"),),
        ),
    ),
    "data-platform-prod": (
        DemoUser(
            name="svc-etl-nightly",
            age=_days(1010),
            inline={"everything-for-now": allow("*:*")},
            keys=(_key(944, 0.3, "glue/eu-central-1"),),
            tags={"Owner": "data", "Service": "etl"},
        ),
        DemoUser(
            name="tomas.lind",
            age=_days(512),
            password=True,
            mfa=False,
            groups=("administrators",),
            keys=(_key(310, 77, "iam/us-east-1"),),
        ),
        DemoUser(
            name="svc-breakglass-mfa",
            age=_days(80),
            managed=("admin-with-mfa",),
            keys=(_key(74, 6, "ec2/eu-west-1"),),
            tags={"Owner": "data"},
        ),
        DemoUser(
            name="marcus.oyelaran",
            age=_days(1300),
            managed=("offboarded",),
            keys=(_key(1280, 301, "athena/eu-central-1"),),
        ),
    ),
    "shared-services": (
        DemoUser(
            name="svc-terraform-apply",
            path="/automation/ci/",
            age=_days(700),
            managed=("deploy-services",),
            keys=(_key(29, 0.05, "cloudformation/eu-west-1"),),
            tags={"Owner": "cloud-platform", "Service": "terraform"},
        ),
        DemoUser(name="backup-operator", path="/operations/", age=_days(300), password=True),
    ),
    "R&D <b>lab</b>": (
        DemoUser(
            name="=1+1,@export-bot",
            age=_days(150),
            keys=(_key(149, 60, "s3/N/A"),),
            tags={
                "Owner": "<script>alert(1)</script>",
                "Purpose": '"><img src=x onerror=alert(1)>',
            },
        ),
        DemoUser(name="svc-prototype", age=_days(9), keys=(_key(9, None),)),
    ),
}
"""By account name."""
