"""The model zoo: builders that write ONNX graphs of published architectures."""
