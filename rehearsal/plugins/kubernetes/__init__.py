"""Stand-in for Pulumi's `kubernetes` provider: objects through kubectl, releases through helm."""
