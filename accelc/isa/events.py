"""The events whose counts, times an energy each, make up a run's energy."""

# Columns of a count vector; the names are the keys of an energy table.
MAC = 0
PE_REGISTER_BITS = 1
ACT_READ_BYTES = 2
ACT_WRITE_BYTES = 3
WGT_READ_BYTES = 4
WGT_WRITE_BYTES = 5
ACC_READ_WORDS = 6
ACC_WRITE_WORDS = 7
VECTOR_OP = 8
INSTRUCTION = 9
DRAM_READ_BYTES = 10
DRAM_WRITE_BYTES = 11
DRAM_ACTIVATE = 12

NAMES = (
    "mac",
    "pe_register_bits",
    "act_read_bytes",
    "act_write_bytes",
    "wgt_read_bytes",
    "wgt_write_bytes",
    "acc_read_words",
    "acc_write_words",
    "vector_op",
    "instruction",
    "dram_read_bytes",
    "dram_write_bytes",
    "dram_activate",
)
