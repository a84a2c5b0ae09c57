"""Candidates that tests have in common: each degree with one batch."""

from optimal_tp.facts.candidates import Candidate

TP1, TP2, TP4, TP8 = Candidate(1), Candidate(2), Candidate(4), Candidate(8)
