"""`python -m accelc` is the command line."""

import sys

try:
    from accelc.cli import main
except KeyboardInterrupt:  # while modules are still being imported
    sys.exit(130)

main()
