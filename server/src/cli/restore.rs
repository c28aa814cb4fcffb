//! `holdfast restore`.

use std::io::Write;
use std::process::ExitCode;

use holdfast_server::service::snapshot::restore;

use super::RestoreArguments;

pub(super) fn run(arguments: &RestoreArguments) -> anyhow::Result<ExitCode> {
    let manifest = restore(&arguments.file, &arguments.data_dir)?;
    writeln!(
        std::io::stdout(),
        "restored {} items with {} pictures, revision {} of {}, to {}",
        manifest.items,
        manifest.pictures,
        manifest.revision,
        manifest.created.strftime("%Y-%m-%d %H:%M:%S UTC"),
        arguments.data_dir.display()
    )?;
    Ok(ExitCode::SUCCESS)
}
