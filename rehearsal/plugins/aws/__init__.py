"""Stand-in for Pulumi's `aws` provider: resource types as tables over botocore."""
