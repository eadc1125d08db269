//! Registrations by RDAP (RFC 9082, RFC 9083).

use chrono::{DateTime, Utc};
use mailwarden_evidence::dns::{Answer, Name, Registration};
use serde_json::Value;

use super::https::{Refused, get_followed};
use super::{Outside, failed};
use crate::error::shown;

/// Most entities and status values of one registration that are read.
const MAX_LISTED: usize = 50;

pub(super) async fn registration(outside: &Outside, domain: &Name) -> Answer {
    let base = outside.plan.rdap.trim_end_matches('/');
    if base.is_empty() {
        return failed("registrations are not asked; set rdap under [dns]");
    }
    let said = match get_followed(outside, &format!("{base}/domain/{domain}"), "application/rdap+json").await
    {
        Ok(said) => said,
        Err(Refused::Unreachable(reason) | Refused::Untrusted(reason)) => return failed(reason),
    };
    let missing =
        Registration { registered: false, registrar: String::new(), expires: None, status: Vec::new() };
    match said.status {
        200 => match serde_json::from_slice::<Value>(&said.body) {
            Ok(value) if value["objectClassName"] == "domain" => Answer::Registration(read(&value)),
            _ => failed("the registry did not answer with a domain"),
        },
        // RFC 9082 §5.1 and RFC 7480 §5.3. A relay that knows no registry for the ending answers the same without
        // an RDAP body: nothing follows from that.
        404 if is_rdap_error(&said.body) => Answer::Registration(missing),
        status => failed(format!("the registry answered {status}")),
    }
}

fn is_rdap_error(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|value| value["errorCode"] == 404)
}

fn read(value: &Value) -> Registration {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let expires = list(&value["events"])
        .into_iter()
        .take(MAX_LISTED)
        .find(|event| event["eventAction"] == "expiration");
    let moment = |event: Value| {
        DateTime::parse_from_rfc3339(event["eventDate"].as_str()?)
            .ok()
            .map(|moment| moment.with_timezone(&Utc))
    };
    let mut status: Vec<String> = list(&value["status"])
        .iter()
        .take(MAX_LISTED)
        .filter_map(|status| Some(shown(status.as_str()?.as_bytes()).to_lowercase()))
        .collect();
    status.sort();
    let entities = list(&value["entities"]);
    let is_registrar = |entity: &&Value| list(&entity["roles"]).iter().any(|role| role == "registrar");
    let registrar = entities.iter().take(MAX_LISTED).find(is_registrar).and_then(name).unwrap_or_default();
    Registration { registered: true, registrar, expires: expires.and_then(moment), status }
}

/// The formatted name of a jCard (RFC 7095).
fn name(entity: &Value) -> Option<String> {
    let properties = entity["vcardArray"].get(1)?.as_array()?;
    let name = properties.iter().take(MAX_LISTED).find(|property| property[0] == "fn")?;
    Some(shown(name[3].as_str()?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_registration_is_read_as_the_rfc_writes_it() {
        let value = json!({
            "objectClassName": "domain",
            "status": ["Client Transfer Prohibited", "active"],
            "events": [
                {"eventAction": "registration", "eventDate": "2001-01-01T00:00:00Z"},
                {"eventAction": "expiration", "eventDate": "2027-03-01T12:00:00Z"}
            ],
            "entities": [
                {"roles": ["abuse"], "vcardArray": ["vcard", [["fn", {}, "text", "Other"]]]},
                {"roles": ["registrar"], "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["fn", {}, "text", "Registrar\u{1b}[1m Inc."]]]}
            ]
        });
        let read = read(&value);
        assert_eq!(read.registrar, "Registrar\u{fffd}[1m Inc.");
        assert_eq!(read.status, ["active", "client transfer prohibited"]);
        assert_eq!(read.expires, Some("2027-03-01T12:00:00Z".parse().unwrap()));
        assert_eq!(super::read(&json!({"events": 1, "entities": {"x": 1}, "status": "x"})).registrar, "");
    }
}
