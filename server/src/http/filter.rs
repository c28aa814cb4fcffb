//! Filters as JSON, and what is wrong with them.

use std::ops::Bound;

use serde::Deserialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::upload::parse_json;
use crate::config::SearchLimits;
use crate::service::filter::{Condition, Filter, Number, Scalar, Test};

/// Filters within filters; no question needs more, and the stack of a thread bears them.
const MAX_DEPTH: usize = 8;

/// Where a filter stands, in bodies and in the query string.
const POINTER: &str = "/filter";

/// Which items are meant, by their metadata. An empty filter means all.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "must": [{"key": "label", "match": "boot"}, {"key": "price", "range": {"lt": 100}}],
    "must_not": [{"key": "sold", "match": true}],
}))]
pub(super) struct FilterRequest {
    /// All of these hold.
    #[serde(default)]
    must: Vec<ConditionRequest>,
    /// At least one of these holds, if there are any.
    #[serde(default)]
    should: Vec<ConditionRequest>,
    /// None of these holds.
    #[serde(default)]
    must_not: Vec<ConditionRequest>,
}

/// A `key` and one of `match`, `any`, `range` and `exists`; or, without a key, a filter of its own.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConditionRequest {
    /// A key of the metadata.
    #[schema(example = "label")]
    key: Option<String>,
    /// The value equals this one, or is an array of strings that holds it.
    #[serde(rename = "match")]
    equal: Option<ScalarRequest>,
    /// The value equals one of these, or is an array of strings that holds one of them.
    any: Option<Vec<ScalarRequest>>,
    /// The value is a number in this range.
    range: Option<RangeRequest>,
    /// The item has the key, or has it not.
    exists: Option<bool>,
    /// All of these hold.
    #[schema(no_recursion)]
    must: Option<Vec<ConditionRequest>>,
    /// At least one of these holds, if there are any.
    #[schema(no_recursion)]
    should: Option<Vec<ConditionRequest>>,
    /// None of these holds.
    #[schema(no_recursion)]
    must_not: Option<Vec<ConditionRequest>>,
}

/// A value to compare with.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged, expecting = "a value to compare with must be a string, a number or a boolean")]
enum ScalarRequest {
    Text(String),
    #[schema(value_type = f64)]
    Number(serde_json::Number),
    Boolean(bool),
}

/// Bounds of a number: at most one below and one above.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RangeRequest {
    /// Greater than.
    #[schema(value_type = Option<f64>)]
    gt: Option<serde_json::Number>,
    /// Greater than or equal to.
    #[schema(value_type = Option<f64>)]
    gte: Option<serde_json::Number>,
    /// Less than.
    #[schema(value_type = Option<f64>)]
    lt: Option<serde_json::Number>,
    /// Less than or equal to.
    #[schema(value_type = Option<f64>)]
    lte: Option<serde_json::Number>,
}

impl FilterRequest {
    /// The filter, if it keeps the rules.
    ///
    /// # Errors
    /// If a condition is incomplete or contradicts itself, or there are too many or too deep ones; with a pointer.
    pub(super) fn into_filter(self, limits: &SearchLimits) -> Result<Filter, ApiError> {
        let mut reader = Reader { left: limits.max_filter_conditions, most: limits.max_filter_conditions };
        reader.filter(self, POINTER, 0)
    }
}

/// A filter from a query string.
///
/// # Errors
/// If it is not the JSON that is wanted.
pub(super) fn from_parameter(json: &str) -> Result<FilterRequest, ApiError> {
    parse_json(json.as_bytes()).map_err(|error| error.within(POINTER))
}

struct Reader {
    /// Conditions that may still come.
    left: usize,
    most: usize,
}

impl Reader {
    fn filter(&mut self, request: FilterRequest, pointer: &str, depth: usize) -> Result<Filter, ApiError> {
        if depth > MAX_DEPTH {
            return Err(ApiError::invalid_at(pointer, format!("filters may be nested {MAX_DEPTH} deep, not deeper")));
        }
        let mut conditions = |clause: &str, requests: Vec<ConditionRequest>| -> Result<Vec<Condition>, ApiError> {
            let requests = requests.into_iter().enumerate();
            requests.map(|(at, request)| self.condition(request, &format!("{pointer}/{clause}/{at}"), depth)).collect()
        };
        Ok(Filter {
            must: conditions("must", request.must)?,
            should: conditions("should", request.should)?,
            must_not: conditions("must_not", request.must_not)?,
        })
    }

