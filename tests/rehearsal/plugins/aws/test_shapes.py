"""Nothing passes the rehearsal that AWS, or the official provider, would refuse for its shape:
requests, the table of types, and what the program itself registers."""

from __future__ import annotations

import enum
import inspect
import json
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from math import inf
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from pulumi import _types as sdk  # how the SDK itself finds names and types of its classes
from pulumi.runtime.rpc import get_resource_module

from rehearsal.plugins.aws import kinds, plan
from rehearsal.plugins.aws.arguments import SERVICES
from rehearsal.plugins.aws.resources import TYPES
from rehearsal.plugins.aws.shapes import LIMITS, _compiled, watch
from rehearsal.plugins.protocol import ProviderError
from tests.conftest import Environment
from tests.program import plain

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# --- Requests

_SESSION: Any = botocore.session.get_session()
_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
_TRUST = {"AssumeRolePolicyDocument": "{}"}


def _sent(call: str, params: Mapping[str, Any]) -> list[str]:
    """What a watched client sends when <service> <operation> is called; nobody is there."""
    service, operation = call.split()
    sent = []

    def answer(model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        sent.append(model.name)
        return SimpleNamespace(status_code=200), {}

    url = "http://127.0.0.1:9"
    client = _SESSION.create_client(service, "eu-west-1", endpoint_url=url, **_KEYS)
    watch(client)
    client.meta.events.register("before-call", answer)
    client._make_api_call(operation, dict(params))
    return sent


def _rule(**source: Any) -> dict[str, Any]:
    return {"GroupId": "sg-1", "IpPermissions": [{"IpProtocol": "tcp", **source}]}


def _tagged(count: int = 1, **tag: str) -> dict[str, Any]:
    tags = [{"Key": f"k{number}", "Value": "", **tag} for number in range(count)]
    vpc = {"ResourceType": "vpc", "Tags": tags}
    return {"CidrBlock": "10.0.0.0/16", "TagSpecifications": [vpc]}


@pytest.mark.parametrize(
    ("call", "params"),
    [
        ("ec2 CreateVpc", _tagged(50, Value="가 é|")),
        ("ec2 DescribeVpcs", {}),
        ("ec2 ImportKeyPair", {"KeyName": "a key", "PublicKeyMaterial": b"k"}),
        ("ec2 RunInstances", {"MinCount": 1, "MaxCount": 1, "InstanceType": "t3.small"}),
        ("iam CreateRole", {"RoleName": "a+=,.@-_", "Path": "/a/", **_TRUST}),
        ("iam TagRole", {"RoleName": "a", "Tags": [{"Key": "이름", "Value": "값"}]}),
        ("s3 CreateBucket", {"Bucket": "a.b-1"}),
        ("sts GetCallerIdentity", {}),
    ],
)
def test_good_requests_pass(call: str, params: dict[str, Any]) -> None:
    assert _sent(call, params) == [call.split()[1]]


@pytest.mark.parametrize(
    ("call", "params", "refusal"),
    [
        ("ec2 CreateVpc", {"InstanceTenancy": "x"}, ".* must be one of default, .*, host, not 'x'"),
        (
            "ec2 CreateVpc",
            {"TagSpecifications": [{"ResourceType": "vpcs"}]},
            r"TagSpecifications\[0\].ResourceType must be one of botocore's \d+ values "
            r"\(such as vpc\), not 'vpcs'",
        ),
        ("ec2 CreateVpc", _tagged(Key="AWS:x"), r".*Key must not begin with aws:, not 'AWS:x'"),
        ("ec2 CreateVpc", _tagged(Key="k" * 129), ".*Key must have at most 128 char.*, not 129"),
        ("ec2 CreateVpc", _tagged(Key=""), ".*Key must have at least 1 characters, not 0"),
        ("ec2 CreateVpc", _tagged(Value="v" * 257), ".*Value must have at most 256 .*, not 257"),
        ("ec2 CreateVpc", _tagged(51), ".*Tags must have at most 50 items, not 51"),
        (
            "ec2 CreateSecurityGroup",
            {"GroupName": "sg-a", "Description": "Nodes — all"},
            "GroupName must not begin with sg-, and consist of .*, not 'sg-a'; "
            r"Description must consist of a-z, .* and \._-:/\(\)#,@\[\]\+=&;\{\}!\$\*, "
            "not 'Nodes — all'",
        ),
        (
            "ec2 AuthorizeSecurityGroupIngress",
            _rule(IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "x" * 256}]),
            r"IpPermissions\[0\].IpRanges\[0\].Description must have at most 255 characters.*",
        ),
        (
            "ec2 AuthorizeSecurityGroupEgress",
            _rule(UserIdGroupPairs=[{"GroupId": "sg-2", "Description": "a & b"}]),
            r"IpPermissions\[0\].UserIdGroupPairs\[0\].Description must consist of .*",
        ),
        ("ec2 ImportKeyPair", {"KeyName": "schlüssel"}, "KeyName must consist of ASCII .*"),
        ("iam CreateRole", {"RoleName": "rôle"}, r"RoleName must match \[.*\]\+, not 'rôle'"),
        ("iam CreateRole", {"RoleName": "r" * 65}, "RoleName must have at most 64 .*, not 65"),
        ("iam CreateRole", {"MaxSessionDuration": 60}, ".* must be at least 3600, not 60"),
        ("iam CreateRole", {"Description": "x → y"}, "Description must match .*"),
        ("iam TagRole", {"Tags": [{"Key": "a|b", "Value": ""}]}, r"Tags\[0\].Key must match .*"),
        ("s3 CreateBucket", {"Bucket": "A_b"}, "Bucket must consist of .*, not 'A_b'"),
        ("s3 CreateBucket", {"Bucket": "10.0.0.1"}, "Bucket must .* no IP address .*"),
        ("s3 CreateBucket", {"Bucket": "a-s3alias"}, "Bucket must .* no prefix or suffix .*"),
        (
            "elbv2 AddTags",
            {"Tags": [{"Key": "aws:a"}]},
            r"Tags\[0\].Key must not begin with aws:.*",
        ),
        ("kms CreateAlias", {"AliasName": "alias/a b"}, "AliasName must match .*"),
        ("acm RequestCertificate", {"DomainName": "a_b.example"}, "DomainName must match .*"),
        (
            "route53 CreateHostedZone",
            {"VPC": {"VPCRegion": "eu-west-99", "VPCId": "v" * 1025}},
            "VPC.VPCRegion must be one of botocore's .*; VPC.VPCId must have at most 1024 .*",
        ),
    ],
)
def test_bad_requests_are_refused_with_all_that_is_wrong(
    call: str, params: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        _sent(call, params)
    text = str(caught.value)
    assert re.fullmatch(rf"AWS would refuse {call}: {refusal}", text), text


def test_no_secret_is_told() -> None:
    keys = {"XksProxyAuthenticationCredential": {"AccessKeyId": "geheim"}}
    for call, params, refusal in (
        ("iam CreateLoginProfile", {"Password": "geheim→"}, r"Password must match \[\S+"),
        (
            "acm ImportCertificate",
            {"PrivateKey": b"geheim" * 9999},
            "PrivateKey must .*, not 59994",
        ),
        ("kms CreateCustomKeyStore", keys, r"\S+Credential.AccessKeyId must match \S+; .* not 6"),
    ):
        with pytest.raises(ProviderError, match=f"{call}: {refusal}$") as caught:
            _sent(call, params)
        assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("service", SERVICES)
def test_every_pattern_of_the_models_can_be_checked(service: str) -> None:
    model = _SESSION.get_service_model(service)
    for name in model.shape_names:
        if pattern := model.shape_for(name).metadata.get("pattern"):
            _compiled(pattern)


def test_the_documented_limits_are_of_members_that_exist_and_say_more_than_the_models() -> None:
    for (service, structure, name), limits in LIMITS.items():
        model = _SESSION.get_service_model(service).shape_for(structure).members[name].metadata
        assert limits.get("max", 0) < model.get("max", inf), (structure, name)
        assert limits.get("min", inf) > model.get("min", 0), (structure, name)
        assert limits.get("pattern", "") != model.get("pattern")


# --- The table of types against the SDK


def _parts(annotation: Any) -> list[Any]:
    """The types of a plain value in an annotation of the SDK."""
    origin = typing.get_origin(annotation)
    if origin is typing.Union:
        return [part for each in typing.get_args(annotation) for part in _parts(each)]
    wrapped = getattr(origin, "__name__", "") in ("Awaitable", "Output")
    return [] if wrapped or annotation is type(None) else [annotation]


def _classes(token: str) -> tuple[Any, Any]:
    """The SDK's classes of a resource and of its arguments, by the SDK's own registry."""
    package, module, _ = token.split(":")
    found: Any = get_resource_module(package, module, version("pulumi-aws"))
    info = found.mod_info
    resource = getattr(import_module(info["fqn"]), info["classes"][token])
    hints = [each.__annotations__ for each in typing.get_overloads(resource.__init__)]
    (arguments,) = (_parts(each["args"])[0] for each in hints if "args" in each)
    return resource, arguments


def _required(arguments: Any) -> set[str]:
    names = sdk.input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments.__init__).parameters
    return {names[key] for key, it in parameters.items() if key in names and it.default is it.empty}


