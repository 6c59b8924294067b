//! A client of the events' stream.

use std::time::Duration;

use serde_json::Value as Json;

/// How long a test waits for an event before it says that none came.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream that is open.
pub struct Listener {
    answer: reqwest::Response,
    text: String,
    /// The last id that came.
    pub mark: Option<String>,
}

/// An event, or a comment (whose name is empty).
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Json,
}

impl Event {
    /// Whether a `moved` says that one of these things moved.
    pub fn tells(&self, scope: &str) -> bool {
        self.name == "moved"
            && self.data["scopes"].as_array().is_some_and(|all| all.iter().any(|s| s == scope))
    }

    /// Whether the user moved.
    pub fn tells_user(&self) -> bool {
        self.name == "moved" && self.data["user"] == true
    }
}

/// Asks for a stream.
pub async fn request(url: &str, token: &str, mark: Option<&str>) -> reqwest::Response {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build().expect("a client");
    let mut request = client.get(format!("{url}/mobile/api/v1/sync/events")).bearer_auth(token);
    if let Some(mark) = mark {
        request = request.header("last-event-id", mark);
    }
    request.send().await.expect("an answer")
}

impl Listener {
    /// Opens one, with a mark or without; `opened` has come.
    pub async fn open(url: &str, token: &str, mark: Option<&str>) -> Self {
        let answer = request(url, token, mark).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert!(!answer.headers().contains_key("content-encoding"));
        let mut listener = Self { answer, text: String::new(), mark: None };
        assert_eq!(listener.next().await.expect("it opens").name, "opened");
        listener
    }

    /// The next event; none at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.next_or_comment().await?;
            if !event.name.is_empty() {
                return Some(event);
            }
        }
    }

    /// The next event or comment.
    pub async fn next_or_comment(&mut self) -> Option<Event> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(self.read(&frame));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await;
            let chunk = chunk.expect("nothing came for a minute").expect("the stream is whole")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    fn read(&mut self, frame: &str) -> Event {
        let mut event = Event { name: String::new(), data: Json::Null };
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
                Some(("id", id)) => self.mark = Some(id.to_owned()),
                _ => {}
            }
        }
        event
    }

    /// Events up to and including the first that fits.
    pub async fn until(&mut self, fits: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            let event = event.unwrap_or_else(|| panic!("the stream ended after {events:?}"));
            events.push(event.clone());
            if fits(&event) {
                return events;
            }
        }
    }

    /// The reason that the stream ends with.
    pub async fn ended(&mut self) -> String {
        let events = self.until(|event| event.name == "ended").await;
        assert_eq!(self.next().await, None, "nothing comes after the end");
        let last = events.last().expect("the end");
        last.data["code"].as_str().expect("a code").to_owned()
    }
}
