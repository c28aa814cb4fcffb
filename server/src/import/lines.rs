//! NDJSON: one item a line, `{"id": …, "image": …, "metadata": …}`.
//!
//! `image` is a path, relative to the file's folder, or `{"base64": …}` as in the API, so that bodies of
//! `POST /v1/items:batch` can be imported as they are.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Rejected;
use super::entry::{Entry, Picture};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    image: Image,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields, expecting = "`image` must be a path or {\"base64\": …}")]
enum Image {
    Path(PathBuf),
    Inside { base64: String },
}

/// How many items a file has: its lines that are not blank.
///
/// # Errors
/// If the file cannot be read, or has none.
pub(super) fn count(file: &Path) -> anyhow::Result<usize> {
    let mut reader = open(file)?;
    let (mut found, mut line) = (0, Vec::new());
    while reader.read_until(b'\n', &mut line).with_context(|| format!("cannot read {}", file.display()))? > 0 {
        found += usize::from(!line.trim_ascii().is_empty());
        line.clear();
    }
    if found == 0 {
        bail!("{} has no items; expected a line {{\"id\": …, \"image\": …, \"metadata\": …}} for each", file.display());
    }
    Ok(found)
}

/// The items of a file, read as they are asked for; a line that is none is told with its number.
///
/// # Errors
/// If the file cannot be opened.
pub(super) fn entries(file: &Path) -> anyhow::Result<impl Iterator<Item = Result<Entry, Rejected>> + Send + use<>> {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let name = file.display().to_string();
    let lines = open(file)?.split(b'\n').zip(1_usize..);
    let filled =
        |(line, _): &(std::io::Result<Vec<u8>>, usize)| !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty());
    Ok(lines.filter(filled).map(move |(line, number)| {
        let source = format!("{name}:{number}");
        match line {
            Ok(line) => entry(&line, &folder, source),
            Err(error) => Err(reject(source, None, format!("cannot read the line: {error}"))),
        }
    }))
}

fn open(file: &Path) -> anyhow::Result<BufReader<File>> {
    Ok(BufReader::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?))
}

fn entry(line: &[u8], folder: &Path, source: String) -> Result<Entry, Rejected> {
    let Line { id, image, metadata } = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return Err(reject(source, None, format!("the line is no item: {error}"))),
    };
    let picture = match image {
        Image::Path(path) => {
            let path = folder.join(path);
            let size = std::fs::metadata(&path).map(|metadata| metadata.len());
            size.map(|bytes| Picture::File { bytes, path: path.clone() })
                .map_err(|error| format!("cannot read {}: {error}", path.display()))
        }
        Image::Inside { base64 } => BASE64_STANDARD
            .decode(base64)
            .map(Picture::Bytes)
            .map_err(|error| format!("the picture is not standard base64: {error}")),
    };
    match picture {
        Ok(picture) => Ok(Entry { source, id, metadata, picture }),
        Err(detail) => Err(reject(source, Some(id), detail)),
    }
}

fn reject(source: String, id: Option<String>, detail: String) -> Rejected {
    Rejected { source, id, code: None, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What such a file says, and its folder, which has a picture.
    fn read(text: &str) -> (Vec<Result<Entry, Rejected>>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("boot.png"), b"pixels").unwrap();
        let file = folder.path().join("items.ndjson");
        std::fs::write(&file, text).unwrap();
        (entries(&file).unwrap().collect(), folder)
    }

    #[test]
    fn a_picture_is_a_path_beside_the_file_or_base64() {
        let (found, _folder) = read(
            "{\"id\": \"a\", \"image\": \"boot.png\", \"metadata\": {\"price\": 7}}\n\n{\"id\": \"b\", \"image\": {\"base64\": \"cGl4ZWxz\"}}",
        );
        let pictures: Vec<_> =
            found.iter().map(|entry| entry.as_ref().unwrap().picture.read().unwrap().into_owned()).collect();
        assert_eq!(pictures, [b"pixels", b"pixels"]);
        assert_eq!(found[0].as_ref().unwrap().metadata["price"], 7);
    }

    #[test]
    fn a_line_that_is_wrong_is_told_with_its_number_and_the_others_are_read() {
        let (found, _folder) = read(
            "{\"id\": \"a\", \"image\": \"none.png\"}\nnot json\n{\"id\": \"c\", \"image\": {\"base64\": \"!\"}}\n{\"id\": \"d\", \"picture\": 1}\n{\"id\": \"e\", \"image\": \"boot.png\"}\n",
        );
        let wrong: Vec<_> = found.iter().filter_map(|entry| entry.as_ref().err()).collect();
        let told: Vec<_> =
            wrong.iter().map(|wrong| (wrong.source.rsplit(':').next().unwrap(), wrong.id.as_deref())).collect();
        assert_eq!(told, [("1", Some("a")), ("2", None), ("3", Some("c")), ("4", None)]);
        assert!(wrong[0].detail.contains("none.png"), "{}", wrong[0].detail);
        assert!(found[4].is_ok());
    }

    #[test]
    fn a_file_without_items_says_what_is_expected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(count(file.path()).unwrap_err().to_string().contains("\"image\""));
    }
}
