//! Files and folders that are either the old ones or the new ones, whole, also after a power cut.
//!
//! Write to a temporary name in the same folder, fsync, rename, fsync the folder that holds the name. After a crash
//! there may be a left-over `.staged-…` beside the target; it can be deleted. Unix only.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

const STAGED: &str = ".staged-";

/// Writes or replaces a file. It is on disk when this returns.
///
/// # Errors
/// If the folder does not exist, is read-only or full. The old file, if any, is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    // Like any new file: readable as the umask allows, not only by its owner as temporary files are.
    let permissions = Permissions::from_mode(0o666);
    let mut staged = tempfile::Builder::new().prefix(STAGED).permissions(permissions).tempfile_in(&folder)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path)?;
    sync_folder(&folder)
}

/// Writes or replaces a folder by one that holds exactly `files`, each a plain name and its bytes. All of it is on disk
/// when this returns.
///
/// Whatever the old folder held is deleted; a reader that holds its files open keeps reading the old ones. Missing
/// parent folders are made.
///
/// # Errors
/// If the parent folder cannot be made or written. The old folder, if any, is then untouched.
pub fn write_folder(target: &Path, files: &[(&str, &[u8])]) -> io::Result<()> {
    // The folder is replaced, not a link to it.
    let target = match fs::canonicalize(target) {
        Err(error) if error.kind() == ErrorKind::NotFound => target.to_path_buf(),
        found => found?,
    };
    let parent = folder_of(&target);
    fs::create_dir_all(&parent)?;
    let staged = tempfile::Builder::new().prefix(STAGED).tempdir_in(&parent)?;
    for (name, bytes) in files {
        let mut file = File::create(staged.path().join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    sync_folder(staged.path())?;
    publish(staged.path(), &target)?;
    // Only now may the old folder go, which the exchange has moved to the temporary name.
    sync_folder(&parent)
}

fn publish(staged: &Path, target: &Path) -> io::Result<()> {
    if !target.exists() {
        return fs::rename(staged, target);
    }
    match renameat_with(CWD, staged, CWD, target, RenameFlags::EXCHANGE).map_err(io::Error::from) {
        Err(error) if cannot_exchange(&error) => exchange_by_renames(staged, target),
        exchanged => exchanged,
    }
}

fn cannot_exchange(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// For file systems without an exchange (NFS, most of FUSE): for a moment nothing bears the target's name.
fn exchange_by_renames(staged: &Path, target: &Path) -> io::Result<()> {
    let aside = tempfile::Builder::new().prefix(STAGED).tempdir_in(folder_of(target))?;
    fs::rename(target, aside.path())?;
    if let Err(error) = fs::rename(staged, target) {
        fs::rename(aside.path(), target)?;
        return Err(error);
    }
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");

        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();

        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names_in(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("occupied")).unwrap();

        write(&folder.path().join("occupied"), b"a file cannot replace a folder").unwrap_err();

        assert_eq!(names_in(folder.path()), ["occupied"]);
    }

    #[test]
    fn a_folder_is_replaced_whole() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/checkpoint");

        write_folder(&target, &[("a", b"1"), ("b", b"2")]).unwrap();
        write_folder(&target, &[("a", b"3")]).unwrap();

        assert_eq!(names_in(&target), ["a"], "what the old folder held is gone");
        assert_eq!(fs::read(target.join("a")).unwrap(), b"3");
        assert_eq!(names_in(&root.path().join("deep")), ["checkpoint"]);
    }

    #[test]
    fn a_link_to_a_folder_stays_a_link() {
        let root = tempfile::tempdir().unwrap();
        let (target, link) = (root.path().join("target"), root.path().join("link"));
        write_folder(&target, &[("a", b"1")]).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();

        write_folder(&link, &[("a", b"2")]).unwrap();

        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(target.join("a")).unwrap(), b"2");
    }

    #[test]
    fn folders_are_replaced_without_an_exchange_too() {
        let root = tempfile::tempdir().unwrap();
        let (target, staged) = (root.path().join("target"), root.path().join("staged"));
        write_folder(&target, &[("old", b"1")]).unwrap();
        write_folder(&staged, &[("new", b"2")]).unwrap();

        exchange_by_renames(&staged, &target).unwrap();
        assert_eq!(names_in(&target), ["new"]);

        exchange_by_renames(&root.path().join("absent"), &target).unwrap_err();
        assert_eq!(names_in(&target), ["new"], "a failed exchange is undone");
    }

    #[test]
    fn new_files_are_readable_as_the_umask_allows() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, atomic) = (folder.path().join("plain"), folder.path().join("atomic"));

        fs::write(&plain, b"").unwrap();
        write(&atomic, b"").unwrap();

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&atomic), mode(&plain));
    }
}
