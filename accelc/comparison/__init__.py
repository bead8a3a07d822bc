"""Models on chips under dataflows, side by side: figures, winners with their reasons, and a report to open.

`collect.compare` makes a `model.Comparison`; this file imports neither, so that the command line starts at once.
"""
