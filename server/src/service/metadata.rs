//! What is known about an item: a flat JSON object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ServiceError;

/// The key whose value is the item's class.
const LABEL: &str = "label";

const MAX_KEYS: usize = 64;
const MAX_KEY_BYTES: usize = 128;
const MAX_TOTAL_BYTES: usize = 32 * 1024;

/// Keys and values known about an item. Every search hit carries them, so they are small.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, MetadataValue>);

/// One value of a [`Metadata`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a metadata value must be a string, a number, a boolean or an array of strings")]
pub enum MetadataValue {
    /// A string.
    Text(String),
    /// An integer or a finite decimal.
    Number(serde_json::Number),
    /// True or false.
    Boolean(bool),
    /// Several strings.
    Texts(Vec<String>),
}

impl Metadata {
    /// The item's class: the value of `label`, if it is a string.
    pub fn label(&self) -> Option<&str> {
        match self.0.get(LABEL) {
            Some(MetadataValue::Text(label)) => Some(label),
            _ => None,
        }
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.0.get(key)
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MetadataValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub(super) fn check(&self) -> Result<(), ServiceError> {
        if self.0.len() > MAX_KEYS {
            let keys = self.0.len();
            return Err(ServiceError::invalid(format!(
                "metadata has {keys} keys, and at most {MAX_KEYS} are accepted"
            )));
        }
        if let Some(key) = self.0.keys().find(|key| key.is_empty() || key.len() > MAX_KEY_BYTES) {
            let bytes = key.len();
            let rule = format!("a metadata key must have 1 to {MAX_KEY_BYTES} bytes, got one of {bytes}");
            return Err(ServiceError::invalid(rule));
        }
        let bytes: usize = self.0.iter().map(|(key, value)| key.len() + value.bytes()).sum();
        if bytes > MAX_TOTAL_BYTES {
            let rule = format!("metadata may have {MAX_TOTAL_BYTES} bytes in all, got {bytes}");
            return Err(ServiceError::invalid(rule));
        }
        Ok(())
    }
}

impl MetadataValue {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) | Self::Boolean(_) => 8,
            // An empty string costs memory, too.
            Self::Texts(texts) => texts.iter().map(|text| text.len() + 8).sum(),
        }
    }
}

impl<K: Into<String>> FromIterator<(K, MetadataValue)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, MetadataValue)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Metadata, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn flat_values_survive_a_round_trip_through_json() {
        let json = r#"{"label":"boot","price":79.5,"sizes":["41","42"],"sold":false,"stock":12}"#;

        let metadata = parse(json).unwrap();

        assert_eq!(serde_json::to_string(&metadata).unwrap(), json);
        assert_eq!(metadata.label(), Some("boot"));
        assert!(metadata.check().is_ok());
    }

    #[test]
    fn nested_values_and_null_are_refused_with_the_rule() {
        for json in [r#"{"a": {"b": 1}}"#, r#"{"a": null}"#, r#"{"a": [1]}"#, r#"{"a": [["b"]]}"#] {
            let message = parse(json).unwrap_err().to_string();
            assert!(message.contains("an array of strings"), "{json}: {message}");
        }
    }

    #[test]
    fn metadata_that_would_bloat_every_hit_is_refused() {
        let text = |length: usize| MetadataValue::Text("x".repeat(length));
        let many: Metadata = (0..65).map(|key| (key.to_string(), text(1))).collect();
        let long_key = Metadata::from_iter([("k".repeat(129), text(1))]);
        let empty_key = Metadata::from_iter([("", text(1))]);
        let long = Metadata::from_iter([("a", text(MAX_TOTAL_BYTES))]);
        let empty_texts = Metadata::from_iter([("a", MetadataValue::Texts(vec![String::new(); 5000]))]);

        for refused in [many, long_key, empty_key, long, empty_texts] {
            assert!(matches!(refused.check(), Err(ServiceError::InvalidRequest { .. })));
        }
    }

    #[test]
    fn only_a_string_is_a_label() {
        assert_eq!(parse(r#"{"label": 7}"#).unwrap().label(), None);
        assert_eq!(Metadata::default().label(), None);
    }
}
