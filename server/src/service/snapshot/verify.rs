//! A snapshot compared with what it should hold.

use super::format::{Line, SnapshotError};
use super::read::{Sink, VectorOf};
use crate::service::catalog::View;
use crate::service::digest::Digest;

/// Compares each thing with the catalog; the counts are those of the manifest, which came from it.
pub(super) struct Comparison<'v> {
    view: &'v View,
}

impl<'v> Comparison<'v> {
    pub(super) fn new(view: &'v View) -> Self {
        Self { view }
    }
}

impl Sink for Comparison<'_> {
    fn items(&mut self, items: Vec<Line>) -> Result<(), SnapshotError> {
        for Line { id, item } in items {
            let same = self.view.item(&id)?.is_some_and(|stored| stored == item);
            differs_unless(same, || format!("item \"{id}\""))?;
        }
        Ok(())
    }

    fn vectors(&mut self, vectors: Vec<VectorOf>) -> Result<(), SnapshotError> {
        for (picture, model, vector) in vectors {
            let bits = |vector: &[f32]| vector.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            let same = self.view.embedding(&picture, &model)?.is_some_and(|stored| bits(&stored) == bits(&vector));
            differs_unless(same, || format!("a vector of picture {picture}"))?;
        }
        Ok(())
    }

    fn picture(&mut self, sha256: Digest, _content: Vec<u8>) -> Result<(), SnapshotError> {
        differs_unless(self.view.shows(&sha256)?, || format!("picture {sha256}"))
    }
}

fn differs_unless(same: bool, what: impl Fn() -> String) -> Result<(), SnapshotError> {
    if same { Ok(()) } else { Err(SnapshotError::NotAsWritten { what: what() }) }
}
