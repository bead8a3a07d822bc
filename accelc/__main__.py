"""`python -m accelc` is the command line."""

from accelc.cli import main

main()
