//! Power cuts: a disk that keeps a log of all that was asked of it, and loses what was not synced.
//!
//! A run of commits is recorded once. Then the disk is made anew as it may be found after a cut between any two syncs: all
//! that was synced is there, and of each later write, nothing, all, or some of its sectors, in any combination. The catalog
//! must open on each, and hold exactly what was acknowledged, or that and the one commit that was under way.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redb::StorageBackend;

use super::*;
use crate::service::metadata::Metadata;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Event {
    Write(u64, Vec<u8>),
    SetLength(u64),
    Sync,
}

/// A file as processes see it, and everything that was done to it.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, Vec<Event>)>>);

impl Disk {
    fn of(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new((content, Vec::new()))))
    }

    fn log(&self) -> Vec<Event> {
        self.0.lock().unwrap().1.clone()
    }

    fn log_length(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let disk = self.0.lock().unwrap();
        let from = disk.0.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.0.resize(len as usize, 0);
        disk.1.push(Event::SetLength(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().1.push(Event::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        write_at(&mut disk.0, offset as usize, data);
        disk.1.push(Event::Write(offset, data.to_vec()));
        Ok(())
    }
}

fn write_at(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if content.len() < offset + data.len() {
        content.resize(offset + data.len(), 0);
    }
    content[offset..offset + data.len()].copy_from_slice(data);
}

fn open(disk: &Disk) -> Result<Catalog, OpenError> {
    let disk = disk.clone();
    let store = Store::open_on(move || Ok(disk.clone())).map_err(failed)?;
    let catalog = Catalog { store };
    catalog.initialise()?;
    Ok(catalog)
}

/// Item → the picture that it shows.
type Model = BTreeMap<String, u64>;

/// A run: the log, and what had been acknowledged when the log was so long.
struct Recording {
    log: Vec<Event>,
    acknowledged: Vec<(usize, Model)>,
}

fn record(commits: usize, rng: &mut ChaCha8Rng) -> Recording {
    let disk = Disk::default();
    let mut catalog = open(&disk).unwrap();
    let mut model = Model::new();
    let mut acknowledged = vec![(disk.log_length(), model.clone())];
    for commit in 0..commits {
        if commit == commits / 2 {
            // Closing and opening write, too.
            drop(catalog);
            catalog = open(&disk).unwrap();
        }
        let changes: Vec<Change> = (0..rng.random_range(1..12)).map(|_| change(&mut model, rng)).collect();
        catalog.commit(&changes).unwrap();
        acknowledged.push((disk.log_length(), model.clone()));
    }
    drop(catalog);
    let log = disk.log();
    Recording { log, acknowledged }
}

/// Large enough that the file has to grow.
fn change(model: &mut Model, rng: &mut ChaCha8Rng) -> Change {
    let id = format!("item.{}", rng.random_range(0..120));
    if rng.random_ratio(1, 4) {
        model.remove(&id);
        return Change::Delete(id);
    }
    let picture = rng.random_range(0..200_u64);
    model.insert(id.clone(), picture);
    let sha256 = Digest::of(&picture.to_le_bytes());
    let row = PictureRow { sha256, content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
    let (metadata, now) = (Metadata::default(), Timestamp::UNIX_EPOCH);
    let vector = vec![picture as f32; 1024];
    Change::Put(NewRow { id, metadata, picture: row, model: Digest::of(b"model"), vector, now })
}

/// What the catalog holds; fails unless each picture is counted, and has its vector.
fn content(catalog: &Catalog) -> Model {
    let by_digest: BTreeMap<_, _> = (0..200_u64).map(|picture| (Digest::of(&picture.to_le_bytes()), picture)).collect();
    let view = catalog.view().unwrap();
    let mut found = Model::new();
    let visit = |id: &str, row: ItemRow| {
        let picture = by_digest[&row.picture.sha256];
        let vector = view.embedding(&row.picture.sha256, &Digest::of(b"model"))?;
        assert_eq!(vector, Some(vec![picture as f32; 1024]), "{id}");
        found.insert(id.to_owned(), picture);
        Ok::<_, CatalogError>(())
    };
    view.for_each_item(visit).unwrap();
    let shown: std::collections::BTreeSet<_> = found.values().collect();
    let count = shown.len() as u64;
    assert_eq!(view.sizes().unwrap(), [found.len() as u64, count, count], "no ghosts");
    found
}

/// What became of the writes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Fate {
    AllLost,
    AllButOneKept,
    OneKept,
    /// Each is lost, kept or torn.
    Any,
}

fn suffer(content: &mut Vec<u8>, unsynced: &[Event], fate: Fate, rng: &mut ChaCha8Rng) {
    let chosen = rng.random_range(0..unsynced.len().max(1));
    for (at, event) in unsynced.iter().enumerate() {
        let kept = match fate {
            Fate::AllLost => false,
            Fate::AllButOneKept => at != chosen,
            Fate::OneKept => at == chosen,
            Fate::Any => rng.random_ratio(1, 2),
        };
        match event {
            _ if matches!(fate, Fate::Any) && rng.random_ratio(1, 3) => tear(content, event, rng),
            Event::Write(offset, data) if kept => write_at(content, *offset as usize, data),
            Event::SetLength(length) if kept => content.resize(*length as usize, 0),
            _ => {}
        }
    }
}

/// Some sectors of a write: its beginning, or any.
fn tear(content: &mut Vec<u8>, event: &Event, rng: &mut ChaCha8Rng) {
    let Event::Write(offset, data) = event else { return };
    let prefix = rng.random_ratio(1, 2).then(|| rng.random_range(0..=data.len() / SECTOR));
    for (at, sector) in data.chunks(SECTOR).enumerate() {
        if prefix.map_or_else(|| rng.random_ratio(1, 2), |prefix| at < prefix) {
            write_at(content, *offset as usize + at * SECTOR, sector);
        }
    }
}

/// Replays a run with `cuts` power cuts between each two syncs; returns how many there were.
fn replay(recording: &Recording, cuts: usize, rng: &mut ChaCha8Rng) -> usize {
    let log = &recording.log;
    let (mut durable, mut from, mut tried) = (Vec::new(), 0, 0);
    let syncs = log.iter().enumerate().filter(|(_, event)| matches!(event, Event::Sync)).map(|(at, _)| at);
    // Before that, there is no catalog: it gets its name when it is whole.
    let exists = recording.acknowledged[0].0;
    for sync in syncs {
        for cut in (0..cuts).filter(|_| sync >= exists) {
            // The first moments lose or keep everything; the others are anywhere before the sync.
            let until = if cut < 4 { sync } else { rng.random_range(from..=sync) };
            let fate = [Fate::AllLost, Fate::AllButOneKept, Fate::OneKept].get(cut).copied().unwrap_or(Fate::Any);
            let mut found = durable.clone();
            suffer(&mut found, &log[from..until], fate, rng);
            check(recording, found, until, fate);
            tried += 1;
        }
        for event in &log[from..sync] {
            suffer(&mut durable, std::slice::from_ref(event), Fate::OneKept, rng);
        }
        from = sync + 1;
    }
    tried
}

/// The catalog on such a disk has all that was acknowledged, and at most the next commit, wholly.
fn check(recording: &Recording, found: Vec<u8>, until: usize, fate: Fate) {
    let next = recording.acknowledged.partition_point(|(length, _)| *length <= until);
    let allowed = &recording.acknowledged[next.saturating_sub(1)..recording.acknowledged.len().min(next + 1)];
    let disk = Disk::of(found);
    let catalog = open(&disk);
    let catalog = catalog.unwrap_or_else(|error| panic!("cut before event {until}, {fate:?}: {error:?}"));
    let content = content(&catalog);
    let fits = allowed.iter().any(|(_, model)| *model == content);
    assert!(fits, "cut before event {until}, {fate:?}: lost, revived or half done");
}

fn power_is_cut(commits: usize, cuts: usize, seed: u64) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let recording = record(commits, rng);
    let grown = recording.log.iter().filter(|event| matches!(event, Event::SetLength(_))).count();
    assert!(grown > 1, "the file must grow while it is written, or the test misses that");

    let tried = replay(&recording, cuts, rng);

    println!("{tried} power cuts at {} syncs, seed {seed}", tried / cuts);
}

#[test]
fn no_acknowledged_commit_is_lost_when_the_power_is_cut() {
    power_is_cut(60, 6, 1);
}

#[test]
#[ignore = "slow: thousands of power cuts"]
fn no_acknowledged_commit_is_lost_at_thousands_of_power_cuts() {
    for seed in 0..4 {
        power_is_cut(150, 24, seed);
    }
}
