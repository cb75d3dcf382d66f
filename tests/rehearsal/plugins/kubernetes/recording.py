"""Tools that write down their command line and environment before they start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.rehearsal.plugins.kubernetes.api_server import tool


def recording_tools(folder: Path) -> tuple[Mapping[str, str], Path]:
    """(environment for a plugin that then uses those tools, the file they write to)."""
    log, tools = folder / "log", folder / "tools" / "bin"
    tools.mkdir(parents=True)
    for name in ("kubectl", "helm"):
        wrapper = tools / name
        wrapper.write_text(
            "#!/bin/sh\n"
            f"tr '\\0' '\\n' </proc/$$/cmdline >>{log}\n"
            f"tr '\\0' '\\n' </proc/$$/environ >>{log}\n"
            f'exec {tool(name)} "$@"\n'
        )
        wrapper.chmod(0o755)
    return {"GROUNDWORK_CACHE": str(folder)}, log
