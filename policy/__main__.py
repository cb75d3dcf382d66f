"""The pack: `pulumi preview --policy-pack policy`. Each rule is described in README.md."""

import sys
from pathlib import Path

# Pulumi runs this folder as a program; the rules are imported as the package that the tests import.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import EnforcementLevel, PolicyPack

from policy import compute, edge, iam, names, network, storage

PolicyPack(
    name="groundwork",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        *network.RULES,
        *compute.RULES,
        *storage.RULES,
        *iam.RULES,
        *edge.RULES,
        *names.RULES,
    ],
)
