//! The way between one phone and the server: when which part of it is cut.

/// What is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// What the phone sends is lost without a word.
    Outbound,
    /// What the server sends is lost without a word.
    Inbound,
    /// Both.
    All,
    /// The phone has no network at all: what it sends fails at once, and costs nothing.
    NoRoute,
    /// There is a network, and resolving a name fails at once.
    NoDns,
    /// There is a network, and nobody answers when a name is to be resolved.
    SilentDns,
    /// A hotel's machine answers instead of the server, with a certificate of its own.
    Hotel,
}

/// A cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// From when on, in microseconds of the true time.
    pub from_us: i64,
    /// Until when.
    pub until_us: i64,
    /// What.
    pub what: Break,
}

/// All cuts of a phone's way, known beforehand. Nothing of it changes by what the phone does, so what
/// becomes of a packet can be told from when it is sent.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// They do not overlap.
    pub cuts: Vec<Cut>,
}

impl Link {
    /// What is cut at a time.
    #[must_use]
    pub fn cut_at(&self, at_us: i64) -> Option<Break> {
        let cut = self.cuts.iter().find(|cut| (cut.from_us..cut.until_us).contains(&at_us));
        cut.map(|cut| cut.what)
    }

    /// Whether a packet of the phone that is sent now arrives.
    #[must_use]
    pub fn passes_out(&self, at_us: i64) -> bool {
        !matches!(self.cut_at(at_us), Some(Break::Outbound | Break::All | Break::NoRoute))
    }

    /// Whether a packet of the server that is sent now arrives.
    #[must_use]
    pub fn passes_in(&self, at_us: i64) -> bool {
        !matches!(self.cut_at(at_us), Some(Break::Inbound | Break::All | Break::NoRoute))
    }

    /// Whether a packet and the answer to it arrive.
    #[must_use]
    pub fn passes(&self, at_us: i64) -> bool {
        self.passes_out(at_us) && self.passes_in(at_us)
    }

    /// When the next cut of what the server sends begins.
    #[must_use]
    pub fn next_inbound_cut(&self, at_us: i64) -> Option<i64> {
        let inbound = |cut: &&Cut| matches!(cut.what, Break::Inbound | Break::All | Break::NoRoute);
        let later = self.cuts.iter().filter(inbound).filter(|cut| cut.from_us >= at_us);
        later.map(|cut| cut.from_us).min()
    }
}