def _is(annotation: Any, base: type) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, base)


def _differences(
    fields: Mapping[str, kinds.Input], arguments: Any, outputs: Mapping[str, Any], path: str
) -> Iterator[str]:
    """What of our fields is not as in the SDK's class of arguments, and in those within."""
    known, required = sdk.input_type_types(arguments), _required(arguments)
    for name in sorted(required - {key for key, spec in fields.items() if spec.required}):
        yield f"{path}{name}: the SDK requires it"
    for name, spec in fields.items():
        if name not in known:
            yield f"{path}{name}: the SDK has no such input"
        else:
            yield from _unlike(spec.kind, known[name], outputs.get(name), path + name)


def _unlike(kind: kinds.Kind, annotation: Any, output: Any, path: str) -> Iterator[str]:
    parts = _parts(annotation)
    origin = typing.get_origin(parts[-1])
    items = typing.get_args(parts[-1])
    if isinstance(kind, kinds.ListOf):
        if not _is(origin, Sequence):
            yield f"{path}: a list here, {parts} in the SDK"
            return
        each = _parts(output)
        of_output = typing.get_args(each[-1])[0] if each else None
        yield from _unlike(kind.item, items[0], of_output, f"{path}[]")
    elif isinstance(kind, kinds.MapOf):
        if not _is(origin, Mapping):
            yield f"{path}: a map here, {parts} in the SDK"
            return
        yield from _unlike(kind.item, items[1], None, f"{path}{{}}")
    elif isinstance(kind, kinds.Record):
        if not sdk.is_input_type(parts[-1]):
            yield f"{path}: an object here, {parts} in the SDK"
            return
        (shown,) = _parts(output)
        told = sdk.output_type_types(shown)
        yield from _differences(kind.fields, parts[-1], told, f"{path}.")
        yield from (f"{path}.{name}: no such output" for name in kind.outputs if name not in told)
    else:
        plain_type = {kinds.Boolean: bool, kinds.Integer: int}.get(type(kind), str)
        if plain_type not in parts:
            yield f"{path}: {plain_type.__name__} here, {parts} in the SDK"
        if isinstance(kind, kinds.String) and (values := _values(parts)):
            yield from (f"{path}: no {each!r} in the SDK" for each in set(kind.choices) - values)


