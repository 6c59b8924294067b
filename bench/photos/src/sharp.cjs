// The same job by sharp (libvips): photo and thumbnail from one file, in one thread.
// node sharp.cjs MODULE INPUT OUTPUT TIMES QUALITY
const [module_, input, output, times, quality] = process.argv.slice(2)
const sharp = require(module_)
sharp.concurrency(1)
sharp.cache(false)

async function main() {
  const before = process.memoryUsage().rss
  const cpuMs = []
  for (let time = 0; time < Number(times); time++) {
    const start = process.cpuUsage()
    const photo = await sharp(input)
      .rotate()
      .resize(1600, 1600, { fit: 'inside', withoutEnlargement: true })
      .jpeg({ quality: Number(quality) })
      .toBuffer()
    await sharp(photo).resize(320, 320, { fit: 'inside' }).jpeg({ quality: Number(quality) }).toBuffer()
    const spent = process.cpuUsage(start)
    cpuMs.push((spent.user + spent.system) / 1000)
    require('fs').writeFileSync(output, photo)
  }
  const peakKib = process.resourceUsage().maxRSS - Math.round(before / 1024)
  console.log(JSON.stringify({ cpu_ms: cpuMs, peak_kib: peakKib, version: sharp.versions.sharp }))
}

main().catch((error) => {
  console.error(error.message)
  process.exit(1)
})
