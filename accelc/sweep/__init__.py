"""Many chips and models, one result after another: time and energy of each point of a design space.

`spec.read_spec` reads what to run, `work.evaluate` runs one point, `run.sweep` spreads them and keeps the results.
"""
