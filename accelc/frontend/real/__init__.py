"""Operators as work of the vector unit on 32-bit numbers, for what no integer layer expresses."""
