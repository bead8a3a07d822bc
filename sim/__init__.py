"""The machine: executes programs bit-accurately and times them cycle by cycle."""
