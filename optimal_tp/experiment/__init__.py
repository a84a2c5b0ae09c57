"""The experiment: measure all candidates in turns and blocks until the decision rule has a result."""
