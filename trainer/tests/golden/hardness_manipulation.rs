//! Hardness manipulation, step by step: objectives, pixels, hardness, losses and parameter gradients.

use candle_core::{DType, Tensor};
use holdfast_attack::Step;
use holdfast_model::Embedder;
use holdfast_model::testing::{Golden, assert_close, values};
use holdfast_trainer::defense::gradual_adversary::Gradual;
use holdfast_trainer::defense::hardness_manipulation::climb::Coverage;
use holdfast_trainer::defense::hardness_manipulation::{
    HardnessManipulation, HardnessManipulationConfig, Manipulated, hardness_to_reach,
};
use holdfast_trainer::defense::intra_class_structure::IntraClassStructure;
use holdfast_trainer::miner::Triplets;
use holdfast_trainer::triplet::Embedded;

use crate::{RELATIVE, World, budget, gathered, pictures, triplets};

/// Where the recorded run took its destination from.
#[derive(Clone, Copy, PartialEq)]
enum Destination {
    Mined,
    Gradual,
    /// Source and destination miner are the same: nothing moves.
    Nowhere,
}

/// Whether the recorded loss has the intra-class structure term.
#[derive(Clone, Copy, PartialEq)]
enum Structure {
    With,
    Without,
}

macro_rules! fixtures {
    ($($test:ident: $file:literal, $destination:ident, $structure:ident;)*) => {
        $(#[test]
        fn $test() {
            compare($file, Destination::$destination, Structure::$structure);
        })*
    };
}

fixtures! {
    distance_to_hardest_agrees: "hm_D_H", Mined, Without;
    semihard_to_random_agrees_and_stops_early: "hm_M_R_earlystop", Mined, Without;
    random_to_semihard_agrees: "hm_R_M", Mined, Without;
    one_step_goes_the_whole_radius: "hm_R_M_eta1", Mined, Without;
    a_small_radius_is_projected_to: "hm_R_M_smalleps", Mined, Without;
    random_to_gradual_with_structure_agrees: "hm_R_gLGA_ICS", Gradual, With;
    softhard_to_semihard_agrees: "hm_S_M", Mined, Without;
    softhard_to_semihard_with_structure_agrees: "hm_S_M_ICS", Mined, With;
    the_same_miner_twice_moves_nothing: "hm_S_S_noop", Nowhere, With;
    softhard_to_gradual_with_structure_agrees: "hm_S_gLGA_ICS", Gradual, With;
    softhard_to_gradual_in_two_steps_agrees: "hm_S_gLGA_eta2", Gradual, Without;
    softhard_to_gradual_in_the_first_step_agrees: "hm_S_gLGA_first", Gradual, Without;
    softhard_to_gradual_later_agrees: "hm_S_gLGA_l0.06", Gradual, Without;
}

/// A recorded run in one precision, and ours on the same triplets.
struct Run {
    golden: Golden,
    prefix: &'static str,
    world: World,
    source: Triplets,
    destination: Option<Tensor>,
    /// Triplets whose source is their destination: whether they move is decided by rounding noise.
    ties: Vec<bool>,
}

/// A run's result, and the pixels after each of its updates.
struct Result {
    step: Manipulated,
    pixels_after: Vec<Tensor>,
}

fn compare(file: &str, destination: Destination, structure: Structure) {
    let Some(run) = Run::open(file, "f64/", DType::F64, destination) else { return };
    for coverage in [Coverage::Every, Coverage::Moving] {
        let result = run.ours(structure, coverage);
        run.assert_pixels(&result);
        if run.ties_agree(&result) {
            run.assert_numbers(&result);
        }
    }
    let Some(run) = Run::open(file, "f32/", DType::F32, destination) else { return };
    run.assert_similar(&run.ours(structure, Coverage::Moving));
}

