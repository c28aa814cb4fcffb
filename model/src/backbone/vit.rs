//! Vision transformers for colour pictures.

use super::head::{self, HEAD};
use super::init::{layer_norm, token, uniform};
use super::{Architecture, Backbone, IMAGENET_DEVIATION, IMAGENET_MEAN, PICTURE_224, Sides, Tensors};
use crate::layer::{
    FirstToken, Gelu, Layer, LayerNorm, Linear, PatchEmbedding, Pixels, Scale, SelfAttention, Sequence, Skip,
};
use crate::parameters::ParameterReader;
use crate::{Init, InputShape, ParameterSpec, Result};
use candle_core::Tensor;

const DEPTH: usize = 12;

/// Features of a head, and how many times wider the hidden layer of a block is.
const HEAD_FEATURES: usize = 64;
const EXPANSION: usize = 4;

pub(super) static DEIT_TINY: Vit = Vit {
    name: "deit_tiny_patch16_224",
    description: "DeiT-Ti of Touvron et al., arXiv 2012.12877, without distillation token, under timm's names: 12 blocks \
                  of 192 features, linear 512; 224×224 RGB",
    patch: 16,
    heads: 3,
    grid: 14,
    layer_scale: false,
    mean: IMAGENET_MEAN,
    deviation: IMAGENET_DEVIATION,
};

pub(super) static VIT_SMALL: Vit = Vit {
    name: "vit_small_patch16_224",
    description: "ViT-S/16 of Steiner et al., arXiv 2106.10270, under timm's names: 12 blocks of 384 features, linear 512; \
                  224×224 RGB in [−1, 1]",
    patch: 16,
    heads: 6,
    grid: 14,
    layer_scale: false,
    mean: [0.5; 3],
    deviation: [0.5; 3],
};

pub(super) static DINOV2_VITS14: Vit = Vit {
    name: "dinov2_vits14",
    description: "DINOv2 ViT-S/14 of Oquab et al., arXiv 2304.07193, without registers: 12 blocks of 384 features with \
                  layer scale, linear 512; 224×224 RGB",
    patch: 14,
    heads: 6,
    grid: 37,
    layer_scale: true,
    mean: IMAGENET_MEAN,
    deviation: IMAGENET_DEVIATION,
};

pub(super) struct Vit {
    name: &'static str,
    description: &'static str,
    /// Pixels of a patch's side.
    patch: usize,
    heads: usize,
    /// Patches of a side for which positions are learned.
    grid: usize,
    /// Whether each way of a block ends in a factor for each feature.
    layer_scale: bool,
    mean: [f32; 3],
    deviation: [f32; 3],
}

impl Vit {
    fn block_specs(&self, name: &str, features: usize) -> Vec<ParameterSpec> {
        let part = |part: &str| format!("{name}.{part}");
        let hidden = EXPANSION * features;
        let mut specs = [
            &layer_norm(&part("norm1"), features)[..],
            &uniform(&part("attn.qkv"), &[3 * features, features]),
            &uniform(&part("attn.proj"), &[features, features]),
            &layer_norm(&part("norm2"), features),
            &uniform(&part("mlp.fc1"), &[hidden, features]),
            &uniform(&part("mlp.fc2"), &[features, hidden]),
        ]
        .concat();
        if self.layer_scale {
            let scale = |scale: &str| token(&part(scale), &[features], Init::Constant(1e-5));
            specs.extend([scale("ls1.gamma"), scale("ls2.gamma")]);
        }
        specs
    }

    /// x + attention(norm(x)), then x + mlp(norm(x)).
    fn block(&self, from: &ParameterReader<'_>, name: &str, features: usize) -> Result<[Skip; 2]> {
        let part = |part: &str| format!("{name}.{part}");
        let norm = |name: &str| LayerNorm::read(from, &part(name), features);
        let attention = SelfAttention::read(from, &part("attn"), features, self.heads)?;
        let fc1 = Linear::read(from, &part("mlp.fc1"), features)?;
        let fc2 = Linear::read(from, &part("mlp.fc2"), fc1.outputs())?;
        let mut ways: [Vec<Box<dyn Layer>>; 2] = [
            vec![Box::new(norm("norm1")?), Box::new(attention)],
            vec![Box::new(norm("norm2")?), Box::new(fc1), Box::new(Gelu), Box::new(fc2)],
        ];
        if self.layer_scale {
            for (way, name) in ways.iter_mut().zip(["ls1.gamma", "ls2.gamma"]) {
                way.push(Box::new(Scale::read(from, &part(name), features)?));
            }
        }
        Ok(ways.map(|way| Skip { main: Sequence::new(way) }))
    }
}

impl Architecture for Vit {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn input(&self) -> InputShape {
        PICTURE_224
    }

    fn sides(&self) -> Sides {
        Sides::MultiplesOf(self.patch)
    }

