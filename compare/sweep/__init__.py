"""Grids of solves and flows, on all cores or a cluster, resumable."""
