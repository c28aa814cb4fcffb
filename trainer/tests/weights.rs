//! Published weights: what a configuration may say of them, and where they are found.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use holdfast_trainer::Error;
use holdfast_trainer::config::{TrainConfig, WeightsConfig};
use holdfast_trainer::weights::{Hub, locate};

/// What a configuration with this table of weights is told.
fn problems(text: &str) -> Vec<String> {
    match TrainConfig::from_toml(&format!("weights = {{ {text} }}"), &[]).unwrap().validate() {
        Ok(()) => vec![],
        Err(Error::InvalidConfig { problems }) => problems,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_file_needs_nothing_else() {
    assert_eq!(problems("file = \"weights/net.safetensors\""), Vec::<String>::new());
    assert_eq!(problems(&format!("file = \"a\", sha256 = \"{}\"", "0aB".repeat(21) + "c")), Vec::<String>::new());
}

#[test]
fn a_file_on_the_hub_is_pinned_to_its_last_bit() {
    let pinned = |hub: &str, revision: &str| {
        let sha256 = "5".repeat(64);
        problems(&format!(
            "hub = \"{hub}\", revision = \"{revision}\", file = \"model.safetensors\", sha256 = \"{sha256}\""
        ))
    };
    assert_eq!(pinned("timm/resnet50.a1_in1k", &"b".repeat(40)), Vec::<String>::new());
    assert!(pinned("timm/resnet50.a1_in1k", "main")[0].contains("got \"main\""));
    assert!(pinned("resnet50", &"b".repeat(40))[0].contains("owner/name"));
    assert!(pinned("../resnet50", &"b".repeat(40))[0].contains("owner/name"));
    let found = problems("hub = \"a/b\", file = \"../x\"");
    assert_eq!(found.len(), 3, "revision, checksum and path: {found:?}");
    assert!(problems("file = \"x\", revision = \"main\"")[0].contains("no meaning without weights.hub"));
}

#[test]
fn the_side_of_pictures_must_be_one_that_the_backbone_takes() {
    let problems = |backbone: &str, side: &str| {
        let config = TrainConfig::from_toml("", &[("backbone", backbone), ("input_side", side)]).unwrap();
        config.validate().map_err(|error| error.to_string())
    };

    problems("squeezenet1_1", "96").unwrap();
    problems("c3f1", "64").unwrap();
    assert!(problems("c3f1", "65").unwrap_err().contains("may be the usual ones only, got 65"));
    assert!(problems("dinov2_vits14", "100").unwrap_err().contains("multiples of 14, got 100"));
}

const COMMIT: &str = "0123456789012345678901234567890123456789";

fn on_disk(file: &str) -> WeightsConfig {
    WeightsConfig { file: file.into(), hub: None, revision: None, sha256: None }
}

fn on_hub() -> WeightsConfig {
    WeightsConfig { hub: Some("maker/net".into()), revision: Some(COMMIT.into()), ..on_disk("model.safetensors") }
}

/// Nothing listens on port 1.
fn unreachable(cache: &Path) -> Hub {
    Hub::at("http://127.0.0.1:1", cache)
}

#[test]
fn a_relative_path_starts_at_the_configuration_and_then_at_the_shared_data() {
    let (config, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hub = unreachable(config.path());
    let find = |file: &str| locate(&on_disk(file), config.path(), Some(shared.path()), &hub);
    fs::write(shared.path().join("net.safetensors"), "s").unwrap();
    assert_eq!(find("net.safetensors").unwrap(), shared.path().join("net.safetensors"));

    fs::write(config.path().join("net.safetensors"), "c").unwrap();
    assert_eq!(find("net.safetensors").unwrap(), config.path().join("net.safetensors"));

    let message = find("other.safetensors").unwrap_err().to_string();
    for folder in [&config, &shared] {
        assert!(message.contains(&*folder.path().join("other.safetensors").to_string_lossy()), "{message}");
    }
    let absolute = shared.path().join("net.safetensors");
    assert_eq!(find(&absolute.to_string_lossy()).unwrap(), absolute);
}

#[test]
fn a_file_that_is_in_the_cache_needs_no_network() {
    let cache = tempfile::tempdir().unwrap();
    let snapshot = cache.path().join("models--maker--net/snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join("model.safetensors"), "weights").unwrap();

    let path = locate(&on_hub(), Path::new("."), None, &unreachable(cache.path())).unwrap();

    assert_eq!(fs::read_to_string(path).unwrap(), "weights");
}

#[test]
fn without_network_the_error_says_where_to_put_the_file() {
    let cache = tempfile::tempdir().unwrap();

    let message = locate(&on_hub(), Path::new("."), None, &unreachable(cache.path())).unwrap_err().to_string();

    let place = cache.path().join("models--maker--net/snapshots").join(COMMIT).join("model.safetensors");
    for part in ["maker/net", COMMIT, &place.to_string_lossy(), "weights = { file = …, sha256 = … }"] {
        assert!(message.contains(part), "\"{part}\" is missing in {message}");
    }
}

/// Serves `body` to every request, in ranges, as the hub does; tells the paths that were asked for.
fn serve(body: &'static [u8], requests: usize) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || (0..requests).map(|_| answer(&listener, body)).collect());
    (endpoint, serving)
}

fn answer(listener: &TcpListener, body: &[u8]) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map(|line| line.unwrap())
        .take_while(|line| !line.is_empty())
        .collect();
    let range = lines.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let (first, last) = range.as_deref().and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(body.len() - 1).min(body.len() - 1);
    let part = &body[first..=last];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\netag: \"e\"\r\nx-repo-commit: {COMMIT}\r\ncontent-range: bytes \
         {first}-{last}/{}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len(),
        part.len()
    )
    .unwrap();
    stream.write_all(part).unwrap();
    lines[0].clone()
}

#[test]
fn a_file_of_the_hub_is_downloaded_at_its_commit_and_kept() {
    let (cache, (endpoint, serving)) = (tempfile::tempdir().unwrap(), serve(b"published weights", 2));
    let hub = Hub::at(&endpoint, cache.path());

    let path = locate(&on_hub(), Path::new("."), None, &hub).unwrap();

    assert_eq!(fs::read_to_string(path).unwrap(), "published weights");
    let asked = serving.join().unwrap();
    assert!(
        asked.iter().all(|line| line.contains(&format!("/maker/net/resolve/{COMMIT}/model.safetensors"))),
        "{asked:?}"
    );
    let again = locate(&on_hub(), Path::new("."), None, &hub).unwrap();
    assert_eq!(fs::read_to_string(again).unwrap(), "published weights", "the server is gone");
}
