//! `/v1/items`, `/v1/items:count`, `/v1/items:delete`: items chosen by a filter.

use actix_web::web::{self, Query};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::batch::BatchProblem;
use super::error::ApiError;
use super::filter::{self, FilterRequest};
use super::items::ItemReply;
use super::problem::Problem;
use super::state::AppState;
use super::upload::read_json;
use crate::config::SearchLimits;
use crate::service::Place;
use crate::service::filter::Filter;

/// Items on a page that names no limit, where so many are allowed.
const DEFAULT_LIMIT: usize = 100;

/// Ids in one bulk delete: more are better told by a filter.
const MAX_IDS: usize = 10_000;

/// Which items to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// A [filter](#/components/schemas/FilterRequest) as JSON, URL-encoded; absent: all items.
    #[param(example = r#"{"must":[{"key":"label","match":"boot"}]}"#)]
    filter: Option<String>,
    /// `next_cursor` of the page before; absent: the first page.
    cursor: Option<String>,
    /// Most items on the page, 1 to `search.max_limit` of the configuration.
    #[param(minimum = 1, default = 100)]
    limit: Option<usize>,
}

/// Some items, in the order in which they were first stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ItemPage {
    items: Vec<ItemReply>,
    /// The parameter `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// List items
///
/// In the order in which they were first stored, page by page. Items may be added, changed and deleted meanwhile: one that is
/// there and matches all the time is listed exactly once. A page may be shorter than `limit`; the last one has no
/// `next_cursor`.
#[utoipa::path(
    get,
    path = "/v1/items",
    tag = "items",
    params(ListParameters),
    responses(
        (status = 200, description = "A page of items", body = ItemPage),
        (status = 400, description = "A wrong filter, cursor or limit", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_items(
    state: web::Data<AppState>,
    parameters: Query<ListParameters>,
) -> Result<web::Json<ItemPage>, ApiError> {
    let ListParameters { filter, cursor, limit } = parameters.into_inner();
    let work = move |state: &AppState| {
        let limits = &state.config.search;
        let filter = parse_filter(filter.as_deref(), limits)?;
        let from = cursor.as_deref().map(parse_cursor).transpose()?;
        let limit = within("limit", limit.unwrap_or(DEFAULT_LIMIT.min(limits.max_limit)), limits.max_limit)?;
        Ok(state.service.page(filter.as_ref(), from, limit)?)
    };
    let page = state.into_inner().blocking(work).await?;
    let items = page.items.into_iter().map(ItemReply::from).collect();
    Ok(web::Json(ItemPage { items, next_cursor: page.next.map(cursor_to) }))
}

/// Which items to count.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountParameters {
    /// A [filter](#/components/schemas/FilterRequest) as JSON, URL-encoded; absent: all items.
    #[param(example = r#"{"must":[{"key":"label","match":"boot"}]}"#)]
    filter: Option<String>,
}

/// A number of items.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Count {
    count: u64,
}

