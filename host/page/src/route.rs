//! From a request to an answer.

mod evidence;
mod rows;

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming, header};
use percent_encoding::percent_decode_str;
use recording_host_metadata::restore::Row;

use crate::{
    Index, Indexed, Order, Page, PageError, Query, Results,
    archive::ReceiptLine,
    guard::Refused,
    index::{COUNTED, Location, number_of},
    media,
    respond::{Answer, answer, html, plain, see_other},
    table::Form,
    verify::{FileVerdict, verify},
    view::{self, Detail, ShownDay},
};

/// The longest form, in bytes.
const FORM: usize = 16 << 10;
/// The fields of a search that an address may have.
pub(crate) const LINKED: [&str; 7] = [
    "from",
    "to",
    "direction",
    "outcome",
    "code",
    "kind",
    "order",
];
const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// Answers a request.
pub(crate) async fn respond(page: &Arc<Page>, request: Request<Incoming>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if let Err(refused) = page.guard.is_ours(&method, request.headers()) {
        return refusal(refused);
    }
    match (&method, path.as_str()) {
        (&Method::GET, "/page.css") => return answer(StatusCode::OK, "text/css", STYLE),
        (&Method::GET, "/page.js") => return answer(StatusCode::OK, "text/javascript", SCRIPT),
        (&Method::GET, "/icon.svg") => return answer(StatusCode::OK, "image/svg+xml", ICON),
        (&Method::GET, "/enter") => return html(StatusCode::OK, &view::enter(false)),
        (&Method::POST, "/enter") => return enter(page, request).await,
        _ => {}
    }
    let who = match page.guard.who(&method, request.headers()) {
        Ok(who) => who,
        Err(refused) => return refusal(refused),
    };
    match shown(page, request, &path, &who).await {
        Ok(answer) => answer,
        Err(error @ (PageError::Missing(_) | PageError::NoLine(_))) => html(
            StatusCode::NOT_FOUND,
            &view::problem("It is not there", &error.to_string()),
        ),
        Err(error) => {
            let problem = view::problem("That did not work", &error.to_string());
            html(StatusCode::INTERNAL_SERVER_ERROR, &problem)
        }
    }
}

fn refusal(refused: Refused) -> Answer {
    match refused {
        Refused::Foreign => plain(
            StatusCode::FORBIDDEN,
            "refused: this request comes from another page, or by a name that is not this server's. \
             Type the address that was printed, or name the host by --host.",
        ),
        Refused::NoSession => see_other("/enter"),
    }
}

async fn enter(page: &Page, request: Request<Incoming>) -> Answer {
    let form = form(request).await.unwrap_or_default();
    let token = form.iter().find(|(name, _)| name == "token");
    let session = token.and_then(|(_, token)| page.guard.enter(token));
    let Some(session) = session.and_then(|session| header::HeaderValue::from_str(&session).ok())
    else {
        return html(StatusCode::FORBIDDEN, &view::enter(true));
    };
    let mut answer = see_other("/");
    answer.headers_mut().insert(header::SET_COOKIE, session);
    answer
}

async fn form(request: Request<Incoming>) -> Option<Vec<(String, String)>> {
    let body = Limited::new(request.into_body(), FORM)
        .collect()
        .await
        .ok()?;
    let bytes = body.to_bytes();
    Some(url::form_urlencoded::parse(&bytes).into_owned().collect())
}

async fn shown(
    page: &Arc<Page>,
    request: Request<Incoming>,
    path: &str,
    who: &str,
) -> Result<Answer, PageError> {
    let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    let part = request.headers().contains_key("x-part");
    let of = &page.shown();
    match parts[..] {
        [""] if get => overview(page, of, request.headers()).await,
        ["recordings" | "rows" | "day" | "losses", ..] => {
            searched(page, of, request, &parts, who).await
        }
        ["evidence", ref asked @ ..] if !get => evidence(page, of, request, asked, who).await,
        ["r", id, n] if get => {
            let (rows, line) = conversation(of, id).await?;
            page.access.add(who, "open", Some(id))?;
            detail(of, &rows, line, n, None, part).await
        }
        ["verify", id, n] if !get => {
            let (rows, line) = conversation(of, id).await?;
            page.access.add(who, "verify", Some(id))?;
            let verdict = match &line {
                Ok(line) => verify(&of.archive, nth(&rows, n)?, line).await?,
                Err(error) => FileVerdict {
                    good: false,
                    title: "The receipt cannot be read".to_owned(),
                    detail: error.to_string(),
                },
            };
            detail(of, &rows, line, n, Some(verdict), part).await
        }
        ["media", id, n] | ["download", id, n] if get => {
            let (rows, _) = rows(of, id).await?;
            let download = parts[0] == "download";
            let headers = request.headers();
            if download || begins(headers) {
                page.access
                    .add(who, if download { "download" } else { "listen" }, Some(id))?;
            }
            media::file(&of.archive, nth(&rows, n)?, headers, download).await
        }
        ["peaks", id, n] if get => {
            let (rows, _) = rows(of, id).await?;
            let made = media::peaks(&of.archive, &of.index, nth(&rows, n)?).await?;
            Ok(match made {
                Some(bytes) => answer(StatusCode::OK, "application/octet-stream", bytes),
                None => plain(StatusCode::NO_CONTENT, ""),
            })
        }
        _ => Err(PageError::Missing("this page".to_owned())),
    }
}

