"""Where the two roads meet: measures, experiments, reports, the command line."""
