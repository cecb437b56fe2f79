//! MySQL's order of JSON values: by kind first, then by value.

use std::cmp::Ordering;

use super::{JSON_DEPTH_MAX, JsonRef, JsonType};

/// Kinds from the lowest to the highest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Null,
    Number,
    String,
    Object,
    Array,
    Boolean,
    Date,
    Time,
    DateTime,
    Opaque,
}

impl JsonRef<'_> {
    /// MySQL's order of JSON values. Numbers compare by value; objects are ordered in some fixed way.
    pub fn compare(self, other: JsonRef<'_>) -> Ordering {
        self.compare_below(other, 0)
    }

    fn compare_below(self, other: JsonRef<'_>, above: usize) -> Ordering {
        if above > JSON_DEPTH_MAX {
            return Ordering::Equal;
        }
        let kind = self.kind();
        let order = kind.cmp(&other.kind());
        if order.is_ne() {
            return order;
        }
        match kind {
            Kind::Null => Ordering::Equal,
            Kind::Number => self.compare_number(other),
            Kind::String => self.as_str().cmp(&other.as_str()),
            Kind::Boolean => self.as_bool().cmp(&other.as_bool()),
            Kind::Date | Kind::DateTime => self.as_time().cmp(&other.as_time()),
            Kind::Time => self.as_duration().cmp(&other.as_duration()),
            Kind::Opaque => {
                let parts = |json: JsonRef<'_>| {
                    json.as_opaque().map(|(code, bytes)| (u8::from(code), bytes.to_vec()))
                };
                parts(self).cmp(&parts(other))
            }
            Kind::Array => {
                let pairs = self.elements().zip(other.elements());
                pairs
                    .map(|(a, b)| a.compare_below(b, above + 1))
                    .find(|order| order.is_ne())
                    .unwrap_or_else(|| self.length().cmp(&other.length()))
            }
            Kind::Object => self.length().cmp(&other.length()).then_with(|| {
                let count = self.length();
                let keys = (0..count).map(|position| self.key(position).cmp(&other.key(position)));
                let values = (0..count).map(|position| match (self.entry(position), other.entry(position)) {
                    (Some(a), Some(b)) => a.compare_below(b, above + 1),
                    (a, b) => a.is_some().cmp(&b.is_some()),
                });
                keys.chain(values).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
        }
    }

    fn kind(self) -> Kind {
        match self.json_type() {
            JsonType::Null => Kind::Null,
            JsonType::Integer | JsonType::UnsignedInteger | JsonType::Double | JsonType::Decimal => {
                Kind::Number
            }
            JsonType::String => Kind::String,
            JsonType::Object => Kind::Object,
            JsonType::Array => Kind::Array,
            JsonType::Boolean => Kind::Boolean,
            JsonType::Date => Kind::Date,
            JsonType::Time => Kind::Time,
            JsonType::DateTime | JsonType::Timestamp => Kind::DateTime,
            JsonType::Opaque => Kind::Opaque,
        }
    }

    fn compare_number(self, other: JsonRef<'_>) -> Ordering {
        if let (Some(a), Some(b)) = (self.integer(), other.integer()) {
            return a.cmp(&b);
        }
        if let (Some(a), Some(b)) = (self.exact(), other.exact()) {
            return a.cmp(&b);
        }
        let (a, b) = (self.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
        a.partial_cmp(&b).unwrap_or(Ordering::Equal)
    }

    fn integer(self) -> Option<i128> {
        match self.json_type() {
            JsonType::Integer => self.as_i64().map(i128::from),
            JsonType::UnsignedInteger => self.as_u64().map(i128::from),
            _ => None,
        }
    }

    /// An integer or DECIMAL.
    fn exact(self) -> Option<crate::Decimal> {
        self.integer().map(|value| crate::Decimal::from_i128(value, 0)).or_else(|| self.as_decimal())
    }

    /// JSON_CONTAINS(): arrays contain their elements' parts, objects members with the same keys, scalars what is equal.
    pub fn contains(self, candidate: JsonRef<'_>) -> bool {
        self.contains_below(candidate, 0)
    }

    fn contains_below(self, candidate: JsonRef<'_>, above: usize) -> bool {
        if above > JSON_DEPTH_MAX {
            return false;
        }
        match (self.json_type(), candidate.json_type()) {
            (JsonType::Object, JsonType::Object) => candidate.members().all(|(key, wanted)| {
                self.get(key).is_some_and(|found| found.contains_below(wanted, above + 1))
            }),
            (JsonType::Array, JsonType::Array) => candidate
                .elements()
                .all(|wanted| self.contains_below(wanted, above + 1) || self.has_element(wanted)),
            (JsonType::Array, _) => {
                self.elements().any(|element| element.contains_below(candidate, above + 1))
            }
            (JsonType::Object, _) => false,
            _ => self.compare(candidate).is_eq(),
        }
    }

    /// MEMBER OF().
    pub fn has_element(self, candidate: JsonRef<'_>) -> bool {
        if self.json_type() != JsonType::Array {
            return self.compare(candidate).is_eq();
        }
        self.elements().any(|element| element.compare(candidate).is_eq())
    }

    /// JSON_OVERLAPS(): a common element, or a common member, or equality.
    pub fn overlaps(self, other: JsonRef<'_>) -> bool {
        match (self.json_type(), other.json_type()) {
            (JsonType::Object, JsonType::Object) => self
                .members()
                .any(|(key, value)| other.get(key).is_some_and(|found| found.compare(value).is_eq())),
            (JsonType::Array, JsonType::Array) => self.elements().any(|element| other.has_element(element)),
            (JsonType::Array, _) => self.has_element(other),
            (_, JsonType::Array) => other.has_element(self),
            _ => self.compare(other).is_eq(),
        }
    }
}
