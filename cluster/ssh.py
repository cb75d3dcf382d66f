"""How commands reach hosts: the connection, and a Command with safe defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import remote


@dataclass(frozen=True)
class Host:
    """A machine to make a node of.

    Addresses are known once the machine can be reached at them; public_ip is None if private.
    """

    instance_id: pulumi.Output[str]
    private_ip: pulumi.Output[str]
    public_ip: pulumi.Output[str] | None


# An EC2 host needs up to a minute until sshd answers; the provider's own default gives up
# after about 11 s.
_DIAL_ATTEMPTS, _DIAL_TIMEOUT_S = 60, 10


@dataclass(frozen=True)
class Access:
    """How to log in. bastion: public address of the host through which private ones are reached;
    None: they are reached as they are."""

    user: str
    private_key: pulumi.Output[str]
    bastion: pulumi.Output[str] | None

    def to(self, host: Host) -> remote.ConnectionArgs:
        """Straight to a public host, to a private one by way of the bastion; without a bastion
        straight to each, inside the VPC."""
        if self.bastion is None:
            return remote.ConnectionArgs(**self._dial(host.private_ip))
        if host.public_ip is not None:
            return remote.ConnectionArgs(**self._dial(host.public_ip))
        proxy = remote.ProxyConnectionArgs(**self._dial(self.bastion))
        return remote.ConnectionArgs(**self._dial(host.private_ip), proxy=proxy)

    def _dial(self, address: pulumi.Output[str]) -> dict[str, Any]:
        """Both hops have limits of their own."""
        return {
            "host": address,
            "user": self.user,
            "private_key": self.private_key,
            "dial_error_limit": _DIAL_ATTEMPTS,
            "per_dial_timeout": _DIAL_TIMEOUT_S,
        }


def command(
    name: str,
    connection: remote.ConnectionArgs,
    run: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
    *,
    delete: pulumi.Input[str] | None = None,
    stdin: pulumi.Input[str] | None = None,
    triggers: Sequence[pulumi.Input[str]] = (),
    secret_output: bool = False,
) -> remote.Command:
    """A command that may run any number of times, with the provider's traps disarmed:

    `update` is explicit, output is never streamed into the log (it may hold secrets, which
    `additional_secret_outputs` does not cover) and is not handed to the next run's environment
    (which sshd would refuse).
    """
    secret = pulumi.ResourceOptions(additional_secret_outputs=["stdout"] if secret_output else None)
    return remote.Command(
        name,
        connection=connection,
        create=run,
        update=run,
        delete=delete,
        stdin=stdin,
        triggers=list(triggers) or None,
        logging=remote.Logging.NONE,
        add_previous_output_in_env=False,
        opts=pulumi.ResourceOptions.merge(opts, secret),
    )
