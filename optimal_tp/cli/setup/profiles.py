"""JSON Schema of a profile: the section ``workloads`` as in a stack file, and a section for this machine."""

from optimal_tp.local.profile import LocalSettings
from optimal_tp.settings.described.schema import Schema, sections_schema
from optimal_tp.settings.models import Workloads


def profile_schema() -> Schema:
    """Return the schema of a profile of ``optimal-tp local``."""
    return sections_schema("Profile of optimal-tp local", {"workloads": Workloads, "local": LocalSettings})
