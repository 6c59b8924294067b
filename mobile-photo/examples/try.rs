#[path = "../tests/support/scene.rs"] mod scene;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let b = std::fs::read(&a[1]).unwrap();
    let cap = mobile_photo::Capture { position: None, taken_at: time::OffsetDateTime::UNIX_EPOCH, mocked: None };
    let n: usize = a.get(3).map_or(1, |n| n.parse().unwrap());
    for _ in 0..n {
    let t = Instant::now();
    let p = mobile_photo::prepare(&b[..], &cap, &Default::default()).map_err(|e| format!("{} {e}", e.code())).unwrap();
    println!("{:?} {}x{} {} bytes thumb {} {:?}", t.elapsed(), p.width, p.height, p.photo.len(), p.thumbnail.len(), p.treatment);
    if let Some(o) = a.get(2) { std::fs::write(o, &p.photo).unwrap(); std::fs::write(format!("{o}.thumb.jpg"), &p.thumbnail).unwrap(); }
    }
}
