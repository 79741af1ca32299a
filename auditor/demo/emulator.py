"""moto as a server, corrected towards AWS: the one place where that is done."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from moto.iam.models import AccessKeyLastUsed, get_account_id_from
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response as WsgiResponse

from auditor.demo import world
from auditor.demo.corrections import credential_report, iam, organizations, securityhub, sts
from auditor.demo.server import Server
from auditor.demo.wire import (
    Call,
    Drop,
    HttpAnswer,
    RefusedError,
    Request,
    Response,
    operation_and_params,
    render_error,
    render_result,
    signature,
)
from auditor.demo.world import MANAGEMENT_ACCOUNT_ID, RootKey, World
from auditor.model.account import AccountState

__all__ = ["MANAGEMENT_ACCOUNT_ID", "Drop", "Emulator", "Hook", "Request", "Response", "RootKey"]

Hook: TypeAlias = Callable[[Request], Response | Drop | None]
"""Looks at a request before anything answers it, and may answer in AWS's stead."""

Correction: TypeAlias = Callable[[Call, World], Mapping[str, Any] | None]
"""Answers a call, refuses it, or returns None for moto to answer it."""

_CORRECTIONS: Mapping[tuple[str, str], Correction] = {
    ("iam", "ListUsers"): iam.list_users,
    ("iam", "ListAccessKeys"): iam.list_access_keys,
    ("iam", "GetAccessKeyLastUsed"): iam.get_access_key_last_used,
    ("iam", "GetAccountAuthorizationDetails"): iam.get_account_authorization_details,
    ("iam", "ListEntitiesForPolicy"): iam.list_entities_for_policy,
    ("iam", "ListPolicies"): iam.list_policies,
    ("iam", "GetAccountSummary"): iam.get_account_summary,
    ("iam", "GenerateCredentialReport"): credential_report.generate_credential_report,
    ("iam", "GetCredentialReport"): credential_report.get_credential_report,
    ("organizations", "ListRoots"): organizations.list_roots,
    ("organizations", "ListAccounts"): organizations.list_accounts,
    ("organizations", "ListAccountsForParent"): organizations.list_accounts_for_parent,
    (
        "organizations",
        "ListOrganizationalUnitsForParent",
    ): organizations.list_organizational_units_for_parent,
    ("securityhub", "POST /findings"): securityhub.get_findings,
    ("securityhub", "POST /findings/import"): securityhub.batch_import_findings,
    ("securityhub", "PATCH /findings/batchupdate"): securityhub.batch_update_findings,
    ("sts", "AssumeRole"): sts.assume_role,
}

_SERVERS_OWN_HEADERS = {"connection", "content-length", "date", "server"}
_USE_RECORDED_ONCE_IN = timedelta(minutes=15)
_STATUS_BEFORE_STATE = {
    AccountState.PENDING_CLOSURE: "PENDING_CLOSURE",
    AccountState.ACTIVE: "ACTIVE",
}

# moto keeps its backends once per process: a second emulator would empty those of the first.
_only_one = threading.Lock()


