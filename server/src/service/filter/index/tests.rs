//! The index against a look at every item.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Few keys and values, so that they meet.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "x", "y", "1", "true"]).prop_map(str::to_owned)
}

fn json_number() -> impl Strategy<Value = serde_json::Number> {
    let written = ["-1e300", "-1.5", "-1", "0", "-0.0", "1", "1.0", "9007199254740993", "9007199254740992.0", "1e300"];
    prop::sample::select(written.to_vec()).prop_map(|json| serde_json::from_str(json).unwrap())
}

fn value() -> impl Strategy<Value = MetadataValue> {
    prop_oneof![
        text().prop_map(MetadataValue::Text),
        json_number().prop_map(MetadataValue::Number),
        any::<bool>().prop_map(MetadataValue::Boolean),
        prop::collection::vec(text(), 0..4).prop_map(MetadataValue::Texts),
    ]
}

fn metadata() -> impl Strategy<Value = Metadata> {
    prop::collection::btree_map(key(), value(), 0..4).prop_map(|pairs| pairs.into_iter().collect())
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        text().prop_map(Scalar::Text),
        json_number().prop_map(|number| Scalar::Number(Number::from(&number))),
        any::<bool>().prop_map(Scalar::Boolean),
    ]
}

fn bound() -> impl Strategy<Value = Bound<Number>> {
    let number = || json_number().prop_map(|number| Number::from(&number));
    prop_oneof![number().prop_map(Bound::Included), number().prop_map(Bound::Excluded), Just(Bound::Unbounded)]
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        3 => prop::collection::vec(scalar(), 0..4).prop_map(Test::Any),
        2 => (bound(), bound()).prop_map(|(lower, upper)| Test::Range(lower, upper)),
        1 => any::<bool>().prop_map(Test::Exists),
    ]
}

fn filter_of(condition: impl Strategy<Value = Condition> + Clone) -> impl Strategy<Value = Filter> {
    let some = |most| prop::collection::vec(condition.clone(), 0..most);
    (some(3), some(3), some(2)).prop_map(|(must, should, must_not)| Filter { must, should, must_not })
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = (key(), test()).prop_map(|(key, test)| Condition::Key { key, test });
    let condition = leaf.prop_recursive(2, 12, 4, |inner| filter_of(inner).prop_map(Condition::Filter));
    filter_of(condition)
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64, Metadata),
    Remove(u64),
    Ask(Filter),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12_u64, metadata()).prop_map(|(number, metadata)| Step::Put(number, metadata)),
        1 => (0..12_u64).prop_map(Step::Remove),
        2 => filter().prop_map(Step::Ask),
    ];
    prop::collection::vec(step, 1..60)
}

/// An index, and the items that it should know.
#[derive(Default)]
struct Subject {
    index: FilterIndex,
    items: BTreeMap<u64, Metadata>,
}

impl Subject {
    fn remove(&mut self, number: u64) {
        if let Some(old) = self.items.remove(&number) {
            self.index.remove(number, &old);
        }
    }

    fn put(&mut self, number: u64, metadata: Metadata) {
        self.remove(number);
        self.index.insert(number, &metadata);
        self.items.insert(number, metadata);
    }

    fn answer(&mut self, filter: &Filter) -> Vec<u64> {
        let items = self.items.iter().map(|(&number, metadata)| (number, metadata));
        self.index.prepare(filter, &items);
        assert!(self.index.is_prepared(filter));
        self.index.matching(filter).iter().collect()
    }

    fn look_at_every_item(&self, filter: &Filter) -> Vec<u64> {
        self.items.iter().filter(|(_, metadata)| filter.matches(metadata)).map(|(&number, _)| number).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_a_look_at_every_item_finds(steps in steps()) {
        let mut subject = Subject::default();
        for step in steps {
            match step {
                Step::Put(number, metadata) => subject.put(number, metadata),
                Step::Remove(number) => subject.remove(number),
                Step::Ask(filter) => prop_assert_eq!(subject.answer(&filter), subject.look_at_every_item(&filter)),
            }
        }
        let numbers: Vec<u64> = subject.items.keys().copied().collect();
        prop_assert_eq!(subject.index.all().iter().collect::<Vec<_>>(), numbers);
    }
}

fn on(key: &str, test: Test) -> Filter {
    Filter { must: vec![Condition::Key { key: key.to_owned(), test }], ..Filter::default() }
}

#[test]
fn only_keys_that_filters_name_and_items_have_are_indexed() {
    let mut subject = Subject::default();
    let item = |json: &str| serde_json::from_str::<Metadata>(json).unwrap();
    subject.put(1, item(r#"{"a": "x", "b": 2}"#));
    let indexed = |subject: &Subject| {
        let keys = subject.index.keys.iter().filter(|(_, key)| key.values.is_some());
        keys.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };

    assert_eq!(subject.answer(&on("no such key", Test::Exists(false))), [1]);
    assert!(indexed(&subject).is_empty());
    assert_eq!(subject.answer(&on("a", Test::Exists(true))), [1]);
    assert_eq!(indexed(&subject), ["a"]);
    subject.remove(1);
    assert!(subject.index.keys.is_empty(), "nothing is kept of a key that no item has");
}
