"""Stand-in for Pulumi's `command` provider: remote commands by a real SSH client."""
