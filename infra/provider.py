"""The AWS provider of an environment: its region, its endpoint, the tags of everything."""

from __future__ import annotations

import pulumi_aws as aws

from settings import Settings

# the AWS services that the program calls; a given endpoint stands for each of them
_SERVICES = ("acm", "cloudfront", "ec2", "elbv2", "iam", "kms", "route53", "s3", "sts")


def aws_provider(settings: Settings, environment: str) -> aws.Provider:
    """The provider of everything in AWS, which tags every resource that can bear tags.

    Credentials come from where AWS's own tools look for them. With `endpoint_url` set nothing
    but that endpoint is called: the provider's look-ups of account and region are off, which
    would go to AWS itself (pulumi-aws#2003).
    """
    tags = {"Project": settings.name, "Environment": environment, "ManagedBy": "pulumi"}
    url = settings.aws.endpoint_url
    elsewhere = url is not None
    return aws.Provider(
        "aws",
        region=settings.aws.region,
        default_tags=aws.ProviderDefaultTagsArgs(tags=tags),
        endpoints=[aws.ProviderEndpointArgs(**dict.fromkeys(_SERVICES, url))]
        if elsewhere
        else None,
        skip_credentials_validation=elsewhere or None,
        skip_metadata_api_check=elsewhere or None,
        skip_requesting_account_id=elsewhere or None,
        s3_use_path_style=elsewhere or None,  # buckets are no host names there
    )
