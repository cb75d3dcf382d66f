"""What the statements of an environment's policies are held to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bootstrap.settings import Environment
from infra.certificates import CDN_REGION
from infra.policies import Place

# Everything of an environment has these two (infra/provider.py), and nothing else has both
TAGS = ("Project", "Environment")
GLOBAL = "us-east-1"  # where the services without regions are asked

Values = str | Sequence[str]
Tests = dict[str, dict[str, Values]]


@dataclass(frozen=True)
class Scope:
    """An environment in an account."""

    environment: Environment
    account: str

    @property
    def prefix(self) -> str:
        return self.environment.prefix

    @property
    def place(self) -> Place:
        return Place(self.environment.region, self.account)

    def arns(self, service: str, *resources: str) -> list[str]:
        """ARNs of this region and account."""
        return [self.place.arn(service, each) for each in resources]

    def global_arns(self, service: str, *resources: str) -> list[str]:
        """ARNs of a service without regions."""
        return [self.place.global_arn(service, each) for each in resources]

    def buckets(self, *purposes: str) -> list[str]:
        """ARNs of the environment's buckets, as infra/storage.py names them."""
        return [f"arn:aws:s3:::{self.prefix}-{each}-{self.account}" for each in purposes]

    @property
    def asked(self) -> Tests:
        """What is made gets the environment's tags in the same call."""
        return {"StringEquals": self._tags("aws:RequestTag")}

    @property
    def owned(self) -> Tests:
        """What is there has them."""
        return {"StringEquals": self._tags("aws:ResourceTag")}

    @property
    def claimed(self) -> Tests:
        """What has none of them gets them: AWS made it by itself, or is about to make it."""
        nobody = {f"aws:ResourceTag/{tag}": "true" for tag in TAGS}
        return {**self.asked, "Null": dict(nobody)}

    @property
    def retagged(self) -> Tests:
        """Other tags of what has them: it is neither given away nor taken off."""
        return {**self.owned, "ForAllValues:StringNotEquals": {"aws:TagKeys": list(TAGS)}}

    def in_region(self, region: str | None = None) -> Tests:
        """For what AWS can hold to a region alone: its own, or another."""
        return {"StringEquals": {"aws:RequestedRegion": region or self.environment.region}}

    def _tags(self, key: str) -> dict[str, Values]:
        return {f"{key}/{tag}": value for tag, value in zip(TAGS, self._values, strict=True)}

    @property
    def _values(self) -> tuple[str, str]:
        return (self.prefix, self.environment.name)

    @property
    def certificate_regions(self) -> Sequence[str]:
        """The load balancer's, and CloudFront's one."""
        return tuple(dict.fromkeys((self.environment.region, CDN_REGION)))
