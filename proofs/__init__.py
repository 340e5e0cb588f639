"""The claims behind the formulas, checked symbolically or by ball arithmetic."""
