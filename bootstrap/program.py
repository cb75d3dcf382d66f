"""The Pulumi program of an account: its state's bucket and key, and who may deploy from GitHub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws

from bootstrap.foundation import DESCRIPTION, PURPOSE
from bootstrap.names import AUDIENCE, ISSUER, PATH, Names
from bootstrap.permissions import data, edges, identity, look, network, resources, state
from bootstrap.permissions.scope import Scope
from bootstrap.settings import Settings
from infra.buckets import Bucket, BucketArgs
from infra.policies import Statement, document

# Days; so long can an older state be had again.
_STATE_VERSIONS, _LOGS = 90, 90
_SERVICES = ("iam", "kms", "s3", "sts")
_SESSION_S = 10800  # a first deployment waits for certificates and the CDN


@dataclass(frozen=True)
class Plan:
    """What the program makes. existing: ids in AWS by the resource's type and name: what is there
    is taken over, whether or not the state knows of it. issuer: ARN of a GitHub issuer that is
    somebody else's, as an account has one alone; None: ours."""

    settings: Settings
    names: Names
    existing: Mapping[str, str]
    issuer: str | None


@dataclass(frozen=True)
class _Maker:
    """opts: of everything; imports: `Plan.existing`."""

    plan: Plan
    provider: aws.Provider

    def opts(
        self, key: str, *depends: pulumi.Resource, protect: bool = False
    ) -> pulumi.ResourceOptions:
        """key: of `Plan.existing`."""
        return pulumi.ResourceOptions(
            provider=self.provider,
            import_=self.plan.existing.get(key),
            protect=protect or None,
            depends_on=depends,
        )


def program(plan: Plan) -> Callable[[], None]:
    """To be run by the engine."""

    def run() -> None:
        make = _Maker(plan, _provider(plan))
        key = _key(make)
        _buckets(make, key)
        pulumi.export("repository", plan.settings.repository)
        pulumi.export("branch", plan.settings.branch)
        pulumi.export("environments", [each.name for each in plan.settings.environments])
        if plan.settings.repository is not None:
            _roles(make, plan.settings.repository, key.arn)

    return run


def _provider(plan: Plan) -> aws.Provider:
    """With an endpoint of its own nothing but that is called, as in infra/provider.py."""
    url = plan.settings.endpoint_url
    elsewhere = url is not None or None
    return aws.Provider(
        "aws",
        region=plan.settings.region,
        default_tags=aws.ProviderDefaultTagsArgs(tags=plan.names.tags),
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(_SERVICES, url))] if url else None,
        skip_credentials_validation=elsewhere,
        skip_metadata_api_check=elsewhere,
        skip_requesting_account_id=elsewhere,
        s3_use_path_style=elsewhere,
    )


def _key(make: _Maker) -> aws.kms.Key:
    names = make.plan.names
    key = aws.kms.Key(
        "secrets",
        description=DESCRIPTION,
        enable_key_rotation=True,
        policy=resources.key_policy(names),
        opts=make.opts("key", protect=True),
    )
    aws.kms.Alias(
        "secrets",
        name=names.key_alias,
        target_key_id=key.key_id,
        opts=make.opts("alias", protect=True),
    )
    return key


def _buckets(make: _Maker, key: aws.kms.Key) -> None:
    names = make.plan.names
    logs = Bucket(
        "logs",
        BucketArgs(
            bucket=names.logs_bucket,
            purpose="logs",
            key_arn=None,  # S3 can write its logs with no other key than its own
            logs=None,
            expire_days=_LOGS,
            noncurrent_expire_days=1,
            statements=resources.access_log(names),
        ),
        _taken_over(make, names.logs_bucket),
    ).outputs
    Bucket(
        "state",
        BucketArgs(
            bucket=names.state_bucket,
            purpose=PURPOSE,
            key_arn=key.arn,
            logs=logs.id,
            expire_days=None,
            noncurrent_expire_days=_STATE_VERSIONS,
            statements=resources.never_deleted(names.state_bucket),
        ),
        _taken_over(make, names.state_bucket, protect=True),
    )


def _taken_over(make: _Maker, bucket: str, protect: bool = False) -> pulumi.ResourceOptions:
    """Of a bucket's component: the bucket in it is imported if it is there."""

    def imported(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != "aws:s3/bucket:Bucket" or bucket not in make.plan.existing:
            return None
        args.opts.import_ = make.plan.existing[bucket]
        return pulumi.ResourceTransformationResult(args.props, args.opts)

    return pulumi.ResourceOptions(
        providers=[make.provider], protect=protect or None, transformations=[imported]
    )


def _roles(make: _Maker, repository: str, key_arn: pulumi.Output[str]) -> None:
    plan, names = make.plan, make.plan.names
    issuer = _issuer(make)
    looks = []
    for each in plan.settings.environments:
        scope = Scope(each, names.account)
        _policy(make, identity.BOUNDARY, each.name, identity.boundary(scope))
        looking = _policy(make, "look", each.name, document(*look.look(scope)))
        looks.append(looking)
        parts = {
            "network": network.network(scope),
            "edges": edges.edges(scope),
            "data": data.data(scope),
            "identity": identity.identity(scope, names),
        }
        _role(
            make,
            names.deploy_role(each.name),
            f"Deploys {each.name} from GitHub",
            resources.deploy_trust(names, repository, each.name),
            [looking]
            + [_policy(make, part, each.name, document(*of)) for part, of in parts.items()],
            _state(key_arn, partial(state.writable, names, each.stacks)),
            issuer,
        )
    _role(
        make,
        names.preview_role,
        "Previews of pull requests on GitHub",
        resources.preview_trust(names, repository, plan.settings.branch),
        looks,
        _state(key_arn, partial(state.readable, names)),
        issuer,
    )


def _state(
    key_arn: pulumi.Output[str], statements: Callable[[str], Sequence[Statement]]
) -> pulumi.Output[str]:
    return key_arn.apply(lambda arn: document(*statements(arn)))


def _issuer(make: _Maker) -> list[pulumi.Resource]:
    """What a role's trust must wait for."""
    if make.plan.issuer is not None:
        return []
    return [
        aws.iam.OpenIdConnectProvider(
            "github",
            url=f"https://{ISSUER}",
            client_id_lists=[AUDIENCE],
            opts=make.opts("issuer"),
        )
    ]


def _policy(make: _Maker, what: str, environment: str, text: str) -> aws.iam.Policy:
    name = make.plan.names.policy(what, environment)
    return aws.iam.Policy(
        f"{what}-{environment}", name=name, path=PATH, policy=text, opts=make.opts(f"policy {name}")
    )


def _role(
    make: _Maker,
    name: str,
    description: str,
    trust: str,
    policies: Sequence[aws.iam.Policy],
    of_state: pulumi.Output[str],
    issuer: Sequence[pulumi.Resource],
) -> None:
    """The role's ARN is one that `Names.role_arn` tells before."""
    role = aws.iam.Role(
        name,
        name=name,
        path=PATH,
        description=description,
        assume_role_policy=trust,
        max_session_duration=_SESSION_S,
        opts=make.opts(f"role {name}", *issuer),
    )
    plain = pulumi.ResourceOptions(provider=make.provider)
    aws.iam.RolePolicy(name, name="state", role=role.name, policy=of_state, opts=plain)
    for policy in policies:
        aws.iam.RolePolicyAttachment(
            f"{name}-{policy._name}", role=role.name, policy_arn=policy.arn, opts=plain
        )
