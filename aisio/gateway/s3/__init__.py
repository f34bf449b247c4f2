"""The S3 API of the gateway, below /s3."""
