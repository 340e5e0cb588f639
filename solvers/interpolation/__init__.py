"""Regression without noise: the least R(β) that interpolates real targets, certified."""
