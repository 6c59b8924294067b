//! Files that hold what is expected.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn writes() -> bool {
    std::env::var_os("CAMPO_WRITE_VECTORS").is_some_and(|value| value == "1")
}

/// The content of a vector.
pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| {
        panic!("vectors/{name}: {error}; CAMPO_WRITE_VECTORS=1 writes the vectors")
    })
}

/// Asserts that a vector is this text, or writes it.
pub fn is_text(name: &str, text: &str) {
    if writes() {
        std::fs::write(path(name), text).expect("the folder of the vectors can be written");
    }
    assert_eq!(read(name), text, "vectors/{name} is not what is written now");
}

/// Asserts that a vector is this document, as text and read back.
pub fn is_json<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    name: &str,
    expected: &T,
) {
    let text = serde_json::to_string_pretty(expected).expect("can be written");
    is_text(name, &format!("{text}\n"));
    let back: T = serde_json::from_str(&read(name)).expect("can be read");
    assert_eq!(&back, expected, "vectors/{name} is read as something else");
}

/// Asserts that a vector is these bytes, in hexadecimal, 32 a line.
pub fn is_hex(name: &str, bytes: &[u8]) {
    let line = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n";
    is_text(name, &bytes.chunks(32).map(line).collect::<String>());
    assert_eq!(bytes_of(name), bytes);
}

/// The bytes of a vector in hexadecimal.
pub fn bytes_of(name: &str) -> Vec<u8> {
    let digits: Vec<u8> = read(name).bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}
