"""The experiments: one file of parameters each, and the protocol from which their functions and commands come."""
