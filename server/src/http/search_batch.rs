//! `POST /v1/search:batch`: many searches in one request, an answer for each.

use std::time::Instant;

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::batch::{BatchProblem, settle};
use super::error::ApiError;
use super::problem::Problem;
use super::search::{SearchReply, SearchRequest};
use super::state::AppState;
use super::upload::{Fields, json_pointer, read_json};
use crate::config::SearchLimits;
use crate::service::Search;

/// Several searches.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchBatch {
    /// Each as the body of `POST /v1/search`; 1 to `search.max_batch` of the configuration.
    #[schema(value_type = Vec<SearchRequest>, min_items = 1)]
    searches: Vec<Value>,
}

/// An answer for each search, in order.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchBatchReply {
    results: Vec<SearchResult>,
}

/// What one search found, or why it failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum SearchResult {
    Found(SearchReply),
    Failed { error: BatchProblem },
}

/// Search many times
///
/// All searches are answered by the same generation, and their pictures are embedded together. Each succeeds or fails alone;
/// the status is 200 even if all fail, unless the server is busy for every one.
#[utoipa::path(
    post,
    path = "/v1/search:batch",
    tag = "search",
    request_body(content((
        SearchBatch = "application/json",
        example = json!({"searches": [{"id": "boot.7", "limit": 5}, {"id": "boot.8", "limit": 5}]})
    ))),
    responses(
        (status = 200, description = "An answer for each search", body = SearchBatchReply),
        (status = 400, description = "Not a batch", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes in total", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn search_batch(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<SearchBatchReply>, ApiError> {
    let batch: SearchBatch = read_json(&request, payload, state.config.http.max_batch_body_bytes).await?;
    Ok(web::Json(state.into_inner().blocking(move |state| answer(state, batch)).await?))
}

fn answer(state: &AppState, batch: SearchBatch) -> Result<SearchBatchReply, ApiError> {
    let started = Instant::now();
    let (limits, count) = (&state.config.search, batch.searches.len());
    if !(1..=limits.max_batch).contains(&count) {
        let most = limits.max_batch;
        return Err(ApiError::invalid_at("/searches", format!("a batch holds 1 to {most} searches, got {count}")));
    }
    let parse = |(at, search)| parse(search, limits).map_err(|error| error.within(&format!("/searches/{at}")));
    let parsed: Vec<_> = batch.searches.into_iter().enumerate().map(parse).collect();
    let (mut searches, mut wanted) = (Vec::new(), Vec::new());
    for parsed in parsed {
        wanted.push(parsed.map(|(search, fields)| {
            searches.push(search);
            fields
        }));
    }
    let mut found = state.service.search_batch(&searches).into_iter();
    let results = wanted.into_iter().map(|wanted| {
        let wanted = wanted?;
        let found = found.next().expect("one answer a search. This is a bug.")?;
        Ok(SearchReply::new(found, &wanted, started))
    });
    let results = settle(state, results.collect())?.into_iter().map(SearchResult::from);
    Ok(SearchBatchReply { results: results.collect() })
}

fn parse(search: Value, limits: &SearchLimits) -> Result<(Search, SearchRequest), ApiError> {
    let mut fields: SearchRequest = serde_path_to_error::deserialize(search)
        .map_err(|error| ApiError::invalid_at(json_pointer(error.path()), error.inner().to_string()))?;
    let pictures = fields.take_pictures();
    let pictures = pictures.iter().map(|(pointer, picture)| picture.decode(pointer));
    let search = fields.take_search(pictures.collect::<Result<_, _>>()?, limits)?;
    Ok((search, fields))
}

impl From<Result<SearchReply, ApiError>> for SearchResult {
    fn from(result: Result<SearchReply, ApiError>) -> Self {
        match result {
            Ok(found) => Self::Found(found),
            Err(error) => Self::Failed { error: BatchProblem::of(&error) },
        }
    }
}
