//! `holdfast config check`, and the configuration that a command line asks for.

use std::io::Write;
use std::process::ExitCode;

use holdfast_server::config::{ConfigError, Exposure, ServeConfig};

use super::SettingsArguments;

/// The file with the flags applied, valid.
pub(super) fn settings(arguments: &SettingsArguments) -> Result<ServeConfig, ConfigError> {
    let mut config = ServeConfig::load(&arguments.config)?;
    if let Some(data_dir) = &arguments.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    if let Some(bind) = arguments.bind {
        config.bind = bind;
    }
    if let Some(checkpoint) = &arguments.checkpoint {
        config.checkpoint.clone_from(checkpoint);
    }
    let exposure = if arguments.insecure { Exposure::Insecure } else { Exposure::LoopbackOnly };
    config.validate(exposure)?;
    Ok(config)
}

pub(super) fn check(arguments: &SettingsArguments) -> anyhow::Result<ExitCode> {
    settings(arguments)?;
    writeln!(std::io::stdout(), "{} is valid", arguments.config.display())?;
    Ok(ExitCode::SUCCESS)
}
