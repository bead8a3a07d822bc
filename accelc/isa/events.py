"""The events whose counts, times an energy each, make up a run's energy."""

# Columns of a count vector; the names are the keys of a report's `events`.
# PE: words read and written in the PEs' registers and register files, by operand. HOP: words that go from one PE to
# the next. ACT, WGT, ACC: the on-chip buffers; a broadcast is one read.
MAC = 0
PE_ACT_READ = 1
PE_ACT_WRITE = 2
PE_WGT_READ = 3
PE_WGT_WRITE = 4
PE_PSUM_READ = 5
PE_PSUM_WRITE = 6
HOP_ACT = 7
HOP_WGT = 8
HOP_PSUM = 9
ACT_READ_BYTES = 10
ACT_WRITE_BYTES = 11
WGT_READ_BYTES = 12
WGT_WRITE_BYTES = 13
ACC_READ_WORDS = 14
ACC_WRITE_WORDS = 15
VECTOR_OP = 16
INSTRUCTION = 17
DRAM_READ_BYTES = 18
DRAM_WRITE_BYTES = 19
DRAM_ACTIVATE = 20

NAMES = (
    "mac",
    "pe_act_read",
    "pe_act_write",
    "pe_wgt_read",
    "pe_wgt_write",
    "pe_psum_read",
    "pe_psum_write",
    "hop_act",
    "hop_wgt",
    "hop_psum",
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
