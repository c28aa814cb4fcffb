//! Training without a defense.

use candle_core::DType;
use holdfast_model::Embedder;
use holdfast_model::testing::{Golden, assert_close, values};
use holdfast_trainer::defense::vanilla::{Vanilla, VanillaConfig};

use crate::{RELATIVE, World, triplets};

#[test]
fn regular_triplet_loss_and_its_parameter_gradients_agree() {
    for (prefix, dtype, relative) in [("f64/", DType::F64, RELATIVE), ("f32/", DType::F32, 1e-4)] {
        let Some(golden) = Golden::open("defense_regular_pstripletN") else { return };
        let Some(world) = World::open(dtype) else { return };

        let embeddings = world.net.embed(&world.images).unwrap();
        let triplets = triplets(&golden, &format!("{prefix}mined0"));
        let step = Vanilla::new(VanillaConfig::default()).loss_of(&embeddings, &triplets).unwrap();

        let key = format!("{prefix}loss");
        assert_close(&key, &values(&step.loss), &golden.f64s(&key), relative);
        world.assert_gradients(&golden, prefix, &step.loss.backward().unwrap(), relative);
    }
}