    fn condition(&mut self, request: ConditionRequest, pointer: &str, depth: usize) -> Result<Condition, ApiError> {
        self.count(request.any.as_ref().map_or(1, |any| any.len().max(1)), pointer)?;
        let ConditionRequest { key, equal, any, range, exists, must, should, must_not } = request;
        let nested = must.is_some() || should.is_some() || must_not.is_some();
        let mut tests = Vec::new();
        tests.extend(equal.map(|value| Test::Any(vec![value.into()])));
        tests.extend(any.map(|values| Test::Any(values.into_iter().map(Into::into).collect())));
        if let Some(range) = range {
            tests.push(range.into_test(&format!("{pointer}/range"))?);
        }
        tests.extend(exists.map(Test::Exists));
        match (key, tests.pop(), tests.is_empty(), nested) {
            (Some(key), Some(test), true, false) => Ok(Condition::Key { key, test }),
            (None, None, _, true) => {
                let [must, should, must_not] = [must, should, must_not].map(Option::unwrap_or_default);
                let nested = FilterRequest { must, should, must_not };
                Ok(Condition::Filter(self.filter(nested, pointer, depth + 1)?))
            }
            _ => Err(ApiError::invalid_at(
                pointer,
                "a condition is a `key` with exactly one of `match`, `any`, `range` and `exists`, or a filter of `must`, \
                 `should` and `must_not` without a `key`",
            )),
        }
    }

    fn count(&mut self, conditions: usize, pointer: &str) -> Result<(), ApiError> {
        let left = self.left.checked_sub(conditions).ok_or_else(|| {
            let most = self.most;
            let rule =
                format!("a filter may have {most} conditions, each value of an `any` counted; this one has more");
            ApiError::invalid_at(pointer, rule)
        })?;
        self.left = left;
        Ok(())
    }
}

impl From<ScalarRequest> for Scalar {
    fn from(value: ScalarRequest) -> Self {
        match value {
            ScalarRequest::Text(text) => Self::Text(text),
            ScalarRequest::Number(number) => Self::Number(Number::from(&number)),
            ScalarRequest::Boolean(boolean) => Self::Boolean(boolean),
        }
    }
}

