"""The AWS provider: AWS itself, or one endpoint and nothing else."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import Environment, EnvironmentMaker
from tests.program import Run

ENDPOINT = "http://192.0.2.1:4566"
SKIPS = {"skipCredentialsValidation", "skipMetadataApiCheck", "skipRequestingAccountId"}


def provider(run: Run) -> dict[str, Any]:
    """The provider's inputs; a provider gets all but texts as JSON."""
    inputs = run.one("pulumi:providers:aws").inputs
    return {
        name: json.loads(value) if name != "region" and isinstance(value, str) else value
        for name, value in inputs.items()
    }


def test_without_an_endpoint_aws_itself_is_asked(prod: Environment) -> None:
    inputs = provider(prod.run)
    assert inputs["region"] == "ap-northeast-2"
    assert "endpoints" not in inputs
    assert not any(inputs.get(name) for name in SKIPS)


def test_with_an_endpoint_nothing_else_is_called(make_environment: EnvironmentMaker) -> None:
    inputs = provider(make_environment("prod", aws={"endpoint_url": ENDPOINT}).run)
    (endpoints,) = inputs["endpoints"]
    assert endpoints
    assert set(endpoints.values()) == {ENDPOINT}
    assert all(inputs[name] is True for name in SKIPS)


def test_an_endpoint_stands_for_every_service_that_the_program_calls(
    make_environment: EnvironmentMaker,
) -> None:
    run = make_environment("prod", aws={"endpoint_url": ENDPOINT}).run
    (endpoints,) = provider(run)["endpoints"]
    kinds = {each.type for each in run.resources if each.type.startswith("aws:")}
    modules = {kind.split(":")[1].split("/")[0] for kind in kinds}
    services = {"vpc": "ec2", "lb": "elbv2"}  # modules that are not named as their service
    assert {services.get(module, module) for module in modules} <= set(endpoints)


def test_no_credentials_are_given(environment: Environment) -> None:
    assert not {"accessKey", "secretKey", "token"} & provider(environment.run).keys()


def test_tags_name_project_and_environment(environment: Environment) -> None:
    assert provider(environment.run)["defaultTags"] == {
        "tags": {
            "Project": environment.settings.name,
            "Environment": environment.name,
            "ManagedBy": "pulumi",
        }
    }
