"""Gradient descent step by step: step sizes, schedules, and the trajectory."""
