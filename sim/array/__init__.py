"""Literal models of the MAC array: every register of every PE moves in every cycle, values included."""
