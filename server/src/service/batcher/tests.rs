//! The embed thread, with a net that waits until it is told.

use std::sync::mpsc::channel;

use candle_core::{DType, Device, Tensor};
use holdfast_model::{EmbeddingNet, InputShape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const SHAPE: InputShape = InputShape { channels: 1, height: 1, width: 2 };

/// Gives the pixels back as embeddings, when it is told to; panics on negative ones.
struct Gated {
    entered: SyncSender<usize>,
    proceed: Mutex<Receiver<()>>,
}

impl Embedder for Gated {
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let _ = self.entered.send(pixels.dim(0)?);
        let _ = self.proceed.lock().unwrap().recv();
        let embeddings = pixels.flatten_from(1)?;
        assert!(embeddings.min_all()?.to_scalar::<f32>()? >= 0.0, "negative pixels");
        Ok(embeddings)
    }

    fn input(&self) -> InputShape {
        SHAPE
    }

    fn dim(&self) -> usize {
        SHAPE.len()
    }

    fn dtype(&self) -> DType {
        DType::F32
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }
}

/// A batcher, what tells the size of each pass that begins, and what lets a pass end.
fn gated(max_queue: usize) -> (Batcher, Receiver<usize>, std::sync::mpsc::Sender<()>) {
    let ((entered, sizes), (release, proceed)) = (sync_channel(100), channel());
    let embedder = Arc::new(Gated { entered, proceed: Mutex::new(proceed) });
    let config = EmbedConfig { max_batch: 3, max_wait_milliseconds: 0, max_queue };
    (Batcher::start(embedder, &config, Arc::default()).unwrap(), sizes, release)
}

fn submit(batcher: &Batcher, value: f32) -> Ticket {
    batcher.submit(vec![value; 2]).unwrap()
}

#[test]
fn pictures_that_wait_during_a_pass_share_the_next_one_up_to_the_limit() {
    let (batcher, sizes, release) = gated(10);
    let mut tickets = vec![submit(&batcher, 0.0)];
    assert_eq!(sizes.recv(), Ok(1));
    tickets.extend((1..5_u8).map(|value| submit(&batcher, f32::from(value))));
    drop(release);

    for (value, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(ticket.wait().unwrap().vector, [value as f32; 2]);
    }
    assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let (batcher, sizes, release) = gated(2);
    let tickets = [submit(&batcher, 0.0)];
    assert_eq!(sizes.recv(), Ok(1));
    let waiting = [submit(&batcher, 1.0), submit(&batcher, 2.0)];

    let refused = batcher.submit(vec![3.0; 2]).map(|_| ());

    assert!(matches!(refused, Err(ServiceError::Overloaded { .. })));
    assert_eq!(batcher.metrics.embed_queue_depth.get(), 2);
    drop(release);
    assert!(tickets.into_iter().chain(waiting).all(|ticket| ticket.wait().is_ok()));
    assert_eq!(batcher.metrics.embed_queue_depth.get(), 0);
}

#[test]
fn pictures_whose_clients_left_are_not_embedded() {
    let (batcher, sizes, release) = gated(10);
    let first = submit(&batcher, 0.0);
    assert_eq!(sizes.recv(), Ok(1));
    drop(submit(&batcher, 1.0));
    let stays = submit(&batcher, 2.0);
    drop(release);

    assert!(first.wait().is_ok() && stays.wait().is_ok());
    assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_pass_that_panics_costs_only_its_batch() {
    let (batcher, _sizes, release) = gated(10);
    drop(release);

    let failed = submit(&batcher, -1.0).wait();

    assert!(matches!(failed, Err(ServiceError::Internal(Fault::Embedding))));
    assert!(submit(&batcher, 1.0).wait().is_ok());
}

#[test]
fn stopping_embeds_what_waits_and_refuses_what_comes() {
    let (batcher, sizes, release) = gated(10);
    let tickets = [submit(&batcher, 0.0), submit(&batcher, 1.0)];
    assert!(sizes.recv().is_ok());
    drop(release);

    batcher.stop();

    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert!(matches!(batcher.submit(vec![0.0; 2]), Err(ServiceError::NotReady)));
}

#[test]
fn a_picture_has_the_same_embedding_alone_and_in_a_batch() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let net = EmbeddingNet::init("c3f1", &Device::Cpu, DType::F32, rng).unwrap();
    let pictures: Vec<Vec<f32>> = (0..7).map(|_| (0..net.input().len()).map(|_| rng.random()).collect()).collect();

    let together = embed(&net, &pictures).unwrap();

    for (picture, expected) in pictures.iter().zip(together) {
        let alone = embed(&net, std::slice::from_ref(picture)).unwrap().remove(0);
        let largest = alone.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Sums of the same numbers in another order.
        assert!(largest < 1e-5, "{largest}");
    }
}
