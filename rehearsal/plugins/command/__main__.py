"""The executable `pulumi-resource-command`."""

from __future__ import annotations

import sys

from rehearsal.plugins.command.provider import RemoteCommand
from rehearsal.plugins.protocol import serve

serve(RemoteCommand(engine=sys.argv[1] if len(sys.argv) > 1 else ""))
