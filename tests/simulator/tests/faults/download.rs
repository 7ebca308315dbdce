//! Faults of downloads; what the store says of the true file stays true.

use md5::{Digest, Md5};

use crate::support::{Exchange, Harness};

/// The same file, from a center without faults and from one with this one.
struct Pair {
    // Serves as long as it is held.
    _rough: Harness,
    url: String,
    truth: Vec<u8>,
    etag: String,
}

impl Pair {
    async fn of(faults: &str) -> Self {
        let (calm, rough) = (Harness::with("").await, Harness::with(faults).await);
        let truth = Exchange::new("GET", &calm.link().await, "", "").await;
        assert!(truth.complete());
        let digest = Md5::digest(&truth.body);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let etag = format!("\"{digest}\"");
        assert_eq!(truth.header("etag"), Some(etag.as_str()));
        Pair {
            url: rough.link().await,
            _rough: rough,
            truth: truth.body,
            etag,
        }
    }

    async fn get(&self, headers: &str) -> Exchange {
        let answer = Exchange::new("GET", &self.url, headers, "").await;
        assert_eq!(answer.header("etag"), Some(self.etag.as_str()));
        assert_eq!(answer.error, None);
        answer
    }
}

#[tokio::test]
async fn cut_sends_a_part_of_what_it_announced() {
    let pair = Pair::of("cut=1").await;
    let mut longest = 0;
    for _ in 0..20 {
        let answer = pair.get("").await;
        assert_eq!(answer.announced(), pair.truth.len());
        assert!(answer.body.len() < pair.truth.len());
        assert!(pair.truth.starts_with(&answer.body));
        longest = longest.max(answer.body.len());
    }
    assert!(longest > pair.truth.len() / 2, "{longest}");
    let head = Exchange::new("HEAD", &pair.url, "", "").await;
    assert_eq!((head.status(), head.announced()), (200, pair.truth.len()));
}

#[tokio::test]
async fn wrong_length_announces_too_much_or_too_little() {
    let pair = Pair::of("wrong_length=1").await;
    let (mut more, mut less) = (0, 0);
    for _ in 0..20 {
        let answer = pair.get("").await;
        if answer.announced() > pair.truth.len() {
            assert_eq!(answer.body, pair.truth);
            more += 1;
        } else {
            assert!(answer.announced() < pair.truth.len() && answer.complete());
            assert!(pair.truth.starts_with(&answer.body));
            less += 1;
        }
        // The bytes sent for a range belie the length announced for it.
        let answer = pair.get("range: bytes=10-109\r\n").await;
        let range = format!("bytes 10-109/{}", pair.truth.len());
        assert_eq!(answer.header("content-range"), Some(range.as_str()));
        assert_ne!(answer.announced(), 100);
    }
    assert!(more > 3 && less > 3, "{more} and {less}");
}

#[tokio::test]
async fn truncated_is_complete_but_for_its_end() {
    let pair = Pair::of("truncated=1").await;
    for _ in 0..20 {
        let answer = pair.get("").await;
        assert!(answer.complete());
        assert!(answer.body.len() < pair.truth.len() && pair.truth.starts_with(&answer.body));
        let answer = pair.get("range: bytes=100-\r\n").await;
        assert_eq!(answer.status(), 206);
        assert!(answer.complete());
        let end = 100 + answer.body.len();
        assert!(end < pair.truth.len());
        assert_eq!(answer.body, pair.truth[100..end]);
        let range = format!("bytes 100-{}/{end}", end - 1);
        assert_eq!(answer.header("content-range"), Some(range.as_str()));
    }
}

#[tokio::test]
async fn corrupted_has_one_wrong_byte() {
    let pair = Pair::of("corrupted=1").await;
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let answer = pair.get("").await;
        assert!(answer.complete());
        assert_eq!(answer.body.len(), pair.truth.len());
        let both = answer.body.iter().zip(&pair.truth);
        let wrong: Vec<usize> = both
            .enumerate()
            .filter_map(|(place, (one, other))| (one != other).then_some(place))
            .collect();
        assert_eq!(wrong.len(), 1);
        places.insert(wrong[0]);
    }
    assert!(places.len() > 10);
}

#[tokio::test]
async fn expired_is_403_in_the_words_of_s3() {
    let center = Harness::with("expired=1").await;
    let answer = Exchange::new("GET", &center.link().await, "", "").await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    let text = answer.text();
    assert!(text.contains("<Code>AccessDenied</Code><Message>Request has expired</Message>"));
    assert!(text.contains("<ServerTime>"));
}
