"""Facts with their sources: hardware, pinned versions, fixed names, model shapes. Standard library only."""
