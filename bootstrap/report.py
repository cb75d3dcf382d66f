"""What the bootstrap tells at its end: for people, and for machines."""

from __future__ import annotations

from typing import Any

from bootstrap.engine import Outcome, State
from bootstrap.names import Names
from bootstrap.permissions.identity import BOUNDARY
from bootstrap.settings import Settings


def data(settings: Settings, names: Names, outcome: Outcome, previewed: bool) -> dict[str, Any]:
    """All of it; the keys are a promise. The roles are None and {} without a repository."""
    state = State.of(names, settings.endpoint_url)
    roles = settings.repository is not None
    return {
        "version": 1,
        "preview": previewed,
        "changes": outcome.changes,
        "account": names.account,
        "region": names.region,
        "state_bucket": names.state_bucket,
        "logs_bucket": names.logs_bucket,
        "key_alias": names.key_alias,
        "backend_url": state.backend_url,
        "secrets_provider": state.secrets_provider,
        "repository": settings.repository,
        "preview_role_arn": names.role_arn(names.preview_role) if roles else None,
        "environments": {
            each.name: {
                "region": each.region,
                "deploy_role_arn": names.role_arn(names.deploy_role(each.name)),
                "permissions_boundary": names.policy_arn(BOUNDARY, each.name),
            }
            for each in settings.environments
        },
    }


def text(found: dict[str, Any]) -> str:
    """`data` for people."""
    changes = ", ".join(f"{count} {op}" for op, count in found["changes"].items()) or "nothing"
    lines = [
        f"account {found['account']}, {found['region']}: "
        + ("would change: " if found["preview"] else "changed: ")
        + changes,
        "",
        "Log in, and make a stack:",
        f"  pulumi login '{found['backend_url']}'",
        f"  pulumi stack init STACK --secrets-provider='{found['secrets_provider']}'",
    ]
    if found["repository"] is None:
        lines += ["", "No roles for GitHub: name --repository ORG/REPO and --environment ENV."]
        return "\n".join(lines)
    repository = found["repository"]
    lines += [
        "",
        f"On GitHub, {repository}: Settings > Secrets and variables > Actions > Variables",
        *_variables(
            AWS_PREVIEW_ROLE_ARN=found["preview_role_arn"],
            AWS_REGION=found["region"],
            PULUMI_BACKEND_URL=found["backend_url"],
            PULUMI_SECRETS_PROVIDER=found["secrets_provider"],
        ),
    ]
    for name, each in found["environments"].items():
        lines += [
            f"Settings > Environments > {name} > Environment variables",
            *_variables(AWS_DEPLOY_ROLE_ARN=each["deploy_role_arn"], AWS_REGION=each["region"]),
        ]
    lines += ["", "In the settings of an environment that its role deploys:"]
    for name, each in found["environments"].items():
        lines += [
            f"  Pulumi.{name}.yaml: identity.permissions_boundary: {each['permissions_boundary']}"
        ]
    return "\n".join(lines)


def _variables(**values: str) -> list[str]:
    return [f"  {name}={value}" for name, value in values.items()]
