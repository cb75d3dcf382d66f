"""Settings: defaults and stack files, merged by one rule, typed, refused early and all at once."""

from settings.environments import Environment, Stack, environment, environments
from settings.errors import Problem, SettingsError
from settings.load import load
from settings.models import Node, Role, Settings

__all__ = [
    "Environment",
    "Node",
    "Problem",
    "Role",
    "Settings",
    "SettingsError",
    "Stack",
    "environment",
    "environments",
    "load",
]
