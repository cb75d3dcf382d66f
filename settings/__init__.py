"""Settings: defaults and stack files, merged by one rule, typed, refused early and all at once."""

from settings.errors import Problem, SettingsError
from settings.load import load
from settings.models import Node, Role, Settings

__all__ = ["Node", "Problem", "Role", "Settings", "SettingsError", "load"]
