//! Which test pictures search, and which are searched.

use anyhow::ensure;
use holdfast_attack::Protocol;
use holdfast_trainer::config::EvaluationConfig;
use holdfast_trainer::dataset::Dataset;

/// Indices into a test set.
#[derive(Debug, PartialEq, Eq)]
pub struct TestPictures {
    /// What is searched.
    pub gallery: Vec<usize>,
    /// What searches; absent where the gallery searches itself.
    pub queries: Option<Vec<usize>>,
}

/// The first test pictures of each role, at most `evaluation.gallery` of each. Pictures that could find none of their
/// class are left out, and that is told.
///
/// # Errors
/// If the data does not tell queries from gallery and the protocol needs that, or nothing could find anything.
pub fn choose(test: &Dataset, evaluation: &EvaluationConfig) -> anyhow::Result<TestPictures> {
    match evaluation.protocol {
        Protocol::LeaveOneOut => Ok(TestPictures { gallery: together(test, evaluation.gallery)?, queries: None }),
        Protocol::QueryGallery => apart(test, evaluation.gallery),
    }
}

fn together(test: &Dataset, size: usize) -> anyhow::Result<Vec<usize>> {
    let size = size.min(test.len());
    let members = members(test, 0..size);
    let gallery: Vec<usize> = (0..size).filter(|&picture| members[test.labels[picture] as usize] > 1).collect();
    ensure!(!gallery.is_empty(), "no two of the first {size} test pictures share a class; use a larger gallery");
    if gallery.len() < size {
        eprintln!("note: {} test pictures are alone in their class and left out", size - gallery.len());
    }
    Ok(gallery)
}

fn apart(test: &Dataset, size: usize) -> anyhow::Result<TestPictures> {
    ensure!(
        !test.queries.is_empty(),
        "{} does not tell queries from gallery: use the protocol leave_one_out, or a manifest with the splits query and \
         gallery",
        test.name
    );
    let searched = |picture: &usize| test.queries.binary_search(picture).is_err();
    let gallery: Vec<usize> = (0..test.len()).filter(searched).take(size).collect();
    let members = members(test, gallery.iter().copied());
    let has_match = |picture: &usize| members[test.labels[*picture] as usize] > 0;
    let all: Vec<usize> = test.queries.iter().copied().take(size).collect();
    let queries: Vec<usize> = all.iter().copied().filter(has_match).collect();
    ensure!(
        !queries.is_empty(),
        "none of the {} queries has a picture of its class in the gallery of {}; use a larger gallery",
        all.len(),
        gallery.len()
    );
    if queries.len() < all.len() {
        eprintln!(
            "note: {} queries have no picture of their class in the gallery and are left out",
            all.len() - queries.len()
        );
    }
    Ok(TestPictures { gallery, queries: Some(queries) })
}

/// How many of these pictures each class has.
fn members(test: &Dataset, pictures: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut members = vec![0; test.classes.len()];
    for picture in pictures {
        members[test.labels[picture] as usize] += 1;
    }
    members
}

#[cfg(test)]
mod tests {
    use holdfast_model::InputShape;

    use super::*;

    /// Queries are the pictures 1, 4 and 5.
    fn test_set(labels: &[u32]) -> Dataset {
        let input = InputShape { channels: 1, height: 1, width: 1 };
        let classes = (0..4).map(|class| class.to_string()).collect();
        let all = Dataset::kept("birds", input, vec![0; labels.len()], labels.to_vec(), classes);
        Dataset { queries: vec![1, 4, 5], ..all }
    }

    fn choose(test: &Dataset, protocol: Protocol, gallery: usize) -> anyhow::Result<TestPictures> {
        super::choose(test, &EvaluationConfig { protocol, gallery, ..EvaluationConfig::default() })
    }

    #[test]
    fn each_picture_searches_among_the_others_unless_it_is_alone_in_its_class() {
        let test = test_set(&[0, 0, 1, 2, 1, 3]);

        let chosen = choose(&test, Protocol::LeaveOneOut, 100).unwrap();

        assert_eq!(chosen, TestPictures { gallery: vec![0, 1, 2, 4], queries: None });
    }

    #[test]
    fn queries_search_among_the_others_unless_their_class_is_not_there() {
        let test = test_set(&[0, 0, 1, 2, 1, 3]);

        let chosen = choose(&test, Protocol::QueryGallery, 100).unwrap();
        let fewer = choose(&test, Protocol::QueryGallery, 1).unwrap();

        assert_eq!(chosen, TestPictures { gallery: vec![0, 2, 3], queries: Some(vec![1, 4]) });
        assert_eq!(fewer, TestPictures { gallery: vec![0], queries: Some(vec![1]) });
    }

    #[test]
    fn what_can_find_nothing_is_refused_with_a_way_out() {
        let complaint = |test: &Dataset, protocol| choose(test, protocol, 100).unwrap_err().to_string();
        let strangers = test_set(&[0, 1, 0, 0, 1, 1]);
        let without_roles = Dataset { queries: Vec::new(), ..test_set(&[0, 0, 1, 1, 2, 2]) };

        let message = complaint(&strangers, Protocol::QueryGallery);
        assert!(message.contains("none of the 3 queries") && message.contains("gallery of 3"), "{message}");
        let message = complaint(&without_roles, Protocol::QueryGallery);
        assert!(message.contains("birds") && message.contains("leave_one_out"), "{message}");
        let alone = complaint(&test_set(&[0, 1, 2]), Protocol::LeaveOneOut);
        assert!(alone.contains("share a class"), "{alone}");
    }
}
