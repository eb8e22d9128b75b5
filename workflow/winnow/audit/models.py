"""What records and published.json hold, and of which type: a file that is damaged or empty is none of these."""

from typing import Annotated

from pydantic import BaseModel, Field


class _Hashed(BaseModel):
    sha256: str


class Record(BaseModel):
    """Of a job: it names the code that made its results."""

    step: str
    command: list[str]
    parameters: dict
    streams: list[str]
    inputs: dict[str, _Hashed]
    outputs: dict[str, _Hashed]
    code: Annotated[dict[str, str], Field(min_length=1)]
    requirements: str
    device: str


class _Processor(BaseModel):
    name: str


class Run(BaseModel):
    """Of one time that it ran: it names the packages."""

    start: str
    end: str
    cpu: _Processor
    versions: Annotated[dict[str, str], Field(min_length=1)]
    commit: str | None
    record: str


class Published(BaseModel):
    """What is read of published.json."""

    plan: str
    files: dict[str, str]
    large_tables: dict[str, str]
    devices: list[str]
