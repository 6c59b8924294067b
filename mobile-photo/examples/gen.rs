#[path = "../tests/support/scene.rs"] mod scene;
use jpeg_encoder::*;
fn main() {
    for (w, h, n) in [(4032u16, 3024u16, "12"), (8160, 6120, "50")] {
        let px = scene::scene(w.into(), h.into());
        for prog in [false, true] {
            let mut out = Vec::new();
            let mut e = Encoder::new(&mut out, 92);
            e.set_sampling_factor(SamplingFactor::F_2_2);
            e.set_progressive(prog);
            e.encode(&px, w, h, ColorType::Rgb).unwrap();
            let name = format!("/tmp/photos/{n}{}.jpg", if prog { "p" } else { "" });
            println!("{name} {}", out.len());
            std::fs::write(name, out).unwrap();
        }
    }
}
