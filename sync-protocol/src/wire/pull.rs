//! `POST sync/pull`: the request, and pages of changes in the form both ends work with.
//!
//! A page is kept by columns. [`crate::columnar`] writes it in the binary and in the JSON form.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::{Digest, RowSet};
use crate::schema::{FieldType, Schema};
use crate::wire::receipt::Receipt;
use crate::{RecordId, RowVersion, Scope, StreamId, Value};

/// Media type of the binary form: a stream of frames, see [`crate::columnar`].
pub const COLUMNAR_MEDIA_TYPE: &str = "application/vnd.campo.pull-pages";

/// Body of a pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// The stream whose edits are to be settled.
    pub stream: StreamId,
    /// Where the last page ended, opaque; none at the first sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Hash of the schema that the device has; another one at the server comes with the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<String>,
    /// Most rows in a page, 1 to [`crate::limits::PAGE_ROWS_MAX`]; default that maximum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_rows_max: Option<usize>,
    /// Whether the checkpoint is to bring the digests of all that the device holds then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digests: bool,
    /// Rows that are to come again with the delta, changed or not, because the device's copies are
    /// damaged; at most [`crate::limits::REFETCH_ROWS_MAX`] in all. Those that are not there, or not
    /// in a scope that the device holds, come as exits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refetch: Vec<Records>,
}

impl PullRequest {
    /// A first pull.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            cursor: None,
            schema_hash: None,
            page_rows_max: None,
            digests: false,
            refetch: Vec::new(),
        }
    }
}

/// Records of one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// The collection.
    pub collection: String,
    /// Their ids.
    pub ids: Vec<RecordId>,
}

/// What a scope holds of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeDigest {
    /// The scope.
    pub scope: Scope,
    /// The collection.
    pub collection: String,
    /// How many rows.
    pub rows: u64,
    /// The exclusive or of their digests, see [`crate::digest`].
    pub digest: Digest,
}

impl ScopeDigest {
    /// The rows as a set.
    #[must_use]
    pub fn set(&self) -> RowSet {
        RowSet { rows: self.rows, digest: self.digest }
    }
}

/// A page: part of a round, which ends with the page that is a checkpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PullPage {
    /// The schema, where the device's is another one.
    pub schema: Option<Schema>,
    /// Scopes whose rows leave the device, at once and before anything else in the page.
    pub drops: Vec<Scope>,
    /// Scopes whose backfill begins with this page.
    pub gains: Vec<Scope>,
    /// Whether the rows belong to a delta (staged until the checkpoint) or to a backfill.
    pub part: PagePart,
    /// The sets of scopes that rows of this page are in.
    pub scope_sets: Vec<Vec<Scope>>,
    /// Rows, by collection, in key order.
    pub tables: Vec<PageTable>,
    /// What the server has settled of this stream's transactions, as of the same snapshot.
    pub settled: Vec<Receipt>,
    /// With a checkpoint, where the request asked for them: what each scope held has of each
    /// collection that may be seen, as of the checkpoint's snapshot. Empty ones are left out.
    pub digests: Option<Vec<ScopeDigest>>,
    /// Where the next pull begins, opaque.
    pub cursor: String,
    /// Whether nothing more is to come from this page's snapshot.
    pub checkpoint: bool,
    /// How many rows remain after this page, as far as the server knows; for progress bars.
    pub remaining: u64,
    /// The server's clock, in microseconds since 1970.
    pub server_time_us: i64,
}

/// To which part of a round a page belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PagePart {
    /// Changes since the cursor: staged, visible together at the checkpoint.
    #[default]
    Delta,
    /// All rows of gained scopes: written at once, marked incomplete until the checkpoint.
    Backfill,
}

/// Rows of one collection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageTable {
    /// The collection.
    pub collection: String,
    /// Ids of the rows that are here with their content.
    pub ids: Vec<RecordId>,
    /// Version of each row.
    pub versions: Vec<RowVersion>,
    /// For each row the index of its scopes in [`PullPage::scope_sets`].
    pub scope_sets: Vec<u32>,
    /// Names of the columns.
    pub fields: Vec<String>,
    /// Content: one column for each of `fields`, each as long as `ids`.
    pub columns: Vec<Column>,
    /// Rows that leave the device: deleted, or in no scope that it holds.
    pub exits: Vec<RecordId>,
}

impl PageTable {
    /// How many bytes of text the columns hold, which is what makes a page large.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let bytes = |column: &Column| match column {
            Column::Text(texts) => texts.bytes.len(),
            _ => 0,
        };
        self.columns.iter().map(bytes).sum()
    }
}

/// The values of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// `integer`, `decimal` (units), `date` (days), `timestamp` (µs), `boolean` (0 or 1).
    Int(Vec<Option<i64>>),
    /// `real`.
    Real(Vec<Option<f64>>),
    /// `uuid`.
    Uuid(Vec<Option<Uuid>>),
    /// `text`, `enum`; `set` and `json` as canonical JSON text.
    Text(TextColumn),
}

