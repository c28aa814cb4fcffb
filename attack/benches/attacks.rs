//! How long one update of each attack takes: the net's part, which all share, and the loss's own; and a whole evaluation.
//!
//! `cargo bench -p holdfast-attack`. One batch of queries against the gallery of an evaluation; milliseconds an update.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use holdfast_attack::{
    ERS_ATTACKS, EvaluateOptions, Labelled, Pictures, Profile, Protocol, Queries, RankingAttack, Rules, TestSet,
    attack_batch, evaluate,
};
use holdfast_model::{Embedder, EmbeddingNet, EmbeddingSet, InputShape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const BACKBONE: &str = "c2f2";
const CLASSES: usize = 10;
const GALLERY: usize = 10_000;
const QUERIES: usize = 128;
/// Updates of a whole attack; an evaluation makes 32, so what is done once a batch weighs four times as much here.
const STEPS: usize = 8;
const REPETITIONS: usize = 11;

fn main() {
    let world = World::new();
    let threads = rayon::current_num_threads();
    println!("{BACKBONE}, {QUERIES} queries, gallery of {GALLERY}, {threads} threads (milliseconds an update)");
    println!("net: {:.1} (median of {REPETITIONS})", world.net_part());
    println!("{:<8} {:>16} {:>22}", "attack", "loss (median)", format!("whole, of {STEPS} updates"));
    for attack in ERS_ATTACKS {
        println!("{:<8} {:>16.2} {:>22.1}", attack.name(), world.loss_part(*attack), world.whole(*attack));
    }
    println!("evaluation of one batch, all attacks, with the gallery: {:.1} s", world.evaluation());
}

/// Pictures of a few patterns under noise, and the net that embeds them.
struct World {
    net: EmbeddingNet,
    pixels: Tensor,
    gallery: EmbeddingSet,
    labels: Vec<u32>,
    profile: Profile,
}

impl World {
    fn new() -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let net = EmbeddingNet::init(BACKBONE, &Device::Cpu, DType::F32, rng).expect("a registered backbone");
        let InputShape { channels, height, width } = net.input();
        let picture = net.input().len();
        let patterns: Vec<f32> = (0..CLASSES * picture).map(|_| rng.random()).collect();
        let labels: Vec<u32> = (0..GALLERY).map(|row| (row % CLASSES) as u32).collect();
        let pattern = |index: usize| patterns[(index / picture) % CLASSES * picture + index % picture];
        let values = (0..GALLERY * picture).map(|index| 0.5 * pattern(index) + 0.5 * rng.random::<f32>());
        let shape = (GALLERY, channels, height, width);
        let pixels = Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &Device::Cpu).expect("pictures");
        let rows = (0..GALLERY).step_by(QUERIES).map(|start| {
            let batch = pixels.narrow(0, start, QUERIES.min(GALLERY - start)).expect("a batch");
            net.embed(&batch).expect("embeddings").detach()
        });
        let rows = Tensor::cat(&rows.collect::<Vec<_>>(), 0).expect("a matrix");
        let gallery = EmbeddingSet::new(rows, Some(labels.clone())).expect("a gallery");
        let profile = Profile { steps: STEPS, batch: QUERIES, ..Profile::preset("rob28").expect("a preset") };
        Self { net, pixels, gallery, labels, profile }
    }

    fn rules(&self) -> Rules {
        self.profile.rules().expect("a budget")
    }

    fn batch(&self) -> Tensor {
        self.pixels.narrow(0, 0, QUERIES).expect("a batch")
    }

    /// Forward and gradient of the pixels, under a loss that costs nothing.
    fn net_part(&self) -> f64 {
        let batch = self.batch();
        median(|| {
            let pixels = Var::from_tensor(&batch).expect("a variable");
            let loss = self.net.embed(&pixels).and_then(|rows| Ok(rows.sum_all()?)).expect("a scalar");
            drop(loss.backward().expect("gradients"));
        })
    }

    /// The loss and its gradient in the embeddings, on the way: a little beside where the queries started.
    fn loss_part(&self, attack: &dyn RankingAttack) -> f64 {
        let start = self.gallery.embeddings.narrow(0, 0, QUERIES).expect("rows");
        let labels = &self.labels[..QUERIES];
        let queries = Queries::new(start, Some(labels), Protocol::LeaveOneOut, &self.gallery).expect("queries");
        let aim =
            attack.aim(&queries, &self.gallery, &self.rules(), &mut ChaCha8Rng::seed_from_u64(2)).expect("an aim");
        let beside = self.batch().affine(0.8, 0.1).expect("pictures");
        let beside = self.net.embed(&beside).expect("embeddings").detach();
        median(|| {
            let embeddings = Var::from_tensor(&beside).expect("a variable");
            drop(aim.loss(1, &embeddings).expect("a loss").backward().expect("gradients"));
        })
    }

    /// One attack on the batch, all that belongs to it included.
    fn whole(&self, attack: &dyn RankingAttack) -> f64 {
        let (pixels, labels) = (self.batch(), Some(&self.labels[..QUERIES]));
        let pictures = Pictures { pixels: &pixels, labels, protocol: Protocol::LeaveOneOut };
        let rng = &mut ChaCha8Rng::seed_from_u64(2);
        let start = Instant::now();
        attack_batch(&self.net, pictures, &self.gallery, attack, &self.rules(), rng).expect("an attack");
        start.elapsed().as_secs_f64() * 1e3 / STEPS as f64
    }

    fn evaluation(&self) -> f64 {
        let options = EvaluateOptions { profile: self.profile.clone(), queries: Some(QUERIES), seed: 1, sanity: 0 };
        let start = Instant::now();
        let set = TestSet::LeaveOneOut(Labelled { pixels: &self.pixels, labels: &self.labels });
        evaluate(&self.net, &set, ERS_ATTACKS, &options, &mut |_, _, _| ()).expect("a report");
        start.elapsed().as_secs_f64()
    }
}

/// Milliseconds of `work`, the first run left out.
fn median(work: impl Fn()) -> f64 {
    let mut times: Vec<f64> = (0..=REPETITIONS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(1)
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
