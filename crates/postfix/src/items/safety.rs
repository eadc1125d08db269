//! Parameters of the whole instance that have one good value.

use super::{set, shown};
use crate::check::Item;
use crate::instance::Instance;
use crate::lists::split;
use crate::milters::milters;

pub(crate) fn items(instance: &Instance) -> Vec<Item> {
    let mut found = vec![
        default_action(instance),
        original_recipient(instance),
        internal_mail(instance),
        bare_newline(instance),
        unauth_pipelining(instance),
        protocol(instance),
    ];
    found.extend(milter_default_actions(instance));
    found
}

/// The default became `shutdown` in Postfix 3.11: only what is written down stays.
fn default_action(instance: &Instance) -> Item {
    let (value, written) = (instance.value("milter_default_action"), instance.sets("milter_default_action"));
    let is = if written { value.to_owned() } else { format!("{value}, by default") };
    Item::new(
        "milter-default-action",
        "milter_default_action",
        "When the gate is down, mail has to wait at its sender: `accept` lets it pass unjudged, `reject` \
        bounces it, \
         and the default differs between versions of Postfix.",
    )
    .is(is)
    .should("tempfail, written down")
    .good_if(written && value == "tempfail", set("milter_default_action", "tempfail"))
}

/// An action given for one milter stands before the parameter.
fn milter_default_actions(instance: &Instance) -> Vec<Item> {
    let lists = ["smtpd_milters", "non_smtpd_milters"].map(|list| (list, milters(instance.value(list))));
    let actions = lists.iter().flat_map(|(list, milters)| {
        milters.iter().filter_map(|milter| Some((*list, milter.address, milter.option("default_action")?)))
    });
    actions
        .map(|(list, address, action)| {
            Item::new(
                "milter-default-action",
                format!("default_action of {address} in {list}"),
                "An action given for one milter stands before milter_default_action.",
            )
            .is(action)
            .should("tempfail, or none")
            .good_if(action == "tempfail", format!("# take default_action={action} out of {list} in main.cf"))
        })
        .collect()
}

fn original_recipient(instance: &Instance) -> Item {
    let value = instance.value("enable_original_recipient");
    Item::new(
        "original-recipient",
        "enable_original_recipient",
        "The gate deletes recipients by the spelling the client used. Without it Postfix merges two \
        recipients that \
         reach the same mailbox, and deleting one loses the other's mail.",
    )
    .is(shown(value))
    .should("yes")
    .good_if(value == "yes", set("enable_original_recipient", "yes"))
}

fn internal_mail(instance: &Instance) -> Item {
    let value = instance.value("internal_mail_filter_classes");
    let filtered = split(value).into_iter().any(|class| matches!(class, "bounce" | "notify"));
    Item::new(
        "internal-mail",
        "internal_mail_filter_classes",
        "What Postfix writes itself has no sender who could try again: a notice that the gate refuses \
        would be \
         retried until it is lost. Addressed to a scope it waits, and can be sent through the gate by \
         postsuper -r.",
    )
    .is(shown(value))
    .should("(empty)")
    .good_if(!filtered, set("internal_mail_filter_classes", ""))
}

fn bare_newline(instance: &Instance) -> Item {
    let item = Item::new(
        "bare-newline",
        "smtpd_forbid_bare_newline",
        "A bare line feed before the final dot smuggles a second message with any sender inside a first one.",
    )
    .should("normalize or reject (yes where Postfix knows no other)");
    if !instance.knows("smtpd_forbid_bare_newline") {
        let update = "# update Postfix: 3.5.23, 3.6.13, 3.7.9 and 3.8.4 are the first that know it";
        return item.is("this Postfix does not know it").good_if(false, update);
    }
    let value = instance.value("smtpd_forbid_bare_newline");
    let good = matches!(value, "yes" | "normalize" | "reject");
    item.is(shown(value)).good_if(good, set("smtpd_forbid_bare_newline", "yes"))
}

fn unauth_pipelining(instance: &Instance) -> Item {
    let value = instance.value("smtpd_forbid_unauth_pipelining");
    Item::new(
        "unauth-pipelining",
        "smtpd_forbid_unauth_pipelining",
        "A client that sends commands before it may is a sign of smuggling.",
    )
    .is(shown(value))
    .should("yes")
    .good_if(value == "yes", set("smtpd_forbid_unauth_pipelining", "yes"))
}

fn protocol(instance: &Instance) -> Item {
    let value = instance.value("milter_protocol");
    Item::new(
        "milter-protocol",
        "milter_protocol",
        "The gate asks Postfix to leave out what it does not need and to keep vendor addresses in ORCPT: \
        both came \
         with version 6.",
    )
    .is(shown(value))
    .should("6")
    .good_if(value == "6", set("milter_protocol", "6"))
}
