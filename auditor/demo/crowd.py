"""Users without a story: mostly in order, with what every organization collects over the years."""

from datetime import timedelta
from random import Random

from auditor.demo.blueprint import DemoKey, DemoUser
from auditor.demo.policies import allow


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "aisha alan ana anders astrid bruno camille carlos chloe daniel diego elena emma erik fatima "
    "felix grace hana henrik ines ivan james jonas julia karim katya lars laura leila lucas maria "
    "martin mei miguel nadia nina noah omar paula petra rafael rosa sam sofia stefan tara theo "
    "viktor yuki zoe"
)
_LAST = _words(
    "adeyemi almeida andersen bauer becker bennett castro chen costa dubois eriksen fischer garcia "
    "haddad hansen ibrahim ivanova jansen kaya keller kim kowalski laine larsen lopez meyer "
    "moreau nakamura novak okafor patel pereira petrov rossi santos sato schmidt silva singh "
    "tanaka torres vogel weber wilson wright yilmaz zhang"
)
_DOMAIN = _words(
    "billing cart catalog checkout clickstream consent crm email fraud gateway identity inventory "
    "invoice loyalty mobile orders partner pricing promo reporting returns reviews search shipping "
    "stock tax warehouse"
)
_TASK = _words("api backup batch ci deploy export import indexer metrics notifier publisher sync")
_TEAMS = _words("cloud-platform commerce data logistics payments web")
_WHERE = (
    ("s3", "N/A"),
    ("s3", "N/A"),
    ("dynamodb", "eu-west-1"),
    ("ec2", "eu-west-1"),
    ("ecr", "eu-central-1"),
    ("kms", "eu-west-1"),
    ("ses", "eu-west-1"),
    ("sqs", "eu-central-1"),
    ("sts", "us-east-1"),
)
_SHAPES = {
    "healthy": 56,
    "console": 14,
    "old": 8,
    "idle": 5,
    "never-used": 3,
    "waiting": 3,
    "rotating": 3,
    "left-behind": 4,
    "human": 4,
}
"""How often each occurs, out of 100."""


def crowd(rng: Random, count: int) -> list[DemoUser]:
    """Return that many users with different names."""
    users: dict[str, DemoUser] = {}
    shapes, weights = list(_SHAPES), list(_SHAPES.values())
    while len(users) < count:
        shape = rng.choices(shapes, weights)[0]
        user = _person(rng, shape) if shape in {"console", "human"} else _service(rng, shape)
        users.setdefault(user.name, user)
    return list(users.values())


def _person(rng: Random, shape: str) -> DemoUser:
    age = _between(rng, 90, 1400)
    return DemoUser(
        name=f"{rng.choice(_FIRST)}.{rng.choice(_LAST)}",
        age=age,
        password=True,
        password_used=_between(rng, 0, 40),
        mfa=rng.random() < 0.9,  # noqa: PLR2004 -- a demo's dice
        groups=("developers",),
        keys=(_used(rng, _between(rng, 5, 85), _between(rng, 0, 4)),) if shape == "human" else (),
    )


def _service(rng: Random, shape: str) -> DemoUser:
    team, domain, task = rng.choice(_TEAMS), rng.choice(_DOMAIN), rng.choice(_TASK)
    keys = _keys(rng, shape)
    tags = {"Owner": team, "Service": domain}
    return DemoUser(
        name=f"svc-{domain}-{task}",
        age=max(key.age for key in keys) + _between(rng, 0, 300),
        keys=keys,
        tags=tags if rng.random() < 0.7 else {},  # noqa: PLR2004 -- a demo's dice
        inline={f"{domain}-objects": allow(["s3:GetObject"], f"arn:aws:s3:::harbour-{domain}/*")},
    )


def _keys(rng: Random, shape: str) -> tuple[DemoKey, ...]:
    recently = _between(rng, 0, 4)
    healthy = _used(rng, _between(rng, 5, 88), recently)
    match shape:
        case "old":
            keys = [_used(rng, _between(rng, 95, 900), recently)]
        case "idle":
            idle = _between(rng, 50, 420)
            keys = [_used(rng, idle + _between(rng, 10, 300), idle)]
        case "never-used":
            keys = [DemoKey(age=_between(rng, 35, 500), used=None)]
        case "waiting":
            keys = [DemoKey(age=_between(rng, 0, 28), used=None)]
        case "rotating":
            keys = [_used(rng, _between(rng, 60, 89), _between(rng, 1, 40)), healthy]
        case "left-behind":
            idle = _between(rng, 95, 700)
            old = _used(rng, idle + _between(rng, 30, 300), idle, active=False)
            keys = [old, healthy]
        case _:
            keys = [healthy]
    return tuple(keys)


def _used(rng: Random, age: timedelta, idle: timedelta, *, active: bool = True) -> DemoKey:
    service, region = rng.choice(_WHERE)
    return DemoKey(age=age, used=min(age, idle), service=service, region=region, active=active)


def _between(rng: Random, least: int, most: int) -> timedelta:
    """Return a time between the two numbers of days, in whole seconds."""
    return timedelta(seconds=rng.randrange(least * 86_400 + 60, most * 86_400))
