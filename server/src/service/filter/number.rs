//! JSON numbers in their exact order.

use std::cmp::Ordering;

/// A number of JSON. Numbers that are written differently and are the same, such as 1 and 1.0, are equal; two that differ are
/// not, even where an f64 could not tell them apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(Exact);

/// Each number has one form.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Exact {
    Integer(i128),
    /// With a fraction, or of a size that no `i128` has.
    Other(f64),
}

/// 2¹²⁷, the first integer above those of `i128`.
const BEYOND: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

impl From<&serde_json::Number> for Number {
    fn from(number: &serde_json::Number) -> Self {
        if let Some(integer) = number.as_i128() {
            return Self(Exact::Integer(integer));
        }
        let number = number.as_f64().expect("a JSON number is an integer or an f64. This is a bug.");
        // Zero without its sign is an integer, too.
        let is_integer = number.trunc() == number && (-BEYOND..BEYOND).contains(&number);
        Self(if is_integer { Exact::Integer(number as i128) } else { Exact::Other(number) })
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Exact::Integer(a), Exact::Integer(b)) => a.cmp(&b),
            (Exact::Other(a), Exact::Other(b)) => a.total_cmp(&b),
            (Exact::Integer(a), Exact::Other(b)) => compare(a, b),
            (Exact::Other(a), Exact::Integer(b)) => compare(b, a).reverse(),
        }
    }
}

/// An integer against a number that is none.
fn compare(integer: i128, other: f64) -> Ordering {
    if other >= BEYOND {
        return Ordering::Less;
    }
    if other < -BEYOND {
        return Ordering::Greater;
    }
    // They differ, so an integer that is not above the floor is below the number.
    if integer <= other.floor() as i128 { Ordering::Less } else { Ordering::Greater }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Number {}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(json: &str) -> Number {
        Number::from(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn numbers_stand_in_their_exact_order() {
        let ascending = [
            "-1e300",
            "-1e40",
            "-9223372036854775808",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "5e-324",
            "0.1",
            "1",
            "1.5",
            "2",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "1e30",
            "1e300",
        ];
        for (at, low) in ascending.iter().enumerate() {
            for (other_at, high) in ascending.iter().enumerate() {
                assert_eq!(number(low).cmp(&number(high)), at.cmp(&other_at), "{low} and {high}");
            }
        }
    }

    #[test]
    fn the_same_number_in_two_writings_is_equal() {
        for (one, other) in
            [("1", "1.0"), ("0", "-0.0"), ("100", "1e2"), ("18446744073709551616", "1.8446744073709552e19")]
        {
            assert_eq!(number(one), number(other));
            assert_eq!(number(one).cmp(&number(other)), Ordering::Equal);
        }
    }
}
