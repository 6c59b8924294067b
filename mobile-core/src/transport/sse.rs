//! Reading server-sent events from bytes that come in pieces, by the WHATWG's rules. Pure.
//!
//! Written out because the crates that do it (`eventsource-stream`, unchanged since 2022) keep an event
//! of any length in memory.

/// Longest event, in bytes, with its names and line ends.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// An event that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name; `message` where it has none.
    pub name: String,
    /// Its data, without the last line's end. Empty where the server only moved its id on.
    pub data: String,
}

/// The server sends an event that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
pub struct EventTooLong;

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub struct EventReader {
    /// The line that is coming.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
    /// Whether the first line has been seen, which may begin with a byte order mark.
    begun: bool,
    /// Bytes of the event that is coming.
    bytes: usize,
    name: String,
    data: String,
    coming_id: Option<String>,
    id: Option<String>,
}

impl EventReader {
    /// The id of the last event that has come.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Takes the next bytes, and gives the events that end in them.
    ///
    /// # Errors
    /// [`EventTooLong`]; then nothing more can be read.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, EventTooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            let belongs = std::mem::take(&mut self.after_return) && *byte == b'\n';
            if belongs {
                continue;
            }
            self.bytes += 1;
            match byte {
                b'\r' | b'\n' => {
                    self.after_return = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line));
                }
                byte => self.line.push(*byte),
            }
            if self.bytes > EVENT_BYTES_MAX {
                return Err(EventTooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &[u8]) -> Option<SseEvent> {
        let line = String::from_utf8_lossy(line);
        let line = match std::mem::replace(&mut self.begun, true) {
            true => &*line,
            false => line.strip_prefix('\u{feff}').unwrap_or(&line),
        };
        if line.is_empty() {
            return self.end_event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            // A comment, which says that the server lives.
            "" => self.bytes = self.bytes.saturating_sub(line.len() + 1),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.coming_id = Some(value.to_owned()),
            // The pause before coming back is this device's own; other fields are for later versions.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        self.bytes = 0;
        let moved_on = self.coming_id.is_some();
        self.id = self.coming_id.take().or(self.id.take());
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        let has_data = data.pop().is_some();
        let name = if name.is_empty() { "message".to_owned() } else { name };
        (has_data || moved_on).then_some(SseEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "\u{feff}: hello\r\nevent: opened\ndata: {}\nid: 1\n\n\
        data:one\rdata: two\r\rid: 2\n\n:quiet\n\nevent: moved\r\ndata:  ñ\r\nretry: 5\r\n\
        unknown: x\r\nid: 3\0\r\n\r\nevent: nothing\n\ndata: cut";

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn a_stream_is_read_the_same_however_it_is_cut() {
        let expected = [
            event("opened", "{}"),
            event("message", "one\ntwo"),
            event("message", ""),
            event("moved", " ñ"),
        ];
        let bytes = STREAM.as_bytes();
        for size in 1..=bytes.len() {
            let mut reader = EventReader::default();
            let read: Vec<SseEvent> = bytes
                .chunks(size)
                .flat_map(|piece| reader.feed(piece).expect("short events"))
                .collect();
            assert_eq!(read, expected, "pieces of {size}");
            assert_eq!(reader.id(), Some("2"), "an id with NUL is none");
        }
        for at in 0..=bytes.len() {
            let mut reader = EventReader::default();
            let (first, second) = bytes.split_at(at);
            let mut read = reader.feed(first).expect("short events");
            read.extend(reader.feed(second).expect("short events"));
            assert_eq!(read, expected, "cut at {at}");
        }
    }

    #[test]
    fn data_may_be_empty_lines() {
        let mut reader = EventReader::default();
        assert_eq!(reader.feed(b"data\n\n").expect("short"), [event("message", "")]);
        assert_eq!(reader.feed(b"data\ndata\n\n").expect("short"), [event("message", "\n")]);
        assert_eq!(reader.feed(b"event: x\n\n").expect("short"), []);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut reader = EventReader::default();
        let read = reader.feed(b"data: a\xffb\n\n").expect("short");
        assert_eq!(read, [event("message", "a\u{fffd}b")]);
    }

    #[test]
    fn an_event_without_end_is_an_error_and_a_quiet_stream_is_not() {
        let mut reader = EventReader::default();
        for _ in 0..EVENT_BYTES_MAX {
            assert_eq!(reader.feed(b": quiet\n"), Ok(Vec::new()));
        }
        let mut reader = EventReader::default();
        assert_eq!(reader.feed(&vec![b'x'; EVENT_BYTES_MAX]), Ok(Vec::new()));
        assert_eq!(reader.feed(b"x"), Err(EventTooLong));
        let mut reader = EventReader::default();
        let lines = b"data: x\n".repeat(EVENT_BYTES_MAX / 8);
        assert_eq!(reader.feed(&lines), Ok(Vec::new()));
        assert_eq!(reader.feed(b"data"), Err(EventTooLong));
    }
}
