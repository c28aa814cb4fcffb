//! A service over an untrained net in a folder of its own.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use holdfast_model::EmbeddingNet;
use holdfast_model::checkpoint::{self, DatasetFingerprint, NewCheckpoint};
use holdfast_server::config::{IndexOptions, ServeConfig};
use holdfast_server::metrics::Metrics;
use holdfast_server::service::{MetadataValue, NewItem, Search, SearchBy, Service};
use image::{ImageFormat, Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use walkdir::WalkDir;

/// A checkpoint and a data folder.
pub struct Shop {
    folder: TempDir,
    backbone: &'static str,
}

impl Shop {
    /// With a net drawn from `seed` and no items.
    pub fn new(backbone: &'static str, seed: u64) -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap(), backbone };
        shop.train_again(seed);
        shop
    }

    /// The same on a disk in memory, if there is one: for a test of very many writes that is not about durability.
    pub fn in_memory(backbone: &'static str, seed: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let shop = Self { folder: folder.unwrap(), backbone };
        shop.train_again(seed);
        shop
    }

    /// Replaces the net by one drawn from `seed`.
    pub fn train_again(&self, seed: u64) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let net = EmbeddingNet::init(self.backbone, &Device::Cpu, DType::F32, rng).unwrap();
        let dataset = DatasetFingerprint { name: "none".to_owned(), sha256: "0".repeat(64), pictures: 0, classes: 0 };
        let new = NewCheckpoint {
            net: &net,
            config: &serde_json::Value::Null,
            seed,
            steps: 0,
            defense: "vanilla",
            dataset: &dataset,
            metrics: &BTreeMap::new(),
            warnings: &[],
            created: jiff::Timestamp::UNIX_EPOCH,
            report: None,
            attachments: &[],
        };
        checkpoint::save(&self.config().checkpoint, &new).unwrap();
    }

    pub fn config(&self) -> ServeConfig {
        // The graph from the first item on: with the default no test would see one.
        let index = IndexOptions { exact_below: 0, ..IndexOptions::default() };
        let checkpoint = self.folder.path().join("checkpoint");
        ServeConfig { checkpoint, data_dir: self.data_dir(), index, ..ServeConfig::default() }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::new(Metrics::new())
    }

    pub fn open(&self) -> Arc<Service> {
        self.open_with(self.metrics())
    }

    pub fn open_with(&self, metrics: Arc<Metrics>) -> Arc<Service> {
        Service::open(&self.config(), metrics).unwrap()
    }

    /// A service over a copy of the disk as it is now.
    pub fn reopened(&self) -> Arc<Service> {
        self.copy_of_disk().open()
    }

    /// The disk as it is now, even while a service is open.
    pub fn copy_of_disk(&self) -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap(), backbone: self.backbone };
        for entry in WalkDir::new(self.folder.path()) {
            let entry = entry.unwrap();
            let to = copy.folder.path().join(entry.path().strip_prefix(self.folder.path()).unwrap());
            if entry.file_type().is_dir() {
                std::fs::create_dir_all(&to).unwrap();
            } else {
                std::fs::copy(entry.path(), &to).unwrap();
            }
        }
        copy
    }

    pub fn stored_pictures(&self) -> usize {
        self.picture_files().len()
    }

    pub fn picture_files(&self) -> Vec<PathBuf> {
        files(&self.data_dir().join("pictures"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(folder).into_iter().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

/// A PNG of coarse colours, always the same for the same seed, and unlike that of any other.
pub fn picture(seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let colours: Vec<Rgb<u8>> = (0..16).map(|_| Rgb(rng.random())).collect();
    let picture = RgbImage::from_fn(32, 32, |x, y| colours[(x / 8 + 4 * (y / 8)) as usize]);
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner()
}

/// An item that shows [`picture`], of one of three classes.
pub fn item(id: &str, seed: u64) -> NewItem {
    let label = MetadataValue::Text(format!("class-{}", seed % 3));
    NewItem { id: id.to_owned(), picture: picture(seed), metadata: [("label", label)].into_iter().collect() }
}

/// A search for the ten nearest.
pub fn search(by: SearchBy) -> Search {
    Search { by, limit: 10, exact: false, ef: None, include_vector: false, filter: None }
}

/// A search for the ten nearest to a picture.
pub fn by_picture(picture: Vec<u8>) -> Search {
    search(SearchBy::Picture(picture))
}

/// The ids that a search finds, nearest first.
pub fn ids(service: &Service, search: &Search) -> Vec<String> {
    service.search(search).unwrap().hits.into_iter().map(|hit| hit.id).collect()
}

/// Stores an item that is fine.
pub fn put(service: &Service, item: NewItem) {
    service.put(vec![item]).pop().unwrap().unwrap();
}
