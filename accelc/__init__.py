"""accelc: compile ONNX models to an NPU instruction stream and simulate it bit by bit and cycle by cycle."""