/// Count items
#[utoipa::path(
    get,
    path = "/v1/items:count",
    tag = "items",
    params(CountParameters),
    responses(
        (status = 200, description = "How many items match", body = Count),
        (status = 400, description = "A wrong filter", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn count_items(
    state: web::Data<AppState>,
    parameters: Query<CountParameters>,
) -> Result<web::Json<Count>, ApiError> {
    let filter = parameters.into_inner().filter;
    let work = move |state: &AppState| {
        let filter = parse_filter(filter.as_deref(), &state.config.search)?;
        Ok(state.service.count(filter.as_ref()))
    };
    Ok(web::Json(Count { count: state.into_inner().blocking(work).await? }))
}

/// What to delete: `ids`, or what matches `filter`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteRequest {
    /// These items.
    #[schema(max_items = 10_000, example = json!(["boot.7", "boot.8"]))]
    ids: Option<Vec<String>>,
    /// All items that match. It must have a condition.
    filter: Option<FilterRequest>,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeleteReply {
    /// How many items are gone.
    deleted: usize,
    /// One for each of the `ids`, in order; absent after a delete by `filter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<DeleteResult>>,
}

/// What became of one id.
#[derive(Debug, Serialize, ToSchema)]
struct DeleteResult {
    id: String,
    /// Why there was nothing to delete.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<BatchProblem>,
}

/// Delete many items
///
/// All of them in one commit: after a crash all are there, or none. The answer means: gone from disk, and no longer found. Of
/// `ids`, those that no item has are told apart; a `filter` deletes what matches at the moment of the commit.
#[utoipa::path(
    post,
    path = "/v1/items:delete",
    tag = "items",
    request_body(content((DeleteRequest = "application/json", example = json!({"filter": {"must": [{"key": "sold", "match": true}]}})))),
    responses(
        (status = 200, description = "Deleted", body = DeleteReply),
        (status = 400, description = "A wrong field or filter", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_items(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let wanted: DeleteRequest = read_json(&request, payload, state.config.http.max_body_bytes).await?;
    let reply = state.into_inner().blocking(move |state| delete(state, wanted)).await?;
    Ok(HttpResponse::Ok().json(reply))
}

fn delete(state: &AppState, wanted: DeleteRequest) -> Result<DeleteReply, ApiError> {
    match (wanted.ids, wanted.filter) {
        (Some(ids), None) => delete_ids(state, ids),
        (None, Some(filter)) => {
            let filter = filter.into_filter(&state.config.search)?;
            refuse_empty(&filter)?;
            Ok(DeleteReply { deleted: state.service.delete_matching(filter)?, results: None })
        }
        _ => Err(ApiError::invalid("give either `ids` or a `filter`")),
    }
}

fn delete_ids(state: &AppState, ids: Vec<String>) -> Result<DeleteReply, ApiError> {
    if ids.len() > MAX_IDS {
        let count = ids.len();
        return Err(ApiError::invalid_at("/ids", format!("at most {MAX_IDS} ids may be given, got {count}")));
    }
    let outcomes = state.service.delete_ids(&ids)?;
    let deleted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let results = ids.into_iter().zip(outcomes).map(|(id, outcome)| {
        let error = outcome.err().map(|error| BatchProblem::of(&error.into()));
        DeleteResult { id, error }
    });
    Ok(DeleteReply { deleted, results: Some(results.collect()) })
}

/// A filter that a program built from nothing must not empty the gallery.
fn refuse_empty(filter: &Filter) -> Result<(), ApiError> {
    if !filter.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid_at(
        "/filter",
        "a filter without conditions would delete every item; if that is meant, say \
         {\"must_not\": [{\"key\": \"a key that no item has\", \"exists\": true}]}",
    ))
}

fn parse_filter(json: Option<&str>, limits: &SearchLimits) -> Result<Option<Filter>, ApiError> {
    json.map(|json| filter::from_parameter(json)?.into_filter(limits)).transpose()
}

/// Checks a number of the request against its limit.
pub(super) fn within(field: &str, value: usize, max: usize) -> Result<usize, ApiError> {
    if (1..=max).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::invalid_at(format!("/{field}"), format!("{field} must be between 1 and {max}, got {value}")))
}

/// Opaque, so that what it holds may change.
fn cursor_to(place: Place) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(place.number().to_be_bytes())
}

fn parse_cursor(cursor: &str) -> Result<Place, ApiError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let number = bytes.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
    let number = number.ok_or_else(|| {
        ApiError::invalid_at("/cursor", "the cursor is not one that this server gave; begin again without one")
    })?;
    Ok(Place::from_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_place_and_nothing_else_is_a_cursor() {
        for number in [0, 1, 255, 256, u64::MAX] {
            let place = Place::from_number(number);
            assert_eq!(parse_cursor(&cursor_to(place)).unwrap(), place);
        }
        for text in ["", "7", "AAAAAAAAAA", "AAAAAAAAAAA=", "!!!!!!!!!!!", "AAAAAAAAAAAAAAAA"] {
            assert!(parse_cursor(text).is_err(), "{text}");
        }
    }
}
