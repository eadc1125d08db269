//! A vendor's message to one of a hundred scopes, and the policy behind it.

use std::fmt::Write as _;
use std::hint::black_box;

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{Facts, MessageHeaders, Moment, Session, decide};
use mailwarden_policy::{Policy, Source};

use crate::Work;

const CLIENTS: usize = 100;
const VENDORS: usize = 100;

fn source(client: usize) -> Source {
    let domain = format!("client{client}.example");
    let mut text = format!(
        "[client]\nname = \"Client {client}\"\nowner = \"jane@{domain}\"\nemergency_approver = \"jane@{domain}\"\n\
         [[person]]\nname = \"Jane\"\naddresses = [\"jane@{domain}\"]\n\
         [[domain]]\nname = \"{domain}\"\nprofile = \"sending\"\nadmin_queue = \"ops@{domain}\"\n\
         [[scope]]\ndomain = \"saas.{domain}\"\ndeliver_to = \"ops@{domain}\"\n\
         [[mailbox]]\naddress = \"ops@{domain}\"\nkind = \"role\"\nbusiness_owner = \"jane@{domain}\"\n"
    );
    for vendor in 0..VENDORS {
        let _ = write!(
            text,
            "[[vendor]]\naddress = \"vendor{vendor}@saas.{domain}\"\norganisation = \"Vendor {vendor}\"\n\
             sender_domains = [\"vendor{vendor}.test\"]\n"
        );
    }
    Source::new(format!("{client}.toml"), text.into_bytes())
}

fn policy(clients: usize) -> Policy {
    let sources: Vec<Source> = (0..clients).map(source).collect();
    match Policy::compile(&sources) {
        Ok((policy, _)) => policy,
        Err(bad) => panic!("{}", mailwarden_policy::render(&bad[..1], false)),
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000)
}

fn recipient_of_message() -> EnvelopeRecipient {
    EnvelopeRecipient::read(b"<Vendor7@saas.client42.example>", Some(b"Vendor7@saas.client42.example"))
}

fn sender() -> EnvelopeSender {
    EnvelopeSender::read(b"<bounce@vendor7.test>", Some(b"bounce@vendor7.test"))
}

pub(crate) fn compile() -> Work {
    let sources = [source(0)];
    Box::new(move || drop(black_box(Policy::compile(black_box(&sources)).map(drop))))
}

/// Every vendor of several policies in turn: what a look-up costs hangs on the address and on the seed of the table,
/// and seeds differ with the environment that the program is started in.
pub(crate) fn vendor() -> Work {
    const POLICIES: usize = 8;
    const CLIENTS: usize = 12;
    let policies = std::array::from_fn::<_, POLICIES, _>(|_| policy(CLIENTS));
    let names =
        (0..CLIENTS * VENDORS).map(|n| format!("vendor{}@saas.client{}.example", n / CLIENTS, n % CLIENTS));
    let addresses: Vec<Address> = names.filter_map(|name| Address::parse(&name).ok()).collect();
    let mut turns = (0..addresses.len()).flat_map(|at| (0..POLICIES).map(move |policy| (policy, at))).cycle();
    Box::new(move || {
        let Some((policy, at)) = turns.next() else { return };
        let found = policies[policy].vendor(black_box(&addresses[at])).is_some();
        assert!(found, "{} is not found", addresses[at]);
    })
}

pub(crate) fn recipient() -> Work {
    let policy = policy(CLIENTS);
    let (modes, session) = Default::default();
    Box::new(move || {
        let (sender, recipient) = (sender(), recipient_of_message());
        let facts = Facts::new(&session, &sender, Moment::Recipient(&recipient));
        black_box(decide(&policy, &modes, &facts, noon()));
    })
}

pub(crate) fn message() -> Work {
    let policy = policy(CLIENTS);
    let modes = Default::default();
    let session = Session::default();
    Box::new(move || {
        let (sender, recipients) = (sender(), [recipient_of_message()]);
        let mut headers = MessageHeaders::default();
        for (name, value) in [
            (
                "Received",
                "from mx.vendor7.test (mx.vendor7.test [192.0.2.7]) by mx.example; Sun, 1 Mar 2026 12:00:00 +0000",
            ),
            ("From", "\"Vendor, Invoices\" <invoices@vendor7.test>"),
            ("To", "Vendor7@saas.client42.example"),
            ("Subject", "=?utf-8?q?Invoice_2026-03?="),
            ("Date", "Sun, 1 Mar 2026 12:00:00 +0000"),
            ("Message-ID", "<1@vendor7.test>"),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
        ] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let facts =
            Facts::new(&session, &sender, Moment::Message { recipients: &recipients, headers: &headers });
        black_box(decide(&policy, &modes, &facts, noon()));
    })
}
