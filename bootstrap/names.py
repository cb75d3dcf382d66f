"""What everything of the bootstrap is called in AWS."""

from __future__ import annotations

from dataclasses import dataclass

# Of the roles and policies here, apart from what environments make: no environment's own role may
# touch what is below it, whatever the environment is called.
PATH = "/bootstrap/"
ACCOUNT = "account"  # the tag Environment of what is here, which is of none
ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True)
class Names:
    """prefix: of all names, and the tag Project; account: its 12 digits; region: of the state."""

    prefix: str
    account: str
    region: str

    @property
    def state_bucket(self) -> str:
        return f"{self.prefix}-state-{self.account}"

    @property
    def logs_bucket(self) -> str:
        """Of the access log of the state's bucket."""
        return f"{self.prefix}-state-logs-{self.account}"

    @property
    def key_alias(self) -> str:
        return f"alias/{self.prefix}-secrets"

    @property
    def preview_role(self) -> str:
        return f"{self.prefix}-preview"

    def deploy_role(self, environment: str) -> str:
        return f"{self.prefix}-deploy-{environment}"

    def policy(self, what: str, environment: str) -> str:
        """The name of a managed policy, such as `groundwork-look-prod`."""
        return f"{self.prefix}-{what}-{environment}"

    def policy_arn(self, what: str, environment: str) -> str:
        return f"arn:aws:iam::{self.account}:policy{PATH}{self.policy(what, environment)}"

    def role_arn(self, role: str) -> str:
        return f"arn:aws:iam::{self.account}:role{PATH}{role}"

    @property
    def issuer_arn(self) -> str:
        """Of GitHub's issuer of tokens, which an account knows once."""
        return f"arn:aws:iam::{self.account}:oidc-provider/{ISSUER}"

    @property
    def tags(self) -> dict[str, str]:
        """Of everything here that can bear tags; by them it is known again."""
        return {"Project": self.prefix, "Environment": ACCOUNT, "ManagedBy": "pulumi"}