/// The hits of a search: one that is sent, one that an address has, that of a day, or that of a loss.
async fn searched(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    request: Request<Incoming>,
    parts: &[&str],
    who: &str,
) -> Result<Answer, PageError> {
    let get = matches!(*request.method(), Method::GET | Method::HEAD);
    match *parts {
        ["recordings"] if get => {
            let query = linked(request.uri().query().unwrap_or_default());
            if query != Query::default() {
                page.access.add(who, "search", None)?;
            }
            list(page, of, query, false).await
        }
        ["recordings"] => {
            let form = form(request).await.unwrap_or_default();
            page.access.add(who, "search", None)?;
            list(page, of, query(&form), is_set(&form, "facets", "1")).await
        }
        ["rows"] if !get => {
            let form = form(request).await.unwrap_or_default();
            let shape = match is_set(&form, "format", "csv") {
                true => Form::Csv,
                false => Form::Lines,
            };
            rows::of_search(page, of, query(&form), shape, who).await
        }
        ["day", day] if get => list(page, of, of_day(day), false).await,
        ["losses", code] if get => list(page, of, of_losses(code), false).await,
        _ => Err(PageError::Missing("this page".to_owned())),
    }
}

/// The overview, or the part of it that a script asks for: `live` of the run, `figures` of the archive.
async fn overview(
    page: &Page,
    of: &Indexed,
    headers: &hyper::HeaderMap,
) -> Result<Answer, PageError> {
    let part = headers.get("x-part").map(header::HeaderValue::as_bytes);
    let freshness = page.freshness();
    let under_way = page.under_way();
    let version = view::version(&freshness, &under_way);
    let live = page.live.as_ref();
    let live = live.map(|live| view::live(live, &version));
    if part == Some(b"live")
        && let Some(live) = &live
    {
        return Ok(html(StatusCode::OK, live));
    }
    let overview = of.index.off_thread(Index::overview).await?;
    let figures = view::figures(&of.archive.name, &overview, &freshness, &under_way);
    let shown = match part {
        Some(b"figures") => figures,
        _ => view::overview(live.as_ref(), &figures),
    };
    Ok(html(StatusCode::OK, &shown))
}

/// A package of evidence: of a search, a conversation, or a recording.
async fn evidence(
    page: &Arc<Page>,
    of: &Arc<Indexed>,
    request: Request<Incoming>,
    asked: &[&str],
    who: &str,
) -> Result<Answer, PageError> {
    match *asked {
        [] => {
            let form = form(request).await.unwrap_or_default();
            evidence::of_search(page, of, query(&form), who).await
        }
        [id] => evidence::of_conversation(page, of, id, who).await,
        [id, n] => {
            let (rows, _) = rows(of, id).await?;
            evidence::of_recording(page, of, nth(&rows, n)?, who).await
        }
        _ => Err(PageError::Missing("this page".to_owned())),
    }
}

/// True if a request for media begins at the first byte: one line in the log is enough for a recording.
fn begins(headers: &hyper::HeaderMap) -> bool {
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    range.is_none_or(|range| range.starts_with("bytes=0-"))
}

fn of_day(day: &str) -> Query {
    Query {
        from: day.to_owned(),
        to: day.to_owned(),
        ..Query::default()
    }
}

fn of_losses(code: &str) -> Query {
    Query {
        code: code.to_owned(),
        ..Query::default()
    }
}

fn is_set(form: &[(String, String)], field: &str, to: &str) -> bool {
    let found = form.iter().rev().find(|(known, _)| known == field);
    found.is_some_and(|(_, value)| value == to)
}

/// The search of an address, which has nothing that tells of a person.
fn linked(address: &str) -> Query {
    let fields = url::form_urlencoded::parse(address.as_bytes()).into_owned();
    let fields = fields.filter(|(name, _)| LINKED.contains(&name.as_str()));
    query(&fields.collect::<Vec<_>>())
}

