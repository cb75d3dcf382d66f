"""The roles' documents, as the bootstrap would make them for one environment."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.names import Names
from bootstrap.permissions import data, edges, identity, look, network, state
from bootstrap.permissions.scope import Scope
from bootstrap.settings import Environment
from infra.policies import document

ACCOUNT, REGION = "123456789012", "ap-northeast-2"
NAMES = Names("groundwork", ACCOUNT, REGION)
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
PROD = Environment(
    name="prod",
    prefix="prod",
    region=REGION,
    domains=("prod.internal", "example.com"),
    stacks=("prod",),
    image_owner="136693071363",
)


@dataclass(frozen=True)
class Documents:
    """managed: by the names that the program gives them; state: the role's own."""

    environment: Environment

    @property
    def _scope(self) -> Scope:
        return Scope(self.environment, ACCOUNT)

    @property
    def managed(self) -> dict[str, str]:
        scope = self._scope
        return {
            "look": document(*look.look(scope)),
            "network": document(*network.network(scope)),
            "edges": document(*edges.edges(scope)),
            "data": document(*data.data(scope)),
            "identity": document(*identity.identity(scope, NAMES)),
        }

    @property
    def deploy(self) -> list[str]:
        written = state.writable(NAMES, self.environment.stacks, KEY)
        return [*self.managed.values(), document(*written)]

    @property
    def preview(self) -> list[str]:
        return [self.managed["look"], document(*state.readable(NAMES, KEY))]

    @property
    def boundary(self) -> str:
        return identity.boundary(self._scope)
