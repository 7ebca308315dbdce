//! The findings of a check when the bucket refuses, natively.

use genesys_bucket::GenesysBucket;
use recording_source_sdk::{
    Finding, Purpose, Request, RequestResult, Response, SourceError, TestDriver, Update, Verdict,
};

const OPTIONS: &str = r#"{"bucket":"calls","organization":"org-1","region":"eu-west-1"}"#;
// 2026-01-06T00:00:00Z
const NOW: u64 = 1_767_657_600_000;

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> RequestResult {
    let headers = headers.iter();
    Ok(Response {
        status,
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
    })
}

fn check(answer: impl FnMut(&Request, u64) -> RequestResult) -> Result<Vec<Finding>, SourceError> {
    let mut drive = TestDriver::start::<GenesysBucket>(OPTIONS, Purpose::Check, NOW)?;
    drive.run::<GenesysBucket>(answer)?;
    let findings = drive.updates.into_iter().map(|update| match update {
        Update::Finding(finding) => finding,
        other => panic!("{other:?}"),
    });
    Ok(findings.collect())
}

fn refused(code: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>m</Message></Error>")
}

#[test]
fn each_refusal_is_a_finding_with_the_way_out() {
    for (status, code, header, subject, way_out) in [
        (
            301,
            "PermanentRedirect",
            "eu-west-2",
            "region",
            "`eu-west-2`: give that",
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "eu-west-2",
            "region",
            "`eu-west-2`: give that",
        ),
        (404, "NoSuchBucket", "", "bucket", "there is no such bucket"),
        (403, "AccessDenied", "", "bucket", "s3:ListBucket on calls"),
        (
            403,
            "InvalidAccessKeyId",
            "",
            "credentials",
            "check the source's `auth`",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "",
            "credentials",
            "check the source's `auth`",
        ),
    ] {
        let headers: &[(&str, &str)] = match header {
            "" => &[],
            region => &[("x-amz-bucket-region", region)],
        };
        let findings = check(|_, _| response(status, headers, &refused(code))).unwrap();
        let [found] = &findings[..] else {
            panic!("{code}: {findings:?}");
        };
        assert_eq!(
            (found.subject.as_str(), found.verdict),
            (subject, Verdict::Bad),
            "{code}"
        );
        assert!(found.text.contains(way_out), "{code}: {}", found.text);
    }
    // A refusal that may pass is tried again.
    let slow = check(|_, _| response(503, &[], &refused("SlowDown")));
    assert!(matches!(slow, Err(SourceError::Transient(_))));
}

/// A bucket with one call in its newest hour, as the integration pushes it.
fn call(request: &Request, written: &str, class: &str) -> RequestResult {
    const HOUR: &str = "org-1/year=2026/month=1/day=5/hour=23/";
    let url = &request.url;
    let folder = |name: &str| {
        let prefixes = format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>");
        format!("<ListBucketResult>{prefixes}</ListBucketResult>")
    };
    let body = match url {
        url if url.contains("_metadata.json") => {
            return response(403, &[], &refused("AccessDenied"));
        }
        url if !url.contains("delimiter") => {
            let object = |name: &str| {
                format!("<Contents><Key>{HOUR}conversation_id=c/{name}</Key><LastModified>{written}</LastModified><Size>4</Size><StorageClass>{class}</StorageClass></Contents>")
            };
            let (media, metadata) = (object("r.opus"), object("r.opus_metadata.json"));
            format!("<ListBucketResult>{media}{metadata}</ListBucketResult>")
        }
        url if url.contains("day%3D5") => folder(HOUR),
        // Of two ways to write numbers, and two months, the later month.
        url if url.contains("month%3D1") => folder("org-1/year=2026/month=1/day=5/"),
        url if url.contains("year%3D2026") => folder("org-1/year=2026/month=1/"),
        _ => "<ListBucketResult><CommonPrefixes><Prefix>org-1/year=2026/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>org-1/year=999/</Prefix></CommonPrefixes></ListBucketResult>".to_owned(),
    };
    response(200, &[("date", "Tue, 06 Jan 2026 00:10:00 GMT")], &body)
}

#[test]
fn objects_that_may_not_be_read_and_a_quiet_bucket_are_told() {
    let findings = check(|request, _| call(request, "2025-12-20T00:00:00.000Z", "GLACIER"));
    let reported: Vec<(String, Verdict, String)> = findings
        .unwrap()
        .into_iter()
        .map(|found| (found.subject, found.verdict, found.text))
        .collect();
    for (subject, verdict, words) in [
        (
            "clock",
            Verdict::Bad,
            "600 s from the vendor's; set this machine's clock by NTP",
        ),
        ("bucket", Verdict::Good, "may be listed"),
        (
            "layout",
            Verdict::Good,
            "`year=2026/month=1/day=5/hour=23/`",
        ),
        ("newest recording", Verdict::Doubtful, "pushed 17 days ago"),
        ("metadata", Verdict::Good, "beside each of 1"),
        ("storage class", Verdict::Doubtful, "1 of 1 recordings"),
        ("objects", Verdict::Bad, "kms:Decrypt"),
    ] {
        let found = reported.iter().find(|(about, ..)| about == subject);
        let (_, is, text) = found.unwrap_or_else(|| panic!("{subject}: {reported:#?}"));
        assert_eq!(*is, verdict, "{subject}: {text}");
        assert!(text.contains(words), "{subject}: {text}");
    }
    assert_eq!(reported.len(), 7, "{reported:#?}");
}