/// Texts, one after another in a single allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextColumn {
    bytes: String,
    /// End of each text in `bytes`; `None` for null.
    ends: Vec<Option<u32>>,
}

impl TextColumn {
    /// An empty column with room for so many texts and bytes.
    #[must_use]
    pub fn with_capacity(texts: usize, bytes: usize) -> Self {
        Self { bytes: String::with_capacity(bytes), ends: Vec::with_capacity(texts) }
    }

    /// A column of nulls.
    #[must_use]
    pub(crate) fn nulls(count: usize) -> Self {
        Self { bytes: String::new(), ends: vec![None; count] }
    }

    /// A column of texts that are one after another already; none where an end is not after the
    /// one before it, or not between two characters, or the last is not the end of all.
    #[must_use]
    pub(crate) fn from_parts(bytes: String, ends: Vec<Option<u32>>) -> Option<Self> {
        let mut last = 0;
        for end in ends.iter().flatten() {
            if *end < last || !bytes.is_char_boundary(*end as usize) {
                return None;
            }
            last = *end;
        }
        (last as usize == bytes.len()).then_some(Self { bytes, ends })
    }

    /// All texts, one after another.
    pub(crate) fn all(&self) -> &str {
        &self.bytes
    }

    /// Appends a text or null.
    pub fn push(&mut self, text: Option<&str>) {
        self.ends.push(text.map(|text| {
            self.bytes.push_str(text);
            u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
        }));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> + Clone {
        let mut start = 0usize;
        self.ends.iter().map(move |end| {
            end.map(|end| {
                let text = &self.bytes[start..end as usize];
                start = end as usize;
                text
            })
        })
    }
}

impl Column {
    /// An empty column for values of this type.
    #[must_use]
    pub fn for_type(kind: &FieldType) -> Self {
        match kind {
            FieldType::Integer
            | FieldType::Decimal { .. }
            | FieldType::Boolean
            | FieldType::Date
            | FieldType::Timestamp => Self::Int(Vec::new()),
            FieldType::Real => Self::Real(Vec::new()),
            FieldType::Uuid => Self::Uuid(Vec::new()),
            FieldType::Text | FieldType::Enum { .. } | FieldType::Set | FieldType::Json => {
                Self::Text(TextColumn::default())
            }
        }
    }

    /// How many values it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Uuid(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a value. One of a type that this column does not hold becomes null; a checked
    /// schema never leads there.
    pub fn push(&mut self, value: &Value) {
        match self {
            Self::Int(values) => values.push(match value {
                Value::Integer(n) | Value::Decimal(n) | Value::Timestamp(n) => Some(*n),
                Value::Date(days) => Some(i64::from(*days)),
                Value::Boolean(b) => Some(i64::from(*b)),
                _ => None,
            }),
            Self::Real(values) => values.push(match value {
                Value::Real(real) => Some(*real),
                _ => None,
            }),
            Self::Uuid(values) => values.push(match value {
                Value::Uuid(id) => Some(*id),
                _ => None,
            }),
            Self::Text(values) => match value {
                Value::Text(text) => values.push(Some(text)),
                Value::Set(elements) => {
                    let json: serde_json::Value = elements.iter().cloned().collect();
                    values.push(Some(&json.to_string()));
                }
                Value::Json(json) => values.push(Some(&json.to_string())),
                _ => values.push(None),
            },
        }
    }

    /// All values, as this type's. `None` if some value does not fit it (a damaged page).
    #[must_use]
    pub fn values(&self, kind: &FieldType) -> Option<Vec<Value>> {
        match self {
            Self::Int(values) => values
                .iter()
                .map(|value| {
                    let Some(n) = *value else { return Some(Value::Null) };
                    Some(match kind {
                        FieldType::Integer => Value::Integer(n),
                        FieldType::Decimal { .. } => Value::Decimal(n),
                        FieldType::Timestamp => Value::Timestamp(n),
                        FieldType::Date => Value::Date(i32::try_from(n).ok()?),
                        FieldType::Boolean if n == 0 || n == 1 => Value::Boolean(n == 1),
                        _ => return None,
                    })
                })
                .collect(),
            Self::Real(values) if *kind == FieldType::Real => {
                Some(values.iter().map(|v| v.map_or(Value::Null, Value::Real)).collect())
            }
            Self::Uuid(values) if *kind == FieldType::Uuid => {
                Some(values.iter().map(|v| v.map_or(Value::Null, Value::Uuid)).collect())
            }
            Self::Text(values) => values
                .iter()
                .map(|text| {
                    let Some(text) = text else { return Some(Value::Null) };
                    Some(match kind {
                        FieldType::Text | FieldType::Enum { .. } => Value::Text(text.to_owned()),
                        FieldType::Set => Value::Set(serde_json::from_str(text).ok()?),
                        FieldType::Json => Value::Json(serde_json::from_str(text).ok()?),
                        _ => return None,
                    })
                })
                .collect(),
            _ => None,
        }
    }
}
