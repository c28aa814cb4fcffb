//! The listening socket, the threads behind it, and how they stop.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{App, HttpServer, rt, web};
use futures_util::future::{Either, select};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::observe::observe;
use super::routes;
use super::state::AppState;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there.
    #[error("cannot listen on {address}: the port is in use; stop the other program, or choose another with --bind")]
    InUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The system refuses.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the address; connections wait until a server runs on it.
///
/// # Errors
/// If the port is in use, or the address is not this machine's.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Refused { address, source },
    })
}

/// Starts the server on threads of its own; await it within an actix system, and stop it by its handle.
///
/// # Errors
/// If the threads cannot be started.
pub fn start(listener: TcpListener, state: AppState) -> io::Result<Server> {
    let limits = state.config.http.clone();
    let state = web::Data::new(state);
    let app = move || {
        App::new()
            .app_data(state.clone())
            .configure(routes::configure)
            .wrap(from_fn(observe))
            .wrap(DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")))
    };
    let server = HttpServer::new(app)
        .workers(limits.workers)
        .worker_max_blocking_threads(limits.max_concurrent.div_ceil(limits.workers))
        .shutdown_timeout(limits.shutdown_seconds)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Serves until SIGTERM or Ctrl-C; then finishes open requests. A second signal ends them.
///
/// # Errors
/// If the threads cannot be started, or the system takes the socket away.
pub fn run(listener: TcpListener, state: AppState) -> io::Result<()> {
    let address = listener.local_addr()?;
    rt::System::new().block_on(async move {
        let server = start(listener, state)?;
        rt::spawn(stop_on_signal(server.handle()));
        // Not through the log: people and scripts wait for this line, whatever RUST_LOG says.
        let _ = writeln!(io::stderr(), "holdfast is listening on http://{address}");
        server.await
    })
}

async fn stop_on_signal(server: ServerHandle) {
    next_signal().await;
    info!("finishing open requests; a second signal ends them");
    rt::spawn(server.stop(true));
    next_signal().await;
    server.stop(false).await;
}

/// Waits for SIGTERM or SIGINT.
async fn next_signal() {
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be received; only SIGKILL will stop the server");
            return std::future::pending().await;
        }
    };
    match select(Box::pin(terminate.recv()), Box::pin(interrupt.recv())).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}
