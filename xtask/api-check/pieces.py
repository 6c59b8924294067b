"""Pieces of uploads are bytes, which schemathesis can send by another name."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
