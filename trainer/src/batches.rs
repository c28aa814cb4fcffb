//! The batches of a run, prepared while the step before is computed.
//!
//! Which pictures come together depends on the seed; which window of a picture is seen depends on (seed, step, row). So the
//! batches are the same to the bit however many are prepared ahead, on however many threads, and from whichever step on.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use candle_core::{DType, Device};
use holdfast_model::InputShape;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::batch::Batch;
use crate::config::TrainConfig;
use crate::dataset::{Dataset, DatasetError, tensor};
use crate::error;
use crate::random::{Purpose, augmentation, stream};
use crate::sampler::PairSampler;

/// The batches of a run, one a step, without end.
///
/// At most `data.prefetch` of them wait, as bytes: 150 kB for a picture of 224 × 224.
pub struct Batches {
    source: Source,
    input: InputShape,
}

enum Source {
    Inline(Box<Draw>),
    Ahead(Ahead),
}

impl Batches {
    /// The batches from this step on, counted from 1. No picture of an earlier step is read.
    #[must_use]
    pub fn starting_at(step: usize, dataset: &Dataset, config: &TrainConfig) -> Self {
        let draw = Draw::starting_at(step, dataset.clone(), config);
        let source = match config.data.prefetch {
            0 => Source::Inline(Box::new(draw)),
            depth => Source::Ahead(Ahead::new(draw, depth)),
        };
        Self { source, input: dataset.input }
    }

    /// The batch of the next step. Waits until it is prepared.
    ///
    /// # Errors
    /// If a picture of it cannot be read, with its file, or the device refuses.
    pub fn next_batch(&mut self, device: &Device, dtype: DType) -> error::Result<Batch> {
        let drawn = match &mut self.source {
            Source::Inline(draw) => draw.next()?,
            Source::Ahead(ahead) => ahead.next()?,
        };
        Batch::new(tensor(&drawn.pixels, self.input, device, dtype)?, drawn.labels)
    }
}

/// What a step trains on, not yet on a device: whole pictures of bytes, and their labels.
struct Drawn {
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

/// Draws pairs and looks up their pictures.
struct Draw {
    dataset: Dataset,
    sampler: PairSampler,
    sampling: ChaCha8Rng,
    seed: u64,
    step: usize,
}

impl Draw {
    fn starting_at(step: usize, dataset: Dataset, config: &TrainConfig) -> Self {
        let mut sampler = PairSampler::new(&dataset.labels, config.pairs);
        let mut sampling = stream(config.seed, Purpose::Sampling);
        for _earlier in 1..step {
            sampler.next_batch(&mut sampling);
        }
        Self { dataset, sampler, sampling, seed: config.seed, step }
    }

    fn next(&mut self) -> Result<Drawn, DatasetError> {
        let (step, pictures) = (self.step, self.sampler.next_batch(&mut self.sampling));
        self.step += 1;
        let rows: Vec<Vec<u8>> = (pictures.par_iter().enumerate())
            .map(|(row, &picture)| self.dataset.augmented(picture, &mut augmentation(self.seed, step, row)))
            .collect::<Result<_, _>>()?;
        let labels = pictures.iter().map(|&picture| self.dataset.labels[picture]).collect();
        Ok(Drawn { pixels: rows.concat(), labels })
    }
}

/// A thread that draws ahead of whoever takes.
struct Ahead {
    /// Absent once nobody takes any more, which ends the thread.
    batches: Option<Receiver<Result<Drawn, DatasetError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    fn new(mut draw: Draw, depth: usize) -> Self {
        // One more than wait here is in the thread's hand.
        let (ready, batches) = sync_channel(depth - 1);
        let thread = std::thread::spawn(move || while ready.send(draw.next()).is_ok() {});
        Self { batches: Some(batches), thread: Some(thread) }
    }

    fn next(&mut self) -> Result<Drawn, DatasetError> {
        let taken = self.batches.as_ref().and_then(|batches| batches.recv().ok());
        taken.unwrap_or_else(|| match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => resume_unwind(panic),
            _ => unreachable!("the thread ends only if it panics, or once nobody takes batches. This is a bug."),
        })
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.batches = None;
        // A panic of the thread is told by `next`; whoever does not ask for a batch does not need it.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
