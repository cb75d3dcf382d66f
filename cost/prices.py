"""The table of prices, typed and checked."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from cost.errors import CostError

TABLE = Path(__file__).parent / "prices.yaml"
Price = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(_Model):
    """Prices of one region; the maps are by instance type, volume type, load balancer type."""

    instance_hour: Mapping[str, Price]
    volume_gib_month: Mapping[str, Price]
    nat_gateway_hour: Price
    public_ipv4_hour: Price
    load_balancer_hour: Mapping[str, Price]
    kms_key_month: Price


class Prices(_Model):
    """date: when the prices were written down; sources: price -> the page that has it now."""

    currency: str
    date: datetime.date
    hours_per_month: int = Field(gt=0)
    sources: Mapping[str, Annotated[str, StringConstraints(pattern=r"^https://\S+$")]]
    hosted_zone_month: Price
    regions: Mapping[str, Region]


def read_prices(file: Path = TABLE) -> Prices:
    """The table. Raises CostError for a file that is missing, broken, or of another form."""
    try:
        prices = Prices.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CostError(f"{file.name}: {_reason(error)}; mend it") from None
    named = {*Region.model_fields, "hosted_zone_month"}
    if missing := named - prices.sources.keys():
        raise CostError(f"{file.name}: sources: {', '.join(sorted(missing))}: is missing; name it")
    return prices


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return " ".join(str(error).split())
