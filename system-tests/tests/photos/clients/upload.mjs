// Uploads a file in pieces with tus-js-client: begins, stops after the first piece, and goes on from the address.
import fs from "node:fs";
import * as tus from "tus-js-client";

const work = JSON.parse(process.argv[2]);
const length = fs.statSync(work.file).size;
const options = {
  endpoint: work.endpoint,
  chunkSize: work.piece,
  uploadSize: length,
  metadata: work.metadata,
  headers: { Authorization: `Bearer ${work.token}` },
  retryDelays: [0, 200, 500],
  storeFingerprintForResuming: false,
};

const begin = () =>
  new Promise((resolve, reject) => {
    const upload = new tus.Upload(fs.createReadStream(work.file), {
      ...options,
      onChunkComplete: () => upload.abort().then(() => resolve(upload.url), reject),
      onError: reject,
    });
    upload.start();
  });

const goOn = (url) =>
  new Promise((resolve, reject) => {
    let from;
    const upload = new tus.Upload(fs.createReadStream(work.file), {
      ...options,
      uploadUrl: url,
      onProgress: (sent) => (from ??= sent),
      onSuccess: () => resolve(from),
      onError: reject,
    });
    upload.start();
  });

const url = await begin();
const resumedAt = await goOn(url);
const head = await fetch(url, {
  method: "HEAD",
  headers: { ...options.headers, "Tus-Resumable": "1.0.0" },
});
console.log(
  JSON.stringify({
    resumed_at: resumedAt,
    length,
    reused_after_end: Number(head.headers.get("upload-offset")),
  }),
);
