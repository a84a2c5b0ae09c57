"""A candidate of the comparison: a tensor-parallel degree, with the batch of its servers if there are several."""

import dataclasses
import re

_NAME = re.compile(r"(?:tp)?(\d+)(?:-?b(\d+))?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Candidate:
    """One configuration that a run may choose. Candidates are ordered by degree, then by batch."""

    degree: int
    """Logical cores of one server."""
    max_num_seqs: int | None = None
    """The batch, if the run measures the degree with several; None if it has only one."""

    @property
    def name(self) -> str:
        """Name for people and metrics: "TP1", "TP1-B4"."""
        return f"TP{self.degree}" if self.max_num_seqs is None else f"TP{self.degree}-B{self.max_num_seqs}"

    @property
    def slug(self) -> str:
        """Name for Kubernetes, folders and addresses: "tp1", "tp1-b4"."""
        return self.name.lower()


@dataclasses.dataclass(frozen=True, kw_only=True)
class CandidateRow:
    """A row of a document about one candidate, which it gives by degree and batch."""

    degree: int
    max_num_seqs: int | None

    @property
    def candidate(self) -> Candidate:
        """Whom the row is about."""
        return Candidate(self.degree, self.max_num_seqs)

    @property
    def name(self) -> str:
        """The candidate's, for people."""
        return self.candidate.name


def candidate(text: str) -> Candidate:
    """Return the candidate in ``text``: "1", "tp1", "TP1-B4". Raises ValueError with the rule for another form."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a candidate: it must be a degree (2), or a degree and its batch (tp2-b16)")
    return Candidate(int(match[1]), None if match[2] is None else int(match[2]))
