//! `/v1/snapshots`: the whole gallery as one file.

use std::fs::File;
use std::io::{self, Read};

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_DISPOSITION, ETAG, LOCATION};
use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, error};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::openapi::PictureBytes;
use super::problem::Problem;
use super::state::AppState;
use crate::service::snapshot::SnapshotInfo;

/// Bytes read from the file at once.
const PIECE: usize = 1 << 18;

/// A snapshot on this server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SnapshotReply {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// How many commits had changed items by then: all of them are in it, and nothing later.
    revision: u64,
    items: u64,
    /// Length of the file.
    bytes: u64,
    /// Of the whole file, as `sha256sum` prints it.
    sha256: String,
}

/// The snapshots on this server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SnapshotList {
    /// The oldest first.
    snapshots: Vec<SnapshotReply>,
}

impl From<SnapshotInfo> for SnapshotReply {
    fn from(info: SnapshotInfo) -> Self {
        let SnapshotInfo { id, created, revision, items, bytes, sha256 } = info;
        SnapshotReply { id, created, revision, items, bytes, sha256 }
    }
}

/// Make a snapshot
///
/// All items, pictures and vectors as the last commit left them, while writes go on. The answer means: on disk, and read back
/// and compared. Takes as long as writing the gallery once and reading it twice. It stays on the server until it is deleted.
#[utoipa::path(
    post,
    path = "/v1/snapshots",
    tag = "operation",
    responses(
        (status = 201, description = "Made and verified; Location tells where it is", body = SnapshotReply),
        (status = 409, description = "Another one is being made, or a stored picture is damaged", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "No room on the disk", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn make(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let made = state.into_inner().blocking(|state| Ok(state.service.make_snapshot()?)).await?;
    let location = format!("/v1/snapshots/{}", made.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(SnapshotReply::from(made)))
}

/// List snapshots
#[utoipa::path(
    get,
    path = "/v1/snapshots",
    tag = "operation",
    responses((status = 200, description = "Those on this server", body = SnapshotList))
)]
pub(super) async fn list(state: web::Data<AppState>) -> Result<web::Json<SnapshotList>, ApiError> {
    let snapshots = state.into_inner().blocking(|state| Ok(state.service.snapshots()?)).await?;
    Ok(web::Json(SnapshotList { snapshots: snapshots.into_iter().map(SnapshotReply::from).collect() }))
}

/// Download a snapshot
///
/// A tar archive for `holdfast restore`. The ETag is its SHA-256.
#[utoipa::path(
    get,
    path = "/v1/snapshots/{id}",
    tag = "operation",
    params(("id" = String, Path, description = "The snapshot")),
    responses(
        (status = 200, description = "The file", body = PictureBytes, content_type = "application/x-tar"),
        (status = 404, description = "No snapshot has this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn download(state: web::Data<AppState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (info, file) = state.into_inner().blocking(move |state| Ok(state.service.snapshot(&id)?)).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/x-tar")
        .insert_header((ETAG, format!("\"{}\"", info.sha256)))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"holdfast-{}.tar\"", info.id)))
        .body(SizedStream::new(info.bytes, pieces(file))))
}

/// Delete a snapshot
#[utoipa::path(
    delete,
    path = "/v1/snapshots/{id}",
    tag = "operation",
    params(("id" = String, Path, description = "The snapshot")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No snapshot has this id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete(state: web::Data<AppState>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    state.into_inner().blocking(move |state| Ok(state.service.delete_snapshot(&id)?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The content of a file, read a piece at a time as the client takes it, on threads that may block.
fn pieces(file: File) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    stream::try_unfold(file, |mut file| async move {
        let read = web::block(move || {
            let mut piece = Vec::with_capacity(PIECE);
            file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) = read.await?.map_err(error::ErrorInternalServerError)?;
        Ok(if piece.is_empty() { None } else { Some((Bytes::from(piece), file)) })
    })
}
