"""Time and memory of a recurrence beside the other frameworks."""