class Emulator:
    """AWS on this machine for as long as the context lasts, empty at its start.

    Serves IAM, STS, Organizations and the findings of Security Hub (and whatever else moto knows,
    uncorrected) over HTTP on the loopback. One at a time in a process: entering a second one raises
    RuntimeError.
    """

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._world = World(clock=clock)
        self.requests: list[Request] = []
        """Every request that arrived, in order; those a hook answered among them."""
        self.hooks: list[Hook] = []
        """Asked in order, in the thread of the request; the first answer that is not None wins."""
        self._moto: Final = DomainDispatcherApplication(create_backend_app)
        self._turn = threading.Lock()  # moto is not thread-safe, and no faster in parallel
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """The endpoint for every service; known within the context only."""
        if self._server is None:
            raise RuntimeError("the emulator listens within its context only")
        return self._server.url

    @property
    def root_keys(self) -> dict[str, list[RootKey]]:
        """At most two keys of the root user, by account id."""
        return self._world.root_keys

    @property
    def denied_roles(self) -> set[str]:
        """Account ids and role ARNs that AssumeRole is denied for."""
        return self._world.denied_roles

    @property
    def security_hubs(self) -> set[tuple[str, str]]:
        """Account and region of each Security Hub that is enabled."""
        return self._world.security_hubs

    def backend(self, service: str, account_id: str, region: str = "aws") -> Any:
        """Return moto's own objects of a service, to set what its API can't.

        `region` is `aws` for a global one.
        """
        return world.backend(service, account_id, region)

    def set_account_state(self, account_id: str, state: AccountState) -> None:
        """Set `State`, and `Status` to what it showed before AWS had `State`.

        Raises LookupError for an account of no organization.
        """
        entry = world.account_of(world.organization_of(account_id), account_id)
        if entry is None:
            raise LookupError(f"no organization has the account {account_id}")
        entry.state = state.value
        entry.status = _STATUS_BEFORE_STATE.get(state, "SUSPENDED")

    def __enter__(self) -> Self:
        if not _only_one.acquire(blocking=False):
            raise RuntimeError("moto's backends are one per process, and an emulator is using them")
        with ExitStack() as undo:
            undo.callback(_only_one.release)
            world.empty_backends()
            self._server = Server(self._answer)
            self._server.start()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        with self._turn:
            world.empty_backends()
            self._world.reports.clear()
        _only_one.release()

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer | Drop:
        call = self._parse(method, path, headers, body)
        self.requests.append(call.request)
        for hook in tuple(self.hooks):
            match hook(call.request):
                case Response() as response:
                    return render_error(response, call)
                case Drop() as drop:
                    return drop
                case None:
                    continue
        with self._turn:
            if self._server is None:
                return Drop()  # the context ended while this request waited
            return self._noting_use(call)

    def _parse(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        access_key_id, region, service = signature(headers)
        operation, params = operation_and_params(method, path, headers, body)
        with self._turn:
            account_id = get_account_id_from(access_key_id)
        request = Request(
            service=service, operation=operation, account_id=account_id, params=params
        )
        return Call(
            method=method,
            path=path,
            headers=headers,
            body=body,
            access_key_id=access_key_id,
            region=region,
            request=request,
        )

    def _noting_use(self, call: Call) -> HttpAnswer:
        """Answer, and keep the key's last use as AWS does: the first within 15 minutes."""
        keys = world.backend("iam", call.request.account_id).access_keys
        key = keys.get(call.access_key_id)
        now = self._world.clock().astimezone(UTC).replace(tzinfo=None, microsecond=0)
        if key and (not key.last_used or now - key.last_used.timestamp >= _USE_RECORDED_ONCE_IN):
            key.last_used = AccessKeyLastUsed(now, call.request.service, call.region)
        before = key.last_used if key else None
        answer = self._corrected(call)
        if key:
            key.last_used = before  # moto notes every use, by the machine's clock
        return answer

    def _corrected(self, call: Call) -> HttpAnswer:
        correction = _CORRECTIONS.get((call.request.service, call.request.operation))
        try:
            result = correction(call, self._world) if correction else None
        except RefusedError as refused:
            return render_error(refused.response, call)
        return self._ask_moto(call) if result is None else render_result(result, call)

    def _ask_moto(self, call: Call) -> HttpAnswer:
        builder = EnvironBuilder(
            method=call.method, path=call.path, headers=call.headers.items(), data=call.body
        )
        response = WsgiResponse.from_app(self._moto, builder.get_environ(), buffered=True)
        headers = tuple(
            (name, value)
            for name, value in response.headers.items()
            if name.lower() not in _SERVERS_OWN_HEADERS
        )
        return HttpAnswer(status=response.status_code, headers=headers, body=response.get_data())