def _values(parts: Sequence[Any]) -> set[str]:
    """The values of the SDK's enum, if there is one."""
    return {each.value for part in parts if _is(part, enum.Enum) for each in part}


@pytest.mark.parametrize("token", sorted(TYPES))
def test_every_type_is_as_the_sdk_has_it(token: str) -> None:
    """Being stricter than the SDK is fine: the stand-in knows fewer cases, so it requires more."""
    resource, arguments = _classes(token)
    type, outputs = TYPES[token], sdk.resource_types(resource)
    assert list(_differences(type.properties, arguments, outputs, "")) == []
    assert set(type.outputs) - outputs.keys() == set()
    inputs = sdk.input_type_types(arguments)
    assert ("tags" in inputs, "region" in inputs) == (type.retag is not None, type.regional)


# --- What the program registers


def _aws(environment: Environment) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(type, name, inputs) of each AWS resource."""
    for each in environment.run.resources:
        if each.type.startswith("aws:"):
            yield each.type, each.name, _whole(plain(each.inputs))


def _whole(value: Any) -> Any:
    """Protobuf knows no whole numbers."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_every_resource_passes_the_stand_in_s_checks(environment: Environment) -> None:
    seen = set()
    for type, name, inputs in _aws(environment):
        assert type in TYPES, f"{name}: {type} is not handled by the stand-in"
        _, failures = plan.check(TYPES[type], name, "eu-west-1", {}, inputs)
        assert failures == [], name
        seen.add(type)
    assert len(seen) > 30


def _out_of_enum(value: Any, annotation: Any, path: str) -> Iterator[str]:
    """The paths of values that are not in the SDK's enum for them."""
    parts = _parts(annotation)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _out_of_enum(item, typing.get_args(parts[-1])[0], f"{path}[{index}]")
    elif isinstance(value, dict) and sdk.is_input_type(parts[-1]):
        known = sdk.input_type_types(parts[-1])
        for key, item in value.items():
            yield from _out_of_enum(item, known[key], f"{path}.{key}")
    elif (values := _values(parts)) and value not in values:
        yield f"{path}: {value!r}"


