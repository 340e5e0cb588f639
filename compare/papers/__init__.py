"""What the five papers state, line by line in their order, and what each line is held to."""
