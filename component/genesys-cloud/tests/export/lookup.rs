//! Names in filters: which requests look them up, and what is said of those that nothing, or several, have.

use super::*;

const ID: &str = "11111111-2222-4333-8444-555555555555";
const OTHER: &str = "11111111-2222-4333-8444-666666666666";

/// Searches with some queues, of which the vendor has these; gives the requests, and how it ended.
fn searched(queues: &Value, there: &[(&str, &str)]) -> (Vec<Request>, Result<(), SourceError>) {
    let options = json!({ "region": "mypurecloud.ie", "names": false, "queues": queues });
    let mut vendor = Vendor::new(3, simple);
    let mut drive = start(&options.to_string(), days(1));
    let ended = drive.run::<GenesysCloud>(|request, now| {
        let Some((_, query)) = request.url.split_once("/routing/queues?") else {
            return vendor.answer(request, now);
        };
        let parameters = || query.split('&').filter_map(|pair| pair.split_once('='));
        let of = |name: &str| {
            parameters()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        let page: usize = of("pageNumber").map_or(1, |page| page.parse().unwrap());
        let called = there
            .iter()
            .filter(|(_, name)| of("name").is_none_or(|wanted| wanted == name.replace(' ', "%20")));
        let entities: Vec<Value> = called
            .map(|(id, name)| json!({ "id": id, "name": name }))
            .skip((page - 1) * 100)
            .take(100)
            .collect();
        reply(200, &json!({ "entities": entities }))
    });
    (drive.requests.clone(), ended)
}

fn error(queues: &Value, there: &[(&str, &str)]) -> String {
    match searched(queues, there).1 {
        Err(SourceError::Options(error)) => format!("{}: {}", error.path, error.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_costs_one_request_and_the_query_has_the_id_in_its_place() {
    let there = [(OTHER, "Sales North"), (ID, "Sales")];
    let (requests, ended) = searched(&json!(["Sales", OTHER]), &there);
    ended.unwrap();
    let lookups = requests
        .iter()
        .filter(|one| one.url.contains("/routing/queues"));
    let urls: Vec<&str> = lookups.map(|one| one.url.as_str()).collect();
    assert_eq!(
        urls,
        ["https://api.mypurecloud.ie/api/v2/routing/queues?name=Sales&pageSize=100"]
    );
    let queries: Vec<&Request> = requests
        .iter()
        .filter(|one| one.url.ends_with("/query"))
        .collect();
    assert!(!queries.is_empty());
    for query in queries {
        let predicates = &body(query)["segmentFilters"][0]["predicates"];
        let values: Vec<&Value> = predicates
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["value"])
            .collect();
        assert_eq!(values, [ID, OTHER]);
    }
}

#[test]
fn without_names_nothing_is_looked_up() {
    let (requests, ended) = searched(&json!([ID]), &[]);
    ended.unwrap();
    assert!(
        requests
            .iter()
            .all(|one| !one.url.contains("/routing/queues"))
    );
}

#[test]
fn a_name_that_nothing_has_is_refused_with_the_nearest_one() {
    // It is on the third page.
    let names: Vec<String> = (0..250).map(|number| format!("Desk {number}")).collect();
    let mut there: Vec<(&str, &str)> = names.iter().map(|name| (OTHER, name.as_str())).collect();
    there.push((ID, "Sales"));
    let reported = error(&json!(["Salse"]), &there);
    assert_eq!(
        reported,
        "queues: nothing is called `Salse`; did you mean `Sales`?"
    );
    // Another case is another name, and is proposed.
    let reported = error(&json!(["sales"]), &there[250..]);
    assert_eq!(
        reported,
        "queues: nothing is called `sales`; did you mean `Sales`?"
    );
    let reported = error(&json!(["Xyz"]), &[(ID, "Sales"), (OTHER, "Support")]);
    assert_eq!(
        reported,
        "queues: nothing is called `Xyz`; there are Sales, Support"
    );
    let reported = error(&json!(["Xyz"]), &[]);
    assert!(
        reported.contains("its role may lack their division"),
        "{reported}"
    );
}

#[test]
fn a_name_that_several_have_is_refused_with_their_ids() {
    let reported = error(&json!(["Sales"]), &[(ID, "Sales"), (OTHER, "Sales")]);
    let expected = format!(
        "queues: 2 are called `Sales`; give the id of the one that is meant: {ID}, {OTHER}"
    );
    assert_eq!(reported, expected);
}
