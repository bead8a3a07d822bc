"""Fast kernels, one for each instruction; each equals its plain definition in accelc.isa bit for bit."""
