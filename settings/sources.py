"""What comes from the internet, in one file: each value with its version, date and source."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from settings.errors import Problem, SettingsError
from settings.merge import Key, Layer, dotted, read
from settings.models import Cluster, Model
from settings.reasons import problems

SOURCES = Path(__file__).parent / "sources.yaml"
_CHART, _CHART_IMAGE = "gitops.argocd.version", "argocd"
_TEXT = StringConstraints(strict=True, min_length=1, pattern=r"^\S+$")
_SETTING = re.compile(r"^[a-z_]+(\.[a-z_]+)+$")
_MINOR = re.compile(r"/v(1\.\d+)(/|$)")


def _day(value: object) -> object:
    """YAML makes dates of what looks like one, and pydantic would make them of numbers too."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    raise ValueError(f"must be a day as YYYY-MM-DD (is {value!r})")


class Source(Model):
    """One value. version, carries: None where there is none; the other fields as in the file."""

    value: Annotated[str, _TEXT]
    version: Annotated[str, _TEXT] | None
    carries: Annotated[str, _TEXT] | None = None
    date: Annotated[datetime.date, BeforeValidator(_day)]
    source: Annotated[str, StringConstraints(pattern=r"^https://[\w.-]+/\S*$")]


class Image(Source):
    """A container image, `value` with its tag. setting: the key that replaces it."""

    setting: Annotated[str, StringConstraints(pattern=_SETTING.pattern)] | None = Field(
        default=None
    )


Entry = TypeVar("Entry", bound=Source)


@dataclass(frozen=True)
class Sources:
    """settings: by settings key, images: by a name of theirs. layer: the values of `settings`,
    to be merged; the origin of each is its line here."""

    settings: Mapping[str, Source]
    images: Mapping[str, Image]
    layer: Layer


@dataclass(frozen=True)
class InUse:
    """A source, and what an environment has in its place.

    key: of the settings, or `images.<name>`; override, by: the environment's own value and its
    file:line, both None where it uses the source.
    """

    key: str
    source: Source
    override: str | None
    by: str | None


def read_sources(file: Path = SOURCES) -> Sources:
    """The file's content. Raises SettingsError with every refusal: file and line, key, reason."""
    layer = read(file)
    refused = [
        Problem(layer.origin((name,)), str(name), "unknown key; known: settings, images")
        for name in layer.data
        if name not in ("settings", "images")
    ]
    settings, wrong_settings = _section(layer, "settings", Source)
    images, wrong_images = _section(layer, "images", Image)
    refused += [*wrong_settings, *wrong_images]
    found = Sources(settings, images, Layer(data={}))
    refused += [Problem(layer.origin(key), dotted(key), reason) for key, reason in _forms(found)]
    if refused:
        raise SettingsError(refused)
    _fill(found, layer)
    return found


def _section(
    layer: Layer, section: str, model: type[Entry]
) -> tuple[dict[str, Entry], list[Problem]]:
    data = layer.data.get(section)
    if not isinstance(data, dict):
        reason = "is missing" if section not in layer.data else "must be a map"
        return {}, [Problem(layer.origin((section,)), section, reason)]
    found: dict[str, Entry] = {}
    refused: list[Problem] = []
    for name, entry in data.items():
        try:
            found[str(name)] = model.model_validate(entry)
        except ValidationError as error:
            refused += problems(layer, (section, str(name)), error, model)
    return found, refused


def _forms(sources: Sources) -> Iterator[tuple[Key, str]]:
    """How the fields of an entry, and entries, fit together."""
    for name, entry in sources.settings.items():
        if not _SETTING.match(name):
            yield ("settings", name), "is no settings key; write one as section.key"
        for other in sources.settings:
            if other.startswith(f"{name}."):
                yield ("settings", name), f"is a section, which holds {other}"
        version = entry.version
        if version and version not in entry.value and entry.value not in version:
            reason = f"{version} is not in the value, {entry.value}; one of them is old"
            yield ("settings", name, "version"), reason
    for name, image in sources.images.items():
        tag = image.value.rpartition("/")[2].partition(":")[2]
        if tag != (image.version or ""):
            told = f"is tagged {tag or 'nothing'}, and version says {image.version or 'null'}"
            yield ("images", name, "value"), told
    chart, own = sources.settings.get(_CHART), sources.images.get(_CHART_IMAGE)
    if chart and own and chart.carries != own.version:
        carried = chart.carries or "nothing"
        reason = f"{carried}, and images.{_CHART_IMAGE} is {own.version}; one of them is old"
        yield ("settings", _CHART, "carries"), reason


def _fill(sources: Sources, layer: Layer) -> None:
    """The values by the settings' own keys, so that they merge as any other layer."""
    values = sources.layer
    values.origins[()] = layer.origins[()]
    for name, entry in sources.settings.items():
        *above, last = name.split(".")
        at: dict[str, Any] = values.data
        for part in above:
            at = at.setdefault(part, {})
        at[last] = entry.value
        values.origins[tuple(name.split("."))] = layer.origin(("settings", name))


def in_use(sources: Sources, merged: Layer) -> list[InUse]:
    """Each source with what stands in its place in the merged settings of an environment."""
    found = [_in_use(name, name, entry, merged) for name, entry in sources.settings.items()]
    for name, image in sources.images.items():
        key = f"images.{name}"
        if image.setting is None:
            found.append(InUse(key, image, None, None))
        else:
            found.append(_in_use(key, image.setting, image, merged))
    return found


def _in_use(key: str, setting: str, entry: Source, merged: Layer) -> InUse:
    path: Key = tuple(setting.split("."))
    value: Any = merged.data
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None or value == entry.value:
        return InUse(key, entry, None, None)
    return InUse(key, entry, str(value), merged.origin(path))


def unfit(cluster: Cluster) -> Iterator[tuple[Key, str]]:
    """Package sources of another Kubernetes than the one that is asked for.

    Upstream's repositories hold one minor version each, and say so in their path; of a mirror that
    says nothing, nothing can be said.
    """
    wanted = cluster.kubernetes_version.rpartition(".")[0]
    for key, url in (("url", cluster.packages.url), ("key_url", cluster.packages.key_url)):
        found = _MINOR.search(url)
        if found and found[1] != wanted:
            reason = f"is for {found[1]}, and cluster.kubernetes_version is {wanted}"
            yield ("cluster", "packages", key), f"{reason}; change one of them"
