//! A line that carries so many bytes up and then breaks, again and again; slowly, if asked to.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A way to a server, in threads that end with the process.
pub struct Line {
    address: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    cuts: AtomicU64,
    holds: AtomicBool,
}

impl Line {
    /// To this server, cut after so many bytes that went up. `rate` is bytes a second; 0 for no limit.
    pub fn open(server: &str, cut: u64, rate: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let counts = Arc::new(Counts::default());
        let server = server.trim_start_matches("http://").to_owned();
        std::thread::spawn({
            let counts = counts.clone();
            move || {
                for phone in listener.incoming().flatten() {
                    let Ok(server) = TcpStream::connect(&server) else { continue };
                    carry(phone, server, cut, rate, counts.clone());
                }
            }
        });
        Self { address, counts }
    }

    /// Where it begins.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets what went so far.
    pub fn count_from_here(&self) {
        self.counts.sent.store(0, Ordering::SeqCst);
    }

    /// Bytes that went up since.
    pub fn sent(&self) -> u64 {
        self.counts.sent.load(Ordering::SeqCst)
    }

    /// How often it broke.
    pub fn cuts(&self) -> u64 {
        self.counts.cuts.load(Ordering::SeqCst)
    }

    /// It does not break any more.
    pub fn holds_from_here(&self) {
        self.counts.holds.store(true, Ordering::SeqCst);
    }
}

fn carry(phone: TcpStream, server: TcpStream, cut: u64, rate: u64, counts: Arc<Counts>) {
    let (down_from, down_to) = (server.try_clone(), phone.try_clone());
    std::thread::spawn(move || {
        if let (Ok(mut from), Ok(mut to)) = (down_from, down_to) {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        }
    });
    std::thread::spawn(move || {
        let (mut phone, mut server) = (phone, server);
        let mut carried = 0;
        let mut piece = [0; 4_096];
        while let Ok(read @ 1..) = phone.read(&mut piece) {
            let left = usize::try_from(cut.saturating_sub(carried)).unwrap_or(usize::MAX);
            let breaks = read >= left && !counts.holds.load(Ordering::SeqCst);
            let carries = if breaks { left } else { read };
            if server.write_all(&piece[..carries]).is_err() {
                break;
            }
            carried += carries as u64;
            counts.sent.fetch_add(carries as u64, Ordering::SeqCst);
            if breaks {
                counts.cuts.fetch_add(1, Ordering::SeqCst);
                let _ = phone.shutdown(Shutdown::Both);
                break;
            }
            if let Some(ms) = (carries as u64 * 1_000).checked_div(rate) {
                std::thread::sleep(Duration::from_millis(ms));
            }
        }
        // What came arrives; then nothing more does.
        let _ = server.shutdown(Shutdown::Write);
    });
}
