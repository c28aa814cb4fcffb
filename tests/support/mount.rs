//! Disks of a test's own: small, read-only, or losing their power. Only root may mount; without that, tests skip and say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something mounted; unmounted when dropped.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    /// A disk in memory on a folder, which is made; `None`, with a word on standard error, where that is not permitted.
    ///
    /// # Panics
    /// If the folder cannot be made.
    pub fn memory(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).expect("the folder can be made");
        Self::run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at), at)
    }

    /// The disk within a file on a folder, which is made. Its journal is written only when somebody asks for it, so that the
    /// file does not change while nobody writes.
    ///
    /// # Panics
    /// If the folder cannot be made.
    pub fn image(image: &Path, at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("the folder can be made");
        Self::run(Command::new("mount").args(["-o", "loop,commit=300"]).arg(image).arg(at), at)
    }

    fn run(command: &mut Command, at: &Path) -> Option<Self> {
        let mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: this user may not mount a disk on {}", at.display());
        }
        mounted.then(|| Self { at: at.to_owned() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // What still uses it is killed by then, and may take a moment to be gone.
        let _ =
            Command::new("umount").arg(&self.at).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
                || Command::new("umount").arg("-l").arg(&self.at).status().is_ok();
    }
}

/// Makes a file that holds an empty ext4 disk of so many MiB; false, with a word on standard error, where there is no mkfs.
///
/// # Panics
/// If the file cannot be made.
pub fn make_image(image: &Path, mebibytes: u64) -> bool {
    let file = fs::File::create(image).expect("the image can be made");
    file.set_len(mebibytes << 20).expect("the image can be made");
    let at_once = "lazy_itable_init=0,lazy_journal_init=0";
    let made = Command::new("mkfs.ext4").args(["-q", "-F", "-E", at_once]).arg(image).status();
    let made = made.is_ok_and(|status| status.success());
    if !made {
        eprintln!("skipped: there is no mkfs.ext4");
    }
    made
}
