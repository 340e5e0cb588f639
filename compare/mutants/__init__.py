"""Wrong predictions that the comparison must refute, beside the right ones that it must confirm."""
