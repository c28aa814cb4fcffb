//! What tests of several crates share: golden files and where to find them. Not part of the public interface.

use crate::{EmbeddingNet, Parameters};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The workspace's root folder.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in a workspace. This is a bug.")
}

/// Data that is too large for the repository: `HOLDFAST_SHARED`, by default `../shared`, if it exists.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where data lies")]
pub fn shared_dir() -> Option<PathBuf> {
    let path = std::env::var("HOLDFAST_SHARED").map_or_else(|_| workspace().join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// The golden files: `HOLDFAST_GOLDEN`, else `golden` in [`shared_dir`], else the committed copy.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where data lies")]
pub fn golden_dir() -> PathBuf {
    let shared = || shared_dir().map(|shared| shared.join("golden")).filter(|golden| golden.is_dir());
    let chosen = std::env::var("HOLDFAST_GOLDEN").ok().map(PathBuf::from);
    chosen.or_else(shared).unwrap_or_else(|| workspace().join("tests/golden"))
}

/// One golden file: reference values by key.
pub struct Golden {
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    /// Opens `{name}.safetensors`; if there is none, says that the test is skipped.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn open(name: &str) -> Option<Self> {
        let path = golden_dir().join(format!("{name}.safetensors"));
        if !path.is_file() {
            eprintln!("skipped: no golden file {}", path.display());
            return None;
        }
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu);
        Some(Self { tensors: tensors.unwrap_or_else(|error| panic!("{}: {error}", path.display())) })
    }

    /// Opens a file that lies in the repository, and nowhere else.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn committed(name: &str) -> Self {
        let path = workspace().join("tests/golden").join(format!("{name}.safetensors"));
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu);
        Self { tensors: tensors.unwrap_or_else(|error| panic!("{}: {error}", path.display())) }
    }

    /// Whether the file holds `key`.
    pub fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(key)
    }

    /// All keys, sorted.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    /// The tensor at `key`, in its own element type.
    ///
    /// # Panics
    /// If there is none.
    pub fn tensor(&self, key: &str) -> Tensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("no \"{key}\" among {:?}", self.keys())).clone()
    }

    /// The values at `key`, row-major, as `f64`.
    pub fn f64s(&self, key: &str) -> Vec<f64> {
        values(&self.tensor(key))
    }

    /// The single value at `key`.
    pub fn scalar(&self, key: &str) -> f64 {
        self.f64s(key)[0]
    }

    /// The values at `key` as indices.
    pub fn indices(&self, key: &str) -> Vec<usize> {
        self.f64s(key).into_iter().map(|index| index as usize).collect()
    }

    /// The values at `key` as class labels.
    pub fn labels(&self, key: &str) -> Vec<u32> {
        self.f64s(key).into_iter().map(|label| label as u32).collect()
    }
}

/// The small network that all golden files were made with, and its file.
///
/// # Panics
/// If the file's parameters are no C2F2.
pub fn golden_net(dtype: DType) -> Option<(EmbeddingNet, Golden)> {
    let golden = Golden::open("model")?;
    let named = golden.keys().into_iter().filter_map(|key| Some((key.strip_prefix("param/")?, key)));
    let tensors = named.map(|(name, key)| (name.to_owned(), golden.tensor(key).to_dtype(dtype).expect("a cast")));
    let net = EmbeddingNet::new("c2f2", Parameters::new(tensors.collect())).expect("golden parameters form a C2F2");
    Some((net, golden))
}

/// All elements, row-major, as `f64`.
///
/// # Panics
/// If the tensor holds something else than numbers.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all());
    flat.and_then(|flat| flat.to_vec1()).expect("a tensor of numbers")
}

/// Asserts |got − want| ≤ relative · max |want| for every element (the absolute floor is `relative` · 1e-3).
///
/// # Panics
/// If it does not hold; the message names the worst element.
pub fn assert_close(what: &str, got: &[f64], want: &[f64], relative: f64) {
    assert_eq!(got.len(), want.len(), "{what}: number of elements");
    let scale = want.iter().fold(1e-3_f64, |scale, value| scale.max(value.abs()));
    let off = |(got, want): (&f64, &f64)| if got == want { 0.0 } else { (got - want).abs() };
    for (index, difference) in got.iter().zip(want).map(off).enumerate() {
        // A NaN compares false, so it fails too.
        assert!(
            difference <= relative * scale,
            "{what}, element {index}: {} but the reference says {} (difference {difference:e}, allowed {:e})",
            got[index],
            want[index],
            relative * scale
        );
    }
}

/// [`assert_close`] on tensors of one shape.
///
/// # Panics
/// If the shapes differ or an element is off.
pub fn assert_tensors_close(what: &str, got: &Tensor, want: &Tensor, relative: f64) {
    assert_eq!(got.dims(), want.dims(), "{what}: shape");
    assert_close(what, &values(got), &values(want), relative);
}
