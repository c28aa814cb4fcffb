//! Which items are meant: conditions on metadata.
//!
//! | module | question |
//! |---|---|
//! | `number` | Which of two JSON numbers is larger, and when are they equal? |
//! | `postings` | Which items have a value? |
//! | `index` | Which items match, without looking at each of them? |
//!
//! [`Filter::matches`] says what a filter means; `index` says the same faster.

mod index;
mod number;
mod postings;

use std::ops::{Bound, RangeBounds};

pub(super) use index::FilterIndex;
pub use number::Number;

use super::metadata::{Metadata, MetadataValue};

/// Conditions on the metadata of an item. Without any, every item matches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// All of these hold.
    pub must: Vec<Condition>,
    /// At least one of these holds, if there are any.
    pub should: Vec<Condition>,
    /// None of these holds.
    pub must_not: Vec<Condition>,
}

/// One condition of a [`Filter`].
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// On the value under one key.
    Key {
        /// The key.
        key: String,
        /// What is asked of its value.
        test: Test,
    },
    /// A filter of its own.
    Filter(Filter),
}

/// What a condition asks of the value under its key. An item without the key passes only `Exists(false)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It equals one of these, or is an array of strings that holds one of them. None of none is equal.
    Any(Vec<Scalar>),
    /// It is a number between these bounds. A lower bound above the upper one passes nothing.
    Range(Bound<Number>, Bound<Number>),
    /// It is there, or it is not.
    Exists(bool),
}

/// A value to compare with. Values of different types are never equal: the string "7" is not the number 7.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A string, compared byte by byte.
    Text(String),
    /// A number; 1 and 1.0 are equal.
    Number(Number),
    /// True or false.
    Boolean(bool),
}

impl Filter {
    /// Whether an item with this metadata matches.
    pub fn matches(&self, metadata: &Metadata) -> bool {
        let holds = |condition: &Condition| condition.holds(metadata);
        self.must.iter().all(holds)
            && (self.should.is_empty() || self.should.iter().any(holds))
            && !self.must_not.iter().any(holds)
    }

    /// Whether there is no condition, so that every item matches.
    pub fn is_empty(&self) -> bool {
        self.conditions().next().is_none()
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.must.iter().chain(&self.should).chain(&self.must_not)
    }
}

impl Condition {
    fn holds(&self, metadata: &Metadata) -> bool {
        match self {
            Self::Key { key, test } => test.passes(metadata.get(key)),
            Self::Filter(filter) => filter.matches(metadata),
        }
    }
}

impl Test {
    fn passes(&self, value: Option<&MetadataValue>) -> bool {
        match self {
            Self::Any(scalars) => value.is_some_and(|value| scalars.iter().any(|scalar| scalar.equals(value))),
            Self::Range(lower, upper) => match value {
                Some(MetadataValue::Number(number)) => (*lower, *upper).contains(&Number::from(number)),
                _ => false,
            },
            Self::Exists(wanted) => value.is_some() == *wanted,
        }
    }
}

