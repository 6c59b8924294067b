//! Why a value does not fit its field.

/// Why a value does not fit its field. The text says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Another JSON type, or a text that does not parse.
    #[error("`{field}` must be {expected}, but {found} was given")]
    WrongType {
        /// The field.
        field: String,
        /// What would have been right.
        expected: String,
        /// What came.
        found: String,
    },
    /// Longer, larger or deeper than allowed.
    #[error("`{field}` {problem}")]
    OutOfLimits {
        /// The field.
        field: String,
        /// Which kind of limit.
        limit: Limit,
        /// What it allows, and what was given.
        problem: String,
    },
    /// Null, or missing at insertion, where a value is required.
    #[error("`{field}` is required and may not be null")]
    Required {
        /// The field.
        field: String,
    },
}

/// What a value can be too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Characters of a text, bytes of a document.
    Length,
    /// Elements of a set.
    Elements,
    /// A NUL character, of which there may be none.
    Nul,
    /// A number, date or time outside of `min` and `max`, or of what its type holds.
    Range,
    /// Nesting of a document.
    Depth,
}

impl Limit {
    fn code(self) -> &'static str {
        match self {
            Self::Length => "too_long",
            Self::Elements => "too_many_elements",
            Self::Nul => "nul_character",
            Self::Range => "out_of_range",
            Self::Depth => "too_deep",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Length => "A value is too long",
            Self::Elements => "A set has too many elements",
            Self::Nul => "A text holds a NUL character",
            Self::Range => "A value is out of range",
            Self::Depth => "A document is nested too deeply",
        }
    }
}

impl ValueError {
    /// The stable code that goes into a problem document.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "wrong_type",
            Self::OutOfLimits { limit, .. } => limit.code(),
            Self::Required { .. } => "field_required",
        }
    }

    /// One line for people, the same for each code.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Self::WrongType { .. } => "A value has the wrong type",
            Self::OutOfLimits { limit, .. } => limit.title(),
            Self::Required { .. } => "A value is required",
        }
    }

    /// The field that the error is about.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::WrongType { field, .. }
            | Self::OutOfLimits { field, .. }
            | Self::Required { field } => field,
        }
    }
}
