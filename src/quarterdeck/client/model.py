"""The form of all answers."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A part of an answer; what a newer server adds to it is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)
