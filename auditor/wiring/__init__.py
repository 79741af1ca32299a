"""The composition root: puts the parts together for each command."""

from auditor.wiring.cases import try_cases
from auditor.wiring.clock import SystemClock
from auditor.wiring.demo import DemoAws, demo_aws
from auditor.wiring.explain import explain_key
from auditor.wiring.policies import load_policies, pack_names, read_pack
from auditor.wiring.report import Replay, replay, write_reports
from auditor.wiring.scan import ScanResult, new_run_id, scan

__all__ = [
    "DemoAws",
    "Replay",
    "ScanResult",
    "SystemClock",
    "demo_aws",
    "explain_key",
    "load_policies",
    "new_run_id",
    "pack_names",
    "read_pack",
    "replay",
    "scan",
    "try_cases",
    "write_reports",
]
