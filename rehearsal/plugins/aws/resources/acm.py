"""ACM: certificate proven by DNS, and the wait until it is issued."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rehearsal.plugins.aws.cloud import Cloud, code
from rehearsal.plugins.aws.kinds import DomainName, Input, Record, SetOf, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.route53_common import find_record, plain, record_values
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties, ProviderError

# Officially 75 minutes; here the zones answer at once, and a missing record stays missing.
_ISSUE_SECONDS = 120.0


def _acm(op: Operation) -> Any:
    return op.cloud.client("acm")


def _describe(acm: Any, arn: str) -> Properties:
    found: Properties = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    return found


def _proofs(certificate: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Domain -> the CNAME, name and value, that proves it."""
    return {
        option["DomainName"]: (option["ResourceRecord"]["Name"], option["ResourceRecord"]["Value"])
        for option in certificate.get("DomainValidationOptions", ())
        if "ResourceRecord" in option
    }


def _missing(cloud: Cloud, certificate: Mapping[str, Any]) -> list[str]:
    """The CNAMEs of a certificate that no public zone of the account answers."""
    route53 = cloud.client("route53")
    pages = route53.get_paginator("list_hosted_zones").paginate()
    zones = [zone for page in pages for zone in page["HostedZones"]]
    public = [zone for zone in zones if not zone["Config"].get("PrivateZone")]
    return sorted(
        plain(name)
        for name, value in set(_proofs(certificate).values())
        if not _answers(route53, public, name, value)
    )


def _answers(route53: Any, zones: Sequence[Mapping[str, Any]], name: str, value: str) -> bool:
    """Whether the most specific zone has the CNAME, as a resolver would find it."""
    fitting = [zone for zone in zones if f".{plain(name)}".endswith("." + plain(zone["Name"]))]
    most = max((len(zone["Name"]) for zone in fitting), default=0)
    return any(
        plain(value) in map(plain, record_values(find_record(route53, zone["Id"], name, "CNAME")))
        for zone in fitting
        if len(zone["Name"]) == most
    )


def _issued(cloud: Cloud, certificate: Mapping[str, Any]) -> bool:
    """moto issues every certificate after a while, AWS one whose records it finds."""
    return certificate["Status"] == "ISSUED" and not _missing(cloud, certificate)


def check_usable(cloud: Cloud, arn: str, names: Iterable[str] = ()) -> None:
    """Refuses a certificate that AWS would not serve, or not for all of these DNS names.

    cloud: of the region where the certificate must be. Raises ProviderError.
    """
    try:
        certificate = _describe(cloud.client("acm"), arn)
    except Exception as error:
        if code(error) != "ResourceNotFoundException":
            raise
        raise ProviderError(f"certificate {arn} does not exist in {cloud.region}") from None
    if not _issued(cloud, certificate):
        lacking = ", ".join(_missing(cloud, certificate)) or "nothing but time"
        raise ProviderError(f"certificate {arn} is not issued; in public DNS it lacks {lacking}")
    held = set(map(plain, certificate["SubjectAlternativeNames"]))
    for name in map(plain, names):
        if name not in held and f"*.{name.partition('.')[2]}" not in held:
            raise ProviderError(f"certificate {arn} is not for {name}")


def _create(op: Operation) -> str:
    inputs, options = op.inputs, op.inputs.get("options") or {}
    optional = {
        "SubjectAlternativeNames": inputs.get("subjectAlternativeNames"),
        "KeyAlgorithm": inputs.get("keyAlgorithm"),
        "Options": {key[:1].upper() + key[1:]: value for key, value in options.items()},
        "Tags": tag_list(op.tags),
    }
    made = _acm(op).request_certificate(
        DomainName=inputs["domainName"],
        ValidationMethod=inputs["validationMethod"],
        **{key: value for key, value in optional.items() if value},
    )
    return str(made["CertificateArn"])


def _settle(op: Operation) -> None:
    def all_told() -> bool:
        certificate = _describe(_acm(op), op.id)
        return _proofs(certificate).keys() >= set(certificate["SubjectAlternativeNames"])

    op.wait("the records that prove its domains", all_told)


