//! Every way in leads through the gate: each smtpd(8) service, and sendmail(1).

use std::path::Path;

use super::{set, set_for, shown};
use crate::check::Item;
use crate::instance::{Instance, Service};
use crate::lists::split;
use crate::milters::{Place, milters};

const LAST: &str = "\
    The gate has to be asked on every way in, and last: it should judge only recipients that every other \
    filter took, and what it routed must not be changed again.";
const TOLD_APART: &str = "\
    Filters tell mail that users hand in from mail of strangers by this name; both the same, a stranger's mail \
    may be taken for a user's, or a user's for a stranger's.";

pub(crate) fn items(instance: &Instance, gate: &str) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    for service in instance.smtpd_services() {
        let re_entry = is_re_entry(instance, service);
        found.push(if re_entry { after_filter(service) } else { asks_gate(instance, service, gate) });
        found.extend((!re_entry).then(|| told_apart(instance, service)));
        found.extend(skipping(service.value(instance, "receive_override_options"), &service.id()));
    }
    found.push(local_asks_gate(instance, gate));
    found.push(by_client(instance));
    found
}

fn asks_gate(instance: &Instance, service: &Service, gate: &str) -> Item {
    let list = service.value(instance, "smtpd_milters");
    let overridden = service.overrides.contains_key("smtpd_milters");
    let command = match overridden {
        true => {
            set_for(&service.id(), "smtpd_milters", &with_gate_last(instance, list, gate).replace(", ", ","))
        }
        false => set("smtpd_milters", &with_gate_last(instance, list, gate)),
    };
    Item::new("gate-asked", format!("smtpd_milters of {} ({})", service.id(), service.role()), LAST)
        .is(shown(list))
        .should(format!("{gate}, last"))
        .good_if(is_last(instance, list, gate), command)
}

/// A content filter hands mail back to a service of its own, which must not filter twice.
fn is_re_entry(instance: &Instance, service: &Service) -> bool {
    let filtered = |service: &Service| !service.value(instance, "content_filter").is_empty();
    service.is_loopback()
        && service.overrides.get("smtpd_milters").is_some_and(String::is_empty)
        && instance.smtpd_services().any(filtered)
}

fn after_filter(service: &Service) -> Item {
    Item::new("gate-asked", format!("smtpd_milters of {}", service.id()), LAST)
        .is("(empty): a content filter hands mail back here that has passed the gate")
        .should("(empty), on loopback only")
        .good_if(true, "")
}

fn told_apart(instance: &Instance, service: &Service) -> Item {
    let name = service.value(instance, "milter_macro_daemon_name");
    let originating = name == "ORIGINATING";
    let (should, value) = match service.is_submission() {
        true => ("ORIGINATING", "ORIGINATING"),
        false => ("a name of its own, not ORIGINATING", "$myhostname"),
    };
    Item::new(
        "daemon-name",
        format!("milter_macro_daemon_name of {} ({})", service.id(), service.role()),
        TOLD_APART,
    )
    .is(shown(name))
    .should(should)
    .good_if(
        originating == service.is_submission(),
        set_for(&service.id(), "milter_macro_daemon_name", value),
    )
}

fn skipping(options: &str, service: &str) -> Option<Item> {
    split(options).contains(&"no_milters").then(|| {
        Item::new("no-milters", format!("receive_override_options of {service}"), LAST)
            .is(options)
            .should("without no_milters")
            .good_if(false, format!("# take no_milters out of receive_override_options of {service}"))
    })
}

fn local_asks_gate(instance: &Instance, gate: &str) -> Item {
    let list = instance.value("non_smtpd_milters");
    Item::new(
        "gate-asked-locally",
        "non_smtpd_milters",
        "What programs on this host hand to sendmail(1) passes no smtpd. Without this it is neither judged \
        nor routed.",
    )
    .is(shown(list))
    .should(format!("{gate}, last"))
    .good_if(is_last(instance, list, gate), set("non_smtpd_milters", &with_gate_last(instance, list, gate)))
}

fn by_client(instance: &Instance) -> Item {
    let value = instance.value("smtpd_milter_maps");
    Item::new(
        "milter-maps",
        "smtpd_milter_maps",
        "A table of milters by client stands before smtpd_milters: its clients may pass without the gate.",
    )
    .is(shown(value))
    .should("(empty)")
    .good_if(value.is_empty(), set("smtpd_milter_maps", ""))
}

fn is_gate(instance: &Instance, address: &str, gate: &str) -> bool {
    let queue = Path::new(instance.value("queue_directory"));
    match (Place::read(gate), Place::read(address)) {
        (Some(gate), Some(named)) => gate.is_meant_by(&named, queue),
        _ => false,
    }
}

fn is_last(instance: &Instance, list: &str, gate: &str) -> bool {
    milters(list).last().is_some_and(|milter| is_gate(instance, milter.address, gate))
}

/// The list with the gate moved, or added, to its end. An entry with options keeps them.
fn with_gate_last(instance: &Instance, list: &str, gate: &str) -> String {
    let entries = split(list);
    let (gates, mut others): (Vec<&str>, Vec<&str>) = entries.into_iter().partition(|entry| {
        milters(entry).first().is_some_and(|milter| is_gate(instance, milter.address, gate))
    });
    others.push(gates.first().copied().unwrap_or(gate));
    others.join(", ")
}