impl Run {
    fn open(file: &str, prefix: &'static str, dtype: DType, from: Destination) -> Option<Self> {
        let (golden, world) = (Golden::open(file)?, World::open(dtype)?);
        let source = triplets(&golden, &format!("{prefix}src"));
        let mined = triplets(&golden, &format!("{prefix}dst"));
        let tie = |i: usize| from == Destination::Mined && source.triplet(i) == mined.triplet(i);
        let ties = (0..source.len()).map(tie).collect();
        let recorded = golden.tensor(&format!("{prefix}HD")).to_dtype(dtype).unwrap();
        let destination = match from {
            Destination::Nowhere => None,
            Destination::Gradual => {
                // The file has no previous loss, but any destination of the function is one of these.
                let hardness = golden.scalar(&format!("{prefix}HD"));
                let again = Gradual::default().hardness(-hardness);
                assert!((again - hardness).abs() < 1e-6, "{hardness} is no gradual destination");
                Some(recorded.broadcast_as(source.len()).unwrap().contiguous().unwrap())
            }
            Destination::Mined => {
                let embeddings = world.net.frozen().unwrap().embed(&world.images).unwrap();
                let hardness = mined.embedded(&embeddings).unwrap().hardness().unwrap();
                let relative = if dtype == DType::F64 { RELATIVE } else { 1e-5 };
                assert_close("HD", &values(&hardness), &values(&recorded), relative);
                Some(hardness_to_reach(&source, &mined, &embeddings).unwrap())
            }
        };
        Some(Self { golden, prefix, world, source, destination, ties })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn ours(&self, structure: Structure, coverage: Coverage) -> Result {
        let config = HardnessManipulationConfig {
            intra_class_structure: (structure == Structure::With).then(IntraClassStructure::default),
            pgd: budget(&self.golden, self.prefix),
            ..HardnessManipulationConfig::default()
        };
        let mut pixels_after = Vec::new();
        let mut observe = |step: &Step<'_>| pixels_after.push(step.pixels.clone());
        let mut defense = HardnessManipulation::new(config).covering(coverage);
        let World { net, images, .. } = &self.world;
        let embeddings = defense.embed(net, images).unwrap();
        let destination = self.destination.as_ref();
        let step = defense.loss_of(net, images, &embeddings, &self.source, destination, &mut observe).unwrap();
        Result { step, pixels_after }
    }

    /// Compares the rows of `[anchors; positives; negatives]` whose movement is not decided by noise.
    fn assert_pixels(&self, result: &Result) {
        let triplets = self.source.len();
        let compare = |name: &str, got: &Tensor| {
            let (got, want) = (pictures(got), pictures(&self.golden.tensor(&self.key(name))));
            for row in (0..3 * triplets).filter(|row| !self.ties[row % triplets]) {
                assert_close(&format!("{name}, row {row}"), &got[row], &want[row], RELATIVE);
            }
        };
        for (index, pixels) in result.pixels_after.iter().enumerate() {
            let name = format!("x_after_{}", index + 1);
            if self.golden.has(&self.key(&name)) {
                compare(&name, pixels);
            }
        }
        compare("x_final", &result.step.attack.pixels);
    }

    /// Whether noise decided the ties as in the recorded run, so that sums over all triplets can be compared.
    fn ties_agree(&self, result: &Result) -> bool {
        let (got, want) = (pictures(&result.step.attack.pixels), pictures(&self.golden.tensor(&self.key("x_final"))));
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < RELATIVE;
        let agree = got.iter().zip(&want).all(|(got, want)| got.iter().zip(want).all(near));
        if !agree {
            eprintln!("skipped: sums over all triplets, because noise moved a triplet that is its own destination");
        }
        agree
    }

    fn assert_numbers(&self, result: &Result) {
        let check = |name: &str, got: &[f64]| {
            assert_close(&self.key(name), got, &self.golden.f64s(&self.key(name)), RELATIVE);
        };
        check("J", &result.step.attack.objectives);
        check("pgd_iterations_run", &[result.step.attack.objectives.len() as f64]);
        check("HS_start", &values(&self.hardness_at_start()));
        check("HS_final", &values(&result.step.hardness));
        check("loss", &values(&result.step.loss));
        check("loss_adv", &[result.step.triplet]);
        if let Some(intra_class) = result.step.intra_class {
            check("loss_ics_unweighted", &[intra_class]);
        }
        let gradients = result.step.loss.backward().unwrap();
        self.world.assert_gradients(&self.golden, self.prefix, &gradients, RELATIVE);
    }

    fn hardness_at_start(&self) -> Tensor {
        let stack = [&self.source.anchors[..], &self.source.positives, &self.source.negatives].concat();
        let embeddings = self.world.net.embed(&gathered(&self.world.images, &stack)).unwrap();
        Embedded::split(&embeddings).unwrap().hardness().unwrap()
    }

    /// float32 runs follow the recorded one but for single pixels whose gradient is about 0.
    fn assert_similar(&self, result: &Result) {
        let triplets = self.source.len();
        let (got, want) = (pictures(&result.step.attack.pixels), pictures(&self.golden.tensor(&self.key("x_final"))));
        let compared: Vec<usize> = (0..3 * triplets).filter(|row| !self.ties[row % triplets]).collect();
        let differing = |row: &usize| got[*row].iter().zip(&want[*row]).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
        let different: usize = compared.iter().map(differing).sum();
        let pixels: usize = compared.iter().map(|&row| want[row].len()).sum();
        assert!(different * 100 <= pixels, "{different} of {pixels} pixels differ in float32");

        let (got, want) = (&result.step.attack.objectives, self.golden.f64s(&self.key("J")));
        let both = got.len().min(want.len());
        assert_close("J in float32", &got[..both], &want[..both], 1e-3);
    }
}
