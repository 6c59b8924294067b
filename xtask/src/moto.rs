//! A server that speaks S3, for the tests of photos: moto from PyPI, on a free port of this machine, gone with the
//! task. Fetched on first use into the target folder; where it cannot be had, those tests say nothing.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::shell::{programs, run};

/// A version that is known to work. The test is about this project, not about the newest moto.
const PYPI: &str = "moto[s3,server]==5.2.1";
/// Its bucket.
const BUCKET: &str = "campo";
/// How long it may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running one.
pub struct Moto {
    port: u16,
    shell: Child,
}

impl Moto {
    /// Starts one, if it can be had; says why where it cannot.
    pub fn start() -> Option<Self> {
        let started = fetch().and_then(|packages| Self::start_from(&packages));
        started.map_err(|error| eprintln!("\nPhotos are not tried on S3: {error}")).ok()
    }

    fn start_from(packages: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // Its input ends with this task, however that ends; then it is told to end, too.
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg("\"$@\" </dev/null & pid=$!; cat >/dev/null; kill $pid; wait $pid");
        shell.args(["sh", "python3", "-m", "moto.server", "-H", "127.0.0.1", "-p"]);
        shell.arg(port.to_string()).env("PYTHONPATH", packages);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let moto = Self { port, shell: shell.spawn()? };
        let since = Instant::now();
        while moto.make_bucket().is_err() {
            if since.elapsed() > START_TIMEOUT {
                return Err("moto does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(moto)
    }

    fn make_bucket(&self) -> Result {
        let mut line = TcpStream::connect(("127.0.0.1", self.port))?;
        let host = format!("127.0.0.1:{}", self.port);
        let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
        write!(line, "PUT /{BUCKET} HTTP/1.1\r\nHost: {host}\r\n{end}")?;
        let mut answer = String::new();
        line.read_to_string(&mut answer)?;
        match answer.starts_with("HTTP/1.1 200") {
            true => Ok(()),
            false => Err(format!("moto makes no bucket: {answer}").into()),
        }
    }

    /// What says to a test where it is.
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("CAMPO_TEST_PHOTOS_URL", format!("s3://{BUCKET}")),
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The folder with its packages.
fn fetch() -> Result<PathBuf> {
    let packages = programs()?.with_file_name("moto");
    if packages.join("moto/server.py").is_file() {
        return Ok(packages);
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args([OsStr::new("--root-user-action=ignore"), OsStr::new("--target")]);
    run(pip.arg(&packages).arg(PYPI))?;
    Ok(packages)
}
