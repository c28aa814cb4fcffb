//! A folder with all that a server needs, and programs started in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use candle_core::{DType, Device};
use holdfast_model::EmbeddingNet;
use holdfast_model::checkpoint::{self, DatasetFingerprint, NewCheckpoint};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::programs::{Ending, program};
use crate::server::Server;

/// The system chooses the port.
const FREE_PORT: &str = "127.0.0.1:0";

/// A scratch folder with a checkpoint, a configuration and room for data; gone when dropped.
pub struct World {
    folder: TempDir,
}

impl World {
    /// A world whose server is configured by `config`, TOML in which `WORLD` stands for the folder; its net is untrained
    /// but well-formed.
    ///
    /// # Panics
    /// If the disk refuses.
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder can be made");
        let world = Self { folder };
        save_checkpoint(&world);
        let config = config.replace("WORLD", &world.folder.path().display().to_string());
        std::fs::write(world.path("serve.toml"), config).expect("the configuration can be written");
        world
    }

    /// A world whose server does nothing but serve.
    pub fn without_monitor() -> Self {
        Self::new("[monitor]\nenabled = false\n")
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `holdfast serve` on an address, port 0 for a free one; ready to be started.
    pub fn serve_command(&self, address: &str) -> Command {
        let mut command = program("holdfast");
        command.arg("serve").arg("--config").arg(self.path("serve.toml"));
        command.arg("--checkpoint").arg(self.path("checkpoint")).arg("--data-dir").arg(self.path("data"));
        command.args(["--bind", address]);
        command
    }

    /// A running server.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn serve(&self) -> Server {
        Server::start(self.serve_command(FREE_PORT))
    }

    /// How a server ends that cannot start.
    ///
    /// # Panics
    /// If the program cannot be run.
    pub fn fail_to_serve(&self) -> Ending {
        self.serve_command(FREE_PORT).output().expect("the program can be run").into()
    }

    /// Stores `folder/<class>/<picture>` on a server by `holdfast import`.
    ///
    /// # Panics
    /// If it does not succeed.
    pub fn import(&self, folder: &str, server: &Server) {
        let mut command = program("holdfast");
        command.arg("import").arg(self.path(folder)).args(["--url", &server.url("")]);
        let output = command.output().expect("the program can be run");
        assert!(output.status.success(), "import failed: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// An untrained net for 64×64 colour pictures, always the same.
fn save_checkpoint(world: &World) {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let net = EmbeddingNet::init("c3f1", &Device::Cpu, DType::F32, &mut rng).expect("c3f1 is registered");
    let dataset = DatasetFingerprint { name: "none".to_owned(), sha256: "0".repeat(64), pictures: 0, classes: 0 };
    let new = NewCheckpoint {
        net: &net,
        config: &serde_json::json!({}),
        seed: 7,
        steps: 0,
        defense: "vanilla",
        dataset: &dataset,
        metrics: &BTreeMap::from([("recall_at_1".to_owned(), 61.5)]),
        warnings: &[],
        created: jiff::Timestamp::UNIX_EPOCH,
        report: None,
        attachments: &[],
    };
    checkpoint::save(&world.path("checkpoint"), &new).expect("the checkpoint can be saved");
}