def test_every_value_of_an_enum_is_one_of_the_sdk_s(environment: Environment) -> None:
    found = [
        wrong
        for type, name, inputs in _aws(environment)
        for wrong in _out_of_enum(inputs, _classes(type)[1], name)
    ]
    assert found == []


# --- Policy documents: cfn-lint knows AWS's grammar and actions, for resources of CloudFormation

_HOMES = {
    "aws:ec2/vpcEndpoint:VpcEndpoint": ("AWS::KMS::Key", "KeyPolicy"),
    "aws:iam/policy:Policy": ("AWS::IAM::ManagedPolicy", "PolicyDocument"),
    "aws:iam/role:Role": ("AWS::IAM::Role", "AssumeRolePolicyDocument"),
    "aws:iam/rolePolicy:RolePolicy": ("AWS::IAM::RolePolicy", "PolicyDocument"),
    "aws:kms/key:Key": ("AWS::KMS::Key", "KeyPolicy"),
    "aws:s3/bucketPolicy:BucketPolicy": ("AWS::S3::BucketPolicy", "PolicyDocument"),
}
_OTHERS = {"AWS::IAM::RolePolicy": ("RoleName", "PolicyName"), "AWS::S3::BucketPolicy": ("Bucket",)}
_PRINCIPALS = {"AWS", "Service", "Federated", "CanonicalUser"}  # cfn-lint takes any


def _policy_errors(documents: Sequence[tuple[str, str, Any]]) -> list[str]:
    """What is wrong with (type, resource name, document), each with type and name before it."""
    from cfnlint.api import lint  # type: ignore[import-untyped]  # late: takes two seconds

    resources, found = {}, []
    for number, (type, name, document) in enumerate(documents):
        home, property = _HOMES[type]
        names = dict.fromkeys(_OTHERS.get(home, ()), f"name{number}")
        resources[f"R{number}"] = {"Type": home, "Properties": {property: document, **names}}
        for statement in document["Statement"]:
            principal = statement.get("Principal", "*")
            if principal != "*" and not principal.keys() <= _PRINCIPALS:
                found.append(f"{type} {name}: Principal {sorted(principal)}")
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    for each in lint(json.dumps(template), regions=["eu-west-1"]):
        type, name, _ = documents[int(str(each.path[1])[1:])]
        found.append(f"{type} {name}: {each.message[:200]} {each.path[4:]}")
    return found


def test_policy_documents_follow_aws_s_grammar(environment: Environment) -> None:
    documents = [
        (type, name, json.loads(inputs[key]))
        for type, name, inputs in _aws(environment)
        for key, spec in TYPES[type].inputs.items()
        if isinstance(spec.kind, kinds.Json) and key in inputs
    ]
    assert len(documents) > 10
    assert _policy_errors(documents) == []


def test_bad_policy_documents_are_found() -> None:
    good = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
    role_policy, role = "aws:iam/rolePolicy:RolePolicy", "aws:iam/role:Role"
    bucket, endpoint = "aws:s3/bucketPolicy:BucketPolicy", "aws:ec2/vpcEndpoint:VpcEndpoint"
    cases: list[tuple[str, dict[str, Any], str]] = [
        (role_policy, {"Effect": "allow"}, "'allow' is not one of"),
        (role_policy, {"Sid": "a b"}, "'a b' does not match"),
        (role_policy, {"Action": "s3:Nothing"}, "'nothing' is not one of"),
        (role_policy, {"NotAction": "s3:PutObject"}, "NotAction"),
        (role_policy, {"Resource": "b"}, "'b' does not match"),
        (role_policy, {"Principal": "*"}, "'Principal' was unexpected"),
        (role_policy, {"Condition": {"StringEqual": {"a": "1"}}}, "'StringEqual' does not match"),
        (role, {"Principal": "*", "Action": "sts:AssumeRole"}, "'Resource' was unexpected"),
        (bucket, {}, "'Principal', 'NotPrincipal'"),
        (bucket, {"Principal": {"Aws": "*"}}, "Principal ['Aws']"),
        (endpoint, {}, "'Principal', 'NotPrincipal'"),
    ]
    documents: list[tuple[str, str, Any]] = [
        (type, str(number), {"Version": "2012-10-17", "Statement": [{**good, **wrong}]})
        for number, (type, wrong, _) in enumerate([*cases, (role_policy, {}, "")])
    ]
    errors = _policy_errors(documents)
    for number, (type, _, words) in enumerate(cases):
        assert any(e.startswith(f"{type} {number}:") and words in e for e in errors), (
            number,
            words,
        )
    assert not [e for e in errors if e.startswith(f"{role_policy} {len(cases)}:")]
