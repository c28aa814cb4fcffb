//! Storing items: check, decode, embed, keep the picture, commit.

use std::sync::Arc;

use jiff::Timestamp;
use rayon::prelude::*;

use super::Service;
use super::batcher::Ticket;
use super::catalog::{Change, NewRow, Outcome, PictureRow};
use super::error::{Fault, ServiceError};
use super::generation::Generation;
use super::pictures::Claim;
use super::prepare::prepare;
use super::rules::check_id;
use super::view::{ItemView, NewItem};
use super::writer::Receipt;

/// An item whose picture has its embedding, or waits for it.
struct Embedding {
    item: NewItem,
    picture: PictureRow,
    vector: Vector,
}

/// The vector of a picture.
enum Vector {
    /// From the catalog: some item shows the same picture.
    Known(Vec<f32>),
    Awaited(Ticket),
}

/// An item that waits for its commit. The claim must outlive the commit.
struct Committing<'s> {
    id: String,
    receipt: Receipt,
    _claim: Claim<'s>,
}

impl Service {
    /// Stores items that fit into one batch of the embedder, and waits for them. Each succeeds or fails alone.
    pub(super) fn put_batch(&self, items: Vec<NewItem>) -> Vec<Result<ItemView, ServiceError>> {
        let generation = self.generation();
        let now = Timestamp::now();
        let decoded: Vec<_> = items.into_par_iter().map(|item| self.decode(item, &generation)).collect();
        // All are queued before the first is waited for, so that they share a forward pass and a commit.
        let embedding: Vec<_> = decoded.into_iter().map(|decoded| self.embed_item(decoded?, &generation)).collect();
        let committing: Vec<_> =
            embedding.into_iter().map(|embedding| self.commit(embedding?, &generation, now)).collect();
        committing.into_iter().map(|committing| committing?.wait()).collect()
    }

    fn decode(&self, item: NewItem, generation: &Generation) -> Result<(NewItem, PictureRow, Vec<f32>), ServiceError> {
        check_id(&item.id)?;
        item.metadata.check()?;
        let prepared = prepare(&item.picture, generation.manifest.input, &self.limits, &self.metrics)?;
        let picture = prepared.row(&item.picture);
        Ok((item, picture, prepared.pixels))
    }

    /// Equal pictures get equal vectors: a forward pass differs in the last bit with the size of its batch.
    fn embed_item(
        &self,
        (item, picture, pixels): (NewItem, PictureRow, Vec<f32>),
        generation: &Generation,
    ) -> Result<Embedding, ServiceError> {
        let known = self.catalog.embedding(&picture.sha256, &generation.model)?;
        let vector = match known.filter(|vector| generation.index.check(vector).is_ok()) {
            Some(vector) => Vector::Known(vector),
            None => Vector::Awaited(generation.batcher.submit(pixels)?),
        };
        Ok(Embedding { item, picture, vector })
    }

    fn commit(
        &self,
        embedding: Embedding,
        generation: &Arc<Generation>,
        now: Timestamp,
    ) -> Result<Committing<'_>, ServiceError> {
        let Embedding { item: NewItem { id, picture: bytes, metadata }, picture, vector } = embedding;
        self.room.check()?;
        // The disk works while the net does.
        let claim = self.pictures.keep(picture.sha256, &bytes)?;
        let vector = match vector {
            Vector::Known(vector) => vector,
            Vector::Awaited(ticket) => ticket.wait()?.vector,
        };
        generation.check_embedding(&vector)?;
        let row = NewRow { id: id.clone(), metadata, picture, model: generation.model, vector, now };
        let receipt = self.writer.submit(Change::Put(row), Arc::clone(generation))?;
        Ok(Committing { id, receipt, _claim: claim })
    }
}

impl Committing<'_> {
    fn wait(self) -> Result<ItemView, ServiceError> {
        match self.receipt.wait()? {
            Outcome::Stored(row) => Ok(row.into_view(self.id)),
            Outcome::Deleted { .. } | Outcome::DeletedMany(_) | Outcome::Missing => Err(Fault::WrongOutcome.into()),
        }
    }
}
