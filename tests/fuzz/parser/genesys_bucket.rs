//! The XML of a bucket that Genesys Cloud pushes to, and the JSON beside its files.

use genesys_bucket::GenesysBucket;

use super::vendor::{self, Vendor};
use crate::parser::{Parser, unmended};

/// The listings of the bucket, and the metadata in it.
pub(crate) const GENESYS_BUCKET: Parser = Parser {
    name: "genesys_bucket",
    seeds: || VENDOR.seeds::<GenesysBucket>(),
    mutate: vendor::mutate,
    mend: unmended,
    feed: |input| VENDOR.feed::<GenesysBucket>(input),
};

const VENDOR: Vendor = Vendor {
    options: &[
        r#"{"bucket":"calls","organization":"0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b","region":"eu-west-1"}"#,
        r#"{"bucket":"calls.x","organization":"0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b","endpoint":"https://s3.example","requester_pays":true}"#,
    ],
    states: include_str!("../../../component/genesys-bucket/tests/states.jsonl"),
    answers: &[
        ("delimiter=", FOLDERS),
        ("list-type=", LISTING),
        ("metadata.json", SIDECAR),
        (
            "",
            r#"404<Error><Code>NoSuchKey</Code><Message>m</Message><Region>eu-west-2</Region></Error>"#,
        ),
    ],
};

const FOLDERS: &str = "200Mon, 05 Jan 2026 00:00:00 GMT<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><CommonPrefixes><Prefix>0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/year%3D2026/month%3D1/day%3D5/hour%3D9/</Prefix></CommonPrefixes></ListBucketResult>";
const LISTING: &str = r#"200<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><KeyCount>3</KeyCount><Contents><Key>0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/year%3D2026/month%3D1/day%3D5/hour%3D9/conversation_id%3Dc/r.opus</Key><LastModified>2026-01-06T00:00:00.000Z</LastModified><Size>4</Size><StorageClass>STANDARD</StorageClass></Contents><Contents><Key>0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/year%3D2026/month%3D1/day%3D5/hour%3D9/conversation_id%3Dc/r.opus_metadata.json</Key><LastModified>2026-01-06T00:00:00.000Z</LastModified><Size>300</Size></Contents><Contents><Key>0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b/year%3D2026/month%3D1/day%3D5/hour%3D9/conversation_id%3Dc/s_1.webm</Key><Size>4</Size><StorageClass>GLACIER</StorageClass></Contents></ListBucketResult>"#;
const SIDECAR: &str = r#"200{"mediaType":"Call","mediaSubtype":"Trunk","provider":"Edge","userIds":["u1"],"startTime":"2026-01-05T09:00:07.000+0000","endTime":"2026-01-05T09:04:00.000+0000","durationMs":233000,"conversationId":"c","recordingId":"r","initialDirection":"inbound"}"#;
