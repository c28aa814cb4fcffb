//! `POST /v1/items:batch`: many items in one request, a result for each.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::items::ItemReply;
use super::openapi::PictureBytes;
use super::problem::{Code, FieldProblem, Outline, Problem};
use super::state::AppState;
use super::upload::{JsonPicture, Part, media_type, parse_json, read_body, read_form};
use crate::service::{ItemView, Metadata, NewItem};

/// One line of the NDJSON form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchLine {
    /// 1 to 128 of `A-Za-z0-9._:-`.
    id: String,
    image: JsonPicture,
    /// Flat: strings, numbers, booleans and arrays of strings.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Metadata,
}

/// The part `item` of the form; the part `image` that follows it is its picture.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchItem {
    /// 1 to 128 of `A-Za-z0-9._:-`.
    id: String,
    /// Flat: strings, numbers, booleans and arrays of strings.
    #[serde(default)]
    #[schema(value_type = Object)]
    metadata: Metadata,
}

/// Items as a form: `item`, `image`, `item`, `image`, … in this order.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a form; never made")]
pub(super) struct BatchForm {
    item: Vec<BatchItem>,
    image: Vec<PictureBytes>,
}

/// A result for each item, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchReply {
    /// How many are on disk and searchable now.
    stored: usize,
    /// How many are not.
    rejected: usize,
    results: Vec<BatchResult>,
}

/// What became of one item: `item`, or `error`.
#[derive(Debug, Serialize, ToSchema)]
struct BatchResult {
    /// Null where the line could not be read.
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<ItemReply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<BatchProblem>,
}

/// Why one entry of a batch failed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BatchProblem {
    /// The status that a request with this entry alone would have had.
    status: u16,
    code: Code,
    detail: String,
    /// The fields at fault, where they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

impl BatchProblem {
    pub(super) fn of(error: &ApiError) -> Self {
        let Outline { status, code, detail, errors, .. } = error.outline();
        BatchProblem { status: status.as_u16(), code, detail, errors }
    }
}