impl Scalar {
    fn equals(&self, value: &MetadataValue) -> bool {
        match (self, value) {
            (Self::Text(wanted), MetadataValue::Text(text)) => wanted == text,
            (Self::Text(wanted), MetadataValue::Texts(texts)) => texts.contains(wanted),
            (Self::Number(wanted), MetadataValue::Number(number)) => *wanted == Number::from(number),
            (Self::Boolean(wanted), MetadataValue::Boolean(boolean)) => wanted == boolean,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Metadata {
        serde_json::from_str(json).unwrap()
    }

    fn on(key: &str, test: Test) -> Condition {
        Condition::Key { key: key.to_owned(), test }
    }

    fn is(text: &str) -> Test {
        Test::Any(vec![Scalar::Text(text.to_owned())])
    }

    fn number(value: f64) -> Number {
        Number::from(&serde_json::Number::from_f64(value).unwrap())
    }

    #[test]
    fn must_means_all_should_means_one_and_must_not_means_none() {
        let boot = metadata(r#"{"label": "boot", "colour": "red"}"#);
        let (yes, no) = (on("label", is("boot")), on("label", is("hat")));
        let matches = |must: &[&Condition], should: &[&Condition], must_not: &[&Condition]| {
            let own = |conditions: &[&Condition]| conditions.iter().map(|&condition| condition.clone()).collect();
            Filter { must: own(must), should: own(should), must_not: own(must_not) }.matches(&boot)
        };

        assert!(matches(&[], &[], &[]));
        assert!(matches(&[&yes, &yes], &[], &[]) && !matches(&[&yes, &no], &[], &[]));
        assert!(matches(&[], &[&no, &yes], &[]) && !matches(&[], &[&no, &no], &[]));
        assert!(matches(&[], &[], &[&no, &no]) && !matches(&[], &[], &[&no, &yes]));
        assert!(!matches(&[&yes], &[&no], &[]) && !matches(&[&yes], &[&yes], &[&yes]));
    }

    #[test]
    fn a_nested_filter_is_one_condition() {
        let either = Filter { should: vec![on("a", is("x")), on("b", is("x"))], ..Filter::default() };
        let neither = Filter { must_not: vec![Condition::Filter(either.clone())], ..Filter::default() };
        for (json, expected) in [(r#"{"a": "x"}"#, true), (r#"{"b": "x"}"#, true), (r#"{"a": "y"}"#, false)] {
            assert_eq!(either.matches(&metadata(json)), expected, "{json}");
            assert_eq!(neither.matches(&metadata(json)), !expected, "{json}");
        }
    }

    #[test]
    fn a_match_compares_values_of_one_type_and_looks_into_arrays() {
        let item = metadata(r#"{"text": "7", "number": 7.0, "yes": true, "sizes": ["41", "42"]}"#);
        let seven = Test::Any(vec![Scalar::Number(number(7.0))]);
        let yes = Test::Any(vec![Scalar::Boolean(true)]);
        let passes = |key: &str, test: &Test| test.passes(item.get(key));

        assert!(passes("text", &is("7")) && !passes("number", &is("7")) && !passes("text", &is("77")));
        assert!(passes("number", &seven) && !passes("text", &seven));
        assert!(passes("yes", &yes) && !passes("number", &yes));
        assert!(passes("sizes", &is("42")) && !passes("sizes", &is("4")));
        assert!(!passes("sizes", &Test::Any(Vec::new())), "nothing is one of none");
    }

    #[test]
    fn a_range_holds_numbers_between_its_bounds() {
        let between = |lower, upper, value: f64| {
            let value = MetadataValue::Number(serde_json::Number::from_f64(value).unwrap());
            Test::Range(lower, upper).passes(Some(&value))
        };
        use Bound::{Excluded, Included, Unbounded};

        assert!(between(Included(number(2.0)), Unbounded, 2.0) && !between(Excluded(number(2.0)), Unbounded, 2.0));
        assert!(between(Unbounded, Included(number(2.0)), 2.0) && !between(Unbounded, Excluded(number(2.0)), 2.0));
        assert!(between(Included(number(-1.5)), Excluded(number(3.0)), -1.5));
        assert!(!between(Included(number(3.0)), Included(number(1.0)), 2.0), "the bounds are crossed");
        let text = MetadataValue::Text("2".to_owned());
        assert!(!Test::Range(Unbounded, Unbounded).passes(Some(&text)), "a string is no number");
    }

    #[test]
    fn only_the_absence_of_a_key_is_true_of_an_item_without_it() {
        assert!(Test::Exists(false).passes(None) && !Test::Exists(true).passes(None));
        assert!(!is("x").passes(None) && !Test::Range(Bound::Unbounded, Bound::Unbounded).passes(None));
        let empty = MetadataValue::Texts(Vec::new());
        assert!(Test::Exists(true).passes(Some(&empty)), "an empty array is a value");
    }
}