    /// Linear layers by PyTorch's default; tokens and positions normal with deviation 0.02. A transformer that is not
    /// pretrained learns little from few pictures.
    fn specs(&self) -> Vec<ParameterSpec> {
        let features = self.heads * HEAD_FEATURES;
        let small = |name: &str, shape: &[usize]| token(name, shape, Init::Normal(0.02));
        let mut specs =
            vec![small("cls_token", &[1, 1, features]), small("pos_embed", &[1, 1 + self.grid * self.grid, features])];
        specs.extend(uniform("patch_embed.proj", &[features, 3, self.patch, self.patch]));
        specs.extend((0..DEPTH).flat_map(|block| self.block_specs(&format!("blocks.{block}"), features)));
        specs.extend(layer_norm("norm", features));
        specs.extend(head::specs(features));
        specs
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let patches = PatchEmbedding::read(from, PICTURE_224.channels)?;
        let features = patches.outputs();
        let pixels = Pixels::scaled(&self.mean, &self.deviation, &from.read("cls_token", 3)?)?;
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(pixels), Box::new(patches)]; // (B, 1 + 14², features)
        for block in 0..DEPTH {
            let [attention, mlp] = self.block(from, &format!("blocks.{block}"), features)?;
            layers.extend([Box::new(attention) as Box<dyn Layer>, Box::new(mlp)]);
        }
        // The norm looks at each token for itself, so the others need none.
        let (norm, fc) = (LayerNorm::read(from, "norm", features)?, Linear::read(from, HEAD, features)?);
        let dim = fc.outputs();
        layers.extend([Box::new(FirstToken) as Box<dyn Layer>, Box::new(norm), Box::new(fc)]);
        Ok(Backbone { layers: Sequence::new(layers), dim })
    }

    /// timm's names, those of DINOv2's own release, and those of Hugging Face's `transformers`, whose three projections
    /// of a block become one.
    fn adopt(&self, published: Tensors) -> candle_core::Result<Tensors> {
        let mut tensors: Tensors =
            published.into_iter().map(|(name, tensor)| (from_transformers(&name).unwrap_or(name), tensor)).collect();
        for block in 0..DEPTH {
            for suffix in ["weight", "bias"] {
                merge_projections(&mut tensors, &format!("blocks.{block}.attn"), suffix)?;
            }
        }
        let unused = ["head.", "classifier.", "pooler.", "mask_token", "embeddings.mask_token"];
        Ok(head::without_classifier(tensors, &unused, &self.specs()))
    }

    fn head(&self) -> Option<&'static str> {
        Some(HEAD)
    }
}

/// Puts queries', keys' and values' projections of one block together, where all are there.
fn merge_projections(tensors: &mut Tensors, attention: &str, suffix: &str) -> candle_core::Result<()> {
    let names = ["query", "key", "value"].map(|part| format!("{attention}.{part}.{suffix}"));
    let parts: Vec<Tensor> = names.iter().filter_map(|name| tensors.get(name).cloned()).collect();
    if parts.len() == names.len() {
        tensors.insert(format!("{attention}.qkv.{suffix}"), Tensor::cat(&parts, 0)?);
        names.iter().for_each(|name| drop(tensors.remove(name)));
    }
    Ok(())
}

/// `vit.encoder.layer.3.attention.output.dense.weight` → `blocks.3.attn.proj.weight`
fn from_transformers(name: &str) -> Option<String> {
    let prefixes = ["vit.", "deit.", "dinov2."];
    let name = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let fields: Vec<&str> = name.split('.').collect();
    match fields[..] {
        ["embeddings", "cls_token"] => Some("cls_token".to_owned()),
        ["embeddings", "position_embeddings"] => Some("pos_embed".to_owned()),
        ["embeddings", "patch_embeddings", "projection", suffix] => Some(format!("patch_embed.proj.{suffix}")),
        ["layernorm", suffix] => Some(format!("norm.{suffix}")),
        ["encoder", "layer", block, ref rest @ ..] => {
            let (part, suffix) = (rest.get(..rest.len().checked_sub(1)?)?, rest.last()?);
            let ours = match part.join(".").as_str() {
                "attention.attention.query" => "attn.query",
                "attention.attention.key" => "attn.key",
                "attention.attention.value" => "attn.value",
                "attention.output.dense" => "attn.proj",
                "layernorm_before" | "norm1" => "norm1",
                "layernorm_after" | "norm2" => "norm2",
                "intermediate.dense" | "mlp.fc1" => "mlp.fc1",
                "output.dense" | "mlp.fc2" => "mlp.fc2",
                "layer_scale1" => return Some(format!("blocks.{block}.ls1.gamma")),
                "layer_scale2" => return Some(format!("blocks.{block}.ls2.gamma")),
                _ => return None,
            };
            Some(format!("blocks.{block}.{ours}.{suffix}"))
        }
        _ => None,
    }
}
