//! Files that are refused contradict their announcement; those that do not are stored, however odd.

use super::*;

const WAV: &[u8] =
    b"RIFF\x24\x0c\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data\0\x0c\0\0";
const PAGE: &[u8] = b"<!DOCTYPE html><html><body>blocked</body></html>";
const MAIL: &[u8] = b"From: ann@example.com\r\nTo: bob@example.com\r\nSubject: Hello\r\n\r\nHi";

fn claim(announced: Option<&str>, kinds: &[&str]) -> AnnouncedContent {
    let record = ConversationRecord {
        media_types: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..ConversationRecord::default()
    };
    let artifact = Artifact {
        key: ArtifactKey::Recording(recording_host_model::RecordingKey {
            conversation: "c".to_owned(),
            recording: "r".to_owned(),
            part: 0,
        }),
        download: recording_host_model::Download {
            url: String::new(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: announced.map(str::to_owned),
        container: Container::Single,
        size: None,
        sha256: None,
    };
    AnnouncedContent::of(&artifact, Some(&record))
}

#[test]
fn each_format_is_known_by_its_first_bytes() {
    let media = |kind| Looks::Media(kind);
    let ogg = b"OggS\0\x02\0\0";
    for (first, looks_like) in [
        (WAV, media("audio/wav")),
        (b"RIFX\0\0\0\x24WAVEfmt ", media("audio/wav")),
        (b"RF64\xff\xff\xff\xffWAVEds64", media("audio/wav")),
        (b"BW64\xff\xff\xff\xffWAVEds64", media("audio/wav")),
        (ogg, media("audio/ogg")),
        (b"fLaC\0\0\0\x22", media("audio/flac")),
        (b"ID3\x04\0\0\0\0", media("audio/mpeg")),
        (&[0xff, 0xfb, 0x90, 0x64], media("audio/mpeg")),
        (&[0xff, 0xf3, 0x48, 0x64], media("audio/mpeg")),
        (&[0xff, 0xfd, 0x90, 0x64], media("audio/mpeg")),
        (&[0, 0, 0, 0, 0, 0xff, 0xfb, 0x90], media("audio/mpeg")),
        (&[0xff, 0xf1, 0x50, 0x80], media("audio/aac")),
        (b"\0\0\0\x18ftypisom", media("video/mp4")),
        (b"\0\0\0\x08wide\0\0\0\0mdat", media("video/mp4")),
        (b"\0\0\x10\0moov\0\0\0\x6cmvhd", media("video/mp4")),
        (&[0x1a, 0x45, 0xdf, 0xa3, 0x9f], media("video/webm")),
        (b"#!AMR\n", media("audio/amr")),
        (b"FORM\0\0\0\0AIFFCOMM", media("audio/aiff")),
        (b"PK\x03\x04\x14\0", Looks::Zip),
        (b"PK\x05\x06\0\0", Looks::Zip),
        (b"PK\x07\x08PK\x03\x04", Looks::Zip),
        (PAGE, Looks::Html),
        (b"\xef\xbb\xbf\r\n  <HTML lang=en>", Looks::Html),
        (b"\xff\xfe<\0h\0t\0m\0l\0>\0", Looks::Html),
        (b"<?xml version=\"1.0\"?><!DOCTYPE html>", Looks::Html),
        (b"<?xml version=\"1.0\"?><Error><Code>", Looks::Xml),
        (b"<Error><Code>AccessDenied</Code>", Looks::Xml),
        (b"{\"error\": \"no such file\"}", Looks::Json),
        (b"{\"messages\": [\"<html>\"]}", Looks::Json),
        (b" [ {\"id\": 1} ]", Looks::Json),
        (b"{}", Looks::Json),
        (b"upstream connect error or disconnect", Looks::Text),
        (MAIL, Looks::Text),
        (b"%PDF-1.7\n", Looks::Other("a PDF", "pdf")),
    ] {
        let shown = String::from_utf8_lossy(first);
        assert_eq!(looks(first), looks_like, "{shown}");
    }
    // Sound without a header: silence in A-law and u-law, 16 bits, and noise; and what is too short.
    let noise: Vec<u8> = (0..64_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let silences = [
        vec![0x55; 64],
        vec![0xd5; 64],
        vec![0xff; 64],
        vec![0x7f; 64],
        vec![0; 64],
    ];
    for first in silences
        .into_iter()
        .chain([noise, b"U U".to_vec(), Vec::new()])
    {
        assert_eq!(looks(&first), Looks::Unknown, "{first:?}");
    }
}

#[test]
fn a_page_a_message_or_an_archive_is_no_sound() {
    for announced in [
        "audio/wav",
        "audio/ogg; codecs=opus",
        "AUDIO/MPEG",
        "video/webm",
        "application/ogg",
    ] {
        let claim = claim(Some(announced), &["voice"]);
        for (first, extension) in [
            (PAGE, "html"),
            (b"<?xml version='1.0'?><Error/>", "xml"),
            (
                b"{\"message\":\"not found\",\"code\":\"not.found\"}",
                "json",
            ),
            (b"Service Unavailable, try again later\n", "txt"),
            (b"PK\x03\x04\x14\0\0\0\x08\0", "zip"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
        ] {
            let unfit = claim.check(first, false).unwrap_err();
            assert_eq!(
                (unfit.code, unfit.extension),
                ("not-a-recording", extension)
            );
            assert!(unfit.reason.contains(announced), "{unfit}");
        }
        for first in [
            WAV,
            b"OggS\0\x02\0\0\0\0\0\0\0\0",
            &[0xff, 0xfb, 0x90, 0x64],
            &[7; 64],
        ] {
            assert_eq!(claim.check(first, false), Ok(()), "{announced} {first:?}");
        }
    }
}

#[test]
fn what_is_no_sound_and_does_not_claim_to_be_is_stored_as_it_is() {
    let noise = [0xd5_u8; 64];
    for (announced, first) in [
        ("application/json", &b"{\"transcript\": []}"[..]),
        ("application/json", b"\"a text\" of its own kind"),
        ("application/vnd.api+json", b"[{\"id\": 7}]"),
        ("message/rfc822", MAIL),
        ("message/rfc822", PAGE),
        ("text/html", PAGE),
        ("text/html", b"[EXTERNAL] hello there everybody"),
        ("text/plain", b"{\"not\": \"json\"} or is it"),
        ("application/xml", b"<?xml version='1.0'?><chat/>"),
        ("application/pdf", b"%PDF-1.7"),
        ("image/png", b"\x89PNG\r\n"),
        ("application/x-new", b"whatever it is that came"),
        ("application/octet-stream", &noise),
        ("video/mp4", b"\0\0\0\x18ftypisom\0\0\0\0"),
        (
            "application/zip",
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
    ] {
        assert_eq!(
            claim(Some(announced), &["voice"]).check(first, false),
            Ok(()),
            "{announced}"
        );
    }
    for (announced, first) in [
        ("application/json", PAGE),
        ("application/json", WAV),
        ("application/xml", b"{\"error\": 1}"),
        ("text/plain", b"PK\x03\x04\x14\0"),
        ("application/pdf", PAGE),
        ("application/zip", PAGE),
        ("application/zip", b"{\"error\": \"gone\"}"),
        ("Application/X-Zip-Compressed", WAV),
    ] {
        let checked = claim(Some(announced), &["chat"]).check(first, false);
        assert_eq!(checked.unwrap_err().code, "not-a-recording", "{announced}");
    }
}

#[test]
fn without_an_announcement_the_conversation_tells_what_is_likely() {
    for announced in [
        None,
        Some("application/octet-stream"),
        Some("binary/octet-stream"),
    ] {
        let check =
            |kinds: &[&str], first: &[u8]| claim(announced, kinds).check(first, false).is_ok();
        for kinds in [&["voice"][..], &["callback", "Voice"], &["screenshare"]] {
            assert!(!check(kinds, PAGE) && !check(kinds, b"{\"error\": 1}"));
            assert!(check(kinds, WAV) && check(kinds, &[0xd5; 64]));
        }
        for kinds in [&["chat"][..], &["email"], &["voice", "message"]] {
            assert!(check(kinds, PAGE) && check(kinds, b"{\"chat\": 1}") && check(kinds, MAIL));
        }
        // Nobody says: a page is what proxies say, a message in JSON may be a transcript.
        assert!(!check(&[], PAGE) && check(&[], b"{\"chat\": 1}") && check(&[], WAV));
    }
}

#[test]
fn what_is_shorter_than_a_header_is_no_recording() {
    let check = |announced, first: &[u8], all| claim(announced, &[]).check(first, all);
    assert_eq!(check(None, b"", true).unwrap_err().code, "empty");
    assert_eq!(
        check(Some("application/json"), b"", true).unwrap_err().code,
        "empty"
    );
    let short = check(Some("audio/wav"), &WAV[..20], true).unwrap_err();
    assert_eq!((short.code, short.extension), ("not-a-recording", "wav"));
    assert!(short.reason.contains("20 bytes"), "{short}");
    assert!(check(Some("audio/ogg"), b"OggS\0\x02", true).is_err());
    assert!(check(Some("audio/wav"), &[7; 5], true).is_err());
    // A header and no sound is a recording of nothing; without a header nobody can tell.
    assert!(check(Some("audio/wav"), &WAV[..44], true).is_ok());
    assert!(check(Some("audio/basic"), &[0xff; 20], true).is_ok());
    assert!(check(Some("text/plain"), b"ok", true).is_ok());
}
