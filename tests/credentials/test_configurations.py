"""What a scan does with each configuration of credentials, by both transports."""

import asyncio
import json

import pytest

from tests.command import Ran
from tests.credentials.cases import BASE, BROKEN, BROKEN_PROFILES, ENVIRONMENT, RIGHT, SECRET, Case
from tests.credentials.home import Home, named
from tests.faults.cloud import CALLER_SECRET, MANAGEMENT

TRANSPORTS = ("fast", "sdk")
UNKNOWN = "599999999999"
MEMBERS = tuple(f"{int(MANAGEMENT) + number:012}" for number in range(1, 4))


def outcomes(ran: Ran) -> dict[str, str]:
    return {each["id"]: each["outcome"] for each in ran.report["accounts"]}


@pytest.mark.parametrize("name", [*RIGHT, *BROKEN])
async def test_a_configuration_is_used_or_its_one_mistake_is_named(name: str, home: Home) -> None:
    case = RIGHT.get(name) or BROKEN[name]
    environment = home.set_up(case)
    options = (*case.options, *(() if case.profile is None else ("--profile", "prof")))
    scans = (home.scan(environment, each, *options) for each in TRANSPORTS)

    for ran in await asyncio.gather(*scans):
        assert "Traceback" not in ran.stderr
        assert "internal error" not in ran.stderr
        assert not any(each in ran.stdout + ran.stderr for each in (SECRET, CALLER_SECRET))
        if name in RIGHT:
            assert (ran.code, ran.stderr) == (0, "")
            assert outcomes(ran) == {MANAGEMENT: "audited"}
        else:
            assert ran.code == case.code, ran.stderr
            assert len(ran.stderr.splitlines()) == 1, ran.stderr
            assert all(named(each) in ran.stderr for each in case.says), ran.stderr
            assert ("check the network" in ran.stderr) == (name == "nobody who answers")


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
async def test_broken_profiles_cost_their_accounts_and_no_other(first: bool, home: Home) -> None:
    cases = {f"{5 * 10**11 + number:012}": each for number, each in enumerate(BROKEN_PROFILES)}
    texts = [home.add(BROKEN_PROFILES[name], suffix=id_) for id_, name in cases.items()]
    environment = home.set_up(
        Case(config="".join(map(str, texts)).replace(BASE, "") + BASE, variables=ENVIRONMENT)
    )
    broken = [f"- {{id: '{id_}', profile: prof{id_}}}\n" for id_ in cases]
    broken.append(f"- {{id: '{UNKNOWN}', profile: nobody}}\n")
    good = [f"- id: '{id_}'\n" for id_ in MEMBERS]
    lines = [*broken, *good] if first else [*good, *broken]
    (home.folder / "all.yaml").write_text("".join(lines))

    scans = (home.scan(environment, each, "--accounts", "@all.yaml") for each in TRANSPORTS)

    for ran in await asyncio.gather(*scans):
        assert ran.code == 3, ran.stderr
        found = {each["id"]: each for each in ran.report["accounts"]}
        assert {found[each]["outcome"] for each in MEMBERS} == {"audited"}
        assert "no profile 'nobody' in" in found[UNKNOWN]["errors"][0]["message"]
        for id_, name in cases.items():
            assert found[id_]["outcome"] == "unreachable", name
            [error] = found[id_]["errors"]
            says = [named(each, id_) for each in BROKEN_PROFILES[name].says]
            assert all(each in error["message"] for each in says), (name, error["message"])
        assert not any(each in json.dumps(ran.report) for each in (SECRET, CALLER_SECRET))
