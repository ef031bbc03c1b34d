"""Quotas: how much of everything an account may use. AWS's defaults, with the page that each comes from.

`aws` is what a new account has in a large region; `aws/N` divides every rate and every count by N, so that a laptop
meets at its own load what AWS would at N times that load; `off` has no limits; a YAML file changes
single ones. Sizes and times are never scaled: a photo stays as large and a handler as slow.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

AWS = "aws"
OFF = "off"
_SCALED = re.compile(r"aws(?:/([1-9]\d{0,5}))?")


class QuotasError(ValueError):
    """The quotas cannot be used; the message says what is wrong, and what is expected."""


class _RateMark:
    """Marks a rate: divided as it is."""


class _CountMark:
    """Marks a count: divided, rounded up, at least 1."""


class _PerUnitMark:
    """Marks what is for each of a count: not divided, since the count is; but no limit where there are none."""


Rate = Annotated[float, Field(gt=0), _RateMark()]
PerUnit = Annotated[float, Field(gt=0), _PerUnitMark()]
Count = Annotated[float, Field(ge=0), _CountMark()]


class _Family(BaseModel):
    # Files and `--json` call two quotas by their first names, which are the aliases.
    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    def divided(self, by: float) -> Self:
        """Return the same with every rate and count divided; divided by infinity, without limits."""
        return self.model_copy(
            update={
                name: _divide(getattr(self, name), by, mark)
                for name, field in type(self).model_fields.items()
                for mark in field.metadata
                if isinstance(mark, _RateMark | _CountMark | _PerUnitMark)
            }
        )


class LambdaQuotas(_Family):
    """AWS Lambda, "Lambda quotas" and "Lambda scaling behavior"."""

    concurrency: Count = 1000
    """Invocations at once, of the account in a region."""
    unreserved_min: Count = Field(default=100, alias="unreserved_least")
    """Of them, so many cannot be reserved ("Configuring reserved concurrency")."""
    scaling_environments: Count = 1000
    """New execution environments of one function, in every `scaling_seconds`."""
    scaling_seconds: float = Field(default=10.0, gt=0)
    requests_per_environment: PerUnit = 10.0
    """Requests a second for each unit of concurrency."""
    async_queue: Count = 100_000
    """Events that may wait; AWS names no number, only that it is a queue of its own."""


class MappingQuotas(_Family):
    """AWS Lambda, "Configuring scaling behavior for SQS event source mappings"; SQS, "Amazon SQS message quotas"."""

    pollers: Count = 5
    """Batches at once when polling starts."""
    pollers_idle: Count = 2
    """And when the queue has been empty for long."""
    concurrency_per_minute: Rate = 300
    """How fast that grows."""
    concurrency_max: Count = Field(default=1250, alias="concurrency_most")
    """Batches at once, at most."""
    in_flight: Count = 120_000
    """Messages of a queue that are received and not yet deleted."""


class GatewayQuotas(_Family):
    """Amazon API Gateway, "Amazon API Gateway quotas": throttle quota per account and region."""

    rate: Rate = 10_000
    """Requests a second."""
    burst: Count = 5_000


class DynamoDBQuotas(_Family):
    """Amazon DynamoDB, "Quotas" and "Best practices for designing and using partition keys effectively".

    In write and read capacity units a second, of on-demand tables.
    """

    partition_writes: Rate = 1000
    partition_reads: Rate = 3000
    table_writes: Rate = 40_000
    table_reads: Rate = 40_000
    new_table_writes: Rate = 4_000
    """A new on-demand table's; it grows to twice the highest load that it had ("On-demand capacity mode")."""
    new_table_reads: Rate = 12_000


class S3Quotas(_Family):
    """Amazon S3, "Best practices design patterns: optimizing Amazon S3 performance": requests a second and prefix."""

    prefix_writes: Rate = 3_500
    """PUT, COPY, POST, DELETE."""
    prefix_reads: Rate = 5_500
    """GET, HEAD."""


class Quotas(BaseModel):
    """All quotas; `name` is how they were asked for, `scale` what N of `aws/N` was (1 for `aws`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    name: str = AWS
    scale: float = 1.0
    functions: LambdaQuotas = LambdaQuotas()
    mappings: MappingQuotas = MappingQuotas()
    gateway: GatewayQuotas = GatewayQuotas()
    dynamodb: DynamoDBQuotas = DynamoDBQuotas()
    s3: S3Quotas = S3Quotas()

    @property
    def off(self) -> bool:
        """Whether nothing is limited."""
        return self.scale == math.inf

    def count(self, described: float) -> float:
        """Return a count of stack.yaml, such as a reserved concurrency, at this scale: 0, or at least 1."""
        return described if self.off else _divide(described, self.scale, _CountMark())

    def rate(self, described: float) -> float:
        """Return a rate of stack.yaml, such as a route's, at this scale."""
        return described if self.off else described / self.scale


AWS_QUOTAS = Quotas()
_FAMILIES = ("functions", "mappings", "gateway", "dynamodb", "s3")


def load_quotas(text: str = AWS) -> Quotas:
    """Load the quotas that `--quotas` names: `aws`, `aws/N`, `off`, or a YAML file.

    A file has `base` (one of the other three) and changes to it, by the names that `shoebox quotas --json` shows.

    Raises:
        QuotasError: it is none of them, or the file cannot be used.
    """
    if text == OFF:
        return _scaled(text, math.inf)
    if found := _SCALED.fullmatch(text):
        return _scaled(text, float(found[1] or 1))
    path = Path(text)
    if not path.is_file():
        raise QuotasError(f"{text!r} names no quotas: write aws, aws/N, off, or the path of a YAML file")
    return _of_file(path)


def _scaled(name: str, scale: float) -> Quotas:
    plain = Quotas()
    return Quotas(name=name, scale=scale, **{family: getattr(plain, family).divided(scale) for family in _FAMILIES})


def _of_file(path: Path) -> Quotas:
    import yaml  # here, because most quotas need none

    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise QuotasError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise QuotasError(f"{path} is no mapping of names to quotas")
    base = content.pop("base", AWS)
    if not isinstance(base, str) or not (base == OFF or _SCALED.fullmatch(base)):
        raise QuotasError(f"{path}: base is {base!r}; write aws, aws/N or off")
    quotas = load_quotas(base)
    merged = {"name": str(path), "scale": quotas.scale}
    for family in _FAMILIES:
        changes = content.pop(family, None) or {}
        if not isinstance(changes, dict):
            raise QuotasError(f"{path}: {family} is no mapping of names to numbers")
        merged[family] = getattr(quotas, family).model_dump() | changes
    try:
        return Quotas.model_validate({**merged, **content})
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise QuotasError(f"{path} has quotas that cannot be used:\n" + "\n".join(lines)) from error


def _divide(value: float, by: float, mark: _RateMark | _CountMark | _PerUnitMark) -> float:
    if by == math.inf:
        return math.inf
    match mark:
        case _PerUnitMark():
            return value
        case _CountMark():
            return float(max(math.ceil(value / by), 1 if value else 0))
    return value / by