fn query(form: &[(String, String)]) -> Query {
    let text = |name: &str| {
        let found = form.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Query {
        text: text("q"),
        number: text("number"),
        exact: !text("exact").is_empty(),
        agent: text("agent"),
        queue: text("queue"),
        wrap_up: text("wrap_up"),
        from: text("from"),
        to: text("to"),
        direction: text("direction"),
        outcome: text("outcome"),
        code: text("code"),
        kind: text("kind"),
        order: match text("order").as_str() {
            "oldest" => Order::Oldest,
            "longest" => Order::Longest,
            "largest" => Order::Largest,
            _ => Order::Newest,
        },
        skip: text("skip")
            .parse()
            .map_or(0, |skip: usize| skip.min(COUNTED)),
    }
}

/// The hits of a search, and if wanted, what to narrow it down by.
async fn list(page: &Page, of: &Indexed, query: Query, facets: bool) -> Result<Answer, PageError> {
    let under_way = page.under_way();
    let searching = of.index.off_thread(move |index| {
        let results = index.search(&query)?;
        let facets = facets.then(|| index.facets(&query, results.count));
        let facets = facets.transpose()?;
        let day = query.day().map(|date| {
            Ok::<_, PageError>(ShownDay {
                date,
                known: index.day(date)?,
                under_way: under_way.has(number_of(date)),
            })
        });
        let (day, facets) = (day.transpose()?, facets.as_deref());
        Ok(view::recordings(
            &query,
            &results,
            day.as_ref(),
            facets,
            None,
        ))
    });
    Ok(html(StatusCode::OK, &searching.await?))
}

async fn search(of: &Indexed, query: Query) -> Result<(Query, Results), PageError> {
    let searching = of.index.off_thread(move |index| {
        let results = index.search(&query)?;
        Ok((query, results))
    });
    searching.await
}

/// The rows of a conversation, and the receipt that names them.
async fn rows(of: &Indexed, id: &str) -> Result<(Vec<Row>, String), PageError> {
    let mut at = located(of, id).await?;
    let mut rows = of.archive.conversation(&at.rows, id).await;
    if let Err(PageError::Missing(_)) = rows {
        at = relocated(of, id, &at.receipt).await?;
        rows = of.archive.conversation(&at.rows, id).await;
    }
    Ok((rows?, at.receipt))
}

async fn conversation(
    of: &Indexed,
    id: &str,
) -> Result<(Vec<Row>, Result<ReceiptLine, PageError>), PageError> {
    let (rows, receipt) = rows(of, id).await?;
    let mut line = of.archive.line(&receipt, id).await;
    if let Err(PageError::Missing(_)) = line
        && let Ok(now) = relocated(of, id, &receipt).await
    {
        line = of.archive.line(&now.receipt, id).await;
    }
    Ok((rows, line))
}

/// Where the index has the rows of a conversation.
async fn located(of: &Indexed, id: &str) -> Result<Location, PageError> {
    let sought = id.to_owned();
    let found = of.index.off_thread(move |index| index.locate(&sought));
    found
        .await?
        .ok_or_else(|| PageError::Missing("this conversation".to_owned()))
}

/// Where the rows of a conversation are now that files of this receipt are gone: a run replaces several
/// segments by one while the index still has them.
async fn relocated(of: &Indexed, id: &str, receipt: &str) -> Result<Location, PageError> {
    if located(of, id).await?.receipt == receipt {
        of.archive.refresh(&of.index, |_, _| {}).await?;
    }
    located(of, id).await
}

fn nth<'a>(rows: &'a [Row], n: &str) -> Result<&'a Row, PageError> {
    let n: Option<usize> = n.parse().ok();
    n.and_then(|n| rows.get(n))
        .ok_or_else(|| PageError::Missing("this recording".to_owned()))
}

async fn detail(
    of: &Indexed,
    rows: &[Row],
    line: Result<ReceiptLine, PageError>,
    n: &str,
    verdict: Option<FileVerdict>,
    part: bool,
) -> Result<Answer, PageError> {
    let row = nth(rows, n)?;
    let text = match (media::shown(row), &row.object_key) {
        (media::Shown::Text, Some(key)) => Some(media::text(&of.archive, key).await?),
        _ => None,
    };
    let detail = Detail {
        rows,
        n: n.parse().unwrap_or_default(),
        row,
        line: &line,
        verdict: verdict.as_ref(),
        text: text.as_ref(),
    };
    let shown = view::detail(&detail);
    if part {
        return Ok(html(StatusCode::OK, &shown));
    }
    let day = row.start.get(..10).unwrap_or_default();
    let (query, results) = search(of, of_day(day)).await?;
    Ok(html(
        StatusCode::OK,
        &view::recordings(&query, &results, None, None, Some(&shown)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_hits_are_left_out_than_are_counted() {
        let skip = |text: &str| query(&[("skip".to_owned(), text.to_owned())]).skip;
        assert_eq!(skip("50"), 50);
        assert_eq!(skip("18446744073709551615"), COUNTED);
        assert_eq!(skip("-1"), 0);
    }
}
