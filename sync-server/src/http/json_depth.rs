//! How deep a JSON document is nested, found before a parser goes down into it.

/// The position of the first bracket that is nested deeper than `depth_max`, if any. Brackets in
/// strings do not count. Says nothing about whether the document is JSON at all.
#[must_use]
pub fn deeper_than(json: &[u8], depth_max: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for (position, &byte) in json.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return Some(position);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_to_the_limit() {
        let nested = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(deeper_than(nested(64).as_bytes(), 64), None);
        assert_eq!(deeper_than(nested(65).as_bytes(), 64), Some(64));
        let cut_off = "{\"a\":".repeat(65);
        assert_eq!(deeper_than(cut_off.as_bytes(), 64), Some(64 * 5));
    }

    #[test]
    fn width_is_not_depth() {
        assert_eq!(deeper_than(format!("[{}]", "[],".repeat(1000)).as_bytes(), 2), None);
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = format!(r#"{{"a":"{}\"{}\\","b":1}}"#, "[".repeat(100), "{".repeat(100));
        assert_eq!(deeper_than(text.as_bytes(), 1), None);
    }
}
