"""Managed policies and issuers of tokens; roles and profiles are in `test_services`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rehearsal.plugins.aws.conftest import DEFAULT_TAGS, Aws
from tests.rehearsal.plugins.aws.made import (
    ATTACHMENT,
    OIDC,
    POLICY,
    ROLE,
    ROLE_POLICY,
    make,
    unique,
)
from tests.rehearsal.plugins.harness import Plugin, PluginError

_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "ec2.amazonaws.com"},
            }
        ],
    }
)


def _allow(*actions: str) -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_policy_lives(aws: Aws, plugin: Plugin) -> None:
    name = unique("pull")
    policy = make(plugin, POLICY, name=name, policy=_allow("ecr:Get"), description="Images")
    assert policy.id == policy.outputs["arn"] == f"arn:aws:iam::123456789012:policy/{name}"
    assert policy.outputs["policyId"] and policy.outputs["attachmentCount"] == 0
    assert policy.outputs["tagsAll"] == DEFAULT_TAGS
    assert not policy.diff(policy=json.dumps(json.loads(_allow("ecr:Get")), indent=2)).changes
    for changed in ({"name": "other"}, {"path": "/x/"}, {"description": "All images"}):
        assert policy.diff(**changed).replaces == list(changed)
    policy.update(tags={"a": "b"})
    with pytest.raises(PluginError, match=r"^creating IAM policy: EntityAlreadyExists: "):
        make(plugin, POLICY, name=name, policy=_allow("ecr:Get"))
    assert policy.imported()["description"] == "Images"

    other = aws.client("iam").create_policy_version(
        PolicyArn=policy.id, PolicyDocument=_allow("ecr:*"), SetAsDefault=True
    )
    assert other["PolicyVersion"]["VersionId"] == "v2"
    assert json.loads(policy.refresh()["policy"]) == json.loads(_allow("ecr:*"))
    policy.delete()


def test_policy_keeps_its_last_versions(aws: Aws, plugin: Plugin) -> None:
    policy = make(plugin, POLICY, name=unique("many"), policy=_allow("s3:Get0"))
    for number in range(1, 7):
        policy.update(policy=_allow(f"s3:Get{number}"))
    versions = aws.client("iam").list_policy_versions(PolicyArn=policy.id)["Versions"]
    assert {version["VersionId"] for version in versions} == {"v3", "v4", "v5", "v6", "v7"}
    assert [v["VersionId"] for v in versions if v["IsDefaultVersion"]] == ["v7"]

    # v3 is in force again: the oldest of the others goes
    aws.client("iam").set_default_policy_version(PolicyArn=policy.id, VersionId="v3")
    assert json.loads(policy.refresh()["policy"]) == json.loads(_allow("s3:Get2"))
    policy.update(policy=_allow("s3:Get7"))
    versions = aws.client("iam").list_policy_versions(PolicyArn=policy.id)["Versions"]
    assert {version["VersionId"] for version in versions} == {"v3", "v5", "v6", "v7", "v8"}
    policy.delete()


def test_policy_in_use_is_not_deleted(plugin: Plugin) -> None:
    policy = make(plugin, POLICY, name=unique("used"), policy=_allow("s3:GetObject"))
    role = make(plugin, ROLE, name=unique("node"), assumeRolePolicy=_TRUST)
    tie = make(plugin, ATTACHMENT, role=role.id, policyArn=policy.outputs["arn"])
    with pytest.raises(PluginError, match=r"^deleting IAM policy .*DeleteConflict: .* to 1"):
        plugin.delete(POLICY, policy.id, policy.inputs, policy.outputs)
    assert policy.refresh() == {} and policy.outputs["attachmentCount"] == 1
    assert tie.diff(policyArn="arn:aws:iam::aws:policy/X").replaces == ["policyArn"]
    assert tie.imported() == {"role": role.id, "policyArn": policy.id}
    for made in (tie, policy, role):
        made.delete()


def test_inline_policy_lives(aws: Aws, plugin: Plugin) -> None:
    role = make(plugin, ROLE, name=unique("node"), assumeRolePolicy=_TRUST)
    inline = make(plugin, ROLE_POLICY, role=role.id, name="read", policy=_allow("s3:GetObject"))
    for changed in ({"name": "write"}, {"role": "other"}):
        assert inline.diff(**changed).replaces == list(changed)
    assert inline.imported()["role"] == role.id
    aws.client("iam").put_role_policy(
        RoleName=role.id, PolicyName="read", PolicyDocument=_allow("s3:*")
    )
    assert json.loads(inline.refresh()["policy"]) == json.loads(_allow("s3:*"))
    aws.client("iam").delete_role_policy(RoleName=role.id, PolicyName="read")
    assert inline.refresh() == {"": None}
    role.delete()


@pytest.mark.parametrize(
    ("type", "property", "others", "longest"),
    [
        (POLICY, "policy", {}, 6144),
        (ROLE_POLICY, "policy", {"role": "node"}, 10240),
        (ROLE, "assumeRolePolicy", {}, 2048),
    ],
)
def test_documents_that_are_too_long_are_refused(
    plugin: Plugin, type: str, property: str, others: dict[str, str], longest: int
) -> None:
    frame = len(_allow("").replace(" ", ""))
    full = json.dumps(json.loads(_allow("a" * (longest - frame))), indent=4)
    assert len(full) > longest  # white space does not count
    plugin.check(type, {**others, property: full})
    _, failures = plugin.check_failures(type, {**others, property: _allow("a" * longest)})
    assert [(where, f"at most {longest}" in why) for where, why in failures] == [(property, True)]


def test_issuer_lives(aws: Aws, plugin: Plugin) -> None:
    host = f"{unique('issuer')}.example.org"
    issuer = make(
        plugin, OIDC, url=f"https://{host}", clientIdLists=["sts.amazonaws.com"], tags={"Name": "a"}
    )
    arn = f"arn:aws:iam::123456789012:oidc-provider/{host}"
    assert issuer.id == issuer.outputs["arn"] == arn
    assert issuer.outputs["url"] == host  # as AWS tells it
    assert issuer.outputs["tagsAll"] == {"Name": "a", **DEFAULT_TAGS}
    issuer.update(thumbprintLists=["0" * 40])
    live = aws.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert (live["ClientIDList"], live["ThumbprintList"]) == (["sts.amazonaws.com"], ["0" * 40])
    issuer.update(tags={"Name": "b"})
    for changed in ({"url": "https://other.example.org"}, {"clientIdLists": ["a"]}):
        diff = issuer.diff(**changed)
        assert diff.replaces == list(changed) and diff.delete_before_replace
    with pytest.raises(PluginError, match=r"^creating IAM OpenID Connect provider: EntityAlready"):
        make(plugin, OIDC, url=f"https://{host}", clientIdLists=["sts.amazonaws.com"])
    assert issuer.imported()["clientIdLists"] == ["sts.amazonaws.com"]
    issuer.delete()


@pytest.mark.parametrize(
    ("inputs", "property"),
    [
        ({"url": "http://example.org"}, "url"),
        ({"url": "https://example.org/?a=b"}, "url"),
        ({"thumbprintLists": ["12:34"]}, "thumbprintLists"),
    ],
)
def test_bad_issuers_are_refused(plugin: Plugin, inputs: dict[str, Any], property: str) -> None:
    plain = {"url": "https://example.org", "clientIdLists": ["a"]}
    _, failures = plugin.check_failures(OIDC, {**plain, **inputs})
    assert [where.partition("[")[0] for where, _ in failures] == [property], failures
