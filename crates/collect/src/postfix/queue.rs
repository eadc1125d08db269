//! Where queued messages shall go, by `postqueue -j`. Nothing of a message but its recipients is taken.

use std::collections::BTreeMap;

use mailwarden_evidence::Fact;
use serde::Deserialize;

use super::look::Look;
use super::parameters::surface::QUEUE;

/// Most bytes of a printed queue.
const MAX_PRINTED: usize = 128 * 1024 * 1024;
/// Most recipients told apart.
const MAX_RECIPIENTS: usize = 20_000;

#[derive(Deserialize)]
struct Message {
    queue_name: String,
    #[serde(default)]
    recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
struct Recipient {
    address: String,
}

/// Reads the queue of a live instance.
pub(super) async fn read(look: &mut Look<'_>) {
    if look.plan.export.is_some() {
        return look.unsupported(QUEUE, "a copy of the configuration has no queue");
    }
    match look.plan.ask("postqueue", &["-j"], MAX_PRINTED).await {
        Ok(printed) => {
            let (waiting, gap) = waiting(&printed);
            for ((queue, recipient), messages) in waiting {
                let excerpt = format!("{queue}: {messages} to {recipient}");
                let fact = Fact::Queued { queue, recipient, messages };
                look.observe(QUEUE, fact, excerpt.as_bytes(), &excerpt);
            }
            if let Some(gap) = gap {
                look.gap(QUEUE, gap);
            }
        }
        Err(error) => look.failed(QUEUE, &error),
    }
}

type Waiting = BTreeMap<(String, String), u32>;

/// Messages by queue and recipient, and what could not be told.
fn waiting(printed: &[u8]) -> (Waiting, Option<String>) {
    let (mut waiting, mut unread, mut too_many) = (Waiting::new(), 0_usize, 0_usize);
    for line in printed.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        let Ok(message) = serde_json::from_slice::<Message>(line) else {
            unread += 1;
            continue;
        };
        for recipient in message.recipients {
            let key = (message.queue_name.clone(), recipient.address.to_lowercase());
            if waiting.len() < MAX_RECIPIENTS || waiting.contains_key(&key) {
                *waiting.entry(key).or_default() += 1;
            } else {
                too_many += 1;
            }
        }
    }
    let gap = match (unread, too_many) {
        (0, 0) => None,
        (0, more) => Some(format!("{more} recipients beyond the first {MAX_RECIPIENTS}")),
        (lines, _) => Some(format!("{lines} messages that postqueue describes in another way")),
    };
    (waiting, gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_recipient() {
        let line = r#"{"queue_name":"deferred","queue_id":"A","sender":"x@y","recipients":[{"address":"Bob@a.test","delay_reason":"no"},{"address":"c@a.test"}]}"#;
        let (waiting, gap) = waiting(format!("{line}\n{line}\nnonsense\n").as_bytes());
        assert_eq!(waiting[&("deferred".to_owned(), "bob@a.test".to_owned())], 2);
        assert_eq!(waiting.len(), 2);
        assert_eq!(gap.as_deref(), Some("1 messages that postqueue describes in another way"));
    }
}
