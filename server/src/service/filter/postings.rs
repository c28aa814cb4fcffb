//! The items that have one value.

use roaring::RoaringTreemap;

/// Numbers of items. Values that differ from item to item, such as names, have one item each, which then costs 8 bytes.
pub(super) enum Postings {
    One(u64),
    Many(RoaringTreemap),
}

impl Postings {
    pub(super) fn insert(&mut self, number: u64) {
        match self {
            Self::One(only) if *only == number => {}
            Self::One(only) => *self = Self::Many([*only, number].into_iter().collect()),
            Self::Many(numbers) => drop(numbers.insert(number)),
        }
    }

    /// Whether nothing is left.
    #[must_use]
    pub(super) fn remove(&mut self, number: u64) -> bool {
        match self {
            Self::One(only) => *only == number,
            Self::Many(numbers) => {
                numbers.remove(number);
                numbers.is_empty()
            }
        }
    }

    pub(super) fn add_to(&self, sum: &mut RoaringTreemap) {
        match self {
            Self::One(only) => drop(sum.insert(*only)),
            Self::Many(numbers) => *sum |= numbers,
        }
    }
}
