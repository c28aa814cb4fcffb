//! Published weight files: what is taken, what is refused, and how good the nets are that start from them.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{D, DType, Device, Tensor};
use holdfast_model::pixels::{DecodeLimits, batch, decode, to_pixels};
use holdfast_model::pretrained::Published;
use holdfast_model::testing::{shared_dir, values};
use holdfast_model::{Embedder, EmbeddingNet, InputShape, Parameters, backbone};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A file with the parameters of a fresh net, changed; the folder lives as long as the first value.
fn published(name: &str, change: impl Fn(&mut HashMap<String, Tensor>)) -> (tempfile::TempDir, PathBuf) {
    let net = EmbeddingNet::init(name, &Device::Cpu, DType::F32, &mut rng(1)).unwrap();
    let mut tensors: HashMap<String, Tensor> =
        net.parameters().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    (folder, path)
}

fn start(name: &str, path: &Path) -> Result<EmbeddingNet, String> {
    let published = Published::read(path, None).map_err(|error| error.to_string())?;
    EmbeddingNet::pretrained(name, &published, &Device::Cpu, DType::F32, &mut rng(2)).map_err(|error| error.to_string())
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn all_layers_but_the_last_come_from_the_file_and_the_last_from_the_generator() {
    let (_folder, path) = published("resnet18", |tensors| {
        tensors.insert("fc.weight".into(), zeros(&[1000, 512]));
        tensors.insert("fc.bias".into(), zeros(&[1000]));
        tensors.insert("bn1.num_batches_tracked".into(), Tensor::new(3_i64, &Device::Cpu).unwrap());
    });
    let original = EmbeddingNet::init("resnet18", &Device::Cpu, DType::F32, &mut rng(1)).unwrap();

    let net = start("resnet18", &path).unwrap();

    let of = |net: &EmbeddingNet, name: &str| values(net.parameters().get(name).unwrap());
    assert_eq!(of(&net, "layer3.1.conv2.weight"), of(&original, "layer3.1.conv2.weight"));
    assert_eq!(net.dim(), 512);
    assert_ne!(of(&net, "fc.weight"), of(&original, "fc.weight"));
    let (largest, bound) = (of(&net, "fc.weight").into_iter().fold(0.0, f64::max), 1.0 / 512_f64.sqrt());
    assert!(largest <= bound && largest > 0.99 * bound, "PyTorch's default: {largest}, bound {bound}");
}

#[test]
fn the_weights_of_a_checkpoint_of_ours_are_taken_whole() {
    for name in ["c2f2", "squeezenet1_1"] {
        let (_folder, path) = published(name, |_| ());
        let original = EmbeddingNet::init(name, &Device::Cpu, DType::F32, &mut rng(1)).unwrap();

        let net = start(name, &path).unwrap();

        let all = |net: &EmbeddingNet| net.parameters().iter().map(|(_, tensor)| values(tensor)).collect::<Vec<_>>();
        assert_eq!(all(&net), all(&original), "{name}");
    }
}

#[test]
fn half_precision_is_taken_and_the_checksum_is_told() {
    let (_folder, path) = published("c2f2", |tensors| {
        tensors.values_mut().for_each(|tensor| *tensor = tensor.to_dtype(DType::F16).unwrap());
    });

    let sha256 = Published::read(&path, None).unwrap().sha256().to_owned();

    assert_eq!(sha256.len(), 64);
    Published::read(&path, Some(&sha256.to_uppercase())).unwrap();
    let message = Published::read(&path, Some(&"0".repeat(64))).err().unwrap().to_string();
    assert!(message.contains(&sha256) && message.contains("fetch the file again"), "{message}");
    start("c2f2", &path).unwrap();
}

/// What becomes of scalars under these names.
fn adopted(backbone: &str, names: &[&str]) -> Vec<String> {
    let published = names.iter().map(|name| ((*name).to_owned(), zeros(&[1, 1])));
    let adopted = backbone::architecture(backbone).unwrap().adopt(published.collect()).unwrap();
    adopted.into_keys().collect()
}

#[test]
fn names_of_hugging_faces_transformers_are_translated() {
    for (backbone, theirs, ours) in [
        ("resnet18", "resnet.embedder.embedder.convolution.weight", "conv1.weight"),
        ("resnet50", "resnet.embedder.embedder.normalization.running_var", "bn1.running_var"),
        ("resnet50", "resnet.encoder.stages.0.layers.0.shortcut.convolution.weight", "layer1.0.downsample.0.weight"),
        ("resnet50", "resnet.encoder.stages.3.layers.2.shortcut.normalization.bias", "layer4.2.downsample.1.bias"),
        ("resnet50", "resnet.encoder.stages.1.layers.0.layer.1.convolution.weight", "layer2.0.conv2.weight"),
        ("resnet50", "encoder.stages.1.layers.3.layer.2.normalization.running_mean", "layer2.3.bn3.running_mean"),
        ("deit_tiny_patch16_224", "deit.embeddings.cls_token", "cls_token"),
        ("dinov2_vits14", "embeddings.position_embeddings", "pos_embed"),
        ("vit_small_patch16_224", "vit.embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"),
        ("vit_small_patch16_224", "vit.encoder.layer.3.attention.output.dense.weight", "blocks.3.attn.proj.weight"),
        ("vit_small_patch16_224", "vit.encoder.layer.11.layernorm_after.bias", "blocks.11.norm2.bias"),
        ("vit_small_patch16_224", "vit.encoder.layer.0.intermediate.dense.weight", "blocks.0.mlp.fc1.weight"),
        ("vit_small_patch16_224", "vit.encoder.layer.0.output.dense.weight", "blocks.0.mlp.fc2.weight"),
        ("dinov2_vits14", "encoder.layer.2.layer_scale1.lambda1", "blocks.2.ls1.gamma"),
        ("dinov2_vits14", "dinov2.encoder.layer.2.mlp.fc2.bias", "blocks.2.mlp.fc2.bias"),
        ("dinov2_vits14", "layernorm.weight", "norm.weight"),
        ("squeezenet1_1", "features.3.squeeze1x1.weight", "features.3.squeeze.weight"),
    ] {
        assert_eq!(adopted(backbone, &[theirs]), [ours]);
    }
}

#[test]
fn three_projections_become_one_and_classifiers_are_left_out() {
    let parts = ["query", "key", "value"].map(|part| format!("vit.encoder.layer.5.attention.attention.{part}.weight"));
    let names: Vec<&str> = parts.iter().map(String::as_str).chain(["classifier.weight", "pooler.dense.bias"]).collect();
    assert_eq!(adopted("vit_small_patch16_224", &names), ["blocks.5.attn.qkv.weight"]);
    assert_eq!(adopted("dinov2_vits14", &["mask_token", "head.weight", "fc.weight"]), Vec::<String>::new());
    assert_eq!(adopted("resnet50", &["classifier.1.weight", "fc.bias", "fc.weight"]), Vec::<String>::new());
}

/// A MobileNetV2 as timm names it: convolutions, batch norms, and the classifier.
fn timms_mobilenet() -> HashMap<String, Tensor> {
    let specs = backbone::architecture("mobilenetv2_100").unwrap().specs();
    let mut weights = specs.into_iter().filter(|spec| spec.shape.len() == 4).map(|spec| spec.shape);
    let mut tensors = HashMap::from([("classifier.weight".to_owned(), zeros(&[1000, 1280]))]);
    let mut layer = |conv: String, norm: String| {
        let shape = weights.next().unwrap();
        for suffix in ["weight", "bias", "running_mean", "running_var"] {
            tensors.insert(format!("{norm}.{suffix}"), zeros(&shape[..1]));
        }
        tensors.insert(format!("{conv}.weight"), zeros(&shape));
    };
    layer("conv_stem".into(), "bn1".into());
    for (stage, blocks) in [1, 2, 3, 4, 3, 3, 1].into_iter().enumerate() {
        for block in 0..blocks {
            let convs: &[&str] = if stage == 0 { &["dw", "pw"] } else { &["pw", "dw", "pwl"] };
            for (number, conv) in (1..).zip(convs) {
                let block = format!("blocks.{stage}.{block}");
                layer(format!("{block}.conv_{conv}"), format!("{block}.bn{number}"));
            }
        }
    }
    layer("conv_head".into(), "bn2".into());
    tensors
}

#[test]
fn timms_mobilenet_is_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&timms_mobilenet(), &path).unwrap();

    let net = start("mobilenetv2_100", &path).unwrap();

    assert_eq!(net.parameters().len(), 2 * 52 + 2, "52 convolutions and the last layer, each with weight and bias");
}

