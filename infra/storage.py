"""Where data is kept: a KMS key, and the buckets of assets, backups and logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.buckets import ACCESS_PREFIX, Bucket, BucketArgs, BucketOutputs
from infra.policies import ANY, Place, Statement, document
from settings.models import Storage as Retention

# Where each kind of log lies in the bucket of logs; each service adds AWSLogs/<account>/ itself.
LOAD_BALANCER_PREFIX = "alb"
FLOW_PREFIX = "flow"


@dataclass(frozen=True)
class StorageArgs:
    """name: prefix of the AWS names; place: region and account; assets: whether there is a CDN to
    serve assets, whose component then writes that bucket's policy."""

    name: str
    place: pulumi.Input[Place]
    retention: Retention
    assets: bool


@dataclass(frozen=True)
class StorageOutputs:
    """assets: None without a CDN. key_arn: of the key of all data. flow_logs: ARN to give a flow
    log as its destination."""

    assets: BucketOutputs | None
    backups: BucketOutputs
    logs: BucketOutputs
    key_arn: pulumi.Output[str]
    flow_logs: pulumi.Output[str]


class Storage(pulumi.ComponentResource):
    """A key that rotates, and the buckets. Those of assets and backups outlive a careless
    destroy: AWS deletes no bucket that holds something, and so the destroy fails."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Storage", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self._place = pulumi.Output.from_input(args.place)
        key_arn = self._key()
        logs = self._logs()
        days = args.retention.noncurrent_expire_days
        backups = Bucket(
            "backups",
            BucketArgs(
                bucket=bucket_name(args.name, "backups", self._place),
                purpose="backups",
                key_arn=key_arn,
                logs=logs.id,
                expire_days=args.retention.backups_expire_days,
                noncurrent_expire_days=days,
                statements=(),
            ),
            self._child,
        ).outputs
        assets = None
        if args.assets:
            assets = Bucket(
                "assets",
                BucketArgs(
                    bucket=bucket_name(args.name, "assets", self._place),
                    purpose="assets",
                    key_arn=key_arn,
                    logs=logs.id,
                    expire_days=None,
                    noncurrent_expire_days=days,
                    statements=None,
                ),
                self._child,
            ).outputs
        self.outputs = StorageOutputs(
            assets=assets,
            backups=backups,
            logs=logs,
            key_arn=key_arn,
            flow_logs=pulumi.Output.concat(logs.arn, "/", FLOW_PREFIX),
        )
        self.register_outputs({"key_arn": key_arn})

    def _key(self) -> pulumi.Output[str]:
        key = aws.kms.Key(
            "data",
            description=f"{self._args.name}: data in S3",
            enable_key_rotation=True,
            deletion_window_in_days=30,
            policy=self._place.apply(key_policy),
            tags={"Name": f"{self._args.name}-data"},
            opts=self._child,
        )
        aws.kms.Alias(
            "data",
            name=f"alias/{self._args.name}-data",
            target_key_id=key.key_id,
            opts=self._child,
        )
        return key.arn

    def _logs(self) -> BucketOutputs:
        name = bucket_name(self._args.name, "logs", self._place)
        return Bucket(
            "logs",
            BucketArgs(
                bucket=name,
                purpose="logs",
                key_arn=None,  # S3 and load balancers can write with no other key than S3's own
                logs=None,  # a log of the log's own deliveries would never end
                expire_days=self._args.retention.logs_expire_days,
                noncurrent_expire_days=self._args.retention.noncurrent_expire_days,
                statements=pulumi.Output.all(self._place, name).apply(
                    lambda known: log_delivery(known[0], self._args.name, known[1])
                ),
                acls=True,  # CloudFront grants itself the right to write by the bucket's ACL
                force_destroy=True,  # AWS goes on writing while everything else is destroyed
            ),
            self._child,
        ).outputs


def bucket_name(name: str, purpose: str, place: pulumi.Output[Place]) -> pulumi.Output[str]:
    """`<name>-<purpose>-<account>`: bucket names are one space for all accounts."""
    return place.apply(lambda known: f"{name}-{purpose}-{known.account}")


def key_policy(place: Place) -> str:
    """Of a key whose use the account's own policies decide, and with which CloudFront reads.

    Source: "Default key policy", KMS's Developer Guide; "Restrict access to an Amazon S3 origin",
    CloudFront's, with the account's distributions in place of one: that one needs the bucket,
    which needs this key. The bucket's policy names the one.
    """
    return document(
        Statement(("kms:*",), (ANY,), principals={"AWS": place.global_arn("iam", "root")}),
        Statement(
            ("kms:Decrypt",),
            (ANY,),  # of this key
            {"ArnLike": {"aws:SourceArn": place.global_arn("cloudfront", "distribution/*")}},
            {"Service": "cloudfront.amazonaws.com"},
        ),
    )


def log_delivery(place: Place, name: str, bucket: str) -> Sequence[Statement]:
    """Who may write into the bucket of logs: AWS's own deliveries, of this account's resources.

    Sources: "Enable access logs" (Application Load Balancers), "Amazon S3 bucket permissions for
    flow logs" (VPC), "Enabling Amazon S3 server access logging" (S3), each service's own guide.
    """
    arn = f"arn:aws:s3:::{bucket}"
    delivery, account = {"Service": "delivery.logs.amazonaws.com"}, place.account
    sources = {"ArnLike": {"aws:SourceArn": place.arn("logs", ANY)}}
    return (
        Statement(
            ("s3:PutObject",),
            (f"{arn}/{LOAD_BALANCER_PREFIX}/AWSLogs/{account}/*",),
            {"ArnLike": {"aws:SourceArn": place.arn("elasticloadbalancing", "loadbalancer/*")}},
            {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        ),
        Statement(
            ("s3:PutObject",),
            (f"{arn}/{FLOW_PREFIX}/AWSLogs/{account}/*",),
            {
                "StringEquals": {
                    "aws:SourceAccount": account,
                    "s3:x-amz-acl": "bucket-owner-full-control",
                },
                **sources,
            },
            delivery,
        ),
        Statement(
            ("s3:GetBucketAcl", "s3:ListBucket"),
            (arn,),
            {"StringEquals": {"aws:SourceAccount": account}, **sources},
            delivery,
        ),
        Statement(
            ("s3:PutObject",),
            (f"{arn}/{ACCESS_PREFIX}*",),
            {
                "StringEquals": {"aws:SourceAccount": account},
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{name}-*-{account}"},
            },
            {"Service": "logging.s3.amazonaws.com"},
        ),
    )
