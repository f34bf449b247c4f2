"""Alibaba Cloud OSS, reached without a cluster: the vendor's signatures, aisio's own transport.

Requests are signed by the vendor's maintained SDK, `alibabacloud-oss-v2`, and sent by the
connections that aisio uses for clusters as well. So a read is continued where its response breaks,
reads and uploads go in parallel parts, and timeouts, retries and counters are those of all stores.
obstore signs for S3 only, and OSS takes such signatures at some endpoints only.
"""
