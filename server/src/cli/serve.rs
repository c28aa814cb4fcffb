//! `holdfast serve`: the parts of the server, started in order and stopped in the opposite one.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use holdfast_server::http::{self, AppState};
use holdfast_server::metrics::Metrics;
use holdfast_server::service::Service;
use holdfast_server::service::monitor::Monitor;
use tracing_subscriber::EnvFilter;

use super::{LogFormat, ServeArguments, config};

pub(super) fn run(arguments: &ServeArguments) -> anyhow::Result<ExitCode> {
    start_logging(arguments.log_format);
    let config = config::settings(&arguments.settings)?;
    // First, because it is what fails most often, and loading a large gallery takes a while.
    let listener = http::listen(config.bind)?;

    let metrics = Arc::new(Metrics::new());
    let service = Service::open(&config, Arc::clone(&metrics))?;
    let monitor = Monitor::start(Arc::clone(&service), &config.monitor, Arc::clone(&metrics));
    let monitor = Arc::new(monitor);

    let state = AppState::new(Arc::clone(&service), Arc::clone(&monitor), metrics, config);
    let served = http::run(listener, state).context("the HTTP server failed");
    monitor.stop();
    service.shutdown();
    served?;
    Ok(ExitCode::SUCCESS)
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,holdfast_server=info"));
    // Where nobody reads the log any more, the server goes on: reporting that to standard error would panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // A log file is read with other tools than a terminal.
    let log = log.with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