#[test]
fn what_does_not_fit_is_listed_by_name() {
    let (_folder, path) = published("squeezenet1_1", |tensors| {
        tensors.remove("features.3.squeeze.bias");
        tensors.insert("features.0.weight".into(), zeros(&[64, 1, 3, 3]));
        tensors.insert("features.13.weight".into(), zeros(&[1]));
    });

    let message = start("squeezenet1_1", &path).unwrap_err();

    for part in [
        "missing: features.3.squeeze.bias;",
        "of a wrong shape: features.0.weight is [64, 1, 3, 3] and must be [64, 3, 3, 3];",
        "unknown to it: features.13.weight; choose the backbone",
    ] {
        assert!(message.contains(part), "\"{part}\" is missing in {message}");
    }
    let other = start("mobilenet_v2", &path).unwrap_err();
    assert!(other.contains("and 98 more; "), "long lists are cut: {other}");
}

#[test]
fn weights_that_are_not_numbers_are_refused_with_their_place() {
    let (_folder, path) = published("c2f2", |tensors| {
        tensors.insert("fc2.bias".into(), Tensor::new(vec![0.0, f32::NAN], &Device::Cpu).unwrap());
    });
    let message = start("c2f2", &path).unwrap_err();
    assert!(message.contains("\"fc2.bias\"") && message.contains("is NaN at flat position 1"), "{message}");
}

#[test]
fn files_that_are_missing_or_no_safetensors_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    assert!(start("c2f2", &path).unwrap_err().contains("cannot read the weights"));
    fs::write(&path, b"PK\x03\x04 a pickle").unwrap();
    assert!(start("c2f2", &path).unwrap_err().contains("convert PyTorch's .pth"));
}

