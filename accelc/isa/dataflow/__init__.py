"""The dataflows of the MAC array: closed forms of a tile's cycles and access counts, one file each.

The literal models that they equal are in accelc.sim.array, in files of the same names.
"""

WEIGHT_STATIONARY = 0
OUTPUT_STATIONARY = 1
INPUT_STATIONARY = 2
NO_LOCAL_REUSE = 3
ROW_STATIONARY = 4
NEIGHBOR = 5

CODES = {
    ("systolic", "ws"): WEIGHT_STATIONARY,
    ("systolic", "os"): OUTPUT_STATIONARY,
    ("systolic", "is"): INPUT_STATIONARY,
    ("adder_tree", "nlr"): NO_LOCAL_REUSE,
    ("row_stationary", "rs"): ROW_STATIONARY,
    ("neighbor", "os"): NEIGHBOR,
}
"""The instruction's code of a chip's organization and dataflow."""

FORMS = (
    "weight_stationary",
    "output_stationary",
    "input_stationary",
    "no_local_reuse",
    "row_stationary",
    "neighbor",
)
"""The module that holds each code's closed forms."""

NAMES = ("weight-stationary", "output-stationary", "input-stationary", "no local reuse", "row-stationary", "neighbor")
"""Names by code; `neighbor` is the output-stationary array whose PEs pass activations to their neighbors."""
