//! `holdfast snapshot`: have one made, fetch it, compare its checksum.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use ureq::Agent;

use super::SnapshotArguments;

/// What the client needs of the server's answer.
#[derive(Deserialize)]
struct Made {
    id: String,
    revision: u64,
    items: u64,
    bytes: u64,
    sha256: String,
}

/// What the client needs of a problem document.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

pub(super) fn run(arguments: &SnapshotArguments) -> anyhow::Result<ExitCode> {
    // First, because the server should not work for nothing.
    let staged = stage(&arguments.out)?;
    let url = format!("{}/v1/snapshots", arguments.url.trim_end_matches('/'));
    // No time limit: a snapshot of a large gallery takes as long as it takes.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let unreachable = || format!("the server at {} does not answer", arguments.url);
    let mut response = agent.post(&url).send_empty().with_context(unreachable)?;
    let body = response.body_mut().read_to_string().with_context(unreachable)?;
    if response.status().as_u16() != 201 {
        let told = serde_json::from_str::<Problem>(&body).map_or(body, |problem| problem.detail);
        bail!("the server made no snapshot ({}): {told}", response.status());
    }
    let made: Made = serde_json::from_str(&body).context("the server's answer is not that of a holdfast server")?;

    let of_it = format!("{url}/{}", made.id);
    let mut response = agent.get(&of_it).call().with_context(unreachable)?;
    ensure!(response.status().as_u16() == 200, "the server does not give the snapshot ({})", response.status());
    save(response.body_mut().as_reader(), &made, staged, &arguments.out)?;
    if !arguments.keep {
        let deleted = agent.delete(&of_it).call().with_context(unreachable)?;
        ensure!(deleted.status().as_u16() == 204, "the server keeps its copy, {} ({})", made.id, deleted.status());
    }
    let Made { items, revision, bytes, sha256, .. } = made;
    let out = arguments.out.display();
    writeln!(std::io::stdout(), "saved {items} items, revision {revision}, to {out} ({bytes} bytes)\nsha256 {sha256}")?;
    Ok(ExitCode::SUCCESS)
}

/// A file without a name beside the one that is wanted.
fn stage(out: &Path) -> anyhow::Result<NamedTempFile> {
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let staged = tempfile::Builder::new().prefix(".staged-").tempfile_in(folder);
    staged.with_context(|| format!("cannot write {}", out.display()))
}

/// Saves what comes, under its name only when it is whole.
fn save(mut content: impl Read, made: &Made, mut file: NamedTempFile, out: &Path) -> anyhow::Result<()> {
    let cannot_write = || format!("cannot write {}", out.display());
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = content.read(&mut piece).context("the connection broke while the snapshot came")?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        bytes += read as u64;
        file.write_all(&piece[..read]).with_context(cannot_write)?;
    }
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(
        (bytes, &sha256) == (made.bytes, &made.sha256),
        "what came is not what the server made: {bytes} bytes with sha256 {sha256}, expected {} with {}; try again",
        made.bytes,
        made.sha256
    );
    file.as_file().sync_all().with_context(cannot_write)?;
    file.persist(out).with_context(cannot_write)?;
    Ok(())
}
