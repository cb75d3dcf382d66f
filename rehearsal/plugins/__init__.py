"""Stand-ins for the plugins that a real machine installs: Pulumi's own gRPC protocol, nothing else.

Each is found by the engine on PATH, by its official name (`rehearsal/plugins/bin/`), and only
inside the rehearsal's shell.
"""

# How a line on a plugin's stderr begins that says what is waited for; the engine makes it an event.
WAITING = "progress: "
