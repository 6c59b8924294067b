"""Uploads a file in pieces with tuspy, each with its checksum: begins, forgets all but the address, and goes on."""

import json
import os
import sys
import urllib.request

from tusclient.client import TusClient

work = json.loads(sys.argv[1])
headers = {"Authorization": f"Bearer {work['token']}"}
options = {
    "file_path": work["file"],
    "chunk_size": work["piece"],
    "metadata": work["metadata"],
    "upload_checksum": True,
    "retries": 2,
}

first = TusClient(work["endpoint"], headers=headers).uploader(**options)
first.upload_chunk()

second = TusClient(work["endpoint"], headers=headers).uploader(url=first.url, **options)
resumed_at = second.offset
second.upload()

asked = urllib.request.Request(first.url, method="HEAD", headers={**headers, "Tus-Resumable": "1.0.0"})
with urllib.request.urlopen(asked) as answer:
    offset = int(answer.headers["Upload-Offset"])
print(json.dumps({"resumed_at": resumed_at, "length": os.path.getsize(work["file"]), "reused_after_end": offset}))
