"""A checkpoint's signed text, and the forms in which it is stored and published."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sat_hook.domain.errors import UnreadableCheckpointError

FORMAT = "sat-checkpoint-1"
NOTHING_BEFORE = "0" * 64
"""Stands for the digest of the checkpoint before the first."""


class CheckpointText(BaseModel):
    """The signed text. Positions are inclusive; ``previous`` is the digest of the checkpoint before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(default=FORMAT, pattern=f"^{FORMAT}$")
    number: int = Field(gt=0)
    first_position: int = Field(gt=0)
    last_position: int = Field(gt=0)
    events: int = Field(gt=0)
    root: str
    previous: str
    recorded_from: AwareDatetime
    recorded_to: AwareDatetime
    made_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A stored checkpoint: the exact text, its SHA-256, and the signing key."""

    document: str
    digest: str
    key_id: str
    signature: str

    @property
    def text(self) -> CheckpointText:
        """The parsed text.

        :raises UnreadableCheckpointError: it is not a checkpoint of this release.
        """
        try:
            return CheckpointText.model_validate_json(self.document)
        except ValidationError as error:
            raise UnreadableCheckpointError(f"{error.error_count()} wrong members") from None

    def to_bytes(self) -> bytes:
        """The published form: one line of JSON."""
        return (json.dumps(asdict(self), separators=(",", ":")) + "\n").encode("utf-8")

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """Parse the published form; raises UnreadableCheckpointError."""
        try:
            members = json.loads(content)
            return cls(*(str(members[field.name]) for field in fields(cls)))
        except (ValueError, KeyError, TypeError):
            raise UnreadableCheckpointError("the published copy is no JSON of a checkpoint") from None
