use super::*;

#[test]
fn requests_are_repeated_as_the_settings_say() {
    let retry = retry_config(Retry {
        attempts: 4,
        max_backoff_seconds: 7,
    });
    assert_eq!(retry.max_retries, 3);
    assert_eq!(retry.backoff.max_backoff, Duration::from_secs(7));
}

#[test]
fn messages_hold_no_signature() {
    let text = "Error PUT https://a.example/b?sv=1&sig=hu%3Dsh: no\nanswer";
    let said = super::without_queries(text);
    assert_eq!(said, "Error PUT https://a.example/b: no answer");
}
