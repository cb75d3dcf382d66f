"""S3 buckets with all their guards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.order import after
from infra.policies import Statement, document

_ABORT_UPLOADS_AFTER_DAYS = 7  # parts of uploads that nobody will finish cost, and are not seen
ACCESS_PREFIX = "s3/"


@dataclass(frozen=True)
class BucketArgs:
    """bucket: its name in AWS; purpose: of its tag Purpose.

    key_arn: the KMS key of its objects; None: S3's own keys.
    logs: id of the bucket that gets its access log; None: keeps none.
    expire_days: age at which objects go; None: never. noncurrent_expire_days: older versions.
    statements: of its policy; None: who reads the bucket writes it, by `seal`.
    acls: others may own objects by access control lists until the bucket takes them over.
    force_destroy: destroyed with all that is in it; otherwise AWS refuses while something is.
    """

    bucket: pulumi.Input[str]
    purpose: str
    key_arn: pulumi.Input[str] | None
    logs: pulumi.Input[str] | None
    expire_days: int | None
    noncurrent_expire_days: int
    statements: pulumi.Input[Sequence[Statement]] | None
    acls: bool = False
    force_destroy: bool = False


@dataclass(frozen=True)
class BucketOutputs:
    """Known only once the guards stand: nothing is put into a bucket before.

    domain_name: as CloudFront's logs want it; regional_domain_name: as origins are named.
    """

    id: pulumi.Output[str]
    arn: pulumi.Output[str]
    domain_name: pulumi.Output[str]
    regional_domain_name: pulumi.Output[str]


class Bucket(pulumi.ComponentResource):
    """A bucket: private, versioned, encrypted, its owner's, with a lifecycle, TLS only."""

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("groundwork:infra:Bucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.bucket,
            force_destroy=args.force_destroy,
            tags={"Purpose": args.purpose},
            opts=child,
        )
        guards = [
            aws.s3.BucketPublicAccessBlock(
                name,
                bucket=bucket.id,
                block_public_acls=True,
                block_public_policy=True,
                ignore_public_acls=True,
                restrict_public_buckets=True,
                opts=child,
            ).id,
            aws.s3.BucketOwnershipControls(
                name,
                bucket=bucket.id,
                rule=aws.s3.BucketOwnershipControlsRuleArgs(
                    object_ownership="BucketOwnerPreferred" if args.acls else "BucketOwnerEnforced"
                ),
                opts=child,
            ).id,
            aws.s3.BucketVersioning(
                name,
                bucket=bucket.id,
                versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(
                    status="Enabled"
                ),
                opts=child,
            ).id,
            _encryption(name, bucket, args.key_arn, child).id,
        ]
        _lifecycle(name, bucket, args, child)
        if args.logs is not None:
            aws.s3.BucketLogging(
                name,
                bucket=bucket.id,
                target_bucket=args.logs,
                target_prefix=f"{ACCESS_PREFIX}{name}/",
                opts=child,
            )
        if args.statements is not None:
            guards.append(seal(name, bucket.id, bucket.arn, args.statements, child).id)
        self.outputs = BucketOutputs(
            id=after(bucket.id, *guards),
            arn=after(bucket.arn, *guards),
            domain_name=after(bucket.bucket_domain_name, *guards),
            regional_domain_name=after(bucket.bucket_regional_domain_name, *guards),
        )
        self.register_outputs({"bucket": bucket.bucket})


def seal(
    name: str,
    bucket_id: pulumi.Output[str],
    bucket_arn: pulumi.Output[str],
    statements: pulumi.Input[Sequence[Statement]],
    opts: pulumi.ResourceOptions,
) -> aws.s3.BucketPolicy:
    """The policy of a bucket: the statements, and nothing for anybody without TLS. A bucket has
    one policy; a second would replace the first."""
    policy = pulumi.Output.all(bucket_arn, statements).apply(
        lambda known: document(tls_only(str(known[0])), *known[1])
    )
    return aws.s3.BucketPolicy(name, bucket=bucket_id, policy=policy, opts=opts)


def tls_only(bucket_arn: str) -> Statement:
    """Denies whatever comes without TLS. Source: "Security best practices for Amazon S3"."""
    return Statement(
        actions=("s3:*",),
        resources=(bucket_arn, f"{bucket_arn}/*"),
        conditions={"Bool": {"aws:SecureTransport": "false"}},
        principals={"AWS": "*"},
        allow=False,
    )


def _encryption(
    name: str,
    bucket: aws.s3.Bucket,
    key_arn: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
) -> aws.s3.BucketServerSideEncryptionConfiguration:
    return aws.s3.BucketServerSideEncryptionConfiguration(
        name,
        bucket=bucket.id,
        rules=[
            aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                apply_server_side_encryption_by_default=aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                    sse_algorithm="AES256" if key_arn is None else "aws:kms",
                    kms_master_key_id=key_arn,
                ),
                # one call to KMS for many objects
                bucket_key_enabled=None if key_arn is None else True,
            )
        ],
        opts=opts,
    )


def _lifecycle(
    name: str, bucket: aws.s3.Bucket, args: BucketArgs, opts: pulumi.ResourceOptions
) -> None:
    rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="expire",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),  # every object
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=args.expire_days)
        if args.expire_days is not None
        # S3 removes these markers by itself only where objects expire
        else aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(
            expired_object_delete_marker=True
        ),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=args.noncurrent_expire_days
        ),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=_ABORT_UPLOADS_AFTER_DAYS
        ),
    )
    aws.s3.BucketLifecycleConfiguration(name, bucket=bucket.id, rules=[rule], opts=opts)