/// Store many items
///
/// As `application/x-ndjson`, one [BatchLine](#/components/schemas/BatchLine) a line, or as a form of `item` and `image` parts
/// by turns. Each item succeeds or fails alone; the status is 200 even if all fail. Only a request that cannot be taken apart,
/// or finds the server busy for every item, fails as a whole. The answer means: on disk, and found by searches from now on.
#[utoipa::path(
    post,
    path = "/v1/items:batch",
    tag = "items",
    request_body(content(
        (BatchLine = "application/x-ndjson"),
        (BatchForm = "multipart/form-data"),
    )),
    responses(
        (status = 200, description = "A result for each item", body = BatchReply),
        (status = 400, description = "Not a batch", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too many bytes in total", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Neither NDJSON nor a form", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Busy; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn put_items(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<BatchReply>, ApiError> {
    let max_bytes = state.config.http.max_batch_body_bytes;
    let body = match media_type(&request).as_deref() {
        Some("application/x-ndjson") => Body::Lines(read_body(&request, payload, max_bytes).await?),
        Some("multipart/form-data") => Body::Form(read_form(&request, payload, max_bytes).await?),
        found => return Err(ApiError::content_type(found, "application/x-ndjson or multipart/form-data")),
    };
    let work = move |state: &AppState| store(state, body.into_items()?);
    Ok(web::Json(state.into_inner().blocking(work).await?))
}

/// What was read and not yet parsed.
enum Body {
    Lines(Vec<u8>),
    Form(Vec<Part>),
}

/// An item, or why it is none; with its id as far as it is known.
struct Parsed {
    id: Option<String>,
    item: Result<NewItem, ApiError>,
}

impl Body {
    fn into_items(self) -> Result<Vec<Parsed>, ApiError> {
        match self {
            Body::Lines(bytes) => Ok(lines(&bytes)),
            Body::Form(parts) => pairs(parts),
        }
    }
}

fn lines(bytes: &[u8]) -> Vec<Parsed> {
    let filled = |line: &&[u8]| !line.trim_ascii().is_empty();
    bytes.split(|&byte| byte == b'\n').filter(filled).map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Parsed {
    match parse_json::<BatchLine>(line) {
        Ok(BatchLine { id, image, metadata }) => {
            let picture = image.decode("/image");
            Parsed { id: Some(id.clone()), item: picture.map(|picture| NewItem { id, picture, metadata }) }
        }
        Err(error) => Parsed { id: None, item: Err(error) },
    }
}

fn pairs(parts: Vec<Part>) -> Result<Vec<Parsed>, ApiError> {
    let mut parts = parts.into_iter();
    let mut items = Vec::new();
    while let Some(item) = parts.next() {
        let image = parts.next().filter(|image| item.name == "item" && image.name == "image").ok_or_else(|| {
            ApiError::invalid("the parts of the form must be `item`, `image`, `item`, `image`, … by turns")
        })?;
        items.push(match parse_json::<BatchItem>(&item.bytes) {
            Ok(BatchItem { id, metadata }) => {
                Parsed { id: Some(id.clone()), item: Ok(NewItem { id, picture: image.bytes, metadata }) }
            }
            Err(error) => Parsed { id: None, item: Err(error) },
        });
    }
    Ok(items)
}

fn store(state: &AppState, parsed: Vec<Parsed>) -> Result<BatchReply, ApiError> {
    let most = state.config.http.max_batch_items;
    if !(1..=most).contains(&parsed.len()) {
        return Err(ApiError::invalid(format!("a batch holds 1 to {most} items, got {}", parsed.len())));
    }
    let (ids, items): (Vec<_>, Vec<_>) = parsed.into_iter().map(|parsed| (parsed.id, parsed.item)).unzip();
    let mut outcomes: Vec<Option<ApiError>> = Vec::new();
    let mut good = Vec::new();
    for item in items {
        outcomes.push(item.map(|item| good.push(item)).err());
    }
    let mut stored = state.service.put(good).into_iter();
    let results: Vec<_> = outcomes
        .into_iter()
        .map(|refused| match refused {
            Some(error) => Err(error),
            None => stored.next().expect("one result an item. This is a bug.").map_err(ApiError::from),
        })
        .collect();
    let results = settle(state, results)?;
    Ok(BatchReply::new(ids.into_iter().zip(results)))
}

/// Counts the pictures that were refused. A batch whose entries all failed because the server is busy fails as a whole.
pub(super) fn settle<T>(
    state: &AppState,
    results: Vec<Result<T, ApiError>>,
) -> Result<Vec<Result<T, ApiError>>, ApiError> {
    if results.iter().all(|result| result.as_ref().is_err_and(ApiError::is_temporary)) {
        return Err(results.into_iter().find_map(Result::err).expect("a batch is not empty. This is a bug."));
    }
    results.iter().filter_map(|result| result.as_ref().err()).for_each(|error| state.count_rejected_picture(error));
    Ok(results)
}

impl BatchReply {
    fn new(results: impl Iterator<Item = (Option<String>, Result<ItemView, ApiError>)>) -> Self {
        let results: Vec<_> = results.map(|(id, result)| BatchResult::new(id, result)).collect();
        let rejected = results.iter().filter(|result| result.error.is_some()).count();
        BatchReply { stored: results.len() - rejected, rejected, results }
    }
}

impl BatchResult {
    fn new(id: Option<String>, result: Result<ItemView, ApiError>) -> Self {
        match result {
            Ok(item) => BatchResult { id, item: Some(item.into()), error: None },
            Err(error) => BatchResult { id, item: None, error: Some(BatchProblem::of(&error)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, content: &str) -> Part {
        Part { name: name.to_owned(), bytes: content.as_bytes().to_vec() }
    }

    #[test]
    fn a_wrong_line_fails_alone() {
        let body = b"{\"id\": \"a\", \"image\": {\"base64\": \"cGl4ZWxz\"}}\n\nnot json\n{\"id\": \"c\", \"image\": {\"base64\": \"!\"}}\n";
        let parsed = lines(body);

        let ids: Vec<_> = parsed.iter().map(|parsed| parsed.id.as_deref()).collect();
        assert_eq!(ids, [Some("a"), None, Some("c")]);
        let fine: Vec<_> = parsed.iter().map(|parsed| parsed.item.is_ok()).collect();
        assert_eq!(fine, [true, false, false]);
    }

    #[test]
    fn a_form_gives_each_item_the_picture_that_follows_it() {
        let parts = vec![
            part("item", r#"{"id": "a"}"#),
            part("image", "1"),
            part("item", r#"{"id": "b"}"#),
            part("image", "2"),
        ];
        let items: Vec<_> = pairs(parts).unwrap().into_iter().map(|parsed| parsed.item.unwrap()).collect();
        assert_eq!((items[0].id.as_str(), items[0].picture.as_slice()), ("a", &b"1"[..]));
        assert_eq!((items[1].id.as_str(), items[1].picture.as_slice()), ("b", &b"2"[..]));
    }

    #[test]
    fn a_form_out_of_turn_is_refused_as_a_whole() {
        assert!(pairs(vec![part("image", "1"), part("item", "{}")]).is_err());
        assert!(pairs(vec![part("item", r#"{"id": "a"}"#)]).is_err());
    }
}
