"""What of the program's resources is in the account already, be it in the state or not.

A run that was killed between AWS's answer and the state's next version leaves such; the next run
takes them over.
"""

from __future__ import annotations

from typing import Any

from bootstrap.errors import BootstrapError
from bootstrap.foundation import Cloud, Found, ours
from bootstrap.names import AUDIENCE, ISSUER, PATH, Names


def existing(cloud: Cloud, names: Names, found: Found) -> dict[str, str]:
    """Ids in AWS, by `Plan.existing`'s keys. Everything below PATH with our prefix is ours."""
    iam = cloud.client("iam")
    known = {bucket: bucket for bucket in found.buckets}
    if found.key_id is not None:
        known["key"] = found.key_id
    if found.alias:
        known["alias"] = names.key_alias
    own = f"{names.prefix}-"
    for page in iam.get_paginator("list_roles").paginate(PathPrefix=PATH):
        for role in page["Roles"]:
            if role["RoleName"].startswith(own):
                known[f"role {role['RoleName']}"] = role["RoleName"]
    for page in iam.get_paginator("list_policies").paginate(Scope="Local", PathPrefix=PATH):
        for policy in page["Policies"]:
            if policy["PolicyName"].startswith(own):
                known[f"policy {policy['PolicyName']}"] = policy["Arn"]
    return known


def issuer(cloud: Cloud, names: Names) -> tuple[str | None, bool]:
    """The ARN of GitHub's issuer if the account knows it, and whether it is ours.

    Somebody else's is used as it is: an account has one. Raises BootstrapError if that one is for
    other audiences.
    """
    iam: Any = cloud.client("iam")
    known = {
        each["Arn"] for each in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    }
    if names.issuer_arn not in known:
        return None, True
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=names.issuer_arn)
    if ours({tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}, names):
        return names.issuer_arn, True
    if AUDIENCE not in found["ClientIDList"]:
        raise BootstrapError(
            f"the account's issuer {ISSUER} is somebody else's and not for {AUDIENCE}; add that "
            f"audience: aws iam add-client-id-to-open-id-connect-provider "
            f"--open-id-connect-provider-arn {names.issuer_arn} --client-id {AUDIENCE}"
        )
    return names.issuer_arn, False
