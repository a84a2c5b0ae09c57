"""The rule that turns a run into a verdict. No I/O."""