/// A net whose last layer hands the features on.
fn features_of(name: &str, file: &str, side: usize) -> Option<EmbeddingNet> {
    let path = shared_dir()?.join("weights").join(file);
    let published = path.is_file().then(|| Published::read(&path, None).unwrap())?;
    let net = EmbeddingNet::pretrained(name, &published, &Device::Cpu, DType::F32, &mut rng(1)).unwrap();
    let width = net.parameters().get("fc.weight").unwrap().dims()[1];
    let mut tensors: BTreeMap<String, Tensor> =
        net.parameters().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    tensors.insert("fc.weight".into(), Tensor::eye(width, DType::F32, &Device::Cpu).unwrap());
    tensors.insert("fc.bias".into(), zeros(&[width]));
    let net = EmbeddingNet::new(name, Parameters::new(tensors)).unwrap();
    Some(net.with_input(InputShape { channels: 3, height: side, width: side }).unwrap())
}

/// Path and class of each picture of a set.
type Pictures = Vec<(String, usize)>;

/// The Grocery Store pictures of the test classes: their folder; queries (official test split), then gallery.
fn grocery_store() -> Option<(PathBuf, [Pictures; 2])> {
    let folder = shared_dir()?.join("data/grocery-store");
    let list = fs::read_to_string(folder.join("images.csv")).ok()?;
    let rows = list.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>()).filter(|row| row[4] == "test");
    let mut sets = [vec![], vec![]];
    for row in rows {
        sets[usize::from(row[3] != "test")].push((row[0].to_owned(), row[1].parse().unwrap()));
    }
    Some((folder.join("images"), sets))
}

fn embeddings(net: &EmbeddingNet, folder: &Path, pictures: &[(String, usize)]) -> Tensor {
    let embed = |chunk: &[(String, usize)]| {
        let read = |(path, _): &(String, usize)| {
            let bytes = fs::read(folder.join(path)).unwrap();
            let picture = decode(&bytes, &DecodeLimits::default()).unwrap();
            let side = picture.width().min(picture.height());
            let (left, top) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
            to_pixels(&picture.crop_imm(left, top, side, side), net.input()).unwrap()
        };
        let pixels: Vec<Vec<f32>> = chunk.iter().map(read).collect();
        net.embed(&batch(&pixels, net.input(), &Device::Cpu, DType::F32).unwrap()).unwrap()
    };
    Tensor::cat(&pictures.chunks(32).map(embed).collect::<Vec<_>>(), 0).unwrap()
}

/// The share of queries whose nearest picture of the gallery is of their class, central squares at 128×128 pixels.
fn recall_at_1(name: &str, file: &str) -> Option<f64> {
    let (Some(net), Some((folder, [queries, gallery]))) = (features_of(name, file, 128), grocery_store()) else {
        eprintln!("skipped: HOLDFAST_SHARED holds no weights/{file} or no data/grocery-store");
        return None;
    };
    assert_eq!((queries.len(), gallery.len()), (985, 1199));
    let (q, g) = (embeddings(&net, &folder, &queries), embeddings(&net, &folder, &gallery));
    let nearest = q.matmul(&g.t().unwrap()).unwrap().argmax(D::Minus1).unwrap().to_vec1::<u32>().unwrap();
    let hits =
        queries.iter().zip(nearest).filter(|((_, class), nearest)| gallery[*nearest as usize].1 == *class).count();
    Some(hits as f64 / queries.len() as f64)
}

/// At most one point below the published value, and not far above it. The publisher decoded and resized with another
/// library; the standard error over 985 queries is 1.6 points.
fn assert_reaches(recall: f64, published: f64) {
    assert!(recall > published - 0.01 && recall < published + 0.02, "R@1 {recall}, published {published}");
}

#[test]
fn squeezenets_features_find_groceries_as_well_as_the_weights_promise() {
    let Some(recall) = recall_at_1("squeezenet1_1", "squeezenet1_1.safetensors") else { return };
    eprintln!("SqueezeNet 1.1: R@1 {recall:.4}");
    assert_reaches(recall, 0.584);
}

#[test]
fn mobilenets_features_find_groceries_as_well_as_the_weights_promise() {
    let Some(recall) = recall_at_1("mobilenet_v2", "mobilenet_v2_1.0_224.safetensors") else { return };
    eprintln!("MobileNetV2: R@1 {recall:.4}");
    assert_reaches(recall, 0.603);
}

#[test]
fn tensorflows_mobilenet_refuses_weights_that_were_trained_with_another_padding() {
    let shape: HashMap<&str, &[usize]> = HashMap::from([("features.0.1.weight", &[32][..])]);
    let (_folder, path) = published("mobilenet_v2", |tensors| {
        tensors.extend(shape.iter().map(|(name, shape)| ((*name).to_owned(), zeros(shape))));
    });
    assert!(start("mobilenet_v2", &path).unwrap_err().contains("unknown to it: features.0.1.weight"));
    assert!(backbone::names().contains(&"mobilenetv2_100"));
}
