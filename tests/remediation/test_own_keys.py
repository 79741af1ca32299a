"""Which keys no command takes away, because the operator works with them."""

import pytest

from auditor.remediation.own_keys import OwnKeys, is_caller, same_caller

USER = "arn:aws:iam::111111111111:user/ops/Amy"


@pytest.mark.parametrize(
    ("caller", "is_hers"),
    [
        (USER, True),
        ("arn:aws:iam::111111111111:user/Amy", True),
        ("arn:aws:iam::111111111111:user/ops/amy", True),
        ("arn:aws:sts::111111111111:federated-user/Amy", True),
        ("arn:aws:iam::222222222222:user/ops/Amy", False),
        ("arn:aws:iam::111111111111:user/ops/Bob", False),
        ("arn:aws:iam::111111111111:user/Amy/Bob", False),
        ("arn:aws:sts::111111111111:assumed-role/ops/Amy", False),
        ("arn:aws:iam::111111111111:root", False),
        ("", False),
    ],
)
def test_the_caller_is_known_by_account_and_name_whatever_its_path_and_session(
    caller: str, is_hers: bool
) -> None:
    assert is_caller(caller, USER) is is_hers


def test_a_plan_leaves_all_keys_of_the_callers_user_alone() -> None:
    own = OwnKeys(caller_arn=USER, signing_key_id="AKIASIGNS")

    assert own.why(user_arn=USER, key_id="AKIAOTHER") == "it is the caller's own"


def test_a_plan_leaves_a_key_of_the_configuration_alone_whosever_it_is() -> None:
    own = OwnKeys(caller_arn=USER, key_ids=frozenset({"AKIACONFIG"}))

    assert own.why(user_arn="arn:aws:iam::222222222222:user/x", key_id="AKIACONFIG") is not None
    assert own.why(user_arn="arn:aws:iam::222222222222:user/x", key_id="AKIAOTHER") is None


def test_a_session_does_not_say_which_key_it_came_from_so_both_are_left_alone() -> None:
    own = OwnKeys(caller_arn=USER)

    assert own.why_named(user_arn=USER, key_id="AKIAONE") is not None
    assert own.why_named(user_arn=USER, key_id="AKIATWO") is not None


def test_the_other_key_of_the_user_whose_key_signs_can_be_ended_by_name() -> None:
    own = OwnKeys(caller_arn=USER, key_ids=frozenset({"AKIASIGNS"}), signing_key_id="AKIASIGNS")

    assert own.why_named(user_arn=USER, key_id="AKIASIGNS") is not None
    assert own.why_named(user_arn=USER, key_id="AKIAOTHER") is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (USER, USER, True),
        (USER, USER + "2", False),
        ("arn:aws:sts::1:assumed-role/a/x", "arn:aws:sts::1:assumed-role/a/y", True),
        ("arn:aws:sts::1:assumed-role/a/x", "arn:aws:sts::1:assumed-role/b/x", False),
        ("arn:aws:sts::1:assumed-role/a/x", "arn:aws:sts::2:assumed-role/a/x", False),
    ],
)
def test_a_role_is_the_same_caller_in_each_of_its_sessions(
    one: str, other: str, same: bool
) -> None:
    assert same_caller(one, other) is same