def _live_names(op: Operation, certificate: Mapping[str, Any]) -> list[str] | None:
    """The other names: ACM adds the first one to them, and so does the official provider."""
    kept = op.get("subjectAlternativeNames")
    live, first = set(certificate["SubjectAlternativeNames"]), certificate["DomainName"]
    if kept and {*kept, first} == live:
        return list(kept)
    return sorted(live - {first}) or None


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(op: Operation) -> Properties | None:
    certificate = _describe(_acm(op), op.id)
    if certificate["Type"] != "AMAZON_ISSUED":
        raise ProviderError(f"a certificate of type {certificate['Type']} is not handled here")
    tags = _acm(op).list_tags_for_certificate(CertificateArn=op.id)["Tags"]
    # once issued it stays so, whatever becomes of the records
    issued = op.state.get("status") == "ISSUED" or _issued(op.cloud, certificate)
    options = certificate.get("Options") or {}
    return {
        "domainName": certificate["DomainName"],
        "subjectAlternativeNames": _live_names(op, certificate),
        "validationMethod": certificate["DomainValidationOptions"][0]["ValidationMethod"],
        "keyAlgorithm": op.get("keyAlgorithm") or certificate["KeyAlgorithm"],
        "options": {key[:1].lower() + key[1:]: value for key, value in options.items()},
        "arn": op.id,
        "domainValidationOptions": [
            {
                "domainName": domain,
                "resourceRecordName": name,
                "resourceRecordType": "CNAME",
                "resourceRecordValue": value,
            }
            # a set: in the order of a hash, which no program may rely on
            for domain, (name, value) in sorted(
                _proofs(certificate).items(), key=lambda item: zlib.crc32(item[0].encode())
            )
        ],
        "notBefore": _time(certificate["NotBefore"]) if issued else None,
        "notAfter": _time(certificate["NotAfter"]) if issued else None,
        "pendingRenewal": False,
        "renewalEligibility": certificate["RenewalEligibility"],
        "renewalSummaries": [],
        "status": "ISSUED" if issued else "PENDING_VALIDATION",
        "type": certificate["Type"],
        "validationEmails": [],
        "tags": tag_map(tags),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    raise ProviderError("options cannot be changed here: moto has no UpdateCertificateOptions")


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        _acm(op).remove_tags_from_certificate(
            CertificateArn=op.id, Tags=[{"Key": key} for key in stale]
        )
    if fresh:
        _acm(op).add_tags_to_certificate(CertificateArn=op.id, Tags=tag_list(fresh))


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    """No name ends with a dot: ACM's names have none, and the provider compares them so."""
    names = [("domainName", inputs["domainName"])]
    others = inputs.get("subjectAlternativeNames")
    if isinstance(others, list):
        names += [("subjectAlternativeNames", name) for name in others]
    return [
        (key, "cannot end with a period")
        for key, name in names
        if isinstance(name, str) and name.endswith(".")
    ]


CERTIFICATE = ResourceType(
    token="aws:acm/certificate:Certificate",
    noun="ACM certificate",
    inputs={
        "domainName": Input(DomainName(longest=253), required=True, force_new=True),
        "subjectAlternativeNames": Input(
            SetOf(DomainName(longest=253)), force_new=True, computed=True
        ),
        "validationMethod": Input(String(choices=("DNS",)), required=True, force_new=True),
        "keyAlgorithm": Input(
            String(choices=("RSA_2048", "EC_prime256v1", "EC_secp384r1")),
            force_new=True,
            computed=True,
        ),
        "options": Input(
            Record(
                {
                    "certificateTransparencyLoggingPreference": Input(
                        String(choices=("ENABLED", "DISABLED")), default="ENABLED"
                    ),
                    "export": Input(String(choices=("ENABLED", "DISABLED")), computed=True),
                }
            ),
            computed=True,
        ),
    },
    outputs=(
        "arn",
        "domainValidationOptions",
        "notAfter",
        "notBefore",
        "pendingRenewal",
        "renewalEligibility",
        "renewalSummaries",
        "status",
        "type",
        "validationEmails",
    ),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=lambda op: _acm(op).delete_certificate(CertificateArn=op.id),
    retag=_retag,
    validate=_validate,
)


def _await_issue(op: Operation) -> str:
    arn = op.inputs["certificateArn"]
    certificate = _describe(_acm(op), arn)
    told = {plain(name) for name in op.inputs.get("validationRecordFqdns") or ()}
    for domain, (name, _) in sorted(_proofs(certificate).items()):
        if told and plain(name) not in told:
            raise ProviderError(f"missing {domain} DNS validation record: {plain(name)}")
    try:
        op.wait(f"{arn} to be issued", lambda: _issued(op.cloud, _describe(_acm(op), arn)))
    except ProviderError as error:
        missing = _missing(op.cloud, certificate)
        if not missing:
            raise
        raise ProviderError(
            f"{error}; no public zone of Route 53 answers the CNAME {', '.join(missing)}"
        ) from None
    return f"{_describe(_acm(op), arn)['IssuedAt']:%Y-%m-%d %H:%M:%S} +0000 UTC"


def _read_issue(op: Operation) -> Properties | None:
    arn = op.get("certificateArn")
    if not arn:
        raise ProviderError("it cannot be imported: it is no thing of AWS, but a wait")
    if _describe(_acm(op), arn)["Status"] != "ISSUED":
        return None
    return {"certificateArn": arn}


CERTIFICATE_VALIDATION = ResourceType(
    token="aws:acm/certificateValidation:CertificateValidation",
    noun="ACM certificate validation",
    inputs={
        "certificateArn": Input(String(), required=True, force_new=True),
        "validationRecordFqdns": Input(SetOf(DomainName()), force_new=True),
    },
    outputs=(),
    create=_await_issue,
    read=_read_issue,
    delete=lambda op: None,  # there is nothing of it but the state
    create_seconds=_ISSUE_SECONDS,
)

RESOURCE_TYPES = (CERTIFICATE, CERTIFICATE_VALIDATION)