impl RangeRequest {
    fn into_test(self, pointer: &str) -> Result<Test, ApiError> {
        let bound = |open: Option<&serde_json::Number>, closed: Option<&serde_json::Number>| match (open, closed) {
            (None, None) => Ok(Bound::Unbounded),
            (Some(open), None) => Ok(Bound::Excluded(open.into())),
            (None, Some(closed)) => Ok(Bound::Included(closed.into())),
            (Some(_), Some(_)) => Err(ApiError::invalid_at(
                pointer,
                "a range has one of `gt` and `gte`, and one of `lt` and `lte`, not both",
            )),
        };
        let lower = bound(self.gt.as_ref(), self.gte.as_ref())?;
        let upper = bound(self.lt.as_ref(), self.lte.as_ref())?;
        if (lower, upper) == (Bound::Unbounded, Bound::Unbounded) {
            return Err(ApiError::invalid_at(pointer, "a range needs at least one of `gt`, `gte`, `lt` and `lte`"));
        }
        Ok(Test::Range(lower, upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Filter, ApiError> {
        from_parameter(json)?.into_filter(&SearchLimits { max_filter_conditions: 5, ..SearchLimits::default() })
    }

    fn complaint(json: &str) -> (String, String) {
        match parse(json) {
            Err(ApiError::Invalid { pointer: Some(pointer), detail }) => (pointer, detail),
            other => panic!("{json} gives {other:?}"),
        }
    }

    fn nested(depth: usize) -> String {
        let inner = r#"{"key": "a", "exists": true}"#.to_owned();
        let condition = (0..depth).fold(inner, |inner, _| format!(r#"{{"must": [{inner}]}}"#));
        format!(r#"{{"must": [{condition}]}}"#)
    }

    #[test]
    fn every_form_of_a_condition_is_read() {
        let filter = parse(
            r#"{"must": [{"key": "a", "match": "x"}, {"key": "b", "range": {"gt": 1, "lte": 2.5}}],
                "should": [{"key": "c", "exists": false}],
                "must_not": [{"should": [{"key": "d", "any": [7]}]}]}"#,
        );

        let number = |json: &str| Number::from(&serde_json::from_str(json).unwrap());
        let on = |key: &str, test| Condition::Key { key: key.to_owned(), test };
        let any = Test::Any(vec![Scalar::Number(number("7"))]);
        let expected = Filter {
            must: vec![
                on("a", Test::Any(vec![Scalar::Text("x".to_owned())])),
                on("b", Test::Range(Bound::Excluded(number("1")), Bound::Included(number("2.5")))),
            ],
            should: vec![on("c", Test::Exists(false))],
            must_not: vec![Condition::Filter(Filter { should: vec![on("d", any)], ..Filter::default() })],
        };
        assert_eq!(filter.unwrap(), expected);
        assert_eq!(parse("{}").unwrap(), Filter::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let wrong = [
            (r#"{"most": []}"#, "/filter/most", "unknown field"),
            (r#"{"must": {}}"#, "/filter/must", "expected a sequence"),
            (r#"{"must": [{"key": "a", "equals": 1}]}"#, "/filter/must/0/equals", "unknown field"),
            (r#"{"must": [{"key": "a", "match": [1]}]}"#, "/filter/must/0/match", "a string, a number or a boolean"),
            (r#"{"should": [{"key": "a", "any": ["x", {}]}]}"#, "/filter/should/0/any/1", "a string, a number"),
            (r#"{"must": [{"key": "a", "range": {"above": 1}}]}"#, "/filter/must/0/range/above", "unknown field"),
            (r#"{"must": [{"key": "a", "range": {"gt": "1"}}]}"#, "/filter/must/0/range/gt", "number"),
            (r#"{"must": [{"key": "a", "range": {}}]}"#, "/filter/must/0/range", "at least one"),
            (r#"{"must": [{"key": "a", "range": {"gt": 1, "gte": 1}}]}"#, "/filter/must/0/range", "not both"),
            (r#"{"must_not": [{"key": "a"}]}"#, "/filter/must_not/0", "exactly one"),
            (r#"{"must_not": [{"match": 1}]}"#, "/filter/must_not/0", "exactly one"),
            (r#"{"must": [{"key": "a", "match": 1, "exists": true}]}"#, "/filter/must/0", "exactly one"),
            (r#"{"must": [{"key": "a", "must": []}]}"#, "/filter/must/0", "exactly one"),
            (r#"{"must": [{"must": [{}]}]}"#, "/filter/must/0/must/0", "exactly one"),
            (r#"{"must": [{"key": "a", "any": [1, 2, 3, 4, 5, 6]}]}"#, "/filter/must/0", "5 conditions"),
        ];
        for (json, pointer, word) in wrong {
            let (found, detail) = complaint(json);
            assert_eq!(found, pointer, "{json}: {detail}");
            assert!(detail.contains(word), "{json}: {detail}");
        }
        assert!(complaint(r#"{"must": ["#).1.contains("EOF"));
    }

    #[test]
    fn depth_and_number_of_conditions_are_bounded() {
        let roomy = |json: &str| from_parameter(json)?.into_filter(&SearchLimits::default());
        assert!(roomy(&nested(MAX_DEPTH)).is_ok() && roomy(&nested(MAX_DEPTH + 1)).is_err());
        assert!(roomy(&nested(100_000)).is_err(), "deeper than the stack would bear");

        let some =
            |count: usize| format!(r#"{{"must": [{}]}}"#, vec![r#"{"key": "a", "exists": true}"#; count].join(","));
        assert!(parse(&some(5)).is_ok() && parse(&some(6)).is_err());
    }
}
