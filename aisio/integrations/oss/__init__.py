"""The names of Alibaba's OSS connector for PyTorch. They are imported on first use."""
